"""Steadiness: ranges, agreement with the champion, and what chance alone gives."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from workbench.errors import DataError
from workbench.explanation.steadiness import (
    agreement_summary,
    importance_spread,
    model_agreement,
    model_importance,
    monthly_importance,
)

NAMES = ("a", "b", "c", "d")


def shap(size=300, seed=1, scales=(1.0, 0.7, 0.4, 0.2)):
    return np.random.default_rng(seed).normal(size=(size, len(scales))) * scales


def model(sizes, *, kind="seed", model="1"):
    return model_importance(np.array([sizes, sizes], dtype=float), NAMES, kind=kind, model=model)


CHAMPION = model([4, 3, 2, 1], kind="champion", model="champion")
SEEDS = pl.concat([model([4, 2, 3, 1]), model([5, 3, 1, 1], model="2")])
RESAMPLES = model([1, 2, 3, 4], kind="resample")


def test_a_model_s_importance_is_its_mean_sizes():
    table = model_importance(np.array([[1.0, -4.0], [-3.0, 0.0]]), ("a", "b"), kind="seed", model="7")
    assert table.select("kind", "model", "feature").row(0) == ("seed", "7", "a")
    assert table["importance"].to_list() == [2.0, 2.0]
    assert table["share"].to_list() == [0.5, 0.5]
    assert table["rank"].to_list() == [1, 1]
    assert table["applicants"].to_list() == [2, 2]


def test_the_error_of_a_share_is_that_over_new_samples():
    drawn = pl.concat(
        [model_importance(shap(seed=seed), NAMES, kind="seed", model=str(seed)) for seed in range(400)]
    )
    found = drawn.group_by("feature").agg(pl.col("share").std(), pl.col("share_error").mean())
    assert found["share_error"].to_list() == pytest.approx(found["share"].to_list(), rel=0.12)


def test_months_are_told_apart_in_their_order():
    values = shap(90)
    months = pl.Series(
        "application_month", ["2024-02"] * 40 + ["2024-01"] * 30 + [None] * 11 + ["2024-03"] * 9
    )
    table = monthly_importance(values, NAMES, months, least=10)
    assert table["model"].unique(maintain_order=True).to_list() == ["2024-01", "2024-02"]
    assert set(table["kind"]) == {"month"}
    alone = model_importance(values[40:70], NAMES, kind="month", model="2024-01")
    assert table.head(4).equals(alone)


@pytest.mark.parametrize(("least", "months"), [(30, 1), (31, 0)])
def test_both_sides_of_the_smallest_month(least, months):
    table = monthly_importance(shap(30), NAMES, pl.Series("month", [1] * 30), least=least)
    assert table.height == 4 * months
    assert table.schema == CHAMPION.schema


def test_the_spread_is_the_range_over_the_models_of_a_kind():
    table = importance_spread(CHAMPION, pl.concat([SEEDS, RESAMPLES]))
    assert table.select("kind", "feature").rows()[:5] == [
        *(("seed", name) for name in NAMES),
        ("resample", "a"),
    ]
    row = table.row(by_predicate=(pl.col("kind") == "seed") & (pl.col("feature") == "b"), named=True)
    assert (row["share"], row["rank"], row["models"]) == (0.3, 2, 2)
    assert (row["share_min"], row["share_max"]) == pytest.approx((0.2, 0.3))
    assert row["share_mean"] == pytest.approx(0.25)
    assert row["share_sd"] == pytest.approx(np.std([0.2, 0.3], ddof=1))
    assert (row["rank_min"], row["rank_max"], row["rank_sd"]) == (2, 3, pytest.approx(np.sqrt(0.5)))
    assert row["method"] == "range over 2 models"


def test_one_model_has_no_standard_deviation():
    table = importance_spread(CHAMPION, RESAMPLES)
    assert table["share_sd"].null_count() == table["rank_sd"].null_count() == 4
    assert table["share_min"].to_list() == table["share_max"].to_list()


def test_months_of_one_population_spread_no_more_than_their_noise():
    months = pl.Series("month", np.repeat(np.arange(24), 200))
    champion = model_importance(values := shap(4_800), NAMES, kind="champion", model="champion")
    still = importance_spread(champion, monthly_importance(values, NAMES, months, least=10))
    assert (still["share_sd"] / still["share_noise"]).is_between(0.6, 1.5).all()
    moving = values * np.column_stack([1 + months.to_numpy() / 12, *[np.ones(4_800)] * 3])
    moved = importance_spread(champion, monthly_importance(moving, NAMES, months, least=10))
    assert moved.filter(feature="a")["share_sd"][0] > 3 * moved.filter(feature="a")["share_noise"][0]


def test_agreement_is_that_of_the_ranks():
    table = model_agreement(CHAMPION, pl.concat([SEEDS, RESAMPLES]), top=2)
    assert table.select("kind", "model").rows() == [("seed", "1"), ("seed", "2"), ("resample", "1")]
    assert table["rank_correlation"].to_list() == pytest.approx(
        [0.8, spearmanr([4, 3, 2, 1], [5, 3, 1, 1]).statistic, -1.0]
    )
    assert table["kendall_correlation"].to_list() == pytest.approx(
        [2 / 3, kendalltau([4, 3, 2, 1], [5, 3, 1, 1]).statistic, -1.0]
    )
    assert table["top_overlap"].to_list() == [0.5, 1.0, 0.0]


def test_features_that_neither_uses_do_not_help_the_agreement():
    champion = model([4, 3, 0, 0], kind="champion")
    table = model_agreement(champion, model([1, 2, 0, 0]), top=10)
    assert table["rank_correlation"].to_list() == pytest.approx([-1.0])
    assert table["top_overlap"].to_list() == [1.0]
    assert model_agreement(champion, model([0, 0, 1, 2]), top=10)["top_overlap"].to_list() == [0.0]


def test_equal_shares_have_no_order_to_compare():
    table = model_agreement(CHAMPION, model([1, 1, 1, 1]))
    assert table["rank_correlation"].to_list() == table["kendall_correlation"].to_list() == [None]


@settings(max_examples=40)
@given(st.lists(st.integers(1, 50), min_size=4, max_size=4), st.integers(1, 6))
def test_a_model_agrees_with_itself(sizes, top):
    champion = model(sizes, kind="champion")
    row = model_agreement(champion, model(sizes), top=top).row(0, named=True)
    assert row["top_overlap"] == 1.0
    expected = None if len(set(sizes)) == 1 else pytest.approx(1.0)
    assert row["rank_correlation"] == expected
    assert row["kendall_correlation"] == expected


def test_the_summary_is_the_mean_over_models_with_its_interval():
    agreement = model_agreement(CHAMPION, pl.concat([SEEDS, RESAMPLES]), top=2)
    table = agreement_summary(agreement, level=0.95)
    rows = {(row["kind"], row["measure"]): row for row in table.iter_rows(named=True)}
    overlap = rows["seed", "top_overlap"]
    assert (overlap["value"], overlap["least"], overlap["models"]) == (0.75, 0.5, 2)
    assert overlap["low"] == -1.0
    assert overlap["high"] == 1.0
    assert overlap["method"] == "Student's t"
    alone = rows["resample", "rank_correlation"]
    assert (alone["value"], alone["low"], alone["high"]) == (pytest.approx(-1.0), None, None)


def test_what_cannot_be_compared_is_told_at_once():
    twice = pl.concat([model([1, 2, 3, 4]), model([1, 2, 3, 4])])
    other = model([1, 2, 3, 4], model="9").filter(pl.col("feature") != "a")
    with pytest.raises(DataError) as error:
        model_agreement(pl.concat([CHAMPION, RESAMPLES]), pl.concat([twice, other]), top=0)
    assert error.value.faults == (
        "2 champions; 1 is needed",
        "seed 1 is there more than once",
        "seed 9 differs from the champion in 1 features",
        "top is 0; at least 1 is needed",
    )
    with pytest.raises(DataError, match="there are no models to compare with"):
        importance_spread(CHAMPION, SEEDS.clear())


def test_values_that_cannot_be_measured_are_refused():
    with pytest.raises(DataError, match="all values of seed 3 are 0"):
        model_importance(np.zeros((3, 4)), NAMES, kind="seed", model="3")
    with pytest.raises(DataError, match="2 names for 4 columns"):
        model_importance(shap(), ("a", "b"), kind="seed", model="3")
    with pytest.raises(DataError, match="29 months for 30 applicants"):
        monthly_importance(shap(30), NAMES, pl.Series("month", [1] * 29), least=10)
