"""The monitoring plan: what calls for action, from which line on, and who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from workbench.errors import DataError, near_name

NOTICE, WATCH, ACT = "notice", "watch", "act"
SEVERITIES = (NOTICE, WATCH, ACT)
UNNAMED = ""
COLUMNS = ("trigger", "severity", "measure", "side", "line", "response", "owner")
TRIGGERS = (
    "score_shift",
    "feature_shift",
    "multivariate_shift",
    "data_quality",
    "auc",
    "estimated_auc",
    "calibration",
    "approved_defaults",
    "impact_ratio",
    "reason_shift",
    "overrides",
    "latency",
    "errors",
)
"""Every trigger has its owner in `monitoring.owners`."""


def plan_table(
    *,
    stability_lines: Sequence[float],
    default_rate_line: float,
    auc_line: float,
    calibration_line: float,
    impact_line: float,
    refused_line: float,
    override_line: float,
    latency_line: float,
    error_line: float,
    owners: Mapping[str, str],
) -> pl.DataFrame:
    """Return trigger, severity, measure, side, line, response and owner, one row for each line.

    `side` above: more than the line calls for action; below: less. Lines of chance have no number. An owner
    whom `owners` does not name is null. Raises DataError for owners of what is no trigger.
    """
    unknown = sorted(set(owners) - set(TRIGGERS))
    if unknown:
        told = [f"{name} is no trigger{near_name(name, TRIGGERS)}" for name in unknown]
        raise DataError(f"{len(unknown)} owner(s) of nothing in monitoring.owners", told)
    watch, act = stability_lines
    rows: list[tuple[Any, ...]] = [
        ("score_shift", NOTICE, "PSI of the score", "above", None, "look for the cause"),
        (
            "score_shift",
            WATCH,
            "PSI of the score",
            "above",
            watch,
            "look for the cause, estimate performance",
        ),
        ("score_shift", ACT, "PSI of the score", "above", act, "validate again"),
        ("feature_shift", WATCH, "PSI of a feature", "above", watch, "check the source"),
        ("feature_shift", ACT, "PSI of a feature", "above", act, "check the source before the next batch"),
        (
            "multivariate_shift",
            WATCH,
            "AUC of batch against baseline",
            "above",
            None,
            "look at what tells them apart",
        ),
        ("data_quality", ACT, "share refused by the contract", "above", refused_line, "stop the source"),
        ("auc", ACT, "AUC", "below", auc_line, "validate again, prepare to train anew"),
        (
            "estimated_auc",
            WATCH,
            "AUC estimated before outcomes",
            "below",
            auc_line,
            "look for early outcomes",
        ),
        (
            "calibration",
            ACT,
            "observed less expected default rate, either way",
            "above",
            calibration_line,
            "calibrate",
        ),
        (
            "approved_defaults",
            ACT,
            "default rate of the approved",
            "above",
            default_rate_line,
            "review the cutoff",
        ),
        ("impact_ratio", ACT, "adverse impact ratio", "below", impact_line, "fair-lending review"),
        ("reason_shift", WATCH, "PSI of the first reasons", "above", watch, "read a sample of the letters"),
        ("overrides", WATCH, "share of decisions overridden", "above", override_line, "review the overrides"),
        (
            "latency",
            WATCH,
            "99th percentile of the time to decide (ms)",
            "above",
            latency_line,
            "look at the service",
        ),
        ("errors", ACT, "share of requests that failed", "above", error_line, "look at the service"),
    ]
    kinds = dict.fromkeys(COLUMNS, pl.String) | {"line": pl.Float64}
    owned = [(*row, owners.get(row[0]) or None) for row in rows]
    return pl.DataFrame(owned, schema=kinds, orient="row")


def breach(low: float | None, high: float | None, *, side: str, line: float) -> bool:
    """Return whether a whole interval is beyond a line: what an interval cannot settle is no breach."""
    if low is None or high is None:
        return False
    return low > line if side == "above" else high < line
