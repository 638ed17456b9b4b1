"""From a source's own columns to the standard ones: names, types, times, money, labels, contract."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import polars as pl
from polars.exceptions import PolarsError

from workbench.errors import DataError, near_name
from workbench.kinds import KINDS, ColumnType
from workbench.sources import Rule, Source

FAULTS = "_fault_"
_ISO = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f")
_ISO_ZONED = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f%#z")
_ZONE = re.compile(r"%[#:]*z|%\+")
_CLOCK = re.compile(r"[ T]*%[-_0]?[HIkl]")
_DAY_ZERO = datetime(1990, 1, 1)  # earlier stamps are a system's zero, not a time
_YES = ("true", "yes", "y", "1", "1.0", "t")
_NO = ("false", "no", "n", "0", "0.0", "f")


@dataclass(frozen=True)
class Standard:
    """A source in standard columns, with a flag for every contract: `fault(i)` says where the i-th is broken.

    `contracts` names them: a column, or one of the source's checks.
    """

    table: pl.LazyFrame
    contracts: tuple[str, ...]
    columns: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True)
class Opened:
    """A source that could be opened: as the study describes it, raw, and in standard columns."""

    source: Source
    raw: pl.LazyFrame
    standard: Standard


def standardise(name: str, source: Source, raw: pl.LazyFrame) -> Standard:
    """Rename, convert and label the columns of a source and mark the rows that break its contract.

    Times become UTC without a zone, money whole minor units (Int64), flags 0 or 1, ids text. What cannot be
    converted is missing and marked. Raises DataError when columns are absent or cannot be what they should.
    """
    schema = raw.collect_schema()
    flat = _flat(name, source, raw, schema)
    own = {column: _own(source, column) for column in source.all_types}
    kind = KINDS[source.kind]
    present = {c: o for c, o in own.items() if o in flat.collect_schema()}
    absent = [own[c] for c in own if c not in present and c not in kind.optional and c != "recorded_time"]
    faults = [
        f"{name}: no column {column!r}{near_name(column, list(schema))}; map it under columns"
        for column in absent
    ]
    faults += _type_faults(name, source, flat.collect_schema(), present)
    if faults:
        raise DataError(f"source {name}: {len(faults)} column(s) at fault", faults)
    values = {c: _value(source, c, pl.col(o), flat.collect_schema()[o]) for c, o in present.items()}
    broken = {c: _broken(source, c, pl.col(o), values[c]) for c, o in present.items()}
    typed = flat.select(**values)
    checks = {check: _check(name, check, text, typed) for check, text in source.checks.items()}
    flags = {f"{FAULTS}{i}": flag.fill_null(False) for i, flag in enumerate(broken.values())}
    table = flat.select(**values, **flags)
    held = {f"{FAULTS}{len(flags) + i}": ~flag for i, flag in enumerate(checks.values())}
    return Standard(
        table.with_columns(**held),
        (*broken, *checks),
        tuple(values),
        tuple(sorted(set(schema) - set(present.values()) - _wide_columns(source))),
    )


def fault(index: int) -> pl.Expr:
    """Return whether a row breaks the contract with this index."""
    return pl.col(f"{FAULTS}{index}")


def utc(value: pl.Expr, zone: str) -> pl.Expr:
    """Return a zoneless time of a zone as zoneless UTC; times that a clock change skips are missing."""
    if zone == "UTC":
        return value
    zoned = value.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def utc_day(value: pl.Expr, zone: str) -> pl.Expr:
    """Return the start of a zone's day as zoneless UTC; an hour later where a clock change skips midnight."""
    return pl.coalesce(utc(value, zone), utc(value + pl.duration(hours=1), zone))


def local(value: pl.Expr, zone: str) -> pl.Expr:
    """Return a zoneless UTC time as the zoneless time of a zone."""
    if zone == "UTC":
        return value
    return value.dt.replace_time_zone("UTC").dt.convert_time_zone(zone).dt.replace_time_zone(None)


def _own(source: Source, column: str) -> str:
    return source.columns.get(column, column)


def _wide_columns(source: Source) -> set[str]:
    return (
        {column for columns in source.wide.columns.values() for column in columns} if source.wide else set()
    )


def _flat(name: str, source: Source, raw: pl.LazyFrame, schema: pl.Schema) -> pl.LazyFrame:
    """Turn a ledger laid flat into one row per time."""
    if source.wide is None:
        return raw
    key = _own(source, "applicant_id")
    missing = sorted({key, *_wide_columns(source)} - set(schema))
    if missing:
        raise DataError(f"source {name}: wide columns", [f"no column {column!r}" for column in missing])
    parts = [
        raw.select(
            pl.col(key),
            pl.lit(time).alias(_own(source, "event_time")),
            *(pl.col(columns[i]).alias(_own(source, c)) for c, columns in source.wide.columns.items()),
        )
        for i, time in enumerate(source.wide.times)
    ]
    return pl.concat(parts)


def _type_faults(name: str, source: Source, schema: pl.Schema, present: Mapping[str, str]) -> list[str]:
    faults = []
    for column, own in present.items():
        asked, found = source.all_types[column], schema[own]
        numeric = found.is_numeric() or found == pl.Null
        wrong = {
            "time": not isinstance(found, pl.Datetime | pl.Date | pl.String | pl.Null),
            "id": found.is_float(),
        }.get(asked, asked in ("money", "integer", "number") and not (numeric or found == pl.String))
        if wrong or found.is_nested() or found == pl.Binary:
            faults.append(f"{name}: {own} holds {found}, which is no {asked}; {_advice(asked)}")
    return faults


def _advice(asked: ColumnType) -> str:
    return {
        "time": "give timestamps or text (time_format names its pattern)",
        "id": "give whole numbers or text",
        "money": "give numbers",
        "integer": "give whole numbers",
        "number": "give numbers",
    }.get(asked, "give plain values")


def _value(source: Source, column: str, raw: pl.Expr, found: pl.DataType) -> pl.Expr:
    asked = source.all_types[column]
    if asked == "time":
        return _time(raw, found, source)
    if asked == "money":
        number = _number(raw, found) * source.minor_units
        return number.round(0).cast(pl.Int64, strict=False)
    if asked == "number":
        return _number(raw, found)
    if asked == "integer":
        number = _number(raw, found)
        return pl.when(number == number.round(0)).then(number.cast(pl.Int64, strict=False))
    text = _labelled(raw.cast(pl.String), source.labels.get(column))
    if asked == "flag":
        said = text.str.strip_chars().str.to_lowercase()
        return pl.when(said.is_in(_YES)).then(1).when(said.is_in(_NO)).then(0).cast(pl.Int64)
    return text


def _labelled(text: pl.Expr, labels: Mapping[str, str] | None) -> pl.Expr:
    if not labels:
        return text
    other = labels.get("*")
    known = {code: label for code, label in labels.items() if code != "*"}
    return text.replace_strict(
        known, default=pl.when(text.is_not_null()).then(pl.lit(other)), return_dtype=pl.String
    )


def _number(raw: pl.Expr, found: pl.DataType) -> pl.Expr:
    value = raw.str.strip_chars() if found == pl.String else raw
    number = value.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _time(raw: pl.Expr, found: pl.DataType, source: Source) -> pl.Expr:
    if isinstance(found, pl.Datetime) and found.time_zone:
        return raw.dt.convert_time_zone("UTC").dt.replace_time_zone(None).cast(pl.Datetime("us"))
    if found != pl.String:
        converted = raw.cast(pl.Datetime("us"), strict=False)
        return (utc_day if found == pl.Date else utc)(converted, source.time_zone)
    text = raw.str.strip_chars()
    if source.time_format:
        return _formatted(text, source.time_format, source.time_zone)
    plain = [text.str.to_datetime(pattern, time_unit="us", strict=False) for pattern in _ISO]
    zoned = [
        text.str.to_datetime(pattern, time_unit="us", strict=False, time_zone="UTC").dt.replace_time_zone(
            None
        )
        for pattern in _ISO_ZONED
    ]
    day = utc_day(text.str.to_datetime("%Y-%m-%d", time_unit="us", strict=False), source.time_zone)
    return pl.coalesce(*(utc(value, source.time_zone) for value in plain), day, *zoned)


def _formatted(text: pl.Expr, pattern: str, zone: str) -> pl.Expr:
    """Read times in the source's own pattern; where that has a clock, days without one as well."""
    if _ZONE.search(pattern):
        zoned = text.str.to_datetime(pattern, time_unit="us", strict=False, time_zone="UTC")
        time = zoned.dt.replace_time_zone(None)
    else:
        time = utc(text.str.to_datetime(pattern, time_unit="us", strict=False), zone)
    day = _CLOCK.split(pattern)[0]
    if day in ("", pattern):
        return time
    return pl.coalesce(time, utc_day(text.str.to_datetime(day, time_unit="us", strict=False), zone))


def _broken(source: Source, column: str, raw: pl.Expr, value: pl.Expr) -> pl.Expr:
    """Return whether a value could not be converted or breaks the column's rule."""
    rule = source.contract.get(column, Rule())
    blank = raw.is_null() | (raw.cast(pl.String, strict=False).str.strip_chars().is_in(["", "NaN"]))
    faults = [value.is_null() & ~blank]
    scale = source.minor_units if source.all_types[column] == "money" else 1
    if rule.minimum is not None:
        faults.append(value < rule.minimum * scale)
    if rule.maximum is not None:
        faults.append(value > rule.maximum * scale)
    if column in ("event_time", "recorded_time", "application_time"):
        faults.append(value < _DAY_ZERO)
    if rule.allowed:
        faults.append(~value.cast(pl.String).is_in(rule.allowed))
    if column in source.labels and "*" in source.labels[column]:
        faults.append(~blank & ~raw.cast(pl.String).is_in([c for c in source.labels[column] if c != "*"]))
    if not rule.missing:
        faults.append(value.is_null())
    return pl.any_horizontal(flag.fill_null(False) for flag in faults)


def _check(name: str, check: str, text: str, typed: pl.LazyFrame) -> pl.Expr:
    """Read a check, a condition in SQL that must hold, such as `paid <= billed`; missing counts as held."""
    schema = typed.collect_schema()
    try:
        flag = pl.sql_expr(text)
        unknown = sorted(set(flag.meta.root_names()) - set(schema))
        if not unknown:
            found = schema.to_frame().select(flag.alias("flag")).schema["flag"]
    except PolarsError as error:
        raise DataError(f"source {name}: check {check} is no SQL condition", [str(error)[:160]]) from None
    if unknown:
        raise DataError(f"source {name}: check {check}", [f"no column {c!r}" for c in unknown])
    if found != pl.Boolean:
        raise DataError(f"source {name}: check {check} is no condition", ["write one such as paid <= billed"])
    return flag.fill_null(True)
