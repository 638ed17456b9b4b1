from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optbinning import OptimalBinning
from scipy.stats import chi2

from workbench.errors import DataError
from workbench.statistics.bins import (
    bin_index,
    count_bins,
    information_value,
    population_stability_index,
    psi_null_quantile,
    quantile_edges,
    weight_of_evidence,
)

PUBLISHED = Path(__file__).parents[1] / "published"
COUNTS = st.lists(st.integers(0, 200), min_size=3, max_size=3).filter(any)


def test_weight_of_evidence_is_positive_where_goods_gather():
    assert weight_of_evidence([90, 10], [50, 50]) == pytest.approx([np.log(1.8), np.log(0.2)])


def test_weight_of_evidence_as_published():
    table = pl.read_csv(PUBLISHED / "siddiqi_2006_age.csv", comment_prefix="#")
    assert 100 * weight_of_evidence(table["goods"], table["bads"]) == pytest.approx(table["woe"], abs=0.005)


def test_weight_of_evidence_and_information_value_equal_optbinning():
    generator = np.random.default_rng(5)
    income = generator.normal(size=3000)
    default = (generator.random(3000) < 1 / (1 + np.exp(1 + income))).astype(int)
    splits = [-1.0, 0.0, 1.0]
    fitted = OptimalBinning(user_splits=splits, user_splits_fixed=[True] * 3).fit(income, default)
    table = fitted.binning_table.build()
    bins = table.iloc[:4]
    goods, bads = bins["Non-event"].to_numpy(float), bins["Event"].to_numpy(float)
    assert weight_of_evidence(goods, bads) == pytest.approx(bins["WoE"].to_numpy(float), abs=1e-12)
    assert information_value(goods, bads, seed=1).value == pytest.approx(table.loc["Totals", "IV"], abs=1e-12)


def test_half_is_added_to_both_cells_of_a_bin_with_one_empty_cell():
    assert weight_of_evidence([10, 5], [0, 5]) == pytest.approx(
        [np.log((10.5 / 15.5) / (0.5 / 5.5)), np.log((5 / 15.5) / (5 / 5.5))]
    )


def test_an_empty_bin_changes_nothing():
    assert weight_of_evidence([9, 3, 0], [4, 4, 0]).tolist() == [*weight_of_evidence([9, 3], [4, 4]), 0.0]


@given(COUNTS, COUNTS)
def test_information_value_and_psi_are_never_negative_and_symmetric(first, second):
    value = information_value(first, second, replicates=10, seed=1).value
    assert value >= 0
    assert value == pytest.approx(information_value(second, first, replicates=10, seed=1).value)
    assert population_stability_index(first, second, replicates=10, seed=1).value == pytest.approx(value)


@given(COUNTS, st.integers(1, 5))
def test_psi_is_0_for_the_same_distribution_at_any_size(counts, times):
    stretched = [times * count for count in counts]
    assert population_stability_index(counts, stretched, replicates=10, seed=1).value == pytest.approx(
        0, abs=1e-12
    )


def test_psi_by_hand():
    expected = (0.6 - 0.5) * np.log(0.6 / 0.5) + (0.4 - 0.5) * np.log(0.4 / 0.5)
    assert population_stability_index([50, 50], [60, 40], seed=1).value == pytest.approx(expected)


def test_equal_small_samples_are_not_certain_to_be_stable():
    estimate = population_stability_index([4, 4, 4], [4, 4, 4], seed=1)
    assert (estimate.value, estimate.low) == (0.0, 0.0)
    assert estimate.high > 0.2


def test_same_counts_do_not_share_their_noise():
    estimate = population_stability_index([500, 500], [400, 600], seed=1)
    assert estimate.high - estimate.low > 0.02


@pytest.mark.parametrize("call", [weight_of_evidence, lambda a, b: information_value(a, b, seed=1)])
def test_counts_that_do_not_match_are_refused(call):
    with pytest.raises(DataError, match="lengths differ"):
        call([1, 2], [1, 2, 3])
    with pytest.raises(DataError, match="adds up to 0"):
        call([1, 2], [0, 0])


def test_edges_cut_development_into_equal_bins():
    values = np.random.default_rng(1).normal(size=1000)
    assert count_bins(values, quantile_edges(values, 10)).tolist() == [100] * 10 + [0]


def test_an_edge_belongs_to_the_bin_below_and_missing_is_the_last_bin():
    assert bin_index([0, 1, 1.5, 2, 9, np.nan], [1, 2]).tolist() == [0, 0, 1, 1, 2, 3]


def test_ties_stay_together():
    values = [0] * 70 + [1] * 20 + [2] * 10
    assert count_bins(values, quantile_edges(values, 10)).tolist() == [70, 20, 10, 0]


def test_a_value_that_fills_the_top_is_cut_from_those_below():
    values = [0] * 5 + [1] * 95
    assert count_bins(values, quantile_edges(values, 10)).tolist() == [5, 95, 0]


def test_a_constant_gets_bins_below_and_above():
    edges = quantile_edges([3.0] * 50, 10)
    assert count_bins([2, 3, 3, 4], edges).tolist() == [1, 2, 1, 0]


@given(
    st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), min_size=1, max_size=60).filter(
        lambda values: not np.isnan(values).all()
    ),
    st.integers(2, 12),
)
def test_counts_add_up_and_edges_rise(values, bins):
    edges = quantile_edges(values, bins)
    assert edges.size <= max(bins - 1, 2)
    assert (np.diff(edges) > 0).all()
    assert count_bins(values, edges).sum() == len(values)


def test_bins_of_nothing_are_refused_with_all_faults():
    with pytest.raises(DataError) as caught:
        quantile_edges([np.nan], 1)
    assert len(caught.value.faults) == 2


def test_the_null_quantile_is_near_its_chi_squared_limit():
    quantile = psi_null_quantile([800] * 10, 2000, replicates=20_000, seed=1)
    assert quantile == pytest.approx((1 / 8000 + 1 / 2000) * chi2.ppf(0.95, 9), rel=0.03)


def test_unchanged_samples_exceed_the_null_quantile_as_often_as_promised():
    generator, shares = np.random.default_rng(2), np.array([0.05, 0.15, 0.3, 0.5])
    line = psi_null_quantile(1000 * shares, 400, replicates=5000, seed=3)
    psis = [
        population_stability_index(
            generator.multinomial(1000, shares), generator.multinomial(400, shares), replicates=2, seed=1
        ).value
        for _ in range(1000)
    ]
    assert np.mean(np.array(psis) > line) == pytest.approx(0.05, abs=4 * np.sqrt(0.05 * 0.95 / 1000))


def test_an_empty_recent_sample_is_refused():
    with pytest.raises(DataError, match="0 applicants"):
        psi_null_quantile([1, 2], 0, seed=1)


@pytest.mark.parametrize(
    "shares", [[0.4, 0.3, 0.2, 0.1], [0.25, 0.25, 0.25, 0.25]], ids=["shifted", "unchanged"]
)
def test_psi_interval_covers(shares):
    generator, before = np.random.default_rng(4), np.full(4, 0.25)
    truth = float(((np.array(shares) - before) * np.log(np.array(shares) / before)).sum())
    runs, hits = 600, 0
    for seed in range(runs):
        samples = generator.multinomial(1000, before), generator.multinomial(800, shares)
        estimate = population_stability_index(*samples, replicates=400, seed=seed)
        hits += estimate.low <= truth <= estimate.high
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


@pytest.mark.parametrize(
    ("goods", "bads"),
    [([0.5, 0.3, 0.2], [0.3, 0.3, 0.4]), ([0.5, 0.5], [0.45, 0.55])],
    ids=["strong", "weak"],
)
def test_information_value_interval_covers(goods, bads):
    generator, difference = np.random.default_rng(6), np.subtract(goods, bads)
    truth = float((difference * np.log(np.divide(goods, bads))).sum())
    runs, hits, bins = 600, 0, len(goods)
    for seed in range(runs):
        counts = generator.multinomial(2000, np.append(0.8 * np.array(goods), 0.2 * np.array(bads)))
        estimate = information_value(counts[:bins], counts[bins:], replicates=400, seed=seed)
        hits += estimate.low <= truth <= estimate.high
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)  # the high end is cautious by design
