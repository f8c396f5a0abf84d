"""Real processes for the demo and the system tests: a device's agent and worker.

Every process is the ``edgeferry`` command as a person would start it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.commands.inspection import Inspector
from agent.config import load_settings
from agent.journal.opening import JournalError

EDGEFERRY = (sys.executable, "-m", "commands.main")
Document = dict[str, Any]
LOOK_SECONDS = 0.1
"""Between two looks at what is waited for; a look takes a tenth of that from who works."""
_STOP_SECONDS = 60.0


class StageError(Exception):
    """A process did not do what it was started for; holds the end of its log."""

    exit_status = 1


def await_that(
    what: str,
    ask: Callable[[], Any],
    seconds: float,
    log: Callable[[], str] | None = None,
    every: float = LOOK_SECONDS,
) -> Any:
    """Ask until the answer is true and return it, with ``every`` so many seconds between.

    Raises:
        StageError: not within ``seconds``.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = ask()
        if answer:
            return answer
        time.sleep(every)
    raise StageError(f"{what}: not within {seconds:g} s\n{log() if log else ''}")


def serves(version: str) -> Callable[[Document], bool]:
    """Whether a status says that this version of the model serves and nothing else is under way."""

    def holds(status: Document) -> bool:
        active = status["active"]
        return bool(
            active
            and status["state"] == "idle"
            and active["packages"]["ai-model"]["version"] == version
            and status["worker"]["release"] == active["id"]
        )

    return holds


class Process:
    """One ``edgeferry`` command in the background, its standard error in a file."""

    def __init__(
        self,
        arguments: tuple[str, ...],
        log: Path,
        env: Mapping[str, str],
        program: tuple[str, ...] = EDGEFERRY,
    ) -> None:
        self._command = arguments[0]
        self._log = log
        self._ended_by_us = False
        with log.open("ab") as stderr:
            self._child = subprocess.Popen(
                (*program, *arguments),
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **env},
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._child.poll() is None

    @property
    def failed(self) -> bool:
        """Whether it ended without having been asked to."""
        return not self.running and not self._ended_by_us

    def first_line(self) -> str:
        """The first line on standard output; empty when the process ended without one."""
        assert self._child.stdout is not None
        return self._child.stdout.readline()

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self._ended_by_us = True
        self._child.kill()
        self._child.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status.

        Raises:
            StageError: it did not end by itself, and was killed.
        """
        self._ended_by_us = True
        self._child.send_signal(signal.SIGTERM)
        try:
            return self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired as error:
            self.kill()
            raise StageError(
                f"edgeferry {self._command} did not end within {_STOP_SECONDS:g} s of SIGTERM, and "
                f"was killed\n{self.log_tail()}"
            ) from error

    def log_tail(self, size: int = 4000) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-size:] if self._log.exists() else ""


class Device:
    """One device's folder: configuration, state, and the processes started on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "agent.toml"
        self.state_dir = folder / "state"
        self._processes: dict[str, Process] = {}

    def configure(self, tables: Mapping[str, Mapping[str, object]]) -> None:
        """Write the configuration; the state folder is this device's own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        device = {"state_dir": str(self.state_dir), **tables.get("device", {})}
        lines = []
        for name, table in {**tables, "device": device}.items():
            lines.append(f"[{name}]")
            # JSON's text, numbers and booleans are TOML's too.
            lines += [f"{key} = {json.dumps(value)}" for key, value in table.items()]
        self.config.touch(mode=0o600)  # a key may be in it
        self.config.write_text("\n".join(lines) + "\n")

    def start(
        self, command: str, env: Mapping[str, str] | None = None, options: tuple[str, ...] = ()
    ) -> Process:
        """Start ``run`` or ``worker``."""
        log = self.folder / f"{command}.log"
        process = Process((command, "--config", str(self.config), *options), log, env or {})
        self._processes[command] = process
        return process

    @property
    def agent(self) -> Process:
        """The agent started last."""
        return self._processes["run"]

    @property
    def worker(self) -> Process:
        """The worker started last."""
        return self._processes["worker"]

    def stop(self) -> None:
        """Stop everything that still runs."""
        for process in self._processes.values():
            if process.running:
                process.stop()

    def inspect(self, ask: Callable[[Inspector], Any]) -> Any:
        """What the journal and the worker say; None before the agent's first start."""
        try:
            with closing(Inspector(load_settings(self.config))) as inspector:
                return ask(inspector)
        except JournalError:
            return None

    def log_tail(self) -> str:
        """The end of every log, for an error message."""
        tails = (f"--- {name}\n{p.log_tail()}" for name, p in self._processes.items())
        return "\n".join(tails)

    def await_status(
        self,
        what: str,
        holds: Callable[[Document], Any],
        seconds: float,
        every: float = LOOK_SECONDS,
    ) -> Document:
        """Wait until ``edgeferry status --json`` fulfils ``holds``, and return it."""

        def ask() -> Document | None:
            for name, process in self._processes.items():
                if process.failed:
                    raise StageError(f"edgeferry {name} ended\n{process.log_tail()}")
            status = self.inspect(Inspector.status)
            return status if status and holds(status) else None

        found: Document = await_that(what, ask, seconds, self.log_tail, every)
        return found
