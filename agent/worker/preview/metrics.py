"""The worker's figures in Prometheus' text format, made when they are asked for.

Latency is the one thing counted for it alone: quantiles of many devices can't be added up,
histograms can.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, get_args

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from agent.worker.camera.capture import SourceState
from agent.worker.camera.frames import Frame
from agent.worker.engines.counters import CONFIDENCE_STEPS, Result
from agent.worker.engines.swap import WorkerState

CONTENT_TYPE = CONTENT_TYPE_LATEST
LATENCY_BUCKETS = (0.005, 0.01, 0.02, 0.033, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)


class LatencyHistogram:
    """Seconds from the capture of a frame to its result, counted in buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS) + 1)
        self._sum = 0.0

    def observe(self, _frame: Frame, result: Result) -> None:
        """Count a result."""
        seconds = result.latency_ms / 1e3
        self._counts[bisect_left(LATENCY_BUCKETS, seconds)] += 1
        self._sum += seconds

    def family(self) -> HistogramMetricFamily:
        """What was counted so far."""
        family = HistogramMetricFamily(
            "edgeferry_latency_seconds", "From the capture of a frame to its result."
        )
        family.add_metric([], _buckets(LATENCY_BUCKETS, self._counts), sum_value=self._sum)
        return family


class Metrics:
    """Renders figures as the control socket's ``status`` gives them."""

    def __init__(self, latency: LatencyHistogram) -> None:
        self._latency = latency

    def render(self, figures: dict[str, Any]) -> bytes:
        """The text Prometheus asks for."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Figures([*_families(figures), self._latency.family()]))
        return generate_latest(registry)


class _Figures:
    """A collector of what is known already."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        yield from self._families


def _families(figures: dict[str, Any]) -> Iterator[Metric]:
    yield from _frames(figures)
    yield from _releases(figures["releases"])
    yield from _events(figures["events"])
    yield from _states(figures)
    kept = figures["samples"]["kept"]
    yield CounterMetricFamily("edgeferry_samples_kept", "Pictures kept for training.", kept)
    preview = figures["preview"]
    yield GaugeMetricFamily(
        "edgeferry_preview_watchers", "Who watches the preview.", value=preview["watchers"]
    )


def _frames(figures: dict[str, Any]) -> Iterator[Metric]:
    yield GaugeMetricFamily("edgeferry_frames_per_second", "Results a second.", figures["fps"])
    counters = {
        "captured": (figures["frames"], "Frames the source gave."),
        "classified": (figures["classified"], "Frames with a result."),
        "dropped": (figures["dropped"], "Frames that a newer one replaced."),
        "unserved": (figures["unserved"], "Frames that came while no release served."),
        "skipped": (figures["source"]["skipped"], "Ticks of the clock without a frame."),
    }
    for name, (value, text) in counters.items():
        yield CounterMetricFamily(f"edgeferry_frames_{name}", text, value)


def _releases(releases: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    """Per release, since it last took over."""
    frames = CounterMetricFamily(
        "edgeferry_release_frames", "Frames by what became of them.", labels=["release", "fate"]
    )
    errors = CounterMetricFamily(
        "edgeferry_release_errors", "Failures of its engine.", labels=["release"]
    )
    gaps = GaugeMetricFamily(
        "edgeferry_release_max_gap_seconds",
        "Longest time between two results.",
        labels=["release"],
    )
    classes = CounterMetricFamily(
        "edgeferry_release_predictions", "Results by best class.", labels=["release", "class"]
    )
    for release, tally in releases.items():
        for fate in ("classified", "dropped"):
            frames.add_metric([release, fate], tally[fate])
        errors.add_metric([release], tally["errors"])
        gaps.add_metric([release], tally["max_gap_ms"] / 1e3)
        for label, count in tally["classes"].items():
            classes.add_metric([release, label], count)
    yield from (frames, errors, gaps, classes)
    yield from (_confidence(releases), *_quantiles(releases))


def _confidence(releases: dict[str, dict[str, Any]]) -> Metric:
    family = HistogramMetricFamily(
        "edgeferry_release_confidence", "Score of the best class.", labels=["release"]
    )
    bounds = [(step + 1) / CONFIDENCE_STEPS for step in range(CONFIDENCE_STEPS - 1)]
    for release, tally in releases.items():
        counts, mean = tally["confidence"]["histogram"], tally["confidence"]["mean"] or 0.0
        family.add_metric([release], _buckets(bounds, counts), sum_value=mean * sum(counts))
    return family


def _quantiles(releases: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    for what, text in (
        ("latency", "From capture to result, over the last 512 results."),
        ("inference", "Within the model, over the last 512 results."),
    ):
        family = GaugeMetricFamily(
            f"edgeferry_release_{what}_quantile_seconds", text, labels=["release", "quantile"]
        )
        for release, tally in releases.items():
            for name, quantile in (("p50", "0.5"), ("p95", "0.95")):
                value = tally[f"{what}_ms"][name]
                if value is not None:
                    family.add_metric([release, quantile], value / 1e3)
        yield family


def _events(events: dict[str, Any]) -> Iterator[Metric]:
    counters = {
        "swaps": "Releases that took over.",
        "fallbacks": "Times the worker itself went back to the release before.",
        "engine_failures": "Engines that crashed, hung or answered nonsense.",
        "source_failures": "Times the source stalled or went away.",
    }
    for name, text in counters.items():
        yield CounterMetricFamily(f"edgeferry_{name}", text, events[name])
    if events["last_gap_ms"] is not None:
        yield GaugeMetricFamily(
            "edgeferry_last_swap_gap_seconds",
            "Between the two results around the newest swap.",
            events["last_gap_ms"] / 1e3,
        )


def _states(figures: dict[str, Any]) -> Iterator[Metric]:
    yield _state_set(
        "edgeferry_source_state",
        "1 for what the source does.",
        get_args(SourceState),
        figures["source"]["state"],
    )
    yield _state_set(
        "edgeferry_worker_state",
        "1 for what the worker does.",
        get_args(WorkerState),
        figures["state"],
    )
    release = {"release": figures["release"] or "", "version": figures["version"] or ""}
    yield InfoMetricFamily("edgeferry_active_release", "The release that serves.", release)


def _state_set(name: str, text: str, states: Iterable[str], now: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([state], float(state == now))
    return family


def _buckets(bounds: Iterable[float], counts: list[int]) -> list[tuple[str, float]]:
    """Cumulative counts by upper bound; ``counts`` has one more than there are bounds."""
    total, buckets = 0, []
    for bound, count in zip([*map(str, bounds), "+Inf"], counts, strict=True):
        total += count
        buckets.append((bound, float(total)))
    return buckets
