"""SHAP interaction values: what two features add to the log-odds of default together, beyond each alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.explanation.tree_shap import (
    Device,
    Singles,
    batches,
    on_device,
    single_matrix,
    woodelf_explainer,
    woodelf_frame,
)
from workbench.scorer import Floats, Scorer
from workbench.statistics.estimate import normal_quantile

BATCH_ROWS = 20_000  # 60 features have 1,770 pairs: 140 MB a batch
METHOD = "normal interval of a mean over applicants; the booster is taken as given"
Pairs = Mapping[tuple[int, int], Any]


@dataclass(frozen=True)
class Interactions:
    """SHAP interaction values, path-dependent, in log-odds of default.

    `table` has every pair that the booster uses together, the largest first: feature, with_feature,
    interaction (mean |value| over applicants), low, high, method. `values` [applicants, pairs] are those of
    the first `pairs`: one half of what the two do together, as XGBoost and shap give it, so that each of
    both gets its half. `alone` [applicants, features] is what is left of each feature's SHAP value: alone +
    all its interactions = its SHAP value.
    """

    table: pl.DataFrame
    pairs: tuple[tuple[str, str], ...]
    values: Floats
    alone: Floats


def interactions(
    scorer: Scorer,
    features: pl.DataFrame,
    values: Floats,
    *,
    top: int,
    level: float,
    device: Device = "cpu",
) -> Interactions:
    """Return the interactions of all pairs as a table, and the values of the `top` largest pairs.

    `values` [applicants, features] are the path-dependent SHAP values of the same rows. Computed by
    woodelf-explainer in two passes of batches, so that the pairs of one batch alone are in memory; by
    XGBoost on a GPU. 0 is neutral: the two features add up. Raises DataError where the values are not those
    of the rows. Source: Lundberg et al. 2020, "From local explanations to global understanding".
    """
    shape = (features.height, len(scorer.features))
    if values.shape != shape:
        raise DataError(f"SHAP values {list(values.shape)} are not those of {list(shape)} rows and features")
    matrix = single_matrix(features, scorer.features)
    on_gpu = device == "cuda"
    pairs_of = _xgboost_pairs(scorer.booster) if on_gpu else _woodelf_pairs(scorer.booster, shape[1])
    alone = values.copy()

    totals: dict[tuple[int, int], Floats] = {}
    for rows in batches(len(matrix), BATCH_ROWS):
        for pair, found in pairs_of(matrix[rows]).items():
            alone[rows, pair[0]] -= found
            alone[rows, pair[1]] -= found
            size = np.abs(found.astype(float))
            totals[pair] = totals.get(pair, 0) + np.array([size.sum(), (size**2).sum()])
    table = _table(totals, scorer.features, len(matrix), level=level)
    pairs = tuple(table.select("feature", "with_feature").head(top).iter_rows())
    chosen = np.zeros((len(matrix), len(pairs)))
    place = {name: at for at, name in enumerate(scorer.features)}
    for rows in batches(len(matrix), BATCH_ROWS):
        of_pair = pairs_of(matrix[rows])
        for at, (first, second) in enumerate(pairs):
            chosen[rows, at] = of_pair[place[first], place[second]]
    return Interactions(table, pairs, chosen, alone)


def _table(
    totals: Mapping[tuple[int, int], Floats], names: tuple[str, ...], size: int, *, level: float
) -> pl.DataFrame:
    pairs = list(totals)
    sums = np.array([totals[pair] for pair in pairs]).reshape(len(pairs), 2)
    mean = sums[:, 0] / max(size, 1)
    variance = np.maximum(sums[:, 1] - size * mean**2, 0) / max(size - 1, 1)
    half = normal_quantile(level) * np.sqrt(variance / max(size, 1))
    return pl.DataFrame(
        {
            "feature": pl.Series([names[first] for first, _ in pairs], dtype=pl.String),
            "with_feature": pl.Series([names[second] for _, second in pairs], dtype=pl.String),
            "interaction": mean,
            "low": np.maximum(mean - half, 0),
            "high": mean + half,
            "method": pl.Series([METHOD] * len(pairs), dtype=pl.String),
        }
    ).sort("interaction", "feature", "with_feature", descending=[True, False, False])


def _woodelf_pairs(booster: Any, features: int) -> Callable[[Singles], Pairs]:
    explainer = woodelf_explainer(booster, features)

    def pairs_of(matrix: Singles) -> Pairs:
        found = explainer.shap_interaction_values(
            woodelf_frame(matrix),
            include_interaction_with_itself=False,
            as_df=True,
            exclude_zero_contribution_features=True,
            verbose=False,
        )
        return {(first, second): found[first, second].to_numpy() for first, second in found if first < second}

    return pairs_of


def _xgboost_pairs(booster: Any) -> Callable[[Singles], Pairs]:
    from xgboost import DMatrix

    device = on_device(booster, "cuda")

    def pairs_of(matrix: Singles) -> Pairs:
        found = device.predict(DMatrix(matrix), pred_interactions=True)
        upper = zip(*np.triu_indices(matrix.shape[1], k=1), strict=True)
        return {(int(first), int(second)): found[:, first, second] for first, second in upper}

    return pairs_of
