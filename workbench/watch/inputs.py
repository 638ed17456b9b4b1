"""The files of a batch, checked together before anything is judged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from workbench.errors import DataError, near_name
from workbench.privacy.encryption import Cipher
from workbench.store import digest, sha256

ID = "applicant_id"
MOST_UNKNOWN = 0.05
"""Largest share of labels that may be of applicants whom the batch does not know."""
DECISIONS = {"prob_default": pl.Float64, "score": pl.Float64, "decision": pl.String, "review": pl.Boolean}
REQUESTS = {"status": pl.Int64, "milliseconds": pl.Float64}


@dataclass(frozen=True)
class BatchFiles:
    """Where a batch is: features (with vintage, groups and more where known), and what came of it."""

    batch: Path
    decisions: Path | None = None
    labels: Path | None = None
    requests: Path | None = None

    def named(self) -> Iterator[tuple[str, Path]]:
        """Yield each file that is given, by its option."""
        for name in ("batch", "decisions", "labels", "requests"):
            if (path := getattr(self, name)) is not None:
                yield name, path


@dataclass(frozen=True)
class Batch:
    """A batch as it is judged: one row an applicant, and the requests that got no decision.

    `frame` has applicant_id, the features and what is known of vintage, default, groups, overridden, and,
    where decisions are given, their columns. `hashes` by option say what it was made of; `unknown_labels` are
    labels of people whom it does not know.
    """

    frame: pl.DataFrame
    requests: pl.DataFrame | None
    hashes: dict[str, str]
    repeated: int
    unknown_labels: int

    @property
    def identity(self) -> str:
        """One SHA-256 of everything the batch was made of."""
        return digest(self.hashes)


def read_batch(files: BatchFiles, features: Sequence[str], cipher: Cipher) -> Batch:
    """Read a batch; an applicant who stands twice is taken once, the last time, and counted.

    Raises:
        DataError: everything that is wrong with the files at once: missing or unreadable ones, missing
            columns, wrong types, no rows, labels of other people.
    """
    tables, faults = {}, []
    for name, path in files.named():
        try:
            tables[name] = _read(path, cipher)
        except DataError as error:
            faults += [error.summary]
    for name, table in tables.items():
        faults += [f"{name}: {fault}" for fault in _faults(name, table, features)]
    if faults:
        raise DataError(f"{len(faults)} fault(s) in the files of the batch", faults)
    frame, requests = tables["batch"].with_columns(pl.col(ID).cast(pl.String)), tables.get("requests")
    whole = frame.unique(ID, keep="last", maintain_order=True)
    unknown = 0
    if "decisions" in tables:
        whole = _with_decisions(whole, tables["decisions"])
    if "labels" in tables:
        labels = tables["labels"].select(pl.col(ID).cast(pl.String), pl.col("default").cast(pl.Int64))
        labels = labels.unique(ID, keep="last", maintain_order=True)
        unknown = labels.join(whole, on=ID, how="anti").height
        if unknown > MOST_UNKNOWN * labels.height:
            right = f"at most {MOST_UNKNOWN:.0%} may be of others; are these the labels of another batch?"
            raise DataError(
                f"{unknown:,} of {labels.height:,} labels are of applicants whom the batch lacks", [right]
            )
        whole = whole.drop("default", strict=False).join(labels, on=ID, how="left", maintain_order="left")
    hashes = {name: sha256(path) if path.is_file() else _folder_sha256(path) for name, path in files.named()}
    return Batch(whole, requests, hashes, frame.height - whole.height, unknown)


def _with_decisions(frame: pl.DataFrame, decisions: pl.DataFrame) -> pl.DataFrame:
    """Join what was decided; of a champion and its shadows, the one that counted."""
    if "role" in decisions.columns:
        decisions = decisions.filter(pl.col("role") != "shadow")
    kept = [name for name in decisions.columns if name == ID or name not in frame.columns]
    mine = (
        decisions.select(kept)
        .with_columns(pl.col(ID).cast(pl.String))
        .unique(ID, keep="last", maintain_order=True)
    )
    return frame.join(mine, on=ID, how="left", maintain_order="left")


def _read(path: Path, cipher: Cipher) -> pl.DataFrame:
    parts = sorted(path.rglob("*.parquet")) if path.is_dir() else [path]
    if not parts or not parts[0].is_file():
        raise DataError(f"{path}: no such file, or a folder without Parquet files")
    try:
        return pl.read_parquet(parts, glob=False, **cipher.reading)
    except (PolarsError, OSError) as error:
        reason = str(error).splitlines()[0][:100]
        raise DataError(f"{path}: not readable as Parquet ({reason})") from None


def _faults(name: str, table: pl.DataFrame, features: Sequence[str]) -> Iterator[str]:
    needed = {
        "batch": [ID, *features],
        "decisions": [ID, *DECISIONS],
        "labels": [ID, "default"],
        "requests": list(REQUESTS),
    }[name]
    for column in needed:
        if column not in table.columns:
            yield f"{column} is missing{near_name(column, table.columns)}"
    if not table.height and name != "requests":
        yield "has no rows"
    if ID in needed and ID in table.columns and table[ID].null_count():
        yield f"{ID} is missing in {table[ID].null_count():,} rows"
    numbers = [column for column in features if column in table.columns] if name == "batch" else []
    for column in numbers:
        kind = table[column].dtype
        if not (kind.is_numeric() or kind in (pl.Boolean, pl.Null)):
            yield f"{column} is {kind}; a number is right"
    if "default" in table.columns and name in ("batch", "labels"):
        known = table["default"].drop_nulls()
        if not known.dtype.is_numeric() or not known.is_in([0, 1]).all():
            yield "default has values other than 0, 1 and missing"


def _folder_sha256(folder: Path) -> str:
    return digest([sha256(path) for path in sorted(folder.rglob("*.parquet"))])
