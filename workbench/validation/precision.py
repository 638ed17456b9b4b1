"""How many of those flagged as risky default: precision and recall, which see rare defaults as they are."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bootstrap import MOST_UNDEFINED, multinomial_replicates
from workbench.statistics.estimate import Estimate, normal_quantile
from workbench.statistics.proportions import WILSON, wilson, wilson_bounds
from workbench.statistics.samples import FloatArray, IntArray, checked_sample

CELLS = 1_000
"""Most cells the bootstrap works on, each with about the same number of bads; below it is exact."""


def precision_recall_table(
    default: ArrayLike, prob_default: ArrayLike, *, points: int = 50, level: float = 0.95
) -> pl.DataFrame:
    """Return precision at thresholds that catch ever more of the bads, riskiest first.

    At each: flagged = applicants with prob_default >= threshold; recall = share of all bads that are flagged;
    precision = default rate among the flagged; 1 = none flagged in vain, everyone's default rate = no better
    than chance. One row for each of `points` even steps of recall, less where ties or few bads make them
    one; the last flags every bad.

    `default`: 0 or 1 [applicants]; `prob_default`: [0, 1] [applicants]. Returns columns threshold, flagged,
    defaults (among the flagged), recall, recall_low, recall_high, precision, low, high (both Wilson), chance
    (the default rate of everyone), level, method.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, one class only.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    threshold, bads, goods = _counts_by_risk(bad, prob)
    caught, flagged = np.cumsum(bads), np.cumsum(bads + goods)
    wanted = np.arange(1, points + 1) / points * bad.sum()
    at = np.unique(np.searchsorted(caught, wanted - 1e-9 * bad.size, side="left"))
    caught, flagged = caught[at], flagged[at]
    recall_low, recall_high = wilson_bounds(caught, np.full(at.size, bad.sum()), level=level)
    low, high = wilson_bounds(caught, flagged, level=level)
    return pl.DataFrame(
        {
            "threshold": threshold[at],
            "flagged": flagged.astype(np.int64),
            "defaults": caught.astype(np.int64),
            "recall": caught / bad.sum(),
            "recall_low": recall_low,
            "recall_high": recall_high,
            "precision": caught / flagged,
            "low": low,
            "high": high,
        }
    ).with_columns(chance=pl.lit(float(bad.mean())), level=pl.lit(level), method=pl.lit(WILSON))


def average_precision(
    default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> Estimate:
    """Return the mean over bads of the default rate among those at least as risky as they are.

    The sum over thresholds of precision x the recall gained there, as scikit-learn's. 1 = every bad before
    every good; everyone's default rate = no better than chance: never compare it between samples whose
    default rates differ. Noise raises it where bads are few. The interval is normal on its log-odds,
    with the spread of replicates by weighted counts over outcome x probability, and its low end takes off
    the bias they show; above 1,000 bads neighbours share a cell.

    Arguments and errors as `precision_recall_table`; `seed` decides the replicates.

    Reference: Boyd, Eng and Page (2013), ECML PKDD, LNCS 8190: 451-466, for the log-odds.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    _, bads, goods = _counts_by_risk(bad, prob)
    value = float(_mean_precision(bads, goods))
    cells = _merged(bads, goods)
    draws = multinomial_replicates(np.concatenate(cells), replicates=replicates, seed=seed)
    drawn = _mean_precision(draws[:, : cells[0].size], draws[:, cells[0].size :])
    method = f"normal on log-odds, bias and spread by bootstrap, {replicates} replicates"
    return _logit_interval(value, float(_mean_precision(*cells)), drawn, level=level, method=method)


def cutoff_precision(
    default: ArrayLike, score: ArrayLike, *, cutoff: float, level: float = 0.95
) -> pl.DataFrame:
    """Return how many of those declined at a cutoff (score < cutoff) are bad, and how many bads that finds.

    precision = default rate among the declined (everyone's default rate = no better than chance), recall =
    share of all bads that are declined, false_alarm = share of all goods that are declined (0 = none; lower
    is better). The outcome must be known for everyone, the declined too.

    `default`: 0 or 1 [applicants]; `score`: higher = safer [applicants]. Returns one row per measure, columns
    measure, count, of (value = count / of), value, low, high (Wilson), level, method; null with the reason
    where no one is declined.

    Raises:
        DataError: lengths that differ, values missing or infinite, one class only.
    """
    bad, points = checked_sample(default, scores={"score": score}, both_classes=True)
    declined = points < cutoff
    found, bads = int(bad[declined].sum()), int(bad.sum())
    wrongly, goods = int(declined.sum()) - found, bad.size - bads
    counts = {
        "precision": (found, found + wrongly),
        "recall": (found, bads),
        "false_alarm": (wrongly, goods),
    }
    rows = [
        {"measure": name, "count": count, "of": of, **vars(wilson(count, of, level=level))}
        for name, (count, of) in counts.items()
    ]
    return pl.DataFrame(rows, schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64))


def _counts_by_risk(bad: FloatArray, prob: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the distinct probabilities, riskiest first, and the bads and goods at each."""
    distinct, cell = np.unique(-prob, return_inverse=True)
    return -distinct, _weighted(cell, bad), _weighted(cell, 1 - bad)


def _merged(bads: FloatArray, goods: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return at most CELLS + 1 cells of counts; joining goods to the next bad in rank changes nothing."""
    before = np.cumsum(bads) - bads
    cell = (before * min(CELLS / bads.sum(), 1.0)).astype(np.int64)
    _, cell = np.unique(cell, return_inverse=True)
    return _weighted(cell, bads), _weighted(cell, goods)


def _weighted(cell: IntArray, weights: FloatArray) -> FloatArray:
    return np.asarray(np.bincount(cell, weights=weights), dtype=np.float64)


def _mean_precision(bads: FloatArray | IntArray, goods: FloatArray | IntArray) -> FloatArray:
    caught, flagged = np.cumsum(bads, axis=-1), np.cumsum(bads + goods, axis=-1)
    precision = caught / np.maximum(flagged, 1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sum(bads * precision, axis=-1) / caught[..., -1])


def _logit_interval(value: float, merged: float, drawn: FloatArray, *, level: float, method: str) -> Estimate:
    """Return the interval on log-odds; the low end takes the bias off that the replicates show."""
    inside = drawn[(drawn > 0) & (drawn < 1)]
    if not 0 < value < 1 or not 0 < merged < 1 or inside.size < (1 - MOST_UNDEFINED) * drawn.size:
        return Estimate(value, None, None, level, f"no interval: {method}, too many are 1 or undefined")
    logits = _log_odds(inside)
    bias = max(float(logits.mean() - _log_odds(merged)), 0.0)
    margin = normal_quantile(level) * float(logits.std())
    ends = _log_odds(value) + np.array([-bias - margin, margin])
    low, high = (1 / (1 + np.exp(-ends))).tolist()
    return Estimate(value, low, high, level, method)


def _log_odds(share: ArrayLike) -> FloatArray:
    values = np.asarray(share, dtype=np.float64)
    return np.asarray(np.log(values) - np.log1p(-values))
