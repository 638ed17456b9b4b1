"""Opens a source, wherever it lies, as one lazy table: files and globs, URLs, SQL queries."""

from __future__ import annotations

import codecs
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import polars as pl

from workbench.data.causes import cause
from workbench.errors import DataError, near_name
from workbench.sources import Source, local_files

_SUFFIXES = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
_PACKED = {".gz": "gzip", ".zst": "zstd"}
_BLOCK = 1 << 20
_SECONDS = 60  # without an answer


def scan_source(name: str, source: Source, *, root: Path, scratch: Path) -> pl.LazyFrame:
    """Open a source as a lazy table with its own column names.

    Relative paths are below `root`. What is fetched or converted is a copy of raw data: it lies below
    `scratch`, a private folder, for as long as the table is read.
    Raises DataError with every fault: missing, unreadable, truncated or empty files, other encodings, schemas
    that differ within a glob, a query that fails.
    """
    files = _query(name, source, root, scratch) if source.query else _files(name, source, root, scratch)
    formats = {file: source.format if source.format != "auto" else _format(file) for file in files}
    faults = [
        f"{file.name}: suffix {file.suffix or 'none'}: which format? set parquet, csv or jsonl"
        for file, found in formats.items()
        if not found
    ]
    if len(set(formats.values())) > 1 and not faults:
        faults.append(f"files of several formats: {', '.join(sorted(set(formats.values())))}")
    if faults:
        raise DataError(f"source {name}: {len(faults)} fault(s)", faults)
    form = formats[files[0]]
    if form != "parquet":
        files = _as_utf8(name, files, source.encoding, scratch)
    _check_schemas(name, files, form, _asked(source))
    return _scan(files, form)


def read_table(param: str, path: str, root: Path, *, columns: Sequence[str]) -> pl.DataFrame | None:
    """Read a table that the study is compared with, all of it; None without a path.

    `param` and `columns` tell what the table is named by and should have. Raises DataError when it is not
    readable as Parquet or CSV.
    """
    if not path:
        return None
    file = root / path
    try:
        return pl.read_parquet(file) if file.suffix == ".parquet" else pl.read_csv(file)
    except (OSError, pl.exceptions.PolarsError):
        raise DataError(f"{param} {path}: not readable as Parquet or CSV", [", ".join(columns)]) from None


def read_stated(path: str, root: Path) -> dict[str, Any]:
    """Read what the JSON file of a table's name, beside it, says of it; nothing where there is none.

    Raises DataError when it is no JSON object.
    """
    file = (root / path).with_suffix(".json")
    if not path or not file.is_file():
        return {}
    try:
        stated = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        stated = None
    if not isinstance(stated, dict):
        raise DataError(f"{file.name}, beside {path}: no JSON object", ["what is said of the table"])
    return stated


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Raise DataError for a source whose fault shows only on reading to its end, such as a broken row."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise DataError(f"source {name}: cannot be read to its end", [cause(error)]) from None


def _files(name: str, source: Source, root: Path, scratch: Path) -> list[Path]:
    if "://" in source.path or "::" in source.path or source.path.startswith("$"):
        return _fetched(name, source.path, scratch)
    files = local_files(source, root)
    if not files:
        pattern = root / source.path
        folder = pattern.parent
        others = sorted(path.name for path in folder.glob("*") if path.is_file()) if folder.is_dir() else []
        what = "a folder, no file" if pattern.is_dir() else f"no such file{near_name(pattern.name, others)}"
        raise DataError(
            f"source {name}: {source.path}: {what}",
            ["path is a file or glob below the repository, an absolute path, or a URL"],
        )
    return files


def _fetched(name: str, url: str, scratch: Path) -> list[Path]:
    address = _resolved(name, url)
    folder = scratch / "fetched" / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        files = []
        for index, (path, remote) in enumerate(_remote(address)):
            target = folder / f"{index:04}{_suffix(path)}"  # the rest of an address may hold a secret
            with remote as stream, target.open("wb") as copy:
                shutil.copyfileobj(stream, copy, _BLOCK)
                if getattr(stream, "length", 0):
                    raise EOFError
            files.append(target)
    except Exception as error:  # file systems raise classes of their own
        raise DataError(f"source {name}: the URL cannot be read", [cause(error)]) from None
    if not files:
        raise DataError(f"source {name}: nothing at the URL", ["check the address and the glob"])
    return files


def _remote(address: str) -> Iterator[tuple[str, Any]]:
    """Give the path of every file at an address, without a query, and what opens it."""
    if address.startswith(("http://", "https://")) and "::" not in address:
        try:
            yield urlsplit(address).path, urlopen(address, timeout=_SECONDS)
        except HTTPError as error:
            error.close()
            raise
        return
    import fsspec

    for remote in fsspec.open_files(address, mode="rb"):
        yield urlsplit(remote.path).path if "://" in remote.path else remote.path, remote


def _suffix(path: str) -> str:
    """Return the suffixes of a path that say format and packing, and no other."""
    found = re.search(r"(\.(parquet|csv|jsonl|ndjson))?(\.(gz|zst))?$", path.lower())
    return found[0] if found else ""


def _query(name: str, source: Source, root: Path, scratch: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    uri = _resolved(name, source.database)
    target = scratch / "fetched" / f"{name}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _connection(name, uri, root) as connection, connection.cursor() as cursor:
            cursor.execute(source.query)
            batches = cursor.fetch_record_batch()
            # a database's own types, such as PostgreSQL's numeric, come as text that says what it is
            types = [getattr(field.type, "storage_type", field.type) for field in batches.schema]
            schema = pa.schema(list(zip(batches.schema.names, types, strict=True)))
            with pq.ParquetWriter(target, schema) as writer:
                for batch in batches:
                    plain = [getattr(column, "storage", column) for column in batch.columns]
                    writer.write_batch(pa.record_batch(plain, schema=schema))
    except DataError:
        raise
    except Exception as error:  # the drivers raise classes of their own
        raise DataError(f"source {name}: the query failed", [cause(error)]) from None
    return [target]


def _connection(name: str, uri: str, root: Path) -> Any:
    if uri.startswith(("postgresql://", "postgres://")):
        from adbc_driver_postgresql import dbapi

        return dbapi.connect(uri)
    if uri.startswith("sqlite:///"):
        from adbc_driver_sqlite import dbapi as sqlite

        file = root / uri.removeprefix("sqlite:///")
        if not file.is_file():
            right = "sqlite:///folder/file.db below the repository, or sqlite:////folder/file.db"
            raise DataError(f"source {name}: no such SQLite file", [right])
        return sqlite.connect(str(file))
    raise DataError(f"source {name}: database", ["write postgresql://... or sqlite:///file.db, or $NAME"])


def _resolved(name: str, address: str) -> str:
    if not address.startswith("$"):
        return address
    value = os.environ.get(address[1:], "")
    if not value:
        raise DataError(f"source {name}: environment variable {address[1:]} is not set", ["export it first"])
    return value


def _format(file: Path) -> str:
    plain = file.with_suffix("") if file.suffix in _PACKED else file
    return _SUFFIXES.get(plain.suffix.lower(), "")


def _as_utf8(name: str, files: list[Path], encoding: str, scratch: Path) -> list[Path]:
    """Check that text files, also packed ones, have the encoding the study names; convert those not UTF-8."""
    try:
        decoder = codecs.getincrementaldecoder(encoding)
    except LookupError:
        raise DataError(
            f"source {name}: encoding {encoding!r} is unknown", ["such as utf-8, latin-1"]
        ) from None
    same = codecs.lookup(encoding).name in ("utf-8", "ascii")
    found, faults = [], []
    for index, file in enumerate(files):
        plain = file.stem if file.suffix in _PACKED else file.name
        target = scratch / "converted" / name / f"{index:04}-{plain}"
        try:
            found.append(file if same else target)
            _decode(file, decoder("strict"), None if same else target)
        except UnicodeDecodeError:
            faults.append(
                f"{file.name}: not in {encoding}; set encoding, such as latin-1 or cp1252 or utf-16"
            )
        except OSError as error:
            faults.append(f"{file.name}: unreadable or truncated ({cause(error)})")
    if faults:
        raise DataError(f"source {name}: text in another encoding, or no text", faults)
    return found


def _decode(file: Path, decoder: codecs.IncrementalDecoder, target: Path | None) -> None:
    import pyarrow as pa

    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
    packing = _PACKED.get(file.suffix)
    place = target or Path(os.devnull)
    with (
        pa.input_stream(str(file), compression=packing) as stream,
        place.open("w", encoding="utf-8", newline="") as copy,
    ):
        while block := stream.read(_BLOCK):
            text = decoder.decode(block)
            if target:
                copy.write(text)
        decoder.decode(b"", final=True)


def _asked(source: Source) -> set[str]:
    """Return the columns that the study names; other names may be data, where a file lacks its header."""
    wide = source.wide.columns.values() if source.wide else ()
    named = {source.columns.get(column, column) for column in source.all_types}
    return named.union(*wide)


def _check_schemas(name: str, files: list[Path], form: str, asked: set[str]) -> None:
    faults: list[str] = []
    schemas: dict[Path, pl.Schema] = {}
    rows = 0
    for file in files:
        try:
            scanned = _scan([file], form)
            schemas[file] = scanned.collect_schema()
            rows += 0 if rows else scanned.head(1).collect().height
        except (pl.exceptions.PolarsError, OSError) as error:
            faults.append(f"{file.name}: unreadable, truncated, empty or no {form} ({cause(error)})")
    first = next(iter(schemas.values()), pl.Schema())
    for file, schema in schemas.items():
        different = sorted(column for column in {*schema, *first} if schema.get(column) != first.get(column))
        if form == "csv" and not different and list(schema) != list(first):
            different = ["their order"]
        if form == "csv" and len(schema) == 1 and re.search("[;|\t]", next(iter(schema))):
            faults.append(f"{file.name}: one column only; are its fields separated by commas?")
        if different:
            told = [column for column in different if column in asked or column == "their order"][:8]
            others = len(different) - len(told)
            told += [f"{others} other column(s)"] if others else []
            faults.append(f"{file.name}: columns or types differ from {files[0].name} in {', '.join(told)}")
    if not faults and not rows:
        faults.append("no rows; a source holds at least one")
    if faults:
        raise DataError(f"source {name}: {len(faults)} file(s) at fault", faults)


def _scan(files: list[Path], form: str) -> pl.LazyFrame:
    if form == "parquet":
        return pl.scan_parquet(files, hive_partitioning=False, glob=False)
    if form == "csv":
        return pl.scan_csv(files, infer_schema=False, glob=False)
    return pl.scan_ndjson(files, infer_schema_length=10_000)
