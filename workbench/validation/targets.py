"""Whether the verdict hangs on the definition of default: the same model judged by other outcomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.statistics.estimate import (
    Estimate,
    PairedComparison,
    bounded,
    normal_estimate,
    paired_comparison,
    undefined,
)
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.ranking import DELONG
from workbench.statistics.samples import FloatArray, checked_sample, raise_faults
from workbench.validation.calibration import calibration_in_the_large
from workbench.validation.discrimination import auc

METHOD = (
    f"{WILSON} (default_rate, in_the_large); {DELONG} on log-odds (auc); paired influence on both areas "
    "(auc_gap); normal, large sample (kappa)"
)
MEASURES = ("default_rate", "auc", "auc_gap", "kappa", "in_the_large")


def target_sensitivity(
    frame: pl.DataFrame,
    *,
    outcomes: Sequence[str],
    default: str = "default",
    prob_default: str = "prob_default",
    level: float = 0.95,
) -> pl.DataFrame:
    """Return how the model fares when default is defined otherwise: one row for the study's, one per outcome.

    `auc_gap` = AUC against the outcome less the AUC against the study's default, on the applicants who have
    both: 0 = ranks both alike, above 0 = ranks the other better; `p_value` is its paired two-sided test.
    `kappa` is Cohen's agreement of the two definitions: 1 = the same, 0 = no more than by chance.
    `in_the_large` = the outcome's rate minus the mean PD, 0 = the PDs would hold for it too.

    `frame`: one row per applicant; `default` and `prob_default` name its columns, `outcomes` those of 0/1
    outcomes (or none) under other definitions, null where unknown (a window not yet over); rows without the
    study's default are left out. Returns columns outcome, applicants, defaults, then default_rate, auc,
    auc_gap, kappa, in_the_large each with <name>_low and <name>_high, p_value, reason (of nulls), level,
    method.

    Raises:
        DataError: columns that are not there, values that are neither 0, 1 nor null, probabilities that are
            missing or out of range.

    Reference: Cohen (1960), Educational and Psychological Measurement 20: 37-46; Fleiss, Cohen and Everitt
    (1969), Psychological Bulletin 72: 323-327, for the interval of kappa.
    """
    wanted = dict.fromkeys([default, prob_default, *outcomes])
    faults = [f"there is no column {name}" for name in wanted if name not in frame.columns]
    raise_faults("The target definitions cannot be compared", faults)
    known = frame.select(pl.col(*wanted).cast(pl.Float64).fill_nan(None))
    rows = [_row(known, name, default, prob_default, level) for name in dict.fromkeys([default, *outcomes])]
    return pl.DataFrame(rows, schema=_schema()).with_columns(level=pl.lit(level), method=pl.lit(METHOD))


def _row(frame: pl.DataFrame, outcome: str, default: str, prob_default: str, level: float) -> dict[str, Any]:
    both = frame.drop_nulls([outcome, default])
    parts, p_value = dict.fromkeys(MEASURES, undefined(level, "no applicant has both outcomes")), None
    if both.height:
        columns = (both[name].to_numpy() for name in (outcome, default, prob_default))
        parts, p_value = _measures(*columns, level=level)
    return {
        "outcome": outcome,
        "applicants": both.height,
        "defaults": int(both[outcome].sum()),
        **{name + end: value for name, part in parts.items() for end, value in _numbers(part)},
        "p_value": p_value,
        "reason": "; ".join(f"{name} {part.method}" for name, part in parts.items() if part.low is None)
        or None,
    }


def _measures(
    outcome: FloatArray, study: FloatArray, prob: FloatArray, *, level: float
) -> tuple[dict[str, Estimate], float | None]:
    bad, prob = checked_sample(outcome, probabilities={"prob_default": prob})
    (main,) = checked_sample(study)
    two = 0 < bad.sum() < bad.size
    gap = _gap(bad, main, prob, level)
    parts = {
        "default_rate": wilson(int(bad.sum()), bad.size, level=level),
        "auc": auc(bad, prob, level=level) if two else undefined(level, "one class only"),
        "auc_gap": gap.difference,
        "kappa": _kappa(bad, main, level),
        "in_the_large": calibration_in_the_large(bad, prob, level=level),
    }
    return parts, gap.p_value


def _gap(bad: FloatArray, main: FloatArray, prob: FloatArray, level: float) -> PairedComparison:
    """Return the difference of the AUCs of one ranking against two outcomes of the same applicants."""
    if not all(0 < outcome.sum() < outcome.size for outcome in (bad, main)):
        return PairedComparison(undefined(level, "one class only"), None, None)
    (area, influence), (main_area, main_influence) = _influence(bad, prob), _influence(main, prob)
    error = float(np.std(influence - main_influence) / np.sqrt(bad.size))
    return paired_comparison(area - main_area, error, level=level, method="paired influence")


def _influence(bad: FloatArray, prob: FloatArray) -> tuple[float, FloatArray]:
    """Return the AUC and each applicant's first-order effect on it, mean 0; their variance / n is DeLong's.

    They are DeLong's components over the share of the applicant's class: so they can be subtracted between
    outcomes with different bads, where DeLong's own pairing needs the same.
    """
    from scipy.stats import rankdata

    positive, below = bad == 1, rankdata(prob)
    for own in (positive, ~positive):
        below[own] = (below[own] - rankdata(prob[own])) / (bad.size - own.sum())
    placement = np.where(positive, below, 1 - below)
    area = float(placement[positive].mean())
    share = np.where(positive, positive.mean(), 1 - positive.mean())
    return area, (placement - area) / share


def _kappa(bad: FloatArray, main: FloatArray, level: float) -> Estimate:
    from statsmodels.stats.inter_rater import cohens_kappa

    table = np.bincount((2 * bad + main).astype(np.int64), minlength=4).reshape(2, 2)
    if min(*table.sum(axis=0), *table.sum(axis=1)) == 0:
        return undefined(level, "one class only")
    result = cohens_kappa(table)
    error = float(np.sqrt(max(result.var_kappa, 0.0)))
    estimate = normal_estimate(float(result.kappa), error, level=level, method="normal, large sample")
    return bounded(estimate, least=-1.0, most=1.0)


def _numbers(part: Estimate) -> tuple[tuple[str, float | None], ...]:
    return ("", part.value), ("_low", part.low), ("_high", part.high)


def _schema() -> dict[str, Any]:
    numbers = [name + end for name in MEASURES for end in ("", "_low", "_high")]
    counts = {"outcome": pl.String, "applicants": pl.Int64, "defaults": pl.Int64}
    return counts | dict.fromkeys([*numbers, "p_value"], pl.Float64) | {"reason": pl.String}
