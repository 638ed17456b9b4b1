"""Tables as a report prints them: formats, markup and small counts."""

import re

import polars as pl
import pytest

from workbench.reporting.disclosure import HIDDEN
from workbench.reporting.tables import (
    MISSING,
    Column,
    Table,
    count,
    format_interval,
    format_number,
    interval,
    markdown_table,
    number,
    percent,
    text,
    unbroken,
    verbatim,
)

HOSTILE = "<b>a</b> | b_c {{< var x >}} *d* $e$ [f](g)\nh"


def cells(table):
    """The body of a pipe table as rows of cells."""
    return [re.split(r"(?<!\\)\|", line.strip("| \n")) for line in table.splitlines()[2:]]


def stripped(table):
    return [[cell.strip() for cell in row] for row in cells(table)]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (None, "", MISSING),
        (None, "share", MISSING),
        (0, "", "0"),
        (0.0, "", "0"),
        (-0.0, "", "0"),
        (0.0, "share", "0.0%"),
        (0.2185, "share", "21.9%"),
        (1.0, "share", "100.0%"),
        (-0.0123, "share", "−1.2%"),
        (0.12345, "", "0.123"),
        (-0.12345, "", "−0.123"),
        (12345.678, "", "12,345.678"),
        (0.001, "", "0.001"),
        (0.00093, "", "0.00093"),
        (-0.00093, "", "−0.00093"),
        (0.0000012, "", "0.0000012"),
        (5.4e-11, "", "5.4 × 10⁻¹¹"),
        (-5.4e-11, "", "−5.4 × 10⁻¹¹"),
        (30000, "", "30,000"),
        (-3, "", "−3"),
        (1234.0, "count", "1,234"),
        ("graduate_school", "", "graduate school"),
        ("a|b", "", r"a\|b"),
    ],
)
def test_numbers(value, unit, shown):
    assert format_number(value, unit) == shown


@pytest.mark.parametrize("value", [-0.0, -0.0001, -0.00049])
def test_a_share_that_rounds_to_zero_has_no_sign(value):
    assert format_number(value, "share") == "0.0%"


@pytest.mark.parametrize("unit", ["", "share", "count"])
def test_what_is_no_number_is_missing(unit):
    assert format_number(float("nan"), unit) == MISSING


def test_decimals():
    assert format_number(2.34567, "", 1) == "2.3"
    assert format_number(512.0, "", 0) == "512"
    assert format_number(0.04, "", 1) == "0.040"


@pytest.mark.parametrize(
    ("low", "high", "unit", "shown"),
    [
        (0.84, 0.9, "", "0.840\u00a0to\u00a00.900"),
        (-0.1, 0.05, "", "−0.100\u00a0to\u00a00.050"),
        (0.2, 0.25, "share", "20.0%\u00a0to\u00a025.0%"),
        (0.0, 1, "", "0\u00a0to\u00a01"),
        (None, None, "", MISSING),
        (None, 1.0, "", MISSING),
        (0.0, None, "share", MISSING),
    ],
)
def test_intervals(low, high, unit, shown):
    assert format_interval(low, high, unit) == shown


COLUMNS = [
    text("group", "Group"),
    count("applicants", "Applicants"),
    count("approved", "Approved"),
    percent("rate", "Rate"),
    number("ratio", "Ratio"),
    interval("Interval"),
    Column("Judged", lambda row: "yes" if row["applicants"] > 5 else "no, too few", is_text=True),
]


def groups(applicants, approved=500):
    return pl.DataFrame(
        {
            "group": ["other"],
            "applicants": [applicants],
            "approved": [approved],
            "rate": [0.5],
            "ratio": [0.9],
            "low": [0.8],
            "high": [1.0],
        }
    )


@pytest.mark.parametrize("applicants", [0, 10, 11])
def test_counts_outside_the_small_ones_are_shown(applicants):
    table = markdown_table(groups(applicants), COLUMNS, counts=["applicants"], suppress_below=10)
    row = stripped(table)[0]
    assert row[1:6] == [str(applicants), "500", "50.0%", "0.900", "0.800\u00a0to\u00a01.000"]


@pytest.mark.parametrize("applicants", [1, 5, 9])
def test_a_row_with_a_small_count_shows_no_number(applicants):
    table = markdown_table(groups(applicants), COLUMNS, counts=["applicants"], suppress_below=10)
    row = stripped(table)[0]
    assert row[:6] == ["other", "fewer than 10", HIDDEN, HIDDEN, HIDDEN, HIDDEN]
    assert str(applicants) not in "".join(row[2:])


@pytest.mark.parametrize(("sizes", "hidden"), [((0, 9, 40, 500), [1, 2]), ((0, 9, 0), [1]), ((0, 40), [])])
def test_a_count_of_nobody_hides_no_other(sizes, hidden):
    """The small count would follow by subtraction if only nobody's were hidden beside it."""
    frame = pl.concat([groups(size) for size in sizes])
    shown = stripped(
        markdown_table(frame, COLUMNS, counts=["applicants"], suppress_below=10, within=["group"])
    )
    assert [index for index, row in enumerate(shown) if row[3] == HIDDEN] == hidden


def test_each_small_count_of_a_row_is_hidden():
    table = markdown_table(groups(9, 3), COLUMNS, counts=["applicants", "approved"], suppress_below=10)
    assert stripped(table)[0][1:3] == ["fewer than 10", "fewer than 10"]
    table = markdown_table(groups(30, 3), COLUMNS, counts=["applicants", "approved"], suppress_below=10)
    assert stripped(table)[0][1:4] == [HIDDEN, "fewer than 10", HIDDEN]


def test_other_rows_stay():
    frame = pl.concat([groups(9), groups(20)])
    table = markdown_table(frame, COLUMNS, counts=["applicants"], suppress_below=10)
    assert [row[1] for row in stripped(table)] == ["fewer than 10", "20"]


@pytest.mark.parametrize("below", [0, 1])
def test_nothing_is_suppressed_where_the_study_says_so(below):
    table = markdown_table(groups(1), COLUMNS, counts=["applicants"], suppress_below=below)
    assert stripped(table)[0][1] == "1"


def test_a_count_that_is_not_known():
    frame = groups(20).with_columns(applicants=pl.lit(None, dtype=pl.Int64))
    columns = [text("group", "Group"), count("applicants", "Applicants")]
    table = markdown_table(frame, columns, counts=["applicants"], suppress_below=10)
    assert stripped(table)[0] == ["other", MISSING]


def test_an_empty_table_is_a_table_that_says_so():
    """A reference to the table must find one."""
    lines = markdown_table(groups(1).head(0), COLUMNS[:3], empty="no <b>group</b>").splitlines()
    assert lines[0] == "| Group | Applicants | Approved |"
    assert lines[2:] == [rf"| no \<b\>group\<\/b\> | {MISSING} | {MISSING} |"]
    assert stripped(markdown_table(groups(1).head(0), COLUMNS[:2])) == [["none", MISSING]]


def test_a_text_that_stays_on_one_line():
    frame = pl.DataFrame({"day": ["2026-11-23", None, HOSTILE]})
    shown = [row[0] for row in stripped(markdown_table(frame, [unbroken("day", "Since")]))]
    assert shown[:2] == ["[2026-11-23]{.unbroken}", MISSING]
    assert shown[2].count("[") - shown[2].count("\\[") == 1


LONG = Table("a/b", COLUMNS[:2], whole="All groups", longest=3, brief=lambda frame: frame.head(2))


@pytest.mark.parametrize(("rows", "long"), [(0, False), (3, False), (4, True)])
def test_a_table_is_long_beyond_its_longest(rows, long):
    assert LONG.is_long(pl.concat([groups(20)] * 4).head(rows)) is long


def test_a_table_without_a_place_for_all_rows_is_never_cut():
    assert not Table("a/b", COLUMNS[:2]).is_long(pl.concat([groups(20)] * 200))


@pytest.mark.parametrize(("applicants", "kept"), [(9, 0), (10, 1)])
def test_rows_of_few_people_are_left_out_before_anything_is_made_of_them(applicants, kept):
    table = Table("a/b", COLUMNS[:2], least="applicants")
    assert table.rows(groups(applicants), suppress_below=10).height == kept


def test_the_head_and_the_alignment():
    lines = markdown_table(groups(20), COLUMNS[:2]).splitlines()
    assert lines[:2] == ["| Group | Applicants |", "| :--- | ---: |"]


@pytest.mark.parametrize("make", [text, verbatim])
def test_markup_in_a_text_is_text(make):
    frame = pl.DataFrame({"name": [HOSTILE], "n": [3]})
    table = markdown_table(frame, [make("name", "Na|me"), count("n", "N")])
    assert len(table.splitlines()) == 3
    assert len(cells(table)[0]) == 2
    shown = cells(table)[0][0]
    for mark in ("<", "{", "$", "[", "|", "*"):
        assert all(shown[found.start() - 1] == "\\" for found in re.finditer(re.escape(mark), shown)), mark
    assert r"Na\|me" in table


def test_identifiers_lose_underscores_only_where_they_are_prose():
    frame = pl.DataFrame({"name": ["late_count", None]})
    assert stripped(markdown_table(frame, [text("name", "N")])) == [["late count"], [MISSING]]
    assert stripped(markdown_table(frame.head(1), [verbatim("name", "N")])) == [[r"late\_count"]]
