"""A validator's own findings, their opinion, and what people decide about findings of rules."""

import pytest
import yaml

from workbench import own_findings
from workbench.errors import ParamsError
from workbench.own_findings import OwnFindings, check_previous_run, load_own_findings
from workbench.params import ROOT
from workbench.study import load_study

FINDING = {
    "id": "V01", "title": "Outliers", "condition": "Two banks are mixed", "criterion": "One population",
    "cause": "A merger", "effect": "PDs are too low", "recommendation": "Split", "severity": "high",
    "owner": "model developer", "raised_on": "2026-10-01", "author": "V. Alidator", "due": "2026-12-01",
}  # fmt: skip
CLOSED = {
    "closed_on": "2026-11-01",
    "closed_by": "V. Alidator",
    "evidence": ["validation.auc"],
    "reason": "Split",
}
DECISION = {"finding": "F07", "decision": "accepted", "author": "M. Owner", "role": "model owner"}
DECISION |= {"date": "2026-11-01", "reason": "The next study has later applicants"}


@pytest.fixture
def load(tmp_path, monkeypatch):
    """Reads a file of findings as a study's."""
    monkeypatch.setattr(own_findings, "ROOT", tmp_path)

    def read(**values):
        (tmp_path / "own.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
        return load_own_findings(
            load_study(ROOT / "params" / "smoke.yaml", ["report.findings_from=own.yaml"])
        )

    return read


def faults_of(load, **values):
    with pytest.raises(ParamsError) as caught:
        load(**values)
    return caught.value.faults


def test_a_study_without_a_file_has_none():
    assert load_own_findings(load_study(ROOT / "params" / "smoke.yaml")) == OwnFindings()


def test_findings_decisions_and_an_opinion_are_read(load):
    opinion = {"verdict": "approved on conditions", "text": "Sound", "independence": "Another department"}
    opinion |= {"author": "V. Alidator", "date": "2026-11-01", "next_review": "2027-11-01"}
    found = load(findings=[FINDING | CLOSED], decisions=[DECISION], opinion=opinion)
    assert found.findings[0].closed_by == "V. Alidator"
    assert found.decisions[0].decision == "accepted"
    assert found.opinion.verdict == "approved on conditions"


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"severity": "grave"}, "severity"),
        ({"due": "2026-09-01"}, "due 2026-09-01 is before it was raised"),
        ({"closed_on": "2026-11-01"}, "it lacks closed_by, evidence, reason"),
        ({"id": "F01"}, "id"),
        ({"colour": "red"}, "unknown key"),
    ],
)
def test_a_finding_that_is_wrong_is_told(load, change, fault):
    assert fault in faults_of(load, findings=[FINDING | change])[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"finding": "F99"}, "F99: no rule has this id"),
        ({"decision": "closed"}, "evidence is missing"),
        ({"role": "model developer"}, "the model developer owes it"),
        ({"until": "2026-10-01"}, "an acceptance ends on its day or later"),
    ],
)
def test_a_decision_that_is_wrong_is_told(load, change, fault):
    assert fault in faults_of(load, decisions=[DECISION | change])[0]


def test_two_of_one_kind_are_told_together(load):
    faults = faults_of(load, findings=[FINDING, FINDING], decisions=[DECISION, DECISION])
    assert len(faults) == 2
    assert "V01: two findings have this id" in faults[0]
    assert "two decisions" in faults[1]


def test_evidence_must_be_in_the_run(load):
    found = load(findings=[FINDING | CLOSED | {"evidence": ["validation.acu"]}])
    (fault,) = found.evidence_faults({"validation.auc"})
    assert (
        fault == "V01: evidence validation.acu: no fact or artifact of the run (did you mean validation.auc?)"
    )
    assert found.evidence_faults({"validation.acu"}) == []


def test_a_file_that_is_not_there_is_told():
    study = load_study(ROOT / "params" / "smoke.yaml", ["report.findings_from=nowhere.yaml"])
    with pytest.raises(ParamsError, match=r"nowhere\.yaml: no such file"):
        load_own_findings(study)


def test_a_run_goes_on_from_one_beside_it(tmp_path):
    (tmp_path / "before").mkdir()
    (tmp_path / "before" / "manifest.json").write_text("{}")
    study = load_study(ROOT / "params" / "smoke.yaml", ["report.previous_run=before"])
    check_previous_run(study, tmp_path / "after")
    for folder in (tmp_path / "before", tmp_path / "else" / "after"):
        with pytest.raises(ParamsError, match="before: no such run"):
            check_previous_run(study, folder)
