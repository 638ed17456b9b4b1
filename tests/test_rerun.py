"""A run executed again: what is the same, what differs and how, and when a second run is no repetition."""

import json

import polars as pl
import pytest

from tests.pipeline.running import call_here, command, copied, refused, shared_run
from workbench.errors import RunError
from workbench.progress import PlainProgress
from workbench.rerun import compare_runs, rerun
from workbench.run import PARAMS, Run, sha256_of, size_of


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture
def second(shared, tmp_path):
    return Run.open(copied(shared.folder, tmp_path))


def put(run, artifact, write):
    path = run.folder / run.entry(artifact)["path"]
    write(path)
    known = {"sha256": sha256_of(path), "bytes": size_of(path)}
    run.update(lambda manifest: manifest["artifacts"][artifact].update(known))


def test_a_copy_is_the_same_in_everything(shared, second):
    found = compare_runs(shared, second)
    assert found.different == {}
    assert set(found.same) | set(found.not_compared) == set(shared.manifest["artifacts"])
    assert set(found.not_compared.values()) <= {"a journal holds times"}


def test_each_kind_tells_how_it_differs(shared, second):
    moved = pl.read_parquet(shared.checked_path("training/scores")).with_columns(pl.col("score") + 0.5)
    put(second, "training/scores", moved.write_parquet)
    put(second, "validation/gains", lambda path: pl.read_parquet(path).head(3).write_parquet(path))
    facts = json.loads((second.folder / second.entry("validation/facts")["path"]).read_text(encoding="utf-8"))
    facts[0]["value"] = 0.1
    put(second, "validation/facts", lambda path: path.write_text(json.dumps(facts), encoding="utf-8"))
    put(second, "report/model_card.html", lambda path: path.write_text("other", encoding="utf-8"))
    second.update(lambda manifest: manifest["artifacts"].pop("monitoring/shifts"))
    told = compare_runs(shared, second).different
    rows = pl.read_parquet(shared.checked_path("training/scores")).height
    assert told["training/scores"] == f"rows, score ({rows:,} rows, at most 0.5 apart)"
    bands = pl.read_parquet(shared.checked_path("validation/gains")).height
    assert told["validation/gains"] == f"tables, {bands} rows and 3, or other columns"
    assert told["validation/facts"] == f"facts, {facts[0]['id']}"
    assert told["report/model_card.html"].startswith("document, other bytes")
    assert told["monitoring/shifts"] == "only in the first run"
    assert len(told) == 5


def test_unsigned_counts_that_fall_are_not_told_as_billions(shared, second):
    gains = pl.read_parquet(shared.checked_path("validation/gains")).select(
        count=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32)
    )
    first = Run.open(copied(shared.folder, second.folder.parent / "first"))
    put(first, "validation/gains", gains.write_parquet)
    put(second, "validation/gains", gains.with_columns(pl.col("count") - 1).write_parquet)
    told = f"tables, count ({gains.height} rows, at most 1 apart)"
    for pair in ((first, second), (second, first)):
        assert compare_runs(*pair).different["validation/gains"] == told


def test_notebooks_are_compared_without_times_and_folders(shared, second):
    def later(path):
        notebook = json.loads(
            path.read_text(encoding="utf-8").replace(str(shared.folder), str(second.folder))
        )
        notebook["metadata"]["papermill"] = {"start_time": "later"}
        notebook["cells"][-1]["metadata"] = {"tags": ["other"]}
        path.write_text(json.dumps(notebook), encoding="utf-8")

    put(second, "validation/notebook", later)
    assert compare_runs(shared, second).different == {}

    def another(path):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        notebook["cells"][2]["source"] = ["1 + 1"]
        path.write_text(json.dumps(notebook), encoding="utf-8")

    put(second, "validation/notebook", another)
    assert compare_runs(shared, second).different == {"validation/notebook": "notebook, cells 3"}


def test_other_code_packages_or_sources_are_no_repetition(second):
    def change(manifest):
        manifest["packages"]["xgboost"] = "0.1"
        manifest["sources"] = dict.fromkeys(manifest["sources"], "0" * 64)

    second.update(change)
    with pytest.raises(RunError, match="cannot be executed again as it was") as caught:
        rerun(second, progress=PlainProgress())
    told = " ".join(caught.value.faults)
    assert "packages: was xgboost 0.1, is xgboost" in told
    assert "sources: was" in told


def test_parameters_that_were_edited_are_a_fault_and_no_repetition(second):
    path = second.folder / PARAMS
    path.write_text(
        path.read_text(encoding="utf-8").replace("study: smoke", "study: smoked"), encoding="utf-8"
    )
    done = call_here(command("verify", second.folder, "--rerun"))
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "params.yaml was edited after the run"
    with pytest.raises(RunError, match="cannot be executed again"):
        rerun(second, progress=PlainProgress())


def test_what_was_purged_is_not_compared(shared, second):
    done = call_here(command("purge", second.folder))
    assert done.returncode == 0, done.stderr
    found = compare_runs(shared, second)
    assert found.different == {}
    assert found.not_compared["data/applicants"].startswith("was purged on ")


def test_a_damaged_run_is_not_executed_again(second):
    (second.folder / second.entry("validation/gains")["path"]).unlink()
    refused_by_verify = call_here(command("verify", second.folder, "--rerun"))
    assert refused_by_verify.returncode == 1
    assert "validation/gains is missing" in refused_by_verify.stdout
    with pytest.raises(RunError, match="cannot be executed again"):
        rerun(second, progress=PlainProgress())


def test_a_folder_that_is_there_is_not_written_to(second, tmp_path):
    (tmp_path / "kept" / second.run_id).mkdir(parents=True)
    done = call_here(command("verify", second.folder, "--rerun", "--keep", tmp_path / "kept"))
    refused(done, "is there already")


@pytest.mark.scale
def test_the_smoke_study_executed_again_has_the_same_bytes(shared):
    done = call_here(command("verify", shared.folder, "--rerun"))
    assert done.returncode == 0, done.stdout
    assert "artifacts have the same bytes" in done.stdout
