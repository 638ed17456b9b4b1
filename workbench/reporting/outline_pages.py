"""How a document prints its own outline: what it is expected to hold, where that is, and what is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from workbench.outlines import Outline, Point, load_outlines
from workbench.packs import Pack, load_packs
from workbench.params import Study
from workbench.report_params import Statement
from workbench.reporting.evidence import NOT_PROVIDED, Fact, plain_table
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.requirement_matrix import EVIDENCED, LACKING, evidence_state
from workbench.reporting.tables import MISSING
from workbench.requirements import Evidence, Requirement, load_evidence
from workbench.statements import load_statements

_PEOPLE = "for people"  # the state of a point that no evidence of a run can answer


def outline_pages(study: Study, facts: Sequence[Fact], artifacts: Collection[str]) -> dict[str, str]:
    """Return for each document with an outline its points, the statements it is owed, and its scope.

    The pages are outline_<document>, owed_<document> and scope_<document>; `artifacts` are the names of all
    that the run holds, documents and manifest with them.
    """
    evidence, statements = load_evidence(), load_statements(study)
    packs = load_packs(study.data.packs)
    pages = {}
    for name, outline in load_outlines().items():
        pages[f"outline_{name}"] = _points_table(outline, evidence, facts, artifacts)
        pages[f"owed_{name}"] = _owed_table(outline, packs, statements)
        pages[f"scope_{name}"] = _scope(outline, study)
    return pages


def _points_table(
    outline: Outline, evidence: Mapping[str, Evidence], facts: Sequence[Fact], artifacts: Collection[str]
) -> str:
    rows = []
    for point in outline.points:
        state, why = _state(point, evidence, facts, artifacts)
        rows.append(
            {
                "point": f"**{escape_markdown(point.point)} {escape_markdown(point.title)}.** "
                + escape_markdown(point.asks),
                "where": f"@{point.section}",
                "state": state if state in (EVIDENCED, _PEOPLE) else f"**{state}**",
                "why": escape_markdown(why) or MISSING,
            }
        )
    return plain_table(rows, ["Point", "Here", "State", "Found"])


def _state(
    point: Point, evidence: Mapping[str, Evidence], facts: Sequence[Fact], artifacts: Collection[str]
) -> tuple[str, str]:
    if not point.evidence:
        return _PEOPLE, ""
    state, why = evidence_state([evidence[code] for code in point.evidence], facts, artifacts)
    return state, why.removeprefix(f"{LACKING}: ")


def _owed_table(outline: Outline, packs: Sequence[Pack], statements: Sequence[Statement]) -> str:
    """Return what the document's requirements ask people to state, and what they have."""
    asked = list(dict.fromkeys(name for point in outline.points for name in point.requirements))
    known = {one.id: one for pack in packs for one in pack.requirements}
    rows = [
        row for name in asked if name in known for row in _owed_rows(known[name], outline.roles, statements)
    ]
    return plain_table(rows, ["Requirement", "Who", "What is asked", "Stated"])


def _owed_rows(
    one: Requirement, roles: Sequence[str], statements: Sequence[Statement]
) -> list[dict[str, str]]:
    given = {said.role: said for said in statements if said.requirement == one.id}
    return [
        {
            "requirement": f"{one.id} {escape_markdown(one.title)}",
            "role": owed.role,
            "text": escape_markdown(owed.text),
            "stated": _stated(given[owed.role]) if owed.role in given else f"**{NOT_PROVIDED}**",
        }
        for owed in one.statements
        if not roles or owed.role in roles
    ]


def _stated(said: Statement) -> str:
    return f"{escape_markdown(said.text)} ({escape_markdown(said.author)}, {said.date})"


def _scope(outline: Outline, study: Study) -> str:
    """Return a warning where the study does not name the jurisdiction that asks for the document."""
    if not outline.pack or outline.pack in study.data.packs:
        return f"Outline: {escape_markdown(outline.source)}.\n"
    said = f"The study does not name the pack *{outline.pack}*, so nobody was asked for statements."
    return (
        f"Outline: {escape_markdown(outline.source)}.\n\n"
        f"::: {{.callout-warning}}\n## For orientation\n\n{said}\n:::\n"
    )
