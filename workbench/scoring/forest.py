"""A booster taken apart into leaves: what must hold of an applicant for each leaf to be theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import DataError

Singles = NDArray[np.float32]
MOST_CONDITIONS = 10
"""Of one leaf: the tables of reasons have two to that power entries for each."""


@dataclass(frozen=True)
class Leaves:
    """All leaves of a booster, each with the conditions on distinct features that lead to it.

    Leaf l has conditions `first[l]` to `first[l + 1]`. A condition holds of a value v where low <= v < high,
    or where v is missing and `missing` is 1: XGBoost's comparison, in float32. `value` [leaves] is in log-
    odds.
    """

    value: NDArray[np.float64]
    first: NDArray[np.int64]
    feature: NDArray[np.int32]
    low: Singles
    high: Singles
    missing: NDArray[np.uint8]

    @property
    def sizes(self) -> NDArray[np.int64]:
        """How many conditions each leaf has [leaves]."""
        return np.diff(self.first)


@dataclass(frozen=True)
class _Interval:
    low: float = -np.inf  # the float32 number, exactly
    high: float = np.inf
    missing: bool = True


def leaves_of(booster: Any) -> Leaves:
    """Return the leaves of a booster of numeric splits.

    Raises:
        DataError: splits on categories, or a leaf with more than 10 features on its way.
    """
    model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
    trees = model["trees"]
    if any(any(tree["split_type"]) for tree in trees):
        raise DataError("the booster splits on categories; features of the workbench are numbers")
    found = [leaf for tree in trees for leaf in _walk(tree)]
    deepest = max((len(way) for _, way in found), default=0)
    if deepest > MOST_CONDITIONS:
        right = f"at most {MOST_CONDITIONS} is right: lower training.max_depth"
        raise DataError(f"a leaf has {deepest} features on its way", [right])
    conditions = [(feature, one) for _, way in found for feature, one in way.items()]
    return Leaves(
        value=np.array([value for value, _ in found], dtype=np.float64),
        first=np.cumsum([0, *(len(way) for _, way in found)], dtype=np.int64),
        feature=np.array([feature for feature, _ in conditions], dtype=np.int32),
        low=np.array([one.low for _, one in conditions], dtype=np.float32),
        high=np.array([one.high for _, one in conditions], dtype=np.float32),
        missing=np.array([one.missing for _, one in conditions], dtype=np.uint8),
    )


def _walk(tree: Mapping[str, Sequence[Any]]) -> Iterator[tuple[float, dict[int, _Interval]]]:
    """Yield the value of each leaf and its conditions by feature; leaves whose conditions exclude each other
    are nobody's and left out."""
    pending: list[tuple[int, dict[int, _Interval]]] = [(0, {})]
    while pending:
        node, way = pending.pop()
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left == -1:
            if all(one.low < one.high or one.missing for one in way.values()):
                yield float(np.float32(tree["split_conditions"][node])), way
            continue
        feature, threshold = tree["split_indices"][node], float(np.float32(tree["split_conditions"][node]))
        known, to_left = way.get(feature, _Interval()), bool(tree["default_left"][node])
        below = _Interval(known.low, min(known.high, threshold), known.missing and to_left)
        above = _Interval(max(known.low, threshold), known.high, known.missing and not to_left)
        pending += [(right, way | {feature: above}), (left, way | {feature: below})]
