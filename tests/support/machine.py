"""A device with systemd to try services on, whatever it is made of; tests drive it as root."""

from __future__ import annotations

import base64
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass

BOOT_SECONDS = 600.0


class MachineError(Exception):
    """The machine did not do what was asked; says what it said."""


@dataclass(frozen=True)
class Done:
    """How a command in the machine ended."""

    status: int
    output: str
    errors: str


class Machine(ABC):
    """One machine, switched on.

    ``kind`` says what it is made of, ``host`` is this machine as that one sees it.
    """

    kind: str
    host: str
    limits_memory: bool

    @abstractmethod
    def run(self, *command: str, check: bool = True, seconds: float = 120) -> Done:
        """Run a program in the machine; with ``check`` a failure raises MachineError."""

    @abstractmethod
    def take_files(self) -> None:
        """Put what was handed over into its /root."""

    @abstractmethod
    def cut_power(self) -> None:
        """Switch it off without a warning, on again, and wait until it is up."""

    @abstractmethod
    def close(self) -> None:
        """Switch it off for good."""

    @abstractmethod
    def alive(self) -> bool:
        """Whether it is switched on."""

    @abstractmethod
    def console(self) -> str:
        """The end of what it said while it started."""

    def await_boot(self) -> None:
        """Wait until the machine has started everything."""
        end = time.monotonic() + BOOT_SECONDS
        while self.alive() and time.monotonic() < end:
            # A machine that goes down forgets what it was asked.
            with suppress(OSError, MachineError):
                done = self.run("systemctl", "is-system-running", check=False, seconds=20)
                # "degraded" as well: a unit may have failed on purpose.
                if done.output.strip() in {"running", "degraded"}:
                    return
            time.sleep(1)
        raise MachineError(f"not up after {BOOT_SECONDS:g} s\n{self.console()}")

    def shell(self, script: str, *, check: bool = True, seconds: float = 600) -> Done:
        """Run a shell script in the machine."""
        return self.run("/bin/sh", "-ec", script, check=check, seconds=seconds)

    def write(self, path: str, text: str, mode: str = "0600") -> None:
        """Write a file in the machine, for root."""
        encoded = base64.b64encode(text.encode()).decode()
        self.shell(f"umask 077; echo {encoded} | base64 -d > {path}; chmod {mode} {path}")
