"""Beeswarm and dependence: nobody is lost, and nobody can be seen."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.explanation.spread import beeswarm_table, dependence_table, hidden_counts, joined_edges

NAMES = ("a", "b")


def sample(size=2_000, seed=1, gaps=0.1):
    generator = np.random.default_rng(seed)
    feature = generator.normal(size=(size, 2))
    values = feature * [1.0, -0.3] + 0.05 * generator.normal(size=(size, 2))
    frame = pl.DataFrame(feature, schema=list(NAMES)).with_columns(
        b=pl.when(pl.Series(generator.random(size) >= gaps)).then("b")
    )
    return frame, values


FRAME, VALUES = sample()


def swarm(frame=FRAME, values=VALUES, **options):
    return beeswarm_table(frame, values, NAMES, **{"shown": NAMES, "least": 10, **options})


def dependence(frame=FRAME, values=VALUES, **options):
    return dependence_table(frame, values, NAMES, **{"shown": NAMES, "least": 10, "level": 0.95, **options})


# What must not be told

counts_of = st.lists(st.integers(0, 40), min_size=1, max_size=12).map(np.array)


@given(counts_of, st.integers(1, 15))
def test_small_counts_are_hidden_and_none_follows_by_subtraction(counts, least):
    hidden = hidden_counts(counts, least)
    small = (counts > 0) & (counts < least)
    assert hidden[small].all()
    assert not hidden[counts == 0].any()
    if not small.any():
        assert not hidden.any()
    elif counts.sum() >= least:
        assert counts[hidden].sum() >= least


def test_nothing_more_is_hidden_than_needed():
    assert hidden_counts(np.array([3, 50, 12, 0]), 10).tolist() == [True, False, True, False]
    assert hidden_counts(np.array([6, 4, 12, 50]), 10).tolist() == [True, True, False, False]
    assert hidden_counts(np.array([9, 10]), 10).tolist() == [True, True]
    assert hidden_counts(np.array([10, 10]), 10).tolist() == [False, False]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=200).map(np.array), st.integers(1, 20))
def test_joined_bins_have_enough_applicants(values, least):
    edges = joined_edges(values.astype(float), np.unique(values)[:-1].astype(float), least)
    counts = np.bincount(np.searchsorted(edges, values, side="left"), minlength=edges.size + 1)
    assert counts.sum() == values.size
    assert edges.size == 0 or counts.min() >= least


# Beeswarm


def test_everyone_is_in_a_bin():
    table = swarm(least=1)
    for name in NAMES:
        assert table.filter(feature=name)["applicants"].sum() == FRAME.height


def test_bins_are_where_the_values_are():
    table = swarm(least=1, bins=20).filter(feature="a")
    edges = sorted({*table["low"], *table["high"]})
    inner = table.filter((pl.col("bin") > 1) & (pl.col("bin") < 20))
    for row in inner.iter_rows(named=True):
        inside = ((VALUES[:, 0] >= row["low"]) & (VALUES[:, 0] < row["high"])).sum()
        assert row["applicants"] == inside
    assert np.diff(edges) == pytest.approx(np.diff(edges)[0])
    assert table["width"].max() == 1.0
    assert table["width"].to_list() == pytest.approx(table["applicants"] / table["applicants"].max())


def test_the_ends_are_not_those_of_a_single_applicant():
    """One far away on each side: the bins do not reach them, and they count to the outermost."""
    values = VALUES.copy()
    values[0, 0], values[1, 0] = 1_000.0, -1_000.0
    table = swarm(values=values)
    assert table["high"].max() < 10
    assert table["low"].min() > -10


def test_bins_of_few_show_no_number():
    table = swarm(least=25)
    assert table["applicants"].null_count() > 0
    assert table["applicants"].drop_nulls().min() >= 25
    hidden = table.filter(pl.col("applicants").is_null())
    assert hidden["width"].null_count() == hidden.height
    for name in NAMES:
        lost = FRAME.height - table.filter(feature=name)["applicants"].sum()
        assert lost == 0 or lost >= 25


@pytest.mark.parametrize(("least", "told"), [(5, True), (6, False)])
def test_both_sides_of_the_smallest_count(least, told):
    values = np.repeat([[0.0], [1.0]], [5, 95], axis=0)
    table = beeswarm_table(pl.DataFrame({"a": range(100)}), values, ["a"], shown=["a"], least=least, bins=2)
    assert table.height == (2 if told else 1) or table["applicants"].null_count() == 2
    if told:
        assert table["applicants"].to_list() == [5, 95]


def test_the_percentile_rises_with_the_feature():
    table = swarm()
    for name, rises in (("a", True), ("b", False)):
        shown = table.filter(feature=name).drop_nulls("percentile")["percentile"]
        assert shown.is_sorted(descending=not rises)
        assert shown.is_between(0, 1).all()


def test_the_percentile_is_a_half_on_average_and_for_a_feature_of_one_value():
    table = swarm(least=1).filter(feature="a")
    mean = (table["percentile"] * table["applicants"]).sum() / FRAME.height
    assert mean == pytest.approx(0.5)
    constant = swarm(frame=FRAME.with_columns(a=pl.lit(7.0)), least=1).filter(feature="a")
    assert constant["percentile"].to_list() == pytest.approx([0.5] * constant.height)


def test_a_feature_that_nobody_has_is_there_without_percentile():
    table = swarm(frame=FRAME.with_columns(b=pl.lit(None, dtype=pl.Float64))).filter(feature="b")
    assert table["applicants"].sum() > 0
    assert table["percentile"].null_count() == table.height


def test_values_that_are_all_equal_are_one_bin():
    table = swarm(values=np.full((FRAME.height, 2), 0.25))
    assert table.height == 2
    assert table["applicants"].to_list() == [FRAME.height] * 2


# Dependence


def test_dependence_counts_everyone_once_and_the_missing_apart():
    table = dependence()
    for name in NAMES:
        rows = table.filter(feature=name)
        known = rows.filter(~pl.col("missing"))
        assert rows["applicants"].sum() == FRAME.height
        assert known["bin"].to_list() == list(range(1, 13))
        assert known["middle"].is_sorted()
    missing = table.filter("missing")
    assert missing["feature"].to_list() == ["b"]
    assert missing.select("applicants", "bin", "middle").row(0) == (FRAME["b"].null_count(), None, None)
    assert missing["mean"][0] == pytest.approx(VALUES[FRAME["b"].is_null().to_numpy(), 1].mean())


def test_dependence_means_are_those_of_the_named_feature():
    frame = pl.DataFrame({"a": [0.0] * 4, "b": [1.0, 2.0, 3.0, 4.0]})
    values = np.array([[9.0, 1.0], [9.0, 2.0], [9.0, 3.0], [9.0, 5.0]])
    table = dependence(frame, values, shown=["b"], least=1, bins=2)
    assert table["mean"].to_list() == [1.5, 4.0]
    assert table["middle"].to_list() == [1.5, 3.5]
    assert table["low"].to_list() == pytest.approx([1.1, 3.2])
    assert table["high"].to_list() == pytest.approx([1.9, 4.8])
    half = 1.959964 * np.sqrt(0.5) / np.sqrt(2)
    assert table["mean_high"][0] == pytest.approx(1.5 + half, abs=1e-5)
    assert table["mean_low"][0] == pytest.approx(1.5 - half, abs=1e-5)


def test_a_bin_of_equal_values_has_no_interval():
    table = dependence(values=np.full((FRAME.height, 2), 0.25))
    assert table["mean"].to_list() == pytest.approx([0.25] * table.height)
    assert table["mean_low"].null_count() == table["mean_high"].null_count() == table.height


def test_dependence_of_a_constant_feature_is_one_bin():
    table = dependence(FRAME.with_columns(a=pl.lit(2.0)), shown=["a"])
    assert table.select("bin", "applicants", "middle").rows() == [(1, FRAME.height, 2.0)]


@pytest.mark.parametrize(("missing", "told"), [(9, False), (10, True)])
def test_few_missing_show_no_number_and_do_not_follow_by_subtraction(missing, told):
    frame = FRAME.with_columns(a=pl.when(pl.int_range(pl.len()) >= missing).then("a"))
    table = dependence(frame, shown=["a"])
    row = table.filter("missing")
    assert row["mean"].is_not_null().all() == told
    assert row["applicants"].is_not_null().all() == told
    known = table.filter(~pl.col("missing"))
    assert known["applicants"].null_count() == (0 if told else 1)
    assert known["mean"].null_count() == 0


def test_ties_are_joined_until_there_are_enough():
    feature = np.repeat([0.0, 1.0, 2.0, 3.0], [500, 4, 300, 5])
    frame, values = pl.DataFrame({"a": feature}), feature[:, None]
    table = dependence_table(frame, values, ["a"], shown=["a"], least=10, level=0.95)
    assert table["applicants"].sum() == 809
    assert table["applicants"].min() >= 10


def test_a_feature_that_nobody_has_is_one_row():
    table = dependence(FRAME.with_columns(a=pl.lit(None, dtype=pl.Float64)), shown=["a"])
    assert table.select("bin", "missing", "applicants").rows() == [(None, True, FRAME.height)]


def test_intervals_cover_the_mean_of_a_bin():
    hits = 0
    for seed in range(300):
        generator = np.random.default_rng(seed)
        frame = pl.DataFrame({"a": np.repeat([0.0, 1.0], 60)})
        values = (frame["a"].to_numpy() + generator.normal(size=120))[:, None]
        table = dependence_table(frame, values, ["a"], shown=["a"], least=10, level=0.9)
        hits += table["mean_low"][1] <= 1.0 <= table["mean_high"][1]
    assert 0.85 <= hits / 300 <= 0.95


@pytest.mark.parametrize("table_of", [swarm, dependence])
def test_everything_wrong_is_told_at_once(table_of):
    with pytest.raises(DataError) as error:
        table_of(FRAME.drop("b").head(5), shown=["b", "aa"], bins=1, least=0)
    assert error.value.faults == (
        "5 rows of features for 2,000 of values",
        "the table has no feature 'b'",
        "the values have no feature 'aa' (did you mean a?)",
        "1 bins asked for; at least 2 are needed",
        "least is 0; at least 1 is needed",
    )
    with pytest.raises(DataError, match="no feature is to be shown"):
        table_of(shown=[])
