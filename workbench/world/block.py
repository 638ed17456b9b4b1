"""One block of 1,000 applicants: always the same for a seed, whatever is asked for around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from workbench.world.events import draw_bills, draw_posts, draw_topups, draw_transactions
from workbench.world.people import (
    decide,
    draw_bureau,
    draw_people,
    estimate_membership,
    fall_behind,
    sigmoid,
)
from workbench.world.plan import BLOCK, ERRORS, MISSING, Array, Table
from workbench.world.planted import plant_errors
from workbench.world.truth import features, true_logit


@dataclass(frozen=True)
class Block:
    """Some applicants of one block: a table for each source, the truth, and the rows each error hit."""

    first: int  # number of the first applicant
    tables: dict[str, Table]  # `owner` is the applicant, counted from the first; rows are sorted by it
    truth: Table
    hits: list[Array]


def draw_block(seed: int, number: int, clean: bool) -> Block:
    """Draw the block from generators seeded by [seed, number, ...]."""
    people = draw_people(_generator(seed, number, 0), BLOCK)
    tables = {
        "electricity": draw_bills(_generator(seed, number, 1), people, "electricity"),
        "water": draw_bills(_generator(seed, number, 2), people, "water"),
        "airtime": draw_topups(_generator(seed, number, 3), people),
        "mobile_money": draw_transactions(_generator(seed, number, 4), people),
        "posts": draw_posts(_generator(seed, number, 5), people),
        "bureau": draw_bureau(_generator(seed, number, 6), people),
    }
    values = features(people, tables)
    logit = true_logit(values)
    approved, default = decide(_generator(seed, number, 7), people, logit)
    behind = fall_behind(_generator(seed, number, 9), default, logit)
    applicants = people.table | {
        "owner": np.arange(BLOCK),
        "approved_before": approved,
        "default": np.where(approved == 1, default, MISSING),
        "past_due_60": np.where(approved == 1, behind, MISSING),
        **estimate_membership(_generator(seed, number, 10), people),
    }
    owner = np.arange(BLOCK)
    truth = {"owner": owner, "prob_default": sigmoid(logit), "default": default, "approved_before": approved}
    tables = {"applicants": applicants, **tables}
    hits: list[Array] = [np.zeros(0, dtype=np.int64) for _ in ERRORS]
    if clean:
        tables["posts"] |= {"identifier": np.zeros_like(tables["posts"]["identifier"])}
    else:
        tables, hits = plant_errors(tables, partial(_generator, seed, number, 8))
    return Block(number * BLOCK, tables, truth | values, hits)


def _generator(*seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def cut(block: Block, start: int, stop: int) -> Block:
    """Return the applicants of the block whose number is at least `start` and below `stop`."""
    low, high = max(start - block.first, 0), min(stop - block.first, BLOCK)
    if (low, high) == (0, BLOCK):
        return block
    tables = {name: _owned(table, low, high) for name, table in block.tables.items()}
    hits = [owner[(owner >= low) & (owner < high)] for owner in block.hits]
    return Block(block.first + low, tables, _owned(block.truth, low, high), hits)


def _owned(table: Table, low: int, high: int) -> Table:
    rows = slice(*np.searchsorted(table["owner"], (low, high)))
    return _shifted({name: values[rows] for name, values in table.items()}, -low)


def join(blocks: list[Block]) -> Block:
    """Return neighbouring blocks as one, owners counted from the first applicant of the first."""
    first = blocks[0].first
    shifted = [
        Block(
            first,
            {name: _shifted(table, block.first - first) for name, table in block.tables.items()},
            _shifted(block.truth, block.first - first),
            block.hits,
        )
        for block in blocks
    ]
    tables = {name: _joined([block.tables[name] for block in shifted]) for name in blocks[0].tables}
    hits = [np.concatenate(owners) for owners in zip(*(block.hits for block in shifted), strict=True)]
    return Block(first, tables, _joined([block.truth for block in shifted]), hits)


def _shifted(table: Table, by: int) -> Table:
    return table | {"owner": table["owner"] + by}


def _joined(tables: list[Table]) -> Table:
    return {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
