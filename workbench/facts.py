"""Facts: the numbers a report may state, each with its interval, its unit and the line it is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from workbench.statistics.estimate import Estimate, met

Met = Literal["yes", "no", "unknown"]


@dataclass(frozen=True)
class Fact:
    """One number or text that a stage found; `met` is None where there is no line to hold."""

    id: str
    value: float | int | str | None
    about: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    level: float | None = None
    method: str = ""
    at_least: float | None = None
    at_most: float | None = None
    line_source: str = ""
    met: Met | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the fact as a JSON object."""
        return asdict(self)


def make_fact(
    fact_id: str,
    value: Estimate | float | int | str | None,
    *,
    about: str,
    unit: str = "",
    at_least: float | None = None,
    at_most: float | None = None,
    line_source: str = "",
) -> Fact:
    """Return a fact; with a line, `met` says on which side of it the whole interval lies."""
    estimate = value if isinstance(value, Estimate) else None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"fact {fact_id}: a value is never NaN or infinite; what is not known is None")
    line = at_least is not None or at_most is not None
    return Fact(
        id=fact_id,
        value=estimate.value if estimate else _plain(value),
        about=about,
        unit=unit,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        level=estimate.level if estimate else None,
        method=estimate.method if estimate else "",
        at_least=at_least,
        at_most=at_most,
        line_source=line_source,
        met=_met(estimate or _point(value), at_least, at_most) if line else None,
    )


def _plain(value: Any) -> float | int | str | None:
    """Return a NumPy scalar as Python's own number."""
    plain: float | int | str | None = value.item() if hasattr(value, "item") else value
    return plain


def _point(value: Any) -> Estimate:
    number = float(value) if value is not None else None
    return Estimate(value=number, low=None, high=None, level=0.95, method="exact")


def _met(estimate: Estimate, at_least: float | None, at_most: float | None) -> Met:
    answers = []
    if at_least is not None:
        answers.append(met(estimate, at_least=at_least))
    if at_most is not None:
        answers.append(met(estimate, at_most=at_most))
    if "no" in answers:
        return "no"
    return "unknown" if "unknown" in answers else "yes"


def facts_table(facts: Iterable[Fact]) -> pl.DataFrame:
    """Return facts as a table: fact, value, low, high, unit, met."""
    rows = [
        {
            "fact": fact.id,
            "value": f"{fact.value:.4g}" if isinstance(fact.value, float) else str(fact.value),
            "low": fact.low,
            "high": fact.high,
            "unit": fact.unit,
            "met": fact.met or "",
        }
        for fact in facts
    ]
    schema = {name: pl.Float64 if name in ("low", "high") else pl.String for name in _FACT_COLUMNS}
    return pl.DataFrame(rows, schema=schema)


_FACT_COLUMNS = ("fact", "value", "low", "high", "unit", "met")
