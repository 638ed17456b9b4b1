"""What the catalogue says about each feature once the data are there: strength, direction, stability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import stats

from workbench.features.catalogue import Feature
from workbench.statistics.bins import (
    bin_index,
    count_bins,
    information_value,
    population_stability_index,
    psi_null_quantile,
    quantile_edges,
)

Floats = NDArray[np.float64]


def describe_features(
    development: pl.DataFrame,
    holdout: pl.DataFrame,
    features: tuple[Feature, ...],
    *,
    bins: int,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the strength, observed direction, missing share and stability of each feature, strongest first.

    Strength and direction come from `development` (features and default); stability compares `holdout` with
    it in bins whose edges are development quantiles. Columns: feature, missing_share, information_value,
    iv_low, iv_high, direction (Spearman's rank correlation with default; above 0 = higher value, higher
    PD), expected (the catalogue's direction), stability (PSI between the samples), stability_noise (what
    chance alone exceeds in 5 of 100 samples).
    """
    rows = [
        _describe(feature, development, holdout, bins=bins, level=level, replicates=replicates, seed=seed)
        for feature in features
    ]
    return pl.DataFrame(rows).sort("information_value", "feature", descending=[True, False])


def varying(
    built: pl.DataFrame, development_ids: pl.Series, features: Sequence[Feature]
) -> tuple[pl.DataFrame, list[str]]:
    """Return the features that take at least two values in development, and the names of those that do not."""
    development = built.filter(pl.col("applicant_id").is_in(development_ids.implode()))
    names = [feature.name for feature in features]
    counts = development.select(pl.col(names).n_unique()).row(0) if names else ()
    constant = [name for name, values in zip(names, counts, strict=True) if values < 2]
    return built.drop(constant), constant


def _describe(
    feature: Feature,
    development: pl.DataFrame,
    holdout: pl.DataFrame,
    *,
    bins: int,
    level: float,
    replicates: int,
    seed: int,
) -> dict[str, Any]:
    values, recent = _values(development, feature.name), _values(holdout, feature.name)
    default = development["default"].to_numpy()
    edges = quantile_edges(values, bins)
    counts, after = count_bins(values, edges), count_bins(recent, edges)
    bads = np.bincount(bin_index(values, edges), weights=default, minlength=counts.size)
    used = counts > 0
    strength = information_value(
        (counts - bads)[used], bads[used], level=level, replicates=replicates, seed=seed
    )
    seen = used | (after > 0)
    shift = population_stability_index(
        counts[seen], after[seen], level=level, replicates=replicates, seed=seed
    )
    noise = psi_null_quantile(counts[used], int(after.sum()), level=0.95, replicates=replicates, seed=seed)
    return {
        "feature": feature.name,
        "missing_share": float(np.isnan(values).mean()),
        "information_value": strength.value,
        "iv_low": strength.low,
        "iv_high": strength.high,
        "direction": _rank_correlation(values, default),
        "expected": feature.monotone,
        "stability": shift.value,
        "stability_noise": noise,
    }


def _values(frame: pl.DataFrame, name: str) -> Floats:
    values: Floats = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values


def _rank_correlation(values: Floats, default: Floats) -> float:
    known = ~np.isnan(values)
    if known.sum() < 3 or np.ptp(values[known]) == 0:
        return 0.0
    return float(stats.spearmanr(values[known], default[known]).statistic)
