"""How the reports print how groups fare: approvals, errors, scores, strata and time (stage fairness)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    MISSING,
    Column,
    Prepare,
    Table,
    count,
    interval,
    number,
    percent,
    text,
)

_FEW = re.compile(r"fewer than \d+ (applicants|goods|bads)")
_CROSSED = 20  # crossings shown, the lowest ratios first
_CROSS = " x "
_OF_ESTIMATES = ("selection_rate", "adverse_impact_ratio", "true_positive_rate_difference")
_OUTCOMES = {"goods_approved": "Goods approved", "goods_declined": "Goods declined"}
_OUTCOMES |= {"bads_approved": "Bads approved", "bads_declined": "Bads declined"}
_ALONE = pl.col("attribute").str.contains(_CROSS, literal=True).not_()
COMPARED = pl.col("method") != "by definition"


def of_metric(name: str) -> Prepare:
    """Return the step that keeps one metric of a table of metrics."""
    return lambda frame: frame.filter(pl.col("metric") == name)


def _alone(*names: str) -> Prepare:
    """Return the step that keeps these metrics of the attributes alone, without their crossings."""
    return lambda frame: frame.filter(pl.col("metric").is_in(names), _ALONE)


def _judged(row: dict[str, Any]) -> str:
    if row["method"] == "by definition":
        return "reference group"
    return "yes" if row["judged"] else f"no: {_short(row['note'])}"


def _p_value(name: str, header: str) -> Column:
    def show(row: dict[str, Any]) -> str:
        value = row[name]
        return MISSING if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"

    return Column(header, show)


def _estimated(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep what is told of estimated groups; the caption says what the estimate assumes, for all rows."""
    shown = frame.filter(pl.col("metric").is_in(_OF_ESTIMATES), COMPARED)
    return shown.with_columns(note=pl.col("note").str.replace(r"(; )?membership is estimated: .*$", ""))


def _tests(row: dict[str, Any]) -> str:
    return "yes" if row["judged"] else f"no: {_short(row['note'])}"


def _short(note: str) -> str:
    """Return why a group is not judged, without the study's minimums, which the document tells once."""
    few = _FEW.findall(note)
    return f"too few {', '.join(dict.fromkeys(few))}" if few else escape_markdown(note or "too few")


GROUP = [text("attribute", "Attribute"), text("group", "Group")]
VALUE = [number("value", "Value"), interval("Interval")]
_JUDGED = Column("Judged", _judged, is_text=True)
APPLICANTS = count("applicants", "Applicants")


def _compared(name: str, header: str) -> Table:
    return Table(
        "fairness/metrics",
        [*GROUP, APPLICANTS, number("value", header), interval("Interval"), _JUDGED],
        counts=["applicants"],
        within=["attribute"],
        prepare=_alone(name),
    )


_TESTED = Table(
    "fairness/metrics",
    [
        *GROUP,
        APPLICANTS,
        number("value", "Adverse impact ratio"),
        interval("Interval"),
        _p_value("p_adjusted", "p, adjusted"),
        _JUDGED,
    ],
    counts=["applicants"],
    within=["attribute"],
    prepare=_alone("adverse_impact_ratio"),
)

GROUP_TABLES: Mapping[str, Table] = {
    "fairness_counts": Table(
        "fairness/counts",
        [*GROUP, *(count(name, header) for name, header in _OUTCOMES.items())],
        counts=list(_OUTCOMES),
        within=["attribute"],
        order="applicants",
        prepare=lambda frame: frame.filter(_ALONE),
    ),
    "fairness_ratios": _TESTED,
    "fairness_selection": _compared("selection_rate", "Selection rate"),
    "fairness_true_positives": _compared("true_positive_rate_difference", "Difference"),
    "fairness_false_positives": _compared("false_positive_rate_difference", "Difference"),
    "fairness_approved_defaults": _compared("default_rate_among_approved_difference", "Difference"),
    "fairness_costs": _compared("error_cost_difference", "Difference"),
    "fairness_scores": _compared("standardized_mean_difference", "Difference (SD)"),
    "fairness_crossed": Table(
        "fairness/metrics",
        [
            text("attribute", "Attributes"),
            text("group", "Group"),
            number("value", "Adverse impact ratio"),
            interval("Interval"),
            _p_value("p_adjusted", "p, adjusted"),
        ],
        prepare=lambda frame: (
            frame.filter(
                pl.col("metric") == "adverse_impact_ratio",
                ~_ALONE,
                "judged",
                COMPARED,
            )
            .sort("value", "attribute", "group")
            .head(_CROSSED)
        ),
        empty="no crossing has a group that is large enough to be judged",
    ),
    "fairness_headlines": Table(
        "fairness/headlines",
        [
            text("attribute", "Attribute"),
            text("metric", "Measure"),
            text("group", "Furthest group"),
            *VALUE,
            count("judged_groups", "Judged groups"),
        ],
        prepare=lambda frame: frame.filter(
            _ALONE,
            pl.col("metric").is_in(
                ["adverse_impact_ratio", "true_positive_rate_difference", "standardized_mean_difference"]
            ),
        ),
        empty="no group is large enough to be judged",
    ),
    "fairness_estimated": Table(
        "fairness/estimated",
        [
            *GROUP,
            text("metric", "Measure"),
            count("applicants", "Expected applicants"),
            *VALUE,
            _JUDGED,
        ],
        counts=["applicants"],
        prepare=_estimated,
        empty="the study knows no attribute as probabilities",
    ),
    "fairness_spreads": Table(
        "fairness/spreads",
        [
            text("attribute", "Attribute"),
            text("metric", "Measure over all judged groups"),
            *VALUE,
            _p_value("p_value", "p"),
            count("judged_groups", "Judged groups"),
        ],
        prepare=lambda frame: frame.filter(_ALONE),
        empty="no attribute has two groups that are large enough",
    ),
    "fairness_power": Table(
        "fairness/power",
        [
            *GROUP,
            APPLICANTS,
            percent("detectable_difference", "Difference that would be seen"),
            number("detectable_ratio", "Ratio that would be seen", 2),
        ],
        counts=["applicants"],
        within=["attribute"],
        prepare=lambda frame: frame.filter(_ALONE),
    ),
    "fairness_accuracy": Table(
        "fairness/scores",
        [*GROUP, text("metric", "Measure"), *VALUE, Column("Judged", _tests, is_text=True)],
        prepare=lambda frame: frame.filter(
            pl.col("metric").is_in(["auc", "auc_difference", "observed_minus_expected"]),
            COMPARED,
        ),
        counts=["applicants"],
    ),
    "fairness_distances": Table(
        "fairness/scores",
        [*GROUP, text("metric", "Measure"), *VALUE, Column("Judged", _tests, is_text=True)],
        prepare=lambda frame: frame.filter(
            pl.col("metric").is_in(["ks_distance", "wasserstein_distance"]),
            COMPARED,
        ),
        counts=["applicants"],
    ),
    "fairness_given_strata": Table(
        "fairness/given_strata",
        [
            *GROUP,
            number("value", "Ratio within strata"),
            interval("Interval"),
            _p_value("p_value", "p"),
            _p_value("homogeneity_p_value", "p, same in all strata"),
            percent("share_used", "Applicants compared"),
        ],
        counts=["applicants"],
        prepare=of_metric("conditional_adverse_impact_ratio"),
    ),
    "fairness_trends": Table(
        "fairness/trends",
        [
            *GROUP,
            percent("value", "Change a year"),
            interval("Interval", share=True),
            _p_value("p_value", "p"),
            count("vintages", "Months"),
            Column("Judged", _tests, is_text=True),
        ],
    ),
    "fairness_segments": Table(
        "fairness/segments",
        [
            text("attribute", "Attribute"),
            text("by", "By"),
            text("segment", "Segment"),
            text("group", "Group"),
            *VALUE,
        ],
        prepare=lambda frame: frame.filter(
            pl.col("metric") == "adverse_impact_ratio", pl.col("by") != "month", pl.col("value").is_not_null()
        ),
        empty="the study names no segments",
    ),
}
