"""Are the reasons true: does the decision change when what they name is set to its reference?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.scorer import Floats, Scorer, model_matrix
from workbench.statistics.estimate import Estimate
from workbench.statistics.means import NORMAL_MEAN, matched_difference, mean_estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import raise_faults

Chosen = Sequence[Sequence[str]]
REASONS, RANDOM, OVERALL = "reasons", "random", "overall"
CHOICES = (REASONS, RANDOM, OVERALL)
ROWS = 100_000
"""Rows that are scored at once, so that memory stays flat."""
_ESTIMATE = dict.fromkeys(("value", "low", "high", "level"), pl.Float64) | {"method": pl.String}
_MEASURE: dict[str, Any] = {"measure": pl.String, "choice": pl.String, "applicants": pl.Int64} | _ESTIMATE
_NEEDED: dict[str, Any] = {"choice": pl.String, "needed": pl.Int64, "applicants": pl.Int64} | _ESTIMATE


def matrix_margin(scorer: Scorer, matrix: Floats) -> Floats:
    """Return the log-odds of default of rows [rows, features], as `Scorer.margin` gives them for a table."""
    parts = [
        scorer.booster.inplace_predict(
            np.asarray(matrix[start : start + ROWS], np.float32), predict_type="margin"
        )
        for start in range(0, len(matrix), ROWS)
    ]
    return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)


def named_families(reasons: pl.DataFrame, applicant_id: pl.Series) -> list[list[str]]:
    """Return the families that the model's reasons name, in their order, one list for each applicant.

    Knock-out rules (kind "rule") name no family of the model and are left out. Raises DataError when an
    applicant has no reason of the model.
    """
    model = reasons.filter(pl.col("kind") == "model").sort("applicant_id", "rank")
    lists = model.group_by("applicant_id", maintain_order=True).agg("reason_code")
    found = dict(lists.iter_rows())
    without = sum(number not in found for number in applicant_id)
    faults = [f"{without:,} of {applicant_id.len():,} have no reason of the model"] if without else []
    raise_faults("Reasons cannot be tested for applicants without any", faults)
    return [found[number] for number in applicant_id]


def random_families(named: Chosen, families: Sequence[str], *, seed: int) -> list[list[str]]:
    """Return for each applicant as many families as are named, drawn from all of the model's, none twice."""
    generator = np.random.default_rng(seed)
    codes = sorted(set(families))
    return [[codes[place] for place in generator.permutation(len(codes))[: len(own)]] for own in named]


def overall_families(named: Chosen, points: Floats, families: Sequence[str]) -> list[list[str]]:
    """Return for each applicant as many families as are named: the most important of all, for everyone.

    Importance is the mean |points| of a family over applicants; `points`: [applicants, families].
    """
    order = np.argsort(-np.abs(points).mean(axis=0), kind="stable")
    ranking = [families[place] for place in order]
    return [ranking[: len(own)] for own in named]


def fidelity_rows(
    scorer: Scorer,
    features: pl.DataFrame,
    background: pl.DataFrame,
    chosen: Chosen,
    *,
    choice: str,
    families: Mapping[str, str],
) -> pl.DataFrame:
    """Return what each applicant's score becomes as the chosen families are set to their reference, in order.

    The margin with the families S at their reference = mean over the `background` applicants b of
    margin(the applicant's features, those of S taken from b): the value that interventional SHAP splits. With
    none it is the applicant's own, with all the background's mean. Score and decision are the scorer's at
    that margin.

    `features`: declined applicants; `background`: those approved near the cutoff; `chosen`: families of each
    applicant in order [applicants]; `families`: of each feature. Returns one row per step: applicant_id,
    choice, step (0 = as they are), family (null at 0), margin, score, approved (0/1).

    Raises:
        DataError: no rows or background, applicants approved already, families that the model does not have,
            lists that do not match the applicants.

    Reference: Janzing, Minorics and Bloebaum (2020), AISTATS, on the reference by intervention.
    """
    own, reference = (model_matrix(frame, scorer.features) for frame in (features, background))
    members = _members(scorer, families)
    raise_faults("The reasons cannot be tested", _faults(scorer, own, reference, chosen, members))
    sets = [
        np.logical_or.accumulate([np.zeros(own.shape[1], bool), *(members[f] for f in order)])
        for order in chosen
    ]
    who = np.repeat(np.arange(len(own)), [len(part) for part in sets])
    margin = _at_reference(scorer, own[who], reference, np.concatenate(sets))
    return pl.DataFrame(
        {
            "applicant_id": features["applicant_id"].gather(who),
            "choice": pl.repeat(choice, len(who), eager=True),
            "step": pl.Series([step for part in sets for step in range(len(part))], dtype=pl.Int64),
            "family": pl.Series([name for order in chosen for name in (None, *order)], dtype=pl.String),
            "margin": margin,
            "score": (score := scorer.points(margin)),
            "approved": (score >= scorer.cutoff).astype(np.int64),
        }
    )


def reference_declined(
    scorer: Scorer,
    features: pl.DataFrame,
    background: pl.DataFrame,
    named: Chosen,
    *,
    families: Mapping[str, str],
) -> NDArray[np.bool_]:
    """Return whether what the reasons name would have the background applicants declined [applicants].

    The margin is the mean over the background applicants with only the named families taken from the
    declined one: whether the reasons alone are enough. Arguments and errors as `fidelity_rows`.
    """
    own, reference = (model_matrix(frame, scorer.features) for frame in (features, background))
    members = _members(scorer, families)
    raise_faults("The reasons cannot be tested", _faults(scorer, own, reference, named, members))
    others = np.array([~np.any([members[name] for name in order], axis=0) for order in named])
    score = scorer.points(_at_reference(scorer, own, reference, others))
    return np.asarray(score < scorer.cutoff)


def reasons_needed(rows: pl.DataFrame) -> pl.DataFrame:
    """Return applicant_id, choice, flipped (with all its families), needed and recovered, one row each.

    `needed` is the smallest number of first families with which the applicant is approved, null where no
    number of them is enough; `recovered` is what the score rose by with all of them, in points.
    """
    gained = pl.col("score").last() - pl.col("score").first()
    needed = pl.col("step").filter(pl.col("approved") == 1).min()
    return (
        rows.sort("applicant_id", "choice", "step")
        .group_by("applicant_id", "choice", maintain_order=True)
        .agg((pl.col("approved").last() == 1).alias("flipped"), needed=needed, recovered=gained)
    )


def fidelity_table(rows: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return how true the reasons are, and how much truer than random and than the same ones for everyone.

    `rows`: those of `fidelity_rows` for the reasons and for each choice that they are compared with, on the
    same applicants. Measures: flip_share (approved once all is at its reference; 1 = every decision hangs on
    what is named; Wilson); score_recovered (mean points; normal); flip_share_gain and score_gain (the
    reasons minus the choice, paired; 0 = no better; Agresti-Min, normal). Returns measure, choice,
    applicants, value, low, high, level, method.

    Raises:
        DataError: choices on other applicants, or no reasons among them.
    """
    found = reasons_needed(rows)
    parts = {str(name): part for (name,), part in found.group_by("choice", maintain_order=True)}
    raise_faults("The choices cannot be compared", _choice_faults(parts))
    ours, told = parts[REASONS], []
    for choice in sorted(parts, key=_place):
        part = parts[choice]
        told.append(("flip_share", choice, wilson(int(part["flipped"].sum()), part.height, level=level)))
        told.append(("score_recovered", choice, mean_estimate(part["recovered"], level=level)))
    for choice in sorted(set(parts) - {REASONS}, key=_place):
        theirs = parts[choice]
        flips = matched_difference(theirs["flipped"], ours["flipped"], level=level)
        gain = mean_estimate(
            ours["recovered"] - theirs["recovered"], level=level, method=f"paired {NORMAL_MEAN}"
        )
        told += [("flip_share_gain", choice, flips), ("score_gain", choice, gain)]
    return _measures(told, ours.height)


def needed_table(rows: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return how many reasons it takes: choice, needed (null = not even all), applicants, value (share),
    low, high (Wilson), level, method.
    """
    told = []
    for (choice,), part in reasons_needed(rows).group_by("choice", maintain_order=True):
        counts = part["needed"].value_counts().sort("needed", nulls_last=True)
        for needed, count in counts.iter_rows():
            share = vars(wilson(count, part.height, level=level))
            told.append({"choice": choice, "needed": needed, "applicants": count, **share})
    return pl.DataFrame(sorted(told, key=lambda row: _place(row["choice"])), schema=_NEEDED)


def direction_table(rows: pl.DataFrame, declined: NDArray[np.bool_], *, level: float) -> pl.DataFrame:
    """Return whether each reason, and the reasons alone, do what they say, as `fidelity_table` does.

    reason_lowers_risk: mean share of an applicant's reasons with which the PD falls as they go to their
    reference after those before them (1 = all; normal over applicants); reference_declined: share of
    applicants with whose named values, and no others, the approved near the cutoff would be declined
    (Wilson). `rows`: of the reasons; `declined`: `reference_declined` [applicants].
    """
    ours = rows.filter(pl.col("choice") == REASONS).sort("applicant_id", "step")
    falls = (
        ours.with_columns(falls=pl.col("margin").diff().over("applicant_id") < 0)
        .group_by("applicant_id", maintain_order=True)
        .agg(pl.col("falls").mean())["falls"]
    )
    shares = mean_estimate(falls, level=level)
    alone = wilson(int(declined.sum()), declined.size, level=level)
    told = [("reason_lowers_risk", REASONS, shares), ("reference_declined", REASONS, alone)]
    return _measures(told, falls.len())


def _measures(told: Sequence[tuple[str, str, Estimate]], applicants: int) -> pl.DataFrame:
    rows = [
        {"measure": name, "choice": choice, "applicants": applicants, **vars(estimate)}
        for name, choice, estimate in told
    ]
    return pl.DataFrame(rows, schema=_MEASURE)


def _members(scorer: Scorer, families: Mapping[str, str]) -> dict[str, NDArray[np.bool_]]:
    """Return which of the scorer's features [features] each family has."""
    raise_faults(
        "Features without a family", [f"{name} has none" for name in scorer.features if name not in families]
    )
    own = np.array([families[name] for name in scorer.features])
    return {str(family): own == family for family in np.unique(own)}


def _at_reference(scorer: Scorer, own: Floats, reference: Floats, taken: NDArray[np.bool_]) -> Floats:
    """Return the mean margin over the reference rows, the features `taken` [rows, features] from them."""
    means = matrix_margin(scorer, own)
    moved = np.flatnonzero(taken.any(axis=1))
    size = max(1, ROWS // len(reference))
    for start in range(0, moved.size, size):
        rows = moved[start : start + size]
        block = np.where(taken[rows, None], reference, own[rows, None])
        margins = matrix_margin(scorer, block.reshape(-1, own.shape[1]))
        means[rows] = margins.reshape(-1, len(reference)).mean(axis=1)
    return means


def _faults(
    scorer: Scorer,
    own: Floats,
    reference: Floats,
    chosen: Chosen,
    members: Mapping[str, NDArray[np.bool_]],
) -> list[str]:
    faults = [
        f"there are no {what}"
        for what, rows in (("applicants", own), ("background applicants", reference))
        if not len(rows)
    ]
    if len(chosen) != len(own):
        faults.append(f"{len(chosen):,} lists of families for {len(own):,} applicants")
    if any(not order for order in chosen):
        faults.append(f"{sum(not order for order in chosen):,} lists of families are empty")
    unknown = sorted({name for order in chosen for name in order} - set(members))
    faults += [f"the model has no family {name!r}{near_name(name, members)}" for name in unknown]
    approved = int(np.sum(scorer.points(matrix_margin(scorer, own)) >= scorer.cutoff))
    if approved:
        faults.append(f"{approved:,} of {len(own):,} applicants are approved; reasons are of the declined")
    return faults


def _choice_faults(parts: Mapping[str, pl.DataFrame]) -> list[str]:
    if REASONS not in parts:
        return [f"there are no rows of the choice {REASONS!r}"]
    own = parts[REASONS]["applicant_id"]
    return [
        f"{name!r} has other applicants"
        for name, part in parts.items()
        if not own.equals(part["applicant_id"])
    ]


def _place(choice: str) -> tuple[int, str]:
    return (CHOICES.index(choice) if choice in CHOICES else len(CHOICES), choice)
