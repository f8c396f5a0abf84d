"""A process full of simulated devices.

It tells ``ready`` once it is there, and lets all devices connect at once at the next line. Then it
tells each step that the last of its devices has reached, with the times of all of them; after a
line it counts the steps of connecting anew.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.fleets.device import Mishaps, SimulatedDevice
from bench.support.child import Told, next_line, run_child, tell
from protocol.credentials import (
    CertificateCredential,
    Credential,
    LoadedCertificate,
    PskCredential,
    load_certificates,
)

AGAIN = ("connected", "observing")
"""The steps that every new link has."""


class Roll:
    """Who has come how far; times by the machine's monotonic clock, the same in all processes."""

    def __init__(self, count: int, mishaps: Mishaps) -> None:
        self._count = count
        self._mishaps = mishaps
        self._times: defaultdict[str, dict[int, float]] = defaultdict(dict)

    def reached(self, device: int) -> Callable[[str], None]:
        """Takes the steps of one device; tells when it was the last to reach one."""

        def note(step: str) -> None:
            times = self._times[step]
            if device in times:
                return
            times[device] = time.monotonic()
            if len(times) == self._count:
                tell(step, times=sorted(times.values()), mishaps=asdict(self._mishaps))

        return note

    def begin_again(self) -> None:
        """Forget the steps that every new link has."""
        for step in AGAIN:
            self._times[step].clear()


async def serve(told: Told) -> None:
    """Be the devices that the order lists until the end."""
    credentials = [_credential(device) for device in told["devices"]]
    mishaps = Mishaps()
    roll = Roll(len(credentials), mishaps)
    tell("ready")
    await next_line()
    async with asyncio.TaskGroup() as tasks:
        for number, credential in enumerate(credentials):
            SimulatedDevice(
                (told["host"], told["port"]), credential, tasks, mishaps, roll.reached(number)
            )
        while True:
            await next_line()
            roll.begin_again()


def _credential(device: dict[str, Any]) -> Credential:
    """What a device shows; files are read now, a thousand devices don't share one disk."""
    if "key" in device:
        return PskCredential(device["identity"], device["key"].encode())
    files = CertificateCredential(
        Path(device["certificate"]), Path(device["private_key"]), Path(device["server_ca"])
    )
    return LoadedCertificate(files.load(), load_certificates(Path(device["server_ca"])))


if __name__ == "__main__":
    run_child(serve)
