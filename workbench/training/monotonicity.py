"""Monotonicity, verified on the trained model: swept over its own thresholds and proved on its trees."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.scorer import Floats
from workbench.statistics.samples import raise_faults

ROUNDING = 1e-5
"""Log-odds by which sums of single-precision leaves may differ; less is no violation."""
ROWS_AT_ONCE = 200_000
PAIRS_AT_ONCE = 4_000_000


def verify_monotone(
    predict_margin: Callable[[Floats], Floats],
    features: Floats,
    *,
    names: Sequence[str],
    monotone: Sequence[int],
    rows: int,
    points: int,
    seed: int,
    grids: Mapping[str, Floats] | None = None,
) -> pl.DataFrame:
    """Sweep each constrained feature over a grid while an applicant's others stay, and count the wrong steps.

    `predict_margin` turns features [applicants, features] into log-odds of default [applicants], for a model
    of any kind; `monotone` holds +1 "higher value, higher PD", -1 or 0 for each of `names`. Seen by `rows`
    applicants drawn from `features` and a grid of the feature's known values: at most `points` quantiles, or
    `grids[name]` where given. A missing value has no place in the order, so the step to it is not judged.

    Returns one row per constrained feature: feature, constraint, rows (applicants swept), points (of the
    grid; 0 = never known), violations (steps against the constraint by more than 1e-5 log-odds), worst
    (largest fall against it between any two points, log-odds; 0 = none), holds (no such fall above 1e-5). A
    count of what was swept, not an estimate: it has no interval. Time: rows x points x features predictions.

    Raises:
        DataError: names or constraints that do not fit the features, fewer than 1 row or 2 points.
    """
    raise_faults("Monotonicity cannot be verified", _faults(features, names, monotone, rows, points))
    generator = np.random.default_rng(seed)
    drawn = np.sort(generator.choice(features.shape[0], min(rows, features.shape[0]), replace=False))
    found = []
    for at, (name, direction) in enumerate(zip(names, monotone, strict=True)):
        if direction:
            grid = (grids or {}).get(name, _quantiles(features[:, at], points))
            swept = direction * _swept(predict_margin, features[drawn], at, grid)
            found.append((name, int(np.sign(direction)), drawn.size, grid.size, *_falls(swept)))
    return pl.DataFrame(found, schema=_COLUMNS, orient="row")


def verify_booster(
    booster: Any, features: Floats, *, names: Sequence[str], monotone: Sequence[int], rows: int, seed: int
) -> pl.DataFrame:
    """Verify an XGBoost booster on all of its thresholds, and prove each of its trees.

    A booster is constant between two thresholds of a feature, so the sweep of `verify_monotone` over one
    point in every such piece leaves out nothing for the applicants drawn. `proved` goes beyond them: no tree
    has two leaves that differ only in the feature and stand in the wrong order, for any applicant that could
    be. Then the sum is monotone too; not proved is no violation, since trees can make up for each other.

    Returns the columns of `verify_monotone` (points 0: no tree splits on the feature) and proved. Errors as
    there. Trees only (gbtree, numerical features).
    """
    from xgboost import DMatrix

    raise_faults("Monotonicity cannot be verified", _faults(features, names, monotone, rows, points=2))
    leaves = [_leaves(tree, len(names)) for tree in _trees(booster)]
    grids = {name: _pieces(leaves, at) for at, name in enumerate(names)}

    def margin(matrix: Floats) -> Floats:
        data = DMatrix(matrix, feature_names=booster.feature_names)
        return np.asarray(booster.predict(data, output_margin=True), dtype=np.float64)

    table = verify_monotone(
        margin, features, names=names, monotone=monotone, rows=rows, points=2, seed=seed, grids=grids
    )
    wrong = _unproved(leaves, np.asarray(monotone))
    proved = [not wrong[at] for at, direction in enumerate(monotone) if direction]
    return table.with_columns(proved=pl.Series(proved, dtype=pl.Boolean))


@dataclass(frozen=True)
class _Leaves:
    """The leaves of a tree: each takes applicants with low <= value < high [leaves, features], or missing."""

    value: Floats
    low: Floats
    high: Floats
    missing: NDArray[np.bool_]


def _trees(booster: Any) -> list[Mapping[str, Any]]:
    model = json.loads(bytes(booster.save_raw("json")))
    trees: list[Mapping[str, Any]] = model["learner"]["gradient_booster"]["model"]["trees"]
    return trees


def _leaves(tree: Mapping[str, Any], features: int) -> _Leaves:
    low, high = np.full(features, -np.inf), np.full(features, np.inf)
    found = list(_walk(tree, 0, low, high, np.ones(features, dtype=bool)))
    return _Leaves(*(np.array(column) for column in zip(*found, strict=True)))


def _walk(
    tree: Mapping[str, Any], node: int, low: Floats, high: Floats, missing: NDArray[np.bool_]
) -> Iterator[tuple[float, Floats, Floats, NDArray[np.bool_]]]:
    split = float(np.float32(tree["split_conditions"][node]))
    if tree["left_children"][node] == -1:
        yield split, low, high, missing  # of a leaf it is the value
        return
    at, missing_left = tree["split_indices"][node], bool(tree["default_left"][node])
    upto, beyond, aside, along = high.copy(), low.copy(), missing.copy(), missing.copy()
    upto[at], beyond[at] = min(split, high[at]), max(split, low[at])
    along[at] &= missing_left
    aside[at] &= not missing_left
    yield from _walk(tree, tree["left_children"][node], low, upto, along)
    yield from _walk(tree, tree["right_children"][node], beyond, high, aside)


def _pieces(leaves: Sequence[_Leaves], at: int) -> Floats:
    """Return a value below the first threshold of a feature and every threshold; empty without any."""
    ends = np.unique(np.concatenate([leaf.low[:, at] for leaf in leaves] or [np.empty(0)]))
    splits = ends[np.isfinite(ends)]
    below = np.nextafter(splits[:1].astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    return np.concatenate([below, splits])


def _unproved(leaves: Sequence[_Leaves], monotone: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each feature whether a tree has two leaves in the wrong order that differ only in it."""
    wrong = np.zeros(monotone.size, dtype=bool)
    for tree, some in _blocks(leaves):
        below, above = (some, None), (None, slice(None))
        known = tree.low < tree.high
        meet = np.maximum(tree.low[below], tree.low[above]) < np.minimum(tree.high[below], tree.high[above])
        meet |= tree.missing[below] & tree.missing[above]
        apart = (~meet).sum(axis=2, keepdims=True) - ~meet  # of the other features
        stepped = (tree.high[below] <= tree.low[above]) & known[below] & known[above] & (apart == 0)
        rise = (tree.value[above] - tree.value[below])[:, :, None]
        wrong |= (stepped & (rise * monotone < 0)).any(axis=(0, 1))
    return wrong


def _blocks(leaves: Sequence[_Leaves]) -> Iterator[tuple[_Leaves, slice]]:
    """Return every tree with a slice of its leaves, so that pairs x features stay within the memory."""
    for tree in leaves:
        step = max(1, PAIRS_AT_ONCE // tree.low.size)
        yield from ((tree, slice(start, start + step)) for start in range(0, tree.value.size, step))


def _swept(predict_margin: Callable[[Floats], Floats], rows: Floats, at: int, grid: Floats) -> Floats:
    """Return margins [rows, points] as one feature takes the values of the grid."""
    swept = np.empty((rows.shape[0], grid.size))
    step = max(1, ROWS_AT_ONCE // rows.shape[0])
    for start in range(0, grid.size, step):
        values = grid[start : start + step]
        matrix = np.repeat(rows, values.size, axis=0)
        matrix[:, at] = np.tile(values, rows.shape[0])
        swept[:, start : start + step] = predict_margin(matrix).reshape(rows.shape[0], values.size)
    return swept


def _falls(swept: Floats) -> tuple[int, float, bool]:
    """Return the falling steps, the largest fall between any two points, and whether there is none."""
    if swept.shape[1] < 2:
        return 0, 0.0, True
    violations = int((np.diff(swept, axis=1) < -ROUNDING).sum())
    worst = float((np.maximum.accumulate(swept, axis=1) - swept).max())
    return violations, worst, worst <= ROUNDING


def _quantiles(values: Floats, points: int) -> Floats:
    known = values[np.isfinite(values)]
    if not known.size:
        return known
    return np.unique(np.quantile(known, np.linspace(0, 1, points), method="inverted_cdf"))


def _faults(
    features: Floats, names: Sequence[str], monotone: Sequence[int], rows: int, points: int
) -> Iterator[str]:
    width = features.shape[1]
    for what, count in (("names", len(names)), ("constraints", len(monotone))):
        if count != width:
            yield f"{count} {what} for {width} features"
    if not features.shape[0] or rows < 1:
        yield f"{rows} of {features.shape[0]} applicants would be swept; at least 1 is needed"
    if points < 2:
        yield f"points is {points}; a step needs at least 2"


_COLUMNS = {
    **{"feature": pl.String, "constraint": pl.Int64, "rows": pl.Int64, "points": pl.Int64},
    **{"violations": pl.Int64, "worst": pl.Float64, "holds": pl.Boolean},
}
