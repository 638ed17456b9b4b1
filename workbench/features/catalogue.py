"""The feature catalogue: what each feature is, where it comes from and which way it should point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

import narwhals as nw
import polars as pl

from workbench.errors import ParamsError, near_name
from workbench.features.windows import Aggregate, Value

Monotone = Literal[-1, 0, 1]
_NAMES_SHOWN = 60


@dataclass(frozen=True)
class DeclaredFeature:
    """A column of the applicants or the bureau table that the study declares to be a feature."""

    name: str
    definition: str
    unit: str
    monotone: Monotone
    data_category: str


@dataclass(frozen=True)
class SourceView:
    """What feature code knows of a source: `columns` are the optional columns that it has."""

    name: str
    kind: str
    data_category: str
    needs_consent: bool = False
    columns: tuple[str, ...] = ()
    declared: tuple[DeclaredFeature, ...] = ()


@dataclass(frozen=True)
class Feature:
    """One feature: its expression over the aggregates of one applicant, and what a reader must know.

    `monotone` is the expected direction: +1 "higher value, higher PD", -1 "higher value, lower PD", 0 none.
    `aggregates` are those that `value` reads; `absent` is the value of an applicant of whom the source holds
    nothing, None for missing.
    """

    name: str
    family: str
    definition: str
    unit: str
    monotone: Monotone
    value: nw.Expr
    source: str
    kind: str
    data_category: str
    aggregates: tuple[Aggregate, ...] = ()
    absent: float | None = None


def feature_of(
    view: SourceView,
    measure: str,
    family: str,
    definition: str,
    unit: str,
    monotone: Monotone,
    value: Value,
    *,
    absent: float | None = None,
) -> Feature:
    """Return the feature `<source>_<measure>`; without consent every value is missing, also `absent` ones."""
    return Feature(
        name=f"{view.name}_{measure}",
        family=family,
        definition=f"{view.name.replace('_', ' ')}: {definition}",
        unit=unit,
        monotone=monotone,
        value=value.expression,
        source=view.name,
        kind=view.kind,
        data_category=view.data_category,
        aggregates=value.aggregates,
        absent=None if view.needs_consent else absent,
    )


def select_features(patterns: Sequence[str], available: Sequence[Feature]) -> tuple[Feature, ...]:
    """Return the features that names or patterns (`*`, `electricity_*`) name, each once, in the order asked for.

    What one pattern matches comes in the catalogue's order. Raises ParamsError with every pattern that
    matches nothing.
    """
    matches = {
        pattern: [feature for feature in available if fnmatchcase(feature.name, pattern)]
        for pattern in patterns
    }
    names = [feature.name for feature in available]
    faults = [
        f"features.selected: {pattern!r} is not in the catalogue{near_name(pattern, names)}"
        for pattern, matched in matches.items()
        if not matched
    ]
    if faults:
        known = ", ".join(names[:_NAMES_SHOWN]) + (", ..." if len(names) > _NAMES_SHOWN else "")
        raise ParamsError(f"{len(faults)} unknown feature(s)", [*faults, f"known: {known}"])
    return tuple({feature.name: feature for matched in matches.values() for feature in matched}.values())


def catalogue_table(features: Sequence[Feature]) -> pl.DataFrame:
    """Return feature, family, definition, source, data_category, unit and monotone, one row per feature."""
    columns = ("name", "family", "definition", "source", "data_category", "unit", "monotone")
    rows = [{column: getattr(feature, column) for column in columns} for feature in features]
    return pl.DataFrame(rows).rename({"name": "feature"})
