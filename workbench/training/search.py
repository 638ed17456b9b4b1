"""Hyperparameter search: Optuna over cross-validated boosters on the development sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats

LOGARITHMIC = ("learning_rate", "min_child_weight", "reg_lambda")


@dataclass(frozen=True)
class SearchResult:
    """The best trial and the table of all of them."""

    settings: dict[str, float]
    rounds: int
    trials: pl.DataFrame


def search_champion(
    features: Floats,
    default: Floats,
    *,
    space: Mapping[str, Sequence[float]],
    monotone: Sequence[int],
    trials: int,
    folds: int,
    max_rounds: int,
    early_stopping_rounds: int,
    seed: int,
    device: str = "cpu",
) -> SearchResult:
    """Return the settings with the lowest cross-validated log loss, and every trial.

    Trials are proposed by Optuna's TPE sampler from `space` (name: low and high; learning_rate,
    min_child_weight and reg_lambda on a log scale). A trial trains one booster per fold with early
    stopping on that fold's log loss. `rounds` is the mean of the folds' best rounds. Trials: trial, each
    setting, rounds, log_loss, log_loss_sd, auc.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    matrices = _fold_matrices(features, default, folds=folds, seed=seed)
    base = booster_settings(monotone, seed=seed, device=device)
    rows: list[dict[str, Any]] = []

    def objective(trial: optuna.Trial) -> float:
        settings = {name: _suggest(trial, name, limits) for name, limits in space.items()}
        result = _cross_validate(base | settings, matrices, max_rounds, early_stopping_rounds)
        rows.append({"trial": trial.number + 1, **settings, **result})
        return float(result["log_loss"])

    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="minimize", sampler=sampler)
    study.optimize(objective, n_trials=trials)
    table = pl.DataFrame(rows)
    best = table.row(study.best_trial.number, named=True)
    return SearchResult({name: best[name] for name in space}, best["rounds"], table)


def train_champion(
    features: Floats, default: Floats, *, settings: Mapping[str, Any], rounds: int, names: Sequence[str]
) -> Any:
    """Return the booster trained on all rows given, for a fixed number of rounds."""
    import xgboost

    matrix = xgboost.QuantileDMatrix(features, default, feature_names=list(names))
    booster = xgboost.train(dict(settings), matrix, num_boost_round=rounds)
    booster.feature_names = None  # the scorer keeps the names and their order
    return booster


def booster_settings(monotone: Sequence[int], *, seed: int, device: str = "cpu") -> dict[str, Any]:
    """Return the settings that no trial varies; `monotone` holds +1, -1 or 0 for each feature."""
    return {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "device": device,
        "monotone_constraints": tuple(monotone),
        "seed": seed,
    }


def _fold_matrices(features: Floats, default: Floats, *, folds: int, seed: int) -> list[tuple[Any, Any]]:
    from sklearn.model_selection import StratifiedKFold
    from xgboost import QuantileDMatrix

    splits = StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, default)
    pairs = []
    for fitted, judged in splits:
        train = QuantileDMatrix(features[fitted], default[fitted])
        pairs.append((train, QuantileDMatrix(features[judged], default[judged], ref=train)))
    return pairs


def _cross_validate(
    settings: Mapping[str, Any], matrices: list[tuple[Any, Any]], max_rounds: int, early_stopping_rounds: int
) -> dict[str, Any]:
    import xgboost

    boosters = [
        xgboost.train(
            dict(settings),
            train,
            num_boost_round=max_rounds,
            evals=[(judged, "judged")],
            early_stopping_rounds=early_stopping_rounds,
            verbose_eval=False,
        )
        for train, judged in matrices
    ]
    losses = [booster.best_score for booster in boosters]
    aucs = [_best_auc(booster, judged) for booster, (_, judged) in zip(boosters, matrices, strict=True)]
    return {
        "rounds": round(float(np.mean([booster.best_iteration + 1 for booster in boosters]))),
        "log_loss": float(np.mean(losses)),
        "log_loss_sd": float(np.std(losses, ddof=1)),
        "auc": float(np.mean(aucs)),
    }


def _best_auc(booster: Any, judged: Any) -> float:
    from sklearn.metrics import roc_auc_score

    margin = booster.predict(judged, iteration_range=(0, booster.best_iteration + 1))
    return float(roc_auc_score(judged.get_label(), margin))


def _suggest(trial: Any, name: str, limits: Sequence[float]) -> float:
    low, high = limits
    if name == "max_depth":
        return int(trial.suggest_int(name, int(low), int(high)))
    return float(trial.suggest_float(name, low, high, log=name in LOGARITHMIC))
