"""From the worker's status to the figures the law judges by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from agent.faults import explain
from agent.worker.model.labels import read_labels
from agent.worker_port.errors import WorkerProtocolError
from states.figures import Comparison, Showing, WorkerFigures
from states.ports import Rejected
from states.reasons import Transient


class _Told(BaseModel):
    # A newer worker may say more; what it says of this has to be of this form.
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True, allow_inf_nan=False)


class _Tally(_Told):
    captured: int = 0
    classified: int = 0
    dropped: int = 0
    errors: int = 0


class _Times(_Told):
    p50: float | None
    p95: float | None


class _Mean(_Told):
    mean: float | None


class _Side(_Tally):
    inference_ms: _Times
    confidence: _Mean
    classes: dict[str, int]
    changes: int


class _Half(_Told):
    compared: int
    agreed: int
    candidate: _Side
    previous_side: _Side


class _Whole(_Half):
    release: str
    previous: str
    same_frames: bool
    shadowing: bool
    why_not: str | None = None
    later_half: _Half | None = None


class _Status(_Told):
    release: str | None
    releases: dict[str, _Tally]
    fell_back: dict[str, str | None] | None = None
    comparison: _Whole | None = None
    instance: str = ""


_FORGIVABLE = {str(reason): reason for reason in (Transient.ENGINE_SILENT, Transient.ENGINE_LATE)}


class FigureReader:
    """Reads statuses; ``<releases>/<id>/<labels_file>`` holds the labels of a release."""

    def __init__(self, releases: Path, labels_file: str) -> None:
        self._releases = releases
        self._labels_file = labels_file
        self._known_labels: dict[str, frozenset[str]] = {}

    def read(self, status: dict[str, Any]) -> WorkerFigures:
        """The figures of one status. Raises WorkerProtocolError for one of another form."""
        try:
            told = _Status.model_validate(status)
        except ValidationError as faults:
            fault = next(explain("the worker's status", _Status, faults))
            raise WorkerProtocolError(fault[:300]) from faults
        counters = told.releases.get(told.release or "", _Tally())
        fell_back = told.fell_back or {}
        because = (fell_back.get(name) for name in ("reason", "detail"))
        return WorkerFigures(
            serving=told.release,
            captured=counters.captured,
            classified=counters.classified,
            dropped=counters.dropped,
            errors=counters.errors,
            comparison=self._comparison(told),
            fell_back_from=fell_back.get("from"),
            fell_back_because=": ".join(filter(None, because)),
            fell_back_for=_FORGIVABLE.get(fell_back.get("reason") or ""),
            instance=told.instance,
        )

    def _comparison(self, status: _Status) -> Comparison | None:
        told = status.comparison
        if told is None:
            return None
        tallies = status.releases
        whole = Comparison(
            release=told.release,
            previous=told.previous,
            compared=told.compared,
            agreed=told.agreed,
            same_frames=told.same_frames,
            candidate=_showing(told.candidate, tallies.get(told.release)),
            previous_side=_showing(told.previous_side, tallies.get(told.previous)),
            same_labels=self._same_labels(told.release, told.previous),
            shadowing=told.shadowing,
            why_not=told.why_not or "",
        )
        half = told.later_half
        return replace(whole, later_half=_part(whole, half)) if half else whole

    def _same_labels(self, release_id: str, previous_id: str) -> bool:
        """Whether both may say the same; not if nobody knows what they may say."""
        labels = self._labels(release_id)
        return labels is not None and labels == self._labels(previous_id)

    def _labels(self, release_id: str) -> frozenset[str] | None:
        """All labels a release may give; None when they can't be read."""
        if release_id not in self._known_labels:
            try:
                labels = frozenset(read_labels(self._releases / release_id / self._labels_file))
            except (OSError, ValueError, Rejected):
                return None
            self._known_labels[release_id] = labels
        return self._known_labels[release_id]


def _part(whole: Comparison, told: _Half) -> Comparison:
    """Some of the frames of a comparison."""
    return replace(
        whole,
        compared=told.compared,
        agreed=told.agreed,
        candidate=_showing(told.candidate, None),
        previous_side=_showing(told.previous_side, None),
    )


def _showing(side: _Side, tally: _Tally | None) -> Showing:
    """One side: the counters are of the release's whole time of serving, if still known."""
    counters = tally or side
    return Showing(
        captured=counters.captured,
        classified=counters.classified,
        dropped=counters.dropped,
        errors=counters.errors,
        inference_p50_ms=side.inference_ms.p50,
        inference_p95_ms=side.inference_ms.p95,
        mean_confidence=side.confidence.mean,
        classes=side.classes,
        changes=side.changes,
    )
