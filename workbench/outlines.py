"""What a document of its kind is expected to hold: its points, and the evidence and statements of each."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from workbench.fields import Section, once
from workbench.kinds import Role
from workbench.params import ROOT
from workbench.requirements import Code, Text
from workbench.yaml_reader import read_mapping

OUTLINES = ROOT / "params" / "evidence" / "outlines.yaml"


class Point(Section):
    """One thing that a document must hold, and the section, evidence and requirements that answer it."""

    point: Text
    title: Text
    asks: Text
    section: Annotated[str, Field(pattern=r"^sec-[a-z0-9-]+$")]
    evidence: Annotated[list[Code], AfterValidator(once)]
    requirements: Annotated[list[Text], AfterValidator(once)]


class Outline(Section):
    """The points of one document, whose outline it is, and whose statements it lists."""

    source: Text
    pack: str
    roles: list[Role]
    points: list[Point]


def load_outlines() -> dict[str, Outline]:
    """Return the outlines by the name of their document in reports/."""
    values = read_mapping(OUTLINES, right="outlines are a mapping of documents")
    return {name: Outline.model_validate(entry) for name, entry in values.items()}
