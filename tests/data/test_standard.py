"""From a source's own columns to the standard ones: what is converted, what is marked, what is refused."""

from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.making import bills, source, standard
from workbench.data.standard import FAULTS, local, standardise, utc, utc_day
from workbench.errors import DataError

SECRET = "Wanjiku"


def column(name, values, asked="text", dtype=None, **said):
    """A column of bills of a declared type: its values, and the rows that break its contract."""
    rows = bills(*({} for _ in values)).with_columns(pl.Series(name, values, dtype=dtype))
    types = {} if name in source().all_types else {"types": {name: asked}}
    table, faults = standard(rows, **types, **said)
    return table[name].to_list(), faults[name]


def times(values, dtype=None, **said):
    found, broken = column("event_time", values, dtype=dtype, **said)
    return [str(time)[:16] if time else None for time in found], broken


def fault(frame, kind="bills", **said):
    with pytest.raises(DataError) as caught:
        standard(frame, kind, **said)
    assert SECRET not in str(caught.value)
    return str(caught.value)


# Columns


def test_columns_get_their_standard_names_and_others_stay_unread():
    rows = bills({}).rename({"event_time": "due", "applicant_id": "CUSTOMER"}).with_columns(note=pl.lit("x"))
    made = standardise("s", source(columns={"event_time": "due", "applicant_id": "CUSTOMER"}), rows.lazy())
    assert made.columns == ("applicant_id", "event_time", "paid_time", "amount_due")
    assert made.unread == ("note",)
    assert made.table.collect().columns[: -len(made.contracts)] == list(made.columns)


def test_missing_columns_are_all_named_with_their_near_names():
    rows = bills({}).rename({"amount_due": "amount_dew"}).drop("paid_time")
    said = fault(rows)
    assert "source s: 2 column(s) at fault" in said
    assert "s: no column 'amount_due' (did you mean amount_dew?); map it under columns" in said
    assert "s: no column 'paid_time'" in said


def test_optional_columns_may_be_absent_and_declared_ones_may_not():
    table, _ = standard(bills({}))
    assert not {"service", "recorded_time", "amount_paid"} & set(table.columns)
    assert "no column 'region'" in fault(bills({}), types={"region": "category"})


# Times


@pytest.mark.parametrize(
    ("zone", "clock", "wanted"),
    [
        ("UTC", "2025-07-01 12:00:00", "2025-07-01 12:00"),
        ("Africa/Nairobi", "2025-07-01 12:00:00", "2025-07-01 09:00"),
        ("Europe/Berlin", "2025-07-01 12:00:00", "2025-07-01 10:00"),
        ("Europe/Berlin", "2025-01-01 12:00:00", "2025-01-01 11:00"),
        ("America/New_York", "2025-07-01 23:30:00", "2025-07-02 03:30"),
    ],
)
def test_times_without_a_zone_are_of_the_source_s_zone(zone, clock, wanted):
    assert times([clock], time_zone=zone) == ([wanted], [False])
    assert times([datetime.fromisoformat(clock)], time_zone=zone) == ([wanted], [False])


@pytest.mark.parametrize(
    "text",
    [
        "2025-07-01T12:00:00+03:00",
        "2025-07-01 12:00:00+03:00",
        "2025-07-01T09:00:00Z",
        "2025-07-01T12:00:00.0+0300",
    ],
)
def test_times_with_a_zone_keep_it(text):
    assert times([text], time_zone="America/New_York") == (["2025-07-01 09:00"], [False])


def test_timestamps_with_a_zone_keep_it():
    zoned = pl.Datetime("ms", "Asia/Kolkata")
    values = [datetime(2025, 7, 1, 6, 30)]  # UTC, shown as noon in Kolkata
    assert times(values, dtype=zoned, time_zone="America/New_York") == (["2025-07-01 06:30"], [False])


def test_a_time_that_the_clock_skips_is_missing_and_marked():
    skipped, first, last = "2025-03-30 02:30:00", "2025-03-30 01:59:59", "2025-03-30 03:00:00"
    found, broken = times([first, skipped, last], time_zone="Europe/Berlin")
    assert found == ["2025-03-30 00:59", None, "2025-03-30 01:00"]
    assert broken == [False, True, False]


def test_a_time_that_the_clock_shows_twice_is_the_earlier():
    assert times(["2025-10-26 02:30:00"], time_zone="Europe/Berlin") == (["2025-10-26 00:30"], [False])


@pytest.mark.parametrize("value", ["2024-04-26", date(2024, 4, 26)])
def test_a_day_whose_midnight_is_skipped_is_still_a_day(value):
    assert times([value], time_zone="Africa/Cairo") == (["2024-04-25 22:00"], [False])


@pytest.mark.parametrize(
    "text", ["2025-07-01", " 2025-07-01 ", "2025-07-01 00:00:00", "2025-07-01T00:00:00.000"]
)
def test_usual_spellings_of_a_time(text):
    assert times([text]) == (["2025-07-01 00:00"], [False])


@pytest.mark.parametrize(
    "text", ["01/07/2025", "July 1", "2025-13-01", "2025-02-30", "yesterday", "1751328000"]
)
def test_an_unparsable_date_is_missing_and_marked(text):
    assert times([text]) == ([None], [True])


@pytest.mark.parametrize("value", ["", "  ", None])
def test_a_blank_is_missing_and_not_marked(value):
    assert times([value], dtype=pl.String) == ([None], [False])
    assert times([value], dtype=pl.String, contract={"event_time": {"missing": False}}) == ([None], [True])


def test_a_pattern_of_time_is_the_only_one():
    found, broken = times(["01/07/2025 14:05", "2025-07-01"], time_format="%d/%m/%Y %H:%M")
    assert (found, broken) == (["2025-07-01 14:05", None], [False, True])


@pytest.mark.parametrize("zone", ["UTC", "Africa/Nairobi"])
def test_a_pattern_with_a_clock_reads_days_as_well(zone):
    found, broken = times(["01/07/2025", "31/06/2025"], time_format="%d/%m/%Y %H:%M", time_zone=zone)
    assert found == [{"UTC": "2025-07-01 00:00", "Africa/Nairobi": "2025-06-30 21:00"}[zone], None]
    assert broken == [False, True]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%d/%m/%Y %H:%M %z", "01/07/2025 12:00 +0300"),
        ("%d/%m/%Y %H:%M%:z", "01/07/2025 12:00+03:00"),
        ("%+", "2025-07-01T12:00:00+03:00"),
    ],
)
def test_an_offset_in_the_pattern_holds(pattern, text, zone):
    assert times([text, "x"], time_format=pattern, time_zone=zone) == (
        ["2025-07-01 09:00", None],
        [False, True],
    )


def test_days_of_a_pattern_are_of_the_source_s_zone():
    found, _ = times(["01/07/2025"], time_format="%d/%m/%Y", time_zone="Africa/Nairobi")
    assert found == ["2025-06-30 21:00"]


@pytest.mark.parametrize(
    ("time", "broken"), [("1989-12-31 23:59:59", True), ("1990-01-01 00:00:00", False), ("1970-01-01", True)]
)
def test_the_zero_of_a_system_is_no_time(time, broken):
    assert times([time])[1] == [broken]


@pytest.mark.parametrize("values", [[20250701], [1751328000.5], [True]])
def test_numbers_are_refused_as_times(values):
    rows = bills({}).with_columns(pl.Series("event_time", values))
    said = fault(rows)
    assert "which is no time; give timestamps or text (time_format names its pattern)" in said


@given(
    st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)),
    st.sampled_from(["UTC", "Africa/Nairobi", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu"]),
)
def test_a_time_of_a_zone_comes_back(time, zone):
    frame = pl.DataFrame({"t": [time]}, schema={"t": pl.Datetime("us")})
    there = frame.select(t=utc(pl.col("t"), zone))
    back = there.select(local(pl.col("t"), zone)).item()
    assert back == time or there.item() is None
    started = frame.select(utc_day(pl.col("t").dt.truncate("1d"), zone)).item()
    assert pl.select(local(pl.lit(started), zone).dt.date()).item() == time.date()


# Money, numbers, flags


@pytest.mark.parametrize(
    ("value", "cents"),
    [(20, 2000), (0.29, 29), (1.005, 100), ("19.99", 1999), (" 5 ", 500), (-3.5, -350), (0, 0)],
)
def test_money_is_in_minor_units(value, cents):
    found, broken = column("amount_due", [value])
    assert (found, broken) == ([cents], [False])
    assert isinstance(found[0], int)


def test_minor_units_may_be_others():
    assert column("amount_due", [12.345], minor_units=1000)[0] == [12345]
    assert column("amount_due", [700], minor_units=1)[0] == [700]


@pytest.mark.parametrize("value", ["1,234.50", "KES 5", "five", "1e400", "inf", "NaN5"])
def test_what_is_no_amount_is_missing_and_marked(value):
    assert column("amount_due", [value]) == ([None], [True])


def test_not_a_number_is_missing():
    assert column("amount_due", [float("nan"), None], dtype=pl.Float64) == ([None, None], [False, False])
    assert column("amount_due", [float("inf")]) == ([None], [True])


@given(st.integers(-(10**11), 10**11))
def test_cents_come_back(cents):
    assert column("amount_due", [cents / 100])[0] == [cents]


@pytest.mark.parametrize(
    ("value", "whole", "broken"),
    [(3, 3, False), (3.0, 3, False), ("3", 3, False), (3.5, None, True), ("x", None, True)],
)
def test_integers_are_whole(value, whole, broken):
    assert column("accounts", [value], "integer") == ([whole], [broken])


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, 1), (False, 0), (1, 1), (0.0, 0), ("yes", 1), ("N", 0), (" TRUE ", 1), ("f", 0)],
)
def test_flags_are_0_or_1(value, flag):
    assert column("agreed", [value], "flag") == ([flag], [False])


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe"])
def test_what_is_no_flag_is_marked(value):
    assert column("agreed", [value], "flag") == ([None], [True])


def test_ids_are_text_so_that_sources_agree():
    assert column("applicant_id", [17])[0] == column("applicant_id", ["17"])[0] == ["17"]


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("applicant_id", [17.0], "holds Float64, which is no id; give whole numbers or text"),
        ("amount_due", [[1]], "which is no money; give numbers"),
        ("amount_due", [date(2025, 1, 1)], "which is no money; give numbers"),
        ("service", [[SECRET]], "which is no category; give plain values"),
        ("service", [b"x"], "which is no category; give plain values"),
    ],
)
def test_types_that_cannot_be_converted_are_refused(name, values, said):
    assert said in fault(bills({}).with_columns(pl.Series(name, values)))


# Labels


def test_codes_become_labels_and_other_codes_are_missing_and_marked():
    labels = {"service": {"1": "power", "2": "water"}}
    assert column("service", [1, 2, 3, None], labels=labels) == (
        ["power", "water", None, None],
        [False, False, True, False],
    )


def test_a_star_is_the_label_of_every_other_code_which_counts_as_out_of_contract():
    labels = {"service": {"1": "power", "*": "other"}}
    assert column("service", ["1", "7", None], labels=labels) == (
        ["power", "other", None],
        [False, True, False],
    )


def test_more_categories_than_declared_are_marked():
    rule = {"service": {"allowed": ["power", "water"]}}
    assert column("service", ["power", "gas", None], contract=rule)[1] == [False, True, False]


# Contracts


@pytest.mark.parametrize(
    ("value", "broken"),
    [(-0.01, True), (0, False), (0.01, False), (99.99, False), (100, False), (100.01, True), (None, False)],
)
def test_both_sides_of_both_bounds_of_money(value, broken):
    rule = {"amount_due": {"minimum": 0, "maximum": 100}}
    assert column("amount_due", [value], dtype=pl.Float64, contract=rule)[1] == [broken]


@pytest.mark.parametrize(("value", "broken"), [(-3, True), (-2, False), (8, False), (9, True)])
def test_both_sides_of_both_bounds_of_an_integer(value, broken):
    assert column("status", [value], "integer", contract={"status": {"minimum": -2, "maximum": 8}})[1] == [
        broken
    ]


@pytest.mark.parametrize(("missing", "broken"), [(True, False), (False, True)])
def test_what_may_not_be_missing(missing, broken):
    rule = {"amount_due": {"missing": missing}}
    assert column("amount_due", [None], dtype=pl.Float64, contract=rule)[1] == [broken]


# Checks


@pytest.mark.parametrize(
    ("due", "paid", "broken"),
    [(20.0, 20.0, False), (20.0, 20.01, True), (20.0, None, False), (None, 1.0, False)],
)
def test_a_check_is_a_condition_that_must_hold(due, paid, broken):
    rows = bills({"amount_due": due, "amount_paid": paid})
    rows = rows.with_columns(pl.col("amount_due", "amount_paid").cast(pl.Float64))
    _, faults = standard(rows, checks={"paid_in_part": "amount_paid <= amount_due"})
    assert faults["paid_in_part"] == [broken]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amount_due >", "check c is no SQL condition"),
        ("DROP TABLE x", "check c is no SQL condition"),
        ("amount_dew > 0", "no column 'amount_dew'"),
        ("service > 3", "check c"),
        ("amount_due + 1", "check c is no condition; write one such as paid <= billed"),
    ],
)
def test_a_check_that_cannot_be_made(text, said):
    assert said in " ".join(
        fault(bills({"service": SECRET}), checks={"c": text}).replace("\n  - ", "; ").split()
    )


def test_every_broken_contract_of_a_row_is_marked():
    rows = bills({"amount_due": -1.0, "event_time": None}, {})
    _, faults = standard(
        rows,
        contract={"amount_due": {"minimum": 0}, "event_time": {"missing": False}},
        checks={"due": "amount_due > 0"},
    )
    assert faults["amount_due"] == faults["event_time"] == faults["due"] == [True, False]
    assert faults["paid_time"] == [False, False]


# A ledger laid flat


def test_a_flat_ledger_becomes_one_row_for_each_time():
    flat = pl.DataFrame({"ID": [1, 2], "S1": [0, 2], "S2": [1, 3], "B1": [5, 6], "B2": [7, 8], "P": [1, 1]})
    wide = {
        "times": ["2005-09-15", "2005-08-15"],
        "columns": {"status": ["S1", "S2"], "billed": ["B1", "B2"], "paid": ["P", "P"]},
    }
    table, faults = standard(flat, "statements", columns={"applicant_id": "ID"}, wide=wide, minor_units=1)
    assert table.sort("event_time", "applicant_id").select("applicant_id", "status", "billed").rows() == [
        ("1", 1, 7),
        ("2", 3, 8),
        ("1", 0, 5),
        ("2", 2, 6),
    ]
    assert not any(any(rows) for rows in faults.values())


def test_missing_columns_of_a_flat_ledger_are_all_named():
    wide = {"times": ["2005-09-15"], "columns": {"status": ["S1"], "billed": ["B1"], "paid": ["P1"]}}
    said = fault(
        pl.DataFrame({"ID": [1], "S1": [0]}), "statements", columns={"applicant_id": "ID"}, wide=wide
    )
    assert "no column 'B1'" in said
    assert "no column 'P1'" in said
    assert "S1" not in said


def test_a_table_may_have_any_number_of_contracts():
    names = [f"x{number}" for number in range(140)]
    rows = bills({}, {}).with_columns(pl.Series(name, [1.0, 5.0]) for name in names)
    said = source(types=dict.fromkeys(names, "number"), contract={"x139": {"maximum": 2}})
    made = standardise("s", said, rows.lazy())
    last = made.contracts.index("x139")
    assert made.table.select(f"{FAULTS}{last}").collect().to_series().to_list() == [False, True]
