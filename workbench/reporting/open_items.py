"""What is open in a run: lines not held, statements nobody gave, and what the study's own data leave open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from workbench.packs import CONDITIONAL, prohibited
from workbench.params import Study
from workbench.reporting.evidence import (
    MET,
    NOT_PROVIDED,
    Fact,
    fact_about,
    fact_line,
    fact_value,
    plain_table,
    shown_count,
    statements,
)
from workbench.reporting.markdown import escape_markdown

_NO_OUTCOME = "no outcome known"  # how the waterfall's step begins
_OUT_OF_TIME = "out_of_time"
_DEVELOPER = "developer"

Row = dict[str, str]
Tables = Mapping[str, pl.DataFrame]


def open_items(facts: Sequence[Fact], study: Study, tables: Tables) -> str:
    """Return the table of what is open, for whom, and why.

    `tables` holds data/permission, data/samples_table and data/waterfall.
    """
    below = study.report.suppress_below
    rows = [
        *_lines(facts, below),
        *_statements(study),
        *_permissions(tables["data/permission"], study),
        *_out_of_time(tables["data/samples_table"], facts, below),
        _declined(tables["data/waterfall"], _applicants(tables["data/samples_table"], "declined"), below),
        _row("Independent validation", "Nobody but the developer has challenged this run yet.", "validator"),
    ]
    return plain_table(rows, ["Open item", "Why", "Who"])


def out_of_time(samples: pl.DataFrame, study: Study) -> str:
    """Return how many later applications were set apart, or a warning that there are none."""
    later = _applicants(samples, _OUT_OF_TIME)
    if not later:
        title = "No out-of-time sample"
        said = (
            "Every sample is of the same time: nothing here shows how the model ages. A study sets later "
            "applications apart with `data.out_of_time_from`, where its source has application times."
        )
        return f"::: {{.callout-warning}}\n## {title}\n\n{said}\n:::\n"
    number = shown_count(later, study.report.suppress_below)
    return (
        f"Applications from {escape_markdown(study.data.out_of_time_from)} on are the out-of-time sample, "
        f"{number} applicants: nothing was fitted, tuned or calibrated on them.\n"
    )


def _lines(facts: Iterable[Fact], below: int) -> list[Row]:
    return [
        {
            "item": fact_about(fact),
            "why": f"{MET[fact['met']]}: {fact_value(fact, below)}, line {fact_line(fact)}",
            "owner": _DEVELOPER,
        }
        for fact in facts
        if fact["met"] in ("no", "unknown")
    ]


def _statements(study: Study) -> list[Row]:
    missing = [name for name, said in statements(study).items() if not said]
    return [_row(f"Statement on {name}", NOT_PROVIDED, "model owner") for name in missing]


def _permissions(verdicts: pl.DataFrame, study: Study) -> list[Row]:
    """Return one item for each conditional verdict on what is used, or one that says no law was asked."""
    if not study.data.packs:
        return [
            _row("Permission", "No jurisdiction is named: no law was asked about the data.", "model owner")
        ]
    used = verdicts.filter(~pl.col("source").is_in(prohibited(verdicts)))
    return [
        _row(
            f"Statement on the use of {row['source']} ({row['pack']}, {row['rule']})",
            f"{NOT_PROVIDED}; {_words(row['data_category'])} is allowed on a condition: {row['text']}",
            row["role"],
        )
        for row in used.filter(verdict=CONDITIONAL).iter_rows(named=True)
    ]


def _out_of_time(samples: pl.DataFrame, facts: Iterable[Fact], below: int) -> list[Row]:
    later = _applicants(samples, _OUT_OF_TIME)
    if not later:
        return [_row("Out-of-time sample", "There is none: how the model ages is not tested.", _DEVELOPER)]
    if any(_OUT_OF_TIME in fact["id"] for fact in facts):
        return []
    number = shown_count(later, below)
    why = f"{number} later applicants were set apart; no fact of this run judges the model on them."
    return [_row("Out-of-time validation", why, "validator")]


def _declined(waterfall: pl.DataFrame, kept: int, below: int) -> Row:
    steps = waterfall.filter(pl.col("step").str.starts_with(_NO_OUTCOME))["excluded"]
    left_out = int(steps.sum())
    why = "Every application in the data has an outcome; of those declined before, if any, they hold nothing."
    if left_out:
        number = shown_count(left_out, below)
        why = f"{number} applicants without a known outcome are left out: how they would have paid is open."
    if kept:
        number = shown_count(kept, below)
        why = f"{number} declined applicants are in the study without an outcome: theirs is assumed."
    return _row("Declined applicants", why, _DEVELOPER)


def _applicants(samples: pl.DataFrame, name: str) -> int:
    return int(samples.filter(sample=name)["applicants"].sum())


def _words(name: str) -> str:
    return name.replace("_", " ")


def _row(item: Any, why: str, owner: str) -> Row:
    return {"item": escape_markdown(item), "why": escape_markdown(why), "owner": escape_markdown(owner)}
