"""Global importance: how much each feature, and each pair of features, moves the log-odds of default."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.scorer import Floats
from workbench.statistics.bootstrap import multinomial_replicates, percentile_estimate
from workbench.statistics.estimate import Estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.ranking import rank_correlation
from workbench.statistics.samples import raise_faults

CELLS = 2_000
"""Most cells the bootstrap works on, each with as many applicants drawn at random; up to here exact."""


def importance_table(
    values: Floats, names: Sequence[str], *, level: float, replicates: int = 1_000, seed: int
) -> pl.DataFrame:
    """Return how much each feature moves the log-odds of default, with intervals of size, share and rank.

    importance = mean |SHAP value| over applicants; 0 = never moves anyone. share = importance / the sum over
    features. rank = 1 + features that are more important; equal ones share a rank. All intervals are
    percentiles of one bootstrap over applicants (`replicated_means`); the booster is taken as given. Without
    interval where a feature's |values| are all equal, as those of a feature that is not used.

    `values`: SHAP values [applicants, features]. Returns, the most important first: feature, importance, low,
    high, share, share_low, share_high, rank, rank_low, rank_high, applicants, level, method.

    Raises:
        DataError: no applicants, names that do not fit, values that are missing or infinite.

    Reference: Lundberg et al. (2020), Nature Machine Intelligence 2: 56-67, on mean |SHAP|; Goldstein and
    Spiegelhalter (1996), JRSS A 159: 385-443, on intervals of ranks.
    """
    size = checked_sizes(values, names)
    mean = size.mean(axis=0)
    drawn = replicated_means(size, replicates=replicates, seed=seed)
    varies = np.ptp(size, axis=0) > 0
    method = bootstrap_method(len(size), replicates)
    sizes = _estimates(mean, drawn, varies, level, method)
    shares = _estimates(shares_of(mean), shares_of(drawn), varies, level, method)
    low, high = rank_bounds(drawn, level=level)
    return pl.DataFrame(
        {
            "feature": list(names),
            "importance": mean,
            **_interval("", sizes),
            "share": pl.Series([share.value for share in shares], dtype=pl.Float64),
            **_interval("share_", shares),
            "rank": ranks_of(mean),
            "rank_low": low,
            "rank_high": high,
            "applicants": [len(size)] * len(names),
            "level": [level] * len(names),
            "method": [estimate.method for estimate in sizes],
        }
    ).sort("importance", "feature", descending=[True, False])


def interaction_table(
    values: Floats,
    pairs: Sequence[tuple[str, str]],
    alone: Floats,
    *,
    level: float,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return how much each pair of features moves the log-odds of default together, beyond each alone.

    interaction = mean |SHAP interaction value| over applicants, one half of what the two do together; 0 =
    they add up. share = 2 x interaction / the sum over features of mean |alone| and over all pairs given of
    2 x interaction; 1 = nothing is alone. Bootstrap as in `importance_table`.

    `values` [applicants, pairs]; `alone` [applicants, features]: what is left of each feature's SHAP values
    without its interactions. Returns, the largest first: feature, with_feature, interaction, low, high,
    share, share_low, share_high, applicants, level, method.

    Raises:
        DataError: as `importance_table`, or other applicants in `alone`.
    """
    size = checked_sizes(values, [f"{first} and {second}" for first, second in pairs])
    rest = checked_sizes(alone, range(np.shape(alone)[-1]))
    other = f"{len(size):,} applicants of the pairs, {len(rest):,} of the features alone"
    raise_faults("The interactions cannot be measured", [other] if len(size) != len(rest) else [])
    both = np.hstack([2 * size, rest])
    drawn = replicated_means(both, replicates=replicates, seed=seed)
    varies, method, count = np.ptp(size, axis=0) > 0, bootstrap_method(len(size), replicates), len(pairs)
    sizes = _estimates(size.mean(axis=0), drawn[:, :count] / 2, varies, level, method)
    parts = shares_of(both.mean(axis=0))[:count], shares_of(drawn)[:, :count]
    shares = _estimates(*parts, varies, level, method)
    return pl.DataFrame(
        {
            "feature": pl.Series([first for first, _ in pairs], dtype=pl.String),
            "with_feature": pl.Series([second for _, second in pairs], dtype=pl.String),
            "interaction": size.mean(axis=0),
            **_interval("", sizes),
            "share": pl.Series([share.value for share in shares], dtype=pl.Float64),
            **_interval("share_", shares),
            "applicants": [len(size)] * count,
            "level": [level] * count,
            "method": [estimate.method for estimate in sizes],
        }
    ).sort("interaction", "feature", "with_feature", descending=[True, False, False])


def scorecard_comparison(
    points: pl.DataFrame, importance: pl.DataFrame, directions: Mapping[str, int | None]
) -> pl.DataFrame:
    """Return what the scorecard's points rest on beside what the champion rests on.

    The scorecard's importance of a characteristic = mean over the development sample's applicants of
    |points - their mean|; shares add up to 1 in each model, and a feature that a model does not have has 0.
    A direction is that of the log-odds of default as the value rises: +1 up, -1 down, 0 both ways; of the
    scorecard that of minus its points from the lowest attribute to the highest, special and missing apart.

    `points`: the artifact training/scorecard; `importance`: of `importance_table`; `directions`: feature ->
    direction that the champion shows, None where flat (`shown_directions`). Returns, the most important for
    the champion first and without what neither uses: feature, mean_points (null where not in the scorecard),
    scorecard_share, scorecard_rank, champion_share, champion_rank, rank_gap (champion - scorecard; below 0 =
    matters more to the champion), scorecard_direction, champion_direction, same_direction (null where one
    shows none).
    """
    weight, points_of = pl.col("applicants"), pl.col("points")
    mean = (points_of * weight).sum() / weight.sum()
    valued = ~pl.col("attribute").is_in(["Special", "Missing"])
    rises = points_of.filter(valued).diff().drop_nulls()
    card = points.group_by("characteristic", maintain_order=True).agg(
        (((points_of - mean).abs() * weight).sum() / weight.sum()).alias("mean_points"),
        _direction((rises < 0).any(), (rises > 0).any()).alias("scorecard_direction"),
    )
    shown = pl.DataFrame(
        {"feature": list(directions), "champion_direction": list(directions.values())},
        schema={"feature": pl.String, "champion_direction": pl.Int64},
    )
    table = importance.select("feature", champion_share="share").join(
        card.rename({"characteristic": "feature"}), on="feature", how="full", coalesce=True
    )
    size = pl.col("mean_points").fill_null(0.0)
    shares = {"scorecard_share": size / size.sum(), "champion_share": pl.col("champion_share").fill_null(0.0)}
    ranked = table.with_columns(**shares).with_columns(
        pl.col(f"{model}_share").rank("min", descending=True).cast(pl.Int64).alias(f"{model}_rank")
        for model in ("scorecard", "champion")
    )
    one, other = pl.col("scorecard_direction"), pl.col("champion_direction")
    same = pl.when((one != 0) & (other != 0)).then(one == other)
    used = (pl.col("champion_share") > 0) | (pl.col("scorecard_share") > 0)
    joined = ranked.join(shown, on="feature", how="left").filter(used)
    return joined.sort("champion_rank", "scorecard_rank", "feature").select(
        *("feature", "mean_points", "scorecard_share", "scorecard_rank", "champion_share", "champion_rank"),
        (pl.col("champion_rank") - pl.col("scorecard_rank")).alias("rank_gap"),
        *("scorecard_direction", "champion_direction"),
        same.alias("same_direction"),
    )


def scorecard_agreement(comparison: pl.DataFrame, *, level: float) -> dict[str, Estimate]:
    """Return how far the champion and the scorecard agree, from the table of `scorecard_comparison`.

    rank_correlation: Spearman's, of the two shares over the features that either uses; 1 = the same order,
    0 = unrelated. same_direction: share of the features with a direction in both that have the same (Wilson).
    """
    shares = (comparison[f"{model}_share"].to_numpy() for model in ("scorecard", "champion"))
    judged = comparison["same_direction"].drop_nulls()
    return {
        "rank_correlation": rank_correlation(*shares, level=level),
        "same_direction": wilson(int(judged.sum()), judged.len(), level=level),
    }


def replicated_means(size: Floats, *, replicates: int, seed: int) -> Floats:
    """Return the column means of `size` [applicants, columns] in each resample [replicates, columns].

    Up to 2,000 applicants each is a cell; above it a cell is a random group of them, all of about the same
    number, and whole cells are resampled. The means of cells have the covariance and the skewness that the
    mean over all needs, and the cost is no longer that of applicants x replicates.

    Reference: Efron (1979), Annals of Statistics 7: 1-26.
    """
    generator = np.random.default_rng(seed)
    cells = min(len(size), CELLS)
    cell = np.arange(len(size)) % cells
    if len(size) > cells:
        generator.shuffle(cell)
    sums = np.stack([np.bincount(cell, column, cells) for column in size.T], axis=1)
    weights = multinomial_replicates(np.ones(cells), replicates=replicates, seed=generator)
    means: Floats = (weights @ sums) / (weights @ np.bincount(cell, minlength=cells))[:, None]
    return means


def bootstrap_method(applicants: int, replicates: int) -> str:
    """Return how `replicated_means` resamples so many applicants."""
    what = "applicants" if applicants <= CELLS else f"{CELLS:,} random cells of applicants"
    return f"bootstrap over {what}, {replicates:,} replicates"


def checked_sizes(values: ArrayLike, names: Sequence[Any]) -> Floats:
    """Return |values| [applicants, features]; DataError tells everything that is wrong with them."""
    found = np.asarray(values, dtype=np.float64)
    raise_faults("The values cannot be measured", _value_faults(found, len(names)))
    return np.abs(found)


def shares_of(sizes: Floats) -> Floats:
    """Return each size's share of the sum along the last axis; NaN where all are 0."""
    total = sizes.sum(axis=-1, keepdims=True)
    shares: Floats = np.divide(sizes, total, out=np.full(sizes.shape, np.nan), where=total > 0)
    return shares


def ranks_of(sizes: Floats) -> NDArray[np.int64]:
    """Return 1 + how many are larger, along the last axis: 1 = the largest, equal ones share a rank."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(-sizes, method="min", axis=-1), dtype=np.int64)


def rank_bounds(drawn: Floats, *, level: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the percentile interval of each column's rank in the replicates [replicates, features]."""
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(ranks_of(drawn), ends, axis=0, method="inverted_cdf")
    return low, high


def _direction(up: pl.Expr, down: pl.Expr) -> pl.Expr:
    return pl.when(up & down).then(0).when(up).then(1).when(down).then(-1).cast(pl.Int64)


def _estimates(
    value: Floats, drawn: Floats, varies: NDArray[np.bool_], level: float, method: str
) -> list[Estimate]:
    still = f"no interval: {method}, finds no variation"
    return [
        percentile_estimate(float(one), replicates, level=level, method=method)
        if moves or not np.isfinite(one)
        else Estimate(float(one), None, None, level, still)
        for one, replicates, moves in zip(value, drawn.T, varies, strict=True)
    ]


def _interval(prefix: str, estimates: Sequence[Estimate]) -> dict[str, pl.Series]:
    return {
        f"{prefix}{end}": pl.Series([getattr(estimate, end) for estimate in estimates], dtype=pl.Float64)
        for end in ("low", "high")
    }


def _value_faults(values: Floats, names: int) -> Iterator[str]:
    if values.ndim != 2:
        yield f"the values have {values.ndim} dimensions; 2 are needed: applicants and features"
        return
    if not len(values):
        yield "there are no applicants"
    if values.shape[1] != names:
        yield f"{names} names for {values.shape[1]} columns of values"
    broken = int((~np.isfinite(values)).any(axis=1).sum())
    if broken:
        yield f"values are missing or infinite for {broken:,} of {len(values):,} applicants"
