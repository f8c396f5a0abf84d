"""The statistics of ``compare``, against SciPy, statsmodels and published examples."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import pytest
from scipy import stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from provisioning.analysis.estimates import (
    Interval,
    Side,
    Unit,
    difference_of_means,
    difference_of_shares,
    effective_frames,
    newcombe,
    wilson,
)

CONFIDENCES = (0.9, 0.95, 0.99)


def side(units: Sequence[tuple[float, float]], name: str = "") -> Side:
    """Units as (frames, total), by place; with a ``name`` they pair with nobody else's."""
    named: dict[Hashable, Unit] = {(name, i): Unit(n, x) for i, (n, x) in enumerate(units)}
    return Side(named)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(("right", "frames"), [(0, 10), (10, 10), (1, 7), (81, 263), (998, 1000)])
def test_wilson_is_that_of_statsmodels(right: int, frames: int, confidence: float) -> None:
    reference = proportion_confint(right, frames, alpha=1 - confidence, method="wilson")
    assert wilson(right / frames, frames, confidence) == pytest.approx(reference)


@pytest.mark.parametrize("confidence", CONFIDENCES)
@pytest.mark.parametrize(
    ("x_a", "n_a", "x_b", "n_b"),
    [(48, 80, 56, 70), (3, 10, 9, 10), (10, 10, 0, 20), (5, 56, 0, 29)],
)
def test_newcombe_is_that_of_statsmodels(
    x_a: int, n_a: int, x_b: int, n_b: int, confidence: float
) -> None:
    reference = confint_proportions_2indep(
        x_b, n_b, x_a, n_a, compare="diff", method="newcomb", alpha=1 - confidence
    )
    found = newcombe(x_a / n_a, n_a, x_b / n_b, n_b, confidence)
    assert (found.low, found.high) == pytest.approx(reference, abs=1e-9)


def test_newcombe_is_that_of_its_paper() -> None:
    # Statistics in Medicine 17 (1998), 873-890, table II, method 10: examples (a), (d) and (h).
    for x_a, n_a, x_b, n_b, low, high in (
        (48, 80, 56, 70, 0.0524, 0.3339),
        (5, 56, 0, 29, -0.1926, 0.0381),
        (0, 10, 10, 10, 0.6075, 1.0),
    ):
        found = newcombe(x_a / n_a, n_a, x_b / n_b, n_b, 0.95)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-4)


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_equal_units_give_welchs_t_test(confidence: float) -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(0.8, 0.02, 7), random.normal(0.83, 0.06, 12)
    reference = stats.ttest_ind(b, a, equal_var=False).confidence_interval(confidence)
    found = difference_of_means(
        side([(600, 600 * x) for x in a], "a"), side([(600, 600 * x) for x in b], "b"), confidence
    )
    assert found is not None
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


@pytest.mark.parametrize("confidence", CONFIDENCES)
def test_the_same_equal_units_on_both_sides_give_the_paired_t_test(confidence: float) -> None:
    random = np.random.default_rng(2)
    a = random.normal(12, 3, 9)
    b = a + random.normal(0.4, 0.3, 9)
    reference = stats.ttest_rel(b, a).confidence_interval(confidence)
    found = difference_of_means(
        side([(50, 50 * x) for x in a]), side([(50, 50 * x) for x in b]), confidence
    )
    assert found is not None
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))


def test_unequal_units_give_cluster_robust_errors() -> None:
    """A regression of single frames on their side, clustered by device, is the long way round."""
    random = np.random.default_rng(3)
    sizes = random.integers(5, 60, 16)
    figures = [
        random.normal(0.7 + 0.1 * (i >= 8) + random.normal(0, 0.1), 0.2, n)
        for i, n in enumerate(sizes)
    ]
    frames = np.concatenate(figures)
    devices = np.repeat(np.arange(16), sizes)
    model = OLS(frames, np.column_stack([np.ones(len(frames)), devices >= 8]))
    fitted = model.fit(cov_type="cluster", cov_kwds={"groups": devices, "use_correction": False})
    a, b = (
        side([(len(f), f.sum()) for f in half], name)
        for name, half in (("a", figures[:8]), ("b", figures[8:]))
    )
    variance = sum(x**2 for each in (a, b) for x in each.residuals.values())
    assert b.value is not None
    assert a.value is not None
    assert b.value - a.value == pytest.approx(fitted.params[1])
    # Ours counts the devices of each side (8/7), the regression without correction none.
    assert variance * 7 / 8 == pytest.approx(fitted.bse[1] ** 2)


def test_frames_that_are_independent_count_whole_and_repeated_ones_once() -> None:
    random = np.random.default_rng(4)
    right = random.binomial(50, 0.8, 400)
    independent = side([(50, x) for x in right])
    assert effective_frames(independent, 0.95) == pytest.approx(20_000, rel=0.15)
    # Each picture shown a hundred times.
    repeated = side([(5000, 100 * x) for x in right])
    assert effective_frames(repeated, 0.95) == pytest.approx(20_000, rel=0.15)


def test_intervals_of_shares_hold_as_often_as_they_say() -> None:
    """Devices that differ: a simulation; counting frames would miss two of three times."""
    random = np.random.default_rng(5)
    runs, held = 600, 0
    for _ in range(runs):
        rates = random.beta(18, 2, (2, 8))  # 0.9 on average on both sides
        sides = [
            side([(500, x) for x in random.binomial(500, rates[i])], name)
            for i, name in enumerate("ab")
        ]
        found = difference_of_shares(sides[0], sides[1], 0.95)
        assert found is not None
        held += found.low <= 0 <= found.high
    assert 0.925 <= held / runs <= 0.99


def test_pairs_of_devices_show_what_the_devices_differences_would_hide() -> None:
    rates = (0.70, 0.80, 0.90, 0.95, 0.99)
    a = [(1000, 1000 * rate) for rate in rates]
    b = [(1000, 1000 * min(1, rate + 0.008)) for rate in rates]
    apart = difference_of_shares(side(a, "a"), side(b, "b"), 0.95)
    paired = difference_of_shares(side(a), side(b), 0.95)
    assert apart is not None
    assert paired is not None
    assert apart.low < -0.1
    assert -0.02 < paired.low < 0


@pytest.mark.parametrize("paired", [True, False])
def test_a_few_pictures_all_right_prove_nothing(paired: bool) -> None:
    a, b = side([(2, 2)] * 3, "" if paired else "a"), side([(2, 2)] * 3, "" if paired else "b")
    found = difference_of_shares(a, b, 0.95)
    assert found is not None
    assert found.low < -0.3
    assert found.high > 0.3


@pytest.mark.parametrize("units", [[], [(100, 90)], [(100, 90), (0, 0)]])
def test_fewer_than_two_units_give_no_interval(units: list[tuple[float, float]]) -> None:
    full = side([(100, 90), (100, 80)], "b")
    assert difference_of_shares(side(units, "a"), full, 0.95) is None
    assert difference_of_means(full, side(units, "a"), 0.95) is None


def test_means_without_any_spread_have_an_interval_of_no_width() -> None:
    found = difference_of_means(side([(5, 10)] * 2, "a"), side([(5, 15)] * 2, "b"), 0.95)
    assert found == Interval(1.0, 1.0, 1.0)
