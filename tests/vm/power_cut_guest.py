"""What runs in the machine whose power is cut: ``python -m tests.vm.power_cut_guest TERMINAL``.

It is the machine's first process. When everything is loaded it says so and waits for an order: the
snapshot is taken there, before the disk was ever touched. Then it mounts the disk, checks what is
left, brings the last update to its end, and makes one update after the other until the power goes.
Each line it says is a JSON object; the law, store, downloader and journal are the real ones, and so
are the syncs.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import subprocess
import sys
import time
import traceback
import tty
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from agent.journal.boot_clock import BootClock
from agent.journal.journal import Announce, SqliteJournal
from agent.store.files import Files
from tests.prove.crash_states import check_decisions, check_what_is_left
from tests.prove.updating_agent import Fate, Scenario, UpdatingAgent
from tests.support.counting_server import CountingServer
from tests.support.disk_model import Steps

DISK, MOUNTED = "/dev/vdc", Path("/srv")
_FLUSH_BUFFERS = 0x1261  # BLKFLSBUF of linux/fs.h
_GOOD, _BAD = Fate.CONFIRMED, (Fate.FAILS_TRIAL, Fate.FAILS_WINDOW)
DEPLOYMENTS = 1500
"""More than are made in all; every fifth is a bad one."""


def scenario() -> Scenario:
    """What is deployed, the same in the machine and outside."""
    fates = [_BAD[n // 5 % 2] if n % 5 == 4 else _GOOD for n in range(DEPLOYMENTS)]
    return Scenario("power cuts", tuple((fate,) for fate in fates))


class Teller:
    """Says things to whoever runs the machine."""

    def __init__(self, terminal: IO[bytes]) -> None:
        self._terminal = terminal

    def __call__(self, **what: Any) -> None:
        self._terminal.write(json.dumps(what).encode() + b"\n")


class TellingServer(CountingServer):
    """Tells of every block that is asked for."""

    tell: Teller

    def ask_block(self, uri: str, *args: Any, **options: Any) -> bytes:
        self.tell(asked=uri)
        return super().ask_block(uri, *args, **options)


class Rebooted(UpdatingAgent):
    """An agent after a start with another boot id; the snapshot's kernel has only one."""

    boot_id = ""

    def open_journal(self, path: Path, announce: Announce) -> SqliteJournal:
        clock = BootClock(self.boot_id, BootClock.of_this_machine().now)
        return SqliteJournal(path, announce, clock)


def main(terminal_path: str) -> None:
    """Work until the power goes."""
    with Path(terminal_path).open("r+b", buffering=0) as terminal:
        tty.setraw(terminal.fileno())
        tell = Teller(terminal)
        planned = scenario()
        logging.disable()
        tell(ready=True)
        order = _order(terminal)
        try:
            _mount(order["file_system"])
            asyncio.run(_live(planned, order["cut"], order["deployed"], tell))
        except BaseException as failure:  # noqa: BLE001 - the first process must not end
            tell(broken=repr(failure), where=traceback.format_exc()[-2000:])
        while True:
            time.sleep(60)


def _order(terminal: IO[bytes]) -> dict[str, Any]:
    """The first line that is whole: of what comes while the machine is resumed, bytes get lost."""
    while True:
        with suppress(ValueError):
            order = json.loads(terminal.readline())
            if isinstance(order, dict):
                return order


def _mount(file_system: str) -> None:
    """What the kernel read of the disk before the snapshot is of another time."""
    disk = os.open(DISK, os.O_RDONLY)
    fcntl.ioctl(disk, _FLUSH_BUFFERS)
    os.close(disk)
    subprocess.run(["mount", "-t", file_system, DISK, str(MOUNTED)], check=True)


async def _live(planned: Scenario, cut: int, deployed: int, tell: Teller) -> None:
    root = MOUNTED / "state"
    check_what_is_left(root, planned)
    Rebooted.boot_id = f"boot {cut}"
    server = TellingServer(planned.content, Steps())
    server.tell = tell
    agent = Rebooted(root, planned, Files(), server)
    for number in range(max(1, deployed), DEPLOYMENTS + 1):
        tell(deploying=number, state=agent.conductor.state)
        agent.conductor.offer(planned.deployments[number - 1])
        await agent.settle()
        check_what_is_left(root, planned)
        check_decisions(agent, planned, number)
        tell(done=number)


if __name__ == "__main__":
    main(sys.argv[1])
