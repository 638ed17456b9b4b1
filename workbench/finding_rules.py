"""The rules by which a run raises findings against itself: what validators usually criticise, as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from string import Formatter
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from workbench.errors import ParamsError, near_name
from workbench.fields import Count, Section
from workbench.kinds import Role, Severity
from workbench.params import ROOT
from workbench.requirements import Text
from workbench.yaml_reader import read_mapping

RULES = ROOT / "params" / "evidence" / "findings.yaml"
IN_ROW = "in the row"
"""The owner that a rule names where its table has a column role."""
FORMATS = ("", "count", "people", "points", "share", "words")
"""How a placeholder prints: as it is, with separators, not below the study's least count, ..."""
Scalar = float | int | bool | str | None


class Condition(Section):
    """One test of one column of a row; a column that the table lacks is null.

    `is`, `is_not`: a value or null. `above`, `below`: a number, or the value of fact:ID, study:KEY or
    column:NAME.
    `like`, `unlike`: patterns of texts. `holds`, `excludes`: a number that the interval of the column has in
    it, or not; the interval is in <column>_low and <column>_high, or in low and high. `older`, `younger`:
    days before the day that the study is judged on, of a date or month. Null meets `is: null` and the
    negative ones, `is_not` and `unlike`.
    """

    column: Text = "value"
    is_: Scalar = Field(default=None, alias="is")
    is_not: Scalar = None
    above: float | int | str = 0
    below: float | int | str = 0
    like: Annotated[list[Text], Field(min_length=1)] = Field(default=["*"])
    unlike: Annotated[list[Text], Field(min_length=1)] = Field(default=["*"])
    holds: float | int = 0
    excludes: float | int = 0
    older: Count = 1
    younger: Count = 1

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if len(self.model_fields_set - {"column"}) != 1:
            raise ValueError(f"a condition has a column and one of {', '.join(_TESTS)}")
        for bound in (self.above, self.below):
            if isinstance(bound, str) and not bound.startswith(("fact:", "study:", "column:")):
                right = "a number, fact:ID, study:KEY or column:NAME is right"
                raise ValueError(f"received {bound!r}; {right}")
        return self

    @property
    def test(self) -> tuple[str, Any]:
        """The name of the test and what it tests against."""
        (name,) = self.model_fields_set - {"column"}
        return name.rstrip("_"), getattr(self, name)


_TESTS = [field.alias or name for name, field in Condition.model_fields.items() if name != "column"]


class Rule(Section):
    """A finding that a run raises where rows of a table meet every condition.

    `rows`: facts, study, lines, code, packs, permission, requirements, missing, owed, challenges, or an
    aggregate artifact. `raises`: by rows that meet the conditions ("some"), or where none does ("none").
    `per`: columns whose values tell findings of one rule apart; without any there is one. `each` words a row,
    `found` the finding: with {columns} of its first row (where none is met: of the table's last), {which} for
    its rows and {how_many}. `source`: where the criterion comes from; custom, if it is a judgement.
    """

    title: Text
    criticism: list[int]
    rows: Text
    where: list[Condition]
    raises: Literal["some", "none"] = "some"
    per: list[Text] = Field(default_factory=list)
    each: str = ""
    found: Text
    criterion: Text
    source: Text
    effect: Text
    recommendation: Text
    severity: Severity
    owner: Role | Literal["in the row"]

    @model_validator(mode="after")
    def _words(self) -> Self:
        for text in (self.each, self.found):
            if wrong := [spec for _, _, spec, _ in Formatter().parse(text) if (spec or "") not in FORMATS]:
                raise ValueError(f"{{...:{wrong[0]}}}: no format; {', '.join(FORMATS[1:])} are known")
        if bool(self.each) != ("{which}" in self.found):
            raise ValueError("found shows the rows as {which} where, and only where, each words a row")
        return self


class FindingRules(Section):
    """The rules by id, the days until a finding is due, and the criticisms that no machine here sees."""

    due_days: dict[Severity, Count]
    criticisms: dict[int, Text]
    not_seen: dict[int, Text]
    rules: dict[Annotated[str, Field(pattern=r"^F\d{2}$")], Rule]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if faults := list(self._faults()):
            raise ValueError("; ".join(faults))
        return self

    def _faults(self) -> Iterator[str]:
        if missing := set(get_args(Severity)) - set(self.due_days):
            yield f"due_days lacks {', '.join(sorted(missing))}"
        seen = {number for rule in self.rules.values() for number in rule.criticism}
        named, known = seen | set(self.not_seen), set(self.criticisms)
        if unknown := sorted(named - known):
            yield f"no criticism has the number {', '.join(map(str, unknown))}"
        if both := sorted(seen & set(self.not_seen)):
            yield f"criticism {', '.join(map(str, both))}: has a rule and is in not_seen; one is right"
        if neither := sorted(known - named):
            yield f"criticism {', '.join(map(str, neither))}: has no rule; say in not_seen why"


def load_finding_rules() -> FindingRules:
    """Read the rules and check them; raises ParamsError with every fault found."""
    values = read_mapping(RULES, right="due_days, criticisms, not_seen and rules are")
    try:
        return FindingRules.model_validate(values)
    except ValidationError as error:
        faults = entry_faults(error, [*Rule.model_fields, *FindingRules.model_fields, "column", *_TESTS])
    raise ParamsError(f"{RULES.name}: {len(faults)} fault(s) in the rules of findings", faults)


def entry_faults(error: ValidationError, keys: Sequence[str]) -> list[str]:
    """Return a text for each fault of a mapping of entries: where, what was received, and what is right."""
    return [_fault(dict(detail), keys) for detail in error.errors(include_url=False)]


def _fault(detail: Mapping[str, Any], keys: Sequence[str]) -> str:
    where = ".".join(map(str, detail["loc"])) or "as a whole"
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{near_name(str(detail['loc'][-1]), keys)}"
    if detail["type"] == "missing":
        return f"{where}: missing"
    message = detail["msg"].removeprefix("Value error, ")
    received = "" if isinstance(detail["input"], dict) else f"received {detail['input']!r}; "
    return f"{where}: {received}{message[0].lower()}{message[1:]}"
