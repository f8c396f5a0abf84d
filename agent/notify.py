"""systemd's notification protocol, sd_notify(3): datagrams to a socket named in the environment."""

from __future__ import annotations

import asyncio
import logging
import os
import socket

log = logging.getLogger(__name__)


def notify(*lines: str) -> bool:
    """Send lines such as ``READY=1`` or ``STATUS=serving``; False when nobody wants them."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.setblocking(False)
        try:
            manager.sendto("\n".join(lines).encode(), address)
        except (
            OSError
        ) as error:  # a manager that is gone or does not read must not cost the service
            log.debug("the service manager at %s was not reached: %s", address, error)
            return False
    return True


def watchdog_seconds() -> float | None:
    """How often the service manager wants to hear of us at least, or None when it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    microseconds = int(os.environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1e6 if microseconds else None


async def keep_watchdog() -> None:
    """Tell the service manager for ever that the event loop turns, if it asked to be told."""
    interval = watchdog_seconds()
    while interval:
        notify("WATCHDOG=1")
        await asyncio.sleep(interval / 2)
