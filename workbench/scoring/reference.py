"""What a feature adds to the log-odds compared with a group of applicants, in microseconds for one applicant.

Which of a leaf's conditions hold is a number of a few bits, for the applicant and for everybody they are
compared with. So all that a leaf can add to anybody's SHAP values is worked out once, and then looked up: the
values are those that woodelf-explainer gives, which needs half a second before the first of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats
from workbench.scoring.forest import MOST_CONDITIONS, Leaves, Singles

BLOCK_ROWS = 128
FEW_ROWS = 8
"""Fewer rows are done one by one, without the patterns of all thresholds."""
_FACTORIALS = np.array([float(factorial(number)) for number in range(MOST_CONDITIONS + 1)])


@dataclass(frozen=True)
class ReferenceCounts:
    """How many of those compared with have each combination of a leaf's conditions: no one's row is in it.

    `count` [combinations] belongs to `leaf` and to the bits `holds` (bit c: the leaf's condition c holds).
    """

    leaf: NDArray[np.int64]
    holds: NDArray[np.int64]
    count: NDArray[np.int64]
    applicants: int


def reference_counts(leaves: Leaves, background: Singles) -> ReferenceCounts:
    """Return the combinations of conditions among a background [applicants, features]; DataError if empty."""
    if not len(background):
        raise DataError("there is nobody to compare with: the background has no rows")
    masks = np.empty((len(background), leaves.value.size), dtype=np.int64)
    _masks(background, *_conditions(leaves), masks)
    found = [np.unique(masks[:, leaf], return_counts=True) for leaf in range(masks.shape[1])]
    sizes = [len(holds) for holds, _ in found]
    return ReferenceCounts(
        leaf=np.repeat(np.arange(masks.shape[1]), sizes),
        holds=np.concatenate([holds for holds, _ in found]) if found else np.empty(0, dtype=np.int64),
        count=np.concatenate([count for _, count in found]) if found else np.empty(0, dtype=np.int64),
        applicants=len(background),
    )


@dataclass(frozen=True)
class Patterns:
    """The conditions by feature, for many rows at a time.

    Feature f has the thresholds `cuts[first_cut[f]:first_cut[f + 1]]`, between them bins, and one more for
    missing. It has a part in the leaves `leaf[first_leaf[f]:first_leaf[f + 1]]`; `bits` says, for each of
    these and each bin, which of the leaf's conditions on the feature holds.
    """

    cuts: Singles
    first_cut: NDArray[np.int64]
    leaf: NDArray[np.int64]
    first_leaf: NDArray[np.int64]
    bits: NDArray[np.uint16]
    first_bit: NDArray[np.int64]


@dataclass(frozen=True)
class Attributor:
    """SHAP values against a background, looked up leaf by leaf.

    A leaf with d conditions, of which the bits `m` hold, adds table[start + c 2^d + m] to the value of the
    feature of its condition c.
    """

    leaves: Leaves
    start: NDArray[np.int64]
    table: Floats
    patterns: Patterns
    features: int

    def values(self, matrix: Singles) -> Floats:
        """Return interventional SHAP values [applicants, features]: log-odds, above 0 raises the PD.

        The sum of a row is its margin less the mean margin of the background. Python's lock is not held, so
        that threads can share the rows.
        """
        values = np.zeros((len(matrix), self.features))
        rows, first = np.ascontiguousarray(matrix, dtype=np.float32), self.leaves.first
        if len(rows) < FEW_ROWS:
            _by_row(rows, *_conditions(self.leaves), self.start, self.table, values)
            return values
        known = self.patterns
        _by_block(
            rows,
            known.cuts,
            known.first_cut,
            known.leaf,
            known.first_leaf,
            known.bits,
            known.first_bit,
            first,
            self.leaves.feature,
            self.start,
            self.table,
            values,
        )
        return values


def attributor(leaves: Leaves, reference: ReferenceCounts, *, features: int) -> Attributor:
    """Return the attributor of a booster's leaves and a background.

    For an applicant x and someone z of the background, a leaf of value v each of whose conditions holds of
    one of them adds v (a - 1)! b! / (a + b)! to each of the a conditions that hold of x alone, and takes v a!
    (b - 1)! / (a + b)! from each of the b that hold of z alone; the table keeps the mean over the background.
    Source: Lundberg et al. 2020, algorithm 3 (interventional TreeSHAP); the sharing of patterns: Nadel and
    Wettenstein 2026 (WOODELF).
    """
    start = _firsts(leaves.sizes << leaves.sizes)
    table = np.zeros(int(start[-1]))
    weight = reference.count / reference.applicants
    _fill(leaves.value, leaves.sizes, start, reference.leaf, reference.holds, weight, _FACTORIALS, table)
    return Attributor(leaves, start, table, _patterns(leaves, features), features)


def _patterns(leaves: Leaves, features: int) -> Patterns:
    owner = np.repeat(np.arange(leaves.value.size), leaves.sizes)
    bit = np.arange(owner.size) - leaves.first[owner]
    cuts, members, bits = [], [], []
    for feature in range(features):
        at = np.flatnonzero(leaves.feature == feature)
        ends = np.unique(np.concatenate([leaves.low[at], leaves.high[at]]))
        cuts.append(ends[np.isfinite(ends)])
        lowest = np.concatenate([[-np.inf], cuts[-1]]).astype(np.float32)  # of each bin
        known = (leaves.low[at, None] <= lowest) & (lowest < leaves.high[at, None])
        holds = np.hstack([known, leaves.missing[at, None] == 1])
        members.append(owner[at])
        bits.append((holds.astype(np.uint16) << bit[at, None].astype(np.uint16)).ravel())
    return Patterns(
        np.concatenate(cuts),
        _firsts([part.size for part in cuts]),
        np.concatenate(members),
        _firsts([part.size for part in members]),
        np.concatenate(bits),
        _firsts([part.size for part in bits]),
    )


def _firsts(sizes: Any) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _conditions(leaves: Leaves) -> tuple[Any, ...]:
    return leaves.first, leaves.feature, leaves.low, leaves.high, leaves.missing


@njit(cache=True, nogil=True, inline="always")
def _mask(row: Any, first: int, last: int, feature: Any, low: Any, high: Any, missing: Any) -> int:
    mask = 0
    for at in range(first, last):
        value = row[feature[at]]
        holds = missing[at] == 1 if np.isnan(value) else low[at] <= value < high[at]
        if holds:
            mask |= 1 << (at - first)
    return mask


@njit(cache=True, nogil=True)
def _masks(matrix: Any, first: Any, feature: Any, low: Any, high: Any, missing: Any, masks: Any) -> None:
    for row in range(matrix.shape[0]):
        for leaf in range(first.size - 1):
            masks[row, leaf] = _mask(matrix[row], first[leaf], first[leaf + 1], feature, low, high, missing)


@njit(cache=True, nogil=True)
def _fill(
    value: Any, sizes: Any, start: Any, leaf: Any, holds: Any, weight: Any, factorials: Any, table: Any
) -> None:
    for at in range(leaf.size):
        one = leaf[at]
        size = sizes[one]
        everything = (1 << size) - 1
        others = holds[at]
        for own in range(everything + 1):
            if own | others != everything:
                continue
            alone, theirs = own & ~others, others & ~own
            a, b = 0, 0
            for bit in range(size):
                a += (alone >> bit) & 1
                b += (theirs >> bit) & 1
            for bit in range(size):
                if (alone >> bit) & 1:
                    share = factorials[a - 1] * factorials[b] / factorials[a + b]
                    table[start[one] + (bit << size) + own] += weight[at] * value[one] * share
                elif (theirs >> bit) & 1:
                    share = factorials[a] * factorials[b - 1] / factorials[a + b]
                    table[start[one] + (bit << size) + own] -= weight[at] * value[one] * share


@njit(cache=True, nogil=True)
def _by_row(
    matrix: Any,
    first: Any,
    feature: Any,
    low: Any,
    high: Any,
    missing: Any,
    start: Any,
    table: Any,
    values: Any,
) -> None:
    for row in range(matrix.shape[0]):
        for leaf in range(first.size - 1):
            begin, size = first[leaf], first[leaf + 1] - first[leaf]
            mask = _mask(matrix[row], begin, first[leaf + 1], feature, low, high, missing)
            for at in range(size):
                values[row, feature[begin + at]] += table[start[leaf] + (at << size) + mask]


@njit(cache=True, nogil=True)
def _by_block(
    matrix: Any,
    cuts: Any,
    first_cut: Any,
    leaf: Any,
    first_leaf: Any,
    bits: Any,
    first_bit: Any,
    first: Any,
    feature: Any,
    start: Any,
    table: Any,
    values: Any,
) -> None:
    masks = np.empty((first.size - 1, BLOCK_ROWS), dtype=np.uint16)
    sums = np.empty((matrix.shape[1], BLOCK_ROWS))
    bins = np.empty(BLOCK_ROWS, dtype=np.int64)
    for begin in range(0, matrix.shape[0], BLOCK_ROWS):
        count = min(BLOCK_ROWS, matrix.shape[0] - begin)
        masks[:] = 0
        sums[:] = 0
        for one in range(matrix.shape[1]):
            lowest, above = first_cut[one], first_cut[one + 1]
            width = above - lowest + 2
            for row in range(count):
                value = matrix[begin + row, one]
                bins[row] = width - 1
                if not np.isnan(value):
                    bins[row] = np.searchsorted(cuts[lowest:above], value, side="right")
            for at in range(first_leaf[one + 1] - first_leaf[one]):
                mine, place = masks[leaf[first_leaf[one] + at]], first_bit[one] + at * width
                for row in range(count):
                    mine[row] |= bits[place + bins[row]]
        for at in range(first.size - 1):
            size, mine = first[at + 1] - first[at], masks[at]
            for condition in range(size):
                place, total = start[at] + (condition << size), sums[feature[first[at] + condition]]
                for row in range(count):
                    total[row] += table[place + mine[row]]
        for row in range(count):
            for one in range(matrix.shape[1]):
                values[begin + row, one] = sums[one, row]
