"""Who is in the study: ids, outcomes, exclusions, protected attributes, parts."""

from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.making import APPLIED, DAY, MICROSECOND, WARN, applicants, source
from workbench.data import applicants as people
from workbench.data.quality import actions_of
from workbench.data.standard import Opened, standardise
from workbench.errors import DataError
from workbench.privacy.pseudonyms import pseudonymise

KEY = b"0123456789abcdef"
BANDS = [30, 40, 50, 62]


def read(frame, *, key=None, application_date="", **said):
    made = source("applicants", **said)
    item = Opened(made, frame.lazy(), standardise("applicants", made, frame.lazy()))
    return people.read_people(item, application_date=application_date, key=key)


def excluded(frame, *, severity=None, said=None, **more):
    """The applicants with the reason of those left out, and the waterfall as rows."""
    known = read(frame, **(said or {}))
    usual = {"performance_days": 30, "extracted_on": "", "forgotten": (), "applicants": 0, "seed": 1}
    actions = actions_of(WARN | (severity or {}), {}, known.contracts)
    everyone, waterfall = people.exclude(known, actions=actions, **(usual | more))
    return everyone, waterfall.rows()


def reasons(*words, **more):
    everyone, _ = excluded(*words, **more)
    return everyone["left_out"].to_list()


# Reading


def test_ids_stay_as_they_are_without_a_key():
    table = read(applicants(3)).everyone
    assert table.select("source_id", "applicant_id").rows() == [("1", 1), ("2", 2), ("3", 3)]
    assert table.schema["applicant_id"] == pl.Int64


def test_ids_become_pseudonyms_with_a_key():
    frame = applicants(3, applicant_id=["KE-1", "KE-2", "KE-3"])
    table = read(frame, key=KEY).everyone.sort("source_id")
    assert table["applicant_id"].to_list() == pseudonymise(frame["applicant_id"], KEY).to_list()
    assert table["applicant_id"].min() >= 0


@pytest.mark.parametrize(
    ("ids", "key", "said"),
    [
        ([1, None, 3], None, "applicant_id is missing in 1 rows; every applicant needs one"),
        ([1, 7, 7], None, "2 rows repeat an applicant_id; one row is one application"),
        (
            ["KE-1", "2", "3"],
            None,
            "ids are text, so they may be personal: name the pseudonym_key of the study",
        ),
        (["a", "a", None], KEY, "2 rows repeat an applicant_id; one row is one application"),
    ],
)
def test_ids_that_cannot_be_used(ids, key, said):
    with pytest.raises(DataError) as caught:
        read(applicants(3, applicant_id=ids), key=key)
    assert said in caught.value.faults
    assert "KE" not in str(caught.value)


def test_all_faults_come_at_once():
    with pytest.raises(DataError) as caught:
        read(applicants(4, applicant_id=["x", "x", None, "y"]).drop("application_time"))
    assert len(caught.value.faults) == 4
    assert "no application_time: map the column, or give data.application_date for all" in caught.value.faults


@pytest.mark.parametrize(("zone", "hour"), [("UTC", 0), ("Africa/Nairobi", 21)])
def test_one_date_of_application_for_all(zone, hour):
    frame = applicants(2).drop("application_time")
    table = read(frame, application_date="2025-06-01", time_zone=zone).everyone
    assert table["application_time"].dt.hour().to_list() == [hour, hour]
    assert table["vintage"].to_list() == ["2025-06", "2025-06"]


def test_a_source_s_own_times_come_before_the_date_of_all():
    assert read(applicants(1), application_date="2020-01-01").everyone["vintage"].to_list() == ["2025-06"]


def test_the_vintage_is_the_month_where_the_applicant_is():
    late = datetime(2025, 5, 31, 23, 30)
    assert read(applicants(1, application_time=[late])).everyone["vintage"].item() == "2025-05"
    there = applicants(1, application_time=["2025-05-31T23:30:00Z"])
    assert read(there, time_zone="Africa/Nairobi").everyone["vintage"].item() == "2025-06"


# Exclusion


def test_nobody_is_left_out_without_a_reason():
    assert excluded(applicants(2, default=[0, 1]))[1] == [
        ("in the source", 0, 2, 0.5),
        ("no application time", 0, 2, 0.5),
        ("no outcome known (declined before, or missing)", 0, 2, 0.5),
    ]


def test_the_waterfall_counts_each_applicant_once_by_the_first_reason():
    frame = applicants(
        6,
        default=[0, 1, None, None, 1, 0],
        application_time=[APPLIED, APPLIED, APPLIED, None, None, APPLIED + 300 * DAY],
        income=[1.0, 1, 1, 1, -1, 1],
    )
    everyone, rows = excluded(
        frame,
        said={"types": {"income": "money"}, "contract": {"income": {"minimum": 0}}},
        severity={"out_of_contract": "quarantine"},
        extracted_on="2026-01-01",
        forgotten=[2],
    )
    assert rows == [
        ("in the source", 0, 6, 0.5),
        ("forgotten on request", 1, 5, pytest.approx(1 / 3)),
        ("income: out of contract", 1, 4, 0.0),
        ("no application time", 1, 3, 0.0),
        ("no outcome known (declined before, or missing)", 1, 2, 0.0),
        ("performance window not over", 1, 1, 0.0),
    ]
    assert everyone.filter(pl.col("left_out") == "")["applicant_id"].to_list() == [1]
    assert sum(row[1] for row in rows) + rows[-1][2] == 6


@pytest.mark.parametrize(
    ("applied", "left"),
    [
        (datetime(2025, 11, 30), True),
        (datetime(2025, 12, 2), True),
        (datetime(2025, 12, 2) + MICROSECOND, False),
        (datetime(2026, 1, 1), False),
    ],
)
def test_the_performance_window_is_over_when_the_data_were_extracted(applied, left):
    frame = applicants(1, application_time=[applied])
    found = reasons(frame, extracted_on="2026-01-01", performance_days=30)
    assert found == ["" if left else "performance window not over"]


def test_who_did_not_agree_is_left_out():
    frame = applicants(4, agreed=["yes", "no", None, "maybe"])
    said = {"types": {"agreed": "flag"}, "consent": "agreed"}
    assert reasons(frame, said=said) == ["", *["no consent (agreed)"] * 3]
    assert reasons(frame, said={"types": {"agreed": "flag"}}) == [""] * 4


def test_a_contract_leaves_out_only_where_rows_are_set_aside():
    frame = applicants(2, sex=["female", "unknown"])
    said = {"types": {"sex": "category"}, "contract": {"sex": {"allowed": ["female", "male"]}}}
    assert reasons(frame, said=said) == ["", ""]
    found = reasons(frame, said=said, severity={"out_of_contract": "quarantine"})
    assert found == ["", "sex: out of contract"]


def distinct(count, **columns):
    """So many applicants whom a column tells apart, but those whose values are given."""
    other = [f"file {number}" for number in range(count)]
    for name, values in columns.items():
        if name == "file":
            other[: len(values)] = values
    ids = columns.get("applicant_id", [])
    return applicants(count, applicant_id=[*ids, *range(1000, 1000 + count - len(ids))], file=other)


def test_a_duplicate_equals_an_earlier_applicant_in_all_but_the_id():
    frame = distinct(400, applicant_id=[10, 9, 2, 30], file=["a", "b", "a", "a"])
    assert set(reasons(frame)) == {""}
    found = excluded(frame, severity={"duplicate": "quarantine"})[0].filter(pl.col("left_out") != "")
    assert dict(found.select("applicant_id", "left_out").iter_rows()) == dict.fromkeys(
        [10, 30],  # the first in the order of the ids as numbers, 2, stays
        "duplicates of an earlier applicant",
    )


@pytest.mark.parametrize(("count", "marked"), [(199, 0), (200, 2)])
def test_columns_that_cannot_tell_people_apart_make_no_duplicates(count, marked):
    frame = distinct(count, file=["a", "a", "a"])
    assert people.repeated_rows(frame.lazy(), "applicant_id").sum() == marked


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["x", None])), min_size=1, max_size=9),
    st.randoms(),
)
def test_all_but_one_of_each_row_are_repeated_in_any_order(rows, random):
    others = [(number, "y") for number in range(10, 1010)]
    ids = random.sample(range(5000), len(rows) + len(others))
    every = [*rows, *others]
    frame = pl.DataFrame({"id": ids, "a": [r[0] for r in every], "b": [r[1] for r in every]})
    again = people.repeated_rows(frame.lazy(), "id")
    first = {}
    for number, row in sorted(zip(ids, every, strict=True)):
        first.setdefault(row, number)
    assert again.to_list() == [first[row] != number for number, row in zip(ids, every, strict=True)]


@pytest.mark.parametrize(("asked", "left"), [(0, 5), (1, 1), (4, 4), (5, 5), (6, 5)])
def test_a_draw_of_nobody_or_of_all_keeps_everyone(asked, left):
    everyone, rows = excluded(applicants(6, default=[0, 1, 0, 1, 0, None]), applicants=asked)
    assert (everyone["left_out"] == "").sum() == rows[-1][2] == left
    drew = f"outside the random draw of {asked:,}"
    assert [row[:3] for row in rows if row[0] == drew] == ([(drew, 5 - left, left)] if left < 5 else [])


def test_the_draw_is_the_seed_s_and_not_the_order_s():
    frame = applicants(200)
    first = reasons(frame, applicants=50)
    assert reasons(frame.sample(fraction=1, shuffle=True, seed=5), applicants=50) == first
    assert reasons(frame, applicants=50, seed=2) != first


# The declined

SOME = {"default": [0, 1, None, None, None, 1], "approved_before": [1, 1, 0, 1, None, 0]}


def test_the_declined_stay_where_the_study_keeps_them():
    everyone, rows = excluded(applicants(6, **SOME), keep_declined=True)
    step = "no outcome known, though not declined"
    assert everyone["left_out"].to_list() == ["", "", "", step, step, ""]
    assert rows[-1] == (step, 2, 4, pytest.approx(2 / 3))
    kept = people.applicant_rows(everyone, people.index_of(everyone, []), source("applicants"))
    assert kept.select("applicant_id", "default", "part").rows() == [
        (1, 0, 0),
        (2, 1, 0),
        (3, None, 0),
        (6, 1, 0),
    ]


def test_nobody_declined_stays_unless_asked_for():
    frame = applicants(6, **SOME)
    step = "no outcome known (declined before, or missing)"
    assert reasons(frame) == ["", "", step, step, step, ""]
    first, second = (excluded(frame, **said) for said in ({}, {"keep_declined": False}))
    assert first[0].equals(second[0])
    assert first[1] == second[1]


def test_the_other_reasons_hold_for_the_declined_as_well():
    late = [APPLIED, APPLIED, None, APPLIED + 300 * DAY, APPLIED, APPLIED]
    frame = applicants(6, default=[0, 1, None, None, None, None], approved_before=0, application_time=late)
    found = reasons(frame, keep_declined=True, extracted_on="2026-01-01", forgotten=[6])
    assert found == ["", "", "no application time", "performance window not over", "", "forgotten on request"]
    assert sum(reason == "" for reason in reasons(frame, keep_declined=True, applicants=3)) == 3


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"default": [0, 1, None]}, "does not say who was declined"),
        ({"default": [0, 1, 1], "approved_before": [1, 1, 0]}, "nobody in the study was declined"),
        ({"default": [0, 1, None], "approved_before": 1}, "nobody in the study was declined"),
    ],
)
def test_a_study_without_declined_cannot_keep_them(columns, said):
    with pytest.raises(DataError, match=said) as caught:
        excluded(applicants(3, **columns), keep_declined=True)
    assert "data.keep_declined to false" in caught.value.faults[-1]
    assert excluded(applicants(3, **columns))[1]


# Parts and rows


def test_parts_are_numbered_in_the_order_of_the_pseudonyms(monkeypatch):
    monkeypatch.setattr(people, "PART_APPLICANTS", 2)
    everyone, _ = excluded(
        applicants(6, default=[0, None, 0, 0, 0, 0], agreed=1), said={"types": {"agreed": "flag"}}
    )
    index = people.index_of(everyone, ["agreed", "agreed"])
    assert index.columns == ["source_id", "applicant_id", "part", "application_time", "agreed"]
    parts = dict(index.select("applicant_id", "part").iter_rows())
    assert parts == {1: 0, 2: -2, 3: 0, 4: 1, 5: 1, 6: 2}


def test_the_rows_of_applicants_hold_their_features_and_no_other_column():
    feature = {"definition": "x", "unit": "y"}
    said = {
        "types": {"income": "money", "sex": "category"},
        "features": {"income": feature},
    }
    frame = applicants(3, default=[0, 1, None], income=5.0, sex="female", approved_before=1)
    everyone, _ = excluded(frame, said=said)
    index = people.index_of(everyone, [])
    rows = people.applicant_rows(everyone, index, source("applicants", **said))
    assert rows.columns == ["applicant_id", "part", "vintage", "default", "approved_before", "income"]
    assert rows.rows() == [(1, 0, "2025-06", 0, 1, 500), (2, 0, "2025-06", 1, 1, 500)]


# Protected attributes


def bands(zone="UTC", **columns):
    count = max(len(values) for values in columns.values() if isinstance(values, list))
    said = {"types": {"age": "number"}} if "age" in columns else {"types": {"birth_date": "time"}}
    everyone, _ = excluded(applicants(count, **columns), said=said | {"time_zone": zone})
    (name,) = said["types"]
    return people.protected_rows(everyone, [name], BANDS, zone=zone)["age_band"].to_list()


@pytest.mark.parametrize(
    ("age", "label"),
    [
        (18, "under 30"),
        (29, "under 30"),
        (29.5, "under 30"),
        (30, "30 to 39"),
        (39, "30 to 39"),
        (40, "40 to 49"),
        (61, "50 to 61"),
        (62, "62 and over"),
        (120, "62 and over"),
        (None, None),
    ],
)
def test_an_edge_age_opens_its_band(age, label):
    assert bands(age=[age]) == [label]


@pytest.mark.parametrize(
    ("born", "applied", "label"),
    [
        (date(1995, 6, 2), datetime(2025, 6, 1, 23, 59), "under 30"),
        (date(1995, 6, 1), datetime(2025, 6, 1), "30 to 39"),
        (date(1995, 5, 31), datetime(2025, 6, 1), "30 to 39"),
        (date(1995, 12, 31), datetime(2025, 12, 30), "under 30"),
        (date(1995, 12, 31), datetime(2025, 12, 31), "30 to 39"),
        (date(1996, 1, 1), datetime(2025, 12, 31), "under 30"),
        (date(1996, 2, 29), datetime(2026, 2, 28), "under 30"),
        (date(1996, 2, 29), datetime(2026, 3, 1), "30 to 39"),
        (date(1996, 3, 1), datetime(2026, 2, 28), "under 30"),
        (None, datetime(2025, 6, 1), None),
    ],
)
def test_a_birthday_opens_its_band(born, applied, label):
    others = {"birth_date": [born, date(1950, 1, 1)], "application_time": [applied, applied]}
    assert bands(**others) == [label, "62 and over"]


@pytest.mark.parametrize("zone", ["Africa/Nairobi", "America/New_York", "Africa/Cairo", "Pacific/Auckland"])
@pytest.mark.parametrize(("day", "label"), [("2025-06-01", "under 30"), ("2025-06-02", "30 to 39")])
def test_a_birthday_is_a_day_of_the_applicants_zone(zone, day, label):
    for hour in ("00:30", "23:30"):
        applied = [f"{day} {hour}:00"]
        assert bands(zone, birth_date=["1995-06-02"], application_time=applied) == [label]


@settings(max_examples=30)
@given(st.dates(date(1930, 1, 1), date(2006, 12, 31)), st.dates(date(2024, 1, 1), date(2026, 12, 31)))
def test_the_band_of_any_birthday(born, applied):
    age = applied.year - born.year - ((applied.month, applied.day) < (born.month, born.day))
    label = bands(
        birth_date=[born], application_time=[datetime(applied.year, applied.month, applied.day, 12)]
    )
    assert label == bands(age=[age])


def test_one_edge_makes_two_bands():
    everyone, _ = excluded(applicants(2, age=[61, 62]), said={"types": {"age": "integer"}})
    found = people.protected_rows(everyone, ["age"], [62])["age_band"].to_list()
    assert found == ["under 62", "62 and over"]


def test_bands_sort_by_age_and_still_do_when_read_again(tmp_path):
    everyone, _ = excluded(applicants(4, age=[70, None, 25, 31]), said={"types": {"age": "integer"}})
    people.protected_rows(everyone, ["age"], BANDS).write_parquet(tmp_path / "protected.parquet")
    read = pl.scan_parquet(tmp_path / "protected.parquet").collect()
    joined = everyone.select("applicant_id").join(read, on="applicant_id")
    assert joined["age_band"].sort().to_list() == [None, "under 30", "30 to 39", "62 and over"]


def test_protected_attributes_in_their_order_of_those_in_the_study():
    said = {"types": {"sex": "category", "age": "integer", "region": "category"}}
    frame = applicants(3, default=[0, None, 1], sex=["f", "m", None], age=[20, 30, 40], region="north")
    everyone, _ = excluded(frame, said=said)
    table = people.protected_rows(everyone, ["sex", "age", "region"], BANDS)
    assert table.columns == ["applicant_id", "sex", "age_band", "region"]
    assert table.rows() == [(1, "f", "under 30", "north"), (3, None, "40 to 49", "north")]
    assert people.protected_rows(everyone, ["region"], BANDS).columns == ["applicant_id", "region"]
    assert people.protected_rows(everyone, [], BANDS).columns == ["applicant_id"]


# What is counted of the applicants


def test_faults_of_applicants_are_counted_by_month():
    frame = applicants(
        4,
        sex=["female", None, "x", "x"],
        file=["a", "b", "c", "c"],
        application_time=[APPLIED, APPLIED, APPLIED - 40 * DAY, APPLIED - 40 * DAY],
    )
    said = {"types": {"sex": "category"}, "contract": {"sex": {"allowed": ["female"]}}}
    table = read(frame, **said).issues
    found = {(m, name): v for _, m, name, v in table.iter_rows() if v}
    assert found == {
        (202504, "rows"): 2,
        (202504, "out_of_contract:sex"): 2,
        (202504, "category:sex=x"): 2,
        (202506, "rows"): 2,
        (202506, "missing:sex"): 1,
        (202506, "category:sex=female"): 1,
    }
    assert table["source"].unique().to_list() == ["applicants"]
