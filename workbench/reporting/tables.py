"""Aggregate tables as Markdown: formatted, escaped, and without small counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from workbench.reporting.disclosure import DECIMALS, HIDDEN, TOLD, complements, small_cells
from workbench.reporting.markdown import escape_markdown

Row = dict[str, Any]
Prepare = Callable[[pl.DataFrame], pl.DataFrame]
MISSING = "–"
OUTCOME_COUNTS = ("applicants", "defaults", "goods")
LONGEST = 30  # rows in a chapter of a table that has one row for each feature
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Column:
    """One column of a printed table: its header, how it shows a row, and its alignment."""

    header: str
    show: Callable[[Row], str]
    is_text: bool = False
    name: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the report: an aggregate artifact and the columns shown of it.

    `counts` are hidden where they are small, `within` and `order` as in `markdown_table`; rows whose `least`
    count is small are left out before `prepare` sees them. `whole` is the caption of a table that may be
    long: with more than `longest` rows its chapter shows what `brief` keeps, and the appendix has all rows.
    """

    artifact: str
    columns: Sequence[Column]
    counts: Sequence[str] = ()
    within: Sequence[str] | None = None
    order: str = ""
    least: str = ""
    prepare: Prepare = field(default=lambda frame: frame)
    whole: str = ""
    longest: int = LONGEST
    brief: Prepare = field(default=lambda frame: frame.head(LONGEST))
    empty: str = "none"

    def rows(self, frame: pl.DataFrame, *, suppress_below: int) -> pl.DataFrame:
        """Return the rows to print of the artifact."""
        known = frame.filter(pl.col(self.least) >= suppress_below) if self.least and frame.height else frame
        return self.prepare(known)

    def is_long(self, rows: pl.DataFrame) -> bool:
        """Return whether the chapter shows only the rows that matter most."""
        return bool(self.whole) and rows.height > self.longest

    def markdown(self, rows: pl.DataFrame, *, suppress_below: int) -> str:
        """Return these rows as a pipe table."""
        return markdown_table(
            rows,
            self.columns,
            counts=self.counts,
            suppress_below=suppress_below,
            within=self.within,
            order=self.order,
            empty=self.empty,
        )


def text(name: str, header: str) -> Column:
    """Show a text; underscores of identifiers become spaces."""
    return Column(header, lambda row: _words(row[name]), is_text=True)


def verbatim(name: str, header: str) -> Column:
    """Show a text as it is, such as an identifier to look up."""
    return Column(
        header,
        lambda row: MISSING if row[name] is None else escape_markdown(str(row[name])) or MISSING,
        is_text=True,
    )


def unbroken(name: str, header: str) -> Column:
    """Show a short text as it is and on one line, such as a date or the id of a rule."""
    plain = verbatim(name, header)

    def show(row: Row) -> str:
        shown = plain.show(row)
        return shown if shown == MISSING else f"[{shown}]{{.unbroken}}"

    return Column(header, show, is_text=True)


def count(name: str, header: str) -> Column:
    """Show a whole number with thousands separators."""
    return Column(header, lambda row: format_number(row[name], "count"), name=name)


def percent(name: str, header: str) -> Column:
    """Show a share as a percentage."""
    return Column(header, lambda row: format_number(row[name], "share"))


def number(name: str, header: str, decimals: int = 3) -> Column:
    """Show a number with fixed decimals."""
    return Column(header, lambda row: format_number(row[name], "", decimals))


def interval(header: str, low: str = "low", high: str = "high", *, share: bool = False) -> Column:
    """Show an interval as 'low to high'."""
    return Column(header, lambda row: format_interval(row[low], row[high], "share" if share else ""))


def between(name: str, header: str = "Interval", *, share: bool = False) -> Column:
    """Show the interval of the value `name`, whose ends are <name>_low and <name>_high."""
    return interval(header, f"{name}_low", f"{name}_high", share=share)


def yes(name: str, header: str) -> Column:
    """Show yes or no, and a dash where it is not told."""
    shown = {None: MISSING, True: "yes", False: "no"}
    return Column(header, lambda row: shown[row[name]], is_text=True)


def in_unit(name: str, header: str) -> Column:
    """Show a value in the unit of its row: shares in percent, all else as numbers."""
    return Column(header, lambda row: format_number(row[name], row["unit"]))


def interval_in_unit(header: str) -> Column:
    """Show an interval in the unit of its row."""
    return Column(header, lambda row: format_interval(row["low"], row["high"], row["unit"]))


def with_goods(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the goods beside applicants and defaults, so that few of them are hidden as well."""
    return frame.with_columns(goods=pl.col("applicants") - pl.col("defaults"))


def with_outcomes(frame: pl.DataFrame) -> pl.DataFrame:
    """Add the defaults and goods behind a printed default rate, so that few of them are hidden as well."""
    return with_goods(frame.with_columns(defaults=(pl.col("default_rate") * pl.col("applicants")).round(0)))


def markdown_table(
    frame: pl.DataFrame,
    columns: Sequence[Column],
    *,
    counts: Sequence[str] = (),
    suppress_below: int = 0,
    within: Sequence[str] | None = None,
    order: str = "",
    empty: str = "none",
) -> str:
    """Return a pipe table; rows with a count from 1 to `suppress_below` - 1 in `counts` show no number.

    A frame without rows gives one row that says `empty`, so that a reference to the table finds a table.

    `within` names the columns whose groups add up to a known total, none where all rows do: what is hidden in
    a group must not be small together, or it would follow by subtraction; rows with the next smallest count
    `order`, the first of `counts` if left out, or the nearest are hidden as well. Rows that have a column
    `told` may hide or round all but their counts.
    """
    lines = [
        _line([escape_markdown(column.header) for column in columns]),
        _line([":---" if column.is_text else "---:" for column in columns]),
    ]
    if frame.height == 0:
        lines.append(_line([escape_markdown(empty), *[MISSING] * (len(columns) - 1)]))
    rows = list(frame.iter_rows(named=True))
    hidden = small_cells(rows, counts, below=suppress_below)
    if within is not None:
        beside = complements(
            rows, hidden, counts, within=within, order=order or counts[0], below=suppress_below
        )
        hidden |= {index: set() for index in beside}
    for index, row in enumerate(rows):
        cells = [_cell(column, row, hidden.get(index), suppress_below) for column in columns]
        lines.append(_line(cells))
    return "\n".join(lines) + "\n"


def format_number(value: Any, unit: str, decimals: int = 3) -> str:
    """Return a number as a report prints it: shares in percent, counts with separators, else decimals."""
    if value is None or value != value:  # NaN is not equal to itself
        return MISSING
    if isinstance(value, str):
        return escape_markdown(value.replace("_", " "))
    if unit == "share":
        return f"{round(100 * value, 1) + 0.0:.1f}%".replace("-", "−")
    if isinstance(value, int) or unit == "count":
        return f"{value:,.0f}".replace("-", "−")
    if value == 0:
        return "0"
    if abs(value) >= 100 and float(value).is_integer():
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) < 10**-decimals:
        return _small(value)
    return f"{value:,.{decimals}f}".replace("-", "−")


def format_interval(low: Any, high: Any, unit: str) -> str:
    """Return 'low to high' on one line, or a dash where there is no interval."""
    if low is None or high is None:
        return MISSING
    return f"{format_number(low, unit)}\u00a0to\u00a0{format_number(high, unit)}"


def _cell(column: Column, row: Row, small: set[str] | None, suppress_below: int) -> str:
    if column.is_text:
        return column.show(row)
    if small is not None:
        return f"fewer than {suppress_below}" if column.name in small else HIDDEN
    told = "whole" if column.name else row.get(TOLD, "whole")
    if told == "rounded":
        return _about(column, row, row[DECIMALS])
    return HIDDEN if told == HIDDEN else column.show(row)


def _about(column: Column, row: Row, decimals: int) -> str:
    """Show a cell made of rounded numbers, and say that they are."""
    rounded = {
        name: round(value, decimals) if isinstance(value, float) and not name.startswith("p_") else value
        for name, value in row.items()
    }
    shown = column.show(rounded)
    return shown if shown == MISSING else f"about {shown}"


def _small(value: float) -> str:
    """Return a small number with two digits: 0.00093, and below a millionth 5.4 × 10⁻¹¹."""
    mantissa, exponent = f"{value:.1e}".split("e")
    power = int(exponent)
    if power >= -6:
        return f"{value:.{1 - power}f}".replace("-", "−")
    return f"{mantissa} × 10{str(power).translate(_SUPERSCRIPT)}".replace("-", "−")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _words(value: Any) -> str:
    return MISSING if value in (None, "") else escape_markdown(str(value).replace("_", " "))
