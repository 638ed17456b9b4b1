"""What a stage's outcome depends on beside its own parameters."""

import pytest

from workbench import fingerprint
from workbench.params import ROOT
from workbench.study import load_study


def of_stage(stage, *overrides):
    return fingerprint.stage_fingerprint(stage, load_study(ROOT / "params" / "smoke.yaml", overrides), "cpu")


def changed(monkeypatch, name):
    """Let one file have another content."""
    real = fingerprint.sha256
    monkeypatch.setattr(
        fingerprint, "sha256", lambda path: f"other {name}" if path.name == name else real(path)
    )


@pytest.mark.parametrize(("stage", "depends"), [("data", True), ("features", False)])
def test_a_change_of_law_makes_the_data_stage_again(monkeypatch, stage, depends):
    before = of_stage(stage, "data.packs=[us]")
    changed(monkeypatch, "us.yaml")
    assert (of_stage(stage, "data.packs=[us]") != before) == depends


def test_a_pack_that_the_study_does_not_name_changes_nothing(monkeypatch):
    before = of_stage("data", "data.packs=[us]")
    changed(monkeypatch, "eu.yaml")
    assert of_stage("data", "data.packs=[us]") == before


def test_another_reference_table_makes_the_data_stage_again(monkeypatch):
    override = "data.reference=data/README.md"
    before = of_stage("data", override)
    changed(monkeypatch, "README.md")
    assert of_stage("data", override) != before


def test_a_changed_source_makes_the_data_stage_again(tmp_path):
    table = tmp_path / "table.parquet"
    override = f"data.sources.applicants.path={table}"
    found = set()
    for content in (b"one", b"another"):
        table.write_bytes(content)
        found.add(of_stage("data", override))
    assert len(found) == 2
