import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, check_outcome_counts, outcome_counts

ROWS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60
)


@given(ROWS)
def test_cells_equal_a_plain_count_and_add_up(rows):
    counts = outcome_counts(*zip(*rows, strict=True))
    assert counts["applicants"].sum() == len(rows)
    assert counts.select(pl.sum_horizontal(CELLS)).to_series().to_list() == counts["applicants"].to_list()
    for row in counts.iter_rows(named=True):
        for name, default, approved in zip(CELLS, (0, 0, 1, 1), (1, 0, 1, 0), strict=True):
            assert row[name] == rows.count((row["group"], default, approved))


def test_groups_are_sorted_so_the_order_of_rows_does_not_matter():
    assert outcome_counts(["b", "a"], [0, 1], [1, 0]).equals(outcome_counts(["a", "b"], [1, 0], [0, 1]))


def test_bands_stay_in_their_order_and_become_text():
    order = pl.Enum(["under 30", "30 to 39", "40 and over"])
    bands = pl.Series(["40 and over", "under 30", "30 to 39"], dtype=order)
    counts = outcome_counts(bands, [0, 1, 0], [1, 0, 0])
    assert counts["group"].to_list() == ["under 30", "30 to 39", "40 and over"]
    assert counts.schema["group"] == pl.String


def test_polars_columns_and_truth_values_are_taken():
    counts = outcome_counts(pl.Series(["x", "x"]), pl.Series([True, False]), np.array([True, True]))
    assert counts.rows() == [("x", 2, 1, 0, 1, 0)]


def test_all_faults_come_at_once_with_counts():
    with pytest.raises(DataError) as caught:
        outcome_counts(["a", None, "b"], [0, 1, None], [1, 2])
    assert len(caught.value.faults) == 4
    assert "group is missing in 1 of 3" in str(caught.value)
    assert "approved is missing or neither 0 nor 1 in 1 of 2" in str(caught.value)


def test_nothing_is_refused():
    with pytest.raises(DataError, match="no rows"):
        outcome_counts([], [], [])


def test_counts_that_contradict_themselves_are_refused():
    counts = outcome_counts(["a", "b"], [0, 1], [1, 0])
    with pytest.raises(DataError, match="column group is absent"):
        check_outcome_counts(counts.drop("group"))
    with pytest.raises(DataError, match="do not add up to applicants in 2 groups") as caught:
        check_outcome_counts(pl.concat([counts.with_columns(applicants=9, group=pl.lit("a"))]))
    assert "more than one row" in str(caught.value)
