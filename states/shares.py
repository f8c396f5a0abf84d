"""Shares of frames and how well so many frames tell them."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt

STANDARD_DEVIATIONS = 3.0


def share_of(classes: Mapping[str, int], label: str) -> float:
    """The share of answers with that label; 0 without any answer."""
    return classes.get(label, 0) / max(sum(classes.values()), 1)


def dominant(classes: Mapping[str, int]) -> tuple[str, float]:
    """The most frequent label and its share; "-" without any answer."""
    label = max(classes, key=lambda name: classes[name], default="-")
    return label, share_of(classes, label)


def total_variation(left: Mapping[str, int], right: Mapping[str, int]) -> float:
    """Half the sum of the differences of shares: 0 for the same balance, 1 for nothing shared."""
    labels = {*left, *right}
    return sum(abs(share_of(left, label) - share_of(right, label)) for label in labels) / 2


def upper_bound(hits: int, of: int) -> float:
    """The largest share that ``hits`` of so many may well have come from (Wilson's interval)."""
    return _bound(hits, of, STANDARD_DEVIATIONS) if of else 1.0


def lower_bound(hits: int, of: int) -> float:
    """The smallest share that ``hits`` of so many may well have come from."""
    return _bound(hits, of, -STANDARD_DEVIATIONS) if of else 0.0


def _bound(hits: int, of: int, deviations: float) -> float:
    share, square = hits / of, deviations**2
    spread = deviations * sqrt(share * (1 - share) / of + square / (4 * of**2))
    return (share + square / (2 * of) + spread) / (1 + square / of)
