"""A search for planted identifiers in whatever a run leaves behind."""

import json
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from polars.exceptions import ComputeError


def find_planted(folder: Path, planted: Iterable[str]) -> dict[str, int]:
    """File below a folder -> number of cells and lines with a planted text, capitals or not; names count too.

    Every file is searched as bytes, also with the escapes of JSON; a Parquet file cell by cell as well.
    """
    texts = {form for text in planted for form in (text, json.dumps(text)[1:-1])}
    wanted = sorted({form for text in texts for form in (text, text.lower(), text.upper())})
    hits = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        lines = [name, *path.read_bytes().decode("utf-8", errors="replace").split("\n")]
        count = _count(pl.Series(lines), wanted) + _in_cells(path, wanted)
        if count:
            hits[name] = count
    return hits


def _count(texts: pl.Series, wanted: list[str]) -> int:
    found = texts.str.contains_any(wanted, ascii_case_insensitive=True)
    return int(found.sum())


def _in_cells(path: Path, wanted: list[str]) -> int:
    if path.suffix != ".parquet":
        return 0
    try:
        frame = pl.read_parquet(path)
    except ComputeError as error:
        if "Encryption error" in str(error):
            return 0  # its bytes have been searched
        raise
    flat = frame.select(pl.all().exclude(pl.List, pl.Struct, pl.Array).cast(pl.String))
    nested = frame.drop(flat.columns)
    columns = [*flat.iter_columns(), pl.Series([repr(row) for row in nested.iter_rows()], dtype=pl.String)]
    return sum(_count(column, wanted) for column in columns)
