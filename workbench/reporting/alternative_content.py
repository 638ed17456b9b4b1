"""How the reports print why groups differ, and what else could be: proxies, alternatives, biased outcomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.reporting.fairness_content import APPLICANTS, COMPARED, GROUP, VALUE
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.tables import (
    OUTCOME_COUNTS,
    Column,
    Table,
    count,
    format_interval,
    format_number,
    interval,
    number,
    percent,
    text,
    verbatim,
    with_outcomes,
    yes,
)

_PROXIES = 20  # pairs of feature and attribute shown
_CARRIERS = 3  # features shown of each group, the largest contributions first
_UNDONE = ("selection_rate_difference", "true_positive_rate_difference")
_MEMBERS = {1: "higher values", -1: "lower values"}


def _carried(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the features that carry most of each group's difference in approvals."""
    own = frame.filter(pl.col("of") == "selection").with_columns(size=pl.col("contribution").abs())
    ranked = own.sort("size", "feature", descending=[True, False]).group_by(
        "attribute", "group", maintain_order=True
    )
    return ranked.head(_CARRIERS).sort("attribute", "group", "size", descending=[False, False, True])


def _furthest_bounds(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep of each group and assumption the bounds that assume most, and the worst case."""
    order = ("attribute", "group", "assumption")
    bounds = frame.filter("judged", pl.col("metric") == "true_positive_rate_difference")
    most = pl.col("strength").max().over(order)
    return bounds.filter(pl.col("strength").is_null() | (pl.col("strength") == most))


def _strength(row: dict[str, Any]) -> str:
    """Tell the strength of an assumption: an odds ratio, a share, or the worst case."""
    if row["strength"] is None:
        return "worst case"
    is_odds = row["assumption"] == "unseen outcomes"
    return f"odds up to {row['strength']:g} times" if is_odds else f"up to {row['strength']:.1%} of them"


def _undone_by(row: dict[str, Any]) -> str:
    if row["strength"] is None:
        return escape_markdown(row["note"] or "nothing of this kind")
    is_odds = row["assumption"] == "unseen outcomes"
    return f"odds {row['strength']:.2f} times" if is_odds else f"{row['strength']:.1%} of them"


def _measure_unit(row: dict[str, Any]) -> str:
    return "" if row["measure"].startswith(("auc", "adverse")) else "share"


def _candidate(row: dict[str, Any]) -> str:
    return "champion" if row["candidate"] == 0 else str(row["candidate"])


ALTERNATIVE_TABLES: Mapping[str, Table] = {
    "fairness_proxies": Table(
        "fairness/proxies",
        [
            text("feature", "Feature"),
            *GROUP,
            APPLICANTS,
            number("strength", "AUC for membership"),
            interval("Interval"),
            Column("The group has", lambda row: _MEMBERS[row["direction"]], is_text=True),
        ],
        counts=["applicants"],
        prepare=lambda frame: frame.head(_PROXIES),
    ),
    "fairness_given_outcome": Table(
        "fairness/given_outcome",
        [
            text("feature", "Feature"),
            *GROUP,
            number("strength", "Tells the group"),
            number("given_outcome", "Given the outcome"),
            interval("Interval", "given_outcome_low", "given_outcome_high"),
            number("for_default", "For default, within groups"),
            interval("Interval", "for_default_low", "for_default_high"),
        ],
        prepare=lambda frame: frame.head(10),
    ),
    "fairness_membership": Table(
        "fairness/membership",
        [
            text("attribute", "Attribute"),
            text("predictor", "What tells it"),
            number("value", "AUC, mean of the groups"),
            interval("Interval"),
            APPLICANTS,
        ],
        counts=["applicants"],
        prepare=lambda frame: frame.filter(pl.col("group") == "mean of the groups"),
    ),
    "fairness_carried": Table(
        "fairness/disparity",
        [
            *GROUP,
            text("feature", "Feature"),
            percent("contribution", "Adds to the difference"),
            interval("Interval", share=True),
        ],
        prepare=_carried,
    ),
    "fairness_reasons": Table(
        "fairness/reasons",
        [
            text("reason_code", "Reason"),
            text("feature", "Feature"),
            *GROUP,
            number("strength", "AUC for membership"),
            interval("Interval"),
            count("applicants", "Told it"),
            percent("as_first", "As the first"),
        ],
        counts=["applicants"],
        empty="no reason stands in for a protected group beyond the study's line",
    ),
    "fairness_methods": Table(
        "fairness/methods",
        [
            text("method", "Method"),
            verbatim("meaning", "What it does"),
            yes("needs_attribute_in_training", "Attribute in training"),
            yes("needs_attribute_at_decision", "Attribute at decision"),
            yes("tried", "Tried"),
        ],
    ),
    "fairness_front": Table(
        "fairness/candidates",
        [
            Column("Candidate", _candidate),
            text("method", "Method"),
            verbatim("params", "How"),
            number("search_loss", "1 - AUC", 4),
            number("search_disparity", "Disparity", 4),
        ],
        prepare=lambda frame: frame.filter((pl.col("candidate") == 0) | pl.col("on_front")),
        empty="nothing was searched",
    ),
    "fairness_judged": Table(
        "fairness/judged",
        [
            Column("Candidate", _candidate),
            text("mitigation", "Method"),
            text("measure", "Measure"),
            Column("Value", lambda row: format_number(row["value"], _measure_unit(row), 4)),
            Column("Interval", lambda row: format_interval(row["low"], row["high"], _measure_unit(row))),
        ],
        empty="nothing was searched",
    ),
    "fairness_swaps": Table(
        "fairness/swaps",
        [
            *GROUP,
            text("flow", "Decision"),
            APPLICANTS,
            percent("share", "Of the group"),
            percent("default_rate", "Default rate"),
            interval("Interval", share=True),
        ],
        counts=OUTCOME_COUNTS,
        within=["attribute", "flow"],
        prepare=with_outcomes,
        empty="no alternative is recommended",
    ),
    "fairness_bounds": Table(
        "fairness/bounds",
        [
            *GROUP,
            text("metric", "Measure"),
            text("assumption", "If"),
            Column("How far", _strength, is_text=True),
            Column("Bounds", lambda row: format_interval(row["lower"], row["upper"], "share")),
            Column("With sampling error", lambda row: format_interval(row["low"], row["high"], "share")),
        ],
        prepare=_furthest_bounds,
    ),
    "fairness_tipping": Table(
        "fairness/tipping",
        [
            *GROUP,
            text("metric", "Measure"),
            percent("value", "Difference"),
            text("assumption", "If"),
            Column("Its sign is undone by", _undone_by, is_text=True),
        ],
        prepare=lambda frame: frame.filter(pl.col("metric").is_in(_UNDONE)),
    ),
    "fairness_individual": Table(
        "fairness/individual",
        [
            *GROUP,
            text("metric", "Measure"),
            *VALUE,
            number("mean_distance", "Mean distance (SD)", 2),
            percent("share_matched", "Matched"),
        ],
        prepare=lambda frame: frame.filter(pl.col("judged") | pl.col("group").eq("everyone"), COMPARED),
    ),
    "fairness_flips": Table(
        "fairness/flips",
        [text("attribute", "Attribute"), text("metric", "Measure"), *VALUE, verbatim("note", "Note")],
        prepare=lambda frame: frame.unique(["attribute", "metric", "value", "note"], maintain_order=True),
    ),
}
