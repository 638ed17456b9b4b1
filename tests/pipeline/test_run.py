"""The run folder: what the manifest vouches for, and what it says when something is wrong."""

import json
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import get_args

import polars as pl
import pytest

from workbench.errors import RunError
from workbench.params import STAGES
from workbench.run import Kind, Run, damaged, parts_of, sha256_of, size_of, unknown_files
from workbench.store import write_json

HOLD = """
import sys, time
from pathlib import Path
from workbench.run import Run
lock = Run(Path(sys.argv[1])).lock()
print("held", flush=True)
time.sleep(60)
"""
TAKE = """
import sys
from pathlib import Path
from workbench.errors import RunError
from workbench.run import Run
try:
    Run(Path(sys.argv[1])).lock()
except RunError as error:
    sys.exit(f"{error}")
"""


def entries_of(run):
    return Run.open(run).manifest["artifacts"]


def test_every_artifact_is_described(smoke_run):
    entries = entries_of(smoke_run)
    assert len(entries) > 50
    for name, entry in entries.items():
        path = smoke_run / entry["path"]
        assert entry["sha256"] == sha256_of(path), name
        assert entry["bytes"] == size_of(path), name
        assert entry["stage"] == name.split("/")[0], name
        assert entry["stage"] in (*STAGES, "report"), name
        assert entry["kind"] in get_args(Kind), name
        assert entry["sensitivity"] == ("row" if entry["kind"] == "rows" else "aggregate"), name
        assert entry["unit"], name
        assert entry["about"], name
        assert bool(entry["key"]) == (entry["kind"] in ("rows", "facts")), name


def test_rows_and_columns_are_those_of_the_table(smoke_run):
    for name, entry in entries_of(smoke_run).items():
        if entry["kind"] in ("rows", "tables"):
            table = pl.read_parquet(parts_of(smoke_run / entry["path"]))
            assert (entry["rows"], entry["columns"]) == (table.height, table.columns), name
            unique = table.select(entry["key"]).is_duplicated().sum() == 0 if entry["key"] else True
            assert unique or entry["unit"] == "event", name


def test_only_row_level_tables_carry_an_applicant(smoke_run):
    with_applicants = {
        name: entry["sensitivity"]
        for name, entry in entries_of(smoke_run).items()
        if "applicant_id" in entry.get("columns", [])
    }
    assert set(with_applicants.values()) == {"row"}
    assert {"data/protected", "data/statements", "training/scores", "scoring/decisions"} <= set(
        with_applicants
    )


def test_every_stage_has_facts_and_its_notebook(smoke_run):
    entries = entries_of(smoke_run)
    assert {f"{stage}/{name}" for stage in STAGES for name in ("facts", "notebook")} <= set(entries)


def test_every_file_is_in_the_manifest(smoke_run):
    assert unknown_files(Run.open(smoke_run)) == []
    assert damaged(Run.open(smoke_run)) == {}
    assert list(smoke_run.rglob(".*.parquet")) == []


def test_a_file_beside_the_artifacts_is_noticed(copy):
    (copy / "data" / "rows" / "extra.parquet").write_bytes(b"x")
    assert unknown_files(Run.open(copy)) == ["data/rows/extra.parquet"]


def test_nothing_is_pickled(smoke_run):
    for path in (path for path in smoke_run.rglob("*") if path.is_file()):
        assert path.suffix not in (".pkl", ".pickle", ".joblib", ".npy", ".npz"), path
        assert not path.read_bytes().startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")), path
    models = {e["path"].rsplit(".")[-1] for e in entries_of(smoke_run).values() if e["kind"] == "models"}
    assert models == {"ubj", "json", "zip"}
    with zipfile.ZipFile(Run.open(smoke_run).checked_path("scoring/bundle")) as bundle:
        assert {Path(name).suffix for name in bundle.namelist()} == {".json", ".ubj", ".onnx", ".int32"}


def test_the_manifest_tells_what_the_run_was_made_with(smoke_run):
    manifest = Run.open(smoke_run).manifest
    assert set(manifest) >= {"sources", "code", "packages", "engine", "seeds", "platform", "params_sha256"}
    assert set(manifest["code"]) == {"revision", "clean"}
    assert manifest["packages"]["polars"] == pl.__version__
    assert manifest["seeds"]["training"] == Run.open(smoke_run).study.training.seed
    for stage in manifest["stages"].values():
        assert stage["state"] == "complete"
        assert stage["seconds"] >= stage["work_seconds"] > 0
        assert stage["peak_memory_mib"] > 50


def test_a_missing_run_is_named_with_the_nearest(smoke_run):
    with pytest.raises(RunError) as caught:
        Run.open(smoke_run.parent / "smokey")
    assert "no run here (did you mean smoke?)" in str(caught.value)


def test_a_missing_run_in_a_missing_folder(tmp_path):
    with pytest.raises(RunError, match="no run here\n  - runs in that folder: none"):
        Run.open(tmp_path / "no" / "smoke")


@pytest.mark.parametrize("left", [0, 1, 1000])
def test_a_truncated_manifest(copy, left):
    path = copy / "manifest.json"
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(RunError, match=r"manifest\.json: not readable as JSON, truncated or edited"):
        Run.open(copy)


def test_a_manifest_that_lacks_keys(copy):
    manifest = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))
    del manifest["stages"], manifest["artifacts"]
    write_json(copy / "manifest.json", manifest)
    with pytest.raises(RunError) as caught:
        Run.open(copy)
    assert caught.value.faults == ("lacks 'stages'", "lacks 'artifacts'")


@pytest.mark.parametrize("text", ["[]", "null", '"smoke"', "3"])
def test_a_manifest_that_is_no_object(copy, text):
    (copy / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError):
        Run.open(copy)


def test_an_edited_artifact_is_refused(copy):
    path = copy / "fairness" / "tables" / "counts.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="fairness/counts was edited after it was written"):
        Run.open(copy).checked_path("fairness/counts")


def test_a_truncated_artifact_is_refused(copy):
    path = copy / "training" / "models" / "champion.ubj"
    written = path.stat().st_size
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(RunError, match=f"has 1,000 bytes where {written:,} were written"):
        Run.open(copy).checked_path("training/champion")


def part_of(run, number=0):
    return run / "data" / "rows" / "statements" / f"part-{number:04}.parquet"


def test_the_parts_of_an_artifact_are_one_artifact(smoke_run):
    entry = Run.open(smoke_run).entry("data/statements")
    assert entry["path"] == "data/rows/statements"
    assert parts_of(smoke_run / entry["path"]) == [part_of(smoke_run)]
    assert Run.open(smoke_run).checked_path("data/statements") == smoke_run / entry["path"]


def test_an_edited_part_is_refused(copy):
    content = bytearray(part_of(copy).read_bytes())
    content[100] ^= 1
    part_of(copy).write_bytes(content)
    with pytest.raises(RunError, match="data/statements was edited after it was written"):
        Run.open(copy).checked_path("data/statements")


@pytest.mark.parametrize("change", ["missing", "more", "other name", "truncated"])
def test_parts_that_are_not_those_written_are_refused(copy, change):
    part = part_of(copy)
    if change == "missing":
        part.unlink()
    elif change == "more":
        part_of(copy, 1).write_bytes(part.read_bytes())
    elif change == "truncated":
        part.write_bytes(part.read_bytes()[:-1])
    else:
        part.rename(part_of(copy, 1))
    assert set(damaged(Run.open(copy))) == {"data/statements"}
    with pytest.raises(RunError, match="data/statements"):
        Run.open(copy).checked_path("data/statements")


def test_a_file_among_the_parts_is_noticed(copy):
    (copy / "data" / "rows" / "statements" / "notes.csv").write_text("x")
    assert unknown_files(Run.open(copy)) == ["data/rows/statements/notes.csv"]


def test_a_folder_of_parts_that_is_gone_is_missing(copy):
    shutil.rmtree(part_of(copy).parent)
    with pytest.raises(RunError, match="data/statements is missing"):
        Run.open(copy).checked_path("data/statements")


def test_a_missing_artifact_is_refused(copy):
    (copy / "data" / "facts.json").unlink()
    with pytest.raises(RunError, match="data/facts is missing"):
        Run.open(copy).checked_path("data/facts")


def test_an_unknown_artifact_is_named_with_the_nearest(smoke_run):
    with pytest.raises(RunError) as caught:
        Run.open(smoke_run).entry("data/protectd")
    assert "not in run smoke (did you mean data/protected?)" in str(caught.value)
    assert "workbench run STUDY --only data" in str(caught.value)


def test_facts_come_in_the_order_of_the_stages(smoke_run):
    stages = [fact["id"].split(".")[0] for fact in Run.open(smoke_run).facts()]
    assert sorted(stages, key=STAGES.index) == stages
    assert set(stages) == set(STAGES)


def test_an_unchanged_manifest_is_not_written_again(new_run):
    run = new_run()
    before = (run.folder / "manifest.json").stat().st_mtime_ns
    run.update(lambda manifest: manifest.setdefault("run_id", "other"))
    assert (run.folder / "manifest.json").stat().st_mtime_ns == before


def test_the_folder_belongs_to_one_process_until_that_is_killed(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="in use by another process\n  - wait for it to end"):
            Run(tmp_path).lock()
        done = subprocess.run([sys.executable, "-c", TAKE, tmp_path], capture_output=True, text=True)
        assert done.returncode == 1
        assert "in use by another process" in done.stderr
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    time.sleep(0.1)
    Run(tmp_path).lock().release()
