"""What may be shown of people: no small count, none that would tell it, no rate from which it follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import ceil, log10
from typing import Any, Literal

import polars as pl

from workbench.fairness.counts import APPROVED, CELLS, DECLINED, RATES
from workbench.fairness.metrics import COMPARISONS
from workbench.run import Run

Row = Mapping[str, Any]
Told = Literal["whole", "rounded", "hidden"]
HIDDEN = "hidden"
NEAREST = "nearest"
TOLD, DECIMALS = "told", "decimals"
_COUNTS, _HEADLINES = "fairness/counts", "fairness/headlines"
_GROUP_RATES = {_HEADLINES, *(f"fairness/{name}" for name in ("metrics", "bounds", "tipping", "disparity"))}
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


def with_told(
    frame: pl.DataFrame, counts: pl.DataFrame, *, below: int, is_judged_by: bool = False
) -> pl.DataFrame:
    """Add told and decimals to a table of attribute, group and metric (or of): how a row may be told.

    Rates of approvals hang on the group's approved and declined, rates of outcomes on all four cells; every
    other metric is told as a whole. Where fewer than two decimals were left, a rate is hidden; numbers that
    the study `is_judged_by`, of large groups alone, are told with two instead. `counts`: as from
    `outcome_counts`, and attribute.
    """
    keys = ["attribute", "group"]
    metric = pl.col("metric") if "metric" in frame.columns else pl.col("of").replace(_PARTS)
    approvals = how_told(counts, {"approved": APPROVED, "declined": DECLINED}, below=below)
    outcomes = how_told(counts, {name: (name,) for name in CELLS}, below=below)
    people = {(row["attribute"], row["group"]): row["applicants"] for row in counts.iter_rows(named=True)}
    ways = []
    for told, metrics in ((approvals, _OF_APPROVALS), (outcomes, _OF_OUTCOMES)):
        for key, way in told.items():
            decimals = steps(people[key], below)
            if way != "whole" and is_judged_by:
                way, decimals = "rounded", 2
            elif way == "rounded" and decimals < 2:
                way = "hidden"
            ways += [(*key, name, way, decimals) for name in sorted(metrics)]
    schema = dict.fromkeys([*keys, _RATE, TOLD], pl.String) | {DECIMALS: pl.Int64}
    known = pl.DataFrame(ways, schema=schema, orient="row")
    joined = frame.with_columns(metric.alias(_RATE)).join(
        known, on=[*keys, _RATE], how="left", maintain_order="left"
    )
    return joined.drop(_RATE).with_columns(pl.col(TOLD).fill_null("whole"))


def shown_frames(run: Run, names: Iterable[str]) -> dict[str, pl.DataFrame]:
    """Return aggregate artifacts of a run; those of rates of groups say how each row may be told."""
    frames = {name: pl.read_parquet(run.checked_path(name)) for name in {*names, _COUNTS}}
    counts, below = frames[_COUNTS], run.study.report.suppress_below
    told = {
        name: with_told(frames[name], counts, below=below, is_judged_by=name == _HEADLINES)
        for name in _GROUP_RATES & frames.keys()
    }
    return frames | told


def shown_facts(run: Run) -> list[dict[str, Any]]:
    """Return the facts of a run; numbers of groups from which a small count would follow are rounded."""
    rows = shown_frames(run, [_HEADLINES])[_HEADLINES].filter(pl.col(TOLD) != "whole").iter_rows(named=True)
    rounded = {f"fairness.{row['attribute']}.{row['metric']}": row[DECIMALS] for row in rows}
    return [_rounded(fact, rounded[fact["id"]]) if fact["id"] in rounded else fact for fact in run.facts()]


def _rounded(fact: dict[str, Any], decimals: int) -> dict[str, Any]:
    ends = {name: round(fact[name], decimals) for name in ("value", "low", "high") if fact[name] is not None}
    return {**fact, **ends, "method": f"{fact['method']}, rounded: a small count would follow"}


def _distance(at: int, held: Sequence[int]) -> int:
    return min(abs(at - other) for other in held)


def _follows(rows: Sequence[Row], held: Sequence[int], counts: Sequence[str], below: int) -> bool:
    return any(is_small(sum(rows[at][name] or 0 for at in held), below) for name in counts)
