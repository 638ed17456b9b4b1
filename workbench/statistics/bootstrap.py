"""Intervals by resampling, for anything that is a function of the counts in a table's cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.estimate import Estimate, normal_quantile, undefined
from workbench.statistics.samples import FloatArray, IntArray, checked_counts

MOST_UNDEFINED = 0.01
"""Largest share of replicates that may be undefined; more would cut an end off the interval."""


def multinomial_replicates(
    counts: ArrayLike, *, replicates: int, seed: int | np.random.Generator
) -> IntArray:
    """Draw the counts again and again from one multinomial over all cells.

    Resampling rows with replacement and counting them gives exactly this distribution, so any function of
    the counts has its exact bootstrap distribution here without touching a row. Two independent samples
    need one generator, passed to both, and not the same number twice.

    Returns integers [replicates, cells]; every row adds up to the total of `counts` [cells].

    Raises:
        DataError: negative counts or a total of 0.

    Reference: Efron (1979), Annals of Statistics 7: 1-26, section 1.
    """
    (cells,) = checked_counts(counts=np.asarray(counts).ravel())
    total = int(cells.sum())
    return np.random.default_rng(seed).multinomial(total, cells / cells.sum(), size=replicates)


def percentile_estimate(value: float, replicates: ArrayLike, *, level: float, method: str) -> Estimate:
    """Return the value with the percentile interval of its replicates [replicates].

    Right for smooth statistics without much bias: rates, their differences and ratios. A NaN value is
    undefined. When more than 1% of the replicates are NaN there is no interval, and `method` says so.

    Reference: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """

    def ends(known: FloatArray) -> tuple[float, float]:
        low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)

    return _estimate(value, replicates, ends, level=level, method=f"percentile {method}")


def bias_corrected_estimate(
    value: float, replicates: ArrayLike, *, level: float, method: str, least: float = float("-inf")
) -> Estimate:
    """Return the value with the interval from value - bias - z x spread to value + z x spread.

    Bias and spread are the replicates'. Right for divergences, which noise can only raise: the sample's value
    is too high, a replicate's twice over, and the percentile interval would miss the truth nearly always. The
    high end keeps the bias, because the spread near 0 is itself understated; so it is a little cautious. Cut
    at `least`. NaN as in `percentile_estimate`.

    Reference: Davison and Hinkley (1997), Bootstrap Methods and their Application, section 5.2.
    """

    def ends(known: FloatArray) -> tuple[float, float]:
        bias, margin = known.mean() - value, normal_quantile(level) * known.std()
        return max(min(value - bias - margin, value), least), value + margin

    return _estimate(value, replicates, ends, level=level, method=f"bias-corrected normal {method}")


def _estimate(
    value: float,
    replicates: ArrayLike,
    ends: Callable[[FloatArray], tuple[float, float]],
    *,
    level: float,
    method: str,
) -> Estimate:
    if not np.isfinite(value):
        return undefined(level, "a division by zero")
    drawn: FloatArray = np.asarray(replicates, dtype=np.float64)
    known = drawn[np.isfinite(drawn)]
    missing = drawn.size - known.size
    if not known.size or missing > MOST_UNDEFINED * drawn.size:
        reason = f"no interval: {missing} of the {drawn.size} replicates are undefined"
        return Estimate(value, None, None, level, reason)
    low, high = ends(known)
    return Estimate(value, float(low), float(high), level, method)
