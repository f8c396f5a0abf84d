"""Durations counted so that counts of any time add up, and quantiles of the sum are still known.

Quantiles of parts can't be combined, counts in buckets can. The buckets grow geometrically, so
every quantile is known to 2 % whatever the scale (DDSketch: Masson, Rim and Lee, VLDB 2019).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

ACCURACY = 0.02
SHORTEST_MS = 0.01
"""Shorter ones count as this long."""

_GROWTH = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GROWTH = math.log(_GROWTH)


class Durations:
    """How often each duration came."""

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        """By bucket; bucket i holds what is longer than bucket i - 1, up to growth^i ms."""

    def add(self, milliseconds: float) -> None:
        """Count one."""
        self.counts[math.ceil(math.log(max(milliseconds, SHORTEST_MS)) / _LOG_GROWTH)] += 1


def quantile(counts: Mapping[int, int], share: float) -> float | None:
    """The duration in ms that ``share`` of them do not exceed; None without any."""
    rank = share * (sum(counts.values()) - 1)
    passed = 0
    for bucket in sorted(counts):
        passed += counts[bucket]
        if passed > rank:
            return _middle(bucket)
    return None


def longest(counts: Mapping[int, int]) -> float | None:
    """The longest one in ms; None without any."""
    return quantile(counts, 1.0)


def _middle(bucket: int) -> float:
    """The value that is off by the same share at both ends of a bucket."""
    return float(2 * _GROWTH**bucket / (_GROWTH + 1))
