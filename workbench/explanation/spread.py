"""How SHAP values spread over applicants and move with the feature, without any applicant to be seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.explanation.importance import checked_sizes
from workbench.scorer import Floats, model_matrix
from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.estimate import normal_quantile
from workbench.statistics.means import NORMAL_MEAN
from workbench.statistics.samples import IntArray, raise_faults


def beeswarm_table(
    features: pl.DataFrame,
    values: Floats,
    names: Sequence[str],
    *,
    shown: Sequence[str],
    least: int,
    bins: int = 40,
) -> pl.DataFrame:
    """Return how many applicants have which SHAP values of a feature, and how high the feature is for them.

    The bins are equally wide and the same for all features; they reach from the `least`-th smallest to the
    `least`-th largest value of all shown features, and the outermost two hold what lies beyond. `width` =
    applicants / those of the feature's fullest bin. `percentile` = mean over the bin's applicants with a
    known value of the share of the sample with a smaller value, ties as a half: 0.5 = middling.

    Bins of 1 to `least` - 1 applicants show no number; where those of a feature are together fewer than
    `least`, the next smallest lose their count as well, or the first would follow by subtraction. A count
    of the sample: it has no interval.

    Returns one row per bin with anybody: feature, bin, low, high (log-odds), applicants, width, percentile
    (null as well where fewer than `least` have a known value).

    Raises:
        DataError: values that do not fit, names that are not the model's, fewer than 2 bins, least below 1.
    """
    raise_faults("The spread cannot be shown", _faults(features, values, names, shown, bins, least))
    at = [list(names).index(name) for name in shown]
    edges = _inner_edges(values[:, at], bins, least)
    matrix = model_matrix(features, shown)
    return pl.concat(
        _swarm(name, values[:, place], matrix[:, column], edges, least)
        for column, (name, place) in enumerate(zip(shown, at, strict=True))
    )


def dependence_table(
    features: pl.DataFrame,
    values: Floats,
    names: Sequence[str],
    *,
    shown: Sequence[str],
    least: int,
    level: float,
    bins: int = 12,
) -> pl.DataFrame:
    """Return how SHAP values move with a feature: quantile bins of its values, and a bin of the missing.

    `middle` is the median value in the bin; `mean` the mean SHAP value with its normal interval mean_low to
    mean_high, null where all are equal; `low` and `high` the 10th and 90th percentile of the SHAP values, how
    far the effect depends on the other features. Neighbouring bins are joined until each has `least`
    applicants; the missing show no number where they are fewer, and then the smallest bin loses its count.

    Returns feature, bin (null: missing), missing, applicants, middle, mean, mean_low, mean_high, low, high,
    level, method.

    Raises:
        DataError: as `beeswarm_table`.
    """
    raise_faults("The dependence cannot be shown", _faults(features, values, names, shown, bins, least))
    matrix = model_matrix(features, shown)
    table = pl.concat(
        _dependence(name, matrix[:, column], values[:, list(names).index(name)], bins, least, level)
        for column, name in enumerate(shown)
    )
    return table.with_columns(level=pl.lit(level), method=pl.lit(NORMAL_MEAN))


def joined_edges(known: Floats, edges: Floats, least: int) -> Floats:
    """Return those of the inner edges [edges] that leave at least `least` known values in every bin."""
    kept: list[float] = []
    below = 0
    for edge, count in zip(edges, (known[:, None] <= edges).sum(axis=0), strict=True):
        if count - below >= least:
            kept.append(float(edge))
            below = int(count)
    if kept and known.size - below < least:
        kept.pop()
    return np.array(kept)


def hidden_counts(counts: IntArray, least: int) -> NDArray[np.bool_]:
    """Return which counts [cells] of a known total must not be told: those of 1 to `least` - 1, and the next
    smallest until those hidden are together at least `least`.
    """
    order = np.argsort(counts, kind="stable")
    ordered = counts[order]
    before = np.cumsum(ordered) - ordered
    small = (ordered > 0) & (ordered < least)
    hidden = np.zeros(counts.size, dtype=bool)
    hidden[order] = small | ((ordered > 0) & (before < least) & small.any())
    return hidden


def _inner_edges(shown: Floats, bins: int, least: int) -> Floats:
    ordered = np.sort(shown, axis=None)
    end = min(least, ordered.size) - 1
    return np.linspace(ordered[end], ordered[-1 - end], bins + 1)


def _swarm(name: str, shap: Floats, feature: Floats, edges: Floats, least: int) -> pl.DataFrame:
    inside = np.clip(np.searchsorted(edges, shap, side="right") - 1, 0, edges.size - 2)
    known = ~np.isnan(feature)
    bins = edges.size - 1
    counts, knowing = np.bincount(inside, minlength=bins), np.bincount(inside[known], minlength=bins)
    sums = np.bincount(inside[known], _percentiles(feature[known]), bins)
    hidden, some = hidden_counts(counts, least), np.flatnonzero(counts)
    table = pl.DataFrame(
        {
            "feature": [name] * some.size,
            "bin": some + 1,
            "low": edges[some],
            "high": edges[some + 1],
            "applicants": counts[some],
            "width": counts[some] / counts.max(),
            "percentile": sums[some] / np.maximum(knowing[some], 1),
        }
    )
    told, enough = pl.Series(~hidden[some]), pl.Series(knowing[some] >= least)
    return table.with_columns(
        pl.when(told).then("applicants").alias("applicants"),
        pl.when(told).then("width").alias("width"),
        pl.when(enough).then("percentile").alias("percentile"),
    )


def _percentiles(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray((rankdata(values) - 0.5) / max(values.size, 1))


def _dependence(
    name: str, feature: Floats, shap: Floats, bins: int, least: int, level: float
) -> pl.DataFrame:
    known = feature[~np.isnan(feature)]
    edges = joined_edges(known, quantile_edges(known, bins), least) if known.size else np.empty(0)
    z, shap_value = normal_quantile(level), pl.col("shap")
    varies = shap_value.max() > shap_value.min()
    half = pl.when(varies).then(z * shap_value.std() / pl.len().sqrt())
    table = (
        pl.DataFrame({"bin": bin_index(feature, edges) + 1, "value": feature, "shap": shap})
        .group_by("bin")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            pl.col("value").median().fill_nan(None).alias("middle"),
            shap_value.mean().alias("mean"),
            (shap_value.mean() - half).alias("mean_low"),
            (shap_value.mean() + half).alias("mean_high"),
            shap_value.quantile(0.1, "linear").alias("low"),
            shap_value.quantile(0.9, "linear").alias("high"),
        )
        .sort("bin")
    )
    enough, told = pl.col("applicants") >= least, ~hidden_counts(table["applicants"].to_numpy(), least)
    missing = pl.col("bin") == edges.size + 2
    numbers = ("middle", "mean", "mean_low", "mean_high", "low", "high")
    return table.select(
        pl.lit(name).alias("feature"),
        pl.when(~missing).then("bin").alias("bin"),
        missing.alias("missing"),
        pl.when(pl.Series(told)).then("applicants").alias("applicants"),
        *(pl.when(enough).then(number).alias(number) for number in numbers),
    )


def _faults(
    features: pl.DataFrame, values: Floats, names: Sequence[str], shown: Sequence[str], bins: int, least: int
) -> Iterator[str]:
    checked_sizes(values, names)
    if features.height != len(values):
        yield f"{features.height:,} rows of features for {len(values):,} of values"
    for name in shown:
        if name not in names:
            yield f"the values have no feature {name!r}{near_name(name, names)}"
        elif name not in features.columns:
            yield f"the table has no feature {name!r}{near_name(name, features.columns)}"
    if not shown:
        yield "no feature is to be shown; at least 1 is needed"
    if bins < 2:
        yield f"{bins} bins asked for; at least 2 are needed"
    if least < 1:
        yield f"least is {least}; at least 1 is needed"
