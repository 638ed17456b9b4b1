"""Whether two samples differ by more than noise: the population stability index and its null distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.bins import divergence
from workbench.statistics.samples import FloatArray, checked_counts

LEAST_EXPECTED = 50
"""Fewest applicants that a bin must expect in the smaller sample for the chi-squared distribution to hold."""
ROUNDING = 1e-12
LEAST_IN_A_CELL = 5
"""Fewest applicants that Pearson's test may expect of a sample in a bin."""


@dataclass(frozen=True)
class ShiftTest:
    """A PSI, what noise alone gives at these sizes, and the p-value for "nothing has changed".

    `critical` is the PSI that only 1 - level of unchanged samples would exceed; it and `p_value` are None
    where all applicants are in one bin. `bins` counts those in which anyone is; `method` says how both
    were found.
    """

    value: float
    critical: float | None
    p_value: float | None
    bins: int
    method: str


def psi_critical(expected_total: int, actual_total: int, bins: int, *, level: float = 0.95) -> float:
    """Return (1/expected + 1/actual) x the chi-squared quantile at `level` with bins - 1 degrees of freedom.

    The PSI that only 1 - level of samples of these sizes exceed when nothing has changed. Right where every
    bin expects some 50 applicants or more in both samples; `psi_test` sees to the others.

    Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4).
    """
    from scipy.stats import chi2

    return float((1 / expected_total + 1 / actual_total) * chi2.ppf(level, max(bins - 1, 1)))


def psi_test(
    expected: ArrayLike, actual: ArrayLike, *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> ShiftTest:
    """Return the PSI with its critical value and p-value under "both samples are from one distribution".

    Chi-squared as `psi_critical`, where every bin expects 50 applicants of the smaller sample. Where one does
    not, the chi-squared distribution that has the mean and variance of `replicates` pairs of samples drawn
    from the shares of both together, and never less than the share of pairs that lie as far apart. Bins cut
    at quantiles of the expected sample have the same distribution. `expected`, `actual`: counts [bins].

    Raises:
        DataError: negative counts, lengths that differ, an empty sample.

    Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4); Satterthwaite (1946),
    Biometrics Bulletin 2: 110-114, for the two moments.
    """
    before, after = checked_counts(expected=expected, actual=actual)
    seen = before + after > 0
    before, after = before[seen], after[seen]
    value, bins = float(divergence(before, after)), int(seen.sum())
    if bins < 2:
        return ShiftTest(value, None, None, bins, "undefined: everyone is in one bin")
    totals = int(before.sum()), int(after.sum())
    if min(before + after) / sum(totals) * min(totals) >= LEAST_EXPECTED:
        return _chi_squared(value, *totals, bins, level)
    drawn = _null_replicates(before, after, replicates=replicates, seed=seed)
    return _two_moments(value, drawn, bins, level)


def _chi_squared(value: float, expected: int, actual: int, bins: int, level: float) -> ShiftTest:
    from scipy.stats import chi2

    p_value = float(chi2.sf(value / (1 / expected + 1 / actual), bins - 1))
    critical = psi_critical(expected, actual, bins, level=level)
    return ShiftTest(value, critical, p_value, bins, f"chi-squared, {bins - 1} degrees of freedom")


def _two_moments(value: float, drawn: FloatArray, bins: int, level: float) -> ShiftTest:
    from scipy.stats import chi2

    mean, variance = float(drawn.mean()), float(drawn.var())
    scale, degrees = variance / (2 * mean), 2 * mean**2 / variance
    p_value = max(float(chi2.sf(value / scale, degrees)), float(np.mean(drawn >= value - ROUNDING)))
    critical = max(float(chi2.ppf(level, degrees)) * scale, float(np.quantile(drawn, level)))
    method = f"chi-squared by two moments of {drawn.size} replicates"
    return ShiftTest(value, critical, p_value, bins, method)


def _null_replicates(before: FloatArray, after: FloatArray, *, replicates: int, seed: int) -> FloatArray:
    generator = np.random.default_rng(seed)
    pooled = before + after
    sizes = [int(counts.sum()) for counts in (before, after)]
    first, second = (generator.multinomial(size, pooled / pooled.sum(), size=replicates) for size in sizes)
    return divergence(first, second)


def homogeneity_p_value(expected: ArrayLike, actual: ArrayLike) -> float | None:
    """Return the p-value of "both samples are from one distribution" by Pearson's chi-squared test.

    Right far out in the tail, where the PSI of some hundred applicants exceeds its chi-squared quantile up to
    twice as often as it should: for many tests at once. Neighbouring bins are put together until each expects
    5 applicants in both samples. `expected`, `actual`: counts [bins]. None where fewer than two bins are
    left.

    Raises:
        DataError: as `psi_test`.

    Reference: Pearson (1900); Cochran (1954), Biometrics 10: 417-451, for the 5.
    """
    from scipy.stats import chi2

    before, after = checked_counts(expected=expected, actual=actual)
    n, m = float(before.sum()), float(after.sum())
    smaller = min(n, m) / (n + m)
    merged = _merged(before, after, least=LEAST_IN_A_CELL / smaller)
    if len(merged) < 2:
        return None
    first, second = np.array(merged).T
    statistic = float(((first * m - second * n) ** 2 / (first + second)).sum() / (n * m))
    return float(chi2.sf(statistic, len(merged) - 1))


def _merged(before: FloatArray, after: FloatArray, *, least: float) -> list[tuple[float, float]]:
    """Return the bins put together with their neighbours until each has `least` of both samples."""
    merged: list[tuple[float, float]] = []
    first = second = 0.0
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        first, second = first + one, second + other
        if first + second >= least:
            merged.append((first, second))
            first = second = 0.0
    if first + second > 0:
        last = merged.pop() if merged else (0.0, 0.0)
        merged.append((last[0] + first, last[1] + second))
    return merged
