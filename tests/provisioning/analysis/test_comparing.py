"""The verdicts of ``compare`` as a table, in the words that people read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from provisioning.analysis.comparing import Comparison, Difference, Verdict, compare
from provisioning.analysis.wording import sentence, verdict_text
from provisioning.metrics import Metrics, Observation
from tests.support.telemetry import metrics, minutes

NOW = datetime(2026, 11, 23, tzinfo=UTC)
DEVICES = 6


def observed(device: str, documents: Sequence[dict[str, Any]]) -> list[Observation]:
    return [Observation(device, NOW, Metrics.model_validate(each)) for each in documents]


def side(name: str, devices: int = DEVICES, each: int = 30, **figures: Any) -> list[Observation]:
    """Devices that do alike."""
    return [
        observation
        for i in range(devices)
        for observation in observed(f"{name}{i}", minutes(each, seed=i, **figures))
    ]


def of(comparison: Comparison, name: str) -> Difference:
    (found,) = (d for d in (*comparison.measures, *comparison.classes) if d.measure.name == name)
    return found


@pytest.mark.parametrize(
    ("a", "b", "measure", "verdict", "better"),
    [
        ({"accuracy": 0.9}, {"accuracy": 0.96}, "accuracy", Verdict.HIGHER, "b"),
        ({"accuracy": 0.96}, {"accuracy": 0.9}, "accuracy", Verdict.LOWER, "a"),
        ({"accuracy": 0.95}, {"accuracy": 0.95}, "accuracy", Verdict.SAME, None),
        ({"accuracy": 0.95}, {}, "accuracy", Verdict.UNKNOWN, None),
        ({}, {}, "accuracy", Verdict.UNKNOWN, None),
        ({"confidence": 0.9}, {"confidence": 0.8}, "confidence", Verdict.LOWER, "a"),
        ({}, {}, "confidence", Verdict.SAME, None),
        ({}, {"errors": 40}, "errors", Verdict.HIGHER, "a"),
        ({}, {}, "errors", Verdict.SAME, None),
        ({"dropped": 90}, {}, "dropped frames", Verdict.LOWER, "b"),
        ({"p95": 20.0}, {"p95": 30.0}, "latency p95", Verdict.HIGHER, "a"),
        ({"p95": 20.0}, {"p95": 20.0}, "latency p95", Verdict.SAME, None),
        ({}, {"latency_ms": None}, "latency p95", Verdict.UNKNOWN, None),
    ],
)
@pytest.mark.parametrize("devices", [1, DEVICES])
def test_a_measure_has_a_verdict(
    a: dict[str, Any],
    b: dict[str, Any],
    measure: str,
    verdict: Verdict,
    better: str | None,
    devices: int,
) -> None:
    each = 360 // devices
    found = of(compare(side("a", devices, each, **a), side("b", devices, each, **b)), measure)
    assert (found.verdict, found.better) == (verdict, better)
    assert found.interval is None or found.sides.by_device is (devices > 1)


def test_devices_that_differ_count_as_devices_however_many_frames_they_have() -> None:
    """Of every device alone the difference is beyond doubt; of devices in general it is not."""
    rates = (0.70, 0.99, 0.85, 0.95)

    def devices(name: str, shift: float) -> list[Observation]:
        return [
            observation
            for i, rate in enumerate(rates)
            for observation in observed(
                f"{name}{i}", minutes(60, seed=i, accuracy=min(1.0, rate + shift))
            )
        ]

    apart = of(compare(devices("a", 0), devices("b", 0.01)), "accuracy")
    assert apart.verdict is Verdict.UNCLEAR
    assert apart.needed_of == "devices"
    assert apart.sides.pairs == 0
    same = of(compare(devices("a", 0), devices("a", 0.01)), "accuracy")
    assert same.sides.pairs == len(rates)
    assert same.interval is not None
    assert apart.interval is not None
    assert same.interval.half_width < apart.interval.half_width / 5


def test_too_little_says_how_much_more_it_takes_and_that_is_enough() -> None:
    few = compare(side("a", 1, 4, accuracy=0.9), side("b", 1, 4, accuracy=0.9))
    found = of(few, "accuracy")
    assert found.verdict is Verdict.UNCLEAR
    assert found.needed is not None
    assert found.needed_of == "pictures"
    minutes_needed = 4 + found.needed // 60 + 1
    enough = compare(
        side("a", 1, minutes_needed, accuracy=0.9), side("b", 1, minutes_needed, accuracy=0.9)
    )
    assert of(enough, "accuracy").verdict in (Verdict.SAME, Verdict.UNCLEAR)
    interval = of(enough, "accuracy").interval
    assert interval is not None
    assert interval.half_width < 1.5 * 0.02


def test_one_minute_is_no_evidence() -> None:
    found = of(compare(side("a", 1, 1), side("b", 1, 1)), "confidence")
    assert found.verdict is Verdict.UNCLEAR
    assert sentence(found).endswith("each side needs two minutes with frames at least")


def test_ten_classes_and_six_measures_seldom_make_a_find_of_chance() -> None:
    random = np.random.default_rng(9)
    labels, runs, finds = [f"class-{i}" for i in range(10)], 100, 0
    for _ in range(runs):
        groups: list[list[Observation]] = []
        for name in "ab":
            counts = [random.multinomial(1800, mix) for mix in random.dirichlet([20] * 10, 5)]
            classes = [dict(zip(labels, map(int, each), strict=True)) for each in counts]
            documents = [[metrics(0, classes=each)] for each in classes]
            groups.append([observed(f"{name}{i}", each)[0] for i, each in enumerate(documents)])
        found = compare(groups[0], groups[1]).classes
        finds += any(d.verdict in (Verdict.HIGHER, Verdict.LOWER) for d in found)
    assert finds <= 0.1 * runs


def test_the_verdict_is_read_without_the_figures() -> None:
    better = compare(
        side("a", accuracy=0.90, p95=20),
        side("b", accuracy=0.96, p95=26, classes={"oranges": 1800}),
    )
    text = verdict_text(better)
    assert text.startswith("B is more accurate: +")
    assert "points [" in text
    assert "B is slower in its slowest frames: +6.0 ms [" in text
    assert "no difference in confidence, errors and dropped frames" in text
    assert "B sees other shares of bell-pepper -100.0 points" in text
    assert verdict_text(compare([], [])) == "nothing was measured on both sides"
