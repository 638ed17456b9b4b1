"""How the report prints attributions, reasons and what would have changed a decision (stage explanation)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.tables import (
    Column,
    Table,
    count,
    interval,
    number,
    percent,
    text,
    unbroken,
    verbatim,
    yes,
)

_WAYS = {1: "up", -1: "down", 0: "both ways", None: "flat"}
_CHOICES = {"reasons": "the reasons", "random": "as many at random", "overall": "the same for everyone"}


def _way(name: str, header: str) -> Column:
    return Column(header, lambda row: _WAYS[row[name]], is_text=True)


def _value(row: dict[str, Any]) -> str:
    """Tell a mean score gain in points and all else as a share."""
    if row["value"] is None:
        return number("value", "").show(row)
    if "score" in row["measure"]:
        return f"{number('value', '', 1).show(row)} points"
    return percent("value", "").show(row)


def _interval(row: dict[str, Any]) -> str:
    return interval("", share="score" not in row["measure"]).show(row)


def _order_or_share(row: dict[str, Any]) -> str:
    """Tell a rank correlation as a number and all else as a share."""
    is_order = row["measure"] == "rank_correlation"
    return (number if is_order else percent)("value", "").show(row)


def _order_interval(row: dict[str, Any]) -> str:
    return interval("", share=row["measure"] != "rank_correlation").show(row)


EXPLANATION_TABLES: Mapping[str, Table] = {
    "explanation_importance": Table(
        "explanation/importance",
        [
            text("feature", "Feature"),
            number("importance", "Mean |SHAP|"),
            interval("Interval"),
            percent("share", "Share"),
            Column(
                "Rank",
                lambda row: f"{row['rank']} ({row['rank_low']} to {row['rank_high']})",
                is_text=True,
            ),
        ],
        prepare=lambda frame: frame.filter(pl.col("importance") > 0),
        whole="Importance of every feature that the model uses, the largest first",
    ),
    "explanation_families": Table(
        "explanation/families",
        [
            text("family", "Family"),
            number("importance", "Mean |SHAP|"),
            interval("Interval"),
            percent("share", "Share"),
            Column(
                "Rank",
                lambda row: f"{row['rank']} ({row['rank_low']} to {row['rank_high']})",
                is_text=True,
            ),
        ],
        prepare=lambda frame: frame.filter(pl.col("importance") > 0),
    ),
    "explanation_directions": Table(
        "explanation/directions",
        [
            text("feature", "Feature"),
            _way("expected", "Expected"),
            _way("shown", "Shown"),
            count("steps", "Steps"),
            count("against", "Against it"),
            number("largest_against", "Largest (log-odds)"),
        ],
        prepare=lambda frame: frame.filter(pl.col("agrees").not_()),
        empty="no curve goes against its expected direction",
    ),
    "explanation_interactions": Table(
        "explanation/interactions",
        [
            text("feature", "Feature"),
            text("with_feature", "With"),
            number("interaction", "Mean |interaction|"),
            interval("Interval"),
            percent("share", "Share"),
        ],
        empty="no two features act together",
    ),
    "explanation_scorecard": Table(
        "explanation/scorecard",
        [
            text("feature", "Feature"),
            percent("champion_share", "Champion"),
            percent("scorecard_share", "Scorecard"),
            _way("champion_direction", "Champion's direction"),
            _way("scorecard_direction", "Scorecard's direction"),
            yes("same_direction", "Same"),
        ],
        whole="What champion and scorecard rest on, the champion's most important features first",
    ),
    "explanation_agreement": Table(
        "explanation/agreement",
        [
            text("kind", "Compared with"),
            text("measure", "Measure"),
            count("models", "Models or months"),
            number("value", "Mean"),
            interval("Interval"),
            number("least", "Least"),
        ],
    ),
    "explanation_texts": Table(
        "explanation/texts",
        [
            verbatim("language", "Language"),
            verbatim("version", "Version"),
            unbroken("effective_from", "In force from"),
            verbatim("author", "Author"),
            verbatim("approver", "Approved by"),
            count("families", "Families"),
        ],
        empty="the study names no language: reasons are told by the names of their families",
    ),
    "explanation_reasons": Table(
        "explanation/reasons_table",
        [
            text("reason_code", "Reason"),
            count("applicants", "Applicants"),
            percent("share", "Among the reasons shown"),
            interval("Interval", share=True),
            percent("as_first", "As the first"),
            number("mean_points_lost", "Mean points lost", 1),
        ],
        counts=["applicants"],
    ),
    "explanation_coverage": Table(
        "explanation/coverage",
        [
            text("decision", "Decision"),
            text("measure", "With"),
            count("applicants", "Applicants"),
            percent("share", "Share"),
            interval("Interval", share=True),
        ],
        counts=["applicants"],
        within=["decision"],
    ),
    "explanation_overlap": Table(
        "explanation/overlap",
        [
            text("reasons_by", "Method"),
            text("compared_with", "Compared with"),
            text("measure", "Measure"),
            percent("value", "Value"),
            interval("Interval", share=True),
        ],
    ),
    "explanation_fidelity": Table(
        "explanation/fidelity",
        [
            text("measure", "Measure"),
            Column("What is set to its reference", lambda row: _CHOICES[row["choice"]], is_text=True),
            Column("Value", _value),
            Column("Interval", _interval),
            count("applicants", "Applicants"),
        ],
    ),
    "explanation_needed": Table(
        "explanation/needed",
        [
            Column(
                "Reasons needed",
                lambda row: "not even all" if row["needed"] is None else str(row["needed"]),
                is_text=True,
            ),
            count("applicants", "Applicants"),
            percent("value", "Share"),
            interval("Interval", share=True),
        ],
        counts=["applicants"],
        within=(),
        prepare=lambda frame: frame.filter(pl.col("choice") == "reasons"),
    ),
    "explanation_does": Table(
        "explanation/does",
        [
            text("measure", "Measure"),
            percent("value", "Share"),
            interval("Interval", share=True),
            count("applicants", "Applicants"),
        ],
    ),
    "explanation_stability": Table(
        "explanation/stability",
        [
            text("kind", "Other model"),
            count("models", "Models"),
            text("measure", "Measure"),
            percent("value", "Value"),
            interval("Interval", share=True),
        ],
    ),
    "explanation_truth": Table(
        "explanation/truth",
        [
            text("measure", "Measure"),
            Column("Value", _order_or_share),
            Column("Interval", _order_interval),
            count("applicants", "Applicants"),
        ],
        empty="nobody knows the truth of these applicants: the study is of no made world",
    ),
    "explanation_specificity": Table(
        "explanation/specificity",
        [
            text("measure", "Measure"),
            number("value", "Value", 2),
            interval("Interval"),
            count("applicants", "Applicants"),
        ],
    ),
    "explanation_counterfactuals": Table(
        "explanation/counterfactual_table",
        [
            Column(
                "Features changed",
                lambda row: "none found" if row["changes"] is None else str(row["changes"]),
                is_text=True,
            ),
            count("applicants", "Applicants"),
            percent("value", "Share"),
            interval("Interval", share=True),
            number("median_cost", "Median change (spreads)", 2),
        ],
        counts=["applicants"],
        within=(),
        empty="the study names nothing that a person can act on",
    ),
    "explanation_changed": Table(
        "explanation/changed",
        [
            text("feature", "Feature"),
            count("applicants", "Applicants"),
            percent("value", "Share"),
            interval("Interval", share=True),
            number("median_change", "Median change (its unit)", 2),
        ],
        counts=["applicants"],
        empty="no change was found",
    ),
}
