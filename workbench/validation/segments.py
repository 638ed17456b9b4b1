"""Whether the model holds in every part of the portfolio: rank, calibration and losses by segment."""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, log, sqrt
from typing import Any

import numpy as np
import polars as pl

from workbench.statistics.estimate import Estimate, normal_estimate, normal_quantile, undefined
from workbench.statistics.multiplicity import holm
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.ranking import DELONG
from workbench.statistics.samples import FloatArray, IntArray, checked_sample, raise_faults
from workbench.validation.calibration import LIKELIHOOD, PROBABILITY_FLOOR, brier_score, calibration_line
from workbench.validation.discrimination import auc, ks

Sample = tuple[FloatArray, FloatArray]
MOST_SEGMENTS = 100
"""More segments of one column are rather identifiers or numbers that nobody cut into bands."""
MISSING = "missing"
NEWTON_STEPS, SETTLED, LARGEST_CONDITION = 12, 1e-9, 1e8
METHOD = (
    f"{WILSON} (default rate); {DELONG} on log-odds (auc); normal, bias by bootstrap (ks); "
    f"{LIKELIHOOD} (intercept, slope); normal, mean (brier); independent {DELONG} (auc_gap), p by Holm"
)
MEASURES = ("auc", "ks", "intercept", "slope", "brier")


def segment_table(
    frame: pl.DataFrame,
    *,
    by: Sequence[str],
    level: float = 0.95,
    least_defaults: int = 20,
    replicates: int = 50,
    seed: int,
) -> pl.DataFrame:
    """Return one row per segment of each column in `by`: how the model ranks and how true its PDs are there.

    `auc_gap` is the segment's AUC minus that of everyone else in the sample: 0 = ranks alike, below 0 = ranks
    worse there; `p_value` is its test, `p_adjusted` Holm's over all segments of the table. `intercept` is
    calibration in the large on log-odds (slope held at 1): 0 = right, above 0 = more defaults than expected;
    `slope` 1 = right, below 1 = too extreme. A segment with fewer than `least_defaults` defaults or goods has
    its counts and a `reason` in place of the measures; a missing value is the segment "missing".

    `frame`: default, prob_default and the columns of `by`, one row per applicant; `replicates` and `seed` are
    of the KS alone, which takes only their mean. Returns columns by, segment, applicants, defaults,
    default_rate, mean_pd, auc, ks, intercept, slope, brier, auc_gap (all of these but mean_pd with <name>_low
    and <name>_high), p_value, p_adjusted, reason, level, method; ordered as in `by`, then by segment.

    Raises:
        DataError: columns that are not there or have more than 100 segments, and as `auc`, except that a
            segment may have one class.
    """
    raise_faults("The segments cannot be measured", _faults(frame, by))
    default, prob = checked_sample(
        frame["default"].to_numpy(), probabilities={"prob_default": frame["prob_default"].to_numpy()}
    )
    order = np.argsort(-prob, kind="stable")  # what sorts the segments later finds them sorted
    default, prob, rows = default[order], prob[order], []
    for column in dict.fromkeys(by):
        segments, codes = _coded(frame[column])
        for code, segment in enumerate(segments):
            inside = codes[order] == code
            own, rest = (default[inside], prob[inside]), (default[~inside], prob[~inside])
            row = _row(own, rest, level=level, least=least_defaults, replicates=replicates, seed=seed)
            rows.append({"by": column, "segment": segment, **row})
    adjusted = pl.Series("p_adjusted", holm(row["p_value"] for row in rows), dtype=pl.Float64)
    table = pl.DataFrame(rows, schema=_schema()).insert_column(-1, adjusted)
    return table.with_columns(level=pl.lit(level), method=pl.lit(METHOD))


def _faults(frame: pl.DataFrame, by: Sequence[str]) -> list[str]:
    wanted = dict.fromkeys(["default", "prob_default", *by])
    faults = [f"there is no column {name}" for name in wanted if name not in frame.columns]
    for name in by:
        segments = frame[name].n_unique() if name in frame.columns else 0
        if segments > MOST_SEGMENTS:
            faults.append(f"{name} has {segments} segments; at most {MOST_SEGMENTS}, so cut it into bands")
    return faults


def _coded(values: pl.Series) -> tuple[list[str], IntArray]:
    """Return the segments, sorted, and each applicant's place among them."""
    labels = values.cast(pl.String).fill_null(MISSING).replace("NaN", MISSING)
    segments = labels.unique().sort().to_list()
    return segments, labels.cast(pl.Enum(segments)).to_physical().to_numpy().astype(np.int64)


def _row(
    own: Sample, rest: Sample, *, level: float, least: int, replicates: int, seed: int
) -> dict[str, Any]:
    bad, prob = own
    lacking, alone = _lacking(own, least), _lacking(rest, least)
    measures = _measures(own, lacking, level=level, replicates=replicates, seed=seed)
    gap, p_value = undefined(level, f"the others are {alone}"), None
    if not lacking and not alone:
        gap, p_value = _gap(measures["auc"], auc(*rest, level=level))
    parts = {"default_rate": wilson(int(bad.sum()), bad.size, level=level), **measures, "auc_gap": gap}
    return {
        "applicants": bad.size,
        "defaults": int(bad.sum()),
        "mean_pd": float(prob.mean()),
        **{name + end: value for name, part in parts.items() for end, value in _numbers(part)},
        "p_value": p_value,
        "reason": lacking or _reason(parts) or None,
    }


def _lacking(sample: Sample, least: int) -> str:
    """Return what a sample is short of, or nothing; one good and one bad are always needed."""
    bads, wanted = int(sample[0].sum()), max(least, 1)
    goods = sample[0].size - bads
    few = min(bads, goods) < wanted
    return f"{bads} defaults and {goods} goods; at least {wanted} of each are needed" if few else ""


def _measures(
    sample: Sample, lacking: str, *, level: float, replicates: int, seed: int
) -> dict[str, Estimate]:
    if lacking:
        return dict.fromkeys(MEASURES, undefined(level, lacking))
    intercept, slope = _line(*sample, level=level)
    return {
        "auc": auc(*sample, level=level),
        "ks": ks(*sample, level=level, replicates=replicates, seed=seed),
        "intercept": intercept,
        "slope": slope,
        "brier": brier_score(*sample, level=level),
    }


def _line(bad: FloatArray, prob: FloatArray, *, level: float) -> tuple[Estimate, Estimate]:
    """Return the intercept with slope 1 and the slope of `calibration_line`, many times faster.

    By Newton's steps from where both are true; where they do not settle, by `calibration_line` itself, which
    says why.
    """
    clipped = np.clip(prob, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    constant = np.ones_like(log_odds)
    level_fit = _newton(bad, constant[None], np.zeros(1), offset=log_odds)
    slope_fit = _newton(bad, np.stack([constant, log_odds]), np.array([0.0, 1.0]), offset=0.0)
    if level_fit is None or slope_fit is None:
        line = calibration_line(bad, prob, level=level)
        return line.intercept_slope_one, line.slope
    intercept, slope = (
        normal_estimate(*fit, level=level, method=LIKELIHOOD) for fit in (level_fit, slope_fit)
    )
    return intercept, slope


def _newton(
    bad: FloatArray, design: FloatArray, start: FloatArray, *, offset: FloatArray | float
) -> tuple[float, float] | None:
    """Return the last coefficient of a logistic regression and its standard error; None if it never settles.

    `design`: [coefficients, applicants].
    """
    coefficients = start
    for _ in range(NEWTON_STEPS):
        with np.errstate(over="ignore"):
            fitted = 1 / (1 + np.exp(-(coefficients @ design + offset)))
        information = (design * (fitted * (1 - fitted))) @ design.T
        if not np.linalg.cond(information) < LARGEST_CONDITION:
            return None
        step = np.linalg.solve(information, design @ (bad - fitted))
        coefficients = coefficients + step
        if np.abs(step).max() < SETTLED:
            return float(coefficients[-1]), float(np.sqrt(np.linalg.inv(information)[-1, -1]))
    return None


def _gap(own: Estimate, rest: Estimate) -> tuple[Estimate, float | None]:
    """Return the difference of two independent AUCs and its two-sided p-value."""
    level, error = own.level, float(np.hypot(_standard_error(own), _standard_error(rest)))
    if own.value is None or rest.value is None or not error > 0:
        return undefined(level, f"{DELONG} finds no variation"), None
    gap = own.value - rest.value
    estimate = normal_estimate(gap, error, level=level, method=f"independent {DELONG}")
    return estimate, erfc(abs(gap) / error / sqrt(2))


def _standard_error(area: Estimate) -> float:
    """Return DeLong's standard error of an AUC, which its interval holds on the log-odds scale."""
    if area.value is None or area.low is None or area.high is None:
        return float("nan")
    width = log(area.high / (1 - area.high)) - log(area.low / (1 - area.low))
    return area.value * (1 - area.value) * width / (2 * normal_quantile(area.level))


def _numbers(part: Estimate) -> tuple[tuple[str, float | None], ...]:
    return ("", part.value), ("_low", part.low), ("_high", part.high)


def _reason(parts: dict[str, Estimate]) -> str:
    """Return why measures have no value or no interval, where any has none."""
    return "; ".join(f"{name} {part.method}" for name, part in parts.items() if part.low is None)


def _schema() -> dict[str, Any]:
    def numbers(*names: str) -> dict[str, Any]:
        return dict.fromkeys((name + end for name in names for end in ("", "_low", "_high")), pl.Float64)

    return {
        **dict.fromkeys(("by", "segment"), pl.String),
        **dict.fromkeys(("applicants", "defaults"), pl.Int64),
        **numbers("default_rate"),
        "mean_pd": pl.Float64,
        **numbers(*MEASURES, "auc_gap"),
        **{"p_value": pl.Float64, "reason": pl.String},
    }
