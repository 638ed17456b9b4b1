"""Which artifacts the model-risk report prints as tables, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.data_content import DATA_TABLES
from workbench.reporting.explanation_content import EXPLANATION_TABLES
from workbench.reporting.resilience_content import RESILIENCE_TABLES
from workbench.reporting.tables import (
    Column,
    Prepare,
    Table,
    count,
    interval,
    number,
    percent,
    text,
    unbroken,
)
from workbench.reporting.training_content import TRAINING_TABLES
from workbench.reporting.validation_content import VALIDATION_TABLES

_SAMPLES = ("development", "calibration", "holdout", "out_of_time", "declined")
_PROXIES = 20  # pairs of feature and attribute shown
_MEMBERS = {1: "higher values", -1: "lower values"}


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


def _judged(row: dict[str, Any]) -> str:
    if row["method"] == "by definition":
        return "reference group"
    return "yes" if row["judged"] else "no, too few"


_OUTCOMES = {"goods_approved": "Goods approved", "goods_declined": "Goods declined"}
_OUTCOMES |= {"bads_approved": "Bads approved", "bads_declined": "Bads declined"}


def _in_order_of_use(frame: pl.DataFrame) -> pl.DataFrame:
    place = pl.col("sample").replace_strict(
        {name: i for i, name in enumerate(_SAMPLES)}, default=len(_SAMPLES)
    )
    return frame.sort(place, "sample")


_MODEL_TABLES: Mapping[str, Table] = {
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
    "fairness_proxies": Table(
        "fairness/proxies",
        [
            text("feature", "Feature"),
            text("attribute", "Attribute"),
            text("group", "Group"),
            count("applicants", "Applicants"),
            number("strength", "AUC for membership"),
            interval("Interval"),
            Column("The group has", lambda row: _MEMBERS[row["direction"]], is_text=True),
        ],
        counts=["applicants"],
        prepare=lambda frame: frame.head(_PROXIES),
    ),
    "fairness_reasons": Table(
        "fairness/reasons",
        [
            text("reason_code", "Reason"),
            text("feature", "Feature"),
            text("attribute", "Attribute"),
            text("group", "Group"),
            number("strength", "AUC for membership"),
            interval("Interval"),
            count("applicants", "Told it"),
            percent("as_first", "As the first"),
        ],
        counts=["applicants"],
        empty="no reason stands in for a protected group beyond the study's line",
    ),
    "scoring_by_sample": Table(
        "scoring/by_sample",
        [
            text("sample", "Sample"),
            count("applicants", "Applicants"),
            percent("approval_rate", "Approval rate"),
            percent("mean_prob_default", "Mean PD"),
            number("median_score", "Median score (points)", 1),
        ],
        counts=["applicants"],
        prepare=_in_order_of_use,
    ),
    "monitoring_shifts": Table(
        "monitoring/shifts",
        [
            text("name", "Watched"),
            number("stability", "PSI", 4),
            interval("Interval"),
            number("noise", "Chance alone", 4),
        ],
        whole="Stability of the score and of every feature, the largest index first",
    ),
    "monitoring_months": Table(
        "monitoring/months",
        [
            unbroken("vintage", "Month"),
            count("applicants", "Applicants"),
            number("score", "PSI of the score"),
            number("score_noise", "Chance alone"),
            Column("Beyond", lambda row: "yes" if row["score_beyond"] else "no", is_text=True),
            count("beyond", "Features beyond chance"),
            text("furthest", "Furthest"),
        ],
        counts=["applicants"],
        within="whole",
        prepare=lambda frame: frame.with_columns(whole=pl.lit("study")),
        empty="the applications have no month",
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

TABLES: Mapping[str, Table] = {
    **DATA_TABLES,
    **TRAINING_TABLES,
    **VALIDATION_TABLES,
    **RESILIENCE_TABLES,
    **EXPLANATION_TABLES,
    **_MODEL_TABLES,
}
