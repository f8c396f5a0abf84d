"""How a child process ended, in words: its exit status and what it said last."""

from __future__ import annotations

import signal

LONGEST_WORDS = 300
# What TFLite, XNNPACK and absl say of every model.
_CHATTER = ("INFO:", "WARNING: All log messages", "I0000", "W0000")


def how_it_ended(status: int) -> str:
    """An exit status as :mod:`subprocess` has it, after "the process"."""
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # a real-time signal
        name = f"signal {-status}"
    return f"was killed by {name}"


def last_words(output: bytes | bytearray) -> str | None:
    """The last line of its output that tells something, or None."""
    for line in reversed(output.decode(errors="replace").splitlines()):
        text = " ".join(line.split())
        if text and not text.startswith(_CHATTER):
            return text[:LONGEST_WORDS]
    return None
