"""The evidence matrix: what each requirement of the packs asks, what answers it, and what is still owed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import Any

import polars as pl

from workbench.kinds import Tier
from workbench.packs import Pack
from workbench.report_params import Statement
from workbench.reporting.evidence import Fact
from workbench.requirements import DRAFT, TIERS, Evidence, Requirement

BELOW, LACKING, OPEN, UNSETTLED = "below the line", "no evidence", "open statement", "not settled"
EVIDENCED, NOT_ASKED, NOT_YET = "evidenced", "not applicable", "not yet in force"
STATES = (BELOW, LACKING, UNSETTLED, OPEN, EVIDENCED, NOT_ASKED, NOT_YET, DRAFT)
"""What can be said of a requirement, from the worst."""
MATRIX = pl.Schema(
    dict.fromkeys(("pack", "id", "title", "instrument", "clause"), pl.String)
    | {"applies_from": pl.Date}
    | dict.fromkeys(("status", "standing", "source", "text", "only_where", "state", "why", "owed"), pl.String)
    | dict.fromkeys(("evidence", "missing", "roles"), pl.List(pl.String))
)


@dataclass(frozen=True)
class Case:
    """What requirements are judged by: the day, the model's materiality, and all that can answer them."""

    on: date
    materiality: Tier
    evidence: Mapping[str, Evidence]
    facts: Sequence[Fact]
    artifacts: Collection[str]
    statements: Sequence[Statement]


def requirement_matrix(packs: Sequence[Pack], case: Case) -> pl.DataFrame:
    """Return one row for each requirement in force, or to come, on a day.

    State, from the worst: "below the line" (a fact that answers it does not hold its line), "no evidence" (a
    fact or artifact is not in the run, or no run produces it), "not settled" (a line inside an interval),
    "open statement" (a role has not stated what it owes), "evidenced"; and "not applicable" (a person says
    why, or the model's materiality is lower than where the requirement starts), "not yet in force" and
    "draft", of which nothing is asked. `why` tells all that was found, not the worst alone; `owed` the
    statements that are open, by role. Of what is asked, `missing` lists the evidence that is not there and
    `roles` those who owe a statement.
    """
    rows = []
    for pack in packs:
        for one in pack.requirements:
            draft = one.standing == DRAFT
            over = one.applies_until is not None and one.applies_until < case.on
            if over or (draft and one.applies_from > case.on):
                continue
            row = one.model_dump(include={*MATRIX.names()} - {"evidence"}) | {"evidence": one.evidence}
            open_to = [] if draft else still_owed(one, case.statements)
            owed = "; ".join(f"{role}: {text}" for role, text in open_to)
            rows.append({"pack": pack.pack, **row, **_judged(one, case), "owed": owed})
    return pl.DataFrame([{name: row[name] for name in MATRIX} for row in rows], schema=MATRIX)


def state_counts(matrix: pl.DataFrame) -> pl.DataFrame:
    """Return pack and the number of its requirements in each state, in the order of `STATES`."""
    counted = matrix.group_by("pack", maintain_order=True).agg(
        pl.col("state").eq(state).sum().alias(state) for state in STATES
    )
    return counted.with_columns(requirements=pl.sum_horizontal(STATES))


def answers(evidence: Evidence, facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts of a run that a kind of evidence names."""
    return [fact for fact in facts if any(fnmatchcase(fact["id"], pattern) for pattern in evidence.facts)]


def _judged(one: Requirement, case: Case) -> dict[str, Any]:
    """Return state, why, and of what is asked the evidence that is missing and the roles that owe."""
    if reason := _not_asked(one, case):
        return {"state": reason[0], "why": reason[1], "missing": [], "roles": []}
    kinds = [case.evidence[code] for code in one.evidence]
    roles = sorted({role for role, _ in still_owed(one, case.statements)})
    state, why = evidence_state(kinds, case.facts, case.artifacts, roles)
    missing = list(_missing(kinds, case.facts, case.artifacts))
    return {"state": state, "why": why, "missing": missing, "roles": roles}


def _not_asked(one: Requirement, case: Case) -> tuple[str, str] | None:
    """Return the state of a requirement that asks nothing of this model on this day, and why."""
    if one.standing == DRAFT:
        return DRAFT, "asks nothing until it is issued"
    if one.applies_from > case.on:
        return NOT_YET, f"from {one.applies_from}"
    if said := [s for s in case.statements if s.requirement == one.id and s.not_applicable]:
        return NOT_ASKED, f"{said[0].text} ({said[0].role}, {said[0].author}, {said[0].date})"
    if TIERS.index(one.tier) > TIERS.index(case.materiality):
        return NOT_ASKED, f"asked of models of {one.tier} materiality, this one is {case.materiality}"
    return None


def evidence_state(
    kinds: Sequence[Evidence], facts: Sequence[Fact], artifacts: Collection[str], owed_by: Sequence[str] = ()
) -> tuple[str, str]:
    """Return the worst state that kinds of evidence and open statements give, and all that was found."""
    found = {
        BELOW: _lines(kinds, facts, "no"),
        LACKING: list(_missing(kinds, facts, artifacts)),
        UNSETTLED: _lines(kinds, facts, "unknown"),
        OPEN: list(owed_by),
    }
    told = [f"{state}: {', '.join(what)}" for state, what in found.items() if what]
    return next((state for state, what in found.items() if what), EVIDENCED), "; ".join(told)


def _lines(kinds: Sequence[Evidence], facts: Sequence[Fact], met: str) -> list[str]:
    named = {fact["id"]: fact for kind in kinds for fact in answers(kind, facts)}
    return [name for name, fact in named.items() if fact["met"] == met]


def _missing(kinds: Sequence[Evidence], facts: Sequence[Fact], artifacts: Collection[str]) -> Iterable[str]:
    ids = [fact["id"] for fact in facts]
    for kind in kinds:
        yield from (f for f in kind.facts if not any(fnmatchcase(name, f) for name in ids))
        yield from (name for name in kind.artifacts if name not in artifacts)
        yield from kind.lacking


def still_owed(one: Requirement, statements: Sequence[Statement]) -> list[tuple[str, str]]:
    """Return role and text of the statements of a requirement that nobody has given."""
    given = {(s.requirement, s.role) for s in statements}
    return [(owed.role, owed.text) for owed in one.statements if (one.id, owed.role) not in given]
