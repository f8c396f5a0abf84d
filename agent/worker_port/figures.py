"""From the worker's status to the figures the law judges by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from agent.worker.model.labels import read_labels
from states.ports import Comparison, Rejected, Showing, WorkerFigures


class FigureReader:
    """Reads statuses; ``<releases>/<id>/<labels_file>`` holds the labels of a release."""

    def __init__(self, releases: Path, labels_file: str) -> None:
        self._releases = releases
        self._labels_file = labels_file
        self._known_labels: dict[str, frozenset[str]] = {}

    def read(self, status: dict[str, Any]) -> WorkerFigures:
        """The figures of one status."""
        serving = status["release"]
        counters = status["releases"].get(serving, {})
        fell_back = status.get("fell_back") or {}
        because = (fell_back.get(name) for name in ("reason", "detail"))
        return WorkerFigures(
            serving=serving,
            captured=counters.get("captured", 0),
            classified=counters.get("classified", 0),
            dropped=counters.get("dropped", 0),
            errors=counters.get("errors", 0),
            comparison=self._comparison(status),
            fell_back_from=fell_back.get("from"),
            fell_back_because=": ".join(filter(None, because)),
            instance=status.get("instance", ""),
        )

    def _comparison(self, status: dict[str, Any]) -> Comparison | None:
        told = status.get("comparison")
        if told is None:
            return None
        release, previous = told["release"], told["previous"]
        tallies = status["releases"]
        whole = Comparison(
            release=release,
            previous=previous,
            compared=told["compared"],
            agreed=told["agreed"],
            same_frames=told["same_frames"],
            candidate=_showing(told["candidate"], tallies.get(release)),
            previous_side=_showing(told["previous_side"], tallies.get(previous)),
            same_labels=self._labels(release) == self._labels(previous),
            shadowing=told["shadowing"],
            why_not=told["why_not"] or "",
        )
        half = told.get("later_half")
        return replace(whole, later_half=_part(whole, half)) if half else whole

    def _labels(self, release_id: str) -> frozenset[str] | None:
        """All labels a release may give; None when they can't be read."""
        if release_id not in self._known_labels:
            try:
                labels = frozenset(read_labels(self._releases / release_id / self._labels_file))
            except (OSError, Rejected):
                return None
            self._known_labels[release_id] = labels
        return self._known_labels[release_id]


def _part(whole: Comparison, told: dict[str, Any]) -> Comparison:
    """Some of the frames of a comparison."""
    return replace(
        whole,
        compared=told["compared"],
        agreed=told["agreed"],
        candidate=_showing(told["candidate"], None),
        previous_side=_showing(told["previous_side"], None),
    )


def _showing(side: dict[str, Any], tally: dict[str, Any] | None) -> Showing:
    """One side: the counters are of the release's whole time of serving, if still known."""
    counters = tally or side
    return Showing(
        captured=counters["captured"],
        classified=counters["classified"],
        dropped=counters["dropped"],
        errors=counters["errors"],
        inference_p50_ms=side["inference_ms"]["p50"],
        inference_p95_ms=side["inference_ms"]["p95"],
        mean_confidence=side["confidence"]["mean"],
        classes=side["classes"],
        changes=side["changes"],
    )
