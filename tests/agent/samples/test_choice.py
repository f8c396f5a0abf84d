"""Which confidences lead to a sample."""

from __future__ import annotations

import pytest

from agent.samples.choice import Chooser, Why
from agent.samples.settings import SampleSettings


def chooser(chance: float = 0.999, **settings: object) -> Chooser:
    return Chooser(SampleSettings.model_validate(settings), lambda: chance)


@pytest.mark.parametrize(
    ("confidence", "why"),
    [
        (0.0, Why.LOW_CONFIDENCE),
        (0.59, Why.LOW_CONFIDENCE),
        (0.6, None),
        (0.76, Why.NEAR_THRESHOLD),
        (0.84, Why.NEAR_THRESHOLD),
        (0.9, None),
        (1.0, None),
    ],
)
def test_low_scores_and_those_near_a_threshold_are_kept(confidence: float, why: Why | None) -> None:
    assert chooser(near=0.8, within=0.05).choose(confidence, 0.0) == why


def test_of_the_rest_a_share_is_kept_by_chance() -> None:
    assert chooser(chance=0.01, audit_share=0.02).choose(0.99, 0.0) == Why.AUDIT
    assert chooser(chance=0.02, audit_share=0.02).choose(0.99, 0.0) is None
    assert chooser(chance=0.0, audit_share=0.0, below=0).choose(0.0, 0.0) is None


def test_each_reason_has_a_pause_of_its_own() -> None:
    chosen = chooser(cooldown_seconds=10, chance=0.0, audit_share=1)
    assert chosen.choose(0.1, 100.0) == Why.LOW_CONFIDENCE
    assert chosen.choose(0.9, 101.0) == Why.AUDIT
    assert chosen.choose(0.1, 109.9) is None
    assert chosen.choose(0.1, 110.0) == Why.LOW_CONFIDENCE
    assert chosen.choose(0.9, 110.9) is None
