"""How well the model ranks: AUC, Gini, KS and the curve behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.estimate import (
    Estimate,
    bounded,
    normal_quantile,
)
from workbench.statistics.multiplicity import holm
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import FloatArray, IntArray, checked_sample

__all__ = ["auc", "compare_auc", "gini", "ks", "rival_table", "roc_table"]
KS_CELLS = 2_000
"""Most cells the KS bootstrap works on; neighbouring probabilities share one above it."""
KS_CHUNK = 200
KS_BIAS_SEEN = 2 ** (2 / 3) - 1
"""Share of the bias of a largest gap that its bootstrap shows: near its top the gap is a parabola with
Brownian noise, whose maximum exceeds the top by a multiple of variance^(2/3); a replicate has it twice."""


def gini(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return 2 auc - 1 with the interval of `auc` carried over.

    1 = ranks perfectly, 0 = no better than chance, -1 = ranks backwards. Arguments and errors as `auc`.
    """
    area = auc(default, prob_default, level=level)
    value, low, high = (None if end is None else 2 * end - 1 for end in (area.value, area.low, area.high))
    return replace(area, value=value, low=low, high=high)


def ks(
    default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> Estimate:
    """Return the largest gap between the cumulative shares of bads and of goods, riskiest first.

    1 = separates perfectly, 0 = not at all. Noise raises a maximum, and its replicates' once more, so their
    percentiles miss the truth. So the interval is the value less its bias, +/- z times the standard error of
    the difference of two shares at the point of the largest gap. Replicates show 2^(2/3) - 1 of the bias: the
    low end takes all of it off, the high end only what they show, since it is itself estimated. They come
    from one multinomial over outcome x distinct probability; above 2,000 of these neighbours share a cell.

    Arguments as `auc`. Coverage falls short of `level` below about 300 bads or when the KS is near 0.

    Raises:
        DataError: as `auc`.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    bads, goods = _counts_by_risk(bad, prob)
    caught, flagged = _cumulative_share(bads), _cumulative_share(goods)
    at = int(np.argmax(np.abs(caught - flagged)))
    value = float(abs(caught[at] - flagged[at]))
    variance = sum(p * (1 - p) / n for p, n in ((caught[at], bads.sum()), (flagged[at], goods.sum())))
    bias = _ks_bias(*_merged(bads, goods), replicates=replicates, seed=seed)
    method = f"normal, bias by bootstrap, {replicates} replicates"
    return _ks_interval(value, bias, float(np.sqrt(variance)), level=level, method=method)


def roc_table(default: ArrayLike, prob_default: ArrayLike, *, points: int = 101) -> pl.DataFrame:
    """Return the ROC curve, with default as the event, on a fixed grid: no applicant can be read from it.

    Returns columns goods_flagged (the false positive rate: share of goods at or above a threshold of
    prob_default, an even grid of `points` from 0 to 1) and bads_caught (the true positive rate there: share
    of bads, linear between thresholds). The diagonal is chance. Other arguments as `auc`.

    Raises:
        DataError: as `auc`.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    bads, goods = _counts_by_risk(bad, prob)
    grid = np.linspace(0, 1, points)
    curve = np.interp(grid, np.append(0.0, _cumulative_share(goods)), np.append(0.0, _cumulative_share(bads)))
    return pl.DataFrame({"goods_flagged": grid, "bads_caught": curve})


def _counts_by_risk(bad: FloatArray, prob: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return bads and goods at each distinct probability, riskiest first."""
    _, cell = np.unique(-prob, return_inverse=True)
    return _weighted(cell, bad), _weighted(cell, 1 - bad)


def _merged(bads: FloatArray, goods: FloatArray) -> tuple[FloatArray, FloatArray]:
    if bads.size <= KS_CELLS:
        return bads, goods
    before = np.cumsum(bads + goods) - (bads + goods)
    cell = (before * KS_CELLS / (bads.sum() + goods.sum())).astype(np.int64)
    return _weighted(cell, bads), _weighted(cell, goods)


def _weighted(cell: IntArray, weights: FloatArray) -> FloatArray:
    return np.asarray(np.bincount(cell, weights=weights), dtype=np.float64)


def _ks_bias(bads: FloatArray, goods: FloatArray, *, replicates: int, seed: int) -> float:
    generator, gaps = np.random.default_rng(seed), []
    for start in range(0, replicates, KS_CHUNK):
        size = min(KS_CHUNK, replicates - start)
        draws = multinomial_replicates(np.append(bads, goods), replicates=size, seed=generator)
        gaps.append(_largest_gap(draws[:, : bads.size], draws[:, bads.size :]))
    drawn = np.concatenate(gaps)
    known = drawn[np.isfinite(drawn)]
    return float(known.mean() - _largest_gap(bads, goods)) if known.size else float("nan")


def _ks_interval(value: float, bias: float, error: float, *, level: float, method: str) -> Estimate:
    if not (error > 0 and isfinite(bias)):
        return Estimate(value, None, None, level, f"no interval: {method}, finds no variation")
    margin = normal_quantile(level) * error
    low, high = value - bias / KS_BIAS_SEEN - margin, value - bias + margin
    return bounded(Estimate(value, low, high, level, method), least=0.0, most=1.0)


def _largest_gap(bads: ArrayLike, goods: ArrayLike) -> FloatArray:
    return np.asarray(np.abs(_cumulative_share(bads) - _cumulative_share(goods)).max(axis=-1))


def _cumulative_share(counts: ArrayLike) -> FloatArray:
    running = np.cumsum(np.asarray(counts, dtype=np.float64), axis=-1)
    with np.errstate(invalid="ignore"):
        return np.asarray(running / running[..., -1:])


def rival_table(
    default: ArrayLike, champion: ArrayLike, rivals: Mapping[str, ArrayLike], *, level: float = 0.95
) -> pl.DataFrame:
    """Hold the champion against every rival on the same applicants, the strongest rival first.

    `default`: 0 or 1, `champion` and `rivals`: each model's prob_default, [applicants]. Returns columns
    model, auc, auc_low, auc_high (0.5 = chance), gain, gain_low, gain_high (the champion's AUC minus the
    rival's, paired DeLong; above 0 = the champion ranks better), p_value, p_adjusted (Holm's over the
    rivals), level, method.

    Raises:
        DataError: as `auc`.
    """
    rows = []
    for name, rival in rivals.items():
        area, paired = auc(default, rival, level=level), compare_auc(default, rival, champion, level=level)
        gain = paired.difference
        about = {"model": name, "auc": area.value, "auc_low": area.low, "auc_high": area.high}
        found = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high, "p_value": paired.p_value}
        rows.append({**about, **found, "level": level, "method": gain.method})
    table = pl.DataFrame(
        rows, schema_overrides=dict.fromkeys(("gain_low", "gain_high", "p_value"), pl.Float64)
    )
    adjusted = pl.Series("p_adjusted", holm(table["p_value"]), dtype=pl.Float64)
    return table.insert_column(table.get_column_index("p_value") + 1, adjusted).sort("auc", descending=True)
