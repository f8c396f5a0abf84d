"""systemd's notification protocol, sd_notify(3): datagrams to a socket named in the environment."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

PINGS_PER_INTERVAL = 3
"""So that a single late or missing answer never ends a living service."""


def notify(*lines: str) -> bool:
    """Send lines such as ``READY=1`` or ``STATUS=serving``; False when nobody wants them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.setblocking(False)
            manager.sendto("\n".join(lines).encode(), address)
    # A manager that is gone or does not read must not cost the service, nor a lack of descriptors.
    except OSError as error:
        log.debug("the service manager at %s was not reached: %s", address, error)
        return False
    return True


def watchdog_seconds() -> float | None:
    """How often the service manager wants to hear of us at least, or None when it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1e6 if microseconds else None


class StatusLine:
    """The line ``systemctl status`` shows; sent when it changes."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str) -> None:
        """Make this the status; line breaks would end it."""
        line = " ".join(text.split())
        if line != self._shown:
            self._shown = line
            notify(f"STATUS={line}")


async def keep_watchdog(trouble: Callable[[], Awaitable[str | None]]) -> None:
    """Ping the service manager for ever while ``trouble`` answers None, if it asked to be told.

    Without pings for its interval it ends this process and starts another. What stands in the way
    is logged when it begins, and when it is over.
    """
    interval, known = watchdog_seconds(), None
    while interval:
        found = await trouble()
        if found is None:
            notify("WATCHDOG=1")
        if (found is None) != (known is None):
            _log_change(found, interval)
        known = found
        await asyncio.sleep(interval / PINGS_PER_INTERVAL)


def _log_change(found: str | None, interval: float) -> None:
    if found is None:
        log.info("progress again; the watchdog is kept quiet")
    else:
        log.error("no progress: %s; without any in %g s the watchdog restarts us", found, interval)
