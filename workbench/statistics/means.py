"""Intervals for means and quantiles: of applicants, of models, and of the same applicants twice."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.estimate import Estimate, bounded, normal_estimate, normal_quantile, undefined

NORMAL_MEAN = "normal, mean"
ORDER = "order statistics"
AGRESTI_MIN = "Agresti-Min, matched shares"


def mean_estimate(values: ArrayLike, *, level: float, method: str = NORMAL_MEAN) -> Estimate:
    """Return the mean of independent values [applicants] with its normal interval; undefined without any."""
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        return undefined(level, "no applicants")
    error = float(sample.std(ddof=1)) / sqrt(sample.size) if sample.size > 1 else 0.0
    return normal_estimate(float(sample.mean()), error, level=level, method=method)


def quantile_estimate(values: ArrayLike, share: float, *, level: float) -> Estimate:
    """Return the `share` quantile of values [applicants], the smallest value that so many do not exceed.

    The interval is between two of the ordered values, by the binomial number below the true quantile: right
    for any distribution. Without interval where there are too few values to reach `level`.

    Reference: Hahn and Meeker (1991), Statistical Intervals, chapter 5.
    """
    from scipy.stats import binom

    ordered = np.sort(np.asarray(values, dtype=np.float64))
    if not ordered.size:
        return undefined(level, "no applicants")
    value = float(np.quantile(ordered, share, method="inverted_cdf"))
    ends = (1 - level) / 2, (1 + level) / 2
    low, high = (int(binom.ppf(end, ordered.size, share)) for end in ends)
    if low < 1 or high >= ordered.size:
        return Estimate(value, None, None, level, f"no interval: {ORDER}, {ordered.size} values are too few")
    return Estimate(value, float(ordered[low - 1]), float(ordered[high]), level, ORDER)


def matched_difference(before: ArrayLike, after: ArrayLike, *, level: float) -> Estimate:
    """Return the share of yes after minus the share before on the same applicants; 0 = no change.

    (gained - lost) / n; the interval is Wald's with half an applicant added to each of the four cells: it
    exists and covers where few or none changed. `before`, `after`: yes or no [applicants].

    Reference: Agresti and Min (2005), Statistics in Medicine 24: 729-740.
    """
    old, new = np.asarray(before, dtype=bool), np.asarray(after, dtype=bool)
    if not old.size:
        return undefined(level, "no applicants")
    gained, lost = int(np.sum(new & ~old)), int(np.sum(old & ~new))
    total, value = old.size + 2, (gained - lost) / old.size
    centre = (gained - lost) / total
    margin = normal_quantile(level) * sqrt((gained + lost + 1) / total - centre**2) / sqrt(total)
    low, high = min(centre - margin, value), max(centre + margin, value)
    return bounded(Estimate(value, low, high, level, AGRESTI_MIN), least=-1.0, most=1.0)


def student_mean(values: ArrayLike, *, level: float, method: str = "Student's t") -> Estimate:
    """Return the mean of few independent values with its interval on Student's t; none for a single one."""
    sample = np.asarray(values, dtype=np.float64)
    if not sample.size:
        return undefined(level, "no values")
    error = float(sample.std(ddof=1)) / sqrt(sample.size) if sample.size > 1 else 0.0
    return _student(float(sample.mean()), error, sample.size - 1, level=level, method=method)


def crossed_share(values: ArrayLike, *, level: float) -> Estimate:
    """Return the share of yes in values [models, applicants] where both are samples, on Student's t.

    Variance = that of the models' shares / models + that of the applicants' shares / applicants: what one
    cell has of its own counts in both, so it is never too small. Degrees of freedom as Satterthwaite's; the
    interval is made on log-odds. With few models and a rare yes it covers a little less than it says: 0.93
    where 0.95 is asked of four. Without interval where all or none is yes.

    Reference: Owen (2007), Annals of Applied Statistics 1: 386-411; Satterthwaite (1946), Biometrics
    Bulletin 2: 110-114.
    """
    cells = np.asarray(values, dtype=bool)
    shares = [share for share in (cells.mean(axis=1), cells.mean(axis=0)) if share.size > 1]
    variances = [float(share.var(ddof=1)) / share.size for share in shares]
    total, value = sum(variances), float(cells.mean())
    method = "Student's t on log-odds, models and applicants"
    if not total or not 0 < value < 1:
        return Estimate(value, None, None, level, f"no interval: {method} finds no variation")
    parts = zip(variances, (share.size for share in shares), strict=True)
    freedom = total**2 / sum(part**2 / (size - 1) for part, size in parts)
    error = sqrt(total) / (value * (1 - value))
    logit = _student(log(value / (1 - value)), error, freedom, level=level, method=method)
    low, high = (None if end is None else 1 / (1 + exp(-end)) for end in (logit.low, logit.high))
    return Estimate(value, low, high, level, method)


def jackknife_estimate(value: float, left_out: ArrayLike, *, level: float, bias: bool = False) -> Estimate:
    """Return a positive value with its jackknife interval from the values without each model [models].

    Made for the logarithm, on Student's t. With `bias` the value is corrected for the bias that the jackknife
    shows, and so is the low end; the high end keeps an upward one, so that it is a little cautious: for what
    noise can only raise. Without interval where fewer than three can be left out or all are alike.

    Reference: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 11.
    """
    without, method = np.asarray(left_out, dtype=np.float64), "jackknife over models, Student's t"
    if without.size < 3 or not min(value, *without) > 0:
        return Estimate(value, None, None, level, f"no interval: {method}, too few differ")
    logs, own = np.log(without), log(value)
    shown = (logs.size - 1) * float(logs.mean() - own) if bias else 0.0
    error = sqrt((logs.size - 1) * float(logs.var()))
    found = _student(0.0, error, logs.size - 1, level=level, method=method)
    if found.low is None or found.high is None:
        return Estimate(value, None, None, level, found.method)
    low, high = own - shown + found.low, own - min(shown, 0.0) + found.high
    told = f"bias-corrected {method}" if bias else method
    return Estimate(exp(own - shown), exp(low), exp(high), level, told)


def _student(value: float, error: float, freedom: float, *, level: float, method: str) -> Estimate:
    from scipy.stats import t

    if not error > 0:
        return Estimate(value, None, None, level, f"no interval: {method} finds no variation")
    margin = float(t.ppf(0.5 + level / 2, freedom)) * error
    return Estimate(value, value - margin, value + margin, level, method)
