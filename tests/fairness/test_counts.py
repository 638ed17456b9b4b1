import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import (
    CELLS,
    RATES,
    Costs,
    attribute_counts,
    check_outcome_counts,
    outcome_counts,
    rate_values,
    total,
)

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


def test_attributes_are_counted_beside_one_another():
    frame = pl.DataFrame(
        {"default": [0, 1, 0], "approved": [1, 1, 0], "sex": ["m", "f", "f"], "region": [1, 1, 1]}
    )
    counts = attribute_counts(frame, ["sex", "region"])
    assert counts.columns == ["attribute", "group", "applicants", *CELLS]
    assert counts.rows() == [
        ("sex", "f", 2, 0, 1, 1, 0),
        ("sex", "m", 1, 1, 0, 0, 0),
        ("region", "1", 3, 1, 1, 1, 0),
    ]
    for name in ("sex", "region"):
        assert (
            counts.filter(attribute=name)
            .drop("attribute")
            .equals(outcome_counts(frame[name], frame["default"], frame["approved"]))
        )


def test_the_faults_of_all_attributes_come_at_once():
    frame = pl.DataFrame({"default": [0, 2], "approved": [1, 1], "sex": ["m", None], "region": [None, None]})
    with pytest.raises(DataError) as caught:
        attribute_counts(frame, ["sex", "region"])
    assert [fault.split(";")[0] for fault in caught.value.faults] == [
        "sex is missing in 1 of 2 rows",
        "region is missing in 2 of 2 rows",
        "default is missing or neither 0 nor 1 in 1 of 2 rows",
    ]


def test_a_band_without_applicants_is_no_group():
    bands = pl.Series(["b", "b"], dtype=pl.Enum(["a", "b"]))
    assert outcome_counts(bands, [0, 1], [1, 1])["group"].to_list() == ["b"]


def test_expected_counts_may_miss_by_rounding_only():
    counts = pl.DataFrame(
        [["a", 1.0, 0.25, 0.25, 0.25, 0.25 + 1e-9]], schema=["group", "applicants", *CELLS], orient="row"
    )
    check_outcome_counts(counts)
    with pytest.raises(DataError, match="do not add up"):
        check_outcome_counts(counts.with_columns(applicants=1.001))


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_rates_that_must_agree_do(cells):
    rates = {name: float(value) for name, value in rate_values(np.array(cells, dtype=float)).items()}
    assert list(rates) == list(RATES)
    for first, second in (
        ("true_positive_rate", "false_negative_rate"),
        ("false_positive_rate", "true_negative_rate"),
        ("accuracy", "error_cost"),
    ):
        assert np.isnan(rates[first]) == np.isnan(rates[second])
        assert np.isnan(rates[first]) or rates[first] + rates[second] == pytest.approx(1)


def test_an_error_costs_what_the_arguments_say():
    cells = np.array([6.0, 2.0, 1.0, 1.0])  # of 10: one bad approved, two goods declined
    assert float(rate_values(cells, Costs(bad_approved=5, good_declined=0.5))["error_cost"]) == 0.6
    assert float(total(cells, ("goods_declined", "bads_approved"))) == 3
