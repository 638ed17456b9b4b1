"""Aggregate tables as Markdown: formatted, escaped, and without small counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.reporting.markdown import escape_markdown

Row = dict[str, Any]
MISSING = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclass(frozen=True)
class Column:
    """One column of a printed table: its header, how it shows a row, and its alignment."""

    header: str
    show: Callable[[Row], str]
    is_text: bool = False
    name: str = ""


def text(name: str, header: str) -> Column:
    """Show a text; underscores of identifiers become spaces."""
    return Column(header, lambda row: _words(row[name]), is_text=True)


def verbatim(name: str, header: str) -> Column:
    """Show a text as it is, such as an identifier to look up."""
    return Column(header, lambda row: escape_markdown(str(row[name])), is_text=True)


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


def markdown_table(
    frame: pl.DataFrame, columns: Sequence[Column], *, counts: Sequence[str] = (), suppress_below: int = 0
) -> str:
    """Return a pipe table; rows with a count from 1 to `suppress_below` - 1 in `counts` show no number."""
    if frame.height == 0:
        return "*None.*\n"
    lines = [
        _line([escape_markdown(column.header) for column in columns]),
        _line([":---" if column.is_text else "---:" for column in columns]),
    ]
    for row in frame.iter_rows(named=True):
        small = {name for name in counts if 0 < row[name] < suppress_below}
        lines.append(_line([_cell(column, row, small, suppress_below) for column in columns]))
    return "\n".join(lines) + "\n"


def format_number(value: Any, unit: str, decimals: int = 3) -> str:
    """Return a number as a report prints it: shares in percent, counts with separators, else decimals."""
    if value is None:
        return MISSING
    if isinstance(value, str):
        return escape_markdown(value.replace("_", " "))
    if unit == "share":
        return f"{100 * value:.1f}%".replace("-", "−")
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
    """Return 'low to high', or a dash where there is no interval."""
    if low is None or high is None:
        return MISSING
    return f"{format_number(low, unit)} to {format_number(high, unit)}"


def _cell(column: Column, row: Row, small: set[str], suppress_below: int) -> str:
    if not small or column.is_text:
        return column.show(row)
    return f"fewer than {suppress_below}" if column.name in small else MISSING


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
