import polars as pl
import pytest

from workbench.data.memberships import ROWS, membership_rows
from workbench.errors import DataError

NAMED = {"ethnicity": {"a": "p_a", "b": "p_b"}}


def everyone(first, second, **columns):
    size = len(first)
    given = {"applicant_id": range(size), "left_out": [""] * size, "p_a": first, "p_b": second} | columns
    return pl.DataFrame(given)


def faults(first, second):
    with pytest.raises(DataError) as caught:
        membership_rows(everyone(first, second), NAMED)
    assert "probabilities that cannot be used" in caught.value.summary
    return caught.value.faults


def test_one_row_for_each_applicant_and_group():
    rows = membership_rows(everyone([0.25, 1], [0.75, 0]), NAMED)
    assert rows.schema == ROWS
    assert rows.sort("applicant_id", "group").rows() == [
        (0, "ethnicity", "a", 0.25),
        (0, "ethnicity", "b", 0.75),
        (1, "ethnicity", "a", 1.0),
        (1, "ethnicity", "b", 0.0),
    ]


def test_no_estimated_attribute_gives_no_rows():
    rows = membership_rows(everyone([0.5], [0.5]), {})
    assert (rows.height, rows.schema) == (0, ROWS)


def test_who_is_left_out_of_the_study_or_has_no_estimate_has_no_rows():
    rows = membership_rows(
        everyone([0.5, 0.5, None, 2.0], [0.5, 0.5, None, 2.0], left_out=["", "", "", "no outcome"]), NAMED
    )
    assert rows["applicant_id"].unique().sort().to_list() == [0, 1]


def test_half_may_be_missing_and_no_more():
    assert membership_rows(everyone([0.5, None], [0.5, None]), NAMED).height == 2
    (fault,) = faults([0.5, None, None], [0.5, None, None])
    assert fault == "ethnicity: missing for 2 of 3 applicants; at most half may be"


def test_all_faults_at_once_and_no_value_of_a_row():
    found = faults([0.5, 1.5, None], [0.4, -0.5, 0.3])
    assert found == (
        "ethnicity: a is missing in 1 of 3 rows",
        "ethnicity: a is outside [0, 1] in 1 of 3 rows",
        "ethnicity: b is outside [0, 1] in 1 of 3 rows",
        "ethnicity: the groups do not add up to 1 within 1e-06 in 1 of 3 rows",
    )


@pytest.mark.parametrize(("off", "refused"), [(9e-7, False), (1.1e-6, True)])
def test_a_millionth_may_be_missing(off, refused):
    if refused:
        assert "do not add up to 1" in faults([0.5], [0.5 + off])[0]
    else:
        assert membership_rows(everyone([0.5], [0.5 + off]), NAMED).height == 2
