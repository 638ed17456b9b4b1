"""Intervals for a share, and for the difference and the ratio of two independent shares."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.estimate import Estimate, normal_quantile, undefined
from workbench.statistics.samples import FloatArray, raise_faults

WILSON = "Wilson"
NEWCOMBE = "Newcombe (Wilson limits)"
DONNER_ZOU = "Donner-Zou (Wilson limits)"


def wilson_bounds(
    successes: ArrayLike, trials: ArrayLike, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Return the Wilson score limits of many shares at once: low and high, NaN where there are no trials.

    (p + z^2/2n +/- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), exactly 0 or 1 at the ends.

    Raises:
        DataError: counts that are negative, or successes above trials.

    Reference: Wilson (1927), JASA 22: 209-212.
    """
    hits, total = np.asarray(successes, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    _check(hits, total)
    z2 = normal_quantile(level) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        centre = (hits + z2 / 2) / (total + z2)
        spread = np.sqrt(z2 * (hits * (total - hits) / total + z2 / 4)) / (total + z2)
    low = np.where(hits == 0, 0.0, centre - spread)
    high = np.where(hits == total, 1.0, centre + spread)
    none = total == 0
    return np.where(none, np.nan, low), np.where(none, np.nan, high)


def wilson(successes: int, trials: int, *, level: float = 0.95) -> Estimate:
    """Return a share with its Wilson score interval; undefined without trials.

    Raises:
        DataError: counts that are negative, or successes above trials.

    Reference: Wilson (1927), JASA 22: 209-212.
    """
    low, high = wilson_bounds(successes, trials, level=level)
    if not trials:
        return undefined(level, "0 trials")
    return Estimate(successes / trials, float(low), float(high), level, WILSON)


def newcombe_difference(
    successes: int, trials: int, reference_successes: int, reference_trials: int, *, level: float = 0.95
) -> Estimate:
    """Return the share minus the reference share with Newcombe's hybrid score interval; 0 = equal.

    d - sqrt((p1-l1)^2 + (u2-p2)^2) to d + sqrt((u1-p1)^2 + (p2-l2)^2), l and u the Wilson limits of each.

    Raises:
        DataError: counts that are negative, or successes above trials.

    Reference: Newcombe (1998), Statistics in Medicine 17: 873-890, method 10.
    """
    share = wilson(successes, trials, level=level)
    reference = wilson(reference_successes, reference_trials, level=level)
    if share.value is None or reference.value is None:
        return undefined(level, "0 trials")
    (p1, l1, u1), (p2, l2, u2) = _limits(share), _limits(reference)
    difference = p1 - p2
    low = difference - np.hypot(p1 - l1, u2 - p2)
    high = difference + np.hypot(u1 - p1, p2 - l2)
    return Estimate(difference, float(low), float(high), level, NEWCOMBE)


def donner_zou_ratio(
    successes: int, trials: int, reference_successes: int, reference_trials: int, *, level: float = 0.95
) -> Estimate:
    """Return the share over the reference share with its MOVER-R interval from Wilson limits; 1 = equal.

    Unlike a logarithmic interval it is defined when a share is 0 or 1; not when the reference share is 0.

    Raises:
        DataError: counts that are negative, or successes above trials.

    Reference: Donner and Zou (2012), Statistical Methods in Medical Research 21: 347-359; Newcombe (2016),
    same journal 25: 1774-1778.
    """
    share = wilson(successes, trials, level=level)
    reference = wilson(reference_successes, reference_trials, level=level)
    if share.value is None or not reference.value:
        return undefined(level, "the reference share is 0 or a share has 0 trials")
    (p1, l1, u1), (p2, l2, u2) = _limits(share), _limits(reference)
    product, below, above = p1 * p2, u2 * (2 * p2 - u2), l2 * (2 * p2 - l2)
    low = (product - np.sqrt(product**2 - l1 * (2 * p1 - l1) * below)) / below if below else l1 / (2 * p2)
    high = (product + np.sqrt(product**2 - u1 * (2 * p1 - u1) * above)) / above
    return Estimate(p1 / p2, max(float(low), 0.0), float(high), level, DONNER_ZOU)


def _limits(estimate: Estimate) -> tuple[float, float, float]:
    if estimate.value is None or estimate.low is None or estimate.high is None:
        raise ValueError("a share without limits")
    return estimate.value, estimate.low, estimate.high


def _check(successes: FloatArray, trials: FloatArray) -> None:
    wrong = int(np.sum(~((successes >= 0) & (successes <= trials) & np.isfinite(trials))))
    faults = [f"{wrong} pairs do not hold 0 <= successes <= trials"] if wrong else []
    raise_faults("A share cannot be computed from these counts", faults)
