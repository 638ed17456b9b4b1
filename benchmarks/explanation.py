"""SHAP values of a portfolio as notebook 05 takes them, against shap.TreeExplainer."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Work

ROWS, FEATURES, ROUNDS, DEPTH = 1_000_000, 60, 300, 4
BACKGROUND, LIBRARY_ROWS = 100_000, 2_000
NAMES = [f"feature_{number}" for number in range(FEATURES)]


def _world(rows: int, seed: int = 1) -> pl.DataFrame:
    """Return applicants: the first third of the features whole numbers, so that many touch a split."""
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(rows, FEATURES))
    values[:, : FEATURES // 3] = np.round(2 * values[:, : FEATURES // 3])
    values[generator.random(values.shape) < 0.05] = np.nan
    return pl.DataFrame(values, schema=NAMES).fill_nan(None)


@cache
def _scorer() -> Any:
    from workbench.explanation.tree_shap import single_matrix
    from workbench.scorer import Calibration, Scorer, ScoreScale
    from workbench.training.boosting import booster_settings, train_champion

    matrix = single_matrix(_world(20_000), NAMES)
    noise = np.random.default_rng(2).normal(size=len(matrix))
    default = np.nansum(matrix[:, ::7], axis=1) + matrix[:, 0] * np.nan_to_num(matrix[:, 1]) / 2 + noise > 2
    settings = booster_settings([0] * FEATURES, seed=1) | {"max_depth": DEPTH, "learning_rate": 0.1}
    booster = train_champion(matrix, default.astype(float), settings=settings, rounds=ROUNDS, names=NAMES)
    return Scorer(tuple(NAMES), booster, Calibration(), ScoreScale(600, 50, 20), 512)


def path_dependent_ours() -> Work:
    from workbench.explanation.shapley import path_dependent

    scorer, features = _scorer(), _world(ROWS, seed=3)
    return lambda: path_dependent(scorer, features, seed=1)


def path_dependent_library() -> Work:
    import shap

    from workbench.explanation.tree_shap import single_matrix

    scorer, matrix = _scorer(), single_matrix(_world(LIBRARY_ROWS, seed=3), NAMES)
    explainer = shap.TreeExplainer(scorer.booster, feature_perturbation="tree_path_dependent")
    return lambda: explainer.shap_values(matrix)


def interventional_ours() -> Work:
    from workbench.explanation.shapley import interventional

    scorer, features, background = _scorer(), _world(ROWS, seed=3), _world(BACKGROUND, seed=4)
    return lambda: interventional(scorer, features, background)
