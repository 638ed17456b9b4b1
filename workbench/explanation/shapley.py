"""SHAP values of the champion's margin for a whole portfolio: log-odds of default, above 0 raises the PD."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.explanation.tree_shap import (
    Device,
    Singles,
    expected_margin,
    single_matrix,
    woodelf_values,
    xgboost_values,
)
from workbench.scorer import Floats, Scorer

Rows = NDArray[np.int64]
ADDITIVITY_TOLERANCE = 1e-3
"""In log-odds, for the sum of a row: some hundred float32 numbers are added."""
DIFFERENCE_TOLERANCE = 1e-4
"""In log-odds, for one value against XGBoost's."""
FEW_ROWS = 2_000
"""Up to here XGBoost's own values are there before woodelf has prepared its trees."""
ROWS_PER_SPLIT = 3


@dataclass(frozen=True)
class Attribution:
    """SHAP values [applicants, features] from the `expected` margin on, and what was checked of them.

    `largest_gap` is the largest |expected + sum of a row - margin|. `largest_difference` is the largest
    |value - XGBoost's| among the rows compared, as found: where it came from a split, the values of all rows
    that touch the split are XGBoost's (`rows_from_xgboost`). No rows are compared where all are XGBoost's,
    nor for interventional values, which XGBoost does not give.
    """

    values: Floats
    expected: float
    method: str
    largest_gap: float
    rows_compared: int = 0
    largest_difference: float = 0.0
    rows_from_xgboost: int = 0


def path_dependent(
    scorer: Scorer, features: pl.DataFrame, *, device: Device = "cpu", check_rows: int = 1_000, seed: int
) -> Attribution:
    """Return path-dependent SHAP values of all rows, compared with XGBoost's own.

    expected + the sum of a row = its margin; 0 is neutral, above 0 raises the PD. What is absent from a
    coalition is averaged over the training rows that reached each node. Computed by woodelf-explainer in
    batches, and compared by `cross_checked`; by XGBoost alone for up to 2,000 rows and on a GPU. Raises
    DataError for a table without rows, for features that are missing, and for values that miss the margin or
    XGBoost's.
    Source: Lundberg, Erion and Lee 2018; Nadel and Wettenstein 2026 (WOODELF).
    """
    margin = _margin(scorer, features)
    matrix = single_matrix(features, scorer.features)
    if device == "cpu" and len(matrix) > FEW_ROWS:
        values = woodelf_values(scorer.booster, matrix)
        return cross_checked(scorer.booster, matrix, values, margin, rows=check_rows, seed=seed)
    values = xgboost_values(scorer.booster, matrix, device=device)
    expected = expected_margin(scorer.booster, matrix)
    gap = _checked_gap(values, expected, margin)
    return Attribution(values, expected, f"XGBoost on {device}", gap, rows_from_xgboost=len(matrix))


def interventional(scorer: Scorer, features: pl.DataFrame, background: pl.DataFrame) -> Attribution:
    """Return SHAP values of all rows against a background of applicants.

    A value is what the feature adds to the log-odds of default compared with the background, whose mean
    margin is `expected`: expected + the sum of a row = its margin. What is absent from a coalition is taken
    from each background row in turn, and all of them count. Raises DataError for tables without rows,
    for features that are missing, and for values that miss the margin.
    Source: Janzing, Minorics and Bloebaum 2020; computed by woodelf-explainer (Nadel and Wettenstein 2026).
    """
    expected = float(_margin(scorer, background, "compare with").mean())
    margin = _margin(scorer, features)
    matrix, reference = (single_matrix(frame, scorer.features) for frame in (features, background))
    values = woodelf_values(scorer.booster, matrix, reference)
    return Attribution(values, expected, "woodelf", _checked_gap(values, expected, margin))


def cross_checked(
    booster: Any, matrix: Singles, values: Floats, margin: Floats, *, rows: int, seed: int
) -> Attribution:
    """Return path-dependent `values` [applicants, features] with XGBoost's own taken where they differ.

    Compared are a seeded draw of `rows` and, for every split of the booster, the first 3 rows with a value
    that touches it: that is, in float32, the threshold or the number just below. Which way a value goes
    depends on the value and the split alone, so where one such row differs by more than 1e-4, all rows that
    touch the same split are taken from XGBoost; so are rows that miss the `margin`. Raises DataError where
    a row differs that touches no split. `matrix` [applicants, features] is the one of `single_matrix`.
    """
    splits, expected = _splits(booster), expected_margin(booster, matrix)
    drawn = np.random.default_rng(seed).choice(len(matrix), min(rows, len(matrix)), replace=False)
    touching = [_first_rows(_touched(matrix, *split)) for split in splits.items()]
    compared = np.unique(np.concatenate([drawn, *touching]))
    own = xgboost_values(booster, matrix[compared])
    apart = np.abs(values[compared] - own).max(axis=1, initial=0.0)
    differing = compared[~(apart <= DIFFERENCE_TOLERANCE)]  # NaN differs too
    wrong = ~(np.abs(values.sum(axis=1) + expected - margin) <= ADDITIVITY_TOLERANCE)
    if len(differing):
        wrong |= _touching_alike(matrix, splits, differing)
    unexplained = int((~wrong[differing]).sum())
    if unexplained:
        raise DataError(
            f"SHAP values differ from XGBoost's by up to {apart.max():.2g} in {unexplained} of "
            f"{len(compared)} rows compared, which touch no split; at most {DIFFERENCE_TOLERANCE:g} is right"
        )
    mended = values
    if wrong.any():
        mended = values.copy()
        mended[wrong] = xgboost_values(booster, matrix[wrong])
    return Attribution(
        mended,
        expected,
        "woodelf, compared with XGBoost",
        _checked_gap(mended, expected, margin),
        rows_compared=len(compared),
        largest_difference=float(apart.max(initial=0.0)),
        rows_from_xgboost=int(wrong.sum()),
    )


def aggregated(
    values: Floats, names: Sequence[str], groups: Mapping[str, str]
) -> tuple[Floats, tuple[str, ...]]:
    """Return SHAP values [applicants, groups] summed over the features of each group, and the groups' names.

    For components that people take as one thing: the levels of a category, windows of time, topics of a
    text. A feature that `groups` does not name stands for itself; groups are in the order of their first
    feature. The sum of a row is kept. Raises DataError where `names` are not those of the values.
    """
    if values.shape[1] != len(names):
        raise DataError(f"{values.shape[1]} columns of SHAP values for {len(names)} features")
    members: dict[str, list[int]] = {}
    for at, name in enumerate(names):
        members.setdefault(groups.get(name, name), []).append(at)
    sums = [values[:, columns].sum(axis=1) for columns in members.values()]
    return np.stack(sums, axis=1) if sums else values, tuple(members)


def _margin(scorer: Scorer, features: pl.DataFrame, purpose: str = "explain") -> Floats:
    if features.height == 0:
        raise DataError(f"there is nobody to {purpose}: the table of features has no rows")
    return scorer.margin(features)


def _splits(booster: Any) -> dict[int, Singles]:
    """Return the values that touch a split of each feature, sorted: thresholds and the numbers just below."""
    model = json.loads(bytes(booster.save_raw("json")))
    found: dict[int, set[float]] = {}
    for tree in model["learner"]["gradient_booster"]["model"]["trees"]:
        nodes = zip(tree["left_children"], tree["split_indices"], tree["split_conditions"], strict=True)
        for left, feature, threshold in nodes:
            if left != -1:
                found.setdefault(feature, set()).add(threshold)
    thresholds = {feature: np.array(sorted(found[feature]), dtype=np.float32) for feature in sorted(found)}
    lowest = np.float32(-np.inf)
    return {
        feature: np.unique(np.concatenate([values, np.nextafter(values, lowest)]))
        for feature, values in thresholds.items()
    }


def _touched(matrix: Singles, feature: int, splits: Singles) -> Rows:
    """Return which of the sorted splits each row's value is; -1 for none."""
    column = matrix[:, feature]
    at = np.searchsorted(splits, column).clip(max=len(splits) - 1)
    return np.where(splits[at] == column, at, -1)


def _first_rows(touched: Rows) -> Rows:
    """Return the first rows that touch each split."""
    rows = np.flatnonzero(touched >= 0)
    rows = rows[np.argsort(touched[rows], kind="stable")]
    splits = touched[rows]
    before = np.arange(len(rows)) - np.searchsorted(splits, splits)
    return rows[before < ROWS_PER_SPLIT]


def _touching_alike(matrix: Singles, splits: Mapping[int, Singles], differing: Rows) -> NDArray[np.bool_]:
    """Return whether each row touches a split that one of the differing rows touches."""
    alike = np.zeros(len(matrix), dtype=bool)
    for feature, points in splits.items():
        touched = _touched(matrix, feature, points)
        alike |= np.isin(touched, np.setdiff1d(touched[differing], [-1]))
    return alike


def _checked_gap(values: Floats, expected: float, margin: Floats) -> float:
    gap = float(np.abs(values.sum(axis=1) + expected - margin).max(initial=0.0))
    if not gap <= ADDITIVITY_TOLERANCE:
        raise DataError(
            f"SHAP values miss the margin by up to {gap:.2g}; at most {ADDITIVITY_TOLERANCE:g} is right"
        )
    return gap
