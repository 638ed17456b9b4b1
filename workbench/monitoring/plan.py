"""The monitoring plan: what calls for action, from which line on, and who answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from workbench.errors import DataError, near_name

NOTICE, WATCH, ACT = "notice", "watch", "act"
SEVERITIES = (NOTICE, WATCH, ACT)
UNNAMED = ""
COLUMNS = ("trigger", "severity", "measure", "side", "line", "response", "owner")
WATCHED = {
    "score_shift": ("PSI of the score", "above"),
    "feature_shift": ("PSI of a feature", "above"),
    "multivariate_shift": ("AUC of batch against baseline", "above"),
    "data_quality": ("share refused by the contract", "above"),
    "auc": ("AUC", "below"),
    "estimated_auc": ("AUC estimated before outcomes", "below"),
    "calibration": ("observed less expected default rate, either way", "above"),
    "approved_defaults": ("default rate of the approved", "above"),
    "impact_ratio": ("adverse impact ratio", "below"),
    "reason_shift": ("PSI of the first reasons", "above"),
    "overrides": ("share of decisions overridden", "above"),
    "latency": ("99th percentile of the time to decide (ms)", "above"),
    "errors": ("share of requests that failed", "above"),
}
"""What each trigger looks at, and on which side of its line it calls for action."""
TRIGGERS = tuple(WATCHED)
"""Every trigger has its owner in `monitoring.owners`."""
RESPONSES = (
    ("score_shift", NOTICE, "chance", "look for the cause"),
    ("score_shift", WATCH, "watch", "look for the cause, estimate performance"),
    ("score_shift", ACT, "act", "validate again"),
    ("feature_shift", WATCH, "watch", "check the source"),
    ("feature_shift", ACT, "act", "check the source before the next batch"),
    ("multivariate_shift", WATCH, "chance", "look at what tells them apart"),
    ("data_quality", ACT, "refused", "stop the source"),
    ("auc", ACT, "auc", "validate again, prepare to train anew"),
    ("estimated_auc", WATCH, "auc", "look for early outcomes"),
    ("calibration", ACT, "calibration", "calibrate"),
    ("approved_defaults", ACT, "default_rate", "review the cutoff"),
    ("impact_ratio", ACT, "impact", "fair-lending review"),
    ("reason_shift", WATCH, "watch", "read a sample of the letters"),
    ("overrides", WATCH, "override", "review the overrides"),
    ("latency", WATCH, "latency", "look at the service"),
    ("errors", ACT, "error", "look at the service"),
)
"""Trigger, severity, the line by its name in `plan_table`, and what is to be done."""


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
    lines = {
        "chance": None,
        "watch": watch,
        "act": act,
        "default_rate": default_rate_line,
        "auc": auc_line,
        "calibration": calibration_line,
        "impact": impact_line,
        "refused": refused_line,
        "override": override_line,
        "latency": latency_line,
        "error": error_line,
    }
    rows = [
        (trigger, severity, *WATCHED[trigger], lines[line], response, owners.get(trigger) or None)
        for trigger, severity, line, response in RESPONSES
    ]
    kinds = dict.fromkeys(COLUMNS, pl.String) | {"line": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def breach(low: float | None, high: float | None, *, side: str, line: float) -> bool:
    """Return whether a whole interval is beyond a line: what an interval cannot settle is no breach."""
    if low is None or high is None:
        return False
    return low > line if side == "above" else high < line
