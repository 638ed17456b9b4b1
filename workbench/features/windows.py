"""Windows and trends: the one builder of aggregates over the days before an application.

Every aggregate is a sum, minimum or maximum of a whole number over the events of a span of days, and one
group-by computes all of them. An engine may add in any order, and a sum of whole numbers does not depend on
it. Standard deviations over periods are taken across the finished sums of one applicant, in a fixed order.
Constants multiply and never divide: engines divide by a constant in two ways, which differ in the last digit,
and Polars takes one for a single row and the other for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any, Literal, NamedTuple

import narwhals as nw

PERIOD_DAYS = 30
TENTHS_MOST = 100_000_000  # ten million units of currency: nine hundred squares still add up within Int64


@dataclass(frozen=True)
class Aggregate:
    """The sum, minimum or maximum of a measure over events with `first` <= age_days < `last` (None: all)."""

    measure: str
    how: Literal["sum", "min", "max"]
    first: int = 0
    last: int | None = None

    @property
    def name(self) -> str:
        """The aggregate's column."""
        return f"{self.measure}_{self.how}_{self.first}_{'all' if self.last is None else self.last}"

    @property
    def column(self) -> nw.Expr:
        """The aggregate in an expression, as float64."""
        return nw.col(self.name).cast(nw.Float64)

    def masked(self) -> nw.Expr:
        """Return the measure inside the span; outside it 0 for a sum, else missing."""
        measure, age = nw.col(self.measure), nw.col("age_days")
        inside = [age >= self.first] if self.first > 0 else []
        inside += [] if self.last is None else [age < self.last]
        if not inside:
            return measure
        kept = nw.when(*inside).then(measure)
        return kept.otherwise(0) if self.how == "sum" else kept

    def reduced(self) -> nw.Expr:
        """Return the aggregation of the masked measure within one applicant."""
        reduced: nw.Expr = getattr(nw.col(self.name), self.how)()
        return reduced


class Value(NamedTuple):
    """An expression over aggregates and the aggregates that it reads."""

    expression: nw.Expr
    aggregates: tuple[Aggregate, ...]


@dataclass(frozen=True)
class Windows:
    """The windows of a study in days before the application, shortest first."""

    days: tuple[int, ...]
    observation_days: int

    @property
    def longest(self) -> int:
        """The longest window."""
        return max(self.days)

    @property
    def periods(self) -> int:
        """Whole 30-day periods in the longest window; the days beyond the last whole one are in none."""
        return self.longest // PERIOD_DAYS

    def total(self, measure: str, days: int) -> Aggregate:
        """Return the sum of a measure over a window."""
        return Aggregate(measure, "sum", 0, self._last(days))

    def least(self, measure: str, days: int) -> Aggregate:
        """Return the minimum of a measure over a window."""
        return Aggregate(measure, "min", 0, self._last(days))

    def most(self, measure: str, days: int) -> Aggregate:
        """Return the maximum of a measure over a window."""
        return Aggregate(measure, "max", 0, self._last(days))

    def by_period(self, measure: str) -> tuple[Aggregate, ...]:
        """Return the sums of a measure in each 30-day period of the longest window, latest first."""
        starts = range(0, self.periods * PERIOD_DAYS, PERIOD_DAYS)
        return tuple(Aggregate(measure, "sum", start, self._last(start + PERIOD_DAYS)) for start in starts)

    def _last(self, days: int) -> int | None:
        return None if days == self.observation_days else days


def only_positive(divisor: nw.Expr) -> nw.Expr:
    """Return the divisor, missing where it is not above zero."""
    return nw.when(divisor > 0).then(divisor)


def plain(aggregate: Aggregate, times: float = 1.0) -> Value:
    """Return the aggregate itself, times a constant."""
    return Value(aggregate.column * times, (aggregate,))


def ratio(part: Aggregate, whole: Aggregate) -> Value:
    """Return part / whole, missing where the whole is not above zero."""
    return Value(part.column / only_positive(whole.column), (part, whole))


def share_of_periods(sums: tuple[Aggregate, ...]) -> Value:
    """Return the share of periods whose sum is above zero."""
    used = (nw.when(one.column > 0).then(1.0).otherwise(0.0) for one in sums)
    return Value(_added(used) * (1 / len(sums)), sums)


def variation(sums: tuple[Aggregate, ...]) -> Value:
    """Return standard deviation (n - 1) / mean of the periods' sums; a period without events counts as zero.

    Missing where the mean is not above zero. Deviations are taken from the latest period's sum, so that equal
    sums give exactly 0.
    """
    count = len(sums)
    deviations = [one.column - sums[0].column for one in sums[1:]]
    squares = _added(deviation * deviation for deviation in deviations)
    total = _added(deviations)
    variance = (squares - total * total * (1 / count)).clip(0, None) * (1 / (count - 1))
    return Value(variance.sqrt() / only_positive(_mean(sums)), sums)


def relative_slope(sums: tuple[Aggregate, ...]) -> Value:
    """Return the least-squares slope of the periods' sums per period, over their mean; above 0 = rising.

    A period without events counts as zero. Missing where the mean is not above zero.
    """
    middle = (len(sums) - 1) / 2
    weights = [middle - position for position in range(len(sums))]  # the latest period comes first
    products = _added(one.column * weight for one, weight in zip(sums, weights, strict=True))
    return Value(
        products * (1 / sum(weight * weight for weight in weights)) / only_positive(_mean(sums)), sums
    )


def slope_over_events(windows: Windows, measure: str) -> Value:
    """Return the least-squares slope of a measure over its events per 30 days; above 0 = rising.

    Reads the measures `one`, `age`, `age_square` and `<measure>_age`. Missing where all events have one age.
    """
    names = ("one", measure, "age", "age_square", f"{measure}_age")
    aggregates = tuple(windows.total(name, windows.longest) for name in names)
    count, total, age, age_square, product = (aggregate.column for aggregate in aggregates)
    spread = only_positive(count * age_square - age * age)
    return Value((total * age - count * product) / spread * PERIOD_DAYS, aggregates)


def amount_variation(windows: Windows, measure: str) -> Value:
    """Return standard deviation (n - 1) / mean of an amount over its events; missing with fewer than two.

    Reads the measures that `amount_measures` gives.
    """
    names = (f"{measure}_count", f"{measure}_tenths", f"{measure}_square")
    aggregates = tuple(windows.total(name, windows.longest) for name in names)
    count, total, square = (aggregate.column for aggregate in aggregates)
    variance = (count * square - total * total).clip(0, None) / only_positive(count * (count - 1))
    return Value(variance.sqrt() * count / only_positive(total), aggregates)


def amount_measures(column: str) -> dict[str, nw.Expr]:
    """Return count, tenths and squared tenths of an amount in minor units, for `amount_variation`.

    Squares are of whole tenths of a unit of currency, at most ten million units, so that they add up exactly.
    """
    tenths = (nw.col(column) // 10).clip(0, TENTHS_MOST)
    return {
        f"{column}_count": flag(~nw.col(column).is_null()),
        f"{column}_tenths": tenths,
        f"{column}_square": tenths * tenths,
    }


def flag(condition: nw.Expr) -> nw.Expr:
    """Return 1 where the condition holds and 0 where it does not."""
    return condition.cast(nw.Int64)


def aggregate_events(
    events: nw.LazyFrame[Any], measures: Mapping[str, nw.Expr], aggregates: Iterable[Aggregate]
) -> nw.LazyFrame[Any]:
    """Return one row per applicant that has events, with one column per aggregate, by one group-by."""
    wanted = {aggregate.name: aggregate for aggregate in aggregates}
    used = {aggregate.measure: measures[aggregate.measure] for aggregate in wanted.values()}
    masked = {name: aggregate.masked() for name, aggregate in wanted.items()}
    reduced = {name: aggregate.reduced() for name, aggregate in wanted.items()}
    rows = events.select("applicant_id", "age_days", **used)
    return rows.with_columns(**masked).group_by("applicant_id").agg(**reduced)


def _mean(sums: tuple[Aggregate, ...]) -> nw.Expr:
    return _added(one.column for one in sums) * (1 / len(sums))


def _added(terms: Iterable[nw.Expr]) -> nw.Expr:
    return reduce(add, terms)
