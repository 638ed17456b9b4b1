"""The commands of a rollout, as their users start them."""

import json

import polars as pl
import pytest

from tests.pipeline.running import call_here, command, refused
from tests.rollout.made import FINDING, made_run, side
from workbench.rollout.deployment import read_deployment

WHO = ("--approver", "Ada Obi, head of credit risk", "--why", "tested")


@pytest.fixture
def said(registry_uri):
    def call(*words, where=registry_uri):
        return call_here(command(*words, "--registry", where))

    return call


@pytest.fixture
def registry_uri(registry):
    return registry.uri


def did(done):
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_from_registering_to_a_rollback(said, tmp_path):
    live = ("--deployment", tmp_path / "live")
    runs = [made_run(tmp_path / name, bundle=name.encode()).folder for name in ("one", "two")]
    hashes = []
    for number, run in enumerate(runs, start=1):
        assert f"smoke version {number}: bundle" in did(said("register", run))
        manifest = json.loads((run / "manifest.json").read_text())
        hashes.append(manifest["artifacts"]["scoring/bundle"]["sha256"])
    assert "registered to champion" in did(said("promote", runs[0], "--to", "champion", *WHO, *live))
    told = did(said("promote", runs[1], "--to", "canary", "--share", "0.05", *WHO, *live))
    assert "registered to canary, share 0.05" in told
    assert "challenger test" in told
    assert "nothing was recorded" in did(said("promote", "1", "--to", "champion", *WHO, *live))

    arms = [side("champion", hashes[0], 30_000), side("canary", hashes[1], 30_000, start=30_000, seed=2)]
    path = tmp_path / "decisions.parquet"
    pl.concat(arms).write_parquet(path)
    refused(said("promote", runs[1], "--to", "champion", *WHO, *live), "none recorded")
    told = did(said("compare-stages", path))
    assert told.count(": not worse") == 4
    assert "approval_rate: -0.0" in told or "approval_rate: 0.0" in told
    assert "version 2 (canary) against version 1" in told
    assert "canary to champion" in did(said("promote", runs[1], "--to", "champion", *WHO, *live))
    assert read_deployment(tmp_path / "live").champion.version == 2

    assert "smoke version 1: retired to champion" in did(said("rollback", *WHO, *live))
    assert read_deployment(tmp_path / "live").champion.version == 1
    told = did(said("rollout", *live))
    assert "5 20" in told
    assert "rollback: version 2 champion to retired, version 1 retired to champion" in told
    assert "Ada Obi, head of credit risk: tested" in told
    assert "6 gates met" in told
    did(said("promote", runs[1], "--to", "shadow", *WHO))
    refused(said("rollout", *live), "is not what the registry says")


def test_mistakes_are_told_without_a_traceback(said, tmp_path):
    run = made_run(tmp_path / "one").folder
    refused(said("rollout"), "which model is meant?", "workbench register RUN")
    refused(said("promote", run, "--to", "champion", *WHO), "is not registered")
    did(said("register", run))
    refused(said("promote", run, "--to", "champion"), "nobody answers", "name: missing", "role: missing")
    refused(said("promote", run, "--to", "champion", "--approver", "Ada, head"), "why: missing")
    refused(said("promote", run, "--to", "king", *WHO), "no stage")
    refused(said("promote", run, "--to", "canary", "--share", "1.5", *WHO), "between 0 and 1", "no champion")
    refused(said("promote", "7", "--to", "shadow", *WHO), "no version 7", "versions: 1")
    refused(said("promote", tmp_path / "nowhere", "--to", "shadow", *WHO), "no run here")
    refused(said("promote", "1", "--to", "shadow", *WHO), "its run one is needed")
    refused(said("promote", "1", "--to", "shadow", *WHO, "--model", "smok"), "did you mean smoke?")
    refused(said("rollback", *WHO), "there is no champion")
    refused(said("rollout", where="https://me:secret@host"), "no password on the command line")


def test_all_gates_that_failed_are_told(said, tmp_path):
    run = made_run(tmp_path / "one", findings=[FINDING], met="no").folder
    did(said("register", run))
    told = said("promote", run, "--to", "champion", *WHO)
    refused(told, "2 of 5 gates failed", "findings: F06", "challenger test: validation.auc_gain no")


def test_comparisons_that_cannot_be_are_told(said, tmp_path):
    run = made_run(tmp_path / "one").folder
    did(said("register", run))
    path = tmp_path / "decisions.parquet"
    path.write_bytes(b"no table")
    refused(said("compare-stages", path), "0 versions are canary")
    refused(said("compare-stages", path, "--version", "1"), "there is no champion")
    refused(said("compare-stages", path, "--alpha", "0.6"), "between 0 and 0.5")
    refused(said("compare-stages", path, "--margin", "default_rate"), "measure=number")
    did(said("promote", run, "--to", "champion", *WHO))
    refused(said("compare-stages", path, "--version", "1"), "not readable as Parquet")
