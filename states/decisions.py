"""Every decision of an update, as functions of typed data: no I/O, no clock, no randomness.

* Content decides, never the sequence number: the same set of packages is the same release.
* What was rejected stays rejected until a person or other content clears it.
* What may heal by itself is tried again, ever more rarely; what can't has a limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from states.model import Deployment, Package, Release
from states.policy import Policy
from states.reasons import Rejection, Transient
from states.update import Move, Outcome, Update


class Consideration(StrEnum):
    """What a manifest means to a device that has nothing under way."""

    NOTHING_DEPLOYED = "nothing-deployed"
    ALREADY_ACTIVE = "already-active"
    ALREADY_REJECTED = "already-rejected"
    NEWLY_SIGNED = "newly-signed"
    NEW = "new"


STARTING = frozenset({Consideration.NEW, Consideration.NEWLY_SIGNED})
"""What starts an update; that of a release which serves ends once its signature was heard."""


def consider(
    deployment: Deployment | None, active: str | None, rejected: bool, heard: bool = True
) -> Consideration:
    """Decide whether a manifest starts an update. ``active`` is the serving release's id.

    ``rejected`` is the content or the signature, ``heard`` says that the latter was accepted. A
    new signature of what serves is heard too: with it come newer keys and a higher number.
    """
    if deployment is None or not deployment.release.packages:
        return Consideration.NOTHING_DEPLOYED
    if deployment.release.id == active:
        settled = heard or rejected or deployment.signature is None
        return Consideration.ALREADY_ACTIVE if settled else Consideration.NEWLY_SIGNED
    return Consideration.ALREADY_REJECTED if rejected else Consideration.NEW


def supersedes(offered: Deployment | None, update: Update) -> bool:
    """Whether a manifest replaces the update under way: other content, whatever its number.

    An empty manifest does too: what was deployed has been withdrawn. So does another signature,
    for the one before may be one that is refused, or not to be had.
    """
    if offered is None or offered.release.id != update.release_id:
        return True
    return offered.signature_id != update.deployment.signature_id


def give_way(state: str, offered: Deployment | None, wanted: Consideration) -> Move | None:
    """How an unfinished update makes room for a manifest with other content.

    A release already in its commit window only gives way to something new to take its place.
    """
    if state == "confirming":
        if wanted is not Consideration.NEW or offered is None:
            return None
        why = f"sequence {offered.sequence} was deployed during the commit window"
        return Move("roll_back", Outcome.SUPERSEDED, detail=why)
    if offered is None or wanted is Consideration.NOTHING_DEPLOYED:
        return Move("cancel", Outcome.CANCELLED, detail="nothing is deployed any more")
    why = f"sequence {offered.sequence} was deployed"
    if wanted is Consideration.NEW:
        return Move("supersede", Outcome.SUPERSEDED, detail=why, deployment=offered)
    return Move("cancel", Outcome.SUPERSEDED, detail=why)


@dataclass(frozen=True)
class Holdings:
    """What is on disk for a release: packages still ``missing``, bytes of them in partial files.

    ``patch_bytes`` are left to be fetched of patches: those that there is room for besides.
    """

    missing: tuple[Package, ...]
    partial_bytes: int
    available_bytes: int
    patch_bytes: int = 0

    @property
    def missing_bytes(self) -> int:
        """Bytes of the packages themselves that are still to come."""
        return sum(package.size for package in self.missing) - self.partial_bytes

    @property
    def bytes_to_go(self) -> int:
        """What shrinks as the download gets on, be it through a patch or in full."""
        return self.missing_bytes + self.patch_bytes


def required_packages(release: Release, required: Iterable[str]) -> tuple[str, ...]:
    """Names a release must have and has not."""
    return tuple(name for name in required if release.package(name) is None)


def plan(update: Update, holdings: Holdings, policy: Policy) -> Move:
    """ManifestReceived: what to do about a release that is neither active nor rejected."""
    release = update.deployment.release
    absent = required_packages(release, policy.required_packages)
    if absent:
        return refuse(
            Rejection.INCOMPLETE,
            f"the deployment lacks {', '.join(absent)}; deploy every package the device needs",
        )
    if release.size > policy.largest_release:
        return refuse(
            Rejection.TOO_LARGE,
            f"{release.size} bytes; this device takes at most {policy.largest_release}",
        )
    if not holdings.missing:
        return Move("reuse")
    needed = holdings.missing_bytes
    if needed > holdings.available_bytes:
        return postpone(
            update,
            Transient.DISK_FULL,
            f"{needed} bytes to fetch, {holdings.available_bytes} free beside the reserve",
            policy,
        )
    return Move("download")


def refuse(reason: Rejection, detail: str) -> Move:
    """End an update whose content is at fault before anything was switched."""
    return Move("reject", Outcome.REJECTED, reason, detail)


def postpone(update: Update, reason: Transient, detail: str, policy: Policy) -> Move:
    """Wait for the surroundings to heal, or give up where waiting has a limit."""
    if reason in policy.limited and update.attempts + 1 >= policy.attempt_limit:
        return refuse(_GIVEN_UP[reason], f"{detail} (after {update.attempts + 1} attempts)")
    delay = policy.retry_delay(update.attempts)
    return Move("postpone", None, reason, detail, delay, update.attempts + 1)


_GIVEN_UP = {
    Transient.INTERNAL_ERROR: Rejection.CRASH_LOOP,
    Transient.WORKER_AWAY: Rejection.COMMIT_WINDOW_FAILED,
    Transient.NO_FRAMES: Rejection.COMMIT_WINDOW_FAILED,
}


def turn_back(update: Update, reason: Rejection | Transient, detail: str, policy: Policy) -> Move:
    """Leave Activating or Confirming for the previous release.

    A transient reason is tried again after the roll back, but not for ever: each try disturbs
    the serving model.
    """
    if isinstance(reason, Transient):
        if update.attempts + 1 < policy.attempt_limit:
            delay, attempts = policy.retry_delay(update.attempts), update.attempts + 1
            return Move("roll_back", None, reason, detail, delay, attempts)
        reason = _GIVEN_UP.get(reason, Rejection.COMMIT_WINDOW_FAILED)
        detail = f"{detail} (after {update.attempts + 1} attempts)"
    return Move("roll_back", Outcome.ROLLED_BACK, reason, detail)


def after_restore(update: Update) -> Move:
    """RollingBack is done: the update has an outcome, or waits for another try."""
    if update.outcome is not None:
        return Move("restored")
    return Move("restored_for_retry", retry_delay=update.retry_delay)
