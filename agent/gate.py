"""Holds and time windows as the law asks for them.

A hold is the file ``<state dir>/hold``: whoever may write there can hold a device, from a script, a
configuration tool or by ``edgeferry hold``, whether the agent runs or not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from agent.store.files import Files
from states.gates import Gates, Hold, Step

HOLD_FILE = "hold"
_MODE = 0o644


class FileGate:
    """Implements :class:`states.ports.Gate`. ``now`` is the local time of day.

    ``desired`` tells what is to be held from afar.
    """

    def __init__(
        self,
        state_dir: Path,
        gates: Gates,
        now: Callable[[], datetime] = datetime.now,
        desired: Callable[[], Hold] = lambda: Hold.NOTHING,
    ) -> None:
        self._state_dir = state_dir
        self._gates = gates
        self._now = now
        self._desired = desired

    def closed(self, step: Step) -> str | None:
        """Why a step must wait, for people, or None."""
        held = read_hold(self._state_dir)
        return self._gates.closed(step, self._now().time(), held, self._desired())


def read_hold(state_dir: Path) -> Hold:
    """What is on hold. A file with content nobody knows holds everything: that is the safe side."""
    try:
        text = (state_dir / HOLD_FILE).read_text(errors="replace").strip()
    except FileNotFoundError:
        return Hold.NOTHING
    except OSError:
        return Hold.EVERYTHING
    return Hold(text) if text in set(Hold) else Hold.EVERYTHING


def write_hold(state_dir: Path, hold: Hold) -> None:
    """Put something on hold, or nothing any more. Raises Postponed when the disk refuses."""
    path, files = state_dir / HOLD_FILE, Files()
    if hold is Hold.NOTHING:
        files.remove(path)
    else:
        files.write_replacing(path, f"{hold}\n".encode(), _MODE)
