"""What has to be done again and again while the cloud runs."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable

from protocol.trouble import Trouble

_log = logging.getLogger(__name__)


class Regularly:
    """Calls ``act`` every so many seconds on the running loop, until it is closed.

    What the database refuses (a full disk, for example) is logged as ``subject``, once, and tried
    again the next time.
    """

    def __init__(self, seconds: float, act: Callable[[], None], subject: str) -> None:
        self._seconds, self._act = seconds, act
        self._trouble = Trouble(_log, subject)
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(seconds, self._run)

    def close(self) -> None:
        """Call it no more."""
        self._timer.cancel()

    def _run(self) -> None:
        self._timer = self._loop.call_later(self._seconds, self._run)
        try:
            self._act()
        except sqlite3.Error as error:
            self._trouble.failed(error)
        else:
            self._trouble.recovered()
