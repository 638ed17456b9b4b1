"""Batches as they are monitored: idempotent, corrected in the open, whole after a kill, telling of nobody."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from tests.pipeline.running import call_here, command, refused, shared_run
from workbench.errors import DataError, RunError
from workbench.params import ROOT
from workbench.run import Run
from workbench.watch.history import open_history
from workbench.watch.inputs import BatchFiles, read_batch
from workbench.watch.judging import judge
from workbench.watch.monitoring import monitor_batch
from workbench.watch.reference import open_reference


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture(scope="module")
def reference(run):
    return open_reference(run)


@pytest.fixture(scope="module")
def people(run):
    """Applicants of the run with their groups and outcomes: enough for a batch."""

    def rows(artifact):
        return pl.read_parquet(run.checked_path(artifact))

    frame = rows("features/features").join(rows("data/protected"), on="applicant_id")
    return frame.join(rows("training/scores").select("applicant_id", "default"), on="applicant_id")


@pytest.fixture
def files(people, tmp_path):
    """A batch of 700 applicants, its labels, and where everything goes."""
    some = people.sample(700, seed=1)
    some.drop("default").write_parquet(tmp_path / "batch.parquet")
    some.select("applicant_id", "default").write_parquet(tmp_path / "labels.parquet")
    return tmp_path


def monitor(run, files, *words, name="2026-10", batch="batch.parquet"):
    known = ("--batch", files / batch, "--name", name, "--history", files / "h.duckdb", "-o", files / "out")
    return call_here(command("monitor", run.folder, *known, "--to", "html", *words))


def state(files):
    """Everything that a batch has left: the bytes of the reports, and of the history."""
    kept = [*sorted((files / "out").iterdir()), files / "h.duckdb"]
    return {path.name: path.read_bytes() for path in kept}


def versions(files):
    with open_history(files / "h.duckdb") as history:
        return history.batches().select("number", "name", "version", "superseded_by").rows()


def test_a_batch_that_comes_again_changes_nothing(run, files):
    first = monitor(run, files)
    assert first.returncode == 0, first.stderr
    assert "version 1: recorded" in first.stdout
    before = state(files)
    again = monitor(run, files)
    assert "known already, nothing changed" in again.stdout
    assert state(files) == before


def test_outcomes_make_a_new_version_and_say_how_wrong_the_estimate_was(run, files):
    monitor(run, files)
    done = monitor(run, files, "--labels", files / "labels.parquet")
    assert "version 2: recorded" in done.stdout, done.stderr
    assert versions(files) == [(1, "2026-10", 1, 2), (2, "2026-10", 2, None)]
    with open_history(files / "h.duckdb") as history:
        first, second = (history.table("measures", number) for number in (1, 2))
    estimated = first.filter(measure="estimated_auc")["value"].item()
    observed = second.filter(measure="auc", of="all")["value"].item()
    error = second.filter(measure="error_of_estimated_auc").row(0, named=True)
    assert error["value"] == pytest.approx(observed - estimated)
    assert error["of"] in ("inside the interval", "outside the interval")
    page = (files / "out" / "2026-10-v2.html").read_text(encoding="utf-8")
    assert "error of estimated auc" in page


def test_other_applicants_under_a_name_are_refused_unless_they_correct_it(run, files, people):
    monitor(run, files)
    before = state(files)
    people.sample(500, seed=2).drop("default").write_parquet(files / "other.parquet")
    refused(monitor(run, files, batch="other.parquet"), "known with other contents", "--corrects")
    assert state(files) == before
    done = monitor(run, files, "--corrects", batch="other.parquet")
    assert "version 2: recorded" in done.stdout, done.stderr
    assert versions(files) == [(1, "2026-10", 1, 2), (2, "2026-10", 2, None)]
    kept = {path.name for path in (files / "out").iterdir()}
    assert kept == {"2026-10-v1.html", "2026-10-v2.html"}
    assert (files / "out" / "2026-10-v1.html").read_bytes() == before["2026-10-v1.html"]


def test_an_earlier_report_stays_the_same_whatever_comes_later(run, files, people):
    monitor(run, files)
    report = (files / "out" / "2026-10-v1.html").read_bytes()
    people.sample(600, seed=3).drop("default").write_parquet(files / "next.parquet")
    monitor(run, files, name="2026-11", batch="next.parquet")
    (files / "out" / "2026-10-v1.html").unlink()
    monitor(run, files)
    assert (files / "out" / "2026-10-v1.html").read_bytes() == report


def test_every_fault_of_the_files_is_told_and_nothing_is_kept(run, files):
    batch = pl.read_parquet(files / "batch.parquet")
    batch.drop("paid_mean").with_columns(paid_max=pl.lit("x")).write_parquet(files / "batch.parquet")
    pl.DataFrame({"applicant_id": [1], "default": [3]}).write_parquet(files / "labels.parquet")
    (files / "requests.parquet").write_bytes(b"PAR1 no")
    words = ("--labels", files / "labels.parquet", "--requests", files / "requests.parquet")
    done = monitor(run, files, *words, "--decisions", files / "none.parquet")
    refused(
        done,
        "batch: paid_mean is missing",
        "batch: paid_max is String",
        "labels: default has values other than 0, 1",
        "requests.parquet: not readable",
        "none.parquet: no such file",
    )
    assert not (files / "h.duckdb").exists()
    refused(monitor(run, files, name="../up"), "no name for a batch")


def test_labels_of_other_people_are_counted_and_many_are_refused(files, reference, people):
    labels = pl.read_parquet(files / "labels.parquet")
    strangers = pl.DataFrame({"applicant_id": [-1, -2], "default": [0, 1]}, schema=labels.schema)
    pl.concat([labels, strangers]).write_parquet(files / "labels.parquet")
    batch = BatchFiles(files / "batch.parquet", labels=files / "labels.parquet")
    assert read_batch(batch, reference.watched, reference.cipher).unknown_labels == 2
    people.select(pl.col("applicant_id") + 10_000_000, "default").write_parquet(files / "labels.parquet")
    with pytest.raises(DataError, match="labels are of applicants whom the batch lacks"):
        read_batch(batch, reference.watched, reference.cipher)


def test_who_stands_twice_counts_once(files, reference):
    batch = pl.read_parquet(files / "batch.parquet")
    pl.concat([batch, batch.head(9)]).write_parquet(files / "batch.parquet")
    found = read_batch(BatchFiles(files / "batch.parquet"), reference.watched, reference.cipher)
    assert (found.frame.height, found.repeated) == (700, 9)


def judged(files, reference, **changed):
    batch = pl.read_parquet(files / "batch.parquet").with_columns(**changed)
    batch.write_parquet(files / "batch.parquet")
    read = read_batch(BatchFiles(files / "batch.parquet"), reference.watched, reference.cipher)
    return judge(read, reference)


def test_a_stable_batch_raises_no_alarm_of_drift(files, reference):
    found = judged(files, reference)
    assert not set(found.alerts["trigger"]) & {"score_shift", "feature_shift", "multivariate_shift"}


def test_a_shift_is_found_named_and_followed_by_the_score(files, reference):
    found = judged(files, reference, late_months_latest=pl.col("late_months_latest") + 1)
    alerts = {row["trigger"]: row for row in found.alerts.iter_rows(named=True)}
    assert "late_months_latest" in alerts["feature_shift"]["of"]
    assert alerts["score_shift"]["severity"] in ("watch", "act")
    assert found.recommendation.action != "keep"


def test_values_beyond_the_contract_are_refused_and_called(files, reference):
    found = judged(
        files,
        reference,
        credit_limit=pl.when(pl.int_range(pl.len()) < 30).then(-5.0).otherwise("credit_limit"),
    )
    alert = found.alerts.filter(trigger="data_quality").row(0, named=True)
    assert alert["value"] == pytest.approx(30 / 700)
    assert alert["severity"] == "act"


def test_decisions_times_and_failures_of_the_service_count(files, reference):
    batch = pl.read_parquet(files / "batch.parquet")
    decided = batch.select("applicant_id").with_columns(
        role=pl.lit("champion"),
        prob_default=pl.lit(0.2),
        score=pl.lit(540.0),
        decision=pl.lit("approved"),
        review=pl.int_range(pl.len()) < 70,
        milliseconds=pl.when(pl.int_range(pl.len()) < 40).then(90.0).otherwise(2.0),
    )
    shadow = decided.with_columns(role=pl.lit("shadow"), decision=pl.lit("declined"))
    pl.concat([decided, shadow]).write_parquet(files / "decisions.parquet")
    pl.DataFrame({"status": [503, 500, 422], "milliseconds": [1.0, 1.0, 1.0]}).write_parquet(
        files / "requests.parquet"
    )
    batch.with_columns(overridden=pl.int_range(pl.len()) < 90).write_parquet(files / "batch.parquet")
    given = BatchFiles(files / "batch.parquet", files / "decisions.parquet", None, files / "requests.parquet")
    found = judge(read_batch(given, reference.watched, reference.cipher), reference)
    values = dict(
        found.measures.filter(pl.col("section").is_in(["people", "service"]))
        .select("measure", "value")
        .iter_rows()
    )
    assert values["reviewed"] == pytest.approx(0.1)
    assert values["overridden"] == pytest.approx(90 / 700)
    assert values["latency_p50"] == 2.0
    assert values["latency_p99"] == 90.0
    assert values["failed_requests"] == pytest.approx(2 / 703)
    assert values["refused_requests"] == pytest.approx(1 / 703)
    assert {"overrides", "latency"} <= set(found.alerts["trigger"])


def test_nothing_that_is_kept_or_told_names_an_applicant(run, files, people):
    marked = (
        people.sample(300, seed=5)
        .drop("default")
        .with_columns(applicant_id=pl.int_range(pl.len()) + 987_654_000)
    )
    marked = marked.with_columns(
        paid_mean=pl.when(pl.int_range(pl.len()) == 0).then(8_765_432.1).otherwise("paid_mean")
    )
    marked.write_parquet(files / "batch.parquet")
    done = monitor(run, files)
    texts = {
        "out": done.stdout + done.stderr,
        **{path.name: path.read_text() for path in (files / "out").iterdir()},
    }
    with duckdb.connect(str(files / "h.duckdb"), read_only=True) as kept:
        tables = [
            row[0] for row in kept.execute("SELECT table_name FROM information_schema.tables").fetchall()
        ]
        texts["history"] = str([kept.execute(f"SELECT * FROM {table}").fetchall() for table in tables])
    for name, text in texts.items():
        for mark in ("987654", "987,654", "8765432", "8,765,432"):
            assert mark not in text, name


def test_names_from_the_batch_are_shown_as_text(run, files):
    batch = pl.read_parquet(files / "batch.parquet")
    batch.with_columns(vintage=pl.lit("<script>alert(1)</script>")).write_parquet(files / "batch.parquet")
    monitor(run, files)
    page = (files / "out" / "2026-10-v1.html").read_text(encoding="utf-8")
    assert "<script>alert" not in page


def test_a_clock_that_goes_back_changes_no_order(run, files, people):
    times = iter([datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)])
    for name, seed in (("b", 1), ("a", 2)):
        people.sample(400, seed=seed).drop("default").write_parquet(files / f"{name}.parquet")
        done = monitor_batch(
            run,
            BatchFiles(files / f"{name}.parquet"),
            name=name,
            history=files / "h.duckdb",
            out=files / "out",
            formats=["html"],
            clock=lambda: next(times),
        )
    assert done.notes == ("the clock had gone back: batches are ordered by their number, not by time",)
    assert [row[1] for row in versions(files)] == ["b", "a"]


def test_a_history_in_use_or_that_is_none_is_told(run, files):
    monitor(run, files)
    holding = "import duckdb,sys,time; c=duckdb.connect(sys.argv[1]); print(1, flush=True); time.sleep(60)"
    path = str(files / "h.duckdb")
    with subprocess.Popen([sys.executable, "-c", holding, path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        done = monitor(run, files)
        other.kill()
    refused(done, "in use by another process")
    (files / "h.duckdb").write_bytes(b"notes " * 500)
    refused(monitor(run, files), "is no history of batches")
    assert (files / "h.duckdb").read_bytes() == b"notes " * 500


def test_a_kill_leaves_the_history_whole(run, files, people):
    """Killed at many moments: each batch is in it with all its tables, or not at all."""
    words = command(
        "monitor", run.folder, "--history", files / "h.duckdb", "-o", files / "out", "--to", "html"
    )
    generator = np.random.default_rng(1)
    for number in range(4):
        people.sample(300, seed=number).drop("default").write_parquet(files / f"b{number}.parquet")
        started = subprocess.Popen(
            [*words, "--batch", str(files / f"b{number}.parquet")], cwd=ROOT, stdout=subprocess.PIPE
        )
        for line in started.stdout:
            if line.startswith(b"3 of 4"):
                break
        time.sleep(float(generator.random()) * 0.4)
        os.kill(started.pid, signal.SIGKILL)
        started.communicate()
    with open_history(Path(files / "h.duckdb")) as history:
        for number in history.batches()["number"]:
            assert history.table("measures", number).height > 20
            assert history.table("indices", number).height == 30
    for number in range(4):
        done = call_here([*words, "--batch", str(files / f"b{number}.parquet")])
        assert done.returncode == 0, done.stderr
    with open_history(files / "h.duckdb") as history:
        assert sorted(history.batches()["name"]) == [f"b{number}" for number in range(4)]


def test_a_run_that_was_edited_judges_nothing(run, files, tmp_path):
    from tests.pipeline.running import copied

    (tmp_path / "runs").mkdir()
    mine = Run.open(copied(run.folder, tmp_path / "runs"))
    path = mine.checked_path("monitoring/baseline")
    pl.read_parquet(path).with_columns(share=pl.lit(0.5)).write_parquet(path)
    with pytest.raises(RunError, match="monitoring/baseline"):
        open_reference(mine)
