"""SHAP attributions of the champion's margin, in log-odds of default."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import stats

from workbench.errors import DataError
from workbench.scorer import Floats, Scorer, model_matrix

ADDITIVITY_TOLERANCE = 1e-3


def shap_values(scorer: Scorer, features: pl.DataFrame) -> tuple[Floats, float]:
    """Return path-dependent TreeSHAP values [applicants, features] and the expected margin.

    Row by row they add up with the expected margin to the margin; 0 is neutral, above 0 raises the PD.
    The values are XGBoost's own, which shap.TreeExplainer gives as well (tested).
    """
    from xgboost import DMatrix

    matrix = DMatrix(model_matrix(features, scorer.features))
    contributions = np.asarray(scorer.booster.predict(matrix, pred_contribs=True), dtype=float)
    values, expected = contributions[:, :-1], float(contributions[0, -1])
    _check_additive(values.sum(axis=1) + expected, scorer.margin(features))
    return values, expected


def interventional_values(
    scorer: Scorer, features: pl.DataFrame, background: pl.DataFrame
) -> tuple[Floats, float]:
    """Return SHAP values against a background of applicants, and the background's mean margin.

    A value is what the feature adds to the log-odds of default compared with the background applicants.
    Source: Janzing, Minorics and Bloebaum 2020; computed by shap.TreeExplainer.
    """
    import shap

    # XGBoost compares float32 values with its thresholds; float64 ones would take other branches.
    reference = model_matrix(background, scorer.features).astype(np.float32)
    matrix = model_matrix(features, scorer.features).astype(np.float32)
    explainer = shap.TreeExplainer(
        scorer.booster,
        # given a plain array, shap would quietly keep 100 rows of it
        data=shap.maskers.Independent(reference, max_samples=len(reference)),
        feature_perturbation="interventional",
        model_output="raw",
    )
    values = np.asarray(explainer.shap_values(matrix, check_additivity=False), dtype=float)
    expected = float(np.mean(scorer.margin(background)))
    _check_additive(values.sum(axis=1) + expected, scorer.margin(features))
    return values, expected


def importance_table(values: Floats, names: Sequence[str], *, level: float) -> pl.DataFrame:
    """Return feature, importance (mean |SHAP|, log-odds), low, high and share, the largest first.

    The interval is the normal one of a mean over applicants; the booster is taken as given.
    """
    size = np.abs(values)
    mean = size.mean(axis=0)
    half = stats.norm.ppf((1 + level) / 2) * size.std(axis=0, ddof=1) / np.sqrt(len(size))
    return pl.DataFrame(
        {
            "feature": list(names),
            "importance": mean,
            "low": np.maximum(mean - half, 0),
            "high": mean + half,
            "share": mean / mean.sum(),
        }
    ).sort("importance", "feature", descending=[True, False])


def dependence_table(
    features: pl.DataFrame, values: Floats, names: Sequence[str], *, shown: Sequence[str], bins: int = 12
) -> pl.DataFrame:
    """Return how SHAP values move with a feature: feature, bin, applicants, middle, mean, low and high.

    Bins are quantiles of the feature; `middle` is the median value in the bin, `low` and `high` are the 10th
    and 90th percentile of the SHAP values in it, so that no single applicant can be read off.
    """
    return pl.concat(
        [_dependence(features[name], values[:, list(names).index(name)], bins) for name in shown]
    )


def _dependence(column: pl.Series, values: Floats, bins: int) -> pl.DataFrame:
    frame = pl.DataFrame({"value": column, "shap": values}).filter(pl.col("value").is_not_null())
    edges = np.unique(np.quantile(frame["value"].to_numpy(), np.linspace(0, 1, bins + 1)))
    which = np.clip(
        np.searchsorted(edges, frame["value"].to_numpy(), side="right") - 1, 0, max(len(edges) - 2, 0)
    )
    return (
        frame.with_columns(pl.Series("bin", which + 1))
        .group_by("bin")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            pl.col("value").median().alias("middle"),
            pl.col("shap").mean().alias("mean"),
            pl.col("shap").quantile(0.1, "linear").alias("low"),
            pl.col("shap").quantile(0.9, "linear").alias("high"),
        )
        .sort("bin")
        .select(pl.lit(column.name).alias("feature"), pl.all())
    )


def _check_additive(sums: Floats, margins: Floats) -> None:
    gap = float(np.abs(sums - margins).max()) if len(sums) else 0.0
    if gap > ADDITIVITY_TOLERANCE:
        raise DataError(
            f"SHAP values miss the margin by up to {gap:.2g}; at most {ADDITIVITY_TOLERANCE:g} is right"
        )
