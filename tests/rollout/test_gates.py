import subprocess

import pytest

from tests.rollout.made import FINDING, TRIGGERS, made_run
from workbench.errors import GateError
from workbench.provenance import sign_run
from workbench.reporting.requirement_matrix import STATES
from workbench.rollout.comparison import NOT_SETTLED, NOT_WORSE, WORSE
from workbench.rollout.gates import BLOCKING, GATES, Evidence, check_gates, evidence_of, gate_table

STAGES = tuple(GATES)


def failed(run, stage, **about):
    return [one.gate for one in gate_table(evidence_of(run, **about), stage) if not one.passed]


@pytest.mark.parametrize("stage", STAGES)
def test_good_evidence_passes_every_stage(tmp_path, stage):
    gates = gate_table(evidence_of(made_run(tmp_path / "smoke")), stage)
    assert all(one.passed for one in gates)
    assert [one.gate for one in gates] == [g for g in GATES[stage] if g not in ("comparison", "signature")]
    check_gates(gates, "nothing")


def test_each_stage_asks_what_the_one_before_asks_and_more():
    assert set(GATES["shadow"]) < set(GATES["canary"]) < set(GATES["champion"])
    assert set(BLOCKING["canary"]) < set(BLOCKING["champion"]) < set(STATES)
    assert gate_table(Evidence([]), "retired") == ()


@pytest.mark.parametrize(
    ("about", "gate"),
    [
        ({"findings": [FINDING]}, "findings"),
        ({"matrix": [{"id": "US-01", "state": "below the line"}]}, "requirements"),
        ({"matrix": [{"id": "US-01", "state": "open statement"}]}, "requirements"),
        ({"matrix": [{"id": "US-01", "state": "no evidence"}]}, "requirements"),
        ({"met": "unknown"}, "challenger test"),
        ({"met": "no"}, "challenger test"),
        ({"triggers": [TRIGGERS[0] | {"owner": ""}]}, "monitoring plan"),
        ({"triggers": [TRIGGERS[0] | {"response": ""}]}, "monitoring plan"),
    ],
)
def test_what_stops_a_canary_and_a_champion_but_no_shadow(tmp_path, about, gate):
    run = made_run(tmp_path / "smoke", **about)
    assert failed(run, "canary") == failed(run, "champion") == [gate]
    assert failed(run, "shadow") == []


@pytest.mark.parametrize(
    "about",
    [
        {"findings": [FINDING | {"state": "accepted"}, FINDING | {"severity": "medium"}]},
        {"matrix": [{"id": "US-01", "state": state} for state in ("evidenced", "not applicable", "draft")]},
        {"triggers": [TRIGGERS[0] | {"owner": "credit risk"}]},
    ],
)
def test_what_stops_nobody(tmp_path, about):
    assert failed(made_run(tmp_path / "smoke", **about), "champion") == []


def test_a_line_within_an_interval_may_wait_for_the_canary(tmp_path):
    run = made_run(tmp_path / "smoke", matrix=[{"id": "US-01", "state": "not settled"}])
    assert failed(run, "canary") == []
    assert failed(run, "champion") == ["requirements"]


LIVE = "live decisions, which workbench serve and workbench score log"
GAP = {"id": "US-01", "state": "no evidence", "missing": [LIVE], "roles": [], "why": f"no evidence: {LIVE}"}


@pytest.mark.parametrize(
    ("changed", "canary", "champion"),
    [
        ({}, [], []),
        ({"roles": ["model owner"]}, ["requirements"], ["requirements"]),
        ({"missing": [LIVE, "validation.auc"]}, ["requirements"], ["requirements"]),
        ({"why": f"no evidence: {LIVE}; not settled: validation.auc"}, [], ["requirements"]),
    ],
)
def test_evidence_that_only_use_brings_waits_where_people_have_spoken(tmp_path, changed, canary, champion):
    run = made_run(tmp_path / "smoke", matrix=[GAP | changed])
    assert (failed(run, "canary"), failed(run, "champion")) == (canary, champion)


def test_all_gates_that_fail_are_told_at_once(tmp_path):
    run = made_run(tmp_path / "smoke", findings=[FINDING], met="no")
    run.entry("monitoring/triggers")
    (run.folder / "monitoring" / "triggers.parquet").write_bytes(b"edited")
    (run.folder / "params.yaml").write_text("study: other\n")
    run.update(lambda manifest: manifest["stages"]["fairness"].update(state="failed"))
    gates = gate_table(evidence_of(run), "champion")
    with pytest.raises(GateError) as caught:
        check_gates(gates, "smoke")
    told = str(caught.value)
    assert "4 of 5 gates failed" in told
    for words in ("F06", "auc_gain no", "edited", "params.yaml", "fairness is failed", "monitoring/triggers"):
        assert words in told


@pytest.mark.parametrize(
    "name", ["report/findings", "report/requirements", "validation/facts", "scoring/bundle"]
)
def test_evidence_that_is_not_there_does_not_pass(tmp_path, name):
    run = made_run(tmp_path / "smoke")
    run.update(lambda manifest: manifest["artifacts"].pop(name))
    assert len(failed(run, "champion")) == 1


@pytest.mark.parametrize(
    ("rows", "passes"),
    [
        (None, False),
        ([], False),
        ([{"measure": "approval_rate", "verdict": NOT_WORSE}], True),
        ([{"measure": "approval_rate", "verdict": NOT_SETTLED}], False),
        ([{"measure": "approval_rate", "verdict": WORSE}], False),
    ],
)
def test_after_a_champion_a_comparison_is_needed(tmp_path, rows, passes):
    run = made_run(tmp_path / "smoke")
    assert failed(run, "champion", comparison=rows, has_champion=True) == ([] if passes else ["comparison"])
    assert failed(run, "canary", comparison=rows, has_champion=True) == []


def test_where_a_key_is_given_a_champion_is_signed_by_it(tmp_path):
    run = made_run(tmp_path / "smoke")
    keys = [tmp_path / "one.pem", tmp_path / "two.pem"]
    for key in keys:
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True)
        public = key.with_suffix(".pub")
        subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True)
    public, other = (key.with_suffix(".pub") for key in keys)
    assert failed(run, "champion", key=public) == ["signature"]
    sign_run(run, keys[0])
    assert failed(run, "champion", key=public) == []
    assert failed(run, "champion", key=other) == ["signature"]
    assert failed(run, "canary", key=other) == []


def test_the_hashes_of_what_was_read_are_kept(tmp_path):
    run = made_run(tmp_path / "smoke")
    hashes = evidence_of(run).hashes
    assert hashes["scoring/bundle"] == run.entry("scoring/bundle")["sha256"]
    assert len(hashes) == 5
