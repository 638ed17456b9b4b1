"""Findings of a finished run: recorded once, told in documents and records, accepted, aged and closed."""

import json
from datetime import date
from fnmatch import fnmatch

import pytest
import yaml

from tests.pipeline.running import call_here, command, copied, shared_run
from workbench import own_findings
from workbench.errors import RunError
from workbench.finding_rules import RULES as RULES_FILE
from workbench.finding_rules import load_finding_rules
from workbench.reporting.pages import printed_pages
from workbench.reporting.run_findings import findings_of, record_findings
from workbench.run import PARAMS, Run

OF_RUN = {
    "facts",
    "study",
    "lines",
    "code",
    "packs",
    "permission",
    "requirements",
    "missing",
    "owed",
    "challenges",
}
RULES = load_finding_rules()


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture
def run(shared, tmp_path):
    """A copy of the run."""
    return Run.open(copied(shared.folder, tmp_path))


def with_params(run, **report):
    path = run.folder / PARAMS
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    values["report"] |= report
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")


def of(run, name, subject=None):
    rows = findings_of(run).frame.filter(id=name)
    return (rows if subject is None else rows.filter(subject=subject)).row(0, named=True)


@pytest.mark.parametrize("name", RULES.rules)
def test_every_rule_looks_at_what_a_run_has(shared, name):
    """A rule about a table or a fact that no run has would be silent for ever."""
    rule = RULES.rules[name]
    assert rule.rows in OF_RUN | set(shared.manifest["artifacts"])
    if rule.rows != "facts":
        return
    known = {fact["id"] for fact in shared.facts()}
    for condition in rule.where:
        kind, against = condition.test
        if condition.column == "id" and kind in ("is", "like"):
            patterns = [against] if isinstance(against, str) else against
            assert any(fnmatch(fact, pattern) for pattern in patterns for fact in known), patterns


def test_what_was_recorded_is_what_the_documents_and_records_say(shared):
    frame = findings_of(shared).frame
    assert frame.height > 10
    record = json.loads((shared.folder / "report" / "findings.json").read_text(encoding="utf-8"))
    assert [one["id"] for one in record["findings"]] == frame["id"].to_list()
    assert sum(record["open"].values()) == frame.filter(state="open").height
    pages = printed_pages(shared)
    for row in frame.filter(state="open").iter_rows(named=True):
        assert f"**{row['id']} " in pages["findings"]
    assert "findings" in shared.manifest
    assert shared.entry("report/findings")["sensitivity"] == "aggregate"
    assert "**not provided**" in pages["opinion"]


def test_recording_again_changes_nothing(run):
    before = run.manifest["findings"]
    record_findings(run, date(2030, 1, 1))
    assert run.manifest["findings"] == before


def moved(run, day, label):
    """Date the register of a run, as if other results had been found on that day."""
    before = run.manifest["findings"]
    run.update(lambda m: m.update(findings=[event | {"on": day, "run": label} for event in before]))


def test_other_results_in_the_same_folder_age_a_finding(run):
    moved(run, "2027-01-01", "smoke 00000000")
    record_findings(run, date(2027, 1, 31))
    row = of(run, "F06")
    assert (row["runs"], row["raised_on"]) == (2, date(2027, 1, 1))
    assert "30 days, 2 runs" in printed_pages(run)["findings"]


def test_what_is_not_raised_any_more_is_closed_with_the_evidence(run):
    gone = {"finding": "F01", "subject": "validation.auc", "event": "raised", "on": "2026-01-01", "run": "x"}
    gone |= {"evidence": "", "title": "A line is not held", "severity": "high", "owner": "model developer"}
    run.update(lambda manifest: manifest["findings"].insert(0, gone))
    record_findings(run, date(2026, 12, 1))
    row = of(run, "F01", "validation.auc")
    assert (row["state"], row["decided_on"]) == ("closed", date(2026, 12, 1))
    assert row["evidence"].startswith("validation.auc is ")


def test_a_run_that_goes_on_from_another_keeps_the_days(run, shared, tmp_path):
    before = Run.open(copied(shared.folder, tmp_path / "earlier"))
    before.folder.rename(tmp_path / "before")
    moved(Run.open(tmp_path / "before"), "2025-05-05", "before 1")
    with_params(run, previous_run="before")
    run.update(lambda manifest: manifest.pop("findings"))
    record_findings(run, date(2026, 5, 5))
    assert of(run, "F06")["raised_on"] == date(2025, 5, 5)
    assert of(run, "F06")["runs"] == 2


def test_people_accept_close_and_add(run, tmp_path, monkeypatch):
    own = {"id": "V01", "title": "Mixed banks", "condition": "Two", "criterion": "One", "cause": "Merger"}
    own |= {"effect": "Low", "recommendation": "Split", "severity": "high", "owner": "model developer"}
    own |= {"raised_on": "2026-01-01", "author": "V. <b>", "due": "2026-02-01"}
    decided = {"finding": "F06", "decision": "accepted", "author": "B. Oard", "role": "management body"}
    decided |= {"date": "2026-02-02", "reason": "Ranking only"}
    opinion = {
        "verdict": "rejected",
        "text": "Not yet",
        "independence": "Apart",
        "author": "V.",
        "date": "2026-02-02",
    }
    opinion |= {"next_review": "2027-02-02"}
    values = {"findings": [own], "decisions": [decided], "opinion": opinion}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    monkeypatch.setattr(own_findings, "ROOT", tmp_path)
    with_params(run, findings_from="own.yaml")
    record_findings(run, date(2026, 3, 1))
    assert of(run, "V01")["state"] == "open"
    assert of(run, "F06")["state"] == "accepted"
    pages = printed_pages(run)
    assert "**overdue**" in next(line for line in pages["findings"].splitlines() if "V01" in line)
    assert "Ranking only" in pages["findings_closed"]
    assert "<b>" not in pages["findings"]
    assert pages["opinion"].startswith("**Rejected.** Not yet")
    values["findings"][0] |= {
        "closed_on": "2026-03-03",
        "closed_by": "V.",
        "evidence": ["no.fact"],
        "reason": "Split",
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    with pytest.raises(RunError, match="evidence that the run does not have"):
        findings_of(run)


def test_the_command_lists_them(shared):
    done = call_here(command("findings", shared.folder))
    assert done.returncode == 0, done.stderr
    *rows, last = done.stdout.splitlines()
    assert rows[0].startswith("high   open ")
    assert last.endswith(" open")
    assert len(rows) == findings_of(shared).frame.filter(state="open").height


def test_rules_of_findings_are_of_no_study_in_particular():
    assert "taiwan" not in RULES_FILE.read_text(encoding="utf-8").lower()
