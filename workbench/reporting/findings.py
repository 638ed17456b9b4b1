"""What a run finds against itself: the rules, applied to the rows of its tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from string import Formatter
from typing import Any

import polars as pl

from workbench.finding_rules import IN_ROW, Condition, FindingRules, Rule
from workbench.reporting.evidence import shown_count
from workbench.reporting.tables import MISSING, format_number

Row = Mapping[str, Any]
Tables = Mapping[str, Sequence[Row]]
RAISED = pl.Schema(
    dict.fromkeys(
        ("id", "subject", "title", "severity", "owner", "condition", "criterion", "effect", "recommendation"),
        pl.String,
    )
)
_MOST_ROWS = 6  # of one finding in its text


@dataclass(frozen=True)
class Judge:
    """The tables of a run, the day it is judged on, and the least count of people that is printed."""

    tables: Tables
    judged_on: date
    suppress_below: int

    def raise_findings(self, rules: FindingRules) -> pl.DataFrame:
        """Return what the rules find, with the columns of `RAISED`, in the order of the rules.

        A finding is told apart by id and subject: the values of the columns that its rule names in `per`.
        """
        found = [row for name, rule in rules.rules.items() for row in self._raised(name, rule)]
        return pl.DataFrame(found, schema=RAISED)

    def why_not(self, rule: Rule, subject: str) -> str:
        """Return by what evidence a rule does not raise a finding any more."""
        rows = [row for row in self.tables.get(rule.rows, ()) if _subject(rule, row) == subject]
        if rule.rows == "facts" and rule.per and rows:
            row = rows[0]
            held = f", line {row['line']}: {row['outcome']}" if row["met"] else ""
            return f"{row['id']} is {row['told']}{held}"
        which = f" for {subject}" if subject else ""
        return f"{rule.rows} of this run: the rule does not hold{which}"

    def _raised(self, name: str, rule: Rule) -> Iterator[dict[str, str]]:
        rows = self.tables.get(rule.rows, ())
        met = [row for row in rows if all(self._meets(row, condition) for condition in rule.where)]
        if rule.raises == "none":
            if not met:
                yield self._finding(name, rule, "", rows[-1:])
            return
        groups: dict[str, list[Row]] = {}
        for row in met:
            groups.setdefault(_subject(rule, row), []).append(row)
        for subject, several in groups.items():
            yield self._finding(name, rule, subject, several)

    def _finding(self, name: str, rule: Rule, subject: str, rows: Sequence[Row]) -> dict[str, str]:
        words = _Words(self.suppress_below)
        first = dict(rows[0]) if rows else {}
        told = list(dict.fromkeys(words.vformat(rule.each, (), row) for row in rows)) if rule.each else []
        more = f"; and {len(told) - _MOST_ROWS} more" if len(told) > _MOST_ROWS else ""
        about = {"which": "; ".join(told[:_MOST_ROWS]) + more, "how_many": len(told or rows)}
        return {
            "id": name,
            "subject": subject,
            "title": rule.title,
            "severity": rule.severity,
            "owner": str(first.get("role")) if rule.owner == IN_ROW else rule.owner,
            "condition": words.vformat(rule.found, (), first | about),
            "criterion": f"{rule.criterion} ({rule.source})",
            "effect": rule.effect,
            "recommendation": rule.recommendation,
        }

    def _meets(self, row: Row, condition: Condition) -> bool:
        name, against = condition.test
        value = row.get(condition.column)
        if name in ("is", "is_not"):
            return bool((value == against) == (name == "is"))
        if name in ("like", "unlike"):
            return any(fnmatchcase(str(value), pattern) for pattern in against) == (name == "like")
        if name in ("above", "below"):
            return _beyond(value, self._bound(against, row), above=name == "above")
        if name in ("holds", "excludes"):
            low, high = (row.get(f"{condition.column}_{end}", row.get(end)) for end in ("low", "high"))
            return low is not None and high is not None and (low <= against <= high) == (name == "holds")
        day = _day(value)
        return day is not None and ((self.judged_on - day).days > against) == (name == "older")

    def _bound(self, against: Any, row: Row) -> Any:
        """Return a number, or the value of the column, fact or parameter that stands for one."""
        if not isinstance(against, str):
            return against
        kind, _, name = against.partition(":")
        if kind == "column":
            return row.get(name)
        table, key = {"fact": ("facts", "id"), "study": ("study", "key")}[kind]
        return next((one["value"] for one in self.tables[table] if one[key] == name), None)


class _Words(Formatter):
    """Words a row: numbers as the reports print them, small counts of people not told, null as a dash."""

    def __init__(self, suppress_below: int) -> None:
        self.suppress_below = suppress_below

    def get_value(self, key: Any, _args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return kwargs.get(key)

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return MISSING
        if isinstance(value, list):
            return ", ".join(map(str, value))
        if not isinstance(value, int | float):
            return str(value).replace("_", " ") if format_spec == "words" else str(value)
        if format_spec == "people":
            return shown_count(int(value), self.suppress_below)
        if format_spec == "points":
            return format_number(value, "", 0)
        return format_number(value, format_spec)


def _subject(rule: Rule, row: Row) -> str:
    return " / ".join(str(row.get(column)) for column in rule.per)


def _beyond(value: Any, bound: Any, *, above: bool) -> bool:
    if not all(isinstance(one, int | float) for one in (value, bound)):
        return False
    return bool(value > bound if above else value < bound)


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(f"{value}-01"[:10])
    except ValueError:
        return None
