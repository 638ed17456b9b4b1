import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.statistics.bootstrap import (
    bias_corrected_estimate,
    multinomial_replicates,
    percentile_estimate,
)


@given(st.lists(st.integers(0, 50), min_size=1, max_size=8).filter(any), st.integers(0, 9))
def test_every_replicate_keeps_the_total_and_the_empty_cells(counts, seed):
    drawn = multinomial_replicates(counts, replicates=20, seed=seed)
    assert drawn.shape == (20, len(counts))
    assert (drawn.sum(axis=1) == sum(counts)).all()
    assert (drawn[:, np.array(counts) == 0] == 0).all()


def test_the_draw_is_the_row_bootstrap_in_distribution():
    counts, generator = np.array([30, 50, 20]), np.random.default_rng(1)
    rows = np.repeat([0, 1, 2], counts)
    by_rows = np.array([np.bincount(generator.choice(rows, 100), minlength=3) for _ in range(4000)])
    drawn = multinomial_replicates(counts, replicates=4000, seed=2)
    error = np.sqrt(2 * counts * (100 - counts) / 100 / 4000)  # of the difference of two simulated means
    assert (np.abs(drawn.mean(axis=0) - by_rows.mean(axis=0)) < 4 * error).all()
    assert np.cov(drawn.T) == pytest.approx(np.cov(by_rows.T), abs=2.5)


def test_the_seed_decides():
    first, again, other = (multinomial_replicates([5, 5], replicates=9, seed=s).tolist() for s in (1, 1, 2))
    assert first == again
    assert first != other


def test_one_generator_gives_two_independent_samples():
    generator = np.random.default_rng(1)
    one, two = (multinomial_replicates([50, 50], replicates=2000, seed=generator)[:, 0] for _ in range(2))
    assert abs(np.corrcoef(one, two)[0, 1]) < 4 / np.sqrt(2000)


def test_percentiles_are_those_of_the_replicates():
    estimate = percentile_estimate(0.5, np.linspace(0, 1, 1001), level=0.9, method="bootstrap")
    assert (estimate.low, estimate.high) == pytest.approx((0.05, 0.95))
    assert estimate.method == "percentile bootstrap"


def test_one_percent_undefined_is_left_out_and_more_is_no_interval():
    replicates = np.ones(1000)
    replicates[:10] = np.nan
    assert percentile_estimate(1.0, replicates, level=0.95, method="b").low == 1.0
    replicates[:11] = np.nan
    estimate = percentile_estimate(1.0, replicates, level=0.95, method="b")
    assert (estimate.value, estimate.low) == (1.0, None)
    assert "11 of the 1000 replicates are undefined" in estimate.method


def test_an_undefined_value_has_no_interval():
    assert percentile_estimate(np.nan, np.ones(9), level=0.95, method="b").value is None


def test_the_low_end_takes_the_bias_off_and_is_cut():
    replicates = np.random.default_rng(1).normal(0.6, 0.1, 40_000)
    estimate = bias_corrected_estimate(0.5, replicates, level=0.95, method="bootstrap")
    assert (estimate.low, estimate.high) == pytest.approx((0.4 - 0.196, 0.5 + 0.196), abs=0.005)
    cut = bias_corrected_estimate(0.1, replicates, level=0.95, method="bootstrap", least=0.0)
    assert (cut.low, cut.high) == (0.0, pytest.approx(0.1 + 0.196, abs=0.005))


def test_negative_counts_are_refused():
    with pytest.raises(DataError, match="negative"):
        multinomial_replicates([1, -1], replicates=1, seed=1)
