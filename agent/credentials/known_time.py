"""The time by which certificates are judged on a device whose clock may be wrong.

Many boards have no battery for their clock: they wake up in 1970, or at the time of their last
shutdown, until a time server is reached. The wall clock is never set here; a clock that is behind
the newest time this device knows is simply not believed.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from agent.wall_clock import utc_text
from protocol.credentials import utc_now

RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
"""Moved on with each release: no clock that shows an earlier time can be right."""

_TIMESYNCD_MARK = Path("/run/systemd/timesync/synchronized")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronized
_TIMEX_BYTES = 512  # more than any platform's struct timex; all zero, so nothing is set


class KnownTime:
    """The wall clock, but never before the newest time that is known.

    ``remembered`` is what an earlier run learned, None on a new device.
    """

    def __init__(
        self,
        remembered: datetime | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        synchronized: Callable[[], bool | None] | None = None,
    ) -> None:
        self._clock = clock
        self._synchronized = synchronized or clock_is_synchronized
        self.newest = max(RELEASED, remembered or RELEASED)

    def now(self) -> datetime:
        """The best guess at the time."""
        return max(self._clock(), self.newest)

    @property
    def is_behind(self) -> bool:
        """Whether the wall clock shows a time that has certainly passed."""
        return self._clock() < self.newest

    @property
    def synchronized(self) -> bool | None:
        """Whether a time server set the clock; None when that can't be found out."""
        return self._synchronized()

    def learn(self, moment: datetime) -> bool:
        """It is at least ``moment``. Not believed against a clock set by a time server.

        Returns whether that is news.
        """
        if moment <= self.newest or (self.synchronized and moment > self._clock()):
            return False
        self.newest = moment
        return True


def clock_is_synchronized() -> bool | None:
    """Whether a time server set this machine's clock; None when that can't be found out."""
    if _TIMESYNCD_MARK.exists():
        return True
    if _has_call_filter():
        # A service's filter may kill the process that asks the kernel about its clock.
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    state = libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))
    return None if state < 0 else state != _TIME_ERROR


def _has_call_filter() -> bool:
    try:
        status = Path(f"/proc/{os.getpid()}/status").read_text()
    except OSError:
        return True
    return "Seccomp:\t0" not in status


def as_text(moment: datetime) -> str:
    """A moment as the journal and JSON hold it."""
    return utc_text(moment, "seconds")


def from_text(text: str | None) -> datetime | None:
    """The moment of :func:`as_text`."""
    return None if text is None else datetime.fromisoformat(text)
