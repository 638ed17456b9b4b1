"""How well all features together, and the score alone, tell the groups of a protected attribute."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.fairness.proxies import group_places, judged_groups
from workbench.scorer import Floats, model_matrix
from workbench.statistics.estimate import Estimate
from workbench.statistics.ranking import auc
from workbench.statistics.samples import IntArray, raise_faults

MEAN = "mean of the groups"
MOST_FOLDS = 10
BINS = 64
THREADS = 1  # the fits are small: threads that wait for one another cost more than they give
SETTINGS: dict[str, Any] = {
    "objective": "multi:softprob",
    "tree_method": "hist",
    "max_depth": 3,
    "max_bin": BINS,
    "learning_rate": 0.2,
    "nthread": THREADS,
}
ROUNDS = 30
_TOLD = {
    **dict.fromkeys(("attribute", "predictor", "group"), pl.String),
    **dict.fromkeys(("value", "low", "high", "level"), pl.Float64),
    **{"method": pl.String, "applicants": pl.Int64},
}


def membership_table(
    frame: pl.DataFrame,
    attributes: Sequence[str],
    names: Sequence[str],
    *,
    folds: int,
    most_applicants: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Return the AUC for membership of each group: of all features together, and beside it of the score.

    0.5 = nothing tells the group, 1 = it is given away. `predictor` features: what the model could know of
    the group; score: what of that came into the score. Each is a booster (XGBoost, 30 rounds of trees of
    depth 3), fitted to all groups of an attribute at once and judged by cross-validation: each applicant by
    one that was not fitted on it, and by its rank within its fold. Folds have each group's share and keep the
    rows of one applicant_id together. Another model might tell more: the value is a lower bound.

    DeLong's interval takes rows as independent applicants, and the fitted boosters as given. The row of
    `group` "mean of the groups" has the mean of the values and of the ends of the intervals, which is never
    too narrow. At most `most_applicants`, drawn at random, are used of each attribute. Applicants of unknown
    group are left out; groups of fewer than 20 of them, or with fewer than 20 others, are told together and
    not judged, and an attribute without judged groups has no rows.

    `frame`: applicant_id, score, the attributes and the features `names`, one row per applicant. Returns
    attribute, predictor, group, value, low, high, level, method, applicants.

    Raises:
        DataError: a protected attribute among the features, no features at all, folds outside 2 to 10.

    Reference: LeDell, Petersen and van der Laan (2015), Electronic Journal of Statistics 9: 1583-1607, on the
    interval of a cross-validated AUC.
    """
    raise_faults("Membership cannot be predicted", _faults(attributes, names, folds))
    rows: list[dict[str, object]] = []
    for attribute in attributes:
        drawn = _drawn(frame.filter(pl.col(attribute).is_not_null()), most_applicants, seed)
        judged = judged_groups(drawn[attribute])
        place = group_places(drawn[attribute], judged)
        fold = _fold_of(drawn["applicant_id"], place, folds, seed)
        for predictor, columns in {"features": names, "score": ["score"]}.items() if judged else ():
            told = _ranks(model_matrix(drawn, columns), place, fold, seed)
            about = {"attribute": attribute, "predictor": predictor}
            rows += [about | row for row in _told(told, place, judged, f"{folds}-fold XGBoost", level)]
    return pl.DataFrame(rows, schema=_TOLD)


def _told(
    ranks: Floats, place: IntArray, judged: Sequence[str], how: str, level: float
) -> Iterator[dict[str, object]]:
    areas = [auc(place == at, ranks[:, at], level=level) for at in range(len(judged))]
    for at, area in enumerate(areas):
        told = vars(area) | {"method": f"{how}, {area.method}"}
        yield {"group": judged[at], "applicants": int((place == at).sum()), **told}
    yield {"group": MEAN, "applicants": place.size, **vars(_mean(areas, how, level))}


def _drawn(frame: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    return frame.sample(most, seed=seed) if frame.height > most else frame


def _fold_of(applicants: pl.Series, place: IntArray, folds: int, seed: int) -> IntArray:
    """Return the fold of each row: at random, each group spread evenly, one applicant in one fold."""
    rows = pl.DataFrame({"applicant_id": applicants, "place": place})
    people = rows.group_by("applicant_id", maintain_order=True).agg(pl.col("place").first())
    shuffled = np.random.default_rng(seed).permutation(people.height)
    order = shuffled[np.argsort(people["place"].to_numpy()[shuffled], kind="stable")]
    fold = np.empty(people.height, dtype=np.int64)
    fold[order] = np.arange(people.height) % folds
    return rows.join(people.with_columns(fold=fold), on="applicant_id", maintain_order="left")[
        "fold"
    ].to_numpy()


def _ranks(matrix: Floats, place: IntArray, fold: IntArray, seed: int) -> Floats:
    """Return each row's rank in (0, 1) for each group [rows, groups], in its fold by the others' booster."""
    from xgboost import DMatrix, QuantileDMatrix, train

    settings = SETTINGS | {"num_class": int(place.max()) + 1, "seed": seed}
    told = np.empty((place.size, settings["num_class"]))
    for judged in np.unique(fold):
        inside = fold == judged
        fitted = QuantileDMatrix(matrix[~inside], place[~inside], max_bin=BINS, nthread=THREADS)
        booster = train(settings, fitted, ROUNDS)
        prob = pl.DataFrame(booster.predict(DMatrix(matrix[inside], nthread=THREADS)))
        told[inside] = prob.select(pl.all().rank() / (pl.len() + 1)).to_numpy()
    return told


def _mean(areas: Sequence[Estimate], how: str, level: float) -> Estimate:
    """Return the mean of estimates; the means of their ends hold however they depend on one another."""
    known = [(area.value, area.low, area.high) for area in areas if area.low is not None]
    if len(known) < len(areas):
        value = float(np.mean([area.value for area in areas if area.value is not None]))
        return Estimate(value, None, None, level, f"no interval: {len(areas) - len(known)} groups have none")
    value, low, high = (float(np.mean(ends)) for ends in zip(*known, strict=True))
    return Estimate(value, low, high, level, f"{how}, mean of the groups' intervals")


def _faults(attributes: Sequence[str], names: Sequence[str], folds: int) -> Iterator[str]:
    if not 2 <= folds <= MOST_FOLDS:
        yield f"{folds} folds; 2 to {MOST_FOLDS} is right"
    if not names:
        yield "there are no features"
    yield from (f"{name!r} is a protected attribute and a feature" for name in attributes if name in names)
