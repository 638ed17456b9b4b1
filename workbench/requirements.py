"""What the law asks of a model, one dated entry each: how it is answered, and who must state what."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from workbench.errors import near_name
from workbench.fields import Section, once
from workbench.kinds import Role, Tier
from workbench.params import ROOT
from workbench.yaml_reader import read_mapping

EVIDENCE = ROOT / "params" / "evidence" / "kinds.yaml"
TIERS: tuple[Tier, ...] = get_args(Tier)
DRAFT: Final = "draft"
Standing = Literal["in force", "voluntary", "draft"]
"""Law or guidance as issued, a standard that one may choose to follow, no more than proposed."""
Checked = Literal["P", "Q", "S", "M"]
"""Primary text seen, seen as a quotation, secondary source, from memory."""
Text = Annotated[str, Field(min_length=1)]
Code = Annotated[str, Field(pattern=r"^E\d{2}$")]
Address = Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+\.[a-z]+(/\S*)?$")]


class Owed(Section):
    """A statement that only a person can make, and the role that owes it."""

    role: Role
    text: Text


class Dated(Section):
    """What applies from a first day to a last one, both included; null: no end is known.

    `note`: what was read to check it, and where that is not what `source` leads to.
    """

    applies_from: date
    applies_until: date | None
    note: str = ""

    @field_validator("applies_until")
    @classmethod
    def _not_before(cls, until: date | None, info: ValidationInfo) -> date | None:
        if until is not None and until < info.data.get("applies_from", until):
            raise ValueError(f"nothing ends before it applies ({info.data['applies_from']})")
        return until

    def in_force(self, on: date) -> bool:
        """Say whether it applies on a day."""
        return self.applies_from <= on and (self.applies_until is None or on <= self.applies_until)


class Requirement(Dated):
    """What an instrument asks of a model, from `applies_from` to `applies_until`, both days included.

    `standing`: a draft asks nothing yet, and its first day is the one on which it was made public; `tier`:
    the lowest materiality from which it is asked; `only_where`: the condition under which it applies at all,
    for a person to judge; `evidence`: codes of params/evidence/kinds.yaml; `tests`: the catalogue's own.
    """

    id: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{2}[a-z]?$")]
    title: Text
    instrument: Text
    clause: Text
    date_status: Checked
    standing: Standing = "in force"
    tier: Tier
    only_where: str
    evidence: Annotated[list[Code], AfterValidator(once)]
    tests: list[Annotated[str, Field(pattern=r"^T\d{2}$")]]
    statements: list[Owed]
    source: Address
    status: Checked
    checked_on: date
    text: Text

    def in_force(self, on: date) -> bool:
        """Say whether it applies on a day; a draft never does."""
        return self.standing != DRAFT and super().in_force(on)


class Evidence(Section):
    """What answers a requirement: patterns of fact ids, artifacts of a run, and what no run produces yet."""

    title: Text
    facts: list[Text] = Field(default_factory=list)
    artifacts: list[Text] = Field(default_factory=list)
    lacking: list[Text] = Field(default_factory=list)


def load_evidence() -> dict[str, Evidence]:
    """Return the kinds of evidence by their code, such as E06."""
    values = read_mapping(EVIDENCE, right="evidence is a mapping of codes")
    return {code: Evidence.model_validate(entry) for code, entry in values.items()}


def requirement_faults(requirements: list[Requirement], codes: list[str]) -> list[str]:
    """Return what no single requirement can know: overlapping periods of one id, evidence that is unknown."""
    faults = [
        f"{one.id}: unknown evidence {code}{near_name(code, codes)}"
        for one in requirements
        for code in one.evidence
        if code not in codes
    ]
    versions: dict[str, list[Requirement]] = {}
    for one in requirements:
        versions.setdefault(one.id, []).append(one)
    for name, several in versions.items():
        ordered = sorted(several, key=lambda one: one.applies_from)
        for earlier, later in pairwise(ordered):
            if earlier.applies_until is None or later.applies_from <= earlier.applies_until:
                until = earlier.applies_until or "no end"
                faults.append(
                    f"{name}: one version applies until {until}, the next from {later.applies_from}; "
                    "let the first end on the day before"
                )
    return faults
