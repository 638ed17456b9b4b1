import math
import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.explanation.making_texts import CATALOGUE, texts
from workbench.errors import DataError, ParamsError
from workbench.explanation.wording import fill_texts, unworded, wording, written_numbers
from workbench.reason_texts import ReasonTexts, Words

WORDS = texts().words
FRENCH = WORDS.model_copy(
    update={"decimal": ",", "group": "\u00a0", "percent": "{n}\u00a0%", "one": "below 2"}
)
HINDI = WORDS.model_copy(update={"groups": [3, 2], "one": "0 and 1"})
COUNTS = "families__bills__features__{source}_count_{window}"
INQUIRY = "families__inquiries__features__bureau_inquiries"


def told(feature: str, *values: float | None, made: ReasonTexts | None = None, **columns) -> list[str]:
    """The texts of applicants who have these values; other columns are given by name."""
    code = dict(CATALOGUE.select("feature", "family").iter_rows())[feature]
    ids = list(range(len(values)))
    own = pl.DataFrame({"applicant_id": ids, feature: pl.Series(values, dtype=pl.Float64), **columns})
    reasons = pl.DataFrame({"applicant_id": ids, "reason_code": code, "feature": feature})
    filled = fill_texts(reasons, own, wording(made or texts(), CATALOGUE))
    return filled["reason_text"].to_list()


def in_words(words: Words, *values: float) -> list[str]:
    return written_numbers(pl.Series(values, dtype=pl.Float64), words).to_list()


def test_rule_4_the_text_names_the_factor_with_the_applicant_s_own_number():
    found = told("electricity_late_share_365", 0.25, electricity_count_365=[12.0])
    assert found == ["3 of 12 electricity bills late in the last 12 months"]


def test_one_and_many_have_texts_of_their_own():
    assert told("electricity_count_365", 0, 1, 2, 12, None) == [
        "no electricity bill in the last 12 months",
        "1 electricity bill in the last 12 months",
        "2 electricity bills in the last 12 months",
        "12 electricity bills in the last 12 months",
        "nothing known: bills paid late",
    ]
    assert told("electricity_late_share_365", 1 / 12, electricity_count_365=[12.0]) == [
        "1 of 12 electricity bills late in the last 12 months"
    ]


def test_a_share_is_told_in_percent_where_nobody_counted():
    share = "electricity_late_share_365"
    assert told(share, 0.255) == ["25.5% of electricity bills late in the last 12 months"]
    for count in (0.0, None):
        found = told(share, 0.255, electricity_count_365=pl.Series([count], dtype=pl.Float64))
        assert found == ["25.5% of electricity bills late in the last 12 months"]


def test_what_is_missing_is_said_to_be_missing():
    share = "electricity_late_share_365"
    none = "no electricity bill in the last 12 months"
    assert told(share, None, math.nan, electricity_count_365=[12.0, None]) == [none, none]


@pytest.mark.parametrize(
    ("one", "numbers"),
    [("1", {1}), ("0 and 1", {0, 1}), ("below 2", {0, 0.5, 1, 1.5})],
)
def test_each_language_has_its_own_singular(one, numbers):
    values = [0, 0.5, 1, 1.5, 2, 5]
    found = told("bureau_inquiries", *values, made=texts(words__one=one))
    assert {value for value, text in zip(values, found, strict=True) if text == "1 inquiry"} == numbers


def test_singular_is_what_is_shown_and_not_what_is_stored():
    assert told("bureau_inquiries", 0.9951, 1.0049, 0.99, 1.006) == [
        "1 inquiry",
        "1 inquiry",
        "0.99 inquiries",
        "1.01 inquiries",
    ]


def test_below_zero_has_its_text_and_no_sign():
    made = texts(**{INQUIRY: {"text": "up by {percent}", "negative": "down by {percent}", "zero": "level"}})
    assert told("bureau_inquiries", 0.031, -0.031, 0.0, 0.00004, -0.00004, made=made) == [
        "up by 3.1%",
        "down by 3.1%",
        "level",
        "level",
        "level",
    ]


def test_yes_and_no_have_texts_of_their_own():
    made = texts(**{INQUIRY: {"text": "no file found", "zero": "file found"}})
    assert told("bureau_inquiries", 1, 0, made=made) == ["no file found", "file found"]


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (0, "minor units", "0 KES"),
        (5, "minor units", "0.05 KES"),
        (1_250, "minor units", "12.50 KES"),
        (9_999.4, "minor units", "99.99 KES"),
        (9_999.6, "minor units", "100 KES"),
        (10_051, "minor units", "101 KES"),
        (123_456_700, "minor units", "1,234,567 KES"),
        (-2_000, "minor units", "-20 KES"),
        (1_250, "TWD", "1,250 TWD"),
    ],
)
def test_amounts_are_told_with_their_currency(value, unit, shown):
    catalogue = CATALOGUE.with_columns(unit=pl.lit(unit))
    own = pl.DataFrame({"applicant_id": [1], "bureau_inquiries": [float(value)]})
    reasons = pl.DataFrame({"applicant_id": [1], "reason_code": "inquiries", "feature": "bureau_inquiries"})
    made = wording(texts(**{INQUIRY: {"text": "{money}"}}), catalogue)
    assert fill_texts(reasons, own, made, currency="KES")["reason_text"].to_list() == [shown]


def test_without_a_currency_an_amount_is_a_number():
    made = texts(**{INQUIRY: {"text": "{money}"}})
    found = wording(made, CATALOGUE.with_columns(unit=pl.lit("minor units")))
    own = pl.DataFrame({"applicant_id": [1], "bureau_inquiries": [125_000.0]})
    reasons = pl.DataFrame({"applicant_id": [1], "reason_code": "inquiries", "feature": "bureau_inquiries"})
    assert fill_texts(reasons, own, found)["reason_text"].to_list() == ["1,250"]


@pytest.mark.parametrize(
    ("value", "english", "french", "hindi"),
    [
        (0, "0", "0", "0"),
        (0.004, "0", "0", "0"),
        (-0.004, "0", "0", "0"),
        (0.25, "0.25", "0,25", "0.25"),
        (9.996, "10", "10", "10"),
        (12.34, "12.3", "12,3", "12.3"),
        (99.96, "100", "100", "100"),
        (999, "999", "999", "999"),
        (1_000, "1,000", "1\u00a0000", "1,000"),
        (1_234_567.8, "1,234,568", "1\u00a0234\u00a0568", "12,34,568"),
        (-100_005, "-100,005", "-100\u00a0005", "-1,00,005"),
        (1e15, "1,000,000,000,000,000", "1\u00a0000\u00a0000\u00a0000\u00a0000\u00a0000", None),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(value, english, french, hindi):
    assert in_words(WORDS, value) == [english]
    assert in_words(FRENCH, value) == [french]
    if hindi:
        assert in_words(HINDI, value) == [hindi]


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1, max_size=20))
def test_grouped_digits_are_python_s(values):
    assert in_words(WORDS, *values) == [f"{value:,}" for value in values]


@given(st.floats(-1e6, 1e6, allow_nan=False))
def test_what_is_written_is_near_what_was_meant(value):
    text = in_words(HINDI, value)[0]
    assert re.fullmatch(r"-?\d{1,2}(,\d\d)*(,\d{3})?(\.\d{0,1}[1-9])?|-?\d{1,3}(\.\d{0,1}[1-9])?", text)
    size = abs(value)
    step = 0.5 if size >= 100 else 0.05 if size >= 10 else 0.005
    assert float(text.replace(",", "")) == pytest.approx(value, abs=step * 1.001)


def test_percent_and_percentage_points_are_hundredths():
    made = texts(**{INQUIRY: {"text": "{percent} or {points} points"}}, words=FRENCH.model_dump())
    assert told("bureau_inquiries", 0.125, made=made) == ["12,5\u00a0% or 12,5 points"]


@pytest.mark.parametrize(
    ("days", "window"),
    [
        (1, "in the last day"),
        (30, "in the last 30 days"),
        (365, "in the last 12 months"),
        (730, "in the last 24 months"),
    ],
)
def test_a_window_is_told_in_days_or_in_whole_years_of_months(days, window):
    catalogue = CATALOGUE.with_columns(feature=pl.col("feature").str.replace("365", str(days)))
    own = pl.DataFrame({"applicant_id": [1], f"electricity_count_{days}": [2.0]})
    reasons = pl.DataFrame(
        {"applicant_id": [1], "reason_code": "bills", "feature": f"electricity_count_{days}"}
    )
    found = fill_texts(reasons, own, wording(texts(), catalogue))
    assert found["reason_text"].to_list() == [f"2 electricity bills {window}"]


def test_reasons_keep_their_order_and_their_columns():
    own = pl.DataFrame(
        {
            "applicant_id": ["c", "a", "b"],
            "bureau_inquiries": [3.0, 1.0, 2.0],
            "electricity_count_365": [6.0, 4.0, 5.0],
        }
    )
    rows = [
        ("a", 1, "bills", "electricity_count_365"),
        ("a", 2, "inquiries", "bureau_inquiries"),
        ("b", 1, "inquiries", "bureau_inquiries"),
        ("c", 1, "bills", "electricity_count_365"),
    ]
    reasons = pl.DataFrame(rows, schema=["applicant_id", "rank", "reason_code", "feature"], orient="row")
    filled = fill_texts(reasons, own, wording(texts(), CATALOGUE))
    assert filled.drop("reason_text").equals(reasons)
    assert filled["reason_text"].to_list() == [
        "4 electricity bills in the last 12 months",
        "1 inquiry",
        "2 inquiries",
        "6 electricity bills in the last 12 months",
    ]


def test_rule_6_a_knock_out_rule_has_its_own_text():
    made = wording(texts(), CATALOGUE, rules={"too many": "bureau_inquiries"})
    own = pl.DataFrame({"applicant_id": [1, 2], "bureau_inquiries": [7.0, None]})
    reasons = pl.DataFrame({"applicant_id": [1, 2], "reason_code": "too many", "feature": "bureau_inquiries"})
    assert fill_texts(reasons, own, made)["reason_text"].to_list() == [
        "7 inquiries, more than any loan allows",
        "nothing known: too many inquiries",
    ]
    assert made.codes.rows()[-1] == ("too many", "too many inquiries", 22, "creditor")


def test_rule_8_the_sample_is_the_one_that_the_file_says():
    assert wording(texts(), CATALOGUE).codes.rows() == [
        ("bills", "bills paid late", 24, "creditor"),
        ("inquiries", "recent inquiries", 22, "bureau"),
    ]


def test_rule_8_a_reason_without_a_text_stops_and_is_never_told_by_another():
    own = pl.DataFrame({"applicant_id": [1], "bureau_inquiries": [7.0]})
    reasons = pl.DataFrame({"applicant_id": [1, 2], "reason_code": "inquiry", "feature": "bureau_inquiries"})
    with pytest.raises(DataError, match="cannot be told") as caught:
        fill_texts(reasons, own, wording(texts(), CATALOGUE))
    assert caught.value.faults == (
        "no text for inquiry: bureau_inquiries",
        "1 reason(s) of applicants without features",
    )


def test_texts_with_a_fault_are_refused_before_anything_is_filled():
    with pytest.raises(ParamsError, match="nothing was computed"):
        wording(texts(families__inquiries__text="<b>"), CATALOGUE)


def test_no_reasons_have_no_texts():
    reasons = pl.DataFrame(schema={"applicant_id": pl.Int64, "reason_code": pl.String, "feature": pl.String})
    filled = fill_texts(reasons, pl.DataFrame({"applicant_id": [1]}), wording(texts(), CATALOGUE))
    assert filled.columns == ["applicant_id", "reason_code", "feature", "reason_text"]
    assert filled.height == 0


def test_data_that_looks_like_a_slot_or_markup_is_told_as_it_is():
    """A currency comes from the study: the renderer escapes it, and no slot in it is filled."""
    catalogue = CATALOGUE.with_columns(unit=pl.lit("<b>{value}"))
    made = wording(texts(**{INQUIRY: {"text": "{money} asked"}}), catalogue)
    own = pl.DataFrame({"applicant_id": [1], "bureau_inquiries": [7.0]})
    reasons = pl.DataFrame({"applicant_id": [1], "reason_code": "inquiries", "feature": "bureau_inquiries"})
    assert fill_texts(reasons, own, made)["reason_text"].to_list() == ["7 <b>{value} asked"]


def test_without_a_language_a_reason_is_told_by_its_family_and_a_rule_by_its_code():
    made = unworded(CATALOGUE, rules={"too_many": "bureau_inquiries"})
    assert set(made.codes["reason_code"]) == {*CATALOGUE["family"], "too_many"}
    assert made.codes["sample"].unique().to_list() == [24]
    own = pl.DataFrame({"applicant_id": [1], "bureau_inquiries": [7.0]})
    codes = pl.DataFrame(
        {"applicant_id": 1, "reason_code": ["too_many", "inquiries"], "feature": "bureau_inquiries"}
    )
    assert fill_texts(codes, own, made)["reason_text"].to_list() == ["too_many", "inquiries"]
