"""The tables of a batch's report, from the history: aggregates, with small counts hidden."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    MISSING,
    Column,
    count,
    format_interval,
    in_unit,
    interval_in_unit,
    markdown_table,
    number,
    percent,
    text,
    unbroken,
    verbatim,
)
from workbench.watch.history import History, Recorded
from workbench.watch.reference import Reference

INDICES_SHOWN = 20
_LOW_HIGH = ("value", "low", "high")
_TOLD = ("name", "version", "applicants", "action")


def pages(
    recorded: Recorded, history: History, reference: Reference, trending: pl.DataFrame
) -> dict[str, str]:
    """Return the tables of the report as Markdown, by name."""
    below = reference.study.report.suppress_below
    measures, alerts = (history.table(table, recorded.number) for table in ("measures", "alerts"))

    def section(*names: str, empty: str, of: str = "") -> str:
        rows = _events(
            measures.filter(pl.col("section").is_in(names), pl.col("measure") != "first_reason_shift")
        )
        columns = [
            text("measure", "Measure"),
            *([verbatim("of", of)] if of else []),
            count("applicants", "Counted"),
        ]
        columns += [in_unit("value", "Value"), interval_in_unit("Interval"), text("unit", "Unit")]
        return markdown_table(
            rows, columns, counts=["applicants", "events", "others"], suppress_below=below, empty=empty
        )

    return {
        "about": _about(history.about(recorded.number)),
        "alerts": _alerts(alerts, history, recorded),
        "quality": section("quality", empty="nothing counted"),
        "indices": _indices(history.table("indices", recorded.number)),
        "together": _together(measures),
        "estimate": section(
            "estimate", empty="too few outcomes in the run to estimate from", of="What came true is"
        ),
        "performance": section("performance", empty="no outcomes yet", of="Of"),
        "fairness": section("fairness", empty="the batch tells no groups", of="Group"),
        "reasons": _reasons(measures, reference, below),
        "use": section("people", "service", empty="no decisions of people and no times in the batch"),
        "trend": _trend(trending),
        "versions": _versions(history.batches(recorded.number)),
    }


def trend_rows(history: History, numbers: Sequence[int]) -> pl.DataFrame:
    """Return one row for each batch: name, version, applicants, what moved, how it ranks, alerts and
    action."""
    batches = {row["number"]: row for row in history.batches(numbers[-1]).iter_rows(named=True)}
    rows = []
    for number_ in numbers:
        indices, measures = history.table("indices", number_), history.table("measures", number_)
        row: dict[str, Any] = {
            name: batches[number_][name] for name in ("name", "version", "applicants", "action")
        }
        score = indices.filter(feature="score")
        row |= {"score_shift": score["stability"].item() if score.height else None}
        for measure in ("batch_auc", "estimated_auc", "auc", "calibration_gap"):
            found = measures.filter(
                pl.col("measure") == measure,
                (pl.col("of") == "all") | pl.col("section").is_in(["drift", "estimate"]),
            )
            values = found.select(_LOW_HIGH).row(0) if found.height else (None, None, None)
            row |= dict(zip((measure, f"{measure}_low", f"{measure}_high"), values, strict=True))
        row["alerts"] = history.table("alerts", number_).height
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None).cast({pl.Null: pl.Float64})


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    """Add how many of those counted a share is of and is not, so that few of either are hidden."""
    is_count = ~pl.col("measure").str.contains("gap|change|estimated")
    is_share = (pl.col("unit") == "share") & is_count
    events = pl.when(is_share).then((pl.col("value") * pl.col("applicants")).round())
    return rows.with_columns(events=events, others=pl.col("applicants") - events)


def _about(about: dict[str, Any]) -> str:
    late = ", the clock had gone back" if about["clock_went_back"] else ""
    vintages = [value for value in (about["first_vintage"], about["last_vintage"]) if value]
    cells = {
        "Applicants": f"{about['applicants']:,}",
        "Months of application": escape_markdown(" to ".join(dict.fromkeys(vintages))) or MISSING,
        "Run held against": escape_markdown(about["run"]),
        "Scoring bundle (SHA-256)": about["bundle_sha256"][:16],
        "Recorded at (UTC)": about["recorded_at"] + late,
    }
    cells |= {f"File: {name} (SHA-256)": value[:16] for name, value in json.loads(about["hashes"]).items()}
    lines = ["| | |", "| :--- | :--- |", *(f"| {name} | {value} |" for name, value in cells.items())]
    return "\n".join(lines) + "\n"


def _alerts(alerts: pl.DataFrame, history: History, recorded: Recorded) -> str:
    before = [number_ for number_ in history.valid(recorded.number) if number_ != recorded.number]
    names = dict(history.batches(recorded.number).select("number", "name").iter_rows())
    earlier = [(names[number_], history.table("alerts", number_)) for number_ in reversed(before)]

    def since(row: dict[str, Any]) -> str:
        first = recorded.name
        for name, known in earlier:
            if name == recorded.name:
                continue
            if not known.filter(pl.col("trigger") == row["trigger"], pl.col("of") == row["of"]).height:
                break
            first = name
        return escape_markdown(first)

    columns = [
        text("severity", "Severity"),
        text("trigger", "Trigger"),
        verbatim("of", "Of"),
        number("value", "Value"),
        Column("Interval", _ends, is_text=False),
        number("line", "Line"),
        text("response", "Response"),
        Column(
            "Owner", lambda row: escape_markdown(row["owner"]) if row["owner"] else "not named", is_text=True
        ),
        Column("Since", since, is_text=True),
    ]
    return markdown_table(alerts, columns, empty="no trigger was met")


def _owner(row: dict[str, Any]) -> str:
    return escape_markdown(row["owner"]) if row["owner"] else "not named"


def _ends(row: dict[str, Any]) -> str:
    return format_interval(row["low"], row["high"], "")


def _indices(indices: pl.DataFrame) -> str:
    columns = [
        verbatim("feature", "Index"),
        number("stability", "PSI", 4),
        number("chance", "Chance", 4),
        number("adjusted", "Adjusted p-value", 4),
        percent("missing_before", "Missing before"),
        percent("missing_now", "Missing now"),
        text("state", "State"),
    ]
    return markdown_table(indices.head(INDICES_SHOWN), columns)


def _together(measures: pl.DataFrame) -> str:
    columns = [
        count("applicants", "Applicants of each"),
        number("value", "AUC", 4),
        interval_in_unit("Interval"),
        number("p_value", "P-value", 4),
        verbatim("of", "By"),
    ]
    return markdown_table(measures.filter(measure="batch_auc"), columns, empty="too few applicants")


def _reasons(measures: pl.DataFrame, reference: Reference, below: int) -> str:
    before = reference.first_reasons
    total = sum(before.values()) or 1
    rows = measures.filter(measure="first_reason")
    texts = reference.frozen.reasons.texts
    shown = rows.with_columns(
        reason=pl.col("of").map_elements(lambda code: texts.get(code, code), return_dtype=pl.String),
        before=pl.col("of").map_elements(lambda code: before.get(code, 0) / total, return_dtype=pl.Float64),
    ).sort("applicants", descending=True)
    columns = [
        text("reason", "First reason"),
        count("applicants", "Applicants"),
        in_unit("value", "Share"),
        interval_in_unit("Interval"),
        percent("before", "Share in the run"),
    ]
    empty = "nobody was declined, or no reasons are known"
    hiding = {"counts": ["applicants"], "suppress_below": below, "within": ()}
    return markdown_table(shown, columns, **hiding, empty=empty)  # type: ignore[arg-type]


def _trend(rows: pl.DataFrame) -> str:
    columns = [
        unbroken("name", "Batch"),
        count("version", "Version"),
        count("applicants", "Applicants"),
        number("score_shift", "PSI of the score", 4),
        number("batch_auc", "AUC against baseline"),
        number("estimated_auc", "AUC estimated"),
        number("auc", "AUC observed"),
        percent("calibration_gap", "Gap"),
        count("alerts", "Alerts"),
        text("action", "Recommended"),
    ]
    return markdown_table(rows, columns)


def _versions(batches: pl.DataFrame) -> str:
    columns = [
        count("number", "Number"),
        unbroken("name", "Batch"),
        count("version", "Version"),
        count("applicants", "Applicants"),
        Column("Made of", lambda row: ", ".join(json.loads(row["hashes"])), is_text=True),
        unbroken("recorded_at", "Recorded at (UTC)"),
        text("action", "Recommended"),
    ]
    return markdown_table(batches, columns)
