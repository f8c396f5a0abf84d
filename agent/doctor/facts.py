"""What a running or earlier agent noted in the journal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agent.config import Settings
from agent.journal.schema import JournalError, open_for_reading


def fact(state_dir: Path, name: str) -> str | None:
    """A noted fact; None without one, or without a journal that can be read."""
    try:
        db = open_for_reading(state_dir / "state.db")
    except (JournalError, OSError):
        return None
    try:
        row = db.execute("SELECT value FROM facts WHERE name = ?", [name]).fetchone()
    finally:
        db.close()
    return None if row is None else str(row[0])


def link_fact(settings: Settings) -> dict[str, Any]:
    """Whether the link was up, and the last error."""
    return dict(json.loads(fact(settings.device.state_dir, "connected") or "{}"))
