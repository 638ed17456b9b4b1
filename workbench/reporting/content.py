"""Which artifacts the model-risk report prints as tables, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.alternative_content import ALTERNATIVE_TABLES
from workbench.reporting.data_content import DATA_TABLES
from workbench.reporting.explanation_content import EXPLANATION_TABLES
from workbench.reporting.fairness_content import GROUP_TABLES
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.resilience_content import RESILIENCE_TABLES
from workbench.reporting.tables import (
    Column,
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


def _owner(row: dict[str, Any]) -> str:
    return escape_markdown(row["owner"]) if row["owner"] else "not named"


def _in_order_of_use(frame: pl.DataFrame) -> pl.DataFrame:
    place = pl.col("sample").replace_strict(
        {name: i for i, name in enumerate(_SAMPLES)}, default=len(_SAMPLES)
    )
    return frame.sort(place, "sample")


_MODEL_TABLES: Mapping[str, Table] = {
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
        within=(),
        prepare=_in_order_of_use,
    ),
    "scoring_contract": Table(
        "scoring/contract",
        [
            text("feature", "Feature"),
            text("unit", "Unit"),
            number("minimum", "Least", 2),
            number("maximum", "Most", 2),
            text("may_be_missing", "May be missing"),
            number("lowest", "Lowest seen", 2),
            number("highest", "Highest seen", 2),
            count("levels", "Levels"),
        ],
        whole="What the scorer may be given, feature by feature",
    ),
    "scoring_flags": Table(
        "scoring/flags",
        [text("flag", "Flag"), count("applicants", "Applicants"), percent("share", "Share")],
        counts=["applicants"],  # an applicant may have several flags: they add up to nothing
    ),
    "scoring_paths": Table(
        "scoring/paths",
        [
            text("path", "Way to score"),
            count("applicants", "Applicants"),
            number("largest_gap", "Largest difference in PD", 9),
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
        within=(),
        empty="the applications have no month",
    ),
    "monitoring_triggers": Table(
        "monitoring/triggers",
        [
            text("trigger", "Trigger"),
            text("severity", "Severity"),
            text("measure", "Measure"),
            text("side", "Side"),
            number("line", "Line", 3),
            text("response", "Response"),
            Column("Owner", _owner, is_text=True),
        ],
    ),
}

TABLES: Mapping[str, Table] = {
    **DATA_TABLES,
    **TRAINING_TABLES,
    **VALIDATION_TABLES,
    **RESILIENCE_TABLES,
    **EXPLANATION_TABLES,
    **GROUP_TABLES,
    **ALTERNATIVE_TABLES,
    **_MODEL_TABLES,
}
