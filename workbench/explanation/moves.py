"""What a person could change: the values that a feature may take, and the rules that a change must keep."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from workbench.scorer import Floats, Scorer
from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.samples import IntArray

Bools = NDArray[np.bool_]
STEPS_PER_SPREAD = 100
"""A value is rounded to the power of ten below the feature's spread over this."""
LEAST_KNOWN = 20
"""Development applicants who must have both features before an order between the two is taken for a rule."""
BINS, LEAST_EXPECTED = 10, 5
"""Bins of a feature, and the applicants that chance must put into a cell before its being empty is a rule."""


@dataclass(frozen=True)
class Move:
    """Where one feature may go: the first round value past each of the booster's thresholds, in range.

    `values` [values] rise; `upward` and `downward` [values] say from which side each may be reached. `spread`
    is the unit of the cost.
    """

    column: int
    values: Floats
    upward: Bools
    downward: Bools
    spread: float

    def options(self, own: Floats) -> Floats:
        """Return what each applicant's own value [applicants] may become [applicants, values], else NaN.

        What is missing stays missing.
        """
        rises = (self.values > own[:, None]) & self.upward
        falls = (self.values < own[:, None]) & self.downward
        return np.where(rises | falls, self.values, np.nan)


def feature_moves(scorer: Scorer, seen: Floats, actionable: Mapping[str, int]) -> tuple[Move, ...]:
    """Return the moves of the actionable features that can go anywhere, in the scorer's order.

    `seen`: the development sample [applicants, features]; `actionable`: feature -> +1 may rise, -1 may fall,
    0 both. Values lie in the range seen, are whole where all that is seen is, and else a multiple of a power
    of ten of at most a hundredth of the spread: the interquartile range, the standard deviation where that is
    0. A feature on which no tree splits cannot move: it changes nothing.
    """
    thresholds = _thresholds(scorer)
    moves = (
        _move(column, seen[~np.isnan(seen[:, column]), column], thresholds[column], actionable[name])
        for column, name in enumerate(scorer.features)
        if name in actionable and column in thresholds
    )
    return tuple(move for move in moves if move.values.size)


@dataclass(frozen=True)
class Rules:
    """What everyone in development keeps to, so that a change that breaks it could not be had.

    `orders`: pairs of columns (low, high) of one unit with low <= high for everyone who has both: a mean
    under the most, 90 days within 365. `unseen`: for pairs of columns the cells [bins, bins] that nobody is
    in although chance would have put at least 5 applicants there: never late, and late last month. `edges`:
    of each column's bins.
    """

    orders: tuple[tuple[int, int], ...]
    edges: Mapping[int, Floats]
    unseen: Mapping[tuple[int, int], Bools]

    def broken(self, rows: Floats) -> Bools:
        """Return which rules each of the rows [rows, features] breaks [rows, rules]."""
        bins = {column: bin_index(rows[:, column], edges) for column, edges in self.edges.items()}
        found = np.zeros((len(rows), len(self.orders) + len(self.unseen)), bool)
        for place, (low, high) in enumerate(self.orders):
            found[:, place] = rows[:, low] > rows[:, high]
        for place, ((one, other), empty) in enumerate(self.unseen.items(), len(self.orders)):
            found[:, place] = empty[bins[one], bins[other]]
        return found


def kept_rules(seen: Floats, units: Sequence[str | None], moves: Sequence[Move]) -> Rules:
    """Return the rules that `seen`, the development sample, keeps of features at least one of which moves.

    `seen`: [applicants, features]; `units`: of each column [features], None for unknown; there is no order
    between different units.
    """
    moving = {move.column for move in moves}
    orders = tuple(
        (low, high)
        for low, high in product(range(seen.shape[1]), repeat=2)
        if low != high
        and moving & {low, high}
        and units[low] is not None
        and units[low] == units[high]
        and _is_kept(seen[:, low], seen[:, high])
    )
    known = [column for column in range(seen.shape[1]) if not np.isnan(seen[:, column]).all()]
    edges = {column: quantile_edges(seen[:, column], BINS) for column in known}
    bins = {column: bin_index(seen[:, column], cuts) for column, cuts in edges.items()}
    tables = {
        pair: _unseen(bins[pair[0]], bins[pair[1]]) for pair in combinations(known, 2) if moving & set(pair)
    }
    return Rules(orders, edges, {pair: empty for pair, empty in tables.items() if empty.any()})


def _is_kept(low: Floats, high: Floats) -> bool:
    known = ~np.isnan(low) & ~np.isnan(high)
    return bool(known.sum() >= LEAST_KNOWN and np.all(low[known] <= high[known]))


def _unseen(one: IntArray, other: IntArray) -> Bools:
    """Return the cells [bins, bins] without anybody in which chance would have put enough."""
    shape = (BINS + 2, BINS + 2)
    counts = np.bincount(np.ravel_multi_index((one, other), shape), minlength=shape[0] * shape[1])
    counts = counts.reshape(shape)
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    return np.asarray((counts == 0) & (expected >= LEAST_EXPECTED))


def _move(column: int, known: Floats, thresholds: Floats, direction: int) -> Move:
    if not known.size:
        return Move(column, np.empty(0), np.empty(0, bool), np.empty(0, bool), 1.0)
    least, lower, upper, most = np.quantile(known, [0, 0.25, 0.75, 1])
    spread = float(upper - lower if upper > lower else known.std()) or 1.0
    exponent = int(np.floor(np.log10(spread / STEPS_PER_SPREAD)))
    if np.all(known == np.round(known)):
        exponent = max(exponent, 0)
    above = np.ceil(thresholds / 10.0**exponent)  # in steps: the first at or past the threshold
    up, down = (np.round(steps * 10.0**exponent, -min(exponent, 0)) for steps in (above, above - 1))
    values = np.union1d(up, down)
    values = values[(values >= least) & (values <= most)]
    upward, downward = np.isin(values, up) & (direction >= 0), np.isin(values, down) & (direction <= 0)
    return Move(column, values, upward, downward, spread)


def _thresholds(scorer: Scorer) -> dict[int, Floats]:
    """Return the values at which the booster's trees split each column; a value below goes to the left."""
    model = json.loads(bytes(scorer.booster.save_raw("json")))
    found: dict[int, set[float]] = {}
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        splits = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
        for left, column, threshold in splits:
            if left != -1:
                found.setdefault(column, set()).add(threshold)
    return {column: np.sort(np.array(list(cuts))) for column, cuts in found.items()}
