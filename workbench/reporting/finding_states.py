"""Where each finding stands: open, accepted or closed, since when, and by what evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, get_args

import polars as pl

from workbench.finding_register import Closing, Event, History, Key, histories, register_findings
from workbench.finding_rules import FindingRules
from workbench.kinds import Severity
from workbench.own_findings import Decision, OwnFinding, OwnFindings
from workbench.reporting.findings import RAISED, Judge

OPEN, ACCEPTED, CLOSED = STATES = ("open", "accepted", "closed")
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
FINDINGS = pl.Schema(
    dict(RAISED)
    | dict.fromkeys(("cause", "raised_by", "state"), pl.String)
    | {"raised_on": pl.Date, "last_run": pl.String, "runs": pl.Int64, "due": pl.Date}
    | {"decided_on": pl.Date, "decided_by": pl.String, "reason": pl.String, "evidence": pl.String}
)
"""What `finding_states` returns: as `RAISED`, and where the finding stands."""
BY_RULE = "rule"


def updated_register(
    known: Sequence[Event],
    raised: pl.DataFrame,
    own: OwnFindings,
    judge: Judge,
    rules: FindingRules,
    *,
    run: str,
    on: str,
) -> list[dict[str, Any]]:
    """Return the register with what this run finds: what its rules raise, and what people found.

    What no rule raises any more is closed by what its table says now. A person's finding closes with their
    evidence only; one that is gone from the file stays open.
    """
    people = {(one.id, ""): one for one in own.findings}
    before = histories(known)
    new = [one for key, one in people.items() if not one.closed_on or key not in before]

    def closing(key: Key) -> Closing | None:
        if rule := rules.rules.get(key[0]):
            return "", judge.why_not(rule, key[1])
        if one := people.get(key):
            return (one.closed_on, ", ".join(one.evidence)) if one.closed_on else None
        return None if key[0].startswith("V") else ("", "the rule was withdrawn")

    rows = [*raised.to_dicts(), *(one.model_dump() | {"subject": ""} for one in new)]
    register = register_findings(known, rows, run=run, on=on, closing=closing)
    still = [row for row in rows if not row.get("closed_on")]
    return register_findings(register, still, run=run, on=on, closing=closing)


def finding_states(
    register: Iterable[Event],
    raised: pl.DataFrame,
    own: OwnFindings,
    due_days: Mapping[Severity, int],
    as_of: date,
) -> pl.DataFrame:
    """Return every finding that the register knows, with the columns of `FINDINGS`, the worst first.

    State: open; accepted, until the last day of the acceptance; closed, by a person or because the rule does
    not raise it any more. `due` is the person's, or `due_days` after it was raised; `runs` counts the runs
    that have seen it since it was raised.
    """
    found = {(row["id"], row["subject"]): row for row in raised.to_dicts()}
    people = {(one.id, ""): one for one in own.findings}
    decided = {(one.finding, one.subject): one for one in own.decisions}
    rows = []
    for key, history in histories(register).items():
        row = _known(key, history, due_days) | found.get(key, {}) | _own(people.get(key))
        decision = decided.get(key)
        if history.is_open and decision and _holds(decision, as_of):
            row |= {
                "state": decision.decision,
                "decided_on": date.fromisoformat(decision.date),
                "decided_by": f"{decision.author}, {decision.role}",
                "reason": decision.reason + (f" (until {decision.until})" if decision.until else ""),
                "evidence": ", ".join(decision.evidence),
            }
        rows.append(row)
    frame = pl.DataFrame(rows, schema=FINDINGS)
    order = pl.col("severity").replace_strict(SEVERITIES, range(len(SEVERITIES)), return_dtype=pl.Int8)
    return frame.sort(order, "id", "subject")


def _holds(decision: Decision, as_of: date) -> bool:
    return not decision.until or as_of <= date.fromisoformat(decision.until)


def latest_day(created: str, register: Iterable[Event]) -> date:
    """Return the day that ages are counted to: of the run, or of the last entry of the register."""
    return max(date.fromisoformat(day) for day in (created, *(event["on"] for event in register)))


def overdue(as_of: date) -> pl.Expr:
    """Return which findings are open beyond the day that they were due."""
    return pl.col("state").eq(OPEN) & pl.col("due").lt(as_of)


def _known(key: Key, history: History, due_days: Mapping[Severity, int]) -> dict[str, Any]:
    """Return what the register alone tells of a finding."""
    event, last = history.raised, history.last
    raised_on = date.fromisoformat(event["on"])
    row: dict[str, Any] = dict.fromkeys(FINDINGS.names(), "")
    return row | {
        "id": key[0],
        "subject": key[1],
        **{name: event[name] for name in ("title", "severity", "owner")},
        "condition": _gone(key, history),
        "raised_by": BY_RULE,
        "state": OPEN if history.is_open else CLOSED,
        "raised_on": raised_on,
        "last_run": last["run"],
        "runs": len(history.runs),
        "due": raised_on + timedelta(days=due_days[event["severity"]]),
        "decided_on": None if history.is_open else date.fromisoformat(last["on"]),
        "decided_by": "" if history.is_open else BY_RULE,
        "evidence": last["evidence"],
    }


def _gone(key: Key, history: History) -> str:
    """Say what is wrong with an open finding of a person that the file does not tell any more."""
    if not history.is_open or not key[0].startswith("V"):
        return ""
    return "It is open, and gone from the file in report.findings_from: put it back, or close it there."


def _own(one: OwnFinding | None) -> dict[str, Any]:
    """Return what a person wrote of a finding."""
    if one is None:
        return {}
    told = one.model_dump(include={*FINDINGS.names()} - {"evidence"})
    days = {name: date.fromisoformat(told[name]) for name in ("due", "raised_on")}
    row = told | {"raised_by": one.author} | days
    closing = {"decided_by": one.closed_by, "reason": one.reason, "evidence": ", ".join(one.evidence)}
    return row | (closing if one.closed_on else {})
