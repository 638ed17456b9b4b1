"""What is measured of a batch beside its indices: outcomes, groups, reasons, people's overrides, and the
service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from workbench.fairness.over_time import segment_metrics
from workbench.monitoring.estimation import calibration_fit, estimated_performance
from workbench.monitoring.two_sample import LEAST_ROWS, TwoSampleTest
from workbench.statistics.estimate import Estimate
from workbench.statistics.means import quantile_estimate
from workbench.statistics.proportions import newcombe_difference, wilson
from workbench.statistics.ranking import auc
from workbench.statistics.shift import psi_test
from workbench.validation.calibration import calibration_in_the_large, calibration_line
from workbench.watch.inputs import Batch
from workbench.watch.reference import Reference

SCHEMA = {
    "section": pl.String,
    "measure": pl.String,
    "of": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p_value": pl.Float64,
    "applicants": pl.Int64,
    "unit": pl.String,
    "method": pl.String,
}
LEAST_DEFAULTS = 20
ALL = "all"
FAILED = 500
Row = dict[str, Any]


def measure_table(
    batch: Batch, reference: Reference, together: TwoSampleTest | None, *, seed: int
) -> pl.DataFrame:
    """Return section, measure, of, value, low, high, p_value, applicants, unit and method.

    Sections: quality, drift, performance (outcomes that are known), estimate (before they are), fairness,
    reasons, people, service. `batch` has decisions; what a batch does not hold has no row.
    """
    rows = [
        *_quality(batch, reference),
        *_together(together, reference.study.monitoring.level),
        *_performance(batch, reference),
        *_estimates(batch, reference, seed=seed),
        *_fairness(batch, reference),
        *_reasons(batch, reference, seed=seed),
        *_people(batch, reference),
        *_service(batch, reference),
    ]
    return pl.DataFrame(rows, schema=SCHEMA)


def _row(
    section: str,
    measure: str,
    found: Estimate,
    applicants: int,
    *,
    of: str = ALL,
    unit: str = "",
    p_value: float | None = None,
) -> Row:
    return {
        "section": section,
        "measure": measure,
        "of": of,
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "p_value": p_value,
        "applicants": applicants,
        "unit": unit,
        "method": found.method,
    }


def _quality(batch: Batch, reference: Reference) -> Iterator[Row]:
    frame, level = batch.frame, reference.study.monitoring.level
    people = frame.height
    refused = frame.filter(pl.col("decision") == "refused").height
    yield _row(
        "quality",
        "repeated",
        wilson(batch.repeated, people + batch.repeated, level=level),
        people,
        unit="share",
    )
    yield _row("quality", "refused", wilson(refused, people, level=level), people, unit="share")
    for flag in ("unseen", "missing", "source", "extreme"):
        if "flags" in frame.columns:
            held = frame.filter(pl.col("flags").fill_null("").str.split(" ").list.contains(flag)).height
            yield _row("quality", f"flagged_{flag}", wilson(held, people, level=level), people, unit="share")


def _together(together: TwoSampleTest | None, level: float) -> Iterator[Row]:
    if together is not None:
        found = Estimate(together.auc, together.low, together.high, level, "Mann-Whitney, two halves")
        leading = ", ".join(together.leading["name"].head(3))
        yield _row("drift", "batch_auc", found, together.rows, of=leading, p_value=together.p_value)


def _performance(batch: Batch, reference: Reference) -> Iterator[Row]:
    """Yield ranking and calibration of known outcomes, over all and by vintage."""
    if "default" not in batch.frame.columns:
        return
    level = reference.study.monitoring.level
    known = batch.frame.drop_nulls(["default", "prob_default"])
    waiting = wilson(known.height, batch.frame.height, level=level)
    yield _row("performance", "outcomes_known", waiting, batch.frame.height, unit="share")
    for of, part in [(ALL, known), *_vintages(known)]:
        default, prob = part["default"].to_numpy(), part["prob_default"].to_numpy()
        bads = int(default.sum())
        if not part.height:
            continue
        yield _row(
            "performance",
            "default_rate",
            wilson(bads, part.height, level=level),
            part.height,
            of=of,
            unit="share",
        )
        gap = calibration_in_the_large(default, prob, level=level)
        yield _row("performance", "calibration_gap", gap, part.height, of=of, unit="share")
        if min(bads, part.height - bads) >= LEAST_DEFAULTS:
            yield _row("performance", "auc", auc(default, prob, level=level), part.height, of=of)
            if of == ALL:
                slope = calibration_line(default, prob, level=level).slope
                yield _row("performance", "calibration_slope", slope, part.height)
    approved = known.filter(decision="approved")
    rate = wilson(int(approved["default"].sum()), approved.height, level=level)
    yield _row("performance", "approved_default_rate", rate, approved.height, unit="share")


def _vintages(frame: pl.DataFrame) -> list[tuple[str, pl.DataFrame]]:
    if "vintage" not in frame.columns or frame["vintage"].n_unique() < 2:
        return []
    parts = frame.drop_nulls("vintage").partition_by("vintage", as_dict=True)
    return [(str(key[0]), part) for key, part in sorted(parts.items())]


def _estimates(batch: Batch, reference: Reference, *, seed: int) -> Iterator[Row]:
    """Yield what performance is expected before outcomes, from PDs and the last outcomes known (the
    holdout's)."""
    monitoring, outcomes = reference.study.monitoring, reference.outcomes
    scored = batch.frame.drop_nulls("prob_default")
    bads = int(outcomes["default"].sum())
    if not scored.height or min(bads, outcomes.height - bads) < LEAST_DEFAULTS:
        return
    line, covariance = calibration_fit(_log_odds(outcomes), outcomes["default"].to_numpy().astype(float))
    found = estimated_performance(
        _log_odds(scored),
        scored["decision"].eq("approved").to_numpy(),
        line=line,
        covariance=covariance,
        level=monitoring.level,
        replicates=min(monitoring.replicates, 400),
        seed=seed,
    )
    for name, estimate in found.items():
        unit = "" if name == "auc" else "share"
        yield _row("estimate", f"estimated_{name}", estimate, scored.height, of="", unit=unit)


def _log_odds(frame: pl.DataFrame) -> np.ndarray:
    prob = frame["prob_default"].to_numpy().clip(1e-12, 1 - 1e-12)
    return np.asarray(np.log(prob / (1 - prob)))


def _fairness(batch: Batch, reference: Reference) -> Iterator[Row]:
    """Yield approvals of each group against the reference group's, and against what they were in the run."""
    fairness, level = reference.study.fairness, reference.study.monitoring.level
    decided = batch.frame.drop_nulls("decision")
    before = {
        (row["attribute"], row["group"]): (row["goods_approved"] + row["bads_approved"], row["applicants"])
        for row in reference.groups.iter_rows(named=True)
    }
    for attribute in fairness.attributes:
        if attribute not in decided.columns:
            continue
        known = decided.drop_nulls(attribute).with_columns(pl.col(attribute).cast(pl.String))
        named = fairness.reference_groups.get(attribute, "")
        if not known.height or named not in known[attribute].to_list():
            continue
        approved = known["decision"].eq("approved").cast(pl.Int64)
        found = segment_metrics(
            approved,
            known[attribute],
            pl.Series([ALL] * known.height),
            reference_group=named,
            min_applicants=fairness.min_group_applicants,
            level=level,
        )
        for row in found.filter(
            pl.col("value").is_not_null(), pl.col("metric") != "selection_rate_difference"
        ).iter_rows(named=True):
            told = Estimate(row["value"], row["low"], row["high"], level, row["method"])
            name = "adverse_impact_ratio" if row["metric"] == "adverse_impact_ratio" else "approval_rate"
            of, unit = f"{attribute}: {row['group']}", "" if name == "adverse_impact_ratio" else "share"
            yield _row("fairness", name, told, row["applicants"], of=of, unit=unit)
            if name == "approval_rate" and (attribute, row["group"]) in before:
                hits = int(approved.filter(known[attribute] == row["group"]).sum())
                change = newcombe_difference(
                    hits, row["applicants"], *before[attribute, row["group"]], level=level
                )
                yield _row("fairness", "approval_change", change, row["applicants"], of=of, unit="share")


def _reasons(batch: Batch, reference: Reference, *, seed: int) -> Iterator[Row]:
    """Yield how often each reason comes first, and how far the mix is from the run's."""
    if "reason_1" not in batch.frame.columns:
        return
    level = reference.study.monitoring.level
    refused = batch.frame.filter(pl.col("decision").is_in(["declined", "counter_offered"]))
    counts = dict(refused.drop_nulls("reason_1").group_by("reason_1").len().iter_rows())
    codes = sorted({*counts, *reference.first_reasons})
    before = np.array([reference.first_reasons.get(code, 0) for code in codes])
    now = np.array([counts.get(code, 0) for code in codes])
    for code, count in zip(codes, now.tolist(), strict=True):
        yield _row(
            "reasons",
            "first_reason",
            wilson(count, max(int(now.sum()), 1), level=level),
            count,
            of=code,
            unit="share",
        )
    if min(before.sum(), now.sum()) >= LEAST_ROWS:
        tested = psi_test(before, now, level=level, replicates=1_000, seed=seed)
        found = Estimate(tested.value, None, None, level, tested.method)
        yield _row("reasons", "first_reason_shift", found, int(now.sum()), p_value=tested.p_value)


def _people(batch: Batch, reference: Reference) -> Iterator[Row]:
    frame, level = batch.frame, reference.study.monitoring.level
    for name, column in (("reviewed", "review"), ("overridden", "overridden")):
        if column in frame.columns:
            known = frame.drop_nulls(column)
            share = wilson(int(known[column].cast(pl.Int64).sum()), known.height, level=level)
            yield _row("people", name, share, known.height, unit="share")


def _service(batch: Batch, reference: Reference) -> Iterator[Row]:
    """Yield time to decide and failed requests; a request that broke the contract is no failure of the
    service."""
    level, frame = reference.study.monitoring.level, batch.frame
    decided = 0
    if "milliseconds" in frame.columns:
        times = frame["milliseconds"].drop_nulls().to_numpy()
        decided = times.size
        for share, name in ((0.5, "latency_p50"), (0.99, "latency_p99")):
            if times.size:
                found = quantile_estimate(times, share, level=level)
                yield _row("service", name, found, times.size, unit="ms")
    if batch.requests is not None:
        failed = batch.requests.filter(pl.col("status") >= FAILED).height
        total = decided + batch.requests.height
        yield _row(
            "service", "failed_requests", wilson(failed, max(total, 1), level=level), total, unit="share"
        )
        broken = batch.requests.height - failed
        yield _row(
            "service", "refused_requests", wilson(broken, max(total, 1), level=level), total, unit="share"
        )
