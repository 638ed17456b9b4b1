"""Jurisdiction packs: which data a study may use, under which law, from which day."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import polars as pl
from pydantic import Field, ValidationError, ValidationInfo, field_validator

from workbench.errors import ParamsError, near_name
from workbench.fields import Section
from workbench.kinds import DataCategory
from workbench.params import ROOT
from workbench.requirements import Dated, Requirement, load_evidence, requirement_faults
from workbench.yaml_reader import read_mapping

FOLDER = ROOT / "params" / "jurisdictions"
# From the worst down: of several rules about a category the first of these is what counts.
PROHIBITED, CONSENT_MISSING, CONDITIONAL, CONSENT_GIVEN, ALLOWED = VERDICTS = (
    "prohibited",
    "consent needed, missing",
    "conditional",
    "consent needed, given by column",
    "allowed",
)
_CITED = ("instrument", "clause", "applies_from", "status", "role", "text")
_NAMES = ("source", "data_category", "pack", "verdict", "rule", *_CITED)
_SCHEMA = {name: pl.Date if name == "applies_from" else pl.String for name in _NAMES}

Text = Annotated[str, Field(min_length=1)]


class DataRule(Dated):
    """A rule about data categories, in force from `applies_from` to `applies_until`, both days included.

    `status` says how far it was checked: P primary text seen, Q seen as a quotation, S secondary source,
    M from memory. `role` owes the statement that a conditional rule asks for.
    """

    kind: Literal["data"]
    id: Annotated[str, Field(pattern=r"^[A-Z]{2}-\d{2}[a-z]?$")]
    categories: Annotated[list[DataCategory], Field(min_length=1)]
    effect: Literal["prohibited", "consent", "conditional"]
    role: Text | None = Field(default=None, validate_default=True)
    instrument: Text
    clause: Text
    source: Annotated[str, Field(pattern=r"^https://[a-z0-9.-]+\.[a-z]+(/\S*)?$")]
    status: Literal["P", "Q", "S", "M"]
    checked_on: date
    text: Text

    @field_validator("categories")
    @classmethod
    def _each_once(cls, categories: list[DataCategory]) -> list[DataCategory]:
        if len(set(categories)) < len(categories):
            raise ValueError("name each category once")
        return categories

    @field_validator("role")
    @classmethod
    def _who_states(cls, role: str | None, info: ValidationInfo) -> str | None:
        if (role is not None) != (info.data.get("effect") == "conditional") and "effect" in info.data:
            raise ValueError("a conditional rule, and no other, names the role that owes the statement")
        return role

    def verdict(self, *, consent: bool) -> str:
        """Return what the rule means for a source that has a consent column, or has none."""
        if self.effect == "consent":
            return CONSENT_GIVEN if consent else CONSENT_MISSING
        return self.effect


class Pack(Section):
    """The rules and requirements of one jurisdiction, and the day they were last checked as a whole.

    A pack of standards alone has no rules.
    """

    pack: Text
    title: Text
    checked_on: date
    rules: list[DataRule]
    requirements: list[Requirement] = Field(default_factory=list)

    def in_force(self, on: date) -> list[Requirement]:
        """Return the requirements that apply on a day."""
        return [one for one in self.requirements if one.in_force(on)]

    def is_stale(self, on: date) -> bool:
        """Say whether the pack was last checked more than a year before a day."""
        return (on - self.checked_on).days > 365


def load_pack(name: str, folder: Path = FOLDER) -> Pack:
    """Read a pack by name and check it; raises ParamsError with every fault found."""
    known = sorted(path.stem for path in folder.glob("*.yaml"))
    if name not in known:
        right = f"packs in {folder.name}/: {', '.join(known) or 'none'}"
        raise ParamsError(f"pack {name}: no such pack{near_name(name, known)}", [right])
    path = folder / f"{name}.yaml"
    values = read_mapping(path, right="a pack is a mapping with pack, title, checked_on and rules")
    faults = _pack_faults(values, name)
    try:
        pack = Pack.model_validate(values)
    except ValidationError as error:
        faults += [_fault(dict(detail), values) for detail in error.errors(include_url=False)]
    else:
        faults += requirement_faults(pack.requirements, list(load_evidence()))
    if faults:
        raise ParamsError(f"{path}: {len(faults)} fault(s) in the pack; nothing was run", faults)
    return pack


def load_packs(names: Sequence[str], folder: Path = FOLDER) -> list[Pack]:
    """Read several packs, each named once; raises ParamsError with the faults of all of them."""
    packs, errors = [], []
    for name in names:
        try:
            packs.append(load_pack(name, folder))
        except ParamsError as error:
            errors.append(error)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        faults = [fault for error in errors for fault in (error.summary, *error.faults)]
        raise ParamsError(f"{len(errors)} packs cannot be used; nothing was run", faults)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ParamsError(f"packs named twice: {', '.join(repeated)}", ["name each pack once"])
    return packs


def judge_sources(
    sources: Mapping[str, tuple[DataCategory, bool]],
    packs: Sequence[str],
    on: date,
    *,
    folder: Path = FOLDER,
) -> pl.DataFrame:
    """Judge each source under each pack on a day, by the worst verdict of the rules in force.

    `sources` maps a name to its data category and whether it has a consent column. Returns one row for each
    source and pack, in the order given: source, data_category, pack, verdict (one of `VERDICTS`) and of the
    deciding rule, the first by id among equals: rule (its id), instrument, clause, applies_from, status,
    role, text; all null where nothing is asked. Raises ParamsError for an unknown category or pack.
    """
    known = get_args(DataCategory)
    faults = [
        f"{source}: unknown data category {category!r}{near_name(category, known)}"
        for source, (category, _) in sources.items()
        if category not in known
    ]
    if faults:
        raise ParamsError(f"{len(faults)} unknown data categories; known are {', '.join(known)}", faults)
    loaded = load_packs(packs, folder)
    rows = [
        {"source": source, "data_category": category, **_judged(pack, category, consent, on)}
        for source, (category, consent) in sources.items()
        for pack in loaded
    ]
    return pl.DataFrame(rows, schema=_SCHEMA)


def prohibited(verdicts: pl.DataFrame) -> list[str]:
    """Return the sources that some pack prohibits, each once, in the order of the table."""
    return verdicts.filter(verdict=PROHIBITED)["source"].unique(maintain_order=True).to_list()


def permission_faults(verdicts: pl.DataFrame) -> list[str]:
    """Return a text for each verdict that stops a study: prohibited, or consent needed without a column."""
    stopping = verdicts.filter(pl.col("verdict").is_in([PROHIBITED, CONSENT_MISSING]))
    return [_stop(row) for row in stopping.iter_rows(named=True)]


def _judged(pack: Pack, category: DataCategory, consent: bool, on: date) -> dict[str, Any]:
    rules = [rule for rule in pack.rules if category in rule.categories and rule.in_force(on)]
    if not rules:
        return {"pack": pack.pack, "verdict": ALLOWED}
    worst = min(rules, key=lambda rule: (VERDICTS.index(rule.verdict(consent=consent)), rule.id))
    cited = worst.model_dump(include=set(_CITED))
    return {"pack": pack.pack, "verdict": worst.verdict(consent=consent), "rule": worst.id, **cited}


def _stop(row: Mapping[str, Any]) -> str:
    what, right = "needs recorded consent", "name its consent column or leave it out"
    if row["verdict"] == PROHIBITED:
        what, right = "is prohibited", "leave it out or set on_prohibited: drop"
    law = f"{row['instrument']} {row['clause']}, since {row['applies_from']} ({row['rule']}, {row['status']})"
    return f"{row['source']}: {row['data_category']} {what} under {row['pack']}: {law}; {right}"


def _pack_faults(values: Mapping[str, Any], name: str) -> list[str]:
    """Return what no single rule can know: the pack's name, ids repeated, ids of another country."""
    faults = []
    if values.get("pack", name) != name:
        faults.append(f"pack: received {values['pack']!r}; the file's name is {name}")
    rules = values.get("rules")
    if rules == [] and not values.get("requirements"):
        faults.append("rules: received []; a pack holds a rule or a requirement")
    entries = [rule for rule in rules if isinstance(rule, dict)] if isinstance(rules, list) else []
    ids = [str(rule["id"]) for rule in entries if "id" in rule]
    if repeated := sorted({rule for rule in ids if ids.count(rule) > 1}):
        faults.append(f"rules: ids used twice: {', '.join(repeated)}; give each rule its own")
    asked = values.get("requirements", [])
    named = [str(one["id"]) for one in asked if isinstance(one, dict) and "id" in one] if asked else []
    if len(prefixes := sorted({rule.partition("-")[0] for rule in [*ids, *named]})) > 1:
        faults.append(f"rules: ids begin with {', '.join(prefixes)}; a pack has one prefix")
    return faults


def _fault(detail: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    location = list(detail["loc"])
    where, received = _where(location, values), detail["input"]
    if detail["type"] == "extra_forbidden":
        parts: dict[str, type[Section]] = {"rules": DataRule, "requirements": Requirement}
        model = parts.get(str(location[0]), Pack)
        return f"{where}: unknown key{near_name(str(location[-1]), model.model_fields)}"
    if detail["type"] == "missing":
        return f"{where}: missing; the keys are explained in params/jurisdictions/us.yaml"
    message = detail["msg"].removeprefix("Value error, ")
    expected = re.findall(r"'([^']+)'", message) if detail["type"] == "literal_error" else []
    hint = near_name(str(received), expected)
    return f"{where}: received {received!r}; {message[0].lower()}{message[1:]}{hint}"


def _where(location: Sequence[Any], values: Mapping[str, Any]) -> str:
    """Name a place in a pack, a rule by its id where it has one, else by its number from 1."""
    parts = [str(part) for part in location]
    if len(location) > 1 and location[0] in ("rules", "requirements"):
        rule = values[location[0]][location[1]]
        parts[1] = str(rule["id"]) if isinstance(rule, dict) and "id" in rule else str(location[1] + 1)
    return ".".join(parts)
