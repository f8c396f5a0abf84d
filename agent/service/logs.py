"""Where log lines go: to standard error, in the form its reader understands."""

from __future__ import annotations

import logging
import os
import sys
from typing import TextIO

_FOR_PEOPLE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_FOR_JOURNALD = "%(name)s: %(message)s"

# sd-daemon(3): the kernel's levels in angle brackets at the beginning of a line.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


class JournaldFormatter(logging.Formatter):
    """Lines with their priority; journald adds time, process and unit itself.

    Every line of a traceback gets it, since journald makes each an entry of its own.
    """

    def __init__(self) -> None:
        super().__init__(_FOR_JOURNALD)

    def format(self, record: logging.LogRecord) -> str:
        """See :class:`logging.Formatter`."""
        priority = next((p for level, p in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def is_journald(stream: TextIO) -> bool:
    """Whether the stream leads to journald: JOURNAL_STREAM names its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def set_up_logging(level: str) -> None:
    """Log from this level on, ``debug``, ``info``, ``warning`` or ``error``."""
    handler = logging.StreamHandler(sys.stderr)
    journald = is_journald(sys.stderr)
    handler.setFormatter(JournaldFormatter() if journald else logging.Formatter(_FOR_PEOPLE))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # aiocoap logs each failed exchange; what matters of that is logged by the session.
    logging.getLogger("coap").setLevel(logging.ERROR)
