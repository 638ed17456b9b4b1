from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from workbench.errors import DataError
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson, wilson_bounds

PUBLISHED = Path(__file__).parents[1] / "published"


def published(name):
    return pl.read_csv(PUBLISHED / f"{name}.csv", comment_prefix="#").rows()


@pytest.mark.parametrize(("successes", "trials", "low", "high"), published("newcombe_1998_wilson"))
def test_wilson_as_published(successes, trials, low, high):
    estimate = wilson(successes, trials)
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("row", published("newcombe_1998_difference"))
def test_newcombe_as_published(row):
    *counts, value, low, high = row
    estimate = newcombe_difference(*counts)
    assert (estimate.value, estimate.low, estimate.high) == pytest.approx((value, low, high), abs=5e-5)


@given(st.integers(1, 500), st.floats(0, 1), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_statsmodels(trials, share, level):
    successes = round(share * trials)
    estimate = wilson(successes, trials, level=level)
    expected = proportion_confint(successes, trials, alpha=1 - level, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("counts", [(56, 70, 48, 80), (1, 9, 300, 1000), (499, 500, 3, 7)])
def test_newcombe_equals_statsmodels(counts):
    estimate = newcombe_difference(*counts)
    expected = confint_proportions_2indep(*counts, method="newcomb", compare="diff")
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 300), st.floats(0, 1))
def test_wilson_holds_its_value_and_stays_in_the_unit_interval(trials, share):
    estimate = wilson(round(share * trials), trials)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_wilson_is_exact_at_the_ends():
    low, high = wilson_bounds([0, 7], [7, 7])
    assert (low[0], high[1]) == (0.0, 1.0)


def test_the_table_form_equals_the_single_one_and_marks_no_trials():
    low, high = wilson_bounds([3, 0], [9, 0])
    assert (low[0], high[0]) == (wilson(3, 9).low, wilson(3, 9).high)
    assert np.isnan([low[1], high[1]]).all()
    assert wilson(0, 0).value is None


@pytest.mark.parametrize("counts", [(5, 4), (-1, 4)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(DataError, match="0 <= successes <= trials"):
        wilson(*counts)


def test_a_difference_or_ratio_without_trials_is_undefined():
    assert newcombe_difference(0, 0, 1, 2).value is None
    assert donner_zou_ratio(1, 2, 0, 5).value is None


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_ratio_holds_its_value(trials, reference_trials, data):
    successes = data.draw(st.integers(0, trials))
    reference = data.draw(st.integers(1, reference_trials))
    estimate = donner_zou_ratio(successes, trials, reference, reference_trials)
    assert 0 <= estimate.low <= estimate.value + 1e-9
    assert estimate.value <= estimate.high + 1e-9


def test_the_ratio_is_near_the_logarithmic_interval_in_large_samples():
    estimate = donner_zou_ratio(4000, 10000, 5000, 10000)
    expected = confint_proportions_2indep(4000, 10000, 5000, 10000, method="log", compare="ratio")
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=2e-3)


def weights(trials, share):
    return binom.pmf(np.arange(trials + 1), trials, share)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_wilson_covers_by_exact_enumeration(share):
    low, high = wilson_bounds(np.arange(101), np.full(101, 100))
    assert weights(100, share)[(low <= share) & (share <= high)].sum() == pytest.approx(0.95, abs=0.025)


@pytest.mark.parametrize(
    ("interval", "truth"), [(newcombe_difference, 0.7 - 0.9), (donner_zou_ratio, 0.7 / 0.9)]
)
def test_difference_and_ratio_cover_by_exact_enumeration(interval, truth):
    first, second = weights(30, 0.7), weights(40, 0.9)
    covered = 0.0
    for hits in range(31):
        for reference in range(25, 41):
            estimate = interval(hits, 30, reference, 40)
            covered += first[hits] * second[reference] * (estimate.low <= truth <= estimate.high)
    assert covered == pytest.approx(0.95, abs=0.02)
