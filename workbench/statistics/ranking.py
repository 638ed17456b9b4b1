"""How well a number ranks bads above goods, or as another does: AUC by DeLong, rank correlation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import atanh, exp, log, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.estimate import (
    Estimate,
    PairedComparison,
    normal_estimate,
    normal_quantile,
    paired_comparison,
    undefined,
)
from workbench.statistics.samples import FloatArray, checked_sample

DELONG = "DeLong"


@dataclass(frozen=True)
class Placements:
    """DeLong's structural components: for each bad the share of goods it is ranked riskier than, ties as a
    half [bads], and for each good the share of bads it is ranked safer than [goods].
    """

    bads: FloatArray
    goods: FloatArray

    def __sub__(self, other: Placements) -> Placements:
        return Placements(self.bads - other.bads, self.goods - other.goods)

    @property
    def mean(self) -> float:
        """The AUC, or the difference of two."""
        return float(self.bads.mean())

    @property
    def standard_error(self) -> float:
        """DeLong's standard error of `mean`; NaN with a single good or bad."""
        if min(self.bads.size, self.goods.size) < 2:
            return float("nan")
        variance = self.bads.var(ddof=1) / self.bads.size + self.goods.var(ddof=1) / self.goods.size
        return float(np.sqrt(variance))


def auc(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the chance that a random bad has a higher prob_default than a random good, ties as a half.

    1 = ranks perfectly, 0.5 = no better than chance, 0 = ranks backwards. DeLong's variance, with the
    interval built on the log-odds of the AUC, so that it stays inside (0, 1) and covers well near 1. Without
    interval where the ranking is perfect or a class has a single applicant.

    `default`: 0 or 1 [applicants]; `prob_default`: [0, 1] [applicants]. Time O(n log n).

    Raises:
        DataError: lengths that differ, values that are missing or out of range, one class only.

    Reference: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44: 837-845; Pepe (2003), The Statistical
    Evaluation of Medical Tests, section 5.2, for the log-odds.
    """
    sample = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    return _logit_interval(_placements(*sample), level)


def compare_auc(
    default: ArrayLike, champion: ArrayLike, challenger: ArrayLike, *, level: float = 0.95
) -> PairedComparison:
    """Return the challenger's AUC minus the champion's on the same applicants, by paired DeLong.

    Above 0 = the challenger ranks better, 0 = no difference. `default`: 0 or 1 [applicants]; `champion`,
    `challenger`: each model's prob_default [applicants].

    Raises:
        DataError: as `auc`.

    Reference: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44: 837-845.
    """
    models = {"champion": champion, "challenger": challenger}
    bad, old, new = checked_sample(default, probabilities=models, both_classes=True)
    gap = _placements(bad, new) - _placements(bad, old)
    return paired_comparison(gap.mean, gap.standard_error, level=level, method=f"paired {DELONG}")


def rank_correlation(first: FloatArray, second: FloatArray, *, level: float) -> Estimate:
    """Return Spearman's rank correlation of two columns [applicants]; 1 = the same order, 0 = unrelated.

    The interval is normal on Fisher's scale, with variance (1 + r^2 / 2) / (n - 3). Undefined where a column
    has one value, without interval where the order is the same.

    Reference: Bonett and Wright (2000), Psychometrika 65: 23-28.
    """
    from scipy.stats import spearmanr

    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return undefined(level, "all values are equal")
    value = float(spearmanr(first, second).statistic)
    if abs(value) > 1 - 1e-12 or first.size < 4:
        return Estimate(value, None, None, level, "no interval: the same order, or too few applicants")
    margin = normal_quantile(level) * sqrt((1 + value**2 / 2) / (first.size - 3))
    low, high = (tanh(atanh(value) + side * margin) for side in (-1, 1))
    return Estimate(value, low, high, level, "Bonett-Wright")


def _placements(bad: FloatArray, prob: FloatArray) -> Placements:
    bads, goods = prob[bad == 1], prob[bad == 0]
    return Placements(_share_below(bads, goods), 1 - _share_below(goods, bads))


def _share_below(values: FloatArray, others: FloatArray) -> FloatArray:
    ranked = np.sort(others)
    both = np.searchsorted(ranked, values, side="left") + np.searchsorted(ranked, values, side="right")
    return np.asarray(both / (2 * ranked.size))


def _logit_interval(placements: Placements, level: float) -> Estimate:
    area, error = placements.mean, placements.standard_error
    if not 0 < area < 1:
        return Estimate(area, None, None, level, f"no interval: {DELONG} finds no variation")
    logit = normal_estimate(
        log(area / (1 - area)), error / (area * (1 - area)), level=level, method=f"{DELONG} on log-odds"
    )
    low, high = (None if end is None else 1 / (1 + exp(-end)) for end in (logit.low, logit.high))
    return replace(logit, value=area, low=low, high=high)
