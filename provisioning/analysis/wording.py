"""Differences in plain words and figures."""

from __future__ import annotations

from collections.abc import Sequence

from provisioning.analysis.comparing import Comparison, Difference, Verdict
from provisioning.analysis.measures import (
    ACCURACY,
    MILLISECONDS,
    POINTS,
    SCORE,
    Better,
    Measure,
)

_MOST_NEEDED = 10_000_000
"""More of anything than that is no advice."""
_COMPARATIVES = {
    "accuracy": ("more accurate", "less accurate"),
    "confidence": ("more confident", "less confident"),
    "errors": ("failing more often", "failing less often"),
    "dropped frames": ("dropping more frames", "dropping fewer frames"),
    "latency p50": ("slower", "faster"),
    "latency p95": ("slower in its slowest frames", "faster in its slowest frames"),
}


def value_text(measure: Measure, value: float | None) -> str:
    """A side's figure."""
    if value is None:
        return "-"
    if measure.unit == MILLISECONDS:
        return f"{value:.1f} ms"
    return f"{value:.3f}" if measure.unit == SCORE else f"{100 * value:.{_digits(value)}f} %"


def difference_text(difference: Difference) -> str:
    """A difference, like ``+3.1 points``."""
    if difference.interval is None:
        return ""
    unit = "" if difference.measure.unit == SCORE else f" {difference.measure.unit}"
    return f"{_figures(difference)[0]}{unit}"


def range_text(difference: Difference) -> str:
    """Where a difference lies, like ``[+1.2, +5.0]``."""
    if difference.interval is None:
        return ""
    _, low, high = _figures(difference)
    return f"[{low}, {high}]"


def _figures(difference: Difference) -> list[str]:
    interval, unit = difference.interval, difference.measure.unit
    assert interval is not None
    factor = 100 if unit == POINTS else 1
    widest = factor * max(abs(interval.low), abs(interval.high))
    digits = 3 if unit == SCORE or widest < 0.1 else 2 if widest < 1 else 1
    figures = (interval.difference, interval.low, interval.high)
    return [f"{factor * figure:+.{digits}f}" for figure in figures]


def sentence(difference: Difference, name: str = "B") -> str:
    """The verdict on one measure; ``name`` is what the second side is called."""
    measure, verdict = difference.measure, difference.verdict
    if verdict in (Verdict.HIGHER, Verdict.LOWER):
        return f"{name} is {_comparative(difference)}: {_whole(difference)}"
    if verdict is Verdict.SAME:
        return f"no difference in {measure.name}: {_whole(difference)}"
    if verdict is Verdict.UNKNOWN:
        return f"{measure.name}: {unknown_text(difference)}"
    return f"{measure.name}: too little data{_needed(difference)}"


def unknown_text(difference: Difference) -> str:
    """On which side a measure is missing."""
    missing = [
        side
        for side, found in (("A", difference.sides.a), ("B", difference.sides.b))
        if found.value is None
    ]
    where = "on neither side" if len(missing) > 1 else f"not on side {missing[0]}"
    what = "labelled pictures" if difference.measure is ACCURACY else "measured"
    return f"{what} {where}"


def verdict_text(comparison: Comparison) -> str:
    """All of it in a few words, what differs first."""
    differing = [d for d in comparison.measures if d.verdict in (Verdict.HIGHER, Verdict.LOWER)]
    said = [sentence(d) for d in sorted(differing, key=lambda d: d.better != "b")]
    same = [d.measure.name for d in comparison.measures if d.verdict is Verdict.SAME]
    if same:
        said.append(f"no difference in {_listed(same)}")
    unclear = [d for d in comparison.measures if d.verdict is Verdict.UNCLEAR]
    said += [sentence(d) for d in unclear]
    shifted = [d for d in comparison.classes if d.verdict in (Verdict.HIGHER, Verdict.LOWER)]
    if shifted:
        changes = (f"{d.measure.name} {_whole(d)}" for d in shifted)
        said.append(f"B sees other shares of {_listed(list(changes))}")
    return "; ".join(said) or "nothing was measured on both sides"


def units_text(comparison: Comparison) -> str:
    """What was counted as evidence, and for which measures where it is not one for all."""
    counted: dict[str, list[str]] = {}
    for difference in comparison.measures:
        if difference.interval is not None:
            counted.setdefault(_units(difference), []).append(difference.measure.name)
    if len(counted) < 2:
        return next(iter(counted), "nothing")
    return "; ".join(f"{units} for {_listed(names)}" for units, names in counted.items())


def _units(difference: Difference) -> str:
    sides = difference.sides
    if not sides.by_device:
        return "stretches of time of these devices"
    return "devices, the same ones on both sides" if sides.pairs else "devices"


def _whole(difference: Difference) -> str:
    return f"{difference_text(difference)} {range_text(difference)}"


def _comparative(difference: Difference) -> str:
    more, less = _COMPARATIVES.get(difference.measure.name, ("higher", "lower"))
    if difference.measure.better is Better.NEITHER:
        more, less = (f"seeing {w} {difference.measure.name}" for w in ("more", "less"))
    return more if difference.verdict is Verdict.HIGHER else less


def _needed(difference: Difference) -> str:
    if difference.interval is None:
        return ": each side needs two minutes with frames at least"
    shown = f", {_whole(difference)}"
    if difference.needed is None or difference.needed > _MOST_NEEDED:
        return f"{shown}: more than can be collected for a difference that small"
    return f"{shown}: needs about {_rounded(difference.needed):,} more {difference.needed_of}"


def _rounded(number: int) -> int:
    """To two digits: it is an estimate."""
    scale: int = 10 ** max(0, len(str(number)) - 2)
    return -(-number // scale) * scale


def _digits(share: float) -> int:
    return 1 if 0.01 <= share <= 0.99 or share in (0, 1) else 2


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
