"""What a validator found, and what people decided about findings: one YAML file of the study."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from workbench.errors import ParamsError, near_name
from workbench.fields import Date, Day, Section
from workbench.finding_rules import IN_ROW, FindingRules, entry_faults, load_finding_rules
from workbench.kinds import Role, Severity
from workbench.params import ROOT, Study
from workbench.requirements import Text
from workbench.yaml_reader import read_mapping


class OwnFinding(Section):
    """A finding of a person; closed, once it has a day, a name, evidence of the run and a reason."""

    id: Annotated[str, Field(pattern=r"^V\d{2,3}$")]
    title: Text
    condition: Text
    criterion: Text
    cause: Text
    effect: Text
    recommendation: Text
    severity: Severity
    owner: Role
    raised_on: Date
    author: Text
    due: Date
    closed_on: Day = ""
    closed_by: str = ""
    evidence: list[Text] = Field(default_factory=list)
    reason: str = ""

    @model_validator(mode="after")
    def _closed_as_a_whole(self) -> Self:
        closing = {name: getattr(self, name) for name in ("closed_on", "closed_by", "evidence", "reason")}
        lacking = [name for name, value in closing.items() if not value]
        if 0 < len(lacking) < len(closing):
            raise ValueError(f"what is closed has {', '.join(closing)}; it lacks {', '.join(lacking)}")
        for name in ("due", "closed_on"):
            if (day := getattr(self, name)) and day < self.raised_on:
                raise ValueError(f"{name} {day} is before it was raised ({self.raised_on})")
        return self


class Decision(Section):
    """What a person decided about a finding that a rule raised: accepted, or closed with evidence."""

    finding: Text
    subject: str = ""
    decision: Literal["accepted", "closed"]
    author: Text
    role: Role
    date: Date
    until: Day = ""
    evidence: list[Text] = Field(default_factory=list)
    reason: Text

    @model_validator(mode="after")
    def _closed_with_evidence(self) -> Self:
        if self.decision == "closed" and not self.evidence:
            raise ValueError("evidence is missing: name facts or artifacts of the run")
        if self.until and (self.decision == "closed" or self.until < self.date):
            raise ValueError(f"until {self.until}: an acceptance ends on its day or later, a closing never")
        return self


class Opinion(Section):
    """What the validator concludes of the model, and how far from its development they stand."""

    verdict: Literal["approved", "approved on conditions", "rejected"]
    text: Text
    independence: Text
    author: Text
    date: Date
    next_review: Date


class OwnFindings(Section):
    """A file of findings and decisions, and the validator's opinion where there is one."""

    opinion: Opinion | None = None
    findings: list[OwnFinding] = Field(default_factory=list)
    decisions: list[Decision] = Field(default_factory=list)

    def evidence_faults(self, known: Collection[str]) -> list[str]:
        """Return what is named as evidence and is neither a fact nor an artifact of the run."""
        named = [(one.id, one.evidence) for one in self.findings]
        named += [(f"{one.finding} {one.subject}".strip(), one.evidence) for one in self.decisions]
        return [
            f"{finding}: evidence {name}: no fact or artifact of the run{near_name(name, known)}"
            for finding, names in named
            for name in names
            if name not in known
        ]


def load_own_findings(study: Study) -> OwnFindings:
    """Return the findings and decisions of the file that the study names; none, if it names none.

    Raises:
        ParamsError: no such file, an unknown rule, an id or a decision twice, a closing without evidence, an
            owner who decides about what they owe. All faults at once.
    """
    rules, name = load_finding_rules(), study.report.findings_from
    if not name:
        return OwnFindings()
    path = ROOT / name
    if not path.is_file():
        raise ParamsError(f"report.findings_from: {name}: no such file; nothing was run")
    values = read_mapping(path, right="findings and decisions are lists of entries")
    try:
        found = OwnFindings.model_validate(values)
        faults = list(_faults(found, rules))
    except ValidationError as error:
        kinds = (OwnFindings, OwnFinding, Decision, Opinion)
        faults = entry_faults(error, [key for kind in kinds for key in kind.model_fields])
    if faults:
        raise ParamsError(f"{name}: {len(faults)} fault(s) in the findings; nothing was run", faults)
    return found


def _faults(found: OwnFindings, rules: FindingRules) -> Iterator[str]:
    ids = [one.id for one in found.findings]
    yield from (f"{name}: two findings have this id" for name in sorted({i for i in ids if ids.count(i) > 1}))
    seen: set[tuple[str, str]] = set()
    for one in found.decisions:
        key, rule = (one.finding, one.subject), rules.rules.get(one.finding)
        if rule is None:
            yield f"{one.finding}: no rule has this id{near_name(one.finding, rules.rules)}"
        elif one.role == rule.owner or (rule.owner == IN_ROW and one.role != "validator"):
            yield f"{one.finding}: the {one.role} owes it; someone else decides, such as the validator"
        if key in seen:
            yield f"{one.finding} {one.subject}: two decisions; one is right"
        seen.add(key)


def check_previous_run(study: Study, folder: Path) -> None:
    """Refuse a run to go on from that is not beside the new one; `folder` is that of the new run.

    Raises:
        ParamsError: no such run, or the run itself.
    """
    name = study.report.previous_run
    known = sorted(path.parent.name for path in folder.parent.glob("*/manifest.json"))
    others = [other for other in known if other != folder.name]
    if name and name not in others:
        right = f"runs beside it: {', '.join(others) or 'none'}"
        raise ParamsError(f"report.previous_run: {name}: no such run; nothing was run", [right])
