"""What a run must show before its model takes a stage: a table of gates, all looked at together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from workbench.errors import GateError
from workbench.params import STAGES as PARTS
from workbench.reporting.requirement_matrix import BELOW, LACKING, OPEN, UNSETTLED
from workbench.requirements import load_evidence
from workbench.rollout.comparison import NOT_WORSE
from workbench.rollout.history import CANARY, CHAMPION, SHADOW
from workbench.run import Run, damaged, params_fault
from workbench.store import read_json

INTEGRITY, FINDINGS, REQUIREMENTS = "integrity", "findings", "requirements"
CHALLENGER, PLAN, COMPARED, SIGNED = "challenger test", "monitoring plan", "comparison", "signature"
GATES = {
    SHADOW: (INTEGRITY,),
    CANARY: (INTEGRITY, FINDINGS, REQUIREMENTS, CHALLENGER, PLAN),
    CHAMPION: (INTEGRITY, FINDINGS, REQUIREMENTS, CHALLENGER, PLAN, COMPARED, SIGNED),
}
"""Which gates a stage has. A shadow decides on nobody, so only its bytes matter; a canary decides on people,
so the evidence must carry that; a champion decides on everybody, after it was seen beside the one before it.
Nothing is asked of a model that retires."""
BLOCKING = {
    CANARY: (BELOW, LACKING, OPEN),
    CHAMPION: (BELOW, LACKING, OPEN, UNSETTLED),
}
"""States of a requirement that stop a stage. Law binds from the first person decided on; only a line inside
an interval may wait for what the canary itself shows."""
CHALLENGER_FACTS = ("validation.auc_gain", "validation.brier_gain")
"""Facts of the champion against the scorecard; both hold their line with their whole interval."""
FINDINGS_ARTIFACT, MATRIX_ARTIFACT = "report/findings", "report/requirements"
FACTS_ARTIFACT, PLAN_ARTIFACT = "validation/facts", "monitoring/triggers"
BUNDLE_ARTIFACT = "scoring/bundle"
READ = (FINDINGS_ARTIFACT, MATRIX_ARTIFACT, FACTS_ARTIFACT, PLAN_ARTIFACT, BUNDLE_ARTIFACT)
HIGH = "high"
_SHOWN = 6


@dataclass(frozen=True)
class Gate:
    """One gate: what it needs, what the run has, and whether that will do."""

    gate: str
    needed: str
    found: str
    passed: bool

    def as_dict(self) -> dict[str, Any]:
        """Return the gate as the history keeps it."""
        return asdict(self)


@dataclass(frozen=True)
class Evidence:
    """What the gates read of a run; None where the run does not have it, `signature` where no key is given.

    `comparison` are the rows of the newest comparison with the present champion, `has_champion` whether there
    is one; `hashes` the SHA-256 of each artifact that was read.
    """

    faults: Sequence[str]
    findings: Mapping[str, Any] | None = None
    requirements: Sequence[Mapping[str, Any]] | None = None
    facts: Sequence[Mapping[str, Any]] | None = None
    triggers: Sequence[Mapping[str, Any]] | None = None
    signature: Sequence[str] | None = None
    comparison: Sequence[Mapping[str, Any]] | None = None
    has_champion: bool = False
    hashes: Mapping[str, str] = field(default_factory=dict)


def evidence_of(
    run: Run,
    *,
    key: Path | None = None,
    comparison: Sequence[Mapping[str, Any]] | None = None,
    has_champion: bool = False,
) -> Evidence:
    """Read what the gates need of a run: nothing that is damaged or not there is read, and both are told."""
    manifest = run.manifest
    wrong = damaged(run)
    faults = [f"{name} {fault}" for name, fault in wrong.items()]
    faults += [fault] if (fault := params_fault(run)) else []
    states = {name: manifest["stages"].get(name, {}).get("state", "not run") for name in PARTS}
    faults += [f"stage {name} is {state}" for name, state in states.items() if state != "complete"]
    faults += [] if BUNDLE_ARTIFACT in manifest["artifacts"] else [f"{BUNDLE_ARTIFACT} is not in the run"]
    known = {name: manifest["artifacts"][name] for name in READ if name in manifest["artifacts"]}

    def read(name: str, how: Callable[[Path], Any] = read_json) -> Any:
        return how(run.folder / known[name]["path"]) if name in known and name not in wrong else None

    signature = None
    if key is not None:
        from workbench.provenance import signature_faults

        signature = signature_faults(run, key)
    return Evidence(
        faults,
        read(FINDINGS_ARTIFACT),
        read(MATRIX_ARTIFACT),
        read(FACTS_ARTIFACT),
        read(PLAN_ARTIFACT, lambda path: pl.read_parquet(path).to_dicts()),
        signature,
        comparison,
        has_champion,
        {name: str(entry["sha256"]) for name, entry in known.items()},
    )


def gate_table(evidence: Evidence, stage: str) -> tuple[Gate, ...]:
    """Return the gates of a stage, in the order of `GATES`, each with what was needed and found.

    A signature is looked at only where a key was given, a comparison only where there is a champion. What is
    not there does not pass.
    """
    looks: dict[str, Callable[[], Gate]] = {
        INTEGRITY: lambda: _integrity(evidence.faults),
        FINDINGS: lambda: _findings(evidence.findings),
        REQUIREMENTS: lambda: _requirements(evidence.requirements, BLOCKING[stage]),
        CHALLENGER: lambda: _challenger(evidence.facts),
        PLAN: lambda: _plan(evidence.triggers),
        COMPARED: lambda: _compared(evidence.comparison),
        SIGNED: lambda: _signed(evidence.signature),
    }
    skipped = {COMPARED} if not evidence.has_champion else set()
    skipped |= {SIGNED} if evidence.signature is None else set()
    return tuple(looks[name]() for name in GATES.get(stage, ()) if name not in skipped)


def check_gates(gates: Sequence[Gate], what: str) -> None:
    """Raise GateError with every gate that failed; there is no way around one.

    A finding that can be lived with is accepted in the findings register, by somebody who does not owe it.
    """
    failed = [f"{one.gate}: {one.found}; needed: {one.needed}" for one in gates if not one.passed]
    if failed:
        raise GateError(f"{what}: {len(failed)} of {len(gates)} gates failed", failed)


def _integrity(faults: Sequence[str]) -> Gate:
    needed = "all stages complete, every artifact as it was written, a scoring bundle"
    return Gate(INTEGRITY, needed, _listed(faults) or "as it was written", not faults)


def _findings(record: Mapping[str, Any] | None) -> Gate:
    needed = f"no open finding of severity {HIGH}"
    if record is None:
        return _absent(FINDINGS, needed, FINDINGS_ARTIFACT)
    high = [one for one in record["findings"] if one["severity"] == HIGH and one["state"] == "open"]
    told = [" ".join(filter(None, (one["id"], one["subject"]))) for one in high]
    return Gate(FINDINGS, needed, _listed(told) or "none", not high)


def _requirements(matrix: Sequence[Mapping[str, Any]] | None, blocking: Sequence[str]) -> Gate:
    """Look at the matrix; what no run can produce stops nobody when the roles have stated what they owe.

    Such evidence (a log of live decisions, say) comes with use: it stays a gap in the report, and the
    statement of whoever answers for it is what there can be before.
    """
    needed = f"no requirement that is {', '.join(blocking)}, but for evidence that only use brings"
    if matrix is None:
        return _absent(REQUIREMENTS, needed, MATRIX_ARTIFACT)
    beyond = {text for kind in load_evidence().values() for text in kind.lacking}
    stopped = [f"{one['id']} {state}" for one in matrix if (state := _stopping(one, blocking, beyond))]
    found = _listed(stopped) or (f"none of {len(matrix)}" if matrix else "no pack asks anything")
    return Gate(REQUIREMENTS, needed, found, not stopped)


def _stopping(one: Mapping[str, Any], blocking: Sequence[str], beyond: set[str]) -> str:
    """Return the state by which a requirement stops a stage, or an empty text."""
    state = str(one["state"])
    if state != LACKING or not one.get("missing") or set(one["missing"]) - beyond:
        return state if state in blocking else ""
    hidden = [OPEN] if one.get("roles") else []
    hidden += [UNSETTLED] if UNSETTLED in one.get("why", "") else []
    return next((known for known in hidden if known in blocking), "")


def _challenger(facts: Sequence[Mapping[str, Any]] | None) -> Gate:
    needed = f"{' and '.join(CHALLENGER_FACTS)} hold their line"
    if facts is None:
        return _absent(CHALLENGER, needed, FACTS_ARTIFACT)
    met = {fact["id"]: fact["met"] for fact in facts}
    wrong = [
        f"{name} {met.get(name) or 'is not there'}" for name in CHALLENGER_FACTS if met.get(name) != "yes"
    ]
    return Gate(CHALLENGER, needed, _listed(wrong) or "both hold", not wrong)


def _plan(triggers: Sequence[Mapping[str, Any]] | None) -> Gate:
    needed = "triggers with a response and, where the plan names owners, an owner"
    if not triggers:
        return _absent(PLAN, needed, PLAN_ARTIFACT)
    asked = [name for name in ("response", "owner") if name in triggers[0]]
    wrong = [f"{one['trigger']} without {name}" for one in triggers for name in asked if not one[name]]
    wrong = list(dict.fromkeys(wrong))
    return Gate(PLAN, needed, _listed(wrong) or f"{len(triggers)} triggers", not wrong)


def _compared(rows: Sequence[Mapping[str, Any]] | None) -> Gate:
    needed = f"a recorded comparison with the champion, every measure {NOT_WORSE}"
    if not rows:
        return Gate(COMPARED, needed, "none recorded: workbench compare-stages", False)
    wrong = [f"{one['measure']} {one['verdict']}" for one in rows if one["verdict"] != NOT_WORSE]
    return Gate(COMPARED, needed, _listed(wrong) or f"{len(rows)} measures {NOT_WORSE}", not wrong)


def _signed(faults: Sequence[str] | None) -> Gate:
    return Gate(SIGNED, "a signature by the given key", _listed(faults or ()) or "signed", not faults)


def _absent(gate: str, needed: str, artifact: str) -> Gate:
    return Gate(gate, needed, f"{artifact} is empty, damaged or not in the run", False)


def _listed(faults: Sequence[str]) -> str:
    more = f" and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
    return ", ".join(faults[:_SHOWN]) + more
