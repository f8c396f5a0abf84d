"""The services under systemd, and whether an agent runs at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

from agent.credentials.sources import CREDENTIAL_STORE, PREFIX
from agent.doctor.finding import Finding, Patient, error, ok, warning

UNITS = ("edgeferry-agent.service", "edgeferry-worker.service")
HANDED_OVER = Path("/run/credentials") / UNITS[0]
"""The running agent's copies of its credentials, for root and that service to see."""
MANY_RESTARTS = 3
_PROPERTIES = "Id,LoadState,ActiveState,SubState,NRestarts,Result,UnitFileState"


async def examine_services(patient: Patient) -> list[Finding]:
    """Installed, enabled, running, and not again and again."""
    if not under_systemd():
        return [_agent(patient)]
    process = await asyncio.create_subprocess_exec(
        *("systemctl", "show", f"--property={_PROPERTIES}", *UNITS),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    shown, _ = await process.communicate()
    units = [_properties(block) for block in shown.decode().split("\n\n") if block.strip()]
    found = [finding for unit in units for finding in judge_unit(unit)]
    found += judge_copies(CREDENTIAL_STORE, HANDED_OVER)
    return found or [_agent(patient)]


def under_systemd() -> bool:
    """Whether systemd manages this machine, sd_booted(3)."""
    return Path("/run/systemd/system").is_dir()


def judge_copies(store: Path, copies: Path) -> Iterator[Finding]:
    """Credentials the running agent does not know yet; nothing when the caller may not look."""
    if not os.access(copies, os.R_OK | os.X_OK):
        return
    for path in sorted(store.glob(f"{PREFIX}*")):
        copy = copies / path.name
        if not copy.exists() or copy.read_bytes() != path.read_bytes():
            yield warning(
                f"{path} was replaced after the agent started, which still uses the one before",
                "run: systemctl restart edgeferry-agent",
            )


def _agent(patient: Patient) -> Finding:
    if patient.agent_runs:
        return ok("an agent runs, not under systemd")
    return warning("no agent runs on this state folder", "start it: edgeferry run")


def _properties(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.strip().splitlines())
    return {name: value for name, _, value in pairs}


def judge_unit(unit: dict[str, str]) -> Iterator[Finding]:
    """What the properties of ``systemctl show`` mean; nothing for a unit that is not installed."""
    name = unit.get("Id", "").removesuffix(".service")
    if unit.get("LoadState") != "loaded":
        return
    state, log = unit.get("ActiveState"), f"see: journalctl -u {name}"
    if state == "failed":
        yield error(f"{name} failed ({unit.get('Result')})", log)
    elif state != "active":
        yield warning(f"{name} is {state}", f"start it: systemctl start {name}")
    else:
        yield ok(f"{name} runs")
    if int(unit.get("NRestarts") or 0) > MANY_RESTARTS:
        yield warning(f"{name} was restarted {unit['NRestarts']} times", log)
    if unit.get("UnitFileState") == "disabled":
        yield warning(
            f"{name} does not start with the machine",
            "enable it: systemctl enable edgeferry.target",
        )
