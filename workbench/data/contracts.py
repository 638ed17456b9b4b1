"""Contracts of the source and of the tables made from it: types, ranges, allowed values, keys, references."""

from __future__ import annotations

from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from workbench.data.taiwan import (
    EDUCATIONS,
    MARITAL_STATUSES,
    MONTHS,
    SEXES,
    STATUS_COLUMNS,
    UNDOCUMENTED,
    Tables,
)
from workbench.errors import DataError, near_name

_AMOUNTS = [f"{name}{i}" for name in ("BILL_AMT", "PAY_AMT") for i in range(1, 7)]
_SOURCE_COLUMNS = ("LIMIT_BAL", "SEX", "EDUCATION", "MARRIAGE", "AGE", *STATUS_COLUMNS, *_AMOUNTS, "DEFAULT")


def _integer(*checks: pa.Check, unique: bool = False) -> pa.Column:
    return pa.Column(pl.Int64, checks=list(checks), unique=unique)


def _label(known: dict[int, str]) -> pa.Column:
    return pa.Column(pl.String, checks=pa.Check.isin([*known.values(), UNDOCUMENTED]))


SOURCE = pa.DataFrameSchema(
    {"ID": _integer(unique=True)} | {name: _integer() for name in _SOURCE_COLUMNS},
    name="source",
)
APPLICANTS = pa.DataFrameSchema(
    {
        "applicant_id": _integer(unique=True),
        "credit_limit": _integer(pa.Check.in_range(1, 10_000_000)),
        "default": _integer(pa.Check.isin([0, 1])),
    },
    name="applicants",
    strict=True,
)
STATEMENTS = pa.DataFrameSchema(
    {
        "applicant_id": _integer(),
        "month": pa.Column(pl.String, checks=pa.Check.isin(list(MONTHS))),
        "month_index": _integer(pa.Check.in_range(1, 6)),
        "status": _integer(pa.Check.in_range(-2, 8)),
        "billed": _integer(pa.Check.in_range(-10_000_000, 10_000_000)),
        "paid": _integer(pa.Check.in_range(0, 10_000_000)),
    },
    name="statements",
    unique=["applicant_id", "month"],
    strict=True,
)
PROTECTED_ATTRIBUTES = pa.DataFrameSchema(
    {
        "applicant_id": _integer(unique=True),
        "age": _integer(pa.Check.in_range(18, 120)),
        "sex": _label(SEXES),
        "education": _label(EDUCATIONS),
        "marital_status": _label(MARITAL_STATUSES),
    },
    name="protected",
    strict=True,
)


def check_source(source: pl.DataFrame) -> None:
    """Check columns, types, missing values and the key of the source; raises DataError with every fault."""
    faults = contract_faults(source, SOURCE)
    if faults:
        raise DataError(f"the source breaks its contract in {len(faults)} place(s)", faults)


def check_tables(tables: Tables) -> None:
    """Check the three tables, the references and the target; raises DataError with every fault."""
    faults = contract_faults(tables.applicants, APPLICANTS)
    faults += contract_faults(tables.statements, STATEMENTS)
    faults += contract_faults(tables.protected, PROTECTED_ATTRIBUTES)
    faults += _reference_faults(tables) + _target_faults(tables.applicants)
    if faults:
        raise DataError(f"the tables break their contracts in {len(faults)} place(s)", faults)


def contract_faults(frame: pl.DataFrame, schema: pa.DataFrameSchema) -> list[str]:
    """Return the faults of a table against its contract as counts by column; no value is ever quoted."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        cases = error.failure_cases.group_by("schema_context", "column", "check", maintain_order=True)
        found = cases.agg(pl.len().alias("rows"), pl.col("failure_case").first().cast(pl.String))
        wrong_type = pl.col("check").str.starts_with("dtype")
        mistyped = found.filter(wrong_type)["column"].implode()
        kept = found.filter(wrong_type | ~pl.col("column").is_in(mistyped))
        return [_describe(schema, frame, row) for row in kept.iter_rows(named=True)]
    return []


def contract_table() -> pl.DataFrame:
    """Return the contracts as a table: table, column, type, allowed values, unique."""
    return pl.DataFrame(
        [
            {
                "table": schema.name,
                "column": name,
                "type": str(column.dtype).lower(),
                "allowed": "; ".join(_allowed(check) for check in column.checks) or "any",
                "unique": "yes" if column.unique else "",
            }
            for schema in (APPLICANTS, STATEMENTS, PROTECTED_ATTRIBUTES)
            for name, column in schema.columns.items()
        ]
    )


def _describe(schema: pa.DataFrameSchema, frame: pl.DataFrame, row: dict[str, Any]) -> str:
    column, check = row["column"], str(row["check"])
    if check == "column_in_dataframe":
        missing = row["failure_case"]
        key = " (its key)" if missing in ("ID", "applicant_id") else ""
        return f"{schema.name}: column {missing}{key} is missing{near_name(missing, frame.columns)}"
    if check == "column_in_schema":
        return f"{schema.name}: column {row['failure_case']} is not in the contract"
    if check.startswith("dtype"):
        return f"{schema.name}.{column}: type {frame.schema[column]}; {schema.columns[column].dtype} is right"
    if check == "multiple_fields_uniqueness":
        return f"{schema.name}: rows repeat the key {', '.join(schema.unique)}"
    if check == "field_uniqueness":
        return f"{schema.name}.{column}: {row['rows']:,} of {frame.height:,} rows repeat the key"
    if check == "not_nullable":
        return (
            f"{schema.name}.{column}: {frame[column].null_count():,} of {frame.height:,} values are missing"
        )
    outside = f"{row['rows']:,} of {frame.height:,} values are outside the contract"
    return f"{schema.name}.{column}: {outside} ({check})"


def _reference_faults(tables: Tables) -> list[str]:
    every = (tables.applicants, tables.statements, tables.protected)
    if any("applicant_id" not in frame.columns for frame in every):
        return []
    known = set(tables.applicants["applicant_id"])
    faults = []
    for name, frame in (("statements", tables.statements), ("protected", tables.protected)):
        found = set(frame["applicant_id"])
        if found - known:
            faults.append(f"{name}: {len(found - known):,} applicants are not in applicants")
        if known - found:
            faults.append(f"{name}: {len(known - found):,} applicants of applicants are missing")
    return faults


def _target_faults(applicants: pl.DataFrame) -> list[str]:
    if "default" not in applicants.columns:
        return []
    classes = applicants["default"].drop_nulls().n_unique()
    if classes == 2:
        return []
    return [f"applicants.default has {classes} class(es); a study needs defaults (1) and goods (0)"]


def _allowed(check: pa.Check) -> str:
    values = check.statistics or {}
    if "allowed_values" in values:
        return ", ".join(str(value) for value in values["allowed_values"])
    return f"{values['min_value']:,} to {values['max_value']:,}"
