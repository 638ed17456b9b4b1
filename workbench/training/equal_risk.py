"""How many can be approved at the risk that the champion takes: a better ranking in approvals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.statistics.bootstrap import multinomial_replicates, percentile_estimate
from workbench.statistics.samples import FloatArray, IntArray, checked_sample, raise_faults

NUMBERS_AT_ONCE = 2_000_000
"""Replicates x applicants that are held at once; it bounds the memory and changes no result."""
CELLS = 2_000
"""Most places at which a replicate may cut a ranking."""
Mask = NDArray[np.bool_]
Weights = NDArray[np.int32]


def equal_risk_approvals(
    default: ArrayLike,
    champion: ArrayLike,
    challengers: Mapping[str, ArrayLike],
    *,
    approval_rate: float,
    parts: Mapping[str, Mask],
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Compare the shares approved by models at the champion's risk; above 0 = the champion approves more.

    The champion approves the safest `approval_rate` of all applicants, equal PDs together. `risk` is the
    observed default rate of those of a part whom it approves; a model's approvals are the largest share of
    the part, its safest first, whose observed default rate is at most that. The same rule holds for the
    champion, so its share can exceed what it approves, and a challenger that ranks alike differs by 0.

    `default`: 0 or 1, `champion` and each of `challengers`: prob_default, and `parts`: membership, all
    [applicants].

    Returns challenger, part, risk, approvals_with (the champion's), approvals_without (the challenger's),
    approvals_gain (with minus without), low, high, level, method; null where the champion approves nobody.
    Percentile interval: every replicate weights the applicants by one multinomial, the same for all models
    and parts, and finds its own cutoff and risk, cutting between 2,000 groups of neighbours where there are
    more applicants. The models are not trained again, so it holds for the models as they are. Time: models x
    `replicates` x applicants.

    Raises:
        DataError: as `auc`, or a rate outside (0, 1), or a part of nobody.
    """
    columns = {"champion": champion, **challengers}
    bad, *probs = checked_sample(default, probabilities=columns, both_classes=True)
    members = [np.asarray(rows, dtype=bool) for rows in parts.values()]
    faults = [*rate_faults(approval_rate), *_part_faults(parts, bad.size)]
    raise_faults("Approvals cannot be compared", faults)
    whole = [np.ones(bad.size, dtype=bool), *members]

    def ranked(most: int) -> list[list[_Cells]]:
        return [[_cells(prob, bad, rows, most) for rows in whole] for prob in probs]

    once = np.ones((bad.size, 1), dtype=np.int32)
    value, coarse = _approvals(once, ranked(bad.size), members, approval_rate), ranked(CELLS)
    weighted = (_approvals(w, coarse, members, approval_rate) for w in _draws(bad, replicates, seed))
    drawn = np.concatenate(list(weighted), axis=-1)
    rows = []
    for place, part in enumerate(parts):
        (risk,), (full,) = value[0, place], value[1, place]
        for number, challenger in enumerate(challengers, 2):
            (other,) = value[number, place]
            gaps = drawn[1, place] - drawn[number, place]
            gain = percentile_estimate(
                full - other, gaps, level=level, method=f"bootstrap, {replicates} replicates"
            )
            interval = (gain.value, gain.low, gain.high, level, gain.method)
            rows.append((challenger, part, risk, full, other, *interval))
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row").with_columns(pl.col(pl.Float64).fill_nan(None))


def rate_faults(approval_rate: float) -> Iterator[str]:
    """Find an approval rate that leaves nobody to approve or to decline."""
    if not 0 < approval_rate < 1:
        yield f"the approval rate is {approval_rate:g}; it lies between 0 and 1"


def _part_faults(parts: Mapping[str, Mask], size: int) -> Iterator[str]:
    for part, rows in parts.items():
        if np.shape(rows) != (size,):
            yield f"the part {part} tells of {np.size(rows)} of {size} applicants"
        elif not np.any(rows):
            yield f"nobody is in the part {part}"


@dataclass(frozen=True)
class _Cells:
    """A part's applicants in `size` cells of rising PD, equal ones together: cell and row of each member."""

    size: int
    cell: IntArray
    rows: IntArray
    bad: FloatArray

    def running(self, weights: Weights) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return applicants and bads up to each cell [cells, replicates]."""
        return self._summed(weights, self.rows >= 0), self._summed(weights, self.bad[self.rows] == 1)

    def within(self, rows: Mask) -> _Cells:
        """Return the same cells with the applicants of a part only."""
        kept = rows[self.rows]
        return _Cells(self.size, self.cell[kept], self.rows[kept], self.bad)

    def _summed(self, weights: Weights, kept: Mask) -> NDArray[Any]:
        from scipy.sparse import csr_array

        place = (self.cell[kept], self.rows[kept])
        ones = np.ones(place[0].size, dtype=np.int32)
        sums = csr_array((ones, place), shape=(self.size, weights.shape[0])) @ weights
        return np.cumsum(sums, axis=0, dtype=np.int32)


def _cells(prob: FloatArray, bad: FloatArray, rows: Mask, most: int) -> _Cells:
    members = np.flatnonzero(rows)
    order = members[np.argsort(prob[members], kind="stable")]
    first = np.searchsorted(prob[order], prob[order])  # of those with an equal PD
    merged, cell = np.unique(first * most // max(order.size, most), return_inverse=True)
    return _Cells(merged.size, cell, order, bad)


def _approvals(
    weights: Weights, models: Sequence[Sequence[_Cells]], members: Sequence[Mask], approval_rate: float
) -> FloatArray:
    """Return [1 + models, parts, replicates]: the champion's risk, then each model's approvals at it.

    `models` holds for each model its cells of everyone, then those of each part.
    """
    everyone = models[0][0]
    counts, _ = everyone.running(weights)
    cutoff = _last_true(counts <= approval_rate * counts[-1] + 1e-9)
    found = np.full((1 + len(models), len(members), weights.shape[1]), np.nan)
    for place, rows in enumerate(members):
        total, bads = (_at(running, cutoff) for running in everyone.within(rows).running(weights))
        found[0, place] = line = _ratio(bads, total)
        for number, cells in enumerate(models, 1):
            found[number, place] = _most_within(line, *cells[1 + place].running(weights))
    return found


def _most_within(line: FloatArray, counts: NDArray[Any], bads: NDArray[Any]) -> FloatArray:
    """Return the largest share whose default rate is at most the line [replicates]."""
    with np.errstate(invalid="ignore"):
        most = _last_true(bads <= line * counts + 1e-9)
    return np.where(np.isnan(line), np.nan, _ratio(_at(counts, most), counts[-1]))


def _draws(bad: FloatArray, replicates: int, seed: int) -> Iterator[Weights]:
    generator, chunk = np.random.default_rng(seed), max(1, NUMBERS_AT_ONCE // bad.size)
    for start in range(0, replicates, chunk):
        count = min(chunk, replicates - start)
        drawn = multinomial_replicates(np.ones(bad.size), replicates=count, seed=generator)
        yield np.ascontiguousarray(drawn.T, dtype=np.int32)


def _last_true(held: Mask) -> IntArray:
    """Return the position of the last true of each replicate, -1 where there is none."""
    return np.where(held.any(axis=0), held.shape[0] - 1 - np.argmax(held[::-1], axis=0), -1)


def _at(running: NDArray[Any], positions: IntArray) -> FloatArray:
    """Return each replicate's running total at a position, 0 before the first."""
    taken = np.take_along_axis(running, np.maximum(positions, 0)[None], axis=0)[0]
    return np.where(positions < 0, 0, taken).astype(np.float64)


def _ratio(above: FloatArray, below: NDArray[Any]) -> FloatArray:
    shares: FloatArray = np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
    return shares


_COLUMNS = {
    **{"challenger": pl.String, "part": pl.String},
    **dict.fromkeys(("risk", "approvals_with", "approvals_without", "approvals_gain"), pl.Float64),
    **{"low": pl.Float64, "high": pl.Float64, "level": pl.Float64, "method": pl.String},
}
