"""How the reports print findings: what is open, accepted and closed, and what the rules look for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import polars as pl

from workbench.finding_rules import FindingRules
from workbench.own_findings import Opinion
from workbench.reporting.evidence import plain_table
from workbench.reporting.finding_states import BY_RULE, CLOSED, OPEN, SEVERITIES, STATES, overdue
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import MISSING

Row = Mapping[str, Any]


def finding_pages(findings: pl.DataFrame, rules: FindingRules, as_of: date) -> dict[str, str]:
    """Return the generated pages: findings (open), findings_closed, findings_summary and findings_rules."""
    return {
        "findings": _open_table(findings.filter(state=OPEN), as_of),
        "findings_closed": _decided_table(findings.filter(pl.col("state") != OPEN)),
        "findings_summary": _summary(findings, as_of),
        "findings_rules": _rules_table(findings, rules),
    }


def findings_record(findings: pl.DataFrame, as_of: date, run: str) -> dict[str, Any]:
    """Return what gates read: the day, the number of open findings by severity, and every finding."""
    opened = findings.filter(state=OPEN)
    return {
        "run": run,
        "as_of": as_of.isoformat(),
        "open": {severity: opened.filter(severity=severity).height for severity in SEVERITIES},
        "overdue": findings.filter(overdue(as_of)).height,
        "findings": as_json(findings),
    }


def opinion_page(opinion: Opinion | None) -> str:
    """Return what the validator concludes, or that nobody has said."""
    if opinion is None:
        return "Opinion of the validator: **not provided**.\n"
    told = {name: escape_markdown(text) for name, text in opinion.model_dump().items()}
    return (
        f"**{told['verdict'].capitalize()}.** {told['text']} Independence: {told['independence']} "
        f"({told['author']}, {opinion.date}; next review {opinion.next_review})\n"
    )


def as_json(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with days as texts."""
    return frame.with_columns(pl.col(pl.Date).dt.to_string("iso")).to_dicts()


def _open_table(findings: pl.DataFrame, as_of: date) -> str:
    rows = [
        {
            "severity": f"**{row['severity']}**" if row["severity"] == SEVERITIES[0] else row["severity"],
            "finding": f"**{_name(row)}.** {_parts(row)}",
            "recommendation": escape_markdown(row["recommendation"]) or MISSING,
            "owner": escape_markdown(row["owner"]),
            "since": _age(row, as_of),
        }
        for row in findings.iter_rows(named=True)
    ]
    return plain_table(rows, ["Severity", "Finding", "What to do", "Owner", "Raised, due"])


def _parts(row: Row) -> str:
    """Return what was found, against what, why, and what it means."""
    named = {"Criterion": "criterion", "Cause": "cause", "Effect": "effect"}
    told = {name: escape_markdown(row[part]).rstrip(".") for name, part in named.items() if row[part]}
    parts = [f"*{name}:* {text}." for name, text in told.items()]
    return " ".join([escape_markdown(row["condition"]), *parts])


def _age(row: Row, as_of: date) -> str:
    """Return since when a finding is open, for how many days and runs, and when it is due."""
    days, runs = (as_of - row["raised_on"]).days, row["runs"]
    age = f"{days} {'day' if days == 1 else 'days'}, {runs} {'run' if runs == 1 else 'runs'}"
    due = f"due {row['due']}" + (" (**overdue**)" if row["due"] < as_of else "")
    return f"{row['raised_on']} ({age}); {due}"


def _decided_table(findings: pl.DataFrame) -> str:
    rows = [
        {
            "finding": f"**{_name(row)}.** {escape_markdown(row['condition'])}",
            "severity": row["severity"],
            "state": row["state"],
            "when": f"raised {row['raised_on']}, {row['state']} {row['decided_on']}",
            "by": "its rule" if row["decided_by"] == BY_RULE else escape_markdown(row["decided_by"]),
            "why": "; ".join(escape_markdown(row[part]) for part in ("reason", "evidence") if row[part]),
        }
        for row in findings.iter_rows(named=True)
    ]
    return plain_table(rows, ["Finding", "Severity", "State", "When", "By", "Reason, evidence"])


def _summary(findings: pl.DataFrame, as_of: date) -> str:
    rows = []
    for severity in SEVERITIES:
        some = findings.filter(severity=severity)
        late = str(some.filter(overdue(as_of)).height)
        counts = {state: str(some.filter(state=state).height) for state in STATES}
        rows.append({"severity": severity, "open": counts[OPEN], "late": late, **counts})
    return plain_table(rows, ["Severity", "Open", "Overdue", "Accepted", "Closed"])


def _rules_table(findings: pl.DataFrame, rules: FindingRules) -> str:
    """Return each criticism with its rules and what is open of them, or why no rule covers it."""
    opened = findings.filter(pl.col("state") != CLOSED)["id"].value_counts()
    counts = dict(opened.iter_rows())
    rows = []
    for number, criticism in rules.criticisms.items():
        covered = [name for name, rule in rules.rules.items() if number in rule.criticism]
        told = [f"{name} ({counts[name]})" if name in counts else name for name in covered]
        seen = ", ".join(told) or f"*not seen:* {escape_markdown(rules.not_seen[number])}"
        rows.append({"number": str(number), "criticism": escape_markdown(criticism), "rules": seen})
    return plain_table(rows, ["No.", "What validators usually criticise", "Rules (findings not closed)"])


def _name(row: Row) -> str:
    about = f" ({row['subject']})" if row["subject"] else ""
    return escape_markdown(f"{row['id']} {row['title']}{about}")
