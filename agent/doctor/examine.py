"""All examinations, side by side."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from agent.config import DEFAULT_PATH, Settings, load_settings
from agent.credentials.known_time import KnownTime, from_text
from agent.credentials.sources import CREDENTIAL_STORE, CREDENTIALS_DIRECTORY, PREFIX
from agent.credentials.watch import TIME_FACT
from agent.doctor.clock import examine_clock
from agent.doctor.credentials import examine_credentials
from agent.doctor.facts import fact
from agent.doctor.finding import Examination, Finding, Patient, error, ok, warning
from agent.doctor.reachability import examine_reachability
from agent.doctor.server_roots import examine_server_roots
from agent.doctor.services import examine_services
from agent.doctor.storage import examine_disk, examine_journal
from agent.doctor.trust import examine_trust
from agent.doctor.worker import examine_runtime, examine_worker
from agent.errors import ConfigurationError
from agent.store.lock import is_locked

EXAMINATIONS: dict[str, Examination] = {
    "credentials": examine_credentials,
    "trust": examine_trust,
    "clock": examine_clock,
    "server roots": examine_server_roots,
    "network": examine_reachability,
    "disk": examine_disk,
    "journal": examine_journal,
    "runtime": examine_runtime,
    "worker": examine_worker,
    "services": examine_services,
}
CONFIGURATION = "configuration"
_WORLD_READABLE = 0o004

Done = Callable[[str], None]


async def examine(config: Path | None, done: Done = lambda _group: None) -> list[Finding]:
    """Look at everything; ``done`` is called with the name of each group that is finished.

    Without a configuration that can be used, only that is said.
    """
    try:
        settings = load_settings(config)
    except ConfigurationError as problem:
        finding = error(str(problem), "mend it; edgeferry example-config shows every key")
        return [replace(finding, group=CONFIGURATION)]
    found = [replace(f, group=CONFIGURATION) for f in _configuration(config, settings)]
    patient = Patient(
        settings,
        KnownTime(from_text(fact(settings.device.state_dir, TIME_FACT))),
        is_locked(settings.device.state_dir),
    )
    groups = await asyncio.gather(
        *(_examined(name, look, patient, done) for name, look in EXAMINATIONS.items())
    )
    return found + [finding for group in groups for finding in group]


async def _examined(name: str, look: Examination, patient: Patient, done: Done) -> list[Finding]:
    try:
        findings = list(await look(patient))
    except OSError as problem:
        findings = [error(f"could not be examined: {problem}", "run doctor as root")]
    done(name)
    return [replace(finding, group=name) for finding in findings]


def _configuration(config: Path | None, settings: Settings) -> Iterator[Finding]:
    path = config or DEFAULT_PATH
    if not path.exists():
        yield ok(f"no file {path}; defaults and environment")
        return
    yield ok(f"{path} is understood")
    if settings.golioth.psk is not None and path.stat().st_mode & _WORLD_READABLE:
        yield warning(
            f"{path} may hold a PSK and every user of this machine may read it",
            f"run: chmod 0640 {path}, or move the key to psk_file",
        )


def borrow_service_credentials() -> None:
    """Look at what systemd would hand to the service, when run by hand by who may read it."""
    if CREDENTIALS_DIRECTORY not in os.environ and any(
        os.access(path, os.R_OK) for path in CREDENTIAL_STORE.glob(f"{PREFIX}*")
    ):
        os.environ[CREDENTIALS_DIRECTORY] = str(CREDENTIAL_STORE)
