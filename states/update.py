"""One update and how a transition changes it. Pure: the journal stores what stands here.

Everything the machine must remember over a power cut is a field of :class:`Update`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from states.model import Deployment
from states.reasons import Rejection, Transient


class Outcome(StrEnum):
    """How an update ended."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    ROLLED_BACK = "rolled-back"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    UNNEEDED = "unneeded"


@dataclass(frozen=True)
class Update:
    """One attempt to bring a deployment into service.

    ``fallback`` is the release that served when the update began, ``attempts`` counts tries that
    were postponed, ``resumes`` counts starts of the agent within the present state, and
    ``retry_delay`` is the wait of AwaitingRetry in seconds.
    """

    id: int
    deployment: Deployment
    fallback: str | None
    attempts: int = 0
    resumes: int = 0
    retry_delay: float = 0.0
    outcome: Outcome | None = None
    reason: Rejection | Transient | None = None
    detail: str = ""

    @property
    def release_id(self) -> str:
        """Identity of the content this update is about."""
        return self.deployment.release.id


@dataclass(frozen=True)
class Move:
    """What a state's work came to: the event to send and what it says about the update.

    ``attempts`` is the new count of postponed tries, ``fallback`` the release to go back to; None
    leaves either.
    """

    event: str
    outcome: Outcome | None = None
    reason: Rejection | Transient | None = None
    detail: str = ""
    retry_delay: float = 0.0
    attempts: int | None = None
    deployment: Deployment | None = None
    fallback: str | None = None


@dataclass(frozen=True)
class Transition:
    """One step of the machine, as the journal writes it in a single transaction.

    ``ended`` is the superseded update, closed by the same transaction that opens its successor.
    """

    event: str
    source: str
    target: str
    update: Update | None
    ended: Update | None = None
    detail: str = ""


def after(update: Update, move: Move) -> Update:
    """The update once ``move`` has been made from its present state."""
    return replace(
        update,
        attempts=update.attempts if move.attempts is None else move.attempts,
        fallback=move.fallback or update.fallback,
        resumes=0,
        retry_delay=move.retry_delay,
        outcome=move.outcome or update.outcome,
        reason=move.reason or (None if move.event in _HEALED else update.reason),
        detail=move.detail or ("" if move.event in _HEALED else update.detail),
    )


# Events after which an earlier difficulty is no longer worth showing.
_HEALED = frozenset({"retry", "release", "downloaded", "accept", "switched", "confirm"})
