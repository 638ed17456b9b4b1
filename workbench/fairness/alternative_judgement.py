"""Alternatives on the holdout that their search never saw: judged once, and whose decisions change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from workbench.errors import near_name
from workbench.fairness.alternative_methods import Flags, rows_of
from workbench.fairness.alternative_plan import Problem, judged_groups
from workbench.fairness.alternatives import Alternatives, probability
from workbench.fairness.groups import as_labels
from workbench.fairness.pareto import Disparity, disparity
from workbench.scorer import Floats
from workbench.statistics.bootstrap import multinomial_replicates, percentile_estimate
from workbench.statistics.estimate import Estimate
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import FloatArray, IntArray, binary_faults, checked_sample, raise_faults

FLOWS = {"approved_to_declined": (True, False), "declined_to_approved": (False, True)}
NOT_STATED = "not stated"
_NUMBERS = dict.fromkeys(("low", "high", "level"), pl.Float64) | {"method": pl.String}
JUDGED_SCHEMA = {
    "candidate": pl.Int64,
    "measure": pl.String,
    "value": pl.Float64,
    **_NUMBERS,
    "note": pl.String,
}
SWAPS_SCHEMA = {
    **{"candidate": pl.Int64, "attribute": pl.String, "group": pl.String, "flow": pl.String},
    **{"applicants": pl.Int64, "share": pl.Float64, "default_rate": pl.Float64, **_NUMBERS},
}
Named = list[tuple[str, Estimate, str]]


def holdout_risks(problem: Problem, found: Alternatives, holdout: pl.DataFrame) -> dict[int, Floats]:
    """Return the risk of every holdout applicant by each member of the front but the champion.

    Risk is log-odds of default less the cutoff, which was set on the search's judging part: approved at and
    below 0. `holdout` has the features, default and the attribute; none of its rows may be in the search.

    Raises:
        DataError: columns that are absent.
    """
    plan = problem.plan
    _require(holdout, (*plan.names, "default", plan.attribute))
    rows = rows_of(
        holdout,
        names=plan.names,
        attribute=plan.attribute,
        groups=problem.groups,
        reference=plan.reference_group,
    )
    members = found.table.filter("on_front", pl.col("candidate") > 0)["candidate"]
    return {number: problem.fit(found.candidates[number]).risk(rows) for number in members}


def judge_alternatives(
    problem: Problem,
    risks: Mapping[int, Floats],
    holdout: pl.DataFrame,
    *,
    loss_given_default: float,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return how the champion (candidate 0) and its alternatives fare on the holdout, with intervals.

    Measures: auc (DeLong); approval_rate (Wilson; the cutoff is the search's, so it drifts a little);
    adverse_impact_ratio (Donner-Zou) and selection_rate_difference (Newcombe) of the worst group to the
    reference group; realised_loss = loss_given_default x default rate among the approved (Wilson). Against
    the champion on the same applicants, 0 = no change: auc_change (paired DeLong; below 0 = ranks worse),
    disparity_change (by the plan's measure; below 0 = less) and realised_loss_change (above 0 = dearer), both
    percentiles of one multinomial over group, outcome and both decisions. Disparity is of the groups judged
    in the search that are large enough here as well; all other measures are of everyone.

    `risks` as from `holdout_risks`; `holdout` has default, the attribute and the champion's prob_default and
    approved. Returns candidate, measure, value, low, high, level, method and note.

    Raises:
        DataError: columns that are absent, values missing or out of range, one outcome only, a reference
            group too small, or no other group to judge.
    """
    _require(holdout, ("default", "prob_default", "approved", problem.plan.attribute))
    probs = {"prob_default": holdout["prob_default"].to_numpy()}
    bad, prob = checked_sample(holdout["default"].to_numpy(), probabilities=probs, both_classes=True)
    old, groups = (
        holdout["approved"].to_numpy() == 1,
        judged_groups((holdout,), problem.plan, among=problem.groups),
    )
    place = _places(holdout[problem.plan.attribute], groups)
    told = f"judged once; choosing another of the {len(risks)} members by these numbers would flatter it"
    judged = {0: (prob, old)} | {number: (probability(risk), risk <= 0) for number, risk in risks.items()}
    rows = []
    for number, (own, new) in judged.items():
        cells = _cells(place, bad, old, new, len(groups) + 1)
        named: Named = [("auc", auc(bad, own, level=level), "")]
        named += _levels(cells, groups, problem, loss_given_default, level)
        if number:
            change = compare_auc(bad, prob, own, level=level).difference
            draws = multinomial_replicates(cells, replicates=replicates, seed=seed).reshape(-1, *cells.shape)
            named += [("auc_change", change, "")]
            named += _changes(cells, draws, groups, problem, loss_given_default, level)
        rows += [
            {"candidate": number, "measure": measure, **vars(estimate)}
            | {"note": "; ".join(filter(None, [note, told if number else ""]))}
            for measure, estimate, note in named
        ]
    return pl.DataFrame(rows, schema=JUDGED_SCHEMA)


def swap_sets(
    holdout: pl.DataFrame, risk: Floats, *, candidate: int, attributes: Sequence[str], level: float
) -> pl.DataFrame:
    """Return who gains and who loses by an alternative, by group of each attribute.

    Flows: approved_to_declined (the champion approves, the alternative does not) and declined_to_approved.
    `share` is of the group's applicants, default_rate of those in the flow, with Wilson's interval; null
    where nobody is. Outcomes must be known for the declined as well: where only the approved have one, the
    table is about those.

    `risk` as one of `holdout_risks`; `holdout` has default, the champion's approved and the attributes, in
    which a missing group is "not stated". Returns candidate, attribute, group, flow, applicants, share,
    default_rate, low, high, level, method.

    Raises:
        DataError: columns that are absent, values other than 0 and 1, or lengths that differ.
    """
    _require(holdout, ("default", "approved", *attributes))
    bad, told = checked_sample(holdout["default"].to_numpy(), scores={"risk": risk})
    old, new = holdout["approved"].to_numpy() == 1, told <= 0
    rows = []
    for attribute in attributes:
        labels = as_labels(holdout[attribute]).cast(pl.String).fill_null(NOT_STATED)
        for group in labels.unique().sort():
            inside = (labels == group).to_numpy()
            for flow, (before, after) in FLOWS.items():
                moved = inside & (old == before) & (new == after)
                applicants = int(moved.sum())
                found = vars(wilson(int(bad[moved].sum()), applicants, level=level))
                about = {"candidate": candidate, "attribute": attribute, "group": group, "flow": flow}
                about |= {"applicants": applicants, "share": applicants / int(inside.sum())}
                rows.append(about | {"default_rate": found.pop("value")} | found)
    return pl.DataFrame(rows, schema=SWAPS_SCHEMA)


def _require(frame: pl.DataFrame, names: Sequence[str]) -> None:
    absent = [name for name in dict.fromkeys(names) if name not in frame.columns]
    faults = [f"there is no column {name}{near_name(name, frame.columns)}" for name in absent]
    if "approved" in frame.columns:
        faults += binary_faults("approved", frame["approved"].to_numpy().astype(np.float64))
    raise_faults("The holdout cannot judge", faults)


def _places(attribute: pl.Series, groups: Sequence[str]) -> IntArray:
    """Return each applicant's place among the groups, and after the last for all others."""
    places = {name: place for place, name in enumerate(groups)}
    labels = as_labels(attribute).cast(pl.String)
    return labels.replace_strict(places, default=len(groups), return_dtype=pl.Int64).to_numpy()


def _cells(place: IntArray, bad: FloatArray, old: Flags, new: Flags, groups: int) -> IntArray:
    """Return the counts [groups, outcome, champion's decision, alternative's decision]."""
    cell = ((2 * place + bad.astype(np.int64)) * 2 + old) * 2 + new
    return np.bincount(cell, minlength=8 * groups).reshape(groups, 2, 2, 2)


def _approved(cells: IntArray) -> tuple[IntArray, IntArray]:
    """Return the approved by outcome [..., groups, 2], by the champion and by the alternative."""
    return cells[..., 1, :].sum(axis=-1), cells[..., 1].sum(axis=-1)


def _levels(
    cells: IntArray, groups: Sequence[str], problem: Problem, loss_given_default: float, level: float
) -> Named:
    approved = _approved(cells)[1]
    hits, totals = approved.sum(axis=-1), cells.sum(axis=(-3, -2, -1))
    rate = wilson(int(hits.sum()), int(totals.sum()), level=level)
    lost = wilson(int(approved[:, 1].sum()), int(hits.sum()), level=level)
    value, low, high = (
        None if end is None else end * loss_given_default for end in (lost.value, lost.low, lost.high)
    )
    reference = groups.index(problem.plan.reference_group)
    shares, others = hits / totals.clip(min=1), [at for at in range(len(groups)) if at != reference]
    gap = {at: float(shares[at] - shares[reference]) for at in others}
    named: Named = [
        ("approval_rate", rate, ""),
        ("realised_loss", Estimate(value, low, high, level, lost.method), ""),
    ]
    for measure, interval, worst in (
        ("adverse_impact_ratio", donner_zou_ratio, min(others, key=lambda at: gap[at])),
        ("selection_rate_difference", newcombe_difference, max(others, key=lambda at: abs(gap[at]))),
    ):
        numbers = [int(values[at]) for at in (worst, reference) for values in (hits, totals)]
        picked = f", the worst of {len(others)} judged groups; picking it exaggerates the gap"
        note = groups[worst] + (picked if len(others) > 1 else "")
        named.append((measure, interval(*numbers, level=level), note))
    return named


def _changes(
    cells: IntArray,
    draws: IntArray,
    groups: Sequence[str],
    problem: Problem,
    loss_given_default: float,
    level: float,
) -> Named:
    reference, measure = groups.index(problem.plan.reference_group), problem.plan.measure
    method = f"bootstrap, {len(draws)} replicates"
    value, drawn = (_disparity_change(part, reference, measure) for part in (cells, draws))
    cost, costs = (loss_given_default * _loss_change(part) for part in (cells, draws))
    return [
        ("disparity_change", percentile_estimate(float(value), drawn, level=level, method=method), ""),
        ("realised_loss_change", percentile_estimate(float(cost), costs, level=level, method=method), ""),
    ]


def _disparity_change(cells: IntArray, reference: int, measure: Disparity) -> FloatArray:
    """Return the alternative's disparity minus the champion's; the last place, all others, is left out."""
    totals = cells.sum(axis=(-3, -2, -1))[..., :-1]
    old, new = (
        disparity(part.sum(axis=-1)[..., :-1], totals, reference=reference, measure=measure)
        for part in _approved(cells)
    )
    return np.asarray(new - old)


def _loss_change(cells: IntArray) -> FloatArray:
    """Return the default rate among the alternative's approved minus that among the champion's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        old, new = (part[..., 1].sum(axis=-1) / part.sum(axis=(-2, -1)) for part in _approved(cells))
    return np.asarray(new - old)
