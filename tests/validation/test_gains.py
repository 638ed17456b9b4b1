import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.validation.gains import cutoff_table, gains_table

ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(300, 330)), min_size=2, max_size=60).filter(
    lambda rows: len({bad for bad, _ in rows}) == 2
)
TEN = ([1, 1, 0, 1, 0, 0, 0, 0, 0, 1], list(range(10)))


def test_band_one_is_the_riskiest_because_a_higher_score_is_safer():
    table = gains_table(*TEN, bands=2)
    assert table["default_rate"].to_list() == [0.6, 0.2]
    assert table["score_above"].to_list() == [None, 4.0]
    assert table["score_up_to"].to_list() == [4.0, None]


def test_gains_by_hand():
    table = gains_table(*TEN, bands=5)
    assert table["cumulative_bads_share"].to_list() == [0.5, 0.75, 0.75, 0.75, 1.0]
    assert table["cumulative_applicants_share"].to_list() == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert table["lift"].to_list() == pytest.approx([2.5, 1.25, 0, 0, 1.25])
    assert table["cumulative_lift"].to_list() == pytest.approx([2.5, 1.875, 1.25, 0.9375, 1.0])
    assert table["cumulative_goods_share"].to_list() == pytest.approx([0, 1 / 6, 3 / 6, 5 / 6, 1])


@given(ROWS)
def test_bands_count_everyone_once_and_end_at_one(rows):
    default, score = zip(*rows, strict=True)
    table = gains_table(default, score)
    assert table["applicants"].sum() == len(rows)
    assert table["defaults"].sum() == sum(default)
    assert table["band"].to_list() == list(range(1, table.height + 1))
    assert [table["cumulative_bads_share"][-1], table["cumulative_lift"][-1]] == pytest.approx([1, 1])
    low, high = proportion_confint(table["defaults"], table["applicants"], method="wilson")
    assert table["low"].to_numpy() == pytest.approx(np.asarray(low), abs=1e-12)
    assert table["high"].to_numpy() == pytest.approx(np.asarray(high), abs=1e-12)


def test_one_score_for_everyone_is_one_band_without_lift():
    table = gains_table([0, 1, 0, 1], [600] * 4)
    assert (table.height, table["lift"][0]) == (1, 1.0)


def test_cutoffs_approve_at_and_above():
    table = cutoff_table(*TEN, cutoffs=[9, 5, 99])
    assert table["cutoff"].to_list() == [5.0, 9.0, 99.0]
    assert table["approved"].to_list() == [5, 1, 0]
    assert table["approval_rate"].to_list() == [0.5, 0.1, 0.0]
    assert table["default_rate"].to_list() == [0.2, 1.0, None]
    assert table["low"].to_list()[2] is None
    assert table["bads_declined"].to_list() == [0.75, 0.75, 1.0]
    assert table["goods_declined"].to_list() == pytest.approx([2 / 6, 1.0, 1.0])


@given(ROWS)
def test_every_cutoff_equals_a_plain_count(rows):
    default, score = (np.array(column) for column in zip(*rows, strict=True))
    for row in cutoff_table(default, score).iter_rows(named=True):
        approved = score >= row["cutoff"]
        assert row["approved"] == approved.sum()
        assert row["defaults"] == default[approved].sum()
        expected = proportion_confint(approved.sum(), len(rows), method="wilson")
        assert (row["approval_low"], row["approval_high"]) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("table", [gains_table, cutoff_table])
def test_scores_that_are_missing_or_one_class_are_refused(table):
    with pytest.raises(DataError) as caught:
        table([0, 0, 0], [600.5, np.nan, np.inf])
    assert "score is missing or infinite in 2 of 3 rows" in str(caught.value)
    assert "3 goods and 0 bads" in str(caught.value)
    assert "600.5" not in str(caught.value)


def test_tables_have_no_row_data():
    default, score = np.random.default_rng(1).integers(0, 2, 5000), np.random.default_rng(2).normal(size=5000)
    assert gains_table(default, score).height == 10
    assert cutoff_table(default, score).height == 19
    assert gains_table(default, score).schema["score_above"] == pl.Float64
