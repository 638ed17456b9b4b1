"""SHAP values of a booster as the libraries give them: float32 in, batches of rows.

woodelf-explainer works through each tree with all rows at once: a portfolio in seconds, but a second for a
single row. XGBoost goes row by row. Threads do not make woodelf faster (measured: Python's lock is held).
Source: Lundberg, Erion and Lee 2018 (TreeSHAP); Nadel and Wettenstein 2026 (WOODELF).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.scorer import Floats

Device = Literal["cpu", "cuda"]
Singles = NDArray[np.float32]
BATCH_ROWS = 100_000


def single_matrix(features: pl.DataFrame, names: Sequence[str]) -> Singles:
    """Return features as XGBoost compares them [applicants, features]: float32, missing is NaN."""
    single = pl.col(names).cast(pl.Float64).cast(pl.Float32).fill_null(float("nan"))
    matrix: Singles = features.select(single).to_numpy()
    return matrix


def woodelf_values(booster: Any, matrix: Singles, background: Singles | None = None) -> Floats:
    """Return woodelf's SHAP values [rows, features]: path-dependent, or against the rows of a background."""
    explainer = woodelf_explainer(booster, matrix.shape[1], background)
    values = np.empty(matrix.shape)
    # every batch goes through the whole background again, so that a large one wants large batches
    size = BATCH_ROWS if background is None else max(BATCH_ROWS, 2 * len(background))
    for rows in batches(len(matrix), size):
        values[rows] = explainer.shap_values(woodelf_frame(matrix[rows]), verbose=False)
    return values


def xgboost_values(booster: Any, matrix: Singles, *, device: Device = "cpu") -> Floats:
    """Return XGBoost's own path-dependent SHAP values [rows, features]."""
    from xgboost import DMatrix

    values = np.empty(matrix.shape)
    booster = on_device(booster, device)
    for rows in batches(len(matrix), BATCH_ROWS):
        values[rows] = booster.predict(DMatrix(matrix[rows]), pred_contribs=True)[:, :-1]
    return values


def expected_margin(booster: Any, matrix: Singles) -> float:
    """Return the margin that path-dependent values start from, which XGBoost gives alike with any row."""
    from xgboost import DMatrix

    anyone = DMatrix(np.full((1, matrix.shape[1]), np.nan, dtype=np.float32))
    return float(booster.predict(anyone, pred_contribs=True)[0, -1])


def woodelf_explainer(booster: Any, features: int, background: Singles | None = None) -> Any:
    """Return woodelf's explainer with the trees read, so that every batch can use it."""
    from woodelf import WoodelfExplainer
    from woodelf.core.trees.parse_models import load_decision_tree_ensemble_model

    trees = load_decision_tree_ensemble_model(booster, list(range(features)))
    return WoodelfExplainer(trees, None if background is None else woodelf_frame(background))


def woodelf_frame(matrix: Singles) -> Any:
    """Return the pandas frame that makes woodelf take XGBoost's branches.

    XGBoost goes left where value < threshold, in float32. woodelf 0.4.8 compares value < the float32 just
    below the threshold, and so sends a value that is just that to the other side. With every value one
    float32 lower the two agree on all of them.
    """
    import pandas as pd

    return pd.DataFrame(np.nextafter(matrix, np.float32(-np.inf)))


def on_device(booster: Any, device: Device) -> Any:
    """Return the booster, or a copy of it that predicts on the GPU."""
    if device == "cpu":
        return booster
    copy = booster.copy()
    copy.set_param({"device": device})
    return copy


def batches(count: int, size: int) -> Iterator[slice]:
    """Return the rows 0 to count as slices of at most `size`; they do not depend on the machine."""
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
