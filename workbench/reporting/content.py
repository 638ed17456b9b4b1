"""Which artifacts the model-risk report prints as tables, and how."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from workbench.reporting.tables import Column, count, interval, number, percent, text, verbatim

Prepare = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Table:
    """A table of the report: an aggregate artifact and the columns shown of it."""

    artifact: str
    columns: Sequence[Column]
    counts: Sequence[str] = ()
    within: str = ""
    prepare: Prepare = field(default=lambda frame: frame)


def of_metric(name: str) -> Prepare:
    """Return the step that keeps one metric of a table of metrics."""
    return lambda frame: frame.filter(pl.col("metric") == name)


def _compared(name: str, header: str) -> Table:
    return Table(
        "fairness/metrics",
        [
            text("attribute", "Attribute"),
            text("group", "Group"),
            count("applicants", "Applicants"),
            number("value", header),
            interval("Interval"),
            Column("Judged", _judged, is_text=True),
        ],
        counts=["applicants"],
        within="attribute",
        prepare=of_metric(name),
    )


def _with_defaults(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the defaults behind a printed rate, so that a small count cannot be worked out from it."""
    return frame.with_columns(defaults=(pl.col("default_rate") * pl.col("applicants")).round(0))


def _judged(row: dict[str, Any]) -> str:
    if row["method"] == "by definition":
        return "reference group"
    return "yes" if row["judged"] else "no, too few"


_OUTCOMES = {"goods_approved": "Goods approved", "goods_declined": "Goods declined"}
_OUTCOMES |= {"bads_approved": "Bads approved", "bads_declined": "Bads declined"}
_DIRECTIONS = {1: "higher value, higher PD", -1: "higher value, lower PD", 0: "none"}

TABLES: Mapping[str, Table] = {
    "data_contract": Table(
        "data/contract",
        [
            text("table", "Table"),
            verbatim("column", "Column"),
            text("type", "Type"),
            text("allowed", "Allowed"),
        ],
    ),
    "data_ledger": Table(
        "data/ledger",
        [
            verbatim("month", "Month"),
            count("statements", "Statements"),
            percent("late_share", "Late"),
            percent("unused_share", "Without use"),
            count("median_billed", "Median bill (TWD)"),
            count("median_paid", "Median payment (TWD)"),
        ],
    ),
    "data_quality": Table(
        "data/quality",
        [
            text("issue", "Issue"),
            text("meaning", "Meaning"),
            count("applicants", "Applicants"),
            percent("share", "Share"),
            text("decision", "Decision"),
        ],
        counts=["applicants"],
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
        within="attribute",
    ),
    "features_catalogue": Table(
        "features/catalogue",
        [
            text("feature", "Feature"),
            text("definition", "Definition"),
            text("unit", "Unit"),
            text("data_category", "Data category"),
            Column("Expected", lambda row: _DIRECTIONS[row["monotone"]], is_text=True),
        ],
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
    ),
    "training_trials": Table(
        "training/trials",
        [
            count("trial", "Trial"),
            count("max_depth", "Depth"),
            number("learning_rate", "Learning rate"),
            number("min_child_weight", "Least weight", 1),
            number("subsample", "Row share", 2),
            number("colsample_bytree", "Feature share", 2),
            number("reg_lambda", "L2", 2),
            count("rounds", "Rounds"),
            number("log_loss", "Log loss", 4),
            number("auc", "AUC", 4),
        ],
        prepare=lambda frame: frame.sort("log_loss", "trial"),
    ),
    "training_scorecard": Table(
        "training/scorecard",
        [
            text("characteristic", "Characteristic"),
            verbatim("attribute", "Attribute"),
            count("applicants", "Applicants"),
            percent("default_rate", "Default rate"),
            number("weight_of_evidence", "WoE"),
            number("points", "Points", 1),
        ],
        counts=["applicants", "defaults"],
        prepare=_with_defaults,
    ),
    "training_left_out": Table(
        "training/left_out", [text("characteristic", "Characteristic"), text("reason", "Reason")]
    ),
    "validation_calibration": Table(
        "validation/calibration",
        [
            count("band", "Band"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            percent("expected_default_rate", "Expected"),
            percent("observed_default_rate", "Observed"),
            interval("Interval", share=True),
        ],
        counts=["applicants", "defaults"],
    ),
    "validation_gains": Table(
        "validation/gains",
        [
            count("band", "Band"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            percent("default_rate", "Default rate"),
            interval("Interval", share=True),
            percent("cumulative_bads_share", "Bads found so far"),
            number("lift", "Lift", 2),
        ],
        counts=["applicants", "defaults"],
    ),
    "validation_cutoffs": Table(
        "validation/cutoffs",
        [
            number("cutoff", "Cutoff (points)", 0),
            percent("approval_rate", "Approval rate"),
            percent("default_rate", "Default rate of the approved"),
            interval("Interval", share=True),
            percent("bads_declined", "Bads declined"),
            percent("goods_declined", "Goods declined"),
        ],
    ),
    "explanation_importance": Table(
        "explanation/importance",
        [
            text("feature", "Feature"),
            number("importance", "Mean |SHAP|"),
            interval("Interval"),
            percent("share", "Share"),
        ],
    ),
    "explanation_reasons": Table(
        "explanation/reasons_table",
        [
            text("reason_code", "Reason"),
            count("applicants", "Applicants"),
            percent("share", "Among the reasons shown"),
            percent("as_first", "As the first"),
            number("mean_points_lost", "Mean points lost", 1),
        ],
        counts=["applicants"],
    ),
    "fairness_counts": Table(
        "fairness/counts",
        [
            text("attribute", "Attribute"),
            text("group", "Group"),
            *(count(name, header) for name, header in _OUTCOMES.items()),
        ],
        counts=list(_OUTCOMES),
        within="attribute",
    ),
    "fairness_selection": _compared("selection_rate", "Selection rate"),
    "fairness_ratios": _compared("adverse_impact_ratio", "Adverse impact ratio"),
    "fairness_true_positives": _compared("true_positive_rate_difference", "Difference"),
    "fairness_false_positives": _compared("false_positive_rate_difference", "Difference"),
    "fairness_scores": _compared("standardized_mean_difference", "Difference (SD)"),
    "scoring_by_sample": Table(
        "scoring/by_sample",
        [
            text("sample", "Sample"),
            count("applicants", "Applicants"),
            percent("approval_rate", "Approval rate"),
            percent("mean_prob_default", "Mean PD"),
            number("median_score", "Median score", 1),
        ],
    ),
    "monitoring_shifts": Table(
        "monitoring/shifts",
        [
            text("name", "Watched"),
            number("stability", "PSI", 4),
            interval("Interval"),
            number("noise", "Chance alone", 4),
        ],
    ),
    "monitoring_triggers": Table(
        "monitoring/triggers",
        [
            text("trigger", "Trigger"),
            text("measure", "Measure"),
            number("line", "Line", 2),
            text("response", "Response"),
        ],
    ),
}
