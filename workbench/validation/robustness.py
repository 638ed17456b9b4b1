"""What the model does when its inputs are wrong, missing or worse, and how near the cutoff decisions are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import near_name
from workbench.statistics.estimate import Estimate
from workbench.statistics.means import (
    AGRESTI_MIN,
    NORMAL_MEAN,
    ORDER,
    matched_difference,
    mean_estimate,
    quantile_estimate,
)
from workbench.statistics.noise import measurement_noise
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.ranking import DELONG, compare_auc
from workbench.statistics.samples import FloatArray, finite_faults, length_faults, raise_faults

Predict = Callable[[pl.DataFrame], FloatArray]
Transform = Callable[[FloatArray], FloatArray]
GRID = 5
"""Values of a feature that are tried for the worst case, evenly spaced quantiles between its limits."""
METHOD = (
    f"paired {DELONG} (auc_change); {AGRESTI_MIN} (approval_change); {WILSON} (flip_share); "
    f"{NORMAL_MEAN} (margin_change)"
)


def logistic(margin: FloatArray) -> FloatArray:
    """Return the PD of a margin that needs no calibration: 1 / (1 + exp(-margin))."""
    from scipy.special import expit

    prob: FloatArray = expit(margin)
    return prob


def noise_table(
    predict: Predict,
    features: pl.DataFrame,
    default: ArrayLike,
    *,
    names: Sequence[str],
    levels: Sequence[float],
    cutoff: float,
    prob_of: Transform = logistic,
    level: float = 0.95,
    seed: int,
) -> pl.DataFrame:
    """Return what measurement error in all features at once costs, by its size.

    Every feature gets independent `measurement_noise` of the sizes `levels`, the same draws at each.
    Columns as `missing_sources`, but the first is noise. 0 = nothing changes.

    `predict`: features -> margin (log-odds of default) [applicants]; `features`: `names` as numbers or yes/no
    [applicants], `default`: 0 or 1 [applicants]; `prob_of`: margin -> PD; `cutoff`: PD at and below which is
    approved. One call of `predict` for each level and one for all.

    Raises:
        DataError: columns that are not there, rows that do not match, one class only.
    """
    check_names(features, names)
    base = predict(features)
    makers, rows = _noise_of(features, names, seed), []
    for noise in levels:
        columns = [pl.Series(name, noisy(noise)).fill_nan(None) for name, noisy in makers.items()]
        noisy_margin = predict(features.with_columns(columns))
        effect = _effect(default, base, noisy_margin, cutoff=cutoff, prob_of=prob_of, level=level)
        rows.append({"noise": noise, **effect})
    return pl.DataFrame(rows, schema={"noise": pl.Float64, **_EFFECT})


def missing_sources(
    predict: Predict,
    features: pl.DataFrame,
    default: ArrayLike,
    *,
    groups: Mapping[str, Sequence[str]],
    cutoff: float,
    prob_of: Transform = logistic,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return what the loss of a whole source costs: all features of a group set to missing for everyone.

    `groups`: the features of each source or data category. Other arguments and errors as `noise_table`; one
    call of `predict` for each group and one for all. Returns columns group, features (count), known (share of
    applicants who had any of them), applicants, auc_change (after - before; below 0 = ranks worse; paired
    DeLong), approval_change (share approved at the same cutoff, after - before), flip_share (decided
    otherwise), margin_change (mean |change of log-odds|), each with <name>_low and <name>_high, level,
    method.
    """
    check_names(features, [name for members in groups.values() for name in members])
    base = predict(features)
    rows = []
    for group, members in groups.items():
        nothing = pl.lit(None, dtype=pl.Float64)
        without = features.with_columns(nothing.alias(name) for name in members)
        had = features.select(pl.any_horizontal(_known(features, name) for name in members).mean()).item()
        effect = _effect(default, base, predict(without), cutoff=cutoff, prob_of=prob_of, level=level)
        rows.append({"group": group, "features": len(members), "known": had, **effect})
    counted = {"group": pl.String, "features": pl.Int64, "known": pl.Float64}
    return pl.DataFrame(rows, schema=counted | _EFFECT)


def worst_case(
    predict: Predict,
    features: pl.DataFrame,
    *,
    names: Sequence[str],
    cutoff: float,
    prob_of: Transform = logistic,
    limits: tuple[float, float] = (0.05, 0.95),
    applicants: int = 2_000,
    level: float = 0.95,
    seed: int,
) -> pl.DataFrame:
    """Return how far one feature alone could raise an applicant's risk, if it took its worst plausible value.

    Each known value is replaced by five even quantiles of the feature between `limits` and the largest rise
    of the log-odds of default is kept; never below 0, and 0 = the feature cannot hurt. Missing stays missing.
    On a random sample of at most `applicants`, for speed: one call of `predict` for each feature, on five
    times as many rows. Other arguments and errors as `noise_table`. Returns, the worst first, columns
    feature, applicants (of them with the feature known), mean_rise with low and high (normal), p95_rise with
    p95_low and p95_high (order statistics), approved (count), flip_share (of the approved: could be declined)
    with flip_low and flip_high (Wilson), level, method.
    """
    check_names(features, names)
    low, high = limits
    raise_faults(
        "There is no worst case", [] if 0 <= low < high <= 1 else [f"limits {low} to {high} are no shares"]
    )
    kept = np.random.default_rng(seed).permutation(features.height)[:applicants]
    sample = features[np.sort(kept)]
    base = predict(sample)
    approved = prob_of(base) <= cutoff
    rows = []
    for name in names:
        values = feature_values(features, name)
        grid = _grid(values[~np.isnan(values)], limits)
        inside = sample.select(_known(sample, name)).to_series().to_numpy()
        worst = _worst(predict, sample, name, grid, base) if inside.any() else base
        declined = (prob_of(worst) > cutoff) & approved & inside
        told = _rise((worst - base)[inside], declined[inside & approved], level)
        rows.append({"feature": name, "applicants": int(inside.sum()), **told})
    table = pl.DataFrame(rows, schema=_WORST).with_columns(level=pl.lit(level), method=pl.lit(_WORST_METHOD))
    return table.sort("mean_rise", descending=True, nulls_last=True, maintain_order=True)


def boundary_distance(
    score: ArrayLike, *, cutoff: float, widths: Sequence[float] = (5, 10, 20), level: float = 0.95
) -> pl.DataFrame:
    """Return how many applicants lie so close to the cutoff that a few points would decide otherwise.

    `score`: points, higher = safer [applicants]; approved at and above `cutoff`; `widths` in points. Returns
    one row per width: points, applicants, below (declined, within so many points), above (approved, within),
    value (share of all within), low, high (Wilson), level, method.

    Raises:
        DataError: scores that are missing or infinite, no rows.
    """
    points = np.asarray(score, dtype=np.float64)
    raise_faults(
        "Distances cannot be told", [*length_faults({"score": points}), *finite_faults("score", points)]
    )
    gap, rows = points - cutoff, []
    for width in widths:
        below, above = int(np.sum((gap < 0) & (gap >= -width))), int(np.sum((gap >= 0) & (gap <= width)))
        share = wilson(below + above, gap.size, level=level)
        counts = {"points": float(width), "applicants": gap.size, "below": below, "above": above}
        rows.append(counts | vars(share))
    return pl.DataFrame(rows)


def check_names(features: pl.DataFrame, names: Sequence[str]) -> None:
    """Raise DataError unless all names are columns of `features`, which has rows."""
    faults = [
        f"there is no feature {name}{near_name(name, features.columns)}"
        for name in dict.fromkeys(names)
        if name not in features.columns
    ]
    faults += ["there is no feature to change"] if not names else []
    raise_faults("The model cannot be tried", [*faults, *([] if features.height else ["there are no rows"])])


def feature_values(features: pl.DataFrame, name: str) -> FloatArray:
    """Return a feature [applicants] as floats, NaN where missing."""
    values: FloatArray = features[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values


def _effect(
    default: ArrayLike,
    base: FloatArray,
    changed: FloatArray,
    *,
    cutoff: float,
    prob_of: Transform,
    level: float,
) -> dict[str, Any]:
    before, after = prob_of(base) <= cutoff, prob_of(changed) <= cutoff
    found = {
        "auc_change": compare_auc(default, logistic(base), logistic(changed), level=level).difference,
        "approval_change": matched_difference(before, after, level=level),
        "flip_share": wilson(int(np.sum(before != after)), before.size, level=level),
        "margin_change": mean_estimate(np.abs(changed - base), level=level),
    }
    numbers = {name + end: value for name, part in found.items() for end, value in _numbers(part)}
    return {"applicants": before.size, **numbers, "level": level, "method": METHOD}


def _numbers(part: Estimate) -> tuple[tuple[str, float | None], ...]:
    return ("", part.value), ("_low", part.low), ("_high", part.high)


def _noise_of(
    features: pl.DataFrame, names: Sequence[str], seed: int
) -> dict[str, Callable[[float], FloatArray]]:
    """Return for each feature what makes its values [applicants] noisy; the same draws at every level."""
    generator = np.random.default_rng(seed)
    return {
        name: measurement_noise(feature_values(features, name), generator) for name in dict.fromkeys(names)
    }


def _known(features: pl.DataFrame, name: str) -> pl.Expr:
    known = pl.col(name).is_not_null()
    return known & pl.col(name).is_not_nan() if features.schema[name].is_float() else known


def _grid(known: FloatArray, limits: tuple[float, float]) -> FloatArray:
    if not known.size:
        return np.empty(0)
    return np.unique(np.quantile(known, np.linspace(*limits, GRID), method="inverted_cdf"))


def _worst(
    predict: Predict, sample: pl.DataFrame, name: str, grid: FloatArray, base: FloatArray
) -> FloatArray:
    """Return the highest margin [rows] at any value of the grid; the row's own where it is missing."""
    own = pl.col(name).cast(pl.Float64)
    tried = [
        sample.with_columns(pl.when(_known(sample, name)).then(pl.lit(value)).otherwise(own).alias(name))
        for value in grid
    ]
    margins = predict(pl.concat(tried)).reshape(grid.size, sample.height)
    worst: FloatArray = np.maximum(margins.max(axis=0), base)
    return worst


def _rise(rise: FloatArray, declined: np.ndarray, level: float) -> dict[str, Any]:
    mean, tail = mean_estimate(rise, level=level), quantile_estimate(rise, 0.95, level=level)
    flips = wilson(int(declined.sum()), declined.size, level=level)
    return {
        **{"mean_rise": mean.value, "low": mean.low, "high": mean.high},
        **{"p95_rise": tail.value, "p95_low": tail.low, "p95_high": tail.high},
        "approved": declined.size,
        **{"flip_share": flips.value, "flip_low": flips.low, "flip_high": flips.high},
    }


_CHANGES = ("auc_change", "approval_change", "flip_share", "margin_change")
_EFFECT: dict[str, Any] = {
    "applicants": pl.Int64,
    **dict.fromkeys((name + end for name in _CHANGES for end in ("", "_low", "_high")), pl.Float64),
    **{"level": pl.Float64, "method": pl.String},
}
_WORST_METHOD = f"{NORMAL_MEAN} (mean_rise); {ORDER} (p95_rise); {WILSON} (flip_share)"
_RISES = ("mean_rise", "low", "high", "p95_rise", "p95_low", "p95_high")
_WORST: dict[str, Any] = {
    **{"feature": pl.String, "applicants": pl.Int64, **dict.fromkeys(_RISES, pl.Float64)},
    **{"approved": pl.Int64, **dict.fromkeys(("flip_share", "flip_low", "flip_high"), pl.Float64)},
}
