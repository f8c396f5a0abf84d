"""The journal in memory, on a machine whose power may go at any commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from states.model import Deployment
from states.ports import Evidence, Stored
from states.reasons import ABOUT_SIGNATURE, Rejection
from states.trust import Trust
from states.update import Transition, Update


class PowerCut(BaseException):
    """The machine stops here."""


@dataclass
class MemoryJournal:
    """Keeps what the real one keeps; ``cut_before`` stops the machine at the n-th commit."""

    state: str = "idle"
    update: Update | None = None
    elapsed: float | None = 0.0
    steps: list[Transition] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    refused: dict[tuple[str, str], str] = field(default_factory=dict)
    """Signatures that were refused, by release and signature."""
    trusted: Trust = field(default_factory=Trust)
    confirmed: list[str] = field(default_factory=list)
    noted: list[int] = field(default_factory=list)
    evidences: list[tuple[int, str, Evidence]] = field(default_factory=list)
    cut_before: int | None = None

    def load(self) -> Stored:
        return Stored(self.state, self.update if self.state != "idle" else None, self.elapsed)

    def commit(self, transition: Transition) -> None:
        if self.cut_before is not None and len(self.steps) >= self.cut_before:
            raise PowerCut
        self.steps.append(transition)
        self.state, self.update = transition.target, transition.update
        update = transition.update
        if update is None:
            return
        if isinstance(update.reason, Rejection) and transition.event in {
            "reject",
            "roll_back",
            "demote",
        }:
            if update.reason in ABOUT_SIGNATURE:
                offer = (update.release_id, update.deployment.signature_id)
                self.refused[offer] = str(update.reason)
            else:
                self.rejected[update.release_id] = str(update.reason)
        if transition.event == "confirm":
            self.confirmed.insert(0, update.release_id)

    def resumed(self, update: Update) -> None:
        self.update = update

    def next_update_id(self) -> int:
        return 1 + max((step.update.id for step in self.steps if step.update), default=0)

    def is_rejected(self, release_id: str) -> bool:
        return release_id in self.rejected

    def is_refused(self, deployment: Deployment) -> bool:
        offer = (deployment.release.id, deployment.signature_id)
        return self.is_rejected(deployment.release.id) or offer in self.refused

    def rejected_releases(self) -> tuple[str, ...]:
        refused = (release_id for release_id, _ in self.refused)
        return tuple(dict.fromkeys([*reversed(self.rejected), *refused]))

    def clear_rejection(self, release_id: str) -> None:
        self.rejected.pop(release_id, None)
        self._forget_refused(lambda refused: refused == release_id)

    def _forget_refused(self, of: Callable[[str], bool]) -> None:
        self.refused = {offer: why for offer, why in self.refused.items() if not of(offer[0])}

    def trust(self) -> Trust:
        return self.trusted

    def note_trust(self, trust: Trust) -> None:
        same_keys = trust.pinned == self.trusted.pinned
        self.trusted = trust
        self._forget_refused(lambda refused: refused == trust.release or not same_keys)

    def sequence_of(self, release_id: str) -> int:
        known = [s.update.deployment for s in self.steps if s.update]
        return max((d.sequence for d in known if d.release.id == release_id), default=0)

    def confirmed_releases(self) -> tuple[str, ...]:
        return tuple(self.confirmed)

    def note_evidence(self, update_id: int, kind: str, document: Evidence) -> None:
        self.evidences.append((update_id, kind, json.loads(json.dumps(document))))

    def evidence_of(self, kind: str) -> list[Any]:
        return [document for _, each, document in self.evidences if each == kind]

    def evidence(self, update_id: int, kind: str) -> Evidence | None:
        found = [d for i, k, d in self.evidences if (i, k) == (update_id, kind)]
        return found[-1] if found else None

    def note_manifest(self, deployment: Deployment) -> None:
        self.noted.append(deployment.sequence)

    @property
    def events(self) -> list[str]:
        return [step.event for step in self.steps]

    @property
    def path(self) -> list[str]:
        return [step.target for step in self.steps]
