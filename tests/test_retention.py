"""Rows leave a run and the evidence stays; one person leaves it everywhere."""

import shutil
from datetime import date

import polars as pl
import pytest

from tests.privacy.scanning import find_planted
from workbench import retention
from workbench.errors import ParamsError, RunError
from workbench.fingerprint import is_fresh
from workbench.params import ROOT
from workbench.privacy.encryption import open_cipher
from workbench.privacy.pseudonyms import key_check, pseudonymise
from workbench.retention import forget, forgotten_ids, purge
from workbench.run import Run, damaged, unknown_files
from workbench.stage import Stage
from workbench.store import read_json, sha256, write_json
from workbench.study import load_study

DAY = date(2026, 3, 1)
LATER = date(2026, 4, 1)
SAMPLES = ["development", "calibration", "holdout", "out_of_time"]
ROW_LEVEL = ["data/airtime", "data/applicants", "data/samples", "features/features"]
KEY = ["applicant_id"]


def make_run(folder, ids, **about):
    """A run with two complete stages: single tables, a folder of two parts, an aggregate and a model."""
    about = {"created": "2026-01-01", "engine": {"name": "cpu", "device": "cpu", "why": "test"}} | about
    run = Run.create(folder, load_study(ROOT / "params" / "smoke.yaml"), about)
    data = Stage(run, "data")
    people = pl.DataFrame({"applicant_id": ids, "income": [100 * n for n in range(len(ids))]})
    samples = people.select("applicant_id", sample=pl.Series((SAMPLES * len(ids))[: len(ids)]))
    data.save_rows("applicants", people, key=KEY, about="x")
    data.save_rows("samples", samples, key=KEY, about="x")
    scratch = data.scratch() / "airtime"
    scratch.mkdir()
    for number in range(2):
        part = people.filter(pl.col("applicant_id") % 2 == number).select(KEY)
        events = pl.concat([part] * 3).with_columns(amount=5)
        events.write_parquet(scratch / f"part-{number:04}.parquet", **data.cipher.writing)
    data.save_parts("airtime", scratch, unit="event", about="x")
    data.save_table(
        "waterfall", pl.DataFrame({"step": ["all"], "applicants": [len(ids)]}), unit="step", about="x"
    )
    data.close()
    features = Stage(run, "features")
    frame = features.read("data/applicants").join(features.read("data/samples"), on="applicant_id")
    features.save_rows("features", frame, key=KEY, about="x")
    features.save_json("recipe", {"a": 1}, about="x")
    features.close()
    return run


@pytest.fixture
def run(tmp_path):
    return make_run(tmp_path / "smoke", list(range(101, 113)))


def entry(run, artifact):
    return run.manifest["artifacts"][artifact]


def rows_with(run, person, cipher=None):
    """Artifact -> rows of a person, in every Parquet file below the run."""
    reading = cipher.reading if cipher else {}
    counts = {}
    for path in sorted(run.folder.rglob("*.parquet")):
        frame = pl.read_parquet(path, glob=False, **reading)
        if "applicant_id" in frame.columns and (number := (frame["applicant_id"] == person).sum()):
            counts[path.relative_to(run.folder).as_posix()] = number
    return counts


def state(run):
    """Every file of a run with its bytes, but for its locks."""
    files = (path for path in run.folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {path.relative_to(run.folder).as_posix(): sha256(path) for path in files}


# Purge


def test_rows_go_and_the_evidence_stays(run):
    before = run.manifest["artifacts"]
    gone = purge(run, DAY)
    assert gone.sort("artifact")["artifact"].to_list() == ROW_LEVEL
    assert dict(gone.select("artifact", "rows").iter_rows())["data/airtime"] == 36
    after = run.manifest["artifacts"]
    for name, was in before.items():
        assert after[name] == was | ({"purged": "2026-03-01"} if name in ROW_LEVEL else {})
        assert (run.folder / was["path"]).exists() == (name not in ROW_LEVEL)
    assert damaged(run) == {}
    assert unknown_files(run) == []
    assert not any("rows" in name for name in state(run))


def test_what_was_purged_says_so_when_it_is_read(run):
    purge(run, DAY)
    with pytest.raises(RunError, match=r"data/samples was purged on 2026-03-01\n.*run the study again"):
        Stage(run, "training").read("data/samples")
    assert Stage(run, "training").read_json("features/recipe") == {"a": 1}


def test_what_was_purged_and_is_there_again_is_a_fault(run):
    purge(run, DAY)
    (run.folder / "data" / "rows").mkdir(exist_ok=True)
    pl.DataFrame({"applicant_id": [1]}).write_parquet(run.folder / "data/rows/samples.parquet")
    assert damaged(run) == {"data/samples": "was purged on 2026-03-01 and is there again"}
    purge(run, LATER)
    assert damaged(run) == {}
    assert entry(run, "data/samples")["purged"] == "2026-03-01"


def test_an_interrupted_purge_ends_the_same(run, tmp_path, monkeypatch):
    other = Run(shutil.copytree(run.folder, tmp_path / "other" / "smoke"))
    purge(other, DAY)
    removed = []

    def until_the_second(path):
        removed.append(path)
        if len(removed) > 2:
            raise KeyboardInterrupt
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    monkeypatch.setattr(retention, "_remove", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        purge(run, DAY)
    monkeypatch.undo()
    assert set(damaged(run).values()) == {"is missing"}  # nothing vouches for what is gone
    assert all(
        (run.folder / e["path"]).exists()
        for n, e in run.manifest["artifacts"].items()
        if n not in damaged(run)
    )
    purge(run, DAY)
    assert state(run) == state(other)
    assert purge(run, LATER).height == 0
    assert state(run) == state(other)


def test_unfinished_files_and_rows_of_an_open_stage_go_and_others_stay(run):
    stage = Stage(run, "features")  # opened again and never closed: its rows have no entry
    hidden = [stage.scratch() / "a.parquet", run.folder / "data/rows/airtime/.tmp1.parquet"]
    hidden += [run.folder / "training/rows/x.part", run.folder / "data/tables/.tmp.parquet"]
    for path in hidden:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("rows")
    mine = run.folder / "notes.txt"
    mine.write_text("mine")
    purge(run, DAY)
    assert not any(path.exists() for path in hidden)
    assert not (run.folder / "features/rows/features.parquet").exists()
    assert mine.exists()
    assert (run.folder / "data/tables/waterfall.parquet").exists()


def test_links_go_and_what_they_lead_to_stays(run, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "keep.parquet").write_text("x")
    (run.folder / "data/rows/link").symlink_to(outside)
    (run.folder / "data/rows/file").symlink_to(outside / "keep.parquet")
    purge(run, DAY)
    assert not (run.folder / "data/rows/link").is_symlink()
    assert not (run.folder / "data/rows/file").is_symlink()
    assert (outside / "keep.parquet").exists()


def test_a_manifest_that_leads_out_of_the_run_is_refused(run, tmp_path):
    (tmp_path / "keep.parquet").write_text("x")

    def lead_out(manifest):
        manifest["artifacts"]["data/samples"]["path"] = "../keep.parquet"

    run.update(lead_out)
    before = state(run)
    for act in (lambda: purge(run, DAY), lambda: forget(run, "101")):
        with pytest.raises(RunError, match="leads out of the run folder"):
            act()
    assert (tmp_path / "keep.parquet").exists()
    assert state(run) == before


def test_a_run_in_use_is_neither_purged_nor_changed(run):
    before = state(run)
    lock = run.lock()
    for act in (lambda: purge(run, DAY), lambda: forget(run, "101")):
        with pytest.raises(RunError, match="in use by another process"):
            act()
    lock.release()
    assert state(run) == before


# Forget


def test_a_person_leaves_every_row_level_artifact_and_nobody_else_does(run):
    before = {
        path: n for person in range(101, 113) if person != 105 for path, n in rows_with(run, person).items()
    }
    assert rows_with(run, 105)
    done = forget(run, "105")
    assert rows_with(run, 105) == {}
    assert before == {p: n for person in range(101, 113) for p, n in rows_with(run, person).items()}
    assert sorted(done.removed.rows()) == [(name, 3 if name == "data/airtime" else 1) for name in ROW_LEVEL]
    assert damaged(run) == {}
    assert unknown_files(run) == []
    assert [entry(run, name)["rows"] for name in ROW_LEVEL] == [33, 11, 11, 11]
    assert forgotten_ids(run.folder) == Stage(run, "training").forgotten() == [105]
    assert run.manifest["forgotten"] == 1


def test_only_parts_with_the_person_are_written_again(run):
    before = state(run)
    forget(run, "105")
    after = state(run)
    changed = {name for name in before if before[name] != after.get(name)}
    assert changed == {
        "manifest.json",
        "data/rows/applicants.parquet",
        "data/rows/samples.parquet",
        "data/rows/airtime/part-0001.parquet",
        "features/rows/features.parquet",
    }


def complete(manifest):
    for stage in manifest["stages"].values():
        stage |= {"state": "complete", "fingerprint": "same"}


def test_the_next_run_keeps_the_data_stage_and_makes_later_stages_anew(run):
    run.update(complete)
    assert [is_fresh(run, stage, "same") for stage in ("data", "features")] == [True, True]
    forget(run, "105")
    assert [is_fresh(run, stage, "same") for stage in ("data", "features")] == [True, False]


def test_the_next_run_after_a_purge_makes_all_of_it_anew(run):
    run.update(complete)
    purge(run, DAY)
    assert [is_fresh(run, stage, "same") for stage in ("data", "features")] == [False, False]


@pytest.mark.parametrize(
    ("person", "sample", "stages"),
    [
        ("101", "development", ["features", "training", "training", "validation"]),
        ("102", "calibration", ["training", "validation"]),
        ("103", "holdout", ["validation"]),
        ("104", "out_of_time", ["validation"]),
    ],
)
def test_what_must_be_made_anew_follows_from_the_sample(run, person, sample, stages):
    done = forget(run, person)
    assert done.sample == sample
    assert [line.split(":")[0].split(",")[0] for line in done.retrain] == stages
    assert any("still contain the person as a count" in note for note in done.notes)
    assert any("the sources are not touched" in note for note in done.notes)


def test_several_people_one_after_the_other(run):
    for person in ("112", "101"):
        forget(run, person)
    assert forgotten_ids(run.folder) == [101, 112]
    again = forget(run, "101")
    assert again.removed.height == 0
    assert forgotten_ids(run.folder) == [101, 112]
    assert damaged(run) == {}


@pytest.mark.parametrize("wrong", ["999", "0412345678 Wanjiku", "9" * 30, ""])
def test_an_unknown_applicant_is_refused_without_the_id(run, wrong):
    before = state(run)
    with pytest.raises(RunError) as caught:
        forget(run, wrong)
    assert not wrong or wrong not in str(caught.value)
    assert state(run) == before


def test_a_person_in_no_sample_asks_for_nothing(run):
    rows = pl.read_parquet(run.folder / "data/rows/samples.parquet").filter(pl.col("applicant_id") != 101)
    stage = Stage(run, "data")
    stage.save_rows("samples", rows, key=KEY, about="x")
    stage.save_rows("applicants", pl.DataFrame({"applicant_id": [101, 102]}), key=KEY, about="x")
    stage.close()
    done = forget(run, "101")
    assert (done.sample, done.retrain) == ("", ())


@pytest.mark.parametrize("moment", ["_write_without", "_update_entries", "write_json"])
def test_an_interrupted_removal_goes_on(run, tmp_path, monkeypatch, moment):
    whole = Run(shutil.copytree(run.folder, tmp_path / "other" / "smoke"))
    forget(whole, "105")
    real, calls = getattr(retention, moment), []

    def second_time(*given):
        calls.append(given)
        if len(calls) == (1 if moment == "_update_entries" else 2):
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(retention, moment, second_time)
    with pytest.raises(KeyboardInterrupt):
        forget(run, "105")
    monkeypatch.undo()
    assert forgotten_ids(run.folder) == [105]  # whatever runs next leaves the person out
    done = forget(run, "105")
    assert done.sample == "development"
    assert len(done.retrain) == 4
    assert state(run) == state(whole)
    assert damaged(run) == {}


def test_another_removal_ends_the_interrupted_one(run, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(retention, "_write_without", stop)
    with pytest.raises(KeyboardInterrupt):
        forget(run, "105")
    monkeypatch.undo()
    forget(run, "106")
    assert rows_with(run, 105) == rows_with(run, 106) == {}
    assert forgotten_ids(run.folder) == [105, 106]
    assert damaged(run) == {}


def test_a_damaged_run_is_not_made_to_look_whole(run):
    path = run.folder / "data/rows/samples.parquet"
    pl.read_parquet(path).with_columns(sample=pl.lit("holdout")).write_parquet(path)
    before = state(run)
    with pytest.raises(RunError, match=r"nobody was removed\n.*data/samples has"):
        forget(run, "105")
    assert state(run) == before


def test_rows_without_an_id_stop_the_removal_before_it_begins(run):
    stage = Stage(run, "training")
    stage.save_rows("loose", pl.DataFrame({"n": [1, 2]}), key=["n"], about="x")
    stage.close()
    before = state(run)
    with pytest.raises(RunError, match="training/loose has no column applicant_id"):
        forget(run, "105")
    assert state(run) == before


def test_after_a_purge_the_person_stays_out_of_the_next_run(run):
    purge(run, DAY)
    done = forget(run, "105")
    assert done.removed.height == 0
    assert forgotten_ids(run.folder) == [105]
    assert damaged(run) == {}


def test_an_edited_list_is_refused(run):
    write_json(run.folder / "forgotten.json", {"ids": [1]})
    with pytest.raises(RunError, match="edited or from another version"):
        forgotten_ids(run.folder)


# Keys and encryption

SECRET = b"the key of the pseudonyms"
NAMES = [f"client-{n}@example.org" for n in range(12)]


@pytest.fixture
def closed(tmp_path, monkeypatch):
    """A run with pseudonyms and encrypted rows."""
    monkeypatch.setenv("PSEUDONYM_KEY", SECRET.decode())
    monkeypatch.setenv("OTHER_KEY", "another key of pseudonyms")
    monkeypatch.setenv("ROWS_KEY", "the key of the encryption")
    about = {
        "pseudonym_key": "PSEUDONYM_KEY",
        "pseudonym_key_check": key_check(SECRET),
        "encryption_key": "ROWS_KEY",
    }
    return make_run(tmp_path / "smoke", pseudonymise(pl.Series(NAMES), SECRET).to_list(), **about)


def test_a_person_is_found_by_the_id_of_the_source(closed):
    cipher = open_cipher("ROWS_KEY")
    person = pseudonymise(pl.Series(NAMES[:1]), SECRET).item()
    assert len(rows_with(closed, person, cipher)) == 4
    assert forget(closed, NAMES[0]).removed["rows"].sum() == 6
    assert rows_with(closed, person, cipher) == {}
    assert forgotten_ids(closed.folder) == [person]
    assert damaged(closed) == {}
    assert find_planted(closed.folder, NAMES) == {}


def test_what_is_written_again_is_encrypted_again(closed):
    forget(closed, NAMES[0], "PSEUDONYM_KEY", open_cipher("ROWS_KEY"))
    for path in closed.folder.rglob("rows/**/*.parquet"):
        with pytest.raises(pl.exceptions.ComputeError, match="encrypted footer"):
            pl.read_parquet(path)
    assert Stage(closed, "training").read("data/applicants").height == 11


def test_another_key_finds_nobody_and_says_why(closed, monkeypatch):
    with pytest.raises(RunError, match="OTHER_KEY holds another key than the pseudonyms of this run"):
        forget(closed, NAMES[0], "OTHER_KEY")
    with pytest.raises(RunError, match="encrypted with another key"):
        forget(closed, NAMES[0], cipher=open_cipher("OTHER_KEY"))
    with pytest.raises(RunError, match="no such applicant") as caught:
        forget(closed, "someone@example.org")
    assert "someone" not in str(caught.value)
    monkeypatch.delenv("PSEUDONYM_KEY")
    with pytest.raises(ParamsError, match="PSEUDONYM_KEY: not set"):
        forget(closed, NAMES[0])
    assert forgotten_ids(closed.folder) == []


def test_an_encrypted_run_is_purged_without_its_keys(closed, monkeypatch):
    monkeypatch.delenv("ROWS_KEY")
    monkeypatch.delenv("PSEUDONYM_KEY")
    assert purge(closed, DAY).height == 4
    assert damaged(closed) == {}
    assert read_json(closed.folder / "manifest.json")["encryption_key"] == "ROWS_KEY"
