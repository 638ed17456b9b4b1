"""Alerts of a batch: which triggers of the plan were met, by what, and whom they call."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from workbench.monitoring.indices import ACT as INDEX_ACT
from workbench.monitoring.indices import SCORE, STABLE, share_of
from workbench.monitoring.indices import WATCH as INDEX_WATCH
from workbench.monitoring.plan import ACT, NOTICE, WATCH, breach

ALERT_SCHEMA = {
    "trigger": pl.String,
    "severity": pl.String,
    "of": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "line": pl.Float64,
    "response": pl.String,
    "owner": pl.String,
}
# measure of the table of measures -> trigger of the plan
MEASURED = {
    "refused": "data_quality",
    "auc": "auc",
    "estimated_auc": "estimated_auc",
    "calibration_gap": "calibration",
    "approved_default_rate": "approved_defaults",
    "adverse_impact_ratio": "impact_ratio",
    "overridden": "overrides",
    "latency_p99": "latency",
    "failed_requests": "errors",
}
FEATURES_NAMED = 5
_STATE = {INDEX_WATCH: WATCH, INDEX_ACT: ACT}


def alert_table(
    plan: pl.DataFrame, indices: pl.DataFrame, measures: pl.DataFrame, *, false_alarms: float
) -> pl.DataFrame:
    """Return trigger, severity, of, value, low, high, line, response and owner, the most severe first.

    An index alerts as its state says (`index_table`): the score from beyond chance on, a feature from the
    first line on. A measure alerts where its whole interval is beyond the line; a gap in calibration on
    either side. `measures` has measure, of, value, low, high; its p_value counts for multivariate and reason
    shifts alone.
    """
    rows = [*_index_alerts(indices), *_measure_alerts(plan, measures, share_of(false_alarms))]
    found = pl.DataFrame(
        rows,
        schema={name: ALERT_SCHEMA[name] for name in ("trigger", "severity", "of", "value", "low", "high")},
        orient="row",
    )
    told = plan.select("trigger", "severity", "line", "response", "owner")
    order = pl.col("severity").replace_strict({ACT: 0, WATCH: 1, NOTICE: 2}, return_dtype=pl.Int64)
    joined = found.join(told, on=["trigger", "severity"], how="left", maintain_order="left")
    return joined.sort(order, maintain_order=True).select(list(ALERT_SCHEMA)).cast(ALERT_SCHEMA)  # type: ignore[arg-type]


def _index_alerts(indices: pl.DataFrame) -> Iterator[tuple[object, ...]]:
    """Yield the score's alert, and one for all features of a severity: named are those furthest from
    chance."""
    beyond = indices.filter(pl.col("state") != STABLE)
    for row in beyond.filter(name=SCORE).iter_rows(named=True):
        yield "score_shift", _STATE.get(row["state"], NOTICE), SCORE, row["stability"], None, None
    for state, severity in _STATE.items():
        features = beyond.filter(pl.col("name") != SCORE, pl.col("state") == state)
        if features.height:
            more = features.height - FEATURES_NAMED
            named = ", ".join(features["name"].head(FEATURES_NAMED)) + (
                f" and {more} more" if more > 0 else ""
            )
            yield "feature_shift", severity, named, features["stability"].max(), None, None


def _measure_alerts(
    plan: pl.DataFrame, measures: pl.DataFrame, chance: float
) -> Iterator[tuple[object, ...]]:
    lines = {row["trigger"]: row for row in plan.iter_rows(named=True)}
    watch = plan.filter(trigger="reason_shift", severity=WATCH)["line"].item()
    for row in measures.iter_rows(named=True):
        told = row["of"], row["value"], row["low"], row["high"]
        beyond_chance = row["p_value"] is not None and row["p_value"] <= chance
        if row["measure"] == "batch_auc" and beyond_chance:
            yield "multivariate_shift", WATCH, *told
        elif row["measure"] == "first_reason_shift" and beyond_chance and row["value"] >= watch:
            yield "reason_shift", WATCH, *told
        elif (trigger := MEASURED.get(row["measure"])) is not None:
            line = lines[trigger]
            if _is_beyond(trigger, row["low"], row["high"], line["side"], line["line"]):
                yield trigger, line["severity"], *told


def _is_beyond(trigger: str, low: float | None, high: float | None, side: str, line: float) -> bool:
    if trigger == "calibration":
        return breach(low, high, side="above", line=line) or breach(low, high, side="below", line=-line)
    return breach(low, high, side=side, line=line)
