"""Scoring a batch of any size: part after part, each whole or not there, so that a kill loses and doubles no
row."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
from filelock import FileLock, Timeout
from polars.exceptions import ComputeError, PolarsError

from workbench.engine import Engine
from workbench.errors import DataError, RunError
from workbench.privacy.encryption import open_cipher
from workbench.scoring.agreement import flag_table
from workbench.scoring.contract import FLAGS
from workbench.scoring.frozen import DECISIONS
from workbench.scoring.tables import ID, decision_table
from workbench.serving.opening import OpenedBundle, open_bundle
from workbench.store import digest, read_json, sha256, write_json, write_whole

BATCH = "batch.json"
PART_ROWS = 250_000
_OUTCOMES = (*DECISIONS, "refused")


@dataclass(frozen=True)
class Part:
    """Rows of one input file, and everything that says how they are scored: plain values, for any process."""

    number: int
    source: str
    offset: int
    rows: int
    folder: str
    bundle: str
    bundle_sha256: str
    inputs_sha256: str
    encryption_key: str
    reasons: bool
    threads: int

    @property
    def path(self) -> Path:
        """Where its decisions go."""
        return Path(self.folder) / f"part-{self.number:05}.parquet"

    @property
    def note(self) -> Path:
        """What was done, written when the decisions are whole."""
        return self.path.with_suffix(".json")


@dataclass(frozen=True)
class BatchDone:
    """What a batch came to: where it is, rows, parts that were there before, and what `batch.json` holds."""

    folder: Path
    rows: int
    resumed: int
    about: dict[str, Any]


def score_batch(
    opened: OpenedBundle,
    inputs: Sequence[Path],
    folder: Path,
    *,
    name: str,
    engine: Engine,
    reasons: bool = True,
    part_rows: int = PART_ROWS,
    threads: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> BatchDone:
    """Score Parquet files into a folder of parts with `batch.json`, going on where a killed start stopped.

    The decision log is the parts (columns as `decision_table`) with `batch.json`: hashes of bundle, inputs
    and parts, and when each part was decided. The same inputs, bundle and options give the same parts, byte
    for byte where rows are not encrypted. `engine` dask spreads the parts over its workers, which see the
    same files.

    Raises:
        DataError: inputs without rows, without the scorer's columns or with columns of the wrong type.
        RunError: another batch in the folder, another process at work on it, or a disk that refuses.
    """
    files = _files(inputs)
    known = {str(path): _shape(path, opened) for path in files}
    plan = {
        "name": name,
        "bundle_sha256": opened.sha256,
        "inputs": [{"rows": rows, "sha256": sha256(Path(path))} for path, rows in known.items()],
        "reasons": reasons,
        "part_rows": part_rows,
    }
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".in_use.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(
            f"{folder}: another process scores into it", ["wait for it, or name another folder"]
        ) from None
    with lock:
        _check_plan(folder, plan)
        for left in folder.glob(".*.parquet"):  # half-written when a start was killed
            left.unlink()
        parts = list(_parts(known, folder, plan, opened, reasons, threads or os.cpu_count() or 1))
        pending = [part for part in parts if not _is_whole(part)]
        write_json(folder / BATCH, {"state": "running", **plan})
        _do(pending, engine, len(parts), progress or _silent)
        about = {"state": "complete", **plan, **_totals(parts, opened)}
        if read_json(folder / BATCH) != about:
            write_json(folder / BATCH, about)
    return BatchDone(folder, sum(known.values()), len(parts) - len(pending), about)


def score_part(part: Part) -> None:
    """Score one part and write it whole, its note last."""
    cipher = open_cipher(part.encryption_key)
    opened = _opened_here(part.bundle, part.bundle_sha256)
    wanted = [ID, *opened.frozen.contract.names]
    rows = pl.scan_parquet(part.source, glob=False, **cipher.reading).select(wanted)
    table = rows.slice(part.offset, part.rows).collect()
    decided = decision_table(opened.frozen, table, reasons=part.reasons, threads=part.threads)
    metadata = {"bundle_sha256": part.bundle_sha256, "inputs_sha256": part.inputs_sha256}
    write_whole(part.path, lambda to: decided.write_parquet(to, metadata=metadata, **cipher.writing))
    counts = dict(decided.group_by("decision").len().iter_rows())
    note = {
        "rows": decided.height,
        "sha256": sha256(part.path),
        "decided_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "decisions": {outcome: counts.get(outcome, 0) for outcome in _OUTCOMES},
        "flags": dict(flag_table(decided).select("flag", "applicants").head(len(FLAGS) + 1).iter_rows()),
    }
    write_json(part.note, note)


def scan_batch(folder: Path, *, encryption_key: str = "") -> pl.LazyFrame:
    """Open the decisions of a complete batch; raises RunError for one that is not, or that was edited."""
    about = read_json(folder / BATCH)
    if about.get("state") != "complete":
        raise RunError(f"{folder}: the batch is not complete", ["run the same command again: it goes on"])
    paths = [folder / part["file"] for part in about["parts"]]
    wrong = [
        f"{path.name} is missing or was edited"
        for path, part in zip(paths, about["parts"], strict=True)
        if not path.is_file() or sha256(path) != part["sha256"]
    ]
    if wrong or not paths:
        raise RunError(f"{folder}: not as it was written", wrong or ["it has no rows"])
    return pl.scan_parquet(paths, glob=False, **open_cipher(encryption_key).reading)


@lru_cache(maxsize=2)
def _opened_here(path: str, sha256_expected: str) -> OpenedBundle:
    return open_bundle(Path(path), sha256=sha256_expected)


def _files(inputs: Sequence[Path]) -> list[Path]:
    found = [
        file for path in inputs for file in (sorted(path.rglob("*.parquet")) if path.is_dir() else [path])
    ]
    missing = [f"{path}: no such file" for path in found if not path.is_file()]
    missing += [
        f"{path}: no Parquet files in it"
        for path in inputs
        if path.is_dir() and not any(path.rglob("*.parquet"))
    ]
    if missing or not found:
        raise DataError("nothing to score", missing or ["name a Parquet file or a folder of them"])
    return [file.resolve() for file in found]


def _shape(path: Path, opened: OpenedBundle) -> int:
    """Return the rows of an input after its columns were checked on no rows at all."""
    scanned = pl.scan_parquet(path, glob=False, **open_cipher(opened.encryption_key).reading)
    try:
        schema = scanned.collect_schema()
        rows = int(scanned.select(pl.len()).collect().item())
    except (PolarsError, ComputeError, OSError) as error:
        reason = str(error).splitlines()[0][:120]
        raise DataError(f"{path}: not readable as Parquet, truncated or encrypted", [reason]) from None
    try:
        decision_table(opened.frozen, pl.DataFrame(schema=schema), reasons=False)
    except DataError as error:
        raise DataError(f"{path}: {error.summary}", error.faults) from None
    return rows


def _parts(
    known: dict[str, int],
    folder: Path,
    plan: dict[str, Any],
    opened: OpenedBundle,
    reasons: bool,
    threads: int,
) -> Iterator[Part]:
    number, together = 0, digest(plan["inputs"])
    for source, rows in known.items():
        for offset in range(0, rows, plan["part_rows"]):
            yield Part(
                number,
                source,
                offset,
                min(plan["part_rows"], rows - offset),
                str(folder),
                str(opened.path),
                opened.sha256,
                together,
                opened.encryption_key,
                reasons,
                threads,
            )
            number += 1


def _check_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Refuse a folder that holds another batch, so that two of one name are never mixed."""
    path = folder / BATCH
    if not path.is_file():
        if any(folder.glob("*.parquet")):
            right = "name an empty folder"
            raise RunError(f"{folder}: holds Parquet files that no batch wrote", [right])
        return
    known = read_json(path)
    differ = [key for key in plan if known.get(key) != plan[key]]
    if differ:
        faults = [f"{key} differs" for key in differ]
        raise RunError(
            f"{folder}: holds another batch ({known.get('name', 'unnamed')})",
            [*faults, "name another folder"],
        )


def _is_whole(part: Part) -> bool:
    if not (part.note.is_file() and part.path.is_file()):
        return False
    note = read_json(part.note)
    return bool(note["rows"] == part.rows and note["sha256"] == sha256(part.path))


def _do(pending: Sequence[Part], engine: Engine, total: int, progress: Callable[[int, int], None]) -> None:
    progress(total - len(pending), total)
    if engine.name == "dask":
        engine.map(score_part, pending)
        progress(total, total)
        return
    for done, part in enumerate(pending, start=total - len(pending) + 1):
        score_part(part)
        progress(done, total)


def _silent(done: int, total: int) -> None: ...


def _totals(parts: Sequence[Part], opened: OpenedBundle) -> dict[str, Any]:
    notes = [read_json(part.note) for part in parts]
    files = [part.path for part in parts]
    decided = pl.scan_parquet(files, glob=False, **open_cipher(opened.encryption_key).reading)
    repeated = decided.select(pl.len() - pl.col(ID).n_unique()).collect().item() if files else 0
    return {
        "rows": sum(note["rows"] for note in notes),
        "repeated_ids": int(repeated),
        "decisions": {name: sum(note["decisions"][name] for note in notes) for name in _OUTCOMES},
        "flags": {name: sum(note["flags"][name] for note in notes) for name in (*FLAGS, "for review")},
        "evidence": dict(opened.frozen.evidence),
        "parts": [
            {"file": part.path.name, **{key: note[key] for key in ("rows", "sha256", "decided_at")}}
            for part, note in zip(parts, notes, strict=True)
        ],
    }
