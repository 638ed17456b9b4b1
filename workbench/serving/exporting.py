"""A decision log as tables: one row a decision, one row a request without one."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from workbench.serving.decision_log import DECISION_COLUMNS, REQUEST_COLUMNS, read_log

MOST_REASONS = 4
_KINDS = {"TEXT": pl.String, "REAL": pl.Float64, "INTEGER": pl.Int64}


def decision_rows(log: Path) -> pl.DataFrame:
    """Return the decisions of a log in its order, with reason_1 to reason_4.

    Raises RunError where its chain is broken.
    """
    kinds = _schema(DECISION_COLUMNS)
    rows = [
        {name: row[name] for name in kinds} | _reasons(json.loads(row["reasons"])) for row in read_log(log)
    ]
    kinds |= {f"reason_{rank}": pl.String for rank in range(1, MOST_REASONS + 1)}
    return pl.DataFrame(rows, schema=kinds).drop("reasons").cast({"review": pl.Boolean})


def request_rows(log: Path) -> pl.DataFrame:
    """Return the requests of a log that got no decision: seq, at, status and milliseconds."""
    return pl.DataFrame(list(read_log(log, "requests")), schema=_schema(REQUEST_COLUMNS))


def _schema(columns: dict[str, str]) -> dict[str, type[pl.DataType]]:
    return {"seq": pl.Int64} | {name: _KINDS[kind.split()[0]] for name, kind in columns.items()}


def _reasons(told: list[list[object]]) -> dict[str, object]:
    codes = [reason[0] for reason in told[:MOST_REASONS]]
    return {f"reason_{rank}": code for rank, code in enumerate(codes, start=1)}
