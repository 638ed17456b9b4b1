"""What a scorer may be given: the contract of its features, and what becomes of values beyond it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats

OutOfContract = Literal["refuse", "flag"]
FLAGS = ("contract", "unseen", "missing", "source", "extreme")
"""In a row's number of flags the bit of each is its place here."""
CONTRACT, UNSEEN, MISSING, SOURCE, EXTREME = (1 << place for place in range(len(FLAGS)))
REVIEWED = CONTRACT | UNSEEN | MISSING | EXTREME
"""Flags that send an applicant to a person; a source that some have never had is no reason to."""
MOST_LEVELS = 12
_ROUNDED = 2  # significant digits of the ends of what was seen, so that nobody's value is told


@dataclass(frozen=True)
class Field:
    """One feature as the scorer takes it.

    `minimum`, `maximum` and `may_be_missing` are the contract that the study states; `low` and `high` are
    what the development sample had, rounded outwards to two digits; `levels` are its values where they are
    whole and at most 12; `seen_missing`: whether anyone there had no value.
    """

    name: str
    unit: str
    source: str
    minimum: float | None
    maximum: float | None
    may_be_missing: bool
    low: float | None
    high: float | None
    levels: tuple[float, ...]
    seen_missing: bool


@dataclass(frozen=True)
class Contract:
    """The fields of a scorer in its order; `checked` judges a matrix of them."""

    fields: tuple[Field, ...]

    def flags(self, matrix: Floats) -> NDArray[np.uint8]:
        """Return the flags of each applicant [applicants] of a matrix [applicants, fields]; 0: none.

        contract: beyond what the study allows; unseen: a level that the development sample lacks; missing: a
        value is missing that nobody there lacked; source: all features of a source are missing; extreme:
        beyond what was seen there, by a value that is no level.
        """
        known = self._arrays
        absent = np.isnan(matrix)
        with np.errstate(invalid="ignore"):
            outside = (matrix < known.minimum) | (matrix > known.maximum) | (absent & known.needed)
            extreme = (matrix < known.low) | (matrix > known.high)
        levelled = matrix[:, known.levelled]
        seen = (levelled[:, :, np.newaxis] == known.levels).any(axis=2)
        unseen = ~(seen | absent[:, known.levelled]).all(axis=1)
        gone = np.zeros(len(matrix), dtype=bool)
        for places in known.sources:
            gone |= absent[:, places].all(axis=1)
        found = CONTRACT * outside.any(axis=1) + UNSEEN * unseen + SOURCE * gone
        found += MISSING * (absent & known.always).any(axis=1) + EXTREME * extreme.any(axis=1)
        return np.asarray(found, dtype=np.uint8)

    def faults(self, row: Floats) -> list[str]:
        """Return what of one applicant's values [fields] is beyond the contract; values are not told."""
        return [
            fault for field, value in zip(self.fields, row, strict=True) for fault in _faults(field, value)
        ]

    def as_list(self) -> list[dict[str, Any]]:
        """Return the fields as JSON; `load_contract` gives the contract back."""
        return [asdict(field) for field in self.fields]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields in order."""
        return tuple(field.name for field in self.fields)

    @cached_property
    def _arrays(self) -> _Arrays:
        return _Arrays.of(self.fields)


@dataclass(frozen=True)
class _Arrays:
    minimum: Floats
    maximum: Floats
    needed: NDArray[np.bool_]
    always: NDArray[np.bool_]
    low: Floats
    high: Floats
    levelled: NDArray[np.int64]
    levels: Floats
    sources: tuple[NDArray[np.int64], ...]

    @classmethod
    def of(cls, fields: Sequence[Field]) -> _Arrays:
        places: dict[str, list[int]] = {}
        for place, field in enumerate(fields):
            places.setdefault(field.source, []).append(place)
        return cls(
            np.array([-np.inf if field.minimum is None else field.minimum for field in fields]),
            np.array([np.inf if field.maximum is None else field.maximum for field in fields]),
            np.array([not field.may_be_missing for field in fields]),
            np.array([not field.seen_missing for field in fields]),
            np.array([-np.inf if field.levels or field.low is None else field.low for field in fields]),
            np.array([np.inf if field.levels or field.high is None else field.high for field in fields]),
            np.array([place for place, field in enumerate(fields) if field.levels], dtype=np.int64),
            _padded([field.levels for field in fields if field.levels]),
            tuple(np.array(of) for of in places.values()),
        )


def contract_of(
    development: pl.DataFrame,
    catalogue: pl.DataFrame,
    names: Sequence[str],
    rules: Mapping[str, Mapping[str, Any]],
) -> Contract:
    """Return the contract of the features `names`: what the study states, what the development sample had.

    `catalogue` has feature, unit and source; `rules` the study's contract by feature: minimum, maximum,
    missing. Raises DataError for a sample without applicants.
    """
    if not development.height:
        raise DataError("the development sample has no applicants, so nothing is known of its values")
    about = {row["feature"]: row for row in catalogue.iter_rows(named=True)}
    return Contract(tuple(_field(development[name], about[name], rules.get(name, {})) for name in names))


def load_contract(fields: Sequence[Mapping[str, Any]]) -> Contract:
    """Return the contract from the JSON of `Contract.as_list`."""
    return Contract(tuple(Field(**{**field, "levels": tuple(field["levels"])}) for field in fields))


def flag_names(flags: int) -> list[str]:
    """Return the names of a row's flags."""
    return [name for place, name in enumerate(FLAGS) if flags >> place & 1]


def flag_texts(flags: NDArray[np.uint8]) -> pl.Series:
    """Return the names of each row's flags, separated by blanks; empty: none."""
    texts = pl.Series([" ".join(flag_names(number)) for number in range(1 << len(FLAGS))])
    return texts.gather(pl.Series(flags, dtype=pl.UInt32)).alias("flags")


def _field(values: pl.Series, about: Mapping[str, Any], rule: Mapping[str, Any]) -> Field:
    known = values.cast(pl.Float64).fill_nan(None).drop_nulls()
    distinct = known.unique().sort()
    ends = (float(distinct[0]), float(distinct[-1])) if distinct.len() else None
    whole = bool((distinct == distinct.round(0)).all()) and 0 < distinct.len() <= MOST_LEVELS
    return Field(
        name=about["feature"],
        unit=about["unit"],
        source=about["source"],
        minimum=rule.get("minimum"),
        maximum=rule.get("maximum"),
        may_be_missing=rule.get("missing", True),
        low=_outwards(ends[0], down=True) if ends else None,
        high=_outwards(ends[1], down=False) if ends else None,
        levels=tuple(distinct.to_list()) if whole else (),
        seen_missing=known.len() < values.len(),
    )


def _padded(levels: Sequence[tuple[float, ...]]) -> Floats:
    """Return the levels of each field that has some [fields, 12], NaN where it has fewer."""
    padded = np.full((len(levels), MOST_LEVELS), np.nan)
    for row, of in zip(padded, levels, strict=True):
        row[: len(of)] = of
    return padded


def _outwards(value: float, *, down: bool) -> float:
    if value == 0:
        return 0.0
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - _ROUNDED + 1)
    return float((np.floor if down else np.ceil)(value / unit) * unit)


def _faults(field: Field, value: float) -> Iterator[str]:
    unit = f" {field.unit}" if field.unit else ""
    if np.isnan(value):
        if not field.may_be_missing:
            yield f"{field.name}: missing; the contract needs a value"
        return
    if field.minimum is not None and value < field.minimum:
        yield f"{field.name}: below the contract's minimum of {field.minimum:g}{unit}"
    if field.maximum is not None and value > field.maximum:
        yield f"{field.name}: above the contract's maximum of {field.maximum:g}{unit}"
