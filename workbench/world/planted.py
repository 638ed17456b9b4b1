"""Plants the known errors in the rows of the sources."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.world.plan import ERRORS, MISSING, Array, Error, Table, in_month

EVENT_TIME = {
    "electricity": "due_time",
    "water": "due_time",
    "airtime": "topup_time",
    "mobile_money": "txn_time",
    "posts": "posted_time",
}


def _scaled(by: int) -> Callable[[Table, Array, Error], Table]:
    def scale(table: Table, hit: Array, error: Error) -> Table:
        changed = {name: np.where(hit, by * table[name], table[name]) for name in error.columns}
        return table | changed

    return scale


def _filled(value: int) -> Callable[[Table, Array, Error], Table]:
    def fill(table: Table, hit: Array, error: Error) -> Table:
        return table | {name: np.where(hit, value, table[name]) for name in error.columns}

    return fill


def _respelled(table: Table, hit: Array, error: Error) -> Table:
    return table | {name: table[name] + 2 * hit for name in error.columns}


def _copied(table: Table, hit: Array, error: Error) -> Table:
    """Put a copy behind each hit row; of `unknown_customer` the copy is marked as a stranger's."""
    place = np.repeat(np.arange(len(hit)), 1 + hit)
    copies = {name: values[place] for name, values in table.items()}
    if error.kind == "unknown_customer":
        copies["stranger"] = np.concatenate([[False], place[1:] == place[:-1]]) if len(place) else hit
    return copies


PLANT: dict[str, Callable[[Table, Array, Error], Table]] = {
    "negative": _scaled(-1),
    "unit": _scaled(100),
    "day_zero": _filled(0),
    "missing": _filled(MISSING),
    "category": _respelled,
    "duplicate": _copied,
    "unknown_customer": _copied,
}


def plant_errors(
    tables: dict[str, Table], generator: Callable[[int], np.random.Generator]
) -> tuple[dict[str, Table], list[Array]]:
    """Return the tables with the errors of the plan, and for each error the owner of every row it hit."""
    spoilt, hits = dict(tables), []
    for place, error in enumerate(ERRORS):
        table = spoilt[error.source]
        rows = len(table["owner"])
        chosen = generator(place).random(rows) < error.share
        hit = in_month(table[EVENT_TIME[error.source]], error.month) & chosen
        hits.append(table["owner"][hit])
        spoilt[error.source] = PLANT[error.kind](table, hit, error)
    return spoilt, hits
