"""Which candidate becomes the champion: all judged on the same folds, chosen by a rule, never by habit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.scorer import Floats, model_matrix
from workbench.statistics.estimate import Estimate, met, normal_estimate, undefined
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import IntArray, checked_sample
from workbench.training.challengers import FITS, ChallengerSettings, challenger_margin
from workbench.training.folds import Folds, boosted_out_of_fold, out_of_fold

MOST_CONSTRAINED_FIRST = ("additive", "constrained", "monotone", "unconstrained")
FAMILIES = {"scorecard": "scorecard", "logistic": "logistic", "explainable_boosting": "additive"}
"""The challengers; every other candidate is a booster, which alone the scorer can serve."""
TINY = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Candidates:
    """Every candidate's prob_default of the same rows by models that never saw them, with the outcomes.

    `default` is 0 or 1 [judged rows]; `prob_default` holds each candidate's, uncalibrated [judged rows];
    `basis` says how they came about.
    """

    default: Floats
    prob_default: Mapping[str, Floats]
    basis: str

    @property
    def boosters(self) -> list[str]:
        """Candidates that can become champion, the most constrained first."""
        names = [name for name in self.prob_default if name not in FAMILIES]
        order = [*MOST_CONSTRAINED_FIRST, *names]
        return sorted(names, key=order.index)

    @property
    def challengers(self) -> list[str]:
        """Candidates that the champion is held against and that cannot become champion."""
        return [name for name in self.prob_default if name in FAMILIES]

    def difference(self, name: str, reference: str, *, level: float) -> Estimate:
        """Return the AUC of `name` minus that of `reference` by paired DeLong; above 0 = ranks better.

        Without interval where both predict the same. Raises DataError for a name that is no candidate.
        """
        return compare_auc(self.default, self[reference], self[name], level=level).difference

    def __getitem__(self, name: str) -> Floats:
        if name not in self.prob_default:
            near = near_name(name, self.prob_default)
            raise DataError(f"{name} is no candidate{near}", [f"there are {', '.join(self.prob_default)}"])
        return self.prob_default[name]


@dataclass(frozen=True)
class Choice:
    """The candidate that becomes champion and why.

    `difference` is its AUC minus that of `best`, the booster with the highest one (0 = nothing lost);
    `beaten_by` are the challengers whose AUC is above its own by more than chance.
    """

    name: str
    reason: str
    best: str
    difference: Estimate
    beaten_by: tuple[str, ...]


def booster_candidates(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings of the boosters that compete, made from the champion's own (`booster_settings`).

    additive: the directions, and each feature alone; constrained: as they are, with the directions and
    interactions that the params ask for; monotone: any interactions; unconstrained: any directions too. What
    the params do not constrain makes candidates alike.
    """
    size = len(settings["monotone_constraints"])
    monotone = {name: value for name, value in settings.items() if name != "interaction_constraints"}
    alone = json.dumps([[place] for place in range(size)])
    return {
        "additive": monotone | {"interaction_constraints": alone},
        "constrained": dict(settings),
        "monotone": monotone,
        "unconstrained": monotone | {"monotone_constraints": (0,) * size},
    }


def candidate_predictions(
    features: pl.DataFrame,
    default: Floats,
    folds: Folds,
    *,
    boosters: Mapping[str, Mapping[str, Any]],
    rounds: int,
    challengers: ChallengerSettings,
    tried: Sequence[str] = tuple(FITS),
) -> Candidates:
    """Return the out-of-fold predictions of every booster and challenger on the development sample.

    `features` [applicants] holds the challengers' `names`, `default` their outcomes, `boosters` the settings
    by name, as `booster_candidates` makes them. All train for the same `rounds` with settings that were
    searched for one of them, which favours that one. The challengers `tried` bin, impute and standardise
    within each fold, on the features that vary there. Only rows that a fold judges are returned.

    Raises:
        DataError: as the challengers' fits, with the rows of a fold.
    """
    checked_sample(default, both_classes=True)
    judged = folds.judged
    found = _boosted(model_matrix(features, challengers.names), default, folds, boosters, rounds)
    found |= {name: _challenger(name, features, default, folds, challengers) for name in tried}
    predictions = {name: prob[judged] for name, prob in found.items()}
    return Candidates(default[judged], predictions, _basis(folds, default.size))


def compare_candidates(candidates: Candidates, *, reference: str, level: float) -> pl.DataFrame:
    """Return every candidate beside the `reference`, the highest AUC first.

    Returns columns candidate, family (boosting, scorecard, logistic or additive), auc, auc_low, auc_high
    (0.5 = chance), difference, difference_low, difference_high (AUC minus the reference's; above 0 = ranks
    better), p_value (two-sided, for no difference), log_loss and brier_score (lower is better) with _low and
    _high, level, method. Intervals are of the sample's chance alone, given the folds' models; the differences
    of the losses are not tested. The reference has no difference to itself.

    Raises:
        DataError: a reference that is no candidate.
    """
    rows = [_compared(name, candidates, reference, level) for name in candidates.prob_default]
    texts = dict.fromkeys(("candidate", "family", "method"), pl.String)
    columns = dict.fromkeys(rows[0], pl.Float64) | texts
    return pl.DataFrame(rows, schema=columns).sort("auc", "candidate", descending=[True, False])


def choose_champion(candidates: Candidates, *, rule: str, tolerance: float, level: float) -> Choice:
    """Return the booster that becomes champion by the params' rule, with its reason in a sentence or two.

    most_constrained: the first of additive, constrained, monotone and unconstrained whose AUC is not inferior
    to that of the best booster: the whole interval of the difference (paired DeLong) is at or above
    -`tolerance`.
    best: the highest AUC, of equals the more constrained. Another rule names the booster. A challenger that
    beats the champion (whole interval above 0, each challenger looked at alone) is named in the reason.

    Raises:
        DataError: no booster, or a rule that names a challenger or nobody.
    """
    best = _best(candidates, rule)
    gaps = {name: candidates.difference(name, best, level=level) for name in candidates.boosters}
    name = _chosen(gaps, best, rule, tolerance)
    others = {other: candidates.difference(other, name, level=level) for other in candidates.challengers}
    ahead = {other: gap for other, gap in others.items() if gap.low is not None and gap.low > 0}
    reason = [_reason(name, best, gaps, rule, tolerance), *_against(candidates.challengers, ahead)]
    return Choice(name, " ".join(reason), best, gaps[name], tuple(ahead))


def constraint_cost(candidates: Candidates, *, level: float) -> Estimate:
    """Return the AUC of unconstrained minus that of constrained, by paired DeLong on the folds.

    Above 0 = the constraints cost discrimination, 0 = nothing, below 0 = they help. Without interval where
    the params constrain nothing. Raises DataError when one of the two is no candidate.
    """
    return candidates.difference("unconstrained", "constrained", level=level)


def _boosted(
    matrix: Floats, default: Floats, folds: Folds, boosters: Mapping[str, Mapping[str, Any]], rounds: int
) -> dict[str, Floats]:
    """Return the boosters' predictions; those with the same settings are trained once."""
    known: dict[str, Floats] = {}
    keys = {name: repr(sorted(settings.items())) for name, settings in boosters.items()}
    for name, settings in boosters.items():
        if keys[name] not in known:
            known[keys[name]] = boosted_out_of_fold(matrix, default, folds, settings=settings, rounds=rounds)
    return {name: known[key] for name, key in keys.items()}


def _challenger(
    name: str, features: pl.DataFrame, default: Floats, folds: Folds, settings: ChallengerSettings
) -> Floats:
    from scipy.special import expit

    def predict(fitted: IntArray, judged: IntArray) -> Floats:
        rows = features[fitted]
        model = FITS[name](rows, default[fitted], settings.varying(rows))
        prob: Floats = expit(challenger_margin(model, features[judged]))
        return prob

    return out_of_fold(folds, default.size, predict)


def _basis(folds: Folds, rows: int) -> str:
    oldest = rows - folds.judged.size
    basis = f"out of fold, {len(folds.pairs)} folds"
    if not oldest:
        return basis
    return f"{basis} forward in time: the oldest {oldest:,} of {rows:,} rows judge nothing"


def _compared(name: str, candidates: Candidates, reference: str, level: float) -> dict[str, Any]:
    default, prob = candidates.default, candidates[name]
    area = auc(default, prob, level=level)
    gap = compare_auc(default, candidates[reference], prob, level=level)
    itself = undefined(level, "the reference itself")
    return {
        "candidate": name,
        "family": FAMILIES.get(name, "boosting"),
        **_columns("auc", area),
        **_columns("difference", itself if name == reference else gap.difference),
        "p_value": gap.p_value,
        **_columns("log_loss", _mean(_log_losses(default, prob), level)),
        **_columns("brier_score", _mean((prob - default) ** 2, level)),
        "level": level,
        "method": f"AUC {area.method}, difference paired DeLong, losses normal; {candidates.basis}",
    }


def _columns(name: str, estimate: Estimate) -> dict[str, float | None]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _log_losses(default: Floats, prob: Floats) -> Floats:
    of_outcome: Floats = np.where(default == 1, prob, 1 - prob)
    return -np.log(np.clip(of_outcome, TINY, 1))


def _mean(losses: Floats, level: float) -> Estimate:
    error = losses.std(ddof=1) / np.sqrt(losses.size)
    return normal_estimate(float(losses.mean()), float(error), level=level, method="normal")


def _best(candidates: Candidates, rule: str) -> str:
    """Return the booster with the highest AUC, having checked that the rule can be followed."""
    boosters = candidates.boosters
    if not boosters:
        raise DataError("no candidate can become champion", ["at least one booster is needed"])
    known = ["most_constrained", "best", *boosters]
    if rule not in known:
        challenger = " is a challenger and the scorer serves boosters only" if rule in FAMILIES else ""
        what = f"{rule}{challenger or ' is no booster' + near_name(rule, known)}"
        raise DataError(f"no champion: {what}", [f"training.champion is one of {', '.join(known)}"])
    default = candidates.default
    return max(boosters, key=lambda name: auc(default, candidates[name]).value or 0.0)


def _chosen(gaps: Mapping[str, Estimate], best: str, rule: str, tolerance: float) -> str:
    if rule == "best":
        return best
    if rule != "most_constrained":
        return rule
    order = (name for name in MOST_CONSTRAINED_FIRST if name in gaps)
    return next((name for name in order if met(gaps[name], at_least=-tolerance) == "yes"), best)


def _reason(name: str, best: str, gaps: Mapping[str, Estimate], rule: str, tolerance: float) -> str:
    """Say why the rule chose `name`; `gaps` are the AUC differences of the boosters to the best one."""
    why = []
    if rule == "most_constrained":
        why = _most_constrained(name, gaps, tolerance)
    elif rule != "best":
        why = ["the params name it"]
    beside = "it has the highest AUC of the boosters"
    if name != best:
        beside = f"its AUC minus that of {best}, the best, is {_written(gaps[name])}"
    return f"{name} is the champion: {'; '.join([*why, beside])}."


def _most_constrained(name: str, gaps: Mapping[str, Estimate], tolerance: float) -> list[str]:
    order = [other for other in MOST_CONSTRAINED_FIRST if other in gaps]
    passed = order[: order.index(name)] if name in order else order
    reach = f"within {tolerance:g} of the best AUC with its whole interval"
    lost = ", ".join(f"{other} ({_written(gaps[other])})" for other in passed)
    why = [f"it is the most constrained booster {reach}"] if name in order else []
    return [*why, f"not {reach} is {lost}"] if lost else why


def _against(challengers: list[str], ahead: Mapping[str, Estimate]) -> list[str]:
    if not challengers:
        return []
    if not ahead:
        return ["No challenger ranks better by more than chance."]
    beaten = ", ".join(f"{name} (AUC {_written(gap)})" for name, gap in ahead.items())
    return [f"Beaten by more than chance by {beaten}, which the scorer cannot serve."]


def _written(gap: Estimate) -> str:
    if gap.low is None or gap.high is None:
        return f"{gap.value:+.4f}"
    return f"{gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}] at {100 * gap.level:g}%"
