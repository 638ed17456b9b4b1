"""Texts and values of one person as they are printed, outside tables of Markdown."""

from __future__ import annotations

import re

from workbench.reporting.tables import format_number

_BLANK = re.compile(r"[ \t\r\x0b\x0c\x1c-\x1f\x85\u2028\u2029]+")
# Control characters, and those that turn the direction of the text around them; joiners stay.
_INVISIBLE = re.compile(
    r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff\ud800-\udfff]"
)


def plain_text(text: str) -> str:
    """Return the text with runs of blanks as one, lines kept, and without characters that do not print."""
    lines = _BLANK.sub(" ", _INVISIBLE.sub("", text)).split("\n")
    return "\n".join(line.strip() for line in lines if line.strip())


def value_in_unit(value: float | None, unit: str) -> str:
    """Return a person's value as it is told: shares in percent, whole numbers without decimals, a unit."""
    if value is None:
        return "missing"
    if unit == "share":
        return format_number(value, "share")
    shown = format_number(value, "count" if float(value).is_integer() else "", 2)
    return shown if unit in ("", "count") else f"{shown} {unit}"
