"""What a cutoff on the score buys: bads caught by band, and approvals against default rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.proportions import WILSON, wilson_bounds
from workbench.statistics.samples import FloatArray, checked_sample


def gains_table(
    default: ArrayLike, score: ArrayLike, *, bands: int = 10, level: float = 0.95
) -> pl.DataFrame:
    """Return how bads gather in score bands, band 1 the riskiest (lowest scores).

    Lift is the band's default rate over everyone's; 1 = no better than chance, above 1 in the first bands =
    the score finds bads. Bands hold about equal numbers; ties stay together, so there may be fewer.

    `default`: 0 or 1 [applicants]; `score`: higher = safer [applicants]; for a probability pass
    1 - prob_default. Returns columns band, score_above, score_up_to (the band is (above, up to], null at the
    open ends), applicants, defaults, default_rate, low, high (Wilson), level, method,
    cumulative_applicants_share, cumulative_bads_share, cumulative_goods_share, lift, cumulative_lift.

    Raises:
        DataError: lengths that differ, values missing or infinite, one class only, fewer than two bands.
    """
    bad, points = checked_sample(default, scores={"score": score}, both_classes=True)
    edges = quantile_edges(points, bands)
    band = bin_index(points, edges)
    table = pl.DataFrame(
        {
            "band": np.arange(1, edges.size + 2),
            "score_above": [None, *edges.tolist()],
            "score_up_to": [*edges.tolist(), None],
            "applicants": np.bincount(band, minlength=edges.size + 1),
            "defaults": np.bincount(band, weights=bad, minlength=edges.size + 1).astype(np.int64),
        },
        schema_overrides={"score_above": pl.Float64, "score_up_to": pl.Float64},
    ).filter(pl.col("applicants") > 0)
    return _with_gains(_with_rate(table, level)).with_columns(band=pl.int_range(1, pl.len() + 1))


def cutoff_table(
    default: ArrayLike, score: ArrayLike, *, cutoffs: Sequence[float] | None = None, level: float = 0.95
) -> pl.DataFrame:
    """Return approval rate and default rate among the approved at each cutoff: approve at score >= cutoff.

    `cutoffs`: in any order; None takes every twentieth of the scores. `default` and `score` as in
    `gains_table`; the outcome must be known for everyone, the declined too. Returns, sorted by cutoff,
    columns cutoff, applicants, approved (count), approval_rate, approval_low, approval_high, defaults (among
    the approved), default_rate, low, high (Wilson both; null where no one is approved), goods_declined and
    bads_declined (shares of all goods and of all bads), level, method.

    Raises:
        DataError: as `gains_table`.
    """
    bad, points = checked_sample(default, scores={"score": score}, both_classes=True)
    grid = np.unique(quantile_edges(points, 20) if cutoffs is None else np.asarray(cutoffs, dtype=np.float64))
    approved, defaults = _at_or_above(points, grid), _at_or_above(points[bad == 1], grid)
    approval_low, approval_high = wilson_bounds(approved, np.full(grid.size, bad.size), level=level)
    low, high = wilson_bounds(defaults, approved, level=level)
    bads = bad.sum()
    return pl.DataFrame(
        {
            "cutoff": grid,
            "applicants": np.full(grid.size, bad.size),
            "approved": approved,
            "approval_rate": approved / bad.size,
            "approval_low": approval_low,
            "approval_high": approval_high,
            "defaults": defaults,
            "default_rate": np.divide(defaults, approved, out=np.full(grid.size, np.nan), where=approved > 0),
            "low": low,
            "high": high,
            "goods_declined": 1 - (approved - defaults) / (bad.size - bads),
            "bads_declined": 1 - defaults / bads,
        },
        nan_to_null=True,
    ).with_columns(level=pl.lit(level), method=pl.lit(WILSON))


def _with_rate(table: pl.DataFrame, level: float) -> pl.DataFrame:
    low, high = wilson_bounds(table["defaults"], table["applicants"], level=level)
    return table.with_columns(
        default_rate=pl.col("defaults") / pl.col("applicants"),
        low=pl.Series(low),
        high=pl.Series(high),
        level=pl.lit(level),
        method=pl.lit(WILSON),
    )


def _with_gains(table: pl.DataFrame) -> pl.DataFrame:
    applicants, defaults = pl.col("applicants"), pl.col("defaults")
    goods = applicants - defaults
    overall = defaults.sum() / applicants.sum()
    return table.with_columns(
        cumulative_applicants_share=applicants.cum_sum() / applicants.sum(),
        cumulative_bads_share=defaults.cum_sum() / defaults.sum(),
        cumulative_goods_share=goods.cum_sum() / goods.sum(),
        lift=pl.col("default_rate") / overall,
        cumulative_lift=defaults.cum_sum() / applicants.cum_sum() / overall,
    )


def _at_or_above(points: FloatArray, cutoffs: FloatArray) -> np.ndarray:
    return points.size - np.searchsorted(np.sort(points), cutoffs, side="left")
