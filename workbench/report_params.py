"""The report's section of a study: what only people can say."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from workbench.fields import Date, Section, once
from workbench.kinds import Role, Tier
from workbench.sources import Name


class Statement(Section):
    """What a person states of a requirement, in the role that owes it, or that it does not apply and why."""

    requirement: str
    role: Role
    author: Annotated[str, Field(min_length=1)]
    date: Date
    text: Annotated[str, Field(min_length=1)]
    not_applicable: bool = False


class ReportParams(Section):
    """What only a person can say; an empty text prints as 'not provided'."""

    title: str
    notice: str
    owner: str
    purpose: str
    restrictions: str
    population: str
    limits: list[str]
    letters: dict[str, str]
    sample_letters: Annotated[list[Name], AfterValidator(once)]
    materiality: Tier
    statements: list[Statement]
    statements_from: str
    findings_from: str
    previous_run: str
    suppress_below: Annotated[int, Field(ge=0)]
