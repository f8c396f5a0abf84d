"""What a running or earlier agent noted in the journal."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from agent.config import Settings
from agent.journal.connection import JournalDamaged
from agent.journal.facts import stored_fact
from agent.journal.opening import JOURNAL_FILE, JournalError, open_for_reading
from states.ports import Postponed


def fact(state_dir: Path, name: str) -> str | None:
    """A noted fact; None without one, or without a journal that can be read."""
    try:
        with closing(open_for_reading(state_dir / JOURNAL_FILE)) as db:
            return stored_fact(db, name)
    except (JournalError, JournalDamaged, Postponed, OSError):
        return None


def link_fact(settings: Settings) -> dict[str, Any]:
    """Whether the link was up, and the last error."""
    return dict(json.loads(fact(settings.device.state_dir, "connected") or "{}"))
