"""What must never leave a run: rows that call themselves aggregates, people, pages that fetch something."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import polars as pl

from workbench.privacy.identifiers import find_identifiers
from workbench.run import Run

_PERSON = "applicant_id"
_NOT_TEXT = re.compile(r"<(style|svg|math)\b.*?</\1>|<[^>]+>", re.DOTALL)
_LONG_NUMBER = re.compile(r"(?<![\w.])\d{12,}(?![\w.])")  # as pseudonyms, accounts and cards are
_DECIMAL = r"\d+\.\d+"
_LOADING = re.compile(
    r"""<(?:link|script|iframe|object|embed|base)\b | @import
      | \b(?:src|srcset|poster|data)\s*=\s*["'](?!data:|\#) | url\(\s*["']?(?!data:|\#)[^)]""",
    re.VERBOSE | re.IGNORECASE,
)


def redaction_faults(run: Run) -> list[str]:
    """Return what a run's aggregates and documents hold that they may not; nothing where all is well.

    Told are aggregate tables with a column of applicants, documents in HTML with a number as long as
    pseudonyms and accounts are or with a mailbox, phone or account in its words, and documents that load
    something from elsewhere. Never told is the value itself.
    """
    faults = []
    for name, entry in run.manifest["artifacts"].items():
        path = run.folder / entry["path"]
        if entry["sensitivity"] == "aggregate" and entry["kind"] == "tables" and path.is_file():
            faults += _table_faults(name, path)
        if entry["kind"] == "document" and path.suffix == ".html" and path.is_file():
            faults += [f"{name} {fault}" for fault in _page_faults(path.read_text(encoding="utf-8"))]
    return faults


def _table_faults(name: str, path: Path) -> list[str]:
    held = _PERSON in pl.read_parquet_schema(path)
    return [f"{name} calls itself aggregate and has a column {_PERSON}"] if held else []


def _page_faults(page: str) -> Iterator[str]:
    if _LOADING.search(page):
        yield "loads something from elsewhere"
    words = [unescape(part).strip() for part in _NOT_TEXT.sub("\n", page).splitlines()]
    texts = pl.Series("words", sorted({word for word in words if word}), dtype=pl.String)
    if any(_LONG_NUMBER.search(text) for text in texts):
        yield "holds a number as long as pseudonyms and accounts are"
    plain = texts.str.replace_all(_DECIMAL, "#")  # decimals are facts, and look like phones
    found = find_identifiers(plain.to_frame(), nameless={"words"}, least_share=0.0)
    yield from (f"holds what looks like a direct identifier: {kind}" for kind in found["identifier"].unique())
