"""The tables of a run that the rules of findings look at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from workbench.errors import RunError
from workbench.finding_rules import FindingRules
from workbench.own_findings import OwnFindings
from workbench.packs import CONDITIONAL, Pack, prohibited
from workbench.params import Study
from workbench.report_params import Statement
from workbench.reporting.evidence import MET, Fact, fact_line, plain_value
from workbench.reporting.findings import Row
from workbench.reporting.tables import format_interval
from workbench.run import Run


def artifact_rows(run: Run, rules: FindingRules) -> dict[str, list[Row]]:
    """Return the rows of the artifacts that the rules name and the run has.

    Raises RunError for one of row level: its rows are people's.
    """
    known = run.manifest["artifacts"]
    named = {rule.rows for rule in rules.rules.values() if rule.rows in known}
    if people := sorted(name for name in named if known[name]["sensitivity"] != "aggregate"):
        raise RunError(f"rules of findings look at aggregates only, not at {', '.join(people)}")
    return {name: [*pl.read_parquet(run.checked_path(name)).iter_rows(named=True)] for name in sorted(named)}


def finding_tables(
    facts: Sequence[Fact],
    study: Study,
    manifest: Mapping[str, Any],
    *,
    packs: Sequence[Pack],
    matrix: pl.DataFrame,
    statements: Sequence[Statement],
    own: OwnFindings,
    permission: pl.DataFrame,
) -> dict[str, list[Row]]:
    """Return the tables that are no artifact.

    facts: as recorded, with told (value and interval), line and outcome in words, width of the interval, and
    band, the distance between two lines. study: key, value, empty. lines: the register of lines. code:
    revision, clean. packs: pack, title, checked_on. permission: the verdicts, and whether each is open.
    requirements: the matrix. missing: item, id and title of the requirement that asks for it. owed: role, id
    and title. challenges: role and author of what was stated, and of a validator's findings.
    """
    asked: list[Row] = [*matrix.iter_rows(named=True)]
    said: list[Row] = [{"role": one.role, "author": one.author} for one in statements]
    said += [{"role": "validator", "author": one.author} for one in own.findings]
    return {
        "facts": [_fact_row(fact, study.report.suppress_below) for fact in facts],
        "study": list(_study_rows(study)),
        "lines": [dict(entry) for entry in manifest.get("lines", [])],
        "code": [manifest["code"]],
        "packs": [pack.model_dump(include={"pack", "title", "checked_on"}) for pack in packs],
        "permission": _permission_rows(permission, {(one.requirement, one.role) for one in statements}),
        "requirements": asked,
        "missing": list(_each(asked, "missing", "item")),
        "owed": list(_each(asked, "roles", "role")),
        "challenges": said,
    }


def _fact_row(fact: Fact, below: int) -> Row:
    low, high, least, most = (fact[name] for name in ("low", "high", "at_least", "at_most"))
    interval = format_interval(low, high, fact["unit"]).replace("\u00a0", " ")
    value = plain_value(fact, below)
    return {
        **fact,
        "about": fact["about"].replace("_", " "),
        "told": value if low is None else f"{value} (interval {interval})",
        "line": fact_line(fact) if fact["met"] else "",
        "outcome": MET[fact["met"]].strip("*") if fact["met"] else "",
        "width": None if low is None or high is None else high - low,
        "band": None if least is None or most is None else most - least,
    }


def _study_rows(study: Study) -> Iterator[Row]:
    for section, values in study.model_dump().items():
        for key, value in values.items() if isinstance(values, dict) else [("", values)]:
            empty = not (value.strip() if isinstance(value, str) else value)
            yield {"key": f"{section}.{key}".rstrip("."), "value": value, "empty": empty}


def _permission_rows(verdicts: pl.DataFrame, given: Collection[tuple[str, str]]) -> list[Row]:
    """Return the verdicts; a condition is open where the source is used and its role has stated nothing."""
    dropped = prohibited(verdicts)
    return [
        row
        | {
            "open": row["verdict"] == CONDITIONAL
            and row["source"] not in dropped
            and (row["rule"], row["role"]) not in given
        }
        for row in verdicts.iter_rows(named=True)
    ]


def _each(rows: Iterable[Row], column: str, name: str) -> Iterator[Row]:
    """Give a row for each entry of a list in a column, by entry."""
    pairs = [(entry, row) for row in rows for entry in row[column]]
    for entry, row in sorted(pairs, key=lambda pair: pair[0]):
        yield {name: entry, "id": row["id"], "title": row["title"], "pack": row["pack"]}
