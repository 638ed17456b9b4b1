"""How the reports print what the law asks: packs, the matrix, and the evidence that it points to."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from workbench.packs import Pack, load_packs
from workbench.params import Study
from workbench.reporting.evidence import NOT_PROVIDED, Fact, fact_value, plain_table
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.requirement_matrix import (
    NOT_ASKED,
    NOT_YET,
    OPEN,
    STATES,
    Case,
    answers,
    requirement_matrix,
    state_counts,
)
from workbench.reporting.tables import MISSING
from workbench.requirements import DRAFT, Evidence, load_evidence
from workbench.statements import load_statements

_GROUPS = {"E16", "E17", "E18"}
_MARKS = {"P": "primary text", "Q": "quotation", "S": "secondary", "M": "from memory"}


def matrix_of(study: Study, artifacts: Collection[str], facts: Sequence[Fact]) -> pl.DataFrame:
    """Return the evidence matrix of a run; `artifacts` are the names of all that it holds."""
    case = Case(
        on=date.fromisoformat(study.data.judged_on),
        materiality=study.report.materiality,
        evidence=load_evidence(),
        facts=facts,
        artifacts=artifacts,
        statements=load_statements(study),
    )
    return requirement_matrix(load_packs(study.data.packs), case)


def requirement_pages(
    study: Study, manifest: Mapping[str, Any], facts: Sequence[Fact], matrix: pl.DataFrame
) -> dict[str, str]:
    """Return the generated pages about requirements; `matrix` is the one of the run."""
    packs, on = load_packs(study.data.packs), date.fromisoformat(study.data.judged_on)
    of_groups = matrix.filter(pl.col("evidence").list.set_intersection([*_GROUPS]).list.len() > 0)
    return {
        "packs": _packs_table(packs, matrix, on),
        "requirements": _matrix_table(matrix),
        "fairness_requirements": _matrix_table(of_groups, linked=False),
        "evidence": _evidence_table(load_evidence(), facts, study.report.suppress_below),
        "statements": _statements_table(study),
        "register": _register_table(manifest),
    }


def declared_on(manifest: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the register of lines as the report prints it: line, value, day, author and remark."""
    return [
        {
            "line": escape_markdown(entry["line"]),
            "value": escape_markdown(str(entry["value"])),
            "day": entry["at"][:10],
            "author": escape_markdown(entry["author"]) or NOT_PROVIDED,
            "remark": "**after results were seen**" if entry["after_results"] else "before any result",
        }
        for entry in manifest.get("lines", [])
    ]


def _register_table(manifest: Mapping[str, Any]) -> str:
    return plain_table(declared_on(manifest), ["Line", "Value", "Declared on", "By", "When"])


def _packs_table(packs: Sequence[Pack], matrix: pl.DataFrame, on: date) -> str:
    counts = {row["pack"]: row for row in state_counts(matrix).iter_rows(named=True)}
    rows = [
        {
            "pack": escape_markdown(pack.title),
            "checked": f"{pack.checked_on}" + (" (over a year before)" if pack.is_stale(on) else ""),
            **{state: str(counts.get(pack.pack, {}).get(state, 0)) for state in STATES},
        }
        for pack in packs
    ]
    table = plain_table(rows, ["Jurisdiction", "Last checked", *(state.capitalize() for state in STATES)])
    stale = [pack.title for pack in packs if pack.is_stale(on)]
    if not stale:
        return table
    said = f"{escape_markdown(', '.join(stale))}: last checked more than a year before {on}."
    return (
        f"{table}\n::: {{.callout-warning}}\n## Expired pack\n\n{said} Check it before relying on it.\n:::\n"
    )


def _matrix_table(matrix: pl.DataFrame, *, linked: bool = True) -> str:
    """Return the matrix; `linked` where the table of the evidence stands in the same document."""
    rows = [
        {
            "asks": f"**{row['id']} {escape_markdown(row['title'])}.** {_asked(row)}",
            "state": f"{_state(row['state'])} {' '.join(_code(code, linked) for code in row['evidence'])}",
            "found": "; ".join(filter(None, [_found(row["why"]), escape_markdown(row["owed"])])) or MISSING,
        }
        for row in matrix.iter_rows(named=True)
    ]
    return plain_table(rows, ["What is asked", "State, evidence", "Found, and owed by whom"])


def _asked(row: Mapping[str, Any]) -> str:
    """Return what is asked, where it stands, from when, how far it was checked, and under what condition."""
    asked, *where = (escape_markdown(row[name]) for name in ("text", "instrument", "clause"))
    only = f" Only where {escape_markdown(row['only_where'])}." if row["only_where"] else ""
    since = {"in force": "from", DRAFT: "draft of"}.get(row["standing"], f"{row['standing']}, from")
    said = f"{', '.join(where)}; {since} {row['applies_from']} ({_MARKS[row['status']]})"
    return f"{asked} *{said}.*{only}"


def _state(state: str) -> str:
    return state if state in (NOT_ASKED, NOT_YET, DRAFT) else f"**{state}**"


def _found(why: str) -> str:
    """Return what was found, without the roles that owe a statement: what they owe stands beside it."""
    return escape_markdown("; ".join(part for part in why.split("; ") if not part.startswith(OPEN)))


def _code(code: str, linked: bool) -> str:
    return f"[{code}](#evidence-{code.lower()})" if linked else code


def _evidence_table(evidence: Mapping[str, Evidence], facts: Sequence[Fact], below: int) -> str:
    rows = []
    for code, kind in evidence.items():
        values = [f"{escape_markdown(f['id'])}: {fact_value(f, below)}" for f in answers(kind, facts)]
        rows.append(
            {
                "code": f"[{code}]{{#evidence-{code.lower()} .unbroken}}",
                "title": escape_markdown(kind.title),
                "facts": "; ".join(values) or MISSING,
                "artifacts": escape_markdown(", ".join(kind.artifacts)) or MISSING,
                "lacking": escape_markdown("; ".join(kind.lacking)) or MISSING,
            }
        )
    return plain_table(rows, ["Code", "Evidence", "Facts of this run", "Tables and files", "Not produced"])


def _statements_table(study: Study) -> str:
    rows = [
        {
            "requirement": one.requirement,
            "role": one.role,
            "text": escape_markdown(one.text),
            "author": escape_markdown(one.author),
            "date": one.date,
        }
        for one in load_statements(study)
    ]
    return plain_table(rows, ["Requirement", "Role", "Statement", "Author", "Date"])
