"""Cross-validation folds: who is fitted on and who judges, at random or forward in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.scorer import Floats
from workbench.statistics.samples import IntArray

Predict = Callable[[IntArray, IntArray], Floats]


@dataclass(frozen=True)
class Folds:
    """Pairs of row positions, fitted on and judged; no row judges a model that was fitted on it."""

    pairs: tuple[tuple[IntArray, IntArray], ...]

    @property
    def judged(self) -> IntArray:
        """Positions of the rows that judge in some fold, rising; forward in time the oldest rows never do."""
        return np.sort(np.concatenate([judged for _, judged in self.pairs]))


def make_folds(rows: pl.DataFrame, *, folds: int, forward: bool, seed: int) -> Folds:
    """Return `folds` pairs of fitted and judged rows of the development sample.

    `rows` has applicant_id, default and vintage. At random: every row judges once, defaults are spread
    evenly, and rows of one applicant_id stay together. Forward: months are cut into `folds` + 1 blocks of
    about as many months, and each block but the first is judged by a model of all months before it. Raises
    DataError when there are too few applicants or months, or a block without a good or a default.
    """
    if forward:
        return _checked(_forward(rows["vintage"], folds), rows)
    people = rows.with_row_index("row").group_by("applicant_id").agg(pl.col("row"), pl.col("default").max())
    people = people.sort("applicant_id")
    shuffled = np.random.default_rng(seed).permutation(people.height)
    order = shuffled[np.argsort(people["default"].to_numpy()[shuffled], kind="stable")]
    fold = np.empty(people.height, dtype=np.int64)
    fold[order] = np.arange(people.height) % folds
    of_row = people.with_columns(fold=pl.Series(fold)).explode("row").sort("row")["fold"].to_numpy()
    pairs = [(np.flatnonzero(of_row != k), np.flatnonzero(of_row == k)) for k in range(folds)]
    return _checked(pairs, rows)


def out_of_fold(folds: Folds, rows: int, predict: Predict) -> Floats:
    """Return predictions [rows] of models that never saw the row; NaN where no fold judges it.

    `predict(fitted, judged)` fits on the positions `fitted` and returns its predictions of `judged`.
    """
    predicted = np.full(rows, np.nan)
    for fitted, judged in folds.pairs:
        predicted[judged] = predict(fitted, judged)
    return predicted


def boosted_out_of_fold(
    features: Floats, default: Floats, folds: Folds, *, settings: Mapping[str, Any], rounds: int
) -> Floats:
    """Return out-of-fold PDs [rows] of boosters with these settings, NaN where no fold judges."""
    from xgboost import QuantileDMatrix, train

    def predict(fitted: IntArray, judged: IntArray) -> Floats:
        matrix = QuantileDMatrix(features[fitted], default[fitted])
        booster = train(dict(settings), matrix, num_boost_round=rounds)
        found: Floats = booster.predict(QuantileDMatrix(features[judged], ref=matrix)).astype(np.float64)
        return found

    return out_of_fold(folds, default.size, predict)


def _forward(vintage: pl.Series, folds: int) -> list[tuple[IntArray, IntArray]]:
    months = vintage.unique().sort()
    if months.len() <= folds:
        raise DataError(
            f"{folds} folds forward in time need {folds + 1} months; development has {months.len()}",
            ["set training.cross_validation to random, or take fewer folds"],
        )
    block = np.arange(months.len()) * (folds + 1) // months.len()
    of_row = vintage.replace_strict(dict(zip(months, block.tolist(), strict=True))).to_numpy()
    return [(np.flatnonzero(of_row < k), np.flatnonzero(of_row == k)) for k in range(1, folds + 1)]


def _checked(pairs: list[tuple[IntArray, IntArray]], rows: pl.DataFrame) -> Folds:
    default = rows["default"].to_numpy()
    faults = [
        f"fold {place}: its {which} rows hold {int(default[part].sum()):,} defaults of {part.size:,}"
        for place, pair in enumerate(pairs, 1)
        for which, part in zip(("fitted", "judged"), pair, strict=True)
        if not 0 < default[part].sum() < part.size
    ]
    if faults:
        right = "every part needs at least one good and one default: take fewer folds"
        raise DataError("the development sample is too small for its folds", [*faults, right])
    return Folds(tuple(pairs))
