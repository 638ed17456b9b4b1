from datetime import datetime

import polars as pl
import pytest

from workbench.data.segments import judging_rows
from workbench.errors import DataError


def everyone(**columns):
    base = {"applicant_id": [3, 1, 2], "left_out": ["", "", "duplicates"], "region": ["b", "a", "c"]}
    return pl.DataFrame(base | columns)


def test_rows_are_those_of_the_study_in_their_order():
    rows = judging_rows(everyone(late=[True, None, False]), segments=["region"], other_outcomes=["late"])
    assert rows.rows() == [(1, "a", None), (3, "b", 1)]


def test_nothing_named_is_the_key_alone():
    assert judging_rows(everyone(), segments=[], other_outcomes=[]).columns == ["applicant_id"]


def test_segments_are_text():
    rows = judging_rows(everyone(tier=[1, 2, 3]), segments=["tier"], other_outcomes=[])
    assert rows["tier"].to_list() == ["2", "1"]
    when = [datetime(2025, 1, day) for day in (1, 2, 3)]
    rows = judging_rows(everyone(when=when), segments=["when"], other_outcomes=[])
    assert rows.schema["when"] == pl.String


def test_an_outcome_is_0_or_1_and_every_fault_is_named():
    with pytest.raises(DataError, match=r"0, 1 or missing") as caught:
        judging_rows(everyone(a=[2, 1, 0], b=[-1, 5, 0]), segments=[], other_outcomes=["a", "b"])
    assert [fault.split(":")[0] for fault in caught.value.faults] == ["a", "b"]
    assert "1 of 2 values" in caught.value.faults[0]
    assert "2 of 2 values" in caught.value.faults[1]
