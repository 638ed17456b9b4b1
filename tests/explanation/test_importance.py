"""Importance: intervals that cover, ranks that say what is sure, and the scorecard beside it."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from workbench.errors import DataError
from workbench.explanation.importance import (
    CELLS,
    bootstrap_method,
    importance_table,
    interaction_table,
    rank_bounds,
    ranks_of,
    replicated_means,
    scorecard_agreement,
    scorecard_comparison,
    shares_of,
)

NAMES = ("a", "b", "c")


def shap(size=400, seed=1, scales=(1.0, 0.5, 0.45)):
    return np.random.default_rng(seed).normal(size=(size, len(scales))) * scales


def row_of(table, name):
    return table.row(by_predicate=pl.col("feature") == name, named=True)


def test_importance_is_the_mean_size_with_share_and_rank_the_largest_first():
    values = np.array([[1.0, -4.0, 0.5], [-3.0, 2.0, 0.0]])
    table = importance_table(values, NAMES, level=0.95, seed=1)
    assert table["feature"].to_list() == ["b", "a", "c"]
    assert table["importance"].to_list() == [3.0, 2.0, 0.25]
    assert table["share"].to_list() == pytest.approx([3 / 5.25, 2 / 5.25, 0.25 / 5.25])
    assert table["rank"].to_list() == [1, 2, 3]
    assert table["applicants"].to_list() == [2, 2, 2]
    assert set(table["level"]) == {0.95}


def test_the_interval_is_near_the_normal_one_of_a_mean():
    values = shap(2_000)
    table = importance_table(values, NAMES, level=0.9, replicates=4_000, seed=1)
    half = norm.ppf(0.95) * np.abs(values).std(axis=0) / np.sqrt(len(values))
    for at, name in enumerate(NAMES):
        row = row_of(table, name)
        assert row["high"] - row["low"] == pytest.approx(2 * half[at], rel=0.06)


def test_random_cells_give_the_spread_and_the_covariance_of_the_rows():
    """More applicants than cells, one column tied to another."""
    size = np.abs(shap(3 * CELLS + 7))
    size[:, 2] = size[:, 0] + 0.1 * size[:, 1]
    drawn = replicated_means(size, replicates=4_000, seed=1)
    expected = np.cov(size.T, ddof=0) / len(size)
    assert np.cov(drawn.T) == pytest.approx(expected, rel=0.12, abs=0.05 * expected.max())
    assert drawn.mean(axis=0) == pytest.approx(size.mean(axis=0), abs=5e-4)


def test_intervals_cover_importance_and_share():
    """300 samples of 200 applicants, sizes half normal: mean sqrt(2 / pi) x scale."""
    scales = np.array([1.0, 0.6, 0.3])
    truth = np.sqrt(2 / np.pi) * scales
    hits, shares = 0, 0
    for seed in range(300):
        table = importance_table(
            shap(200, seed=seed, scales=scales), NAMES, level=0.9, replicates=200, seed=seed
        )
        row = row_of(table, "b")
        hits += row["low"] <= truth[1] <= row["high"]
        shares += row["share_low"] <= truth[1] / truth.sum() <= row["share_high"]
    assert 0.85 <= hits / 300 <= 0.95
    assert 0.85 <= shares / 300 <= 0.95


def test_ranks_are_sure_where_sizes_are_apart_and_open_where_they_are_close():
    values = shap(500, scales=(1.0, 0.51, 0.5))
    table = importance_table(values, NAMES, level=0.95, seed=1)
    assert row_of(table, "a")["rank_low"] == row_of(table, "a")["rank_high"] == 1
    for name in ("b", "c"):
        assert (row_of(table, name)["rank_low"], row_of(table, name)["rank_high"]) == (2, 3)


def test_rank_intervals_hold_the_true_rank():
    """Where two truths are close, the rank of the sample is often wrong and the interval is not."""
    scales, held, right = (1.0, 0.55, 0.5), 0, 0
    for seed in range(200):
        values = shap(150, seed=seed, scales=scales)
        row = row_of(importance_table(values, NAMES, level=0.95, replicates=200, seed=seed), "b")
        held += row["rank_low"] <= 2 <= row["rank_high"]
        right += row["rank"] == 2
    assert right < 195
    assert held / 200 >= 0.95


def test_features_that_are_not_used_share_a_rank_and_have_no_interval():
    values = np.hstack([shap(300), np.zeros((300, 2))])
    table = importance_table(values, (*NAMES, "z", "y"), level=0.95, seed=1)
    assert table["feature"].to_list()[3:] == ["y", "z"]
    for name in ("y", "z"):
        row = row_of(table, name)
        assert (row["importance"], row["share"], row["low"], row["share_high"]) == (0.0, 0.0, None, None)
        assert (row["rank"], row["rank_low"], row["rank_high"]) == (4, 4, 4)
        assert row["method"].startswith("no interval")


def test_a_model_without_any_effect_has_no_share():
    table = importance_table(np.zeros((5, 3)), NAMES, level=0.95, seed=1)
    assert table["importance"].to_list() == [0.0] * 3
    assert table["share"].null_count() == 3


def test_the_method_tells_rows_from_cells():
    assert bootstrap_method(CELLS, 500) == "bootstrap over applicants, 500 replicates"
    assert bootstrap_method(CELLS + 1, 1_000) == (
        "bootstrap over 2,000 random cells of applicants, 1,000 replicates"
    )
    assert importance_table(shap(50), NAMES, level=0.9, seed=1)["method"][0] == (
        "percentile bootstrap over applicants, 1,000 replicates"
    )


def test_the_seed_decides_and_nothing_else():
    values = shap(CELLS + 100)
    first, again, other = (importance_table(values, NAMES, level=0.9, seed=seed) for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)


def test_everything_wrong_with_the_values_is_told_at_once():
    broken = shap(10)
    broken[0, 0], broken[0, 1], broken[4, 2] = np.nan, np.inf, np.nan
    with pytest.raises(DataError) as error:
        importance_table(broken, ("a", "b"), level=0.95, seed=1)
    assert error.value.faults == (
        "2 names for 3 columns of values",
        "values are missing or infinite for 2 of 10 applicants",
    )
    with pytest.raises(DataError, match="there are no applicants"):
        importance_table(np.empty((0, 3)), NAMES, level=0.95, seed=1)
    with pytest.raises(DataError, match="1 dimensions; 2 are needed"):
        importance_table(np.ones(3), NAMES, level=0.95, seed=1)


sizes = st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=8).map(np.array)


@given(sizes)
def test_shares_add_up_to_one_or_are_undefined(size):
    shares = shares_of(size)
    assert shares.sum() == pytest.approx(1) if size.sum() > 0 else np.isnan(shares).all()


@given(sizes, st.floats(0.01, 100))
def test_ranks_start_at_one_and_do_not_know_the_unit(size, unit):
    ranks = ranks_of(size)
    assert ranks.min() == 1
    assert ranks.tolist() == [1 + int((size > one).sum()) for one in size]
    whole = np.round(size)
    assert ranks_of(whole * 4).tolist() == ranks_of(whole).tolist()


@settings(max_examples=25)
@given(st.integers(0, 1_000))
def test_rank_bounds_are_ordered_and_widen_with_the_level(seed):
    drawn = np.random.default_rng(seed).random((50, 4))
    (low, high), (lower, higher) = (rank_bounds(drawn, level=level) for level in (0.5, 0.95))
    assert (low <= high).all()
    assert (lower <= low).all()
    assert (high <= higher).all()


# Interactions


def test_interactions_are_twice_their_value_of_the_whole():
    values = np.array([[1.0, 0.0], [-1.0, 0.5]])
    alone = np.array([[2.0, 1.0, 0.0], [-2.0, 1.0, 0.0]])
    table = interaction_table(values, [("a", "b"), ("a", "c")], alone, level=0.95, seed=1)
    assert table.select("feature", "with_feature").rows() == [("a", "b"), ("a", "c")]
    assert table["interaction"].to_list() == [1.0, 0.25]
    assert table["share"].to_list() == pytest.approx([2 / 5.5, 0.5 / 5.5])
    assert table["low"].to_list()[0] is None
    assert table["method"][0].startswith("no interval")
    assert table["low"][1] <= 0.25 <= table["high"][1]


def test_without_interactions_the_shares_are_zero():
    table = interaction_table(np.zeros((4, 1)), [("a", "b")], np.ones((4, 2)), level=0.95, seed=1)
    assert table["share"].to_list() == [0.0]


def test_no_pairs_is_an_empty_table():
    table = interaction_table(np.empty((4, 0)), [], np.ones((4, 2)), level=0.95, seed=1)
    assert table.height == 0
    assert {"feature", "with_feature", "interaction", "share"} <= set(table.columns)


def test_interactions_of_other_applicants_are_refused():
    with pytest.raises(DataError, match="4 applicants of the pairs, 5 of the features alone"):
        interaction_table(np.ones((4, 1)), [("a", "b")], np.ones((5, 2)), level=0.95, seed=1)


# Scorecard


def scorecard():
    """Two characteristics: 30 applicants at 10 points and 10 at 50 (mean distance 15), and a hump."""
    return pl.DataFrame(
        {
            "characteristic": ["income"] * 3 + ["age"] * 4 + ["calls"] * 2,
            "attribute": [
                *("below 5", "5 and above", "Missing"),
                *("below 1", "1 to below 2", "2 and above", "Special"),
                *("any value", "Missing"),
            ],
            "applicants": [30, 10, 0, 10, 10, 20, 0, 20, 20],
            "points": [10.0, 50.0, 90.0, 1.0, 3.0, 2.0, -70.0, 5.0, 5.0],
        }
    )


def compared(directions=None):
    values = np.array([[3.0, 1.0, 0.0, 0.0]] * 2)
    importance = importance_table(values, ("income", "flows", "calls", "never"), level=0.95, seed=1)
    return scorecard_comparison(scorecard(), importance, directions or {"income": -1, "flows": 1})


def test_the_scorecard_s_importance_is_the_mean_distance_of_its_points():
    table = compared()
    assert row_of(table, "income")["mean_points"] == 15.0
    assert row_of(table, "age")["mean_points"] == pytest.approx((10 * 1 + 10 * 1 + 0) / 40)
    assert table["scorecard_share"].sum() == pytest.approx(1)
    assert row_of(table, "income")["scorecard_share"] == pytest.approx(15 / 15.5)


def test_features_of_one_model_alone_are_there_with_zero():
    table = compared()
    assert row_of(table, "flows")["mean_points"] is None
    assert row_of(table, "flows")["scorecard_share"] == 0.0
    assert row_of(table, "age")["champion_share"] == 0.0
    assert row_of(table, "age")["champion_rank"] == 3
    assert row_of(table, "age")["rank_gap"] == 1


def test_features_that_neither_uses_are_left_out():
    assert set(compared()["feature"]) == {"income", "flows", "age"}


def test_more_points_as_the_value_rises_is_a_falling_risk():
    table = compared()
    assert row_of(table, "income")["scorecard_direction"] == -1
    assert row_of(table, "age")["scorecard_direction"] == 0
    assert row_of(table, "flows")["scorecard_direction"] is None


@pytest.mark.parametrize(("direction", "same"), [(-1, True), (1, False), (0, None), (None, None)])
def test_directions_are_compared_where_both_have_one(direction, same):
    assert row_of(compared({"income": direction}), "income")["same_direction"] is same


def test_the_agreement_is_told_with_intervals():
    found = scorecard_agreement(compared(), level=0.95)
    assert found["same_direction"].value == 1.0
    assert found["same_direction"].low < 1.0
    names = [f"f{at}" for at in range(6)]
    shares = pl.DataFrame(
        {
            "feature": names,
            "champion_share": [0.3, 0.25, 0.2, 0.15, 0.1, 0.0],
            "scorecard_share": [0.25, 0.3, 0.2, 0.15, 0.0, 0.1],
            "same_direction": [True, False, None, None, True, None],
        }
    )
    found = scorecard_agreement(shares, level=0.95)
    assert found["rank_correlation"].value == pytest.approx(1 - 6 * 4 / (6 * 35))
    assert found["rank_correlation"].low < found["rank_correlation"].value < found["rank_correlation"].high
    assert found["same_direction"].value == pytest.approx(2 / 3)


def test_no_direction_to_compare_is_undefined():
    assert scorecard_agreement(compared({"flows": 1}), level=0.95)["same_direction"].value is None
