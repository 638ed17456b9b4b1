"""Sources on their way into a run: faults of all at once, consent, strangers, the ledger."""

import polars as pl
import pytest

from tests.data.making import APPLIED, DAY, applicants, bills, source, take
from workbench.data import applicants as people
from workbench.data import intake
from workbench.engine import Engine
from workbench.errors import DataError


def posts(*rows):
    """Posts of applicants (id, words), five days before the application."""
    return pl.DataFrame(
        {
            "applicant_id": [row[0] for row in rows],
            "event_time": [APPLIED - 5 * DAY] * len(rows),
            "text": [row[1] for row in rows],
        }
    )


POSTS = {"posts": {"kind": "posts", "consent": "agreed"}, "applicants": {"types": {"agreed": "flag"}}}


def with_posts(tmp_path, agreed, *rows, **said):
    frames = {"applicants": applicants(len(agreed), agreed=agreed), "posts": posts(*rows)}
    return take(tmp_path, frames, sources=POSTS, **said)


# Opening


def test_faults_of_all_sources_come_at_once(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    pl.DataFrame({"applicant_id": [1]}).write_parquet(tmp_path / "thin.parquet")
    declared = {
        "applicants": source("applicants", path="none.parquet"),
        "power": source("bills", path="thin.parquet"),
        "water": source("bills", path="empty.csv"),
    }
    with pytest.raises(DataError) as caught:
        intake.open_sources(declared, root=tmp_path, scratch=tmp_path / "scratch")
    said = str(caught.value)
    assert "3 of 3 sources cannot be read" in said
    assert "source applicants: none.parquet: no such file" in said
    assert "source power: 3 column(s) at fault" in said
    assert "power: no column 'event_time'" in said
    assert "source water: 1 file(s) at fault" in said


def test_a_fault_far_down_a_source_of_events_is_named_with_the_source(tmp_path):
    rows = [f"1,2025-05-0{1 + i % 9},2025-05-01,{i}" for i in range(5000)]
    text = "applicant_id,event_time,paid_time,amount_due\n" + "\n".join([*rows, "1,2025-05-01,x,5,Wanjiku"])
    (tmp_path / "power.csv").write_text(text)
    applicants(2).write_parquet(tmp_path / "applicants.parquet")
    declared = {
        "applicants": source("applicants", path="applicants.parquet"),
        "power": source("bills", path="power.csv"),
    }
    opened = intake.open_sources(declared, root=tmp_path, scratch=tmp_path)
    known = people.read_people(intake.applicants_of(opened), application_date="", key=None)
    index = people.index_of(known.everyone.with_columns(left_out=pl.lit("")), [])
    with pytest.raises(DataError, match="source power: cannot be read to its end") as caught:
        intake.stage_events(opened, index, folder=tmp_path / "staged", cipher="")
    assert "Wanjiku" not in str(caught.value)


# Consent


def test_rows_without_consent_are_never_written(tmp_path):
    agreed = [1, 0, None, 1]
    rows = [(i, f"secret{i} words") for i in (1, 1, 2, 2, 3, 4)]
    taken = with_posts(tmp_path, agreed, *rows)
    assert taken.rows("posts")["text"].to_list() == ["secret words", "secret words", "secret words"]
    assert taken.rows("posts")["applicant_id"].to_list() == [1, 1, 4]
    assert taken.account("posts") == {"read": 6, "without_consent": 3, "kept": 3}
    staged = pl.concat([pl.read_parquet(f) for f in (tmp_path / "staged").rglob("*.parquet")])
    assert sorted(staged["applicant_id"].to_list()) == [1, 1, 4]


def test_a_source_that_needs_no_consent_is_not_filtered(tmp_path):
    frames = {"applicants": applicants(2, agreed=[0, 0]), "power": bills({}, {"applicant_id": 2})}
    taken = take(tmp_path, frames, sources={"applicants": {"types": {"agreed": "flag"}}})
    assert taken.account("power") == {"read": 2, "kept": 2}


# Strangers, and applicants who are left out


def test_rows_of_nobody_are_counted_and_never_used(tmp_path):
    frames = {"applicants": applicants(2), "power": bills({}, {"applicant_id": 8}, {"applicant_id": None})}
    taken = take(tmp_path, frames)
    assert taken.found("unknown_applicant") == [("power", "", 202505, 2)]
    assert taken.account("power") == {"read": 3, "unknown_applicant": 2, "kept": 1}


def test_a_source_of_nobody_at_all_is_refused(tmp_path):
    frames = {"applicants": applicants(3), "power": bills(*({"applicant_id": 70 + i} for i in range(5)))}
    with pytest.raises(DataError) as caught:
        take(tmp_path, frames)
    assert caught.value.faults[0] == "power: 5 rows, none of an applicant"
    assert "map applicant_id to the column" in caught.value.faults[1]


def test_rows_of_nobody_can_stop_a_study(tmp_path):
    frames = {"applicants": applicants(2), "power": bills({}, {"applicant_id": 8})}
    with pytest.raises(DataError) as caught:
        take(tmp_path, frames, severity={"unknown_applicant": "stop"})
    assert "power: unknown_applicant in 1 month(s), first 2025-05; 1 rows" in str(caught.value)


def test_rows_of_nobody_are_counted_without_their_values_where_consent_is_needed(tmp_path):
    taken = with_posts(tmp_path, [1], (1, "mine"), (8, "stranger"), (9, "stranger"))
    assert taken.account("posts") == {"read": 3, "unknown_applicant": 2, "kept": 1}
    assert sum(row[3] for row in taken.found("unknown_applicant")) == 2
    for file in (tmp_path / "staged").rglob("*.parquet"):
        assert "stranger" not in str(pl.read_parquet(file).rows())


def test_rows_of_applicants_who_are_left_out_go_with_them(tmp_path):
    frames = {
        "applicants": applicants(3, default=[0, None, 1]),
        "power": bills({}, {"applicant_id": 2}, {"applicant_id": 2}, {"applicant_id": 3}),
    }
    taken = take(tmp_path, frames, forgotten=[3])
    assert taken.account("power") == {"read": 4, "left_out": 3, "kept": 1}
    for file in tmp_path.glob("[sk][te]*/**/*.parquet"):
        assert pl.read_parquet(file)["applicant_id"].to_list() in ([], [1])


def test_every_row_is_in_one_column_of_the_ledger(tmp_path):
    first = {"applicant_id": 1, "event_time": APPLIED - 20 * DAY}
    rows = [
        first,
        first,  # a duplicate, set aside
        {"event_time": APPLIED + DAY},
        {"event_time": APPLIED - 3 * DAY, "recorded_time": APPLIED + DAY},
        {"event_time": APPLIED - 900 * DAY},
        {"event_time": None},
        {"applicant_id": 77},
        {"applicant_id": 2},
        {"applicant_id": 3},
    ]
    table = bills(*rows).with_columns(pl.col("recorded_time").fill_null(pl.col("event_time")))
    frames = {"applicants": applicants(3, default=[0, None, 1], agreed=[1, 1, 0]), "power": table}
    said = {"applicants": {"types": {"agreed": "flag"}}, "power": {"consent": "agreed"}}
    taken = take(tmp_path, frames, sources=said, severity={"duplicate": "quarantine"})
    assert taken.account("power") == {
        "read": 9,
        "without_consent": 1,
        "unknown_applicant": 1,
        "left_out": 1,
        "set_aside": 1,
        "undated": 1,
        "after_application": 1,
        "recorded_after": 1,
        "outside_window": 1,
        "kept": 1,
    }


def test_a_flat_ledger_counts_a_row_for_each_time(tmp_path):
    cards = pl.DataFrame({"applicant_id": [1, 2], "S1": [0, 0], "S2": [1, 1], "B": [5, 5]})
    wide = {
        "times": ["2025-05-01", "2025-04-01"],
        "columns": {"status": ["S1", "S2"], "billed": ["B", "B"], "paid": ["B", "B"]},
    }
    frames = {"applicants": applicants(2), "cards": cards}
    taken = take(tmp_path, frames, sources={"cards": {"kind": "statements", "wide": wide}})
    assert taken.account("cards") == {"read": 4, "kept": 4}


def test_ids_of_text_and_of_numbers_meet(tmp_path):
    power = bills({"applicant_id": "1"}, {"applicant_id": "2"})
    taken = take(tmp_path, {"applicants": applicants(2), "power": power})
    assert taken.account("power") == {"read": 2, "kept": 2}


def test_dask_takes_in_what_one_process_does(tmp_path, monkeypatch):
    monkeypatch.setattr(people, "PART_APPLICANTS", 2)
    rows = [{"applicant_id": i, "event_time": APPLIED - (3 + i) * DAY} for i in range(1, 8)]
    taken = {}
    for name, engine in (("cpu", Engine("cpu", "cpu", "")), ("dask", Engine("dask", "cpu", ""))):
        (tmp_path / name).mkdir()
        frames = {"applicants": applicants(7), "power": bills(*rows)}
        taken[name] = take(tmp_path / name, frames, run=engine.map)
    assert taken["dask"].parts == 4
    assert taken["dask"].counts.equals(taken["cpu"].counts)
    assert taken["dask"].rows("power").equals(taken["cpu"].rows("power"))
    assert taken["dask"].ledger.equals(taken["cpu"].ledger)


# What is told of the sources


def opened(tmp_path, **sources):
    frames = {"applicants": applicants(2, note="x", income=1.0, agreed=1), "power": bills({})}
    for name, frame in frames.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    declared = {
        "applicants": source(
            "applicants",
            path="applicants.parquet",
            data_category="credit_terms",
            types={"income": "money", "agreed": "flag"},
            features={"income": {"definition": "income", "unit": "cents", "data_category": "income"}},
        ),
        "power": source(path="power.parquet", about="Bills", consent="agreed", **sources),
    }
    return intake.open_sources(declared, root=tmp_path, scratch=tmp_path)


def test_the_inventory_says_what_is_read_and_what_is_left_alone(tmp_path):
    table = intake.inventory(opened(tmp_path), ["power"])
    assert table.drop("source").rows() == [
        ("applicants", "credit_terms", "not asked for", 5, 2, "model", ""),
        ("bills", "utility", "agreed", 4, 0, "cost only", "Bills"),
    ]
    assert intake.consents_of(opened(tmp_path)) == ["agreed"]


def test_later_stages_are_told_what_they_must_know_and_no_place(tmp_path):
    applicants_view, power = intake.views(opened(tmp_path), ["power"])
    assert power == {
        "name": "power",
        "kind": "bills",
        "data_category": "utility",
        "needs_consent": True,
        "columns": ["amount_due", "applicant_id", "event_time", "paid_time"],
        "declared": [],
        "contract": {},  # of features that are columns as they stand
        "use": "cost only",
    }
    declared = {"definition": "income", "unit": "cents", "monotone": 0, "data_category": "income"}
    assert applicants_view["declared"] == [{"name": "income", **declared}]
    assert str(tmp_path) not in str([applicants_view, power])
