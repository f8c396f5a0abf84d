"""Where log lines go: to standard error, in the form its reader understands."""

from __future__ import annotations

import logging
import os
import sys
from typing import Literal, TextIO, TypeAlias

LogLevelName: TypeAlias = Literal["debug", "info", "warning", "error"]
CloudLevelName: TypeAlias = Literal["debug", "info", "warning", "error", "off"]

STANDARD_ERROR, CLOUD = "standard-error", "cloud"
"""Names of the handlers whose level may change."""

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
    handler.name = STANDARD_ERROR
    logging.basicConfig(handlers=[handler])
    set_level(STANDARD_ERROR, level)
    # aiocoap logs each failed exchange; what matters of that is logged by the session.
    logging.getLogger("coap").setLevel(logging.ERROR)


def set_level(name: str, level: str) -> None:
    """Change the least level of the handler of that name; what no handler wants is not made."""
    root = logging.getLogger()
    handlers = [handler for handler in root.handlers if handler.name in {STANDARD_ERROR, CLOUD}]
    for handler in handlers:
        if handler.name == name:
            handler.setLevel(logging.CRITICAL + 1 if level == "off" else level.upper())
    if handlers:
        root.setLevel(min(handler.level for handler in handlers))


def add_cloud_handler(handler: logging.Handler) -> None:
    """Have a handler get its lines, whatever is the level on standard error."""
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(min(root.level, handler.level))


def one_line(record: logging.LogRecord) -> str:
    """What a record says; of an exception only what it says, not where it was."""
    text = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    return f"{text}: {type(error).__name__}: {error}" if error else text


def level_of(name: str) -> str | None:
    """The least level of the handler of that name, None when there is none."""
    found = (h.level for h in logging.getLogger().handlers if h.name == name)
    return next((logging.getLevelName(level).lower() for level in found), None)
