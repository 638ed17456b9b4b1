"""The applicants most like one: by ranks, weighted, missing values as a case of their own."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from workbench.errors import DataError
from workbench.explanation.neighbours import differences, nearest


def people(**columns) -> pl.DataFrame:
    size = len(next(iter(columns.values())))
    return pl.DataFrame({"applicant_id": range(1, size + 1), **columns}, strict=False)


def found(frame, approved, weights, *, of=1, count=10) -> list[tuple]:
    return nearest(frame, of, approved=pl.Series(approved), weights=weights, count=count).rows()


def test_the_nearest_of_each_group_come_first_and_the_applicant_is_none_of_them():
    frame = people(a=[1.0, 2.0, 3.0, 4.0, 5.0])
    assert found(frame, [1, 1, 0, 1, 0], {"a": 2.0}) == [
        ("approved", 1, 2, pytest.approx(0.2)),
        ("approved", 2, 4, pytest.approx(0.6)),
        ("declined", 1, 3, pytest.approx(0.4)),
        ("declined", 2, 5, pytest.approx(0.8)),
    ]


def test_at_most_count_of_each_group():
    frame = people(a=[float(value) for value in range(9)])
    assert [row[:3] for row in found(frame, [1, 1, 1, 1, 0, 0, 0, 0, 0], {"a": 1.0}, of=1, count=2)] == [
        ("approved", 1, 2),
        ("approved", 2, 3),
        ("declined", 1, 5),
        ("declined", 2, 6),
    ]


def test_an_applicant_who_is_alone_has_no_neighbour():
    table = nearest(people(a=[1.0]), 1, approved=pl.Series([1]), weights={"a": 1.0}, count=3)
    assert table.height == 0
    assert table.columns == ["group", "rank", "applicant_id", "distance"]


def test_one_extreme_value_does_not_decide():
    near, far = found(people(a=[1.0, 2.0, 1e12]), [1, 1, 1], {"a": 1.0})
    assert (near[2], far[2]) == (2, 3)
    assert far[3] == pytest.approx(2 / 3)


def test_a_value_missing_for_one_is_as_far_as_can_be_and_for_both_the_same():
    frame = people(a=[None, None, 1.0], b=[1.0, 1.0, 1.0])
    assert found(frame, [1, 1, 1], {"a": 3.0, "b": 1.0}) == [
        ("approved", 1, 2, 0.0),
        ("approved", 2, 3, pytest.approx(0.75)),
    ]


def test_nan_is_missing():
    with_null, with_nan = people(a=[1.0, None, 3.0]), people(a=[1.0, float("nan"), 3.0])
    assert found(with_null, [1, 1, 1], {"a": 1.0}) == found(with_nan, [1, 1, 1], {"a": 1.0})


def test_an_applicant_with_everything_missing_has_neighbours_like_that_first():
    frame = people(a=[None, 5.0, None], b=[None, 1.0, None])
    assert [row[2:] for row in found(frame, [0, 0, 0], {"a": 1.0, "b": 1.0})] == [(3, 0.0), (2, 1.0)]


def test_equal_distances_come_by_id():
    assert [row[2] for row in found(people(a=[2.0, 1.0, 3.0]), [1, 1, 1], {"a": 1.0})] == [2, 3]


def test_a_feature_without_weight_does_not_count():
    frame = people(a=[1.0, 1.0, 2.0], b=[1.0, 9.0, 1.0])
    assert [row[2] for row in found(frame, [1, 1, 1], {"a": 1.0, "b": 0.0})] == [2, 3]


@given(
    columns=st.lists(
        st.lists(st.one_of(st.none(), st.integers(-3, 3).map(float)), min_size=6, max_size=6),
        min_size=1,
        max_size=3,
    )
)
@settings(max_examples=50, deadline=None)
def test_distances_are_those_of_plain_ranks(columns):
    frame = people(**{f"f{i}": pl.Series(column, dtype=pl.Float64) for i, column in enumerate(columns)})
    weights = {f"f{i}": float(i + 1) for i in range(len(columns))}
    expected = np.zeros(6)
    for i, column in enumerate(columns):
        values = np.array([np.nan if value is None else value for value in column])
        known = ~np.isnan(values)
        ranks = np.full(6, np.nan)
        ranks[known] = (rankdata(values[known]) - 0.5) / max(known.sum(), 1)
        for other in range(6):
            if known[0] and known[other]:
                expected[other] += (i + 1) * abs(ranks[0] - ranks[other])
            elif known[0] != known[other]:
                expected[other] += i + 1
    expected /= sum(weights.values())
    rows = found(frame, [1] * 6, weights)
    assert {row[2]: row[3] for row in rows} == pytest.approx({n: expected[n - 1] for n in range(2, 7)})
    assert all(0 <= row[3] <= 1 for row in rows)


@given(values=st.lists(st.floats(-1e3, 1e3), min_size=4, max_size=8, unique=True))
@settings(max_examples=50, deadline=None)
def test_a_rising_change_of_units_changes_nothing(values):
    approved = [1] * len(values)
    plain = found(people(a=values), approved, {"a": 1.0})
    assert found(people(a=[rank**3.0 for rank in rankdata(values)]), approved, {"a": 1.0}) == plain


def test_differences_are_told_weightiest_first_and_only_where_there_are_any():
    frame = people(a=[1.0, 1.0, 3.0], b=[5.0, 2.0, 5.0], c=[None, 1.0, 1.0])
    table = differences(frame, 1, [3, 2], weights={"a": 1.0, "b": 3.0, "c": 0.4}, shown=2)
    assert table.drop("weight").rows() == [
        (3, "a", 1.0, 3.0, 2.0),
        (3, "c", None, 1.0, None),
        (2, "b", 5.0, 2.0, -3.0),
        (2, "c", None, 1.0, None),
    ]
    assert table["weight"].min() > 0


def test_the_same_applicant_differs_in_nothing():
    table = differences(people(a=[1.0, 1.0]), 1, [2], weights={"a": 1.0}, shown=3)
    assert table.height == 0
    assert table.columns == ["applicant_id", "feature", "own", "other", "difference", "weight"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"of": 9}, "the applicant is not in the table of features"),
        ({"weights": {"aa": 1.0}}, "aa is missing (did you mean a?)"),
        ({"weights": {"a": 0.0}}, "the weights must be at least 0, and one of them above it"),
        ({"weights": {"a": -1.0, "b": 1.0}}, "the weights must be at least 0, and one of them above it"),
        ({"weights": {}}, "the weights must be at least 0, and one of them above it"),
        ({"approved": [1]}, "there are 1 decisions for 2 applicants"),
        ({"count": 0}, "count is 0; at least 1 is right"),
    ],
)
def test_what_cannot_be_compared_is_refused(change, fault):
    arguments = {"approved": [1, 0], "weights": {"a": 1.0}} | change
    with pytest.raises(DataError) as caught:
        found(people(a=[1.0, 2.0], b=[1.0, 2.0]), **arguments)
    assert caught.value.faults == (fault,)


def test_all_faults_are_told_together():
    with pytest.raises(DataError) as caught:
        found(people(a=[1.0, 2.0]), [1], {"b": 0.0}, of=7, count=0)
    assert len(caught.value.faults) == 5
