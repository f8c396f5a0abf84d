"""What a start of the agent makes of the journal: anything it can't mean leads to a safe state."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from states.machine import STATES
from states.policy import Policy
from states.ports import Journal
from states.update import Outcome, Transition, Update

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recovered:
    """Where to go on. ``elapsed`` are the seconds already spent in ``state``."""

    state: str
    update: Update | None = None
    elapsed: float = 0.0


def recover(journal: Journal, policy: Policy) -> Recovered:
    """Check what is stored, and write down what becomes of it. Raises Postponed."""
    trust, keys = journal.trust(), policy.trusted_keys
    if trust.pinned != keys:
        logger.info("other keys are pinned than before: %d", len(keys))
        journal.note_trust(trust.pinning(keys))
    stored = journal.load()
    update, state = stored.update, stored.state
    if state == "idle":
        return Recovered(state)
    if update is None or state not in STATES:
        return _safe(journal, state, update)
    elapsed = stored.elapsed or 0.0
    if state == "awaiting-retry":
        # Nobody can tell how long a reboot took: then try again soon.
        left = policy.retry_after_start
        if stored.elapsed is not None:
            left = max(0.0, update.retry_delay - stored.elapsed)
        return Recovered(state, replace(update, retry_delay=left), elapsed)
    update = replace(update, resumes=update.resumes + 1)
    journal.resumed(update)
    logger.info("continuing update %d in %s", update.id, state)
    return Recovered(state, update, elapsed)


def _safe(journal: Journal, state: str, update: Update | None) -> Recovered:
    target = "idle" if update is None else "rolling-back"
    detail = f"the journal held state {state!r} with{'out' if update is None else ''} an update"
    logger.error("%s; going to %s", detail, target)
    if update is not None:
        update = replace(update, outcome=Outcome.CANCELLED, detail=detail)
    journal.commit(Transition("recover", state, target, update, detail=detail))
    return Recovered(target, update)
