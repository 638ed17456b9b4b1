"""A number with its uncertainty, and whether it holds a line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import erfc, isfinite, sqrt
from statistics import NormalDist
from typing import Literal

Met = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Estimate:
    """A value with its interval; None stands for undefined, so a value is never NaN.

    `level` is the interval's confidence level in (0, 1); `method` says how the interval was made or, where
    `low` and `high` are None, why there is none. The interval is about the population's value, so that after
    a correction for bias it need not be centred on `value`.

    Raises:
        ValueError: a number that is not finite, half an interval, or one that is upside down.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    method: str

    def __post_init__(self) -> None:
        numbers = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(isfinite(number) for number in numbers):
            raise ValueError("An estimate holds finite numbers or None, never NaN or infinity")
        if (self.low is None) != (self.high is None):
            raise ValueError("An estimate has both ends of its interval or neither")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("An estimate's low end is above its high end")


@dataclass(frozen=True)
class PairedComparison:
    """The challenger's value minus the champion's on the same applicants; 0 = no difference.

    `z` is the difference over its standard error and `p_value` two-sided for "no difference"; both are None
    where the standard error is zero (the two never differ).
    """

    difference: Estimate
    z: float | None
    p_value: float | None


def undefined(level: float, reason: str) -> Estimate:
    """Return the estimate that has no value, with the reason as its method."""
    return Estimate(None, None, None, level, f"undefined: {reason}")


def normal_quantile(level: float) -> float:
    """Return z with `level` of the standard normal between -z and z: 1.96 for 0.95.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"A confidence level lies between 0 and 1; received {level}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def normal_estimate(value: float, standard_error: float, *, level: float, method: str) -> Estimate:
    """Return value +/- z x standard error, without an interval where the standard error is 0 or unknown.

    A standard error of exactly 0 comes from a sample without variation; it does not mean certainty.
    """
    if not (isfinite(standard_error) and standard_error > 0):
        return Estimate(value, None, None, level, f"no interval: {method} finds no variation")
    margin = normal_quantile(level) * standard_error
    return Estimate(value, value - margin, value + margin, level, method)


def paired_comparison(
    difference: float, standard_error: float, *, level: float, method: str
) -> PairedComparison:
    """Return a difference with its normal interval, z and two-sided p-value."""
    estimate = normal_estimate(difference, standard_error, level=level, method=method)
    if estimate.low is None:
        return PairedComparison(estimate, None, None)
    z = difference / standard_error
    return PairedComparison(estimate, z, erfc(abs(z) / sqrt(2)))


def bounded(estimate: Estimate, *, least: float, most: float) -> Estimate:
    """Return the estimate with its interval cut to the range that the quantity can take."""
    if estimate.low is None or estimate.high is None:
        return estimate
    low, high = (min(max(end, least), most) for end in (estimate.low, estimate.high))
    return replace(estimate, low=low, high=high)


def met(estimate: Estimate, *, at_least: float | None = None, at_most: float | None = None) -> Met:
    """Say whether an estimate holds its line: yes, no or unknown.

    "yes" when the whole interval is on the good side, "no" when the whole interval is on the bad side,
    "unknown" when the interval holds the line or the value is undefined. The line itself is on the good side:
    an interval that starts exactly at `at_least` has met it, and one that ends there is unknown. An estimate
    that has a value but no interval is decided by its value alone.

    Raises:
        ValueError: neither line given.
    """
    if at_least is None and at_most is None:
        raise ValueError("met needs a line: give at_least, at_most or both")
    floor = float("-inf") if at_least is None else at_least
    ceiling = float("inf") if at_most is None else at_most
    low = estimate.value if estimate.low is None else estimate.low
    high = estimate.value if estimate.high is None else estimate.high
    if low is None or high is None:
        return "unknown"
    if floor <= low and high <= ceiling:
        return "yes"
    return "no" if high < floor or low > ceiling else "unknown"
