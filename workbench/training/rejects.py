"""Reject inference: outcomes inferred for the declined, so that a model can be fitted on them as well.

What the declined would have done is not in the data: every method assumes it. So it is off unless the params
say so, and `reject_sensitivity` says what hangs on it. References: Siddiqi (2017), Intelligent Credit
Scoring, 2nd edition, on reject inference; Crook and Banasik (2004), Journal of Banking and Finance 28:
857-874, who find that it helps little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.scorer import Floats
from workbench.statistics.samples import checked_sample, raise_faults
from workbench.training.folds import Folds, boosted_out_of_fold

Inference = Literal["none", "fuzzy", "parcelling"]
BANDS = 10


@dataclass(frozen=True)
class Augmented:
    """Rows to fit on: the approved with their outcomes, then the declined with inferred ones.

    `features` [rows, features], `default` 0 or 1 and `weight` in applicants [rows]; `declined_bad_rate` is
    the share of the declined that is assumed to be bad: an assumption, so it has no interval.
    """

    features: Floats
    default: Floats
    weight: Floats
    declined_bad_rate: float | None

    def matrix(self, names: Sequence[str] | None = None) -> Any:
        """Return the rows as XGBoost's matrix of bins, in memory, weighted where not all weights are 1."""
        from xgboost import QuantileDMatrix

        weight = None if (self.weight == 1).all() else self.weight
        return QuantileDMatrix(
            self.features, self.default, weight=weight, feature_names=None if names is None else list(names)
        )


def declined_rows(frame: pl.DataFrame, *, seed: int) -> pl.DataFrame:
    """Return the declined who belong beside the development sample, sorted by applicant_id.

    Of the months up to its last one, and drawn at random as large a part as the development sample is of
    those with an outcome: so approved and declined are in the proportion of the door. `frame` has
    applicant_id, sample and vintage. Raises DataError when there is no development sample or nobody declined.
    """
    development = frame.filter(pl.col("sample") == "development")
    last = pl.lit(development["vintage"].max(), dtype=pl.String)
    earlier = frame.filter(pl.col("vintage") <= last).sort("applicant_id")
    declined = earlier.filter(pl.col("sample") == "declined")
    if not (development.height and declined.height):
        found = f"{development.height:,} in development, {declined.height:,} declined in its months"
        raise DataError(
            "the declined are not in the study", [found, "set data.keep_declined to true, or infer nothing"]
        )
    share = development.height / (earlier.height - declined.height)
    return declined.sample(max(1, round(share * declined.height)), seed=seed).sort("applicant_id")


def fuzzy_augmentation(
    features: Floats,
    default: Floats,
    declined_features: Floats,
    declined_prob: Floats,
    *,
    prudence: float = 1.0,
) -> Augmented:
    """Return every declined applicant twice: as a bad with weight p, and as a good with weight 1 - p.

    p is the PD by a model of the approved with its odds of default `prudence` times as high: prudence x prob
    / (1 - prob + prudence x prob). 1 = as approved who look alike; above 1 = worse than those.
    `features` [approved, features], `default` 0 or 1 [approved], `declined_features` [declined, features],
    `declined_prob` in [0, 1] [declined]. Raises DataError for arrays that do not fit and prudence below 1.
    """
    probs = {"declined_prob": (declined_prob, len(declined_features))}
    check_declined(features, default, declined_features, [prudence], probs=probs)
    bad = _prudent(declined_prob, prudence)
    ones = np.ones(bad.size)
    return Augmented(
        np.concatenate([features, declined_features, declined_features]),
        np.concatenate([default, ones, 0 * ones]),
        np.concatenate([np.ones(default.size), bad, 1 - bad]),
        float(bad.mean()),
    )


def parcelling(
    features: Floats,
    default: Floats,
    prob_default: Floats,
    declined_features: Floats,
    declined_prob: Floats,
    *,
    bands: int = BANDS,
    prudence: float = 1.0,
    seed: int,
) -> Augmented:
    """Return every declined applicant once, as a bad or a good drawn at the rate of the score band.

    Bands are quantiles of the approved's `prob_default` [approved], best by models that never saw them. In
    each, the default rate of its approved, with odds of default `prudence` times as high (as
    `fuzzy_augmentation`), is the share of its declined who become bad, rounded to whole applicants and drawn
    by `seed`. Beyond the approved the outermost band holds. Other arguments and errors as there.
    """
    probs = {
        "declined_prob": (declined_prob, len(declined_features)),
        "prob_default": (prob_default, default.size),
    }
    check_declined(features, default, declined_features, [prudence], bands=bands, probs=probs)
    shares = np.linspace(0, 1, bands + 1)[1:-1]
    edges = np.unique(np.quantile(prob_default, shares, method="inverted_cdf"))
    edges = edges[edges < prob_default.max()]  # so that every band holds an approved applicant
    own, place = np.searchsorted(edges, prob_default), np.searchsorted(edges, declined_prob)
    rates = _prudent(np.bincount(own, default) / np.bincount(own), prudence)
    drawn, bad = np.random.default_rng(seed).permutation(place.size), np.zeros(place.size)
    for band, rate in enumerate(rates):
        members = drawn[place[drawn] == band]
        bad[members[: int(np.rint(rate * members.size))]] = 1
    rows, outcomes = np.concatenate([features, declined_features]), np.concatenate([default, bad])
    return Augmented(rows, outcomes, np.ones(outcomes.size), float(bad.mean()))


def infer_outcomes(
    features: Floats,
    default: Floats,
    declined: Floats,
    *,
    inference: Inference,
    prudence: float,
    settings: Mapping[str, Any],
    rounds: int,
    bands: int = BANDS,
    seed: int,
) -> Augmented:
    """Return the development sample with the declined added, as the params say.

    The PDs are of boosters with the champion's `settings` and `rounds` (`known_prob`). "none" adds nobody.
    Fit on its `matrix`; calibrate and judge on the approved alone. Raises DataError as `fuzzy_augmentation`,
    and for another `inference`.
    """
    check_declined(features, default, declined, [prudence], bands=bands)
    raise_faults("The outcomes of the declined cannot be inferred", _inference_faults(inference))
    if inference == "none":
        return Augmented(features, default, np.ones(default.size), None)
    known = known_prob(features, default, declined, settings=settings, rounds=rounds, seed=seed)
    return augmented(known, inference, prudence, bands=bands, seed=seed)


@dataclass(frozen=True)
class Known:
    """Approved and declined with their PDs by models of the approved alone, the approved's out of fold."""

    features: Floats
    default: Floats
    prob_default: Floats
    declined: Floats
    declined_prob: Floats


def known_prob(
    features: Floats,
    default: Floats,
    declined: Floats,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    seed: int,
) -> Known:
    """Return the PDs of the declined by a booster of all approved, of each half of these by one of the other.

    Halves are drawn by `seed`, within goods and within defaults. Time: three trainings.
    """
    from sklearn.model_selection import StratifiedKFold

    approved = Augmented(features, default, np.ones(default.size), None)
    declined_prob = predicted(approved, declined, settings=settings, rounds=rounds)
    halves = StratifiedKFold(2, shuffle=True, random_state=seed).split(features, default)
    pairs = Folds(tuple(halves))
    prob = boosted_out_of_fold(features, default, pairs, settings=settings, rounds=rounds)
    return Known(features, default, prob, declined, declined_prob)


def augmented(known: Known, inference: Inference, prudence: float, *, bands: int, seed: int) -> Augmented:
    """Return the rows to fit on by one inference; "none" gives the approved, with the declined's mean PD."""
    if inference == "none":
        mean = float(known.declined_prob.mean())
        return Augmented(known.features, known.default, np.ones(known.default.size), mean)
    declined = known.declined, known.declined_prob
    if inference == "fuzzy":
        return fuzzy_augmentation(known.features, known.default, *declined, prudence=prudence)
    approved = known.features, known.default, known.prob_default
    return parcelling(*approved, *declined, bands=bands, prudence=prudence, seed=seed)


def predicted(rows: Augmented, others: Floats, *, settings: Mapping[str, Any], rounds: int) -> Floats:
    """Return the PDs of `others` [applicants, features] by a booster of the rows, not calibrated."""
    from xgboost import QuantileDMatrix, train

    matrix = rows.matrix()
    booster = train(dict(settings), matrix, num_boost_round=rounds)
    prob: Floats = booster.predict(QuantileDMatrix(others, ref=matrix)).astype(np.float64)
    return prob


def _prudent(prob: Floats, prudence: float) -> Floats:
    """Return probabilities whose odds of default are `prudence` times as high."""
    odds: Floats = prudence * prob / (1 - prob + prudence * prob)
    return odds


def _inference_faults(inference: str) -> list[str]:
    known = get_args(Inference)
    near = near_name(inference, known)
    return [] if inference in known else [f"{inference} is none of {', '.join(known)}{near}"]


def check_declined(
    features: Floats,
    default: Floats,
    declined: Floats,
    prudence: Sequence[float],
    *,
    bands: int = BANDS,
    probs: Mapping[str, tuple[Floats, int]] | None = None,
) -> None:
    """Refuse approved and declined that do not fit together; `probs` are probabilities with their length."""
    checked_sample(default, both_classes=True)
    faults = [f"a prudence is {k:g}; at least 1 is right" for k in prudence if not k >= 1]
    faults += [] if prudence else ["no prudence is given; 1 is neutral"]
    faults += [f"bands is {bands}; at least 1 is needed"] if bands < 1 else []
    if len(features) != default.size:
        faults.append(f"{len(features):,} rows of features for {default.size:,} outcomes")
    if features.shape[1] != declined.shape[1]:
        faults.append(f"{features.shape[1]} features of the approved and {declined.shape[1]} of the declined")
    if not len(declined):
        faults.append("nobody was declined")
    for name, (prob, size) in (probs or {}).items():
        if prob.size != size:
            faults.append(f"{name} has {prob.size:,} rows; {size:,} are needed")
        if outside := int(np.sum(~((prob >= 0) & (prob <= 1)))):
            faults.append(f"{name} is missing or outside [0, 1] in {outside:,} of {prob.size:,} rows")
    raise_faults("Approved and declined do not fit together", faults)
