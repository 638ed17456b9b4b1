"""What must never leave a run: rows that call themselves aggregates, people, pages that fetch something."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Collection, Iterator
from html import unescape
from pathlib import Path

import polars as pl
import polars.selectors as cs

from workbench.privacy.identifiers import find_identifiers
from workbench.run import Run

_PERSON = "applicant_id"
_FEW = 100  # rows up to which a table of groups may by chance be as long as one of people
_LONG = 10**11  # the least number of twelve digits
_LOADS = "loads something from elsewhere"
_NOT_TEXT = re.compile(r"<(style|svg|math)\b.*?</\1>|<[^>]+>", re.DOTALL)
_LONG_NUMBER = re.compile(r"(?<![\w.])\d{12,}(?![\w.])")  # as pseudonyms, accounts and cards are
_PART = re.compile(r"^word/(document|footnotes|comments)\.xml$|\.rels$")
_OUTSIDE = re.compile(r"<Relationship\b(?=[^>]*\bTargetMode=.External)(?![^>]*/hyperlink\")[^>]*>")
_DECIMAL = r"\d+\.\d+"
_LOADING = re.compile(
    r"""<(?:link|script|iframe|object|embed|base)\b | @import
      | \b(?:src|srcset|poster|data)\s*=\s*["'](?!data:|\#) | url\(\s*["']?(?!data:|\#)[^)]""",
    re.VERBOSE | re.IGNORECASE,
)


def redaction_faults(run: Run) -> list[str]:
    """Return what a run's aggregates and documents hold that they may not; nothing where all is well.

    Told are aggregate tables with a column of applicants, with numbers as long as pseudonyms and accounts
    are, or with a row for each of those that a table of applicants has; documents in HTML or Word with such
    a number or a mailbox, phone or account in their words, and those that load something from elsewhere.
    Never told is the value itself. PDF is not read: its words are those of the HTML.
    """
    faults: list[str] = []
    entries = run.manifest["artifacts"]
    sizes = {one["rows"] for one in entries.values() if one["sensitivity"] == "row" and one.get("rows")}
    for name, entry in entries.items():
        path = run.folder / entry["path"]
        if not path.is_file() or entry["sensitivity"] != "aggregate":
            continue
        if entry["kind"] == "tables":
            faults += [f"{name} calls itself aggregate and {fault}" for fault in _table_faults(path, sizes)]
        if entry["kind"] == "document" and path.suffix in _READERS:
            faults += [f"{name} {fault}" for fault in _READERS[path.suffix](path)]
    return faults


def _table_faults(path: Path, sizes: Collection[int]) -> Iterator[str]:
    table = pl.read_parquet(path)
    if _PERSON in table.columns:
        yield f"has a column {_PERSON}"
        return
    if table.height > _FEW and table.height in sizes:
        yield "has as many rows as a table of people"
    texts, numbers = table.select(pl.col(pl.String)), table.select(cs.integer().cast(pl.Int128).abs().max())
    if any(most is not None and most >= _LONG for column in numbers for most in column) or any(
        _LONG_NUMBER.search(text) for column in texts for text in column.unique().drop_nulls()
    ):
        yield "holds a number as long as pseudonyms and accounts are"


def _html_faults(path: Path) -> Iterator[str]:
    page = path.read_text(encoding="utf-8")
    if _LOADING.search(page):
        yield _LOADS
    yield from _word_faults(page)


def _docx_faults(path: Path) -> Iterator[str]:
    with zipfile.ZipFile(path) as archive:
        parts = {
            name: archive.read(name).decode("utf-8") for name in archive.namelist() if _PART.search(name)
        }
    if any(_OUTSIDE.search(text) for name, text in parts.items() if name.endswith(".rels")):
        yield _LOADS
    yield from _word_faults("\n".join(text for name, text in parts.items() if name.endswith(".xml")))


def _word_faults(page: str) -> Iterator[str]:
    words = [unescape(part).strip() for part in _NOT_TEXT.sub("\n", page).splitlines()]
    texts = pl.Series("words", sorted({word for word in words if word}), dtype=pl.String)
    if any(_LONG_NUMBER.search(text) for text in texts):
        yield "holds a number as long as pseudonyms and accounts are"
    plain = texts.str.replace_all(_DECIMAL, "#")  # decimals are facts, and look like phones
    found = find_identifiers(plain.to_frame(), nameless={"words"}, least_share=0.0)
    yield from (f"holds what looks like a direct identifier: {kind}" for kind in found["identifier"].unique())


_READERS = {".html": _html_faults, ".docx": _docx_faults}
