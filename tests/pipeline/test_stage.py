"""A stage as its notebook sees it."""

import polars as pl
import pytest

from workbench.errors import DataError, ParamsError, RunError
from workbench.run import Run, unknown_files
from workbench.stage import Stage
from workbench.store import write_json

KEY = ["applicant_id"]
ROWS = pl.DataFrame({"applicant_id": [1, 2, 3], "sex": ["male", "female", "male"]})
RATIOS = pl.DataFrame(
    {
        "attribute": ["sex", "sex", "education"],
        "metric": ["ratio", "difference", "ratio"],
        "value": [0.9, 0.02, None],
        "low": [0.85, -0.01, None],
        "high": [0.95, 0.05, None],
        "level": [0.95, 0.95, 0.95],
        "method": ["bootstrap", "bootstrap", "bootstrap"],
        "group": ["female", "female", "other"],
    }
)


def test_a_repeated_key_is_refused_with_its_count_and_without_a_row(new_run):
    stage = Stage(new_run(), "data")
    rows = pl.DataFrame({"applicant_id": [71, 71, 71, 72, 73, 73]})
    with pytest.raises(DataError) as caught:
        stage.save_rows("applicants", rows, key=KEY, about="x")
    assert str(caught.value) == "data/applicants: 5 rows repeat the key applicant_id"
    assert not (stage.folder / "rows").exists()


def test_a_key_of_two_columns(new_run):
    stage = Stage(new_run(), "data")
    rows = pl.DataFrame({"applicant_id": [1, 1, 2], "month": ["a", "b", "a"]})
    stage.save_rows("statements", rows, key=[*KEY, "month"], about="x")
    with pytest.raises(DataError, match="2 rows repeat the key applicant_id"):
        stage.save_rows("statements", rows, key=KEY, about="x")


@pytest.fixture
def saved(new_run):
    """A run in which the data stage has saved a table of protected attributes."""
    run = new_run()
    stage = Stage(run, "data")
    stage.save_rows("protected", ROWS, key=KEY, about="x", readers=["fairness", "validation"])
    stage.close()
    return run


def test_training_may_not_read_protected_attributes(saved):
    training = Stage(saved, "training")
    for read in (training.read, training.path, training.read_json):
        with pytest.raises(RunError) as caught:
            read("data/protected")
        assert "stage training may not read data/protected" in str(caught.value)
        assert "readers: fairness, validation" in str(caught.value)


def test_fairness_may_read_them_and_it_is_noted(saved):
    fairness = Stage(saved, "fairness")
    assert fairness.read("data/protected").equals(ROWS)
    fairness.close()
    entry = saved.manifest["artifacts"]["data/protected"]
    assert saved.manifest["stages"]["fairness"]["reads"] == {"data/protected": entry["sha256"]}


@pytest.mark.parametrize("stage", ["features", "training", "explanation", "scoring", "monitoring"])
def test_only_two_stages_may_read_the_real_protected_table(copy, stage):
    with pytest.raises(RunError, match="may not read data/protected"):
        Stage(Run.open(copy), stage).read("data/protected")


def test_an_open_stage_vouches_for_nothing(saved):
    assert "data/protected" in saved.manifest["artifacts"]
    stage = Stage(saved, "data")
    assert saved.manifest["stages"]["data"] == {"state": "open"}
    assert saved.manifest["artifacts"] == {}
    stage.save_rows("applicants", ROWS, key=KEY, about="x")
    assert saved.manifest["artifacts"] == {}
    with pytest.raises(RunError, match="data/applicants: not in run smoke"):
        Stage(saved, "features").read("data/applicants")
    stage.close()
    assert set(saved.manifest["artifacts"]) == {"data/applicants", "data/facts"}
    assert saved.manifest["stages"]["data"]["state"] == "by hand"


def test_opening_a_stage_leaves_the_artifacts_of_others(saved):
    before = saved.manifest["artifacts"]
    Stage(saved, "features")
    assert saved.manifest["artifacts"] == before


def test_an_edited_table_is_not_read(saved):
    path = saved.folder / "data" / "rows" / "protected.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="truncated or edited"):
        Stage(saved, "fairness").read("data/protected")


# Parts


def parts(folder, *tables):
    """A folder of parts, one for each list of applicants."""
    folder.mkdir(parents=True)
    for number, ids in enumerate(tables):
        frame = pl.DataFrame(
            {"applicant_id": ids, "age_days": 3}, schema_overrides={"applicant_id": pl.Int64}
        )
        frame.write_parquet(folder / f"part-{number:04}.parquet")
    return folder


def test_parts_are_taken_into_the_run_and_read_as_one(new_run, tmp_path):
    run = new_run()
    stage = Stage(run, "data")
    made = parts(tmp_path / "made", [1, 1, 2], [], [3])
    stage.save_parts("power", made, unit="event", about="x", readers=["features"])
    stage.close()
    assert not made.exists()
    entry = run.entry("data/power")
    assert (entry["rows"], entry["columns"], entry["unit"]) == (4, ["applicant_id", "age_days"], "event")
    assert (entry["kind"], entry["sensitivity"], entry["path"]) == ("rows", "row", "data/rows/power")
    assert Stage(run, "features").read("data/power")["applicant_id"].to_list() == [1, 1, 2, 3]
    with pytest.raises(RunError, match="stage training may not read data/power"):
        Stage(run, "training").read("data/power")


def test_parts_take_the_place_of_those_that_were_there(new_run, tmp_path):
    run = new_run()
    for tables in ([[1], [2], [3]], [[4]]):
        stage = Stage(run, "data")
        stage.save_parts("power", parts(tmp_path / "made", *tables), unit="event", about="x")
        stage.close()
    assert [path.name for path in (run.folder / "data/rows/power").iterdir()] == ["part-0000.parquet"]
    assert Stage(run, "features").read("data/power")["applicant_id"].to_list() == [4]


def test_every_folder_is_taken_under_its_name(new_run, tmp_path):
    run = new_run()
    stage = Stage(run, "data")
    for name in ("power", "power_set_aside", "posts"):
        parts(tmp_path / "kept" / name, [1])
    about = {"power": "Bills", "posts": "Posts", "none": "Nothing"}
    stage.save_folders(tmp_path / "kept", about=about, readers={"posts": ["training"]})
    stage.save_folders(tmp_path / "none", about=about, readers={})
    stage.close()
    told = {name: run.entry(f"data/{name}") for name in ("power", "power_set_aside", "posts")}
    assert told["power"]["about"] == "Bills"
    assert told["power_set_aside"]["about"] == "Rows of power that were set aside, with reason"
    assert [entry.get("readers") for entry in told.values()] == [None, None, ["training"]]


def test_a_part_that_was_edited_is_not_read(new_run, tmp_path):
    run = new_run()
    stage = Stage(run, "data")
    stage.save_parts("power", parts(tmp_path / "made", [1], [2]), unit="event", about="x")
    stage.close()
    (run.folder / "data/rows/power/part-0001.parquet").unlink()
    with pytest.raises(RunError, match="truncated or edited"):
        Stage(run, "features").read("data/power")


# Rows on their way


def test_the_scratch_folder_is_empty_inside_the_run_and_goes_when_the_stage_closes(new_run):
    run = new_run()
    stage = Stage(run, "data")
    scratch = stage.scratch()
    assert scratch.is_relative_to(run.folder)
    assert scratch.name.startswith(".")
    (scratch / "rows.parquet").write_text("x")
    assert list(Stage(run, "data").scratch().iterdir()) == []
    (scratch / "rows.parquet").write_text("x")
    stage.close()
    assert not scratch.exists()


@pytest.mark.parametrize("key", ["", "ROWS_KEY"])
def test_spooled_rows_come_back_in_their_order_and_encrypted_as_the_run_is(new_run, monkeypatch, key):
    monkeypatch.setenv("ROWS_KEY", "the key of the encryption of rows")
    run = new_run()
    run.update(lambda manifest: manifest.update(encryption_key=key))
    stage = Stage(run, "data")
    folder = stage.scratch()
    back = stage.spool(ROWS.lazy().sort("applicant_id", descending=True), folder, batch_rows=2)
    assert back.slice(2, 2).collect()["applicant_id"].to_list() == [1]
    assert back.collect().equals(ROWS.reverse())
    (file,) = folder.iterdir()
    assert (file.read_bytes()[-4:] == b"PARE") == bool(key)  # how an encrypted Parquet file ends


def test_unfinished_work_outlives_a_failed_stage_and_goes_when_it_closes(new_run):
    run = new_run()
    stage = Stage(run, "training")
    (stage.unfinished() / "50.ubj").write_text("x")
    again = Stage(run, "training")
    assert [path.name for path in again.unfinished().iterdir()] == ["50.ubj"]
    assert Stage(run, "data").unfinished() != again.unfinished()
    assert unknown_files(run) == []
    again.close()
    assert list(again.unfinished().iterdir()) == []


def test_a_note_stands_in_the_manifest_alone(new_run):
    run = new_run()
    stage = Stage(run, "training")
    stage.note("checkpoint 50.ubj is truncated: it is refused, and training starts clean")
    stage.close()
    assert run.manifest["stages"]["training"]["notes"] == stage._notes
    assert not any("refused" in str(fact) for fact in run.facts())


def test_a_journal_is_kept_and_vouched_for(new_run):
    run = new_run()
    stage = Stage(run, "training")
    journal = stage.unfinished() / "search.log"
    journal.write_text("one trial")
    stage.save_journal(journal, about="The search")
    stage.close()
    entry = run.entry("training/search")
    assert (run.folder / entry["path"]).read_text() == "one trial"
    assert entry["kind"] == "journals"
    assert entry["sensitivity"] == "aggregate"


def test_a_private_folder_lies_outside_the_run_and_goes_when_the_stage_closes(new_run):
    run = new_run()
    stage = Stage(run, "data")
    first, second = stage.private(), stage.private()
    assert first != second
    for folder in (first, second):
        assert not folder.is_relative_to(run.folder)
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "rows.csv").write_text("x")
    stage.close()
    assert not first.exists()
    assert not second.exists()


# Keys


@pytest.fixture
def keyed(new_run, monkeypatch):
    """A run of a study that names both keys."""
    run = new_run()
    for name in ("WB_PEOPLE", "WB_ROWS"):
        monkeypatch.setenv(name, f"{name}-0123456789abcdef")
    run.update(lambda manifest: manifest.update(pseudonym_key="WB_PEOPLE", encryption_key="WB_ROWS"))
    return run


def test_without_keys_nothing_is_replaced_or_encrypted(new_run):
    stage = Stage(new_run(), "data")
    assert stage.pseudonym_key is None
    assert stage.cipher.reading == {}


def test_keys_come_from_the_environment_and_are_never_in_the_run(keyed, monkeypatch):
    stage = Stage(keyed, "data")
    assert stage.pseudonym_key == b"WB_PEOPLE-0123456789abcdef"
    stage.save_rows("applicants", ROWS, key=KEY, about="x")
    stage.close()
    for path in keyed.folder.rglob("*"):
        assert not path.is_file() or b"0123456789abcdef" not in path.read_bytes()
    monkeypatch.delenv("WB_PEOPLE")
    with pytest.raises(ParamsError, match="WB_PEOPLE: not set"):
        _ = stage.pseudonym_key


def test_rows_are_encrypted_and_tables_are_not(keyed, tmp_path, monkeypatch):
    stage = Stage(keyed, "data")
    stage.save_rows("applicants", ROWS, key=KEY, about="x")
    stage.save_table("groups", ROWS.select("sex"), unit="group", about="x")
    made = tmp_path / "made"
    made.mkdir()
    ROWS.write_parquet(made / "part-0000.parquet", **stage.cipher.writing)
    stage.save_parts("power", made, unit="event", about="x")
    stage.close()
    reader = Stage(keyed, "features")
    assert reader.read("data/applicants").equals(ROWS)
    assert reader.read("data/power").equals(ROWS)
    assert pl.read_parquet(keyed.folder / "data/tables/groups.parquet").height == 3
    for name in ("applicants.parquet", "power/part-0000.parquet"):
        content = (keyed.folder / "data/rows" / name).read_bytes()
        assert b"female" not in content
        assert content.startswith(b"PARE")
    monkeypatch.setenv("WB_ROWS", "another-0123456789abcdef")
    with pytest.raises(RunError, match="encrypted with another key"):
        Stage(keyed, "features").read("data/applicants")


def test_who_asked_to_be_forgotten_is_told_to_the_data_stage(new_run):
    run = new_run()
    assert Stage(run, "data").forgotten() == []
    write_json(run.folder / "forgotten.json", {"pseudonyms": [5, 7], "unfinished": {}})
    assert Stage(run, "data").forgotten() == [5, 7]


def test_a_model_and_a_json_object(new_run):
    run = new_run()
    stage = Stage(run, "training")
    stage.save_model("champion", b"{bytes}", suffix="ubj", about="x")
    stage.save_json("scorer", {"cutoff": 512}, about="x")
    stage.close()
    scoring = Stage(run, "scoring")
    assert scoring.path("training/champion").read_bytes() == b"{bytes}"
    assert scoring.read_json("training/scorer") == {"cutoff": 512}


def test_one_fact_for_each_row(new_run):
    stage = Stage(new_run(), "fairness")
    stage.fact_rows(
        RATIOS,
        name=("attribute", "metric"),
        about="{attribute}, {metric}: {group}",
        lines={"ratio": (0.8, None)},
        line_source="practice",
    )
    stage.close()
    facts = {fact["id"]: fact for fact in stage.run.facts()}
    assert list(facts) == ["fairness.sex.ratio", "fairness.sex.difference", "fairness.education.ratio"]
    held = facts["fairness.sex.ratio"]
    assert (held["value"], held["low"], held["high"]) == (0.9, 0.85, 0.95)
    assert (held["at_least"], held["at_most"], held["line_source"]) == (0.8, None, "practice")
    assert (held["met"], held["about"]) == ("yes", "sex, ratio: female")
    assert facts["fairness.sex.difference"]["met"] is None
    assert facts["fairness.sex.difference"]["line_source"] == ""
    assert facts["fairness.education.ratio"]["met"] == "unknown"


def test_facts_as_a_table(new_run):
    stage = Stage(new_run(), "data")
    assert stage.facts().height == 0
    stage.fact("a", 3, about="x")
    stage.fact("b", 0.123456, about="y", at_most=0.1)
    assert stage.facts()["fact"].to_list() == ["data.a", "data.b"]
    assert stage.facts("b").row(0) == ("data.b", "0.1235", None, None, "", "no")


def test_every_failed_check_is_named(new_run):
    stage = Stage(new_run(), "data")
    assert stage.check({"one": True, "two": True})["check"].to_list() == ["one", "two"]
    with pytest.raises(DataError) as caught:
        stage.check({"one": True, "two": False, "three": False})
    assert caught.value.summary == "stage data: 2 of 3 checks failed"
    assert caught.value.faults == ("two", "three")


@pytest.mark.parametrize("names", [("sex", "sex.ratio"), ("sex.ratio", "sex")])
def test_a_fact_whose_name_begins_another_is_refused(new_run, names):
    stage = Stage(new_run(), "fairness")
    stage.fact(names[0], 1.0, about="x")
    with pytest.raises(ValueError, match="one name begins the other"):
        stage.fact(names[1], 1.0, about="x")
    stage.fact(names[0], 2.0, about="recorded again")
