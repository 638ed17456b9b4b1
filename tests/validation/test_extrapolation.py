import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.validation.extrapolation import extrapolation_table, range_table

NAMES = ["a", "b"]
DEVELOPMENT = pl.DataFrame({"a": [1.0, 2.0, 3.0, None], "b": [10, 20, 30, 40]})
ROWS = pl.DataFrame({"a": [0.0, 1.0, 3.0, 4.0, None], "b": [10, 9, None, 41, 20]})
VALUES = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=20)


def test_ranges_by_hand():
    table = range_table(DEVELOPMENT, ROWS, names=NAMES)
    assert table["feature"].to_list() == NAMES
    assert table["known"].to_list() == [4, 4]
    assert table["below"].to_list() == [1, 1]
    assert table["above"].to_list() == [1, 1]
    assert table["value"].to_list() == [0.5, 0.5]
    assert (table["low"][0], table["high"][0]) == pytest.approx(proportion_confint(2, 4, method="wilson"))


@pytest.mark.parametrize(("value", "outside"), [(1.0, 0), (3.0, 0), (0.999, 1), (3.001, 1)])
def test_the_ends_of_the_range_are_inside(value, outside):
    table = range_table(DEVELOPMENT, pl.DataFrame({"a": [value], "b": [20]}), names=["a"])
    assert table["value"][0] == outside


@given(VALUES, VALUES)
def test_shares_equal_plain_counts(old, new):
    development, rows = (pl.DataFrame({"a": pl.Series(values, dtype=pl.Int64)}) for values in (old, new))
    seen = [value for value in old if value is not None]
    known = [value for value in new if value is not None]
    outside = sum(not seen or value < min(seen) or value > max(seen) for value in known)
    row = range_table(development, rows, names=["a"]).row(0, named=True)
    assert row["known"] == len(known)
    assert row["below"] + row["above"] == outside


def test_the_same_population_is_outside_as_seldom_as_promised():
    generator = np.random.default_rng(1)
    early, late = (pl.DataFrame({"a": generator.normal(size=size)}) for size in (2000, 50_000))
    row = range_table(early, late, names=["a"]).row(0, named=True)
    assert row["value"] < 0.004
    assert row["tails"] == pytest.approx(0.002, abs=0.0015)
    moved = range_table(early, late.with_columns(pl.col("a") + 3), names=["a"]).row(0, named=True)
    assert moved["low"] > 0.2
    assert moved["tails"] > moved["value"]


def test_inside_and_outside_are_measured_apart():
    generator = np.random.default_rng(3)
    size = 6000
    early = pl.DataFrame({"a": generator.uniform(-1, 1, 3000), "b": generator.normal(size=3000)})
    a = generator.uniform(-2, 2, size)
    late = pl.DataFrame({"a": a, "b": generator.normal(size=size)})
    prob = 1 / (1 + np.exp(1 - np.clip(a, -1, 1)))
    default = (generator.random(size) < 1 / (1 + np.exp(1 - a))).astype(int)
    table = extrapolation_table(early, late, default, prob, names=NAMES)
    inside, outside = table.filter(rule="range").iter_rows(named=True)
    assert inside["applicants"] + outside["applicants"] == size
    beyond = (
        (np.abs(a) > 1)
        | (late["b"] < early["b"].min()).to_numpy()
        | (late["b"] > early["b"].max()).to_numpy()
    )
    assert outside["applicants"] == pytest.approx(beyond.sum(), abs=5)
    assert inside["in_the_large_low"] < 0 < inside["in_the_large_high"]
    assert outside["share"] == pytest.approx(0.5, abs=0.03)
    assert inside["auc_low"] < inside["auc"] < inside["auc_high"]
    tails = table.filter(rule="tails", part="outside").row(0, named=True)
    assert tails["applicants"] >= outside["applicants"]


def test_parts_are_those_of_the_direct_calls():
    default, prob = [1, 0, 1, 0, 1], [0.9, 0.1, 0.3, 0.6, 0.2]
    table = extrapolation_table(DEVELOPMENT, ROWS, default, prob, names=NAMES)
    assert table["rule"].unique(maintain_order=True).to_list() == ["range", "tails", "missing_pattern"]
    inside, outside = table.filter(rule="range").iter_rows(named=True)
    assert (inside["applicants"], inside["defaults"], inside["auc"]) == (2, 2, None)
    assert "one class" in inside["reason"]
    assert outside["auc"] == roc_auc_score([1, 0, 0], [0.9, 0.1, 0.6]) == 1
    assert outside["mean_pd"] == pytest.approx(1.6 / 3)
    assert "no interval" in outside["reason"]


def test_new_missing_patterns_are_found():
    rows = pl.DataFrame({"a": [1.0, None, 1.0, None], "b": [10.0, 10.0, float("nan"), None]})
    table = extrapolation_table(DEVELOPMENT, rows, [0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], names=NAMES)
    new = table.filter(rule="missing_pattern", part="outside").row(0, named=True)
    assert (new["applicants"], new["defaults"], new["share"]) == (2, 1, 0.5)


def test_more_features_than_a_byte_holds_keep_their_patterns_apart():
    names = [f"f{number}" for number in range(19)]
    whole = np.ones((4, 19))
    old, new = whole.copy(), whole.copy()
    old[0, 17], new[0, 17], new[1, 18] = np.nan, np.nan, np.nan
    frames = (pl.DataFrame(values, schema=names) for values in (old, new))
    table = extrapolation_table(*frames, [0, 1, 0, 1], [0.1] * 4, names=names)
    assert table.filter(rule="missing_pattern")["applicants"].to_list() == [3, 1]


def test_nobody_outside_is_told_without_numbers():
    table = extrapolation_table(DEVELOPMENT, DEVELOPMENT, [0, 1, 0, 1], [0.1] * 4, names=NAMES)
    for row in table.filter(part="outside").iter_rows(named=True):
        assert (row["applicants"], row["share"]) == (0, 0)
        assert row["mean_pd"] is row["default_rate"] is row["in_the_large"] is row["auc"] is None
        assert row["reason"] == "undefined: there is nobody"


def test_faults_come_together():
    with pytest.raises(DataError) as caught:
        range_table(DEVELOPMENT.clear(), ROWS.drop("b"), names=["a", "b", "bb"])
    text = str(caught.value)
    assert "development has no rows" in text
    assert "rows has no feature b" in text
    assert "development has no feature bb (did you mean b?)" in text
    with pytest.raises(DataError, match="no feature to compare"):
        range_table(DEVELOPMENT, ROWS, names=[])


def test_outcomes_of_other_rows_are_refused():
    with pytest.raises(DataError, match="5 rows and 2 outcomes"):
        extrapolation_table(DEVELOPMENT, ROWS, [0, 1], [0.1, 0.2], names=NAMES)
