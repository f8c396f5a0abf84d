"""What the law needs of the world. ``agent`` implements these; the tests use small fakes.

Every method must be idempotent: after a power cut the step that was under way is simply done again.
Methods raise :class:`Postponed` when the surroundings are at fault and :class:`Rejected` when the
content is; any other exception is a defect and is treated as such by the conductor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from states.figures import WorkerFigures
from states.gates import Step
from states.model import Companion, Deployment, Package, Release
from states.reasons import Rejection, Transient
from states.trust import SignedRelease, Trust
from states.update import Transition, Update

Evidence = Mapping[str, object]
"""What was measured, fit for JSON; kept for people."""


class Postponed(Exception):  # noqa: N818 - reads as what happened
    """The step can't be done now; the same content is worth another try."""

    exit_status: ClassVar[int] = 1

    def __init__(self, reason: Transient, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Rejected(Exception):  # noqa: N818
    """The content is at fault; it must not be tried again by itself.

    ``evidence`` is what was measured before that became clear, fit for JSON.
    """

    def __init__(self, reason: Rejection, detail: str, evidence: Evidence | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.evidence = evidence


class Store(Protocol):
    """The release store on disk (design, section 3)."""

    def missing(self, release: Release) -> tuple[Package, ...]:
        """Packages whose verified bytes are not on disk, smallest first."""

    def available_bytes(self) -> int:
        """Bytes that may be written without touching the reserve."""

    def fetched_bytes(self, package: Package) -> int:
        """Bytes of a package already on disk, verified or in a resumable partial download."""

    def holds_base(self, prefix: str) -> bool:
        """Whether verified bytes are on disk whose SHA-256 begins so."""

    def active(self) -> str | None:
        """Release id that ``current`` points at, or None."""

    def previous(self) -> str | None:
        """Release id that ``previous`` points at, or None."""

    def contents(self, release_id: str) -> Release | None:
        """What a release on disk consists of; None when it can't be told any more."""

    def assemble(self, release: Release) -> None:
        """Make ``releases/<id>/`` complete and durable; raises Postponed."""

    def switch(self, release_id: str | None, previous: str | None) -> None:
        """Point ``current`` and ``previous`` at these releases, atomically and durably."""

    def holds(self, release_id: str) -> bool:
        """Whether ``releases/<id>/`` is complete on disk."""

    def collect(self, wanted: Iterable[Release] = (), confirmed: Sequence[str] = ()) -> None:
        """Remove what neither retention nor the ``wanted`` releases, still to come, need.

        What is retained beyond the active and the previous release are first of all ``confirmed``
        ones: those that one can go back to.
        """


class Fetcher(Protocol):
    """Downloads packages into the store, resumable after a power cut."""

    async def fetch(
        self,
        packages: tuple[Package, ...],
        progress: Callable[[int, int], None],
        companions: tuple[Companion, ...],
    ) -> None:
        """Fetch all, through a companion where that takes fewer bytes.

        ``progress(bytes_done, bytes_total)`` counts bytes of the packages. Raises Postponed or
        Rejected.
        """


class Signatures(Protocol):
    """Reads signature documents; whose word counts is not decided there."""

    def read(self, signature: Package) -> SignedRelease:
        """What a signature package on disk says, and which keys verifiably signed it.

        Raises Rejected for what is no such document, and Postponed.
        """


class Verifier(Protocol):
    """Proves a release before anything serves it."""

    async def verify(self, release: Release, known_good: bool) -> Evidence:
        """Return what was measured. Raises Rejected with the reason, or Postponed.

        ``known_good`` content was confirmed on this device before: it is judged on itself alone,
        not against what serves, so that operators can go back.
        """


class Worker(Protocol):
    """The inference worker, wherever it runs."""

    async def prepare(self, release_id: str) -> None:
        """Load and warm beside the serving release. Raises Postponed (away) or Rejected."""

    async def commit(self, release_id: str, watch: bool) -> Evidence:
        """Switch between two frames to a prepared release; the answer tells how it went.

        With ``watch`` the release before stays warm beside it, to be compared with and to go back
        to, until :meth:`settle`. Raises Postponed or Rejected.
        """

    async def settle(self, release_id: str) -> None:
        """Let go of what ``commit`` left beside this release; may be repeated. Raises Postponed."""

    async def withdraw(self) -> None:
        """Stop serving: there is no release to go back to."""

    async def figures(self) -> WorkerFigures:
        """Counters now. Raises Postponed when the worker is away."""


@dataclass(frozen=True)
class Stored:
    """What the journal holds. ``elapsed`` is the time already spent in ``state``, in seconds.

    It is None when the machine was rebooted since, for then no clock can tell.
    """

    state: str
    update: Update | None
    elapsed: float | None


class Journal(Protocol):
    """Remembers every step over a power cut."""

    def load(self) -> Stored:
        """The state as last committed; Idle on a new device."""

    def commit(self, transition: Transition) -> None:
        """Write state, update and transition in one durable transaction; raises Postponed."""

    def resumed(self, update: Update) -> None:
        """Remember that the agent was started again within the present state."""

    def next_update_id(self) -> int:
        """A number no update has had."""

    def is_rejected(self, release_id: str) -> bool:
        """Whether this content was rejected, whoever signed it, and nobody has cleared that."""

    def is_refused(self, deployment: Deployment) -> bool:
        """Whether this content was rejected, or the signature it is deployed with."""

    def rejected_releases(self) -> tuple[str, ...]:
        """Ids of rejected content, the newest first."""

    def clear_rejection(self, release_id: str) -> None:
        """Forget that this content was rejected, or its signature; raises Postponed."""

    def trust(self) -> Trust:
        """Whose word counts, as noted last; that of nobody on a new device."""

    def note_trust(self, trust: Trust) -> None:
        """Remember whose word counts, durably; raises Postponed.

        Refused signatures are forgotten: those of the release that is accepted now, and all of
        them where other keys were pinned.
        """

    def sequence_of(self, release_id: str) -> int:
        """The newest sequence number under which this content was deployed; 0 when unknown."""

    def confirmed_releases(self) -> tuple[str, ...]:
        """Ids of releases that once passed their commit window, newest first."""

    def note_evidence(self, update_id: int, kind: str, document: Evidence) -> None:
        """Keep what was measured about an update: a "trial", a "swap" or a "window"."""

    def evidence(self, update_id: int, kind: str) -> Evidence | None:
        """The newest document of that kind, or None."""

    def note_manifest(self, deployment: Deployment) -> None:
        """Remember the newest sequence number of content that needs no update."""


class Gate(Protocol):
    """Says whether a step may begin now: holds and time windows."""

    def closed(self, step: Step) -> str | None:
        """Why it must wait, for people, or None."""


class Clock(Protocol):
    """Time that only moves forward."""

    async def sleep(self, seconds: float) -> None:
        """Return after that time."""


@dataclass(frozen=True)
class Ports:
    """All of the world the conductor knows."""

    journal: Journal
    store: Store
    fetcher: Fetcher
    signatures: Signatures
    verifier: Verifier
    worker: Worker
    gate: Gate
    clock: Clock
