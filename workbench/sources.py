"""What a study says about each of its sources: kind, place, columns, contract, data category, consent."""

from __future__ import annotations

import re
from glob import glob
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workbench.kinds import KINDS, ColumnType, DataCategory, Issue, KindName

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
_SECRET = re.compile(
    r"://[^/\s]*:[^/\s]+@|[?&][^=&#\s]*(pass|pwd|secret|token|key|sig|credential)[^=&#\s]*=", re.IGNORECASE
)
# Names that the data stage gives columns, and artifacts, of its own.
_OWN_COLUMNS = """source_id part application_time vintage left_out age_band age_days hour weekday month
    lag_days known day_only duplicate reason outcome"""
# Names that later stages give columns beside those of the applicants.
_RESULTS = "score sample thickness approved margin prob_default prob_default_scorecard"
_OWN_ARTIFACTS = """protected memberships judging truth truth_terms samples sources permission inventory
    identifiers quality ledger waterfall samples_table vintages groups representativeness facts notebook"""
_NUMBERS = ("money", "integer", "number", "flag")


def names_secret(text: str) -> bool:
    """Return whether a path or an address holds a password, token or key."""
    return bool(_SECRET.search(text))


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Rule(_Part):
    """The contract of one column: bounds, allowed values, whether it may be missing."""

    minimum: float | None = None
    maximum: float | None = None
    allowed: list[str] = []
    missing: bool = True

    @model_validator(mode="after")
    def _possible(self) -> Rule:
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise ValueError(f"minimum {self.minimum:g} is above maximum {self.maximum:g}")
        return self


class ColumnFeature(_Part):
    """A column that is a feature as it stands; `monotone` +1 reads "higher value, higher PD".

    Where the flag `consent` of the applicants' source is not 1, the value is missing.
    """

    definition: str
    unit: str
    monotone: Literal[-1, 0, 1] = 0
    data_category: DataCategory | None = None
    consent: str = ""


class Wide(_Part):
    """A ledger laid flat: for each standard column the source's columns in order, and the time of each."""

    times: Annotated[list[str], Field(min_length=1)]
    columns: dict[Name, list[str]]

    @model_validator(mode="after")
    def _as_many(self) -> Wide:
        uneven = [name for name, columns in self.columns.items() if len(columns) != len(self.times)]
        if uneven:
            raise ValueError(f"{', '.join(uneven)}: as many columns as times ({len(self.times)})")
        return self


class Source(_Part):
    """One source of a study.

    `columns` maps standard names to the source's own (the same where left out); `types` names further columns
    to read; what is named nowhere is never read.
    """

    kind: KindName
    path: str = ""
    query: str = ""
    database: str = ""
    format: Literal["auto", "parquet", "csv", "jsonl"] = "auto"
    encoding: str = "utf-8"
    time_zone: str = "UTC"
    time_format: str = ""
    columns: dict[Name, str] = {}
    types: dict[Name, ColumnType] = {}
    labels: dict[Name, dict[str, str]] = {}
    contract: dict[Name, Rule] = {}
    checks: dict[str, str] = {}
    wide: Wide | None = None
    minor_units: Annotated[int, Field(ge=1, le=10_000)] = 100
    data_category: DataCategory
    consent: str = ""
    identifiers: dict[Name, Literal["pseudonym", "drop", "keep"]] = {}
    severity: dict[str, Literal["stop", "quarantine", "warn"]] = {}
    features: dict[Name, ColumnFeature] = {}
    about: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Source:
        faults = [*self._place_faults(), *self._column_faults()]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def all_types(self) -> dict[str, ColumnType]:
        """The type of every column that is read, by standard name."""
        return {**KINDS[self.kind].columns, **self.types}

    def _place_faults(self) -> list[str]:
        faults = []
        if bool(self.path) == bool(self.query):
            faults.append(
                "give either path (a file, glob or URL) or query (with database), not both or neither"
            )
        if self.query and not self.database:
            faults.append(
                "a query needs database: a URI such as sqlite:///file.db, or $NAME of an environment variable"
            )
        if names_secret(f"{self.path} {self.database}"):
            faults.append("no password in params: put the URI into an environment variable and write $NAME")
        if self.time_zone not in available_timezones():
            faults.append(f"time_zone {self.time_zone}: no such zone; write UTC or such as Africa/Nairobi")
        if "%Z" in self.time_format:
            faults.append(
                "time_format: %Z, a zone's name, cannot be read; %z reads +0300, time_zone names one"
            )
        return faults

    def _column_faults(self) -> list[str]:
        known = set(self.all_types)
        mentioned = {
            "columns": set(self.columns),
            "labels": set(self.labels),
            "contract": set(self.contract),
            "features": set(self.features),
            "identifiers": set(self.identifiers),
            "wide": set(self.wide.columns) if self.wide else set(),
        }
        faults = [
            f"{where} names {', '.join(sorted(names - known))}: no column of {self.kind}; declare it in types"
            for where, names in mentioned.items()
            if names - known
        ]
        clashes = sorted(set(self.types) & set(KINDS[self.kind].columns))
        if clashes:
            faults.append(f"types repeats {', '.join(clashes)}: the kind {self.kind} fixes their types")
        reserved = {*_OWN_COLUMNS.split(), *(_RESULTS.split() if self.kind == "applicants" else ())}
        if taken := sorted(set(self.types) & reserved):
            faults.append(f"types: {', '.join(taken)}: the data stage uses these names; choose others")
        faults += self._rule_faults()
        issues = {*get_args(Issue), *known, *self.checks}
        if unknown := sorted(set(self.severity) - issues):
            faults.append(f"severity names {', '.join(unknown)}: no issue, column or check of this source")
        standard = sorted(set(self.features) & set(KINDS[self.kind].columns))
        if standard:
            faults.append(
                f"features: {', '.join(standard)}: standard columns are no features; name one of types"
            )
        if self.features and KINDS[self.kind].role == "events":
            faults.append(
                f"features: only columns of applicants and bureau are features as they stand, not {self.kind}"
            )
        if wrong := [n for n in self.features if self.all_types.get(n) not in _NUMBERS]:
            faults.append(f"features: {', '.join(wrong)} must be money, integer, number or flag")
        return faults

    def _rule_faults(self) -> list[str]:
        """Return the rules and labels that the type of their column has no use for."""
        types, faults = self.all_types, []
        for name, rule in self.contract.items():
            bounded = rule.minimum is not None or rule.maximum is not None
            if name in types and bounded and types[name] not in _NUMBERS:
                faults.append(f"contract.{name}: a {types[name]} has no minimum or maximum; numbers have")
            if name in types and rule.allowed and types[name] in ("time", "money", "number"):
                faults.append(f"contract.{name}: allowed values are for categories, not for {types[name]}")
        labelled = [name for name in self.labels if types.get(name) not in ("category", "text", "flag")]
        if labelled:
            faults.append(f"labels: {', '.join(labelled)}: only categories and flags have labels")
        return faults


def source_values(sources: dict[str, Any]) -> dict[str, Source]:
    """Return sources from the literals that a notebook's parameters cell holds."""
    return {name: Source.model_validate(values) for name, values in sources.items()}


def applicants_source(sources: dict[str, Source]) -> Source | None:
    """Return the source of kind applicants, if there is one."""
    return next((source for source in sources.values() if source.kind == "applicants"), None)


def check_sources(sources: dict[str, Source]) -> dict[str, Source]:
    """Check what sources say of one another: one applicants table, one card ledger, known consent columns."""
    faults = []
    for kind in ("applicants", "statements"):
        found = [name for name, source in sources.items() if source.kind == kind]
        if len(found) > 1 or (kind == "applicants" and not found):
            faults.append(
                f"{len(found)} sources of kind {kind}; a study has {'exactly' if not found else 'only'} one"
            )
    table = applicants_source(sources)
    for name, source in sources.items():
        if (source.kind == "applicants") != (name == "applicants"):
            faults.append(f"{name}: the source of kind applicants, and no other, is named applicants")
        if name in _OWN_ARTIFACTS.split() or name.endswith("_set_aside"):
            faults.append(f"{name}: the data stage saves something of that name; choose another")
        if source.consent and source.kind != "applicants" and source.consent in source.all_types:
            faults.append(f"{name}.consent: {source.consent} is a column of {name} too; name that otherwise")
        if source.consent and table and table.types.get(source.consent) != "flag":
            faults.append(
                f"{name}.consent: {source.consent} is no flag in the types of the applicants' source"
            )
    if faults:
        raise ValueError("; ".join(faults))
    return sources


def judged_attributes(protected: list[str]) -> list[str]:
    """Return the attributes that fairness judges: the protected ones, with age or birth_date as age bands."""
    return ["age_band" if name in ("age", "birth_date") else name for name in protected]


def local_files(source: Source, root: Path) -> list[Path]:
    """Return the files of a source that lie on this machine; none for a URL or a query."""
    if not source.path or "://" in source.path or "::" in source.path:
        return []
    pattern = source.path if Path(source.path).is_absolute() else str(root / source.path)
    found = (Path(match) for match in glob(pattern, recursive=True))  # noqa: PTH207 (may be absolute)
    return sorted(path for path in found if path.is_file())
