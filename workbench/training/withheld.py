"""What sources that may not be used would have added: measured on folds, never kept as a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats
from workbench.statistics.estimate import Estimate
from workbench.statistics.ranking import compare_auc


def withheld_gain(
    development: pl.DataFrame,
    withheld: pl.DataFrame,
    *,
    names: Sequence[str],
    monotone: Sequence[int],
    settings: Mapping[str, Any],
    rounds: int,
    folds: int,
    level: float,
    seed: int,
) -> Estimate | None:
    """Return the AUC with the withheld features minus the AUC without them, by cross-validation.

    Above 0 = the prohibition costs discrimination, 0 = nothing. `development` has applicant_id, default and
    `names`; `withheld` applicant_id and features that the model must not have. Both models train with the
    champion's `settings` and `rounds` on the same folds; the interval is paired DeLong of their predictions
    on the folds left out. None when nothing is withheld.
    """
    extra = [name for name in withheld.columns if name != "applicant_id"]
    if not extra:
        return None
    frame = development.join(withheld, on="applicant_id", how="left", maintain_order="left")
    default = frame["default"].to_numpy().astype(float)
    free = {**settings, "monotone_constraints": (*monotone, *(0 for _ in extra))}
    scored = [
        _out_of_fold(_matrix(frame, columns), default, choice, rounds=rounds, folds=folds, seed=seed)
        for columns, choice in ((list(names), dict(settings)), ([*names, *extra], free))
    ]
    return compare_auc(default, *scored, level=level).difference


def _matrix(frame: pl.DataFrame, names: Sequence[str]) -> Floats:
    matrix: Floats = frame.select(pl.col(list(names)).cast(pl.Float32).fill_null(np.nan)).to_numpy()
    return matrix


def _out_of_fold(
    features: Floats, default: Floats, settings: Mapping[str, Any], *, rounds: int, folds: int, seed: int
) -> Floats:
    from sklearn.model_selection import StratifiedKFold
    from xgboost import QuantileDMatrix, train

    predicted = np.empty(default.size)
    for fitted, judged in StratifiedKFold(folds, shuffle=True, random_state=seed).split(features, default):
        matrix = QuantileDMatrix(features[fitted], default[fitted])
        booster = train(dict(settings), matrix, num_boost_round=rounds)
        predicted[judged] = booster.predict(QuantileDMatrix(features[judged], ref=matrix))
    return predicted
