"""Whether a model can tell a batch from the baseline: a drift that no single feature shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats, model_matrix

MOST_ROWS = 20_000
ROUNDS, DEPTH, RATE = 40, 3, 0.1
LEAST_ROWS = 50


@dataclass(frozen=True)
class TwoSampleTest:
    """How well batch and baseline are told apart on applicants whom the classifier has not seen.

    `auc`: 0.5 = not at all, 1 = always, with the interval `low` to `high`; `p_value` for "both are from one
    distribution"; `leading` are the features that tell most, with their shares of the gain.
    """

    auc: float
    low: float
    high: float
    p_value: float
    rows: int
    leading: pl.DataFrame


def two_sample_test(
    baseline: pl.DataFrame, batch: pl.DataFrame, names: Sequence[str], *, level: float, seed: int
) -> TwoSampleTest:
    """Return the classifier two-sample test of a batch against a baseline, on `names`.

    At most 20,000 applicants are drawn of each, as many of one as of the other. Boosted trees learn on one
    half and are judged on the other, and the other way round; each half's p-value is that of the Mann-Whitney
    statistic (normal, tied values counted), which is exact in that the half had no part in the learning, and
    twice the smaller one is the p-value: valid whatever the dependence of the two. The AUC is their mean; its
    interval takes the larger of their two errors.

    Raises:
        DataError: fewer than 50 applicants on a side.

    Source: Lopez-Paz and Oquab 2017, "Revisiting classifier two-sample tests".
    """
    few = min(baseline.height, batch.height)
    if few < LEAST_ROWS:
        raise DataError(f"{few} applicants on one side of a two-sample test; {LEAST_ROWS} are needed")
    rows = min(few, MOST_ROWS)
    sides = [model_matrix(frame.sample(rows, seed=seed, shuffle=True), names) for frame in (baseline, batch)]
    matrix = np.concatenate(sides).astype(np.float32)
    is_batch = np.repeat([0, 1], rows)
    half = np.tile(np.arange(rows) % 2, 2)
    found, gains = [], np.zeros(len(names))
    for part in (0, 1):
        learned, judged = half == part, half != part
        booster = _learned(matrix[learned], is_batch[learned], seed)
        told: Floats = np.asarray(
            booster.inplace_predict(matrix[judged], predict_type="margin"), dtype=np.float64
        )
        found.append(_mann_whitney(told[is_batch[judged] == 0], told[is_batch[judged] == 1]))
        gains += _gains(booster, len(names))
    value = float(np.mean([auc for auc, _, _ in found]))
    error = max(error for _, error, _ in found)
    margin = NormalDist().inv_cdf((1 + level) / 2) * error
    leading = pl.DataFrame({"name": list(names), "share": gains / max(gains.sum(), 1e-300)})
    return TwoSampleTest(
        auc=value,
        low=max(0.0, value - margin),
        high=min(1.0, value + margin),
        p_value=min(1.0, 2 * min(p_value for _, _, p_value in found)),
        rows=rows,
        leading=leading.sort("share", "name", descending=[True, False]),
    )


def _learned(matrix: NDArray[np.float32], outcome: NDArray[np.int64], seed: int) -> Any:
    from xgboost import QuantileDMatrix, train

    settings = {"objective": "binary:logistic", "max_depth": DEPTH, "eta": RATE, "max_bin": 64, "seed": seed}
    return train(
        settings | {"subsample": 0.7, "colsample_bytree": 0.7},
        QuantileDMatrix(matrix, outcome, max_bin=64),
        ROUNDS,
    )


def _gains(booster: Any, features: int) -> Floats:
    scores = booster.get_score(importance_type="total_gain")
    gains = np.zeros(features)
    for name, gain in scores.items():
        gains[int(name[1:])] = gain
    return gains


def _mann_whitney(first: Floats, second: Floats) -> tuple[float, float, float]:
    """Return the AUC of the second above the first, its standard error without a difference, and the
    p-value."""
    both = np.concatenate([first, second])
    _, place, counts = np.unique(both, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    n, m = len(first), len(second)
    auc = float((ranks[n:].sum() - m * (m + 1) / 2) / (n * m))
    total = n + m
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (total * (total - 1))
    error = sqrt(max(total + 1 - ties, 1e-12) / (12 * n * m))
    return auc, error, NormalDist().cdf(-(auc - 0.5) / error)
