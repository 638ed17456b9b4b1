"""What a search for alternatives is about: its plan, its candidates, and their models on the same rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import near_name
from workbench.fairness.alternative_methods import (
    METHODS,
    Model,
    Rows,
    crossed_decisions,
    cutoff_at,
    cutoffs,
    fit_classifier,
    method_table,
    rows_of,
)
from workbench.fairness.groups import as_labels, require_reference
from workbench.fairness.pareto import Disparity, disparity
from workbench.scorer import Floats
from workbench.statistics.samples import binary_faults, raise_faults

PLAIN = "features_and_settings"


@dataclass(frozen=True)
class Plan:
    """What is searched, for whom, and where the search starts.

    `names`: the champion's features, with the direction +1, -1 or 0 in which each may move the PD in
    `monotone`; `constrained`: whether the champion keeps to them. `base`: the champion's settings for
    XGBoost, trained for `rounds`; `space`: low and high of the settings that candidates vary. `orders`: by
    name, orders of features from the first to leave out, best from the fitting part (proxy strength, or the
    disparity carried); a candidate leaves out up to `most_left_out` of one. A group with fewer applicants,
    goods or bads than the minima in either part is not judged.
    """

    names: Sequence[str]
    monotone: Sequence[int]
    constrained: bool
    base: Mapping[str, Any]
    rounds: int
    space: Mapping[str, Sequence[float]]
    orders: Mapping[str, Sequence[str]]
    most_left_out: int
    attribute: str
    reference_group: str
    min_applicants: int
    min_defaults: int
    measure: Disparity = "selection_rate_difference"
    forbidden: tuple[str, ...] = ()
    analysis_only: bool = False


@dataclass(frozen=True)
class Candidate:
    """One way to build a model; candidate 0 is the champion's own, fitted on the same rows as the others."""

    method: str = PLAIN
    strength: float = 0.0
    order: str = ""
    left_out: int = 0
    monotone: bool = False
    settings: Mapping[str, float] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """Return what distinguishes the candidate, for a table."""
        strength = "" if self.method == PLAIN else f"strength {self.strength:.2f}"
        left = f"without the first {self.left_out} by {self.order.replace('_', ' ')}" if self.left_out else ""
        monotone = "monotone" if self.monotone else "free"
        settings = [f"{name} {value:.3g}" for name, value in sorted(self.settings.items())]
        return ", ".join(filter(None, [strength, left or "all features", monotone, *settings]))


@dataclass(frozen=True)
class Problem:
    """A search made ready: its plan, both parts as arrays, the judged groups and the champion's model."""

    plan: Plan
    groups: tuple[str, ...]
    fitting: Rows
    judging: Rows
    approval_rate: float
    champion: Model
    decided: Floats

    def fit(self, candidate: Candidate) -> Model:
        """Return the candidate fitted on the fitting part, its cutoffs set on the judging part."""
        return _fit(self.plan, candidate, self.fitting, self.judging, self.approval_rate, self.decided)

    def disparity(self, model: Model) -> float:
        """Return the disparity between the judged groups on the judging part; 1, the worst, if undefined."""
        rows, options = self.judging, {"approval_rate": self.approval_rate, "strength": model.apart}
        approved = crossed_decisions(model.margin(rows), rows.group, **options)
        inside = [rows.judged & (rows.group == name) for name in self.groups]
        hits = [int(np.sum(part & approved)) for part in inside]
        reference = self.groups.index(self.plan.reference_group)
        applicants = [int(part.sum()) for part in inside]
        found = float(disparity(hits, applicants, reference=reference, measure=self.plan.measure))
        return 1.0 if np.isnan(found) else found  # the reference group has none approved


def inner_split(
    development: pl.DataFrame, *, judged_share: float, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the parts of the development sample that fit and judge the search, by applicant_id at random.

    Rows of one applicant stay together. The champion was fitted on the judging part, its alternatives are
    not: where there is a sample that neither was fitted on, let that judge.
    """
    people = development["applicant_id"].unique().sort()
    judging = people.sample(round(judged_share * people.len()), seed=seed).implode()
    inside = pl.col("applicant_id").is_in(judging)
    return development.filter(~inside), development.filter(inside)


def prepare_search(fitting: pl.DataFrame, judging: pl.DataFrame, plan: Plan) -> Problem:
    """Return the search made ready, after checking it; the champion's own candidate is fitted here.

    Both frames have the features, default and the attribute, one row per applicant; `judging` has the
    champion's decisions as well, approved, whose rate every candidate keeps to. No row may be in both.

    Raises:
        ParamsError: a forbidden method that does not exist, or all forbidden.
        DataError: columns or features that are not there, orders that leave no feature, a champion that
            approves all or none, a reference group that is absent or too small, or no other group to judge.
    """
    method_table(plan.forbidden)
    raise_faults("The alternatives cannot be searched", _plan_faults(fitting, judging, plan))
    groups = judged_groups((fitting, judging), plan)
    approval_rate = float(judging["approved"].to_numpy().mean())
    pooled: dict[str, Any] = {"groups": groups, "reference": plan.reference_group}
    ours, judges = (
        rows_of(part, names=plan.names, attribute=plan.attribute, **pooled) for part in (fitting, judging)
    )
    champion = _fit(plan, Candidate(monotone=plan.constrained), ours, judges, approval_rate, np.zeros(0))
    # The reductions step away from these decisions, so they are at the same rate on the rows stepped on.
    margin = champion.margin(ours)
    decided = (margin <= cutoff_at(margin, approval_rate)).astype(np.float64)
    return Problem(plan, groups, ours, judges, approval_rate, champion, decided)


def _fit(
    plan: Plan, candidate: Candidate, fitting: Rows, judging: Rows, approval_rate: float, decided: Floats
) -> Model:
    from xgboost import XGBClassifier

    left_out = set(list(plan.orders[candidate.order])[: candidate.left_out]) if candidate.left_out else set()
    seen = np.array([place for place, name in enumerate(plan.names) if name not in left_out])
    settings = {**plan.base, **candidate.settings}
    if candidate.monotone:  # of the margin of goods, so that a direction of the PD is turned round
        settings["monotone_constraints"] = tuple(-plan.monotone[place] for place in seen)
    classifier = fit_classifier(
        XGBClassifier(n_estimators=plan.rounds, **settings),
        replace(fitting, features=fitting.features[:, seen]),
        method=candidate.method,
        strength=candidate.strength,
        decided=decided,
    )
    apart = candidate.strength if METHODS[candidate.method].needs_attribute_at_decision else 0.0
    margin = Model(classifier, seen, apart, {}).margin(judging)
    limits = cutoffs(margin, judging.group, approval_rate=approval_rate, strength=apart)
    return Model(classifier, seen, apart, limits)


def judged_groups(
    parts: Sequence[pl.DataFrame], plan: Plan, *, among: Collection[str] | None = None
) -> tuple[str, ...]:
    """Return the groups (of those in `among`) with enough applicants, goods and bads in every part, sorted.

    Raises DataError when the reference group is not one of them, or the only one.
    """
    least = pl.col("bads").ge(plan.min_defaults) & pl.col("goods").ge(plan.min_defaults)
    enough = [
        pl.DataFrame({"group": as_labels(part[plan.attribute]).cast(pl.String), "bad": part["default"]})
        .drop_nulls("group")
        .group_by("group")
        .agg(pl.len().alias("applicants"), bads=pl.col("bad").sum(), goods=(1 - pl.col("bad")).sum())
        .filter(pl.col("applicants") >= plan.min_applicants, least)
        .get_column("group")
        for part in parts
    ]
    known = set.intersection(*(set(names) for names in enough))
    groups = tuple(sorted(known if among is None else known & set(among)))
    require_reference(plan.reference_group, groups)
    alone = [f"{plan.attribute}: no group but {plan.reference_group!r} is large enough"]
    raise_faults("There is no disparity to lessen", alone if len(groups) < 2 else [])
    return groups


def _plan_faults(fitting: pl.DataFrame, judging: pl.DataFrame, plan: Plan) -> Iterator[str]:
    for part, frame in (("fitting", fitting), ("judging", judging)):
        wanted = [*plan.names, "default", plan.attribute, *(["approved"] if part == "judging" else [])]
        for name in wanted:
            if name not in frame.columns:
                yield f"{part}: there is no column {name}{near_name(name, frame.columns)}"
        for name in (name for name in ("default", "approved") if name in wanted and name in frame.columns):
            yield from binary_faults(f"{part}: {name}", frame[name].to_numpy().astype(np.float64))
    kept = sorted({"monotone_constraints", "interaction_constraints"} & set(plan.base))
    if kept:
        yield f"base holds {', '.join(kept)}, which are of all features; candidates leave features out"
    if plan.min_applicants < 2 or plan.min_defaults < 1:
        least = f"min_applicants is {plan.min_applicants} and min_defaults {plan.min_defaults}"
        yield f"{least}; a group needs 2 applicants, one for each half, a good and a default"
    for name, (low, high) in plan.space.items():
        if low > high:
            yield f"space: {name} goes from {low:g} to {high:g}; the low end comes first"
    if plan.attribute in plan.names:
        yield f"{plan.attribute} is judged and may not be a feature"
    if len(plan.monotone) != len(plan.names):
        yield f"{len(plan.monotone)} directions for {len(plan.names)} features; one for each is needed"
    if not plan.orders:
        yield "there is no order in which to leave features out; at least 1 is needed"
    for name, order in plan.orders.items():
        unknown = set(order) - set(plan.names)
        if unknown:
            yield f"order {name}: {len(unknown)} features are not the champion's"
        if not plan.most_left_out <= min(len(set(order)), len(plan.names) - 1):
            yield f"order {name} has {len(set(order))} features: {plan.most_left_out} cannot be left out"
    if "approved" in judging.columns and not 0 < judging["approved"].sum() < judging.height:
        yield f"the champion approves {judging['approved'].sum():,} of {judging.height:,} of the judging part"
