"""Starts one program and tells what it took until it was of use."""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from agent.worker.sandbox.starvation import processor_seconds
from bench.support.process import proportional_bytes

_LAUNCHER = Path(__file__).with_name("launcher.py")
_PATIENCE = 300.0


class StartFailed(Exception):  # noqa: N818 - reads as what happened
    """A program did not come to what it was started for."""


@dataclass(frozen=True)
class Cost:
    """Seconds until it was of use, processor time for that, and bytes of memory then."""

    seconds: float
    cpu_seconds: float
    memory: int

    @classmethod
    def of(cls, processes: Iterable[int], seconds: float) -> Cost:
        """What processes have taken by now; their memory is the proportional set."""
        processes = tuple(processes)
        used = sum(map(processor_seconds, processes))
        return cls(seconds, used, sum(map(proportional_bytes, processes)))

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        """Each figure's, for itself."""
        return cls(
            median(cost.seconds for cost in costs),
            median(cost.cpu_seconds for cost in costs),
            int(median(cost.memory for cost in costs)),
        )


async def ended(*command: str) -> Cost:
    """Run a command to its end. Its memory is the most that was resident. Raises StartFailed."""
    launched = (sys.executable, "-I", str(_LAUNCHER), *command)
    process = await asyncio.create_subprocess_exec(*launched, stdout=asyncio.subprocess.PIPE)
    took = json.loads((await process.communicate())[0])
    if status := took.pop("status"):
        raise StartFailed(f"{' '.join(command)} ended with exit status {status}")
    return Cost(**took)


async def waiting(program: str, *arguments: str) -> Cost:
    """Run the text of a program until it says something. Raises StartFailed."""
    pipe = asyncio.subprocess.PIPE
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *arguments), stdin=pipe, stdout=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        if not await process.stdout.readline():
            raise StartFailed(f"a bare program ended:\n{program}")
        return Cost.of([process.pid], time.monotonic() - began)
    finally:
        process.stdin.close()
        await process.wait()


class ServiceManager:
    """The socket at which a daemon says that it is ready, as systemd has one."""

    def __init__(self, address: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._socket.settimeout(_PATIENCE)
        self.environment = {"NOTIFY_SOCKET": str(address)}

    def hear_ready(self) -> float:
        """When a daemon said so, by the machine's monotonic clock. Raises TimeoutError."""
        while "READY=1" not in self._socket.recv(4096).decode().splitlines():
            pass
        return time.monotonic()

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()


@contextmanager
def service_manager(folder: Path) -> Iterator[ServiceManager]:
    """One that listens in that folder."""
    address = folder / "notify"
    manager = ServiceManager(address)
    try:
        yield manager
    finally:
        manager.close()
        address.unlink()
