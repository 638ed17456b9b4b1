"""Point in time, cutting into parts, counting and setting aside, on files as the data stage writes them."""

from datetime import datetime, timedelta

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.data.making import APPLIED, DAY, MICROSECOND, applicants, bills, source, take
from workbench.data import applicants as people
from workbench.data.parts import OUTCOMES, timed
from workbench.data.standard import standardise
from workbench.errors import DataError
from workbench.privacy.encryption import open_cipher

KEPT = ["applicant_id", "age_days", "hour", "weekday"]


def one(tmp_path, *rows, sources=None, **said):
    """A study of one applicant and these bills."""
    return take(tmp_path, {"applicants": applicants(1), "power": bills(*rows)}, sources=sources, **said)


def promptly(frame):
    """The rows that say nothing of it were recorded when they happened."""
    return frame.with_columns(pl.col("recorded_time").fill_null(pl.col("event_time")))


# Only what was before the application, and known before it


@pytest.mark.parametrize(
    ("event", "age"),
    [
        (APPLIED - MICROSECOND, 0),
        (APPLIED, None),
        (APPLIED + MICROSECOND, None),
        (APPLIED - DAY + MICROSECOND, 0),
        (APPLIED - DAY, 1),
        (APPLIED - DAY - MICROSECOND, 1),
        (APPLIED - 365 * DAY + MICROSECOND, 364),
        (APPLIED - 365 * DAY, None),
        (APPLIED + 400 * DAY, None),
    ],
)
def test_an_event_is_kept_inside_the_window_before_the_application(tmp_path, event, age):
    taken = one(tmp_path, {"event_time": event, "paid_time": None})
    assert taken.rows("power")["age_days"].to_list() == ([] if age is None else [age])
    lost = "after_application" if event >= APPLIED else "outside_window"
    assert taken.account("power") == {"read": 1, "kept" if age is not None else lost: 1}
    assert [row[3] for row in taken.found("after_application")] == [1] * (event >= APPLIED)


@pytest.mark.parametrize("days", [30, 31])
def test_the_observation_window_has_so_many_days(tmp_path, days):
    edge = APPLIED - days * DAY
    taken = one(tmp_path, {"event_time": edge + MICROSECOND}, {"event_time": edge}, observation_days=days)
    assert taken.rows("power")["age_days"].to_list() == [days - 1]


@pytest.mark.parametrize(
    ("recorded", "kept"),
    [(APPLIED - MICROSECOND, 1), (APPLIED, 0), (APPLIED + MICROSECOND, 0), (None, 0)],
)
def test_a_row_recorded_after_the_application_was_not_known_then(tmp_path, recorded, kept):
    taken = one(tmp_path, {"recorded_time": recorded})
    assert taken.rows("power").height == kept
    assert taken.account("power") == {"read": 1, "kept" if kept else "recorded_after": 1}
    assert len(taken.found("recorded_after")) == 1 - kept
    assert taken.found("after_application") == []


@pytest.mark.parametrize(
    ("paid", "age"),
    [
        (APPLIED - 12 * DAY, 12),
        (APPLIED - MICROSECOND, 0),
        (APPLIED, None),
        (APPLIED + MICROSECOND, None),
        (APPLIED + 30 * DAY, None),
        (None, None),
    ],
)
def test_a_payment_after_the_application_was_not_known_then(tmp_path, paid, age):
    taken = one(tmp_path, {"paid_time": paid})
    assert taken.rows("power").select("age_days", "paid_age").rows() == [(10, age)]


@given(st.integers(-(10**6), 10**6), st.integers(0, 400))
def test_an_age_is_whole_days_before_the_application(offset, days):
    event = APPLIED - days * DAY + timedelta(seconds=offset)
    raw = bills({"event_time": event}).lazy()
    made = standardise("s", source(), raw)
    joined = made.table.with_columns(application_time=pl.lit(APPLIED))
    age = timed(source(), joined, made.columns).select("age_days").collect().item()
    seconds = (APPLIED - event).total_seconds()
    assert age == (seconds // 86_400 if seconds > 0 else -1)


def test_hour_and_weekday_are_those_of_the_source_s_zone(tmp_path):
    sunday = datetime(2025, 5, 25, 22, 30)  # UTC; Monday 01:30 in Nairobi
    rows = {"event_time": sunday.replace(tzinfo=None)}
    taken = one(tmp_path, rows)
    assert taken.rows("power").select("hour", "weekday").rows() == [(22, 7)]
    (tmp_path / "there").mkdir()
    clock = {"event_time": datetime(2025, 5, 26, 1, 30), "paid_time": None}
    there = one(tmp_path / "there", clock, sources={"power": {"time_zone": "Africa/Nairobi"}})
    assert there.rows("power").select("age_days", "hour", "weekday").rows() == [(6, 1, 1)]


def test_a_part_has_the_columns_that_feature_code_reads(tmp_path):
    taken = one(tmp_path, {"recorded_time": APPLIED - 9 * DAY, "service": "power", "amount_paid": 5.0})
    table = taken.part("power", 0)
    assert table.columns == [*KEPT, "amount_due", "amount_paid", "paid_age", "service"]
    assert set(table.drop("service").dtypes) == {pl.Int64}
    assert table.row(0) == (1, 10, 12, 4, 2000, 500, 10, "power")


def test_texts_are_masked_and_normalised_before_they_are_staged(tmp_path):
    posts = pl.DataFrame(
        {"applicant_id": [1], "event_time": [APPLIED - DAY], "text": ["Call  ME: +254 712 345 678, a@b.co!"]}
    )
    taken = take(
        tmp_path,
        {"applicants": applicants(1), "posts": posts},
        sources={"posts": {"kind": "posts"}},
        key=b"k" * 16,
    )
    assert taken.rows("posts")["text"].to_list() == ["call me maskphone maskemail"]
    for file in (tmp_path / "staged").rglob("*.parquet"):
        assert "712" not in str(pl.read_parquet(file).rows())


# A planted leak: the future tells who defaults


@pytest.fixture
def leak():
    """40 applicants of whom 20 default; a collection visit after the application follows every default."""
    frame = applicants(40, default=[0, 1] * 20)
    before = [{"applicant_id": i, "event_time": APPLIED - 20 * DAY} for i in range(1, 41)]
    after = [{"applicant_id": i, "event_time": APPLIED + 40 * DAY} for i in range(2, 41, 2)]
    return {"applicants": frame, "visits": bills(*before, *after, paid_time=None)}


def test_a_planted_leak_stops_a_study_that_says_so(tmp_path, leak):
    with pytest.raises(DataError) as caught:
        take(tmp_path, leak, severity={"after_application": "stop"})
    said = str(caught.value)
    assert "visits: after_application in 1 month(s), first 2025-07; 20 rows" in said
    assert "event on or after the application: never used" in said
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("action", ["warn", "quarantine"])
def test_a_planted_leak_never_reaches_the_parts(tmp_path, leak, action):
    taken = take(tmp_path, leak, severity={"after_application": action})
    assert taken.found("after_application") == [("visits", "", 202507, 20)]
    kept = taken.rows("visits")
    assert kept.height == 40
    assert kept["age_days"].unique().to_list() == [20]
    told = kept.group_by("applicant_id").len().join(taken.everyone, on="applicant_id")
    assert told.group_by("default").agg(pl.col("len").mean())["len"].to_list() == [1, 1]
    assert taken.rows("visits_set_aside").height == (20 if action == "quarantine" else 0)
    lost = "set_aside" if action == "quarantine" else "after_application"
    assert taken.account("visits") == {"read": 60, lost: 20, "kept": 40}


# Snapshots


def bureau(tmp_path, *rows):
    frame = pl.DataFrame(
        rows,
        schema={"applicant_id": pl.Int64, "recorded_time": pl.Datetime("us"), "score": pl.Int64},
        orient="row",
    )
    said = {"bureau": {"kind": "bureau", "types": {"score": "integer"}}}
    return take(tmp_path, {"applicants": applicants(3), "bureau": frame}, sources=said)


def test_the_newest_row_that_was_known_is_kept(tmp_path):
    taken = bureau(
        tmp_path,
        (1, APPLIED - 900 * DAY, 500),
        (1, APPLIED - MICROSECOND, 610),
        (1, APPLIED, 700),
        (2, APPLIED + DAY, 800),
        (3, APPLIED - 5000 * DAY, 640),
    )
    assert taken.rows("bureau").select("applicant_id", "score").rows() == [(1, 610), (3, 640)]
    assert taken.account("bureau") == {"read": 5, "after_application": 2, "superseded": 1, "kept": 2}


def test_a_snapshot_without_a_time_was_known_at_the_application(tmp_path):
    frame = pl.DataFrame({"applicant_id": [1, 3], "score": [500, 600]})
    said = {"bureau": {"kind": "bureau", "types": {"score": "integer"}}}
    taken = take(tmp_path, {"applicants": applicants(3), "bureau": frame}, sources=said)
    assert taken.rows("bureau").select("applicant_id", "age_days", "score").rows() == [
        (1, 0, 500),
        (3, 0, 600),
    ]


# Duplicates


def test_a_duplicate_is_equal_in_every_column(tmp_path):
    row = {"event_time": APPLIED - 10 * DAY, "amount_due": 20.0, "service": "power"}
    taken = one(
        tmp_path,
        row,
        row,
        row,
        row | {"event_time": row["event_time"] + MICROSECOND},
        row | {"amount_due": 20.01},
        row | {"service": None},
        severity={"duplicate": "quarantine"},
    )
    assert taken.found("duplicate") == [("power", "", 202505, 2)]
    assert taken.account("power") == {"read": 6, "set_aside": 2, "kept": 4}
    aside = taken.rows("power_set_aside")
    assert aside["reason"].to_list() == ["duplicate"] * 2
    assert aside.columns[:5] == [*KEPT, "reason"]


@pytest.mark.parametrize("name", ["paid_time", "recorded_time"])
def test_rows_whose_other_times_differ_by_an_hour_are_no_duplicates(tmp_path, name):
    rows = [{name: APPLIED - 9 * DAY}, {name: APPLIED - 9 * DAY + timedelta(hours=1)}]
    assert one(tmp_path, *rows).found("duplicate") == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), st.sampled_from([None, 1.0, 2.0])), min_size=1)
)
def test_all_but_the_first_of_equal_rows_are_duplicates(tmp_path_factory, rows):
    made = bills(*({"applicant_id": i, "event_time": APPLIED - d * DAY, "amount_due": a} for i, d, a in rows))
    frames = {"applicants": applicants(3), "power": made.with_columns(pl.col("amount_due").cast(pl.Float64))}
    taken = take(tmp_path_factory.mktemp("study"), frames, severity={"duplicate": "quarantine"})
    assert taken.account("power").get("set_aside", 0) == len(rows) - len(set(rows))
    assert taken.rows("power").height == len(set(rows))


# Parts


def many(count):
    rows = [
        {"applicant_id": i, "event_time": APPLIED - (3 + (7 * i * n) % 200) * DAY, "amount_due": 1.0 * i * n}
        for i in range(1, count + 1)
        for n in range(1, 1 + i % 4)
    ]
    water = [{"applicant_id": i, "event_time": APPLIED - i * DAY} for i in range(2, count + 1, 2)]
    return {"applicants": applicants(count), "power": bills(*rows), "water": bills(*water)}


def test_all_rows_of_an_applicant_lie_in_the_part_of_the_same_number(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "PART_APPLICANTS", 3)
    taken = take(tmp_path, many(10), key=b"k" * 16)
    assert taken.parts == 4
    part_of = {}
    for name in ("power", "water"):
        for number in range(taken.parts):
            for applicant in taken.part(name, number)["applicant_id"].unique():
                assert part_of.setdefault(applicant, number) == number
    ordered = taken.everyone["applicant_id"].sort().to_list()
    assert part_of == {a: ordered.index(a) // 3 for a in part_of}
    assert max(part_of.values()) == 3


def test_every_source_has_every_part_also_an_empty_one(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "PART_APPLICANTS", 1)
    taken = one(tmp_path, {})
    frames = {"applicants": applicants(4), "power": bills({}), "water": bills({"applicant_id": 4})}
    (tmp_path / "four").mkdir()
    taken = take(tmp_path / "four", frames)
    assert [taken.part("power", n).height for n in range(4)] == [1, 0, 0, 0]
    assert [taken.part("water", n).height for n in range(4)] == [0, 0, 0, 1]
    assert taken.part("power", 2).schema == taken.part("power", 0).schema


@pytest.mark.parametrize("size", [1, 2, 7])
def test_cutting_changes_no_row_and_no_count(tmp_path, monkeypatch, size):
    for name in ("whole", "cut"):
        (tmp_path / name).mkdir()
    whole = take(tmp_path / "whole", many(10), severity={"duplicate": "quarantine"})
    monkeypatch.setattr(people, "PART_APPLICANTS", size)
    cut = take(tmp_path / "cut", many(10), severity={"duplicate": "quarantine"})
    assert cut.parts == -(-10 // size)
    for name in ("power", "water"):
        assert cut.rows(name).equals(whole.rows(name))
    assert cut.counts.equals(whole.counts)
    assert cut.findings.equals(whole.findings)
    assert cut.ledger.equals(whole.ledger)


EVENTS = st.lists(
    st.tuples(
        st.integers(1, 7),  # 7 is nobody
        st.one_of(st.none(), st.integers(-40, 500)),
        st.sampled_from([-1.0, 0.0, 5.0, None]),
        st.one_of(st.none(), st.integers(-2, 20)),
    ),
    min_size=1,
    max_size=25,
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EVENTS, st.integers(1, 6), st.sampled_from(["warn", "quarantine"]))
def test_every_row_ends_somewhere_and_counts_add_up(tmp_path_factory, events, size, action):
    assume(any(i < 7 for i, *_ in events))  # a source of nobody is refused
    rows = [
        {
            "applicant_id": i,
            "event_time": None if days is None else APPLIED - days * DAY,
            "recorded_time": None if days is None or lag is None else APPLIED - (days - lag) * DAY,
            "amount_due": due,
        }
        for i, days, due, lag in events
    ]
    made = bills(*rows).with_columns(pl.col("amount_due").cast(pl.Float64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "PART_APPLICANTS", size)
        taken = take(
            tmp_path_factory.mktemp("study"),
            {"applicants": applicants(6), "power": made},
            sources={"power": {"contract": {"amount_due": {"minimum": 0}}}},
            severity={"duplicate": action, "out_of_contract": action, "late_arrival": action},
        )
    account = taken.account("power")
    assert sum(account.values()) == 2 * len(events)  # all that became of them, and `read`
    assert account["read"] == len(events)
    assert account.get("unknown_applicant", 0) == sum(i == 7 for i, *_ in events)
    assert account.get("left_out", 0) == 0
    assert taken.rows("power").height == account.get("kept", 0)
    assert taken.rows("power_set_aside").height == account.get("set_aside", 0)
    counted = dict(taken.counts.group_by("measure").agg(pl.col("value").sum()).iter_rows())
    mine = [row for row in events if row[0] < 7]
    assert counted.get("rows", 0) == len(mine) + 6  # and the applicants
    assert counted.get("out_of_contract:amount_due", 0) == sum(due == -1 for _, _, due, _ in mine)
    assert counted.get("after_application", 0) == sum(d is not None and d <= 0 for _, d, _, _ in mine)
    kept = [d for _, d, due, lag in mine if d is not None and 0 < d < 365 and lag is not None and lag < d]
    if action == "warn":
        assert account.get("kept", 0) == len(kept)
    assert set(account) <= {"read", "unknown_applicant", *OUTCOMES}


# Set aside


def test_rows_are_set_aside_for_the_first_reason_that_holds(tmp_path):
    old = {"event_time": APPLIED - 30 * DAY, "recorded_time": APPLIED - 22 * DAY}
    frame = bills(
        {"amount_due": -1.0},
        {"amount_due": -1.0} | old,
        {"amount_due": 30.0} | old,
        {"amount_due": 40.0, "event_time": APPLIED + DAY},
        {"amount_due": 50.0},
    )
    taken = take(
        tmp_path,
        {"applicants": applicants(1), "power": promptly(frame)},
        sources={"power": {"contract": {"amount_due": {"minimum": 0}}}},
        severity=dict.fromkeys(["after_application", "late_arrival", "out_of_contract"], "quarantine"),
    )
    aside = taken.rows("power_set_aside").sort("amount_due", "age_days")
    assert aside.select("amount_due", "reason").rows() == [
        (-100, "amount_due"),
        (-100, "late_arrival"),
        (3000, "late_arrival"),
        (4000, "after_application"),
    ]
    assert taken.rows("power")["amount_due"].to_list() == [5000]
    assert taken.account("power") == {"read": 5, "set_aside": 4, "kept": 1}


@pytest.mark.parametrize(("lag", "late"), [(7, 0), (8, 1), (3660, 1), (3661, 0)])
def test_a_late_arrival_is_recorded_more_days_after_than_allowed(tmp_path, lag, late):
    event = APPLIED - 300 * DAY
    taken = one(tmp_path, {"event_time": event, "recorded_time": event + lag * DAY}, late_days=7)
    assert len(taken.found("late_arrival")) == late


def test_nothing_set_aside_leaves_no_folder(tmp_path):
    taken = one(tmp_path, {}, severity={"duplicate": "quarantine"})
    assert [path.name for path in (taken.folder / "kept").iterdir()] == ["power"]


def test_a_row_without_a_date_is_counted_and_not_used(tmp_path):
    taken = one(tmp_path, {"event_time": None}, {})
    assert taken.account("power") == {"read": 2, "undated": 1, "kept": 1}


def test_parts_can_be_encrypted(tmp_path, monkeypatch):
    monkeypatch.setenv("ROWS_KEY", "0123456789abcdef")
    taken = one(
        tmp_path,
        {},
        {"amount_due": -5.0},
        {"applicant_id": 9},
        cipher="ROWS_KEY",
        sources={"power": {"contract": {"amount_due": {"minimum": 0}}}},
        severity={"out_of_contract": "quarantine"},
    )
    files = [*(tmp_path / "staged").rglob("*.parquet"), *(tmp_path / "kept").rglob("*.parquet")]
    assert len(files) == 4
    for file in files:
        with pytest.raises(pl.exceptions.ComputeError):
            pl.read_parquet(file)
        pl.read_parquet(file, **open_cipher("ROWS_KEY").reading)
    assert taken.account("power")["kept"] == 1


# A day without a clock


@pytest.mark.parametrize(("day", "age"), [("2025-05-31", 1), ("2025-06-01", None), ("2025-05-30", 2)])
def test_a_day_without_a_clock_is_before_the_application_when_the_whole_day_is(tmp_path, day, age):
    assert datetime(2025, 6, 1, 12) == APPLIED
    event = datetime.fromisoformat(day)
    taken = one(tmp_path, {"event_time": event, "paid_time": None, "recorded_time": event})
    assert taken.rows("power")["age_days"].to_list() == ([] if age is None else [age])


def test_a_payment_on_the_day_of_the_application_was_not_known_then(tmp_path):
    day = datetime(APPLIED.year, APPLIED.month, APPLIED.day)
    taken = one(tmp_path, {"paid_time": day}, {"paid_time": day - DAY})
    assert sorted(taken.rows("power")["paid_age"].to_list(), key=str) == [1, None]


@pytest.mark.parametrize(("kind", "kept"), [("bills", 1), ("topups", 2)])
def test_equal_rows_of_a_day_are_duplicates_only_where_a_person_cannot_do_it_twice(tmp_path, kind, kept):
    day = datetime(2025, 3, 3)
    rows = pl.DataFrame({"applicant_id": [1, 1], "event_time": [day, day], "amount": [50.0, 50.0]})
    if kind == "bills":
        rows = rows.rename({"amount": "amount_due"}).with_columns(paid_time=pl.lit(None, pl.Datetime("us")))
    taken = take(
        tmp_path, {"applicants": applicants(1), "s": rows},
        sources={"s": {"kind": kind, "data_category": "utility"}}, severity={"duplicate": "quarantine"},
    )  # fmt: skip
    assert taken.rows("s").height == kept


def test_a_bureau_row_that_was_recorded_at_no_known_time_is_not_used(tmp_path):
    rows = pl.DataFrame(
        {"applicant_id": [1, 1], "recorded_time": [APPLIED - 9 * DAY, None], "accounts": [1, 7]}
    )
    said = {"kind": "bureau", "data_category": "bureau", "types": {"accounts": "integer"}}
    taken = take(tmp_path, {"applicants": applicants(1), "b": rows}, sources={"b": said})
    assert taken.rows("b")["accounts"].to_list() == [1]
    assert taken.account("b") == {"read": 2, "undated": 1, "kept": 1}
