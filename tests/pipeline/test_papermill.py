"""A stage's notebook run by the plain `papermill` command."""

from tests.pipeline.running import SCRIPTS, call, hashes, made_again, refused, smoke, stage_states
from workbench.params import ROOT
from workbench.run import Run


def papermill(notebook, output, *words):
    return call(
        [str(SCRIPTS / "papermill"), str(ROOT / "notebooks" / notebook), str(output), *map(str, words)]
    )


def lines(run):
    return {f["at_least"] for f in Run.open(run).facts() if f["id"].endswith("adverse_impact_ratio")}


def test_a_stage_by_hand_and_made_again(copy, tmp_path):
    before = hashes(copy)
    assert lines(copy) == {0.8}
    done = papermill("06_fairness.ipynb", tmp_path / "out.ipynb", "-p", "run", copy, "-p", "air_line", 0.9)
    assert done.returncode == 0, done.stderr
    assert lines(copy) == {0.9}
    assert stage_states(copy)["fairness"] == "by hand"
    assert set(stage_states(copy).values()) == {"complete", "by hand"}
    changed = {name for name, known in hashes(copy).items() if known != before[name]}
    assert changed == {"fairness/facts"}
    verified = call([str(SCRIPTS / "workbench"), "verify", str(copy)])
    assert verified.returncode == 1
    assert "stage fairness is by hand, not complete" in verified.stdout
    refused(call([str(SCRIPTS / "workbench"), "report", str(copy), "--to", "html"]), "fairness: by hand")
    assert "fairness" in made_again(call(smoke(copy.parent)))
    assert hashes(copy) == before
    assert set(stage_states(copy).values()) == {"complete"}


def test_a_run_in_use_is_refused(copy, tmp_path):
    before = (copy / "manifest.json").read_bytes()
    lock = Run(copy).lock()
    try:
        done = papermill("06_fairness.ipynb", tmp_path / "out.ipynb", "-p", "run", copy)
    finally:
        lock.release()
    assert done.returncode != 0
    assert "in use by another process" in done.stderr
    assert (copy / "manifest.json").read_bytes() == before
