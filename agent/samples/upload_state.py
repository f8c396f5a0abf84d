"""How the upload of samples stands, for people and scripts, from what the journal says."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlite_utils import Database

from agent.config import Settings
from agent.gate import FileGate
from agent.journal.facts import stored_fact
from agent.journal.opening import JOURNAL_FILE, JournalError, open_for_reading
from agent.journal.schema import knows_telemetry
from agent.journal.uploads import JournalUploads, Sent
from agent.remote.keys import merge
from agent.remote.live_settings import SETTINGS_FACT, remembered
from agent.samples.upload import UploadRules
from states.gates import Step


@dataclass(frozen=True)
class UploadState:
    """``sent`` by sample id; ``waits_for`` says why nothing is sent at present, or is None."""

    on: bool
    bytes_today: int
    waits_for: str | None
    sent: Mapping[str, Sent]

    def to_json(self) -> dict[str, Any]:
        """As ``edgeferry status --json`` shows it."""
        told = {"on": self.on, "bytes_today": self.bytes_today, "waits_for": self.waits_for}
        return {**told, "begun": len(self.sent)}


def upload_state(settings: Settings, db: Database) -> UploadState:
    """What an opened journal says."""
    in_force = merge(settings, remembered(stored_fact(db, SETTINGS_FACT)).values).settings
    uploads, rules = JournalUploads(db), UploadRules.of(in_force.samples)
    row = db.execute("SELECT state FROM machine").fetchone()
    closed = FileGate(settings.device.state_dir, settings.gates()).closed(Step.DOWNLOAD)
    spent = uploads.spent(datetime.now(UTC).date().isoformat())
    obstacle = rules.obstacle(row[0] if row else "idle", closed, spent)
    sent = {sent.sample_id: sent for sent in uploads.under_way()}
    return UploadState(rules.on, spent.bytes, obstacle, sent)


def stored_upload_state(settings: Settings) -> UploadState | None:
    """The same from the journal on disk; None when no agent has run yet."""
    try:
        db = open_for_reading(settings.device.state_dir / JOURNAL_FILE)
    except JournalError:
        return None
    with closing(db):
        return upload_state(settings, db) if knows_telemetry(db) else None
