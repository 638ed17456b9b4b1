"""Which artifacts of the data and features stages the model-risk report prints as tables, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.disclosure import NEAREST
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    MISSING,
    OUTCOME_COUNTS,
    Column,
    Table,
    count,
    format_number,
    interval,
    number,
    percent,
    text,
    unbroken,
    verbatim,
    with_goods,
)

NO_RULES = "no jurisdiction is named"
_STATUS = {"P": "primary text seen", "Q": "seen as a quotation", "S": "secondary source", "M": "from memory"}
_DIRECTIONS = {1: "higher value, higher PD", -1: "higher value, lower PD", 0: "none"}
_FACTORS, _DISTANCES = ("unit_shift",), ("category_shift",)  # not shares, so not in percent


def _law(row: dict[str, Any]) -> str:
    return escape_markdown(f"{row['instrument']}, {row['clause']}")


def _about(row: dict[str, Any]) -> str:
    return escape_markdown(row["about"]) or "not provided"


def _worst(row: dict[str, Any]) -> str:
    """Show how far the worst month is off, in the unit of its issue."""
    if row["issue"] in _FACTORS:
        return f"factor {format_number(row['worst'], '', 1)}"
    if row["issue"] in _DISTANCES:
        return f"distance {format_number(row['worst'], '', 2)}"
    return format_number(row["worst"], "share")


def _rules(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col("rule").is_not_null()).unique("rule", maintain_order=True).sort("rule")


def _never_used(frame: pl.DataFrame) -> pl.DataFrame:
    """Add up the rows that are of nobody in the study, and those that were not known at the application."""
    return frame.with_columns(
        of_nobody=pl.col("left_out") + pl.col("unknown_applicant"),
        not_known=pl.col("after_application") + pl.col("recorded_after"),
    )


def _words(frame: pl.DataFrame) -> pl.DataFrame:
    """Return one row per topic with its words, the heaviest first."""
    return (
        frame.sort("topic", "rank").group_by("topic", maintain_order=True).agg(pl.col("term").str.join(", "))
    )


def _families(frame: pl.DataFrame) -> pl.DataFrame:
    keys = ["source", "family", "data_category"]
    return frame.group_by(keys, maintain_order=True).agg(pl.len().alias("features"))


DATA_TABLES: Mapping[str, Table] = {
    "data_inventory": Table(
        "data/inventory",
        [
            verbatim("source", "Source"),
            Column("What it is", _about, is_text=True),
            text("kind", "Kind"),
            text("data_category", "Data category"),
            verbatim("consent", "Consent"),
            count("columns", "Columns read"),
            count("unread", "Never read"),
            text("use", "Use"),
        ],
    ),
    "data_permission": Table(
        "data/permission",
        [
            verbatim("source", "Source"),
            text("data_category", "Data category"),
            verbatim("pack", "Jurisdiction"),
            verbatim("verdict", "Verdict"),
            unbroken("rule", "Rule"),
            verbatim("role", "Statement owed by"),
        ],
        empty=NO_RULES,
    ),
    "data_rules": Table(
        "data/permission",
        [
            unbroken("rule", "Rule"),
            Column("Instrument and clause", _law, is_text=True),
            unbroken("applies_from", "Since"),
            Column("Checked against", lambda row: _STATUS.get(row["status"], MISSING), is_text=True),
            verbatim("text", "What it says"),
        ],
        prepare=_rules,
        empty="no rule decides",
    ),
    "data_identifiers": Table(
        "data/identifiers",
        [
            verbatim("source", "Source"),
            verbatim("column", "Column"),
            text("identifier", "Identifier"),
            text("found_by", "Found by"),
            text("action", "What was done"),
        ],
        empty="no direct identifier was found or declared",
    ),
    "data_ledger": Table(
        "data/ledger",
        [
            verbatim("source", "Source"),
            count("read", "Read"),
            count("without_consent", "Without consent"),
            count("of_nobody", "Of nobody in the study"),
            count("not_known", "Not known at application"),
            count("outside_window", "Older than the window"),
            count("set_aside", "Set aside"),
            count("kept", "Used"),
        ],
        counts=["without_consent", "of_nobody", "not_known", "outside_window", "set_aside", "kept"],
        prepare=_never_used,
        empty="the study has no source but the applicants",
    ),
    "data_quality": Table(
        "data/quality",
        [
            verbatim("source", "Source"),
            text("issue", "Issue"),
            verbatim("column", "Column or check"),
            count("months", "Months"),
            unbroken("worst_month", "Worst month"),
            Column("Worst", _worst),
            count("rows", "Rows"),
            text("action", "Action"),
        ],
        counts=["rows"],
        empty="nothing was found",
    ),
    "data_issues": Table(
        "data/quality",
        [text("issue", "Issue"), verbatim("meaning", "What it means")],
        prepare=lambda frame: frame.select("issue", "meaning").unique(maintain_order=True).sort("issue"),
    ),
    "data_waterfall": Table(
        "data/waterfall",
        [
            text("step", "Step"),
            count("excluded", "Left out"),
            count("applicants", "Applicants left"),
            percent("default_rate", "Default rate"),
        ],
        counts=["excluded"],
        within=(),
        order=NEAREST,
    ),
    "data_samples": Table(
        "data/samples_table",
        [
            text("sample", "Sample"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            count("goods", "Goods"),
            percent("default_rate", "Default rate"),
        ],
        counts=OUTCOME_COUNTS,
        within=(),
    ),
    "data_vintages": Table(
        "data/vintages",
        [
            unbroken("vintage", "Month"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            count("goods", "Goods"),
            percent("default_rate", "Default rate"),
        ],
        counts=["applicants", "defaults", "goods"],
        within=(),
        prepare=with_goods,
    ),
    "data_groups": Table(
        "data/groups",
        [
            text("attribute", "Attribute"),
            text("group", "Group"),
            count("applicants", "Applicants"),
            count("holdout", "In holdout"),
        ],
        counts=["applicants", "holdout"],
        within=["attribute"],
        order="holdout",
        empty="no protected attribute is named",
    ),
    "data_representativeness": Table(
        "data/representativeness",
        [
            text("attribute", "Attribute"),
            text("group", "Group"),
            count("applicants", "Applicants"),
            percent("share", "Share"),
            interval("Interval", share=True),
            percent("reference", "In the reference"),
            percent("difference", "Difference"),
        ],
        counts=["applicants"],
        within=["attribute"],
        empty="no reference table is given",
    ),
    "features_families": Table(
        "features/catalogue",
        [
            verbatim("source", "Source"),
            text("family", "Family"),
            text("data_category", "Data category"),
            count("features", "Features"),
        ],
        prepare=_families,
    ),
    "features_topics": Table(
        "features/topics",
        [count("topic", "Topic"), Column("Words", lambda row: escape_markdown(row["term"]), is_text=True)],
        least="applicants",
        prepare=_words,
        empty="the study has no texts",
    ),
    "features_catalogue": Table(
        "features/catalogue",
        [
            text("feature", "Feature"),
            verbatim("definition", "Definition"),
            text("unit", "Unit"),
            text("data_category", "Data category"),
            Column("Expected", lambda row: _DIRECTIONS[row["monotone"]], is_text=True),
        ],
        whole="Feature catalogue",
        brief=lambda frame: frame.unique(["source", "family"], keep="first", maintain_order=True),
    ),
    "features_description": Table(
        "features/description",
        [
            text("feature", "Feature"),
            percent("missing_share", "Missing"),
            number("information_value", "Information value"),
            interval("Interval", "iv_low", "iv_high"),
            number("direction", "Rank correlation"),
            number("stability", "PSI"),
            number("stability_noise", "Noise"),
        ],
        whole="Strength, direction and stability of every feature, the strongest first",
    ),
}
