"""What sources that may not be used would have added: measured on folds, never kept as a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from workbench.scorer import model_matrix
from workbench.statistics.estimate import Estimate
from workbench.statistics.ranking import compare_auc
from workbench.training.folds import Folds, boosted_out_of_fold


def withheld_gain(
    development: pl.DataFrame,
    withheld: pl.DataFrame,
    *,
    names: Sequence[str],
    monotone: Sequence[int],
    settings: Mapping[str, Any],
    rounds: int,
    folds: Folds,
    level: float,
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
        boosted_out_of_fold(model_matrix(frame, columns), default, folds, settings=choice, rounds=rounds)
        for columns, choice in ((list(names), settings), ([*names, *extra], free))
    ]
    judged = folds.judged
    return compare_auc(default[judged], *(prob[judged] for prob in scored), level=level).difference
