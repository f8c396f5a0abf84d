"""Keeping what was measured. It is for people: that it can't be written stops nothing."""

from __future__ import annotations

import logging

from states.ports import Evidence, Journal, Postponed

logger = logging.getLogger(__name__)


def keep(journal: Journal, update_id: int, kind: str, document: Evidence) -> None:
    """Note a document of that kind, if the disk allows."""
    try:
        journal.note_evidence(update_id, kind, document)
    except Postponed as difficulty:
        logger.warning("the %s of update %d is not kept: %s", kind, update_id, difficulty)
