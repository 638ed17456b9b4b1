"""The reasons of one group of applicants by every method, put to the test, and by other models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.explanation.fidelity import (
    OVERALL,
    RANDOM,
    REASONS,
    fidelity_rows,
    named_families,
    overall_families,
    random_families,
    reference_declined,
)
from workbench.explanation.reason_stability import noisy_features
from workbench.explanation.reasons import (
    Losses,
    best_values,
    losses_of_values,
    losses_to_best,
    points_per_value,
)
from workbench.explanation.shapley import interventional
from workbench.scorer import Floats, Scorer


@dataclass(frozen=True)
class Tested:
    """What became of each applicant as what is named went to its reference.

    `rows` as `fidelity_rows`, for the reasons and for what they are compared with; `reference_declined`
    [applicants] as there.
    """

    rows: pl.DataFrame
    reference_declined: NDArray[np.bool_]


def losses_against(
    scorer: Scorer, features: pl.DataFrame, background: pl.DataFrame, *, families: Mapping[str, str]
) -> Losses:
    """Return the points that each family costs compared with a background: above 0 lowers the score."""
    values = interventional(scorer, features, background).values
    each = points_per_value(scorer, features, values)
    return losses_of_values(values, families=families, names=scorer.features, points_per_log_odds=each)


def every_method(
    scorer: Scorer,
    features: pl.DataFrame,
    *,
    near: pl.DataFrame,
    everybody: pl.DataFrame,
    approved: pl.DataFrame,
    families: Mapping[str, str],
    size: int,
    seed: int,
) -> dict[str, Losses]:
    """Return what each family costs the applicants, by each method of params, under its name.

    `near`: approved near the cutoff; `everybody`: a draw of all; `approved`: those on whom the best values
    are found, a draw of `size` of them. Errors as `workbench.explanation.reasons`.
    """

    def score_of(rows: pl.DataFrame) -> Floats:
        return scorer.points(scorer.margin(rows))

    best = best_values(score_of, approved, scorer.features, size=size, seed=seed)
    return {
        "near_cutoff": losses_against(scorer, features, near, families=families),
        "all_applicants": losses_against(scorer, features, everybody, families=families),
        "best_value": losses_to_best(score_of, features, best, families=families, names=scorer.features),
    }


def fidelity_trial(
    scorer: Scorer,
    features: pl.DataFrame,
    background: pl.DataFrame,
    reasons: pl.DataFrame,
    losses: Losses,
    *,
    families: Mapping[str, str],
    seed: int,
) -> Tested:
    """Put the model's reasons to the test, beside as many families at random and the same for everyone.

    `features`: applicants declined by the model; `background`: those approved near the cutoff; `losses`
    [anybody declined, families] say which families matter most overall. Errors as `fidelity_rows`.
    """
    named = named_families(reasons, features["applicant_id"])
    chosen = {
        REASONS: named,
        RANDOM: random_families(named, losses.codes, seed=seed),
        OVERALL: overall_families(named, losses.points, losses.codes),
    }
    rows = [
        fidelity_rows(scorer, features, background, lists, choice=choice, families=families)
        for choice, lists in chosen.items()
    ]
    declined = reference_declined(scorer, features, background, named, families=families)
    return Tested(pl.concat(rows), declined)


def points_of_models(
    scorer: Scorer,
    models: Mapping[str, Scorer],
    features: pl.DataFrame,
    background: pl.DataFrame,
    *,
    families: Mapping[str, str],
    noise: float,
    draws: int,
    seed: int,
) -> tuple[Floats, dict[str, list[Floats]]]:
    """Return what each family costs by the champion, and by kind of the models and of small noise.

    `models` are named <kind>_<number>. Noise is `noise` interquartile ranges on every feature, drawn
    `draws` times, scored by the champion. All [applicants, families].
    """

    def points(model: Scorer, rows: pl.DataFrame) -> Floats:
        return losses_against(model, rows, background, families=families).points

    found: dict[str, list[Floats]] = {}
    for name, model in models.items():
        found.setdefault(name.split("_")[0], []).append(points(model, features))
    seeds: Sequence[int] = np.random.SeedSequence(seed).generate_state(draws).tolist()
    found["noise"] = [
        points(scorer, noisy_features(features, scorer.features, noise=noise, seed=one)) for one in seeds
    ]
    return points(scorer, features), found
