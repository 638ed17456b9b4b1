"""The command line as its users meet it."""

import re

import pytest

from tests.pipeline.running import (
    PARAMS,
    STATE,
    call,
    call_here,
    command,
    copied,
    refused,
    shared_run,
    states,
)
from workbench.run import Run

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def smoke_run(tmp_path_factory):
    return shared_run(tmp_path_factory)


@pytest.fixture
def copy(smoke_run, tmp_path):
    return copied(smoke_run, tmp_path)


def test_help_lists_the_commands():
    done = call(command("--help"))
    assert done.returncode == 0
    for name in ("run", "report", "verify", "runs", "doctor"):
        assert re.search(rf"^\W*{name}\b", ANSI.sub("", done.stdout), re.MULTILINE), name


def test_no_arguments_print_the_help():
    assert "Usage: workbench" in " ".join(ANSI.sub("", call(command()).stdout).split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", PARAMS, "--only", "fairnes"], "--only fairnes: no such stage (did you mean fairness?)"),
        (["run", PARAMS, "--from", "training2"], "--from training2: no such stage (did you mean training?)"),
        (["run", PARAMS, "--only", "data", "--from", "data"], "--only and --from: received both"),
        (["run", "params/smokes.yaml"], "params/smokes.yaml: no such file"),
        (["run", "nowhere/smoke.yaml"], "nowhere/smoke.yaml: no such file"),
        (["run", "README.md"], "README.md"),
        (["run", "params"], "params"),
        (["run", PARAMS, "--set", "fairness.air_line"], "received no key=value"),
        (["run", PARAMS, "--set", "=3"], "received no key=value"),
        (["run", PARAMS, "--set", "fairness.air_line=[0.8"], "the value is not YAML"),
        (["run", PARAMS, "--set", "study.a.b=1"], "study.a is no section"),
        (["run", PARAMS, "--set", "fairnes.air_line=0.8"], "fairnes: unknown key (did you mean fairness?)"),
        (["run", PARAMS, "--set", "fairness.air_line=high"], "fairness.air_line: received 'high'"),
        (["run", PARAMS, "--set", "fairness.air_line=.nan"], "fairness.air_line"),
        (["run", PARAMS, "--set", "fairness=0.8"], "fairness"),
        (["run", PARAMS, "--engine", "gpu"], "engine gpu is not available here"),
        (["report", "no_such_run"], "no run here"),
        (["verify", "no_such_run"], "no run here"),
    ],
    ids=lambda value: " ".join(map(str, value[2:] or value)) if isinstance(value, list) else "",
)
def test_a_mistake_is_told_without_a_traceback(tmp_path, words, said):
    if "--engine" in words:
        from workbench.engine import missing_for_gpu

        if not missing_for_gpu():
            pytest.skip("there is a GPU")
    options = ["--runs", tmp_path] if words[0] == "run" else []
    done = call_here(command(*words, *options))
    refused(done, said)
    assert list(tmp_path.iterdir()) == []


def test_a_near_study_is_named():
    done = call_here(command("run", "params/smokes.yaml"))
    refused(done, "params/smoke.yaml")


def test_all_faults_are_told_together(tmp_path):
    words = ["--set", "data.seed=-1", "--set", "training.folds=1", "--set", "scoring.tolerence=1"]
    refused(
        call_here(command("run", PARAMS, "--runs", tmp_path, *words)),
        "3 fault(s) in the parameters; nothing was run",
        "data.seed: received -1",
        "training.folds: received 1",
        "scoring.tolerence: unknown key (did you mean tolerance?)",
    )


@pytest.mark.parametrize(
    "words",
    [
        ["run"],
        ["run", PARAMS, "--jobs", "0"],
        ["run", PARAMS, "--engine", "tpu"],
        ["run", PARAMS, "--renderer", "word"],
        ["run", PARAMS, "--unknown"],
        ["runn"],
    ],
    ids=lambda words: words[-1] if words[-1] != PARAMS else "params",
)
def test_a_usage_error(words):
    done = call_here(command(*words))
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Usage:" in ANSI.sub("", done.stderr)


@pytest.mark.parametrize("run_id", ["../outside", "."])
def test_a_run_id_is_a_name_and_no_path(tmp_path, run_id):
    """The source that is missing ends the run early where the name is taken."""
    runs = tmp_path / "runs"
    words = ["--runs", runs, "--run-id", run_id, "--set", "data.sources.applicants.path=nowhere.parquet"]
    done = call(command("run", PARAMS, *words))
    assert "Traceback" not in done.stderr
    assert states(done) == {}, "the name was taken"
    assert not (tmp_path / "outside").exists()


def test_an_unknown_format(smoke_run):
    refused(
        call_here(command("report", smoke_run, "--to", "html,odt")),
        "unknown format odt",
        "formats: html, pdf, docx",
    )
    refused(call_here(command("report", smoke_run, "--to", "")), "--to")


def test_html_alone(copy):
    (copy / "report" / "model_risk.html").unlink()
    pdf = (copy / "report" / "model_risk.pdf").stat().st_mtime_ns
    done = call(command("report", copy, "--to", "html"))
    assert done.returncode == 0, done.stderr
    assert str(copy / "report" / "model_risk.html") in done.stdout.replace("\n", "")
    assert "model_risk.pdf" not in done.stdout
    assert (copy / "report" / "model_risk.html").is_file()
    assert (copy / "report" / "model_risk.pdf").stat().st_mtime_ns == pdf
    assert call(command("verify", copy)).returncode == 0


def test_a_report_needs_every_stage(copy):
    (copy / "manifest.json").write_text(
        (copy / "manifest.json").read_text().replace('"state": "complete"', '"state": "open"', 1)
    )
    refused(call(command("report", copy)), "the report needs every stage complete", "data: open")


def test_a_report_does_not_print_a_damaged_table(copy):
    path = copy / "fairness" / "tables" / "metrics.parquet"
    path.write_bytes(path.read_bytes()[:-5])
    refused(call(command("report", copy, "--to", "html")), "fairness/metrics has")


def test_a_clean_run_is_verified(smoke_run):
    done = call(command("verify", smoke_run))
    assert done.returncode == 0
    assert re.fullmatch(r"\d+ artifacts checked, 0 fault\(s\)\n", done.stdout)


def test_numbers_that_are_not_those_of_the_facts_are_told(copy):
    path = copy / "report" / "source" / "fair_lending" / "_variables.yml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("cutoff: '512'", "cutoff: '511'"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    done = call(command("verify", copy))
    assert done.returncode == 1
    assert "report/fair_lending: _variables.yml is not what the run says now" in " ".join(done.stdout.split())
    assert "1 fault(s)" in done.stdout


def test_every_fault_of_a_run_is_named(copy):
    page = copy / "report" / "model_risk.html"
    text = page.read_text(encoding="utf-8")
    page.write_text(text.replace("held", "HELD", 1), encoding="utf-8")
    (copy / "fairness" / "notebook.ipynb").unlink()
    (copy / "data" / "rows" / "more.csv").write_text("applicant_id\n1\n")
    done = call(command("verify", copy))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "report/model_risk.html was edited after it was written" in done.stdout
    assert "fairness/notebook is missing" in done.stdout
    assert "data/rows/more.csv is not in the manifest" in done.stdout
    assert "3 fault(s)" in done.stdout


def test_verify_tells_of_a_stage_that_never_ran(copy):
    import json

    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["stages"]["monitoring"]
    path.write_text(json.dumps(manifest))
    done = call(command("verify", copy))
    assert done.returncode == 1, done.stdout


def test_runs_are_listed(smoke_run, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.json").write_text('{"run_id": ')
    copied(smoke_run, tmp_path)
    done = call(command("runs", "--folder", tmp_path))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.split() == ["broken", "manifest", "damaged"]
    assert second.startswith("smoke")
    assert "8 of 8 stages  html pdf" in second
    assert Run.open(smoke_run).manifest["note"] in second


@pytest.mark.parametrize("text", ["{}", "[]", '{"run_id": "x"}'])
def test_an_odd_manifest_does_not_stop_the_list(tmp_path, text):
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "manifest.json").write_text(text)
    done = call(command("runs", "--folder", tmp_path))
    assert "Traceback" not in done.stderr
    assert done.stdout.startswith("odd")


def test_a_folder_without_runs(tmp_path):
    done = call(command("runs", "--folder", tmp_path))
    assert done.returncode == 0
    assert "make one with: workbench run params/taiwan.yaml" in done.stdout


def test_the_doctor():
    done = call(command("doctor"))
    assert (done.returncode, done.stderr) == (0, "")
    names = {line.split()[0] for line in done.stdout.splitlines() if line[0] != " "}
    assert {"python", "machine", "engine", "gpu", "quarto", "pandoc", "chromium", "polars", "disk"} <= names


def test_a_run_tells_its_facts_times_and_documents(copy):
    done = call(command("run", PARAMS, "--runs", copy.parent, "--only", "monitoring", *small()))
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if STATE.match(line)]
    assert re.search(r"monitoring\.score_stability\W+0\.\d+", done.stdout)
    assert re.search(r"\d+\.\d s, of which outside stage work \(.*\) \d+%; peak memory", done.stdout)


def small():
    from tests.pipeline.running import SMALL

    return SMALL
