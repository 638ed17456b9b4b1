"""What may be shown of people: no small count, none that would tell it, no rate from which it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log10
from typing import Any, Literal

import polars as pl

from workbench.fairness.counts import APPROVED, CELLS, DECLINED, RATES
from workbench.fairness.metrics import COMPARISONS

Row = Mapping[str, Any]
Told = Literal["whole", "rounded", "hidden"]
HIDDEN = "hidden"
NEAREST = "nearest"
TOLD, PEOPLE = "told", "people"
GROUP_COUNTS = "fairness/counts"
GROUP_RATES = {f"fairness/{name}" for name in ("metrics", "headlines", "bounds", "tipping", "disparity")}
_OF_APPROVALS = {"selection_rate"} | {n for n, one in COMPARISONS.items() if one.rates == ("selection_rate",)}
_PARTS = {"selection": "selection_rate"}  # of which a table of contributions tells the parts
_RATE = "rate"
_OF_OUTCOMES = {*RATES, *COMPARISONS} - _OF_APPROVALS


def is_small(count: float | None, below: int) -> bool:
    """Return whether a count of people is from 1 to `below` - 1; nobody is not few."""
    return 0 < (count or 0) < below


def small_cells(rows: Sequence[Row], counts: Sequence[str], *, below: int) -> dict[int, set[str]]:
    """Return the small counts of each row that has one, by the row's place."""
    found = {at: {name for name in counts if is_small(row[name], below)} for at, row in enumerate(rows)}
    return {at: names for at, names in found.items() if names}


def complements(
    rows: Sequence[Row],
    hidden: Iterable[int],
    counts: Sequence[str],
    *,
    within: Sequence[str],
    order: str,
    below: int,
) -> set[int]:
    """Return the rows to hide beside those that hold a small count, so that none follows by subtraction.

    Rows that agree in `within` add up to a known total, so what is hidden of each count is known together:
    as long as that sum is small itself, the row with the next smallest `order` is hidden too. A row of nobody
    would hide nothing and is not taken. With `order` NEAREST, for rows that are told cumulated, it is the
    row beside those that are hidden.
    """
    groups: dict[tuple[Any, ...], list[int]] = {}
    for at, row in enumerate(rows):
        groups.setdefault(tuple(row[name] for name in within), []).append(at)
    first, taken = set(hidden), set[int]()
    for members in groups.values():
        held = [at for at in members if at in first]
        rest = [at for at in members if at not in first and (order == NEAREST or rows[at][order])]
        while held and rest and _follows(rows, held, counts, below):
            beside = min(rest, key=lambda at: _distance(at, held) if order == NEAREST else rows[at][order])
            rest.remove(beside)
            held.append(beside)
        taken |= set(held) - first
    return taken


def steps(people: int, below: int) -> int:
    """Return how many decimals a share of so many people may have: one step is at least `below` of them."""
    return max(0, -ceil(log10(below / people))) if people > 0 and below > 1 else 15


def how_told(counts: pl.DataFrame, cells: Mapping[str, Sequence[str]], *, below: int) -> dict[Any, Told]:
    """Return how rates of each attribute and group may be told: `counts` as from `outcome_counts`, and
    attribute; `cells`: the sums of its columns that the rates tell.

    Rates of few are hidden, with them their sums. Those of the groups by whose difference from the total
    the few would follow are rounded to steps of at least `below` people.
    """
    sums = counts.with_columns(pl.sum_horizontal(parts).alias(name) for name, parts in cells.items())
    rows, names = list(sums.iter_rows(named=True)), list(cells)
    small = small_cells(rows, names, below=below)
    beside = complements(rows, small, names, within=("attribute",), order="applicants", below=below)
    return {
        (row["attribute"], row["group"]): "hidden" if at in small else "rounded" if at in beside else "whole"
        for at, row in enumerate(rows)
    }


def with_told(frame: pl.DataFrame, counts: pl.DataFrame, *, below: int) -> pl.DataFrame:
    """Add told and people to a table of attribute, group and metric (or of): how a row may be told.

    Rates of approvals hang on the group's approved and declined, rates of outcomes on all four cells; every
    other metric is told as a whole. `counts`: as from `outcome_counts`, and attribute. People: the group's.
    """
    keys = ["attribute", "group"]
    metric = pl.col("metric") if "metric" in frame.columns else pl.col("of").replace(_PARTS)
    approvals = how_told(counts, {"approved": APPROVED, "declined": DECLINED}, below=below)
    outcomes = how_told(counts, {name: (name,) for name in CELLS}, below=below)
    ways = [
        (*key, name, way)
        for told, metrics in ((approvals, _OF_APPROVALS), (outcomes, _OF_OUTCOMES))
        for key, way in told.items()
        for name in sorted(metrics)
    ]
    known = pl.DataFrame(ways, schema=dict.fromkeys([*keys, _RATE, TOLD], pl.String), orient="row")
    people = counts.select(*keys, pl.col("applicants").alias(PEOPLE))
    return (
        frame.with_columns(metric.alias(_RATE))
        .join(known, on=[*keys, _RATE], how="left", maintain_order="left")
        .drop(_RATE)
        .join(people, on=keys, how="left", maintain_order="left")
        .with_columns(pl.col(TOLD).fill_null("whole"))
    )


def _distance(at: int, held: Sequence[int]) -> int:
    return min(abs(at - other) for other in held)


def _follows(rows: Sequence[Row], held: Sequence[int], counts: Sequence[str], below: int) -> bool:
    return any(is_small(sum(rows[at][name] or 0 for at in held), below) for name in counts)
