"""Whole runs through the real command line: resumed, changed, killed, damaged and refused."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import polars as pl
import psutil
import pytest
from sklearn.metrics import roc_auc_score

from tests.pipeline.running import (
    Started,
    all_gone,
    call,
    call_here,
    copied,
    hashes,
    is_open,
    made_again,
    refused,
    smoke,
    stage_states,
    states,
)
from workbench.params import ROOT, STAGES
from workbench.run import Run

AFTER_TRAINING = set(STAGES[3:])


def documents(run):
    return {path.name: path.read_bytes() for path in (run / "report").glob("*.html")}


# What is run again, and what is not


def test_a_finished_run_started_again_runs_nothing(copy):
    before = (copy / "manifest.json").read_bytes()
    begun = time.perf_counter()
    done = call(smoke(copy.parent))
    print(f"a finished run started again: {time.perf_counter() - begun:.1f} s")
    assert made_again(done) == set()
    assert set(states(done)) == {*STAGES, "report"}
    assert (copy / "manifest.json").read_bytes() == before


def test_one_changed_key_runs_its_stage_and_the_report_again(copy):
    before = hashes(copy)
    done = call(smoke(copy.parent, "--set", "fairness.air_line=0.85"))
    assert made_again(done) == {"fairness", "report"}
    after = hashes(copy)
    assert {name for name in after if after[name] != before[name]} == {"fairness/facts"}
    assert Run.open(copy).study.fairness.air_line == 0.85
    assert "at least 0.850" in (copy / "report" / "source" / "model_risk" / "_variables.yml").read_text()


def test_only_one_stage(copy):
    before = hashes(copy)
    done = call(smoke(copy.parent, "--only", "scoring"))
    assert made_again(done) == {"scoring"}
    assert set(states(done)) == {"scoring"}
    assert hashes(copy) == before


def test_from_a_stage_on(copy):
    before = hashes(copy)
    done = call(smoke(copy.parent, "--from", "scoring"))
    assert made_again(done) == {"scoring", "monitoring"}
    assert hashes(copy) == before


def test_a_deleted_artifact_is_made_again(copy):
    before = hashes(copy)
    (copy / "monitoring" / "tables" / "shifts.parquet").unlink()
    done = call(smoke(copy.parent))
    assert made_again(done) == {"monitoring"}
    assert hashes(copy) == before


# Killed, and started again


def test_a_run_killed_again_and_again_ends_like_one_that_was_not(smoke_run, tmp_path):
    """Also: two runs of one study are equal."""
    run = tmp_path / "smoke"
    left = []
    for moment, group in (
        (lambda _: is_open(run, "data"), True),
        (lambda _: is_open(run, "training"), False),
        (lambda started: len(started.running()) == 2, True),
    ):
        started = Started(smoke(tmp_path), tmp_path / "log.txt")
        started.until(lambda moment=moment, started=started: moment(started))
        left += started.kill(group=group)
    assert left
    assert all_gone(left), "a kernel was left behind"
    done = call(smoke(tmp_path))
    assert done.returncode == 0, done.stderr
    assert states(done)["data"] == states(done)["training"] == "unchanged"
    assert hashes(run) == hashes(smoke_run)
    assert set(stage_states(run).values()) == {"complete"}
    ours, theirs = Run.open(run).manifest, Run.open(smoke_run).manifest
    if ours["report"]["inputs"] == theirs["report"]["inputs"]:
        assert documents(run) == documents(smoke_run)


@pytest.mark.parametrize(
    ("stage", "artifact", "group"),
    [
        ("data", "data/tables/ledger.parquet", False),
        ("training", "training/tables/trials.parquet", True),
        ("monitoring", "monitoring/tables/shifts.parquet", False),
    ],
)
def test_a_stage_killed_while_it_is_made_again(copy, tmp_path, stage, artifact, group):
    before = hashes(copy)
    (copy / artifact).unlink()
    started = Started(smoke(copy.parent), tmp_path / "log.txt")
    started.until(lambda: is_open(copy, stage))
    children = started.kill(group=group)
    assert stage_states(copy)[stage] == "open"
    assert stage not in {entry["stage"] for entry in Run.open(copy).manifest["artifacts"].values()}
    assert all_gone(children), "a kernel was left behind"
    assert made_again(call(smoke(copy.parent))) == {stage}
    assert hashes(copy) == before


def test_two_stages_side_by_side_killed_with_the_main_process_alone(copy, tmp_path):
    before = hashes(copy)
    (copy / "validation" / "tables" / "roc.parquet").unlink()
    (copy / "explanation" / "tables" / "examples.parquet").unlink()
    started = Started(smoke(copy.parent), tmp_path / "log.txt")
    started.until(lambda: started.running() == {"validation", "explanation"})
    time.sleep(1)
    assert all_gone(started.kill(group=False)), "a kernel was left behind"
    assert made_again(call(smoke(copy.parent))) == {"validation", "explanation"}
    assert hashes(copy) == before


@pytest.fixture
def subreaper():
    """Orphans come to this process, as they come to systemd on a desktop, and not to process 1."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has subreapers")
    prctl = ctypes.CDLL(None).prctl
    assert prctl(36, 1, 0, 0, 0) == 0
    yield
    prctl(36, 0, 0, 0, 0)


def test_a_kernel_that_was_still_importing_ends_too(copy, tmp_path, subreaper):
    (copy / "explanation" / "tables" / "examples.parquet").unlink()
    started = Started(smoke(copy.parent), tmp_path / "log.txt")
    started.until(lambda: any("ipykernel_launcher" in c.cmdline() for c in started.main.children()))
    left = started.kill(group=False)
    gone = all_gone(left)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    assert gone, "a kernel was left behind"


def test_an_interrupt_ends_the_run_and_its_kernels(copy, tmp_path):
    """Ctrl-C goes to the foreground group; kernels have groups of their own."""
    started = Started(smoke(copy.parent, "--from", "training"), tmp_path / "log.txt")
    started.until(lambda: is_open(copy, "training"))
    children = started.main.children(recursive=True)
    os.killpg(started.process.pid, signal.SIGINT)
    code = started.process.wait(120)
    said = started.log.read_text()
    assert (code, "Traceback" in said) == (130, False), said
    assert "interrupted; the same command goes on where it stopped" in said
    assert all_gone(children), "a kernel was left behind"
    assert "training: complete" not in said, "it went on until the stage had ended"
    assert stage_states(copy)["training"] == "open"


# Damaged


def test_edited_and_truncated_artifacts_are_named_and_nothing_is_run(copy):
    edited = copy / "data" / "rows" / "samples.parquet"
    content = bytearray(edited.read_bytes())
    content[50] ^= 1
    edited.write_bytes(content)
    truncated = copy / "training" / "models" / "champion.ubj"
    truncated.write_bytes(truncated.read_bytes()[:500])
    facts = copy / "fairness" / "facts.json"
    facts.write_text(facts.read_text() + " ")
    done = call(smoke(copy.parent))
    refused(
        done,
        "3 artifact(s) are not as they were written",
        "data/samples was edited after it was written",
        "training/champion has 500 bytes where",
        "fairness/facts has",
    )
    assert states(done) == {}
    assert set(stage_states(copy).values()) == {"complete"}


def test_a_damaged_stage_made_again_is_whole(copy):
    before = hashes(copy)
    facts = copy / "monitoring" / "facts.json"
    facts.write_text(facts.read_text() + " ")
    assert made_again(call(smoke(copy.parent, "--from", "monitoring"))) == {"monitoring"}
    assert hashes(copy) == before


def test_a_truncated_manifest_is_refused(copy):
    path = copy / "manifest.json"
    path.write_text(path.read_text()[:2000])
    refused(call(smoke(copy.parent)), "manifest.json: not readable as JSON, truncated or edited")


def test_a_study_that_is_refused_does_not_change_the_run(copy):
    params = (copy / "params.yaml").read_bytes()
    facts = copy / "fairness" / "facts.json"
    facts.write_text(facts.read_text() + " ")
    refused(call(smoke(copy.parent, "--set", "fairness.air_line=0.85")), "fairness/facts has")
    assert (copy / "params.yaml").read_bytes() == params


def test_a_folder_in_use_is_left_as_it_is(copy):
    """The parameters of the process that has the folder must not change under it."""
    params, manifest = (copy / "params.yaml").read_bytes(), (copy / "manifest.json").read_bytes()
    lock = Run(copy).lock()
    try:
        refused(
            call(smoke(copy.parent, "--set", "fairness.air_line=0.85")),
            "in use by another process",
            "--run-id NAME",
        )
    finally:
        lock.release()
    assert (copy / "params.yaml").read_bytes() == params
    assert (copy / "manifest.json").read_bytes() == manifest


# A notebook that raises


def test_a_notebook_that_raises_is_named_kept_and_goes_on_when_mended(copy):
    before = hashes(copy)
    wrong = ["--set", "fairness.reference_groups.sex=femal"]
    done = call(smoke(copy.parent, *wrong))
    refused(
        done,
        "Stage fairness stopped at cell 5: groups that cannot be judged",  # as the executed notebook counts
        "sex: The reference group is not in the data",
        "sex: received 'femal' (did you mean female?)",
        "the executed notebook is kept",
        "mend the cause and run the same command again",
    )
    assert states(done)["fairness"] == "failed"
    cells = json.loads((copy / "fairness" / "notebook.ipynb").read_text())["cells"]
    raised = [
        o for c in cells if c["cell_type"] == "code" for o in c["outputs"] if o["output_type"] == "error"
    ]
    assert [output["ename"] for output in raised] == ["DataError"]
    complete = {stage for stage, state in stage_states(copy).items() if state == "complete"}
    assert complete == set(STAGES) - {"fairness"}
    assert made_again(call(smoke(copy.parent))) == {"fairness"}
    assert hashes(copy) == before


def test_the_small_reference_group_of_an_attribute(copy):
    done = call(smoke(copy.parent, "--set", "fairness.min_group_applicants=400"))
    refused(done, "Stage fairness stopped at cell", "reference", "400 applicants")


def test_a_calibration_sample_that_is_too_small(copy):
    done = call(smoke(copy.parent, "--set", "training.min_calibration_defaults=5000"))
    refused(
        done,
        "Stage training stopped at cell",
        "too small to calibrate",
        "training.min_calibration_defaults asks for 5,000",
    )
    assert stage_states(copy)["features"] == "complete"
    assert set(states(done)) == {"data", "features", "training"}


def from_file(runs, path):
    """A run that reads its applicants from another file."""
    return call(smoke(runs, "--set", f"data.sources.applicants.path={path}"))


def test_a_source_that_is_missing(tmp_path):
    done = from_file(tmp_path, "data/taiwan_credits.parquet")
    refused(done, "Stage data stopped at cell", "no such file (did you mean taiwan_credit.parquet?)")


def test_a_source_that_is_truncated(tmp_path):
    """The source lies below the repository, or anywhere by its whole path."""
    source = tmp_path / "half.parquet"
    source.write_bytes((ROOT / "data" / "taiwan_credit.parquet").read_bytes()[:100_000])
    done = from_file(tmp_path / "runs", source)
    refused(done, "Stage data stopped at cell", "half.parquet: unreadable, truncated, empty or no parquet")


def test_a_source_with_a_repeated_client(tmp_path):
    source = pl.read_parquet(ROOT / "data" / "taiwan_credit.parquet")
    pl.concat([source, source.head(2)]).write_parquet(tmp_path / "twice.parquet")
    done = from_file(tmp_path / "runs", tmp_path / "twice.parquet")
    refused(done, "Stage data stopped at cell", "4 rows repeat an applicant_id; one row is one application")


def test_a_source_is_known_by_its_content(copy, tmp_path):
    """The same rows in another file, then other ages in it: only who reads what changed runs again."""
    source = pl.read_parquet(ROOT / "data" / "taiwan_credit.parquet")
    source.write_parquet(tmp_path / "again.parquet")
    words = ["--set", f"data.sources.applicants.path={tmp_path / 'again.parquet'}"]
    assert made_again(call(smoke(copy.parent, *words))) - {"report"} == {"data"}
    assert made_again(call(smoke(copy.parent, *words))) == set()
    source.with_columns(AGE=pl.col("AGE") + 1).write_parquet(tmp_path / "again.parquet")
    again = made_again(call(smoke(copy.parent, *words)))
    assert {"data", "fairness"} <= again
    assert not {"features", "training", "scoring"} & again


def test_a_feature_that_is_not_in_the_catalogue(copy):
    done = call(smoke(copy.parent, "--set", "features.selected=[late_count, late_cuont]"))
    refused(done, "1 unknown feature(s)", "late_cuont", "did you mean late_count?")
    assert set(stage_states(copy).values()) == {"complete"}  # nothing was run


def test_names_of_features_that_are_not_in_use_are_refused_together(copy):
    named = [
        "features.invisible_without=[late_cuont]",
        "validation.stress={bad: {utilisation_men: {plus: 1.0}}}",
    ]
    done = call(smoke(copy.parent, *(word for value in named for word in ("--set", value))))
    refused(
        done, "2 name(s) of no feature in use", "did you mean late_count?", "did you mean utilisation_mean?"
    )
    assert set(stage_states(copy).values()) == {"complete"}


def test_events_of_the_application_day_or_later_never_reach_the_run(tmp_path):
    """The newest statement is of 15 September 2005: before that day none of it is known."""
    words = ["--only", "data", "--set", "data.application_date='2005-09-15'"]
    done = call(smoke(tmp_path, *words))
    assert done.returncode == 0, done.stderr
    ages = pl.read_parquet(tmp_path / "smoke/data/rows/statements")["age_days"].unique().sort().to_list()
    assert ages == [31, 62, 92, 123, 153]
    stop = ["--set", "data.severity.after_application=stop"]
    refused(
        call(smoke(tmp_path, *words, *stop)),
        "statements: after_application in 1 month(s), first 2005-09; 2,000 rows",
    )


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv("WB_TEST_KEY", "0123456789abcdef")


def test_a_key_that_is_missing_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.delenv("WB_TEST_KEY", raising=False)
    done = call(smoke(tmp_path, "--only", "data", "--set", "pseudonym_key=WB_TEST_KEY"))
    refused(done, "environment variable WB_TEST_KEY: not set")
    assert list(tmp_path.iterdir()) == []


def test_a_key_that_changed_is_refused(tmp_path, key, monkeypatch):
    words = smoke(tmp_path, "--only", "data", "--set", "pseudonym_key=WB_TEST_KEY")
    assert made_again(call(words)) == {"data"}
    ids = pl.read_parquet(tmp_path / "smoke/data/rows/applicants.parquet")["applicant_id"]
    assert ids.min() > 30_000
    monkeypatch.setenv("WB_TEST_KEY", "fedcba9876543210")
    refused(call(words), "the pseudonym key is not the one this run was made with")
    monkeypatch.setenv("WB_TEST_KEY", "0123456789abcdef")
    assert made_again(call(words)) == {"data"}


def test_a_jurisdiction_that_is_not_known_is_refused_before_anything_is_written(tmp_path):
    refused(call_here(smoke(tmp_path, "--set", "data.packs=[kenia]")), "no such pack (did you mean kenya?)")
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_cannot_be_reached(tmp_path):
    words = ["--only", "data", "--set", "engine=dask", "--set", "scheduler=tcp://127.0.0.1:1"]
    refused(call(smoke(tmp_path, *words)), "scheduler tcp://127.0.0.1:1: not reachable")


def test_dask_makes_the_run_that_one_process_makes(smoke_run, tmp_path):
    """All but the champion itself: its workers add up in another order."""
    for stage in STAGES[:3]:
        done = call(smoke(tmp_path, "--set", "engine=dask", "--only", stage))
        assert done.returncode == 0, done.stdout + done.stderr
    ours, theirs = hashes(tmp_path / "smoke"), hashes(smoke_run)
    same = [name for name in ours if name.split("/")[0] in ("data", "features")]
    same += [f"training/{name}" for name in ("trials", "candidates", "ablation", "minimisation", "scorecard")]
    assert {name: ours[name] for name in same} == {name: theirs[name] for name in same}
    ours, theirs = (
        pl.read_parquet(Run.open(run).checked_path("training/scores")).filter(sample="holdout")
        for run in (tmp_path / "smoke", smoke_run)
    )
    champions = [roc_auc_score(scores["default"], scores["prob_default"]) for scores in (ours, theirs)]
    assert champions[0] == pytest.approx(champions[1], abs=0.01)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("features.selected=[late_count, sex]", "protected attributes never enter the model"),
        ("data.sources.applicants.pth=x", "unknown key (did you mean path?)"),
        ("data.sources.statements.time_zone=Mars", "time_zone Mars: no such zone"),
        ("features.selected=[late_count, late_count]", "named twice: late_count"),
        ("fairness.airline=0.8", "fairness.airline: unknown key (did you mean air_line?)"),
        ("data.truth=none.parquet", "data.truth: none.parquet: no such file"),
        ("explanation.languages=[xx]", "xx"),
        ("explanation.knock_out_rules={many: {feature: late_count, at_least: 3}}", "en: rule many: no text"),
        ("report.sample_letters=[mars]", "notice mars.en: no such template"),
        ("data.holdout_share=0.5", "the three sample shares add up to 1.25"),
    ],
)
def test_a_wrong_study_is_refused_before_anything_is_written(tmp_path, override, said):
    refused(call_here(smoke(tmp_path, "--set", override)), said)
    assert list(tmp_path.iterdir()) == []


def test_a_temporary_folder_with_a_long_name(tmp_path):
    """Sockets are files, whose whole name may have 107 characters."""
    temporary = tmp_path / ("x" * 100)
    temporary.mkdir()
    done = call(smoke(tmp_path / "runs", "--only", "data"), temporary=temporary)
    assert "Traceback" not in done.stderr, done.stderr[-500:]
    assert done.returncode == 0, done.stderr


# A full disk


@pytest.fixture
def small_disk(tmp_path):
    """Mounts a disk of some kilobytes; only root can."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(size):
        if os.geteuid() != 0 or shutil.which("mount") is None:
            pytest.skip("mounting needs root")
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
        if subprocess.run(words, capture_output=True).returncode != 0:
            pytest.skip("mounting is not allowed here")
        return folder

    yield mount
    if os.path.ismount(folder):
        ctypes.CDLL(None, use_errno=True).umount2(os.fsencode(folder), 2)


@pytest.mark.parametrize("size", ["4k", "200k"])
def test_a_full_disk(small_disk, size):
    refused(call(smoke(small_disk(size))), "No space left on device")


def test_a_full_disk_under_a_finished_run(smoke_run, small_disk):
    """What was complete stays complete."""
    used = sum(path.stat().st_size // 4096 + 1 for path in smoke_run.rglob("*") if path.is_file()) * 4
    run = copied(smoke_run, small_disk(f"{used + 40_000}k"))  # room for a report beside the old one
    filler = run.parent / "filler"
    free = shutil.disk_usage(run.parent).free
    filler.write_bytes(bytes(max(0, free - 20_000)))
    done = call(smoke(run.parent, "--from", "monitoring"))
    refused(done, "No space left on device")
    complete = {stage for stage, state in stage_states(run).items() if state == "complete"}
    assert complete >= set(STAGES) - {"monitoring"}
    filler.unlink()
    assert made_again(call(smoke(run.parent))) <= {"monitoring"}
    assert hashes(run) == hashes(smoke_run)


def test_a_runs_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    done = call(smoke(tmp_path / "file"))
    assert "Traceback" not in done.stderr
    assert done.returncode == 1
