"""Bins and what is measured on them: weight of evidence, information value, population stability."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.statistics.bootstrap import bias_corrected_estimate, multinomial_replicates
from workbench.statistics.estimate import Estimate
from workbench.statistics.samples import FloatArray, IntArray, checked_counts, raise_faults

EMPTY_CELL = 0.5
"""Added to both cells of a bin in which exactly one of the two is 0, so that its logarithm exists."""


def quantile_edges(values: ArrayLike, bins: int) -> FloatArray:
    """Return the inner edges that cut the development sample into about equal bins.

    Each edge is a value of the sample and belongs to the bin below it: (-inf, e1], (e1, e2], ..., (ek, inf).
    Tied values stay together, so there may be fewer bins than asked for; a value that fills the top is
    separated from those below it; a constant gets the three bins below, at and above. NaN is left out here
    and gets its own bin in `count_bins`.

    Returns floats [edges], strictly rising, at most max(bins - 1, 2). Use the development sample only: edges
    that move with the recent sample hide the shift that they should show.

    Raises:
        DataError: fewer than two bins asked for, or no known value.
    """
    sample = np.asarray(values, dtype=np.float64)
    known = sample[~np.isnan(sample)]
    faults = [f"{bins} bins asked for; at least 2 are needed"] if bins < 2 else []
    if not known.size:
        faults.append(f"none of the {sample.size} values is known; at least 1 is needed")
    raise_faults("The bins cannot be cut", faults)
    cuts = np.unique(np.quantile(known, np.arange(1, bins) / bins, method="inverted_cdf"))
    top = known.max()
    inner = cuts[cuts < top]
    return inner if inner.size == cuts.size else np.union1d(inner, _edges_below(known, float(top)))


def bin_index(values: ArrayLike, edges: ArrayLike) -> IntArray:
    """Return the bin of each value: 0 to len(edges) upwards, and len(edges) + 1 for a missing one."""
    sample, cuts = np.asarray(values, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    return np.where(np.isnan(sample), cuts.size + 1, np.searchsorted(cuts, sample, side="left"))


def count_bins(values: ArrayLike, edges: ArrayLike) -> IntArray:
    """Return the applicants in each bin [len(edges) + 2]; the last count is the missing values."""
    return np.bincount(bin_index(values, edges), minlength=np.asarray(edges).size + 2)


def weight_of_evidence(goods: ArrayLike, bads: ArrayLike) -> FloatArray:
    """Return ln(share of goods / share of bads) of each bin.

    Positive = safer than average, 0 = no evidence, negative = riskier. Where a bin has goods but no bads, or
    the reverse, 0.5 is added to both its cells before the shares are taken; an empty bin has 0.

    `goods`, `bads`: counts [bins]. Returns floats [bins].

    Raises:
        DataError: negative counts, lengths that differ, no goods or no bads at all.

    Reference: Siddiqi (2006), Credit Risk Scorecards, chapter 6.
    """
    good_counts, bad_counts = checked_counts(goods=goods, bads=bads)
    return _log_ratio(*_shares(good_counts, bad_counts))


def information_value(
    goods: ArrayLike, bads: ArrayLike, *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> Estimate:
    """Return the sum over bins of (share of goods - share of bads) x weight of evidence.

    0 = the characteristic does not separate goods from bads; higher = it separates more. Empty cells as in
    `weight_of_evidence`. The interval is the bias-corrected bootstrap of one multinomial over bin x
    outcome; it does not know how the bins were chosen: bins fitted to these outcomes flatter the value.

    `goods`, `bads`: counts [bins].

    Raises:
        DataError: as `weight_of_evidence`.
    """
    counts = np.stack(checked_counts(goods=goods, bads=bads))
    draws = multinomial_replicates(counts, replicates=replicates, seed=seed).reshape(-1, *counts.shape)
    value = float(divergence(counts[0], counts[1]))
    drawn = divergence(draws[:, 0], draws[:, 1])
    return bias_corrected_estimate(
        value, drawn, level=level, method=f"bootstrap, {replicates} replicates", least=0.0
    )


def population_stability_index(
    expected: ArrayLike, actual: ArrayLike, *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> Estimate:
    """Return the sum over bins of (actual share - expected share) x ln(actual share / expected share).

    0 = the same distribution; higher = further apart. `expected`: counts [bins] of the development sample,
    `actual`: of the recent one, in the same bins. Empty cells as in `weight_of_evidence`. Noise alone raises
    it by about (bins - 1)(1/expected + 1/actual), so read it beside `psi_null_quantile`. The interval is
    the bias-corrected bootstrap of both samples.

    Raises:
        DataError: negative counts, lengths that differ, an empty sample.

    Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4), on its distribution.
    """
    before, after = checked_counts(expected=expected, actual=actual)
    generator = np.random.default_rng(seed)
    drawn = divergence(
        multinomial_replicates(before, replicates=replicates, seed=generator),
        multinomial_replicates(after, replicates=replicates, seed=generator),
    )
    method = f"bootstrap, {replicates} replicates"
    return bias_corrected_estimate(
        float(divergence(before, after)), drawn, level=level, method=method, least=0.0
    )


def psi_null_quantile(
    expected: ArrayLike, actual_total: int, *, level: float = 0.95, replicates: int = 2_000, seed: int
) -> float:
    """Return the PSI that only 1 - `level` of samples would exceed if nothing had changed.

    Both samples are drawn from the expected shares, the development sample too, because its shares are
    themselves a sample's; near (1/expected total + 1/actual total) x the chi-squared quantile with bins - 1
    degrees of freedom. A PSI below it is what noise gives at these sizes, whatever 0.10 and 0.25 say.

    Raises:
        DataError: negative counts, an empty sample.

    Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4).
    """
    (before,) = checked_counts(expected=expected)
    if actual_total < 1:
        raise DataError("The recent sample is empty", [f"{actual_total} applicants; at least 1 is needed"])
    generator = np.random.default_rng(seed)
    first = multinomial_replicates(before, replicates=replicates, seed=generator)
    second = generator.multinomial(actual_total, before / before.sum(), size=replicates)
    return float(np.quantile(divergence(first, second), level))


def _edges_below(known: FloatArray, top: float) -> list[float]:
    below = known[known < top]
    return [float(below.max())] if below.size else [float(np.nextafter(top, -np.inf)), top]


def _shares(first: FloatArray | IntArray, second: FloatArray | IntArray) -> tuple[FloatArray, FloatArray]:
    added = EMPTY_CELL * ((first == 0) ^ (second == 0))
    filled_first, filled_second = first + added, second + added
    return (
        filled_first / filled_first.sum(axis=-1, keepdims=True),
        filled_second / filled_second.sum(axis=-1, keepdims=True),
    )


def _log_ratio(first: FloatArray, second: FloatArray) -> FloatArray:
    return np.log(np.where(first > 0, first, 1.0)) - np.log(np.where(second > 0, second, 1.0))


def divergence(first: FloatArray | IntArray, second: FloatArray | IntArray) -> FloatArray:
    """Return Jeffreys' divergence along the last axis; symmetric, so it is both the IV and the PSI."""
    left, right = _shares(first, second)
    return np.asarray(((left - right) * _log_ratio(left, right)).sum(axis=-1))
