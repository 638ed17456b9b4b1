"""Writes a world with known truth: a lender's raw tables, and beside them what is true of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from workbench.errors import DataError, RunError
from workbench.store import write_json, write_whole
from workbench.world.block import cut, draw_block, join
from workbench.world.plan import BLOCK, MOST_APPLICANTS, Table
from workbench.world.summary import count, describe
from workbench.world.tables import customer_ids, export, parquet

SOURCES = ("applicants", "electricity", "water", "airtime", "mobile_money", "posts", "bureau")
BLOCKS_TOGETHER = 10  # a row group holds at most these blocks' applicants
MOST_JOBS = 64
Task = tuple[Path, int, int, bool, int, int]


@dataclass(frozen=True)
class Part:
    """What one chunk leaves in memory: its truth and its counts."""

    truth: Table
    rows: dict[str, int]
    counts: Table


def write_world(
    folder: Path,
    *,
    applicants: int,
    seed: int,
    chunk: int = 50_000,
    jobs: int = 2,
    clean: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write the raw tables of a made-up lender, truth.parquet and, last, truth.json; return the folder.

    `folder/<source>/part-00000.parquet` ... hold `chunk` applicants each. A chunk is held in memory, about
    8 KB an applicant, in each of `jobs` processes; of every applicant this one keeps 0.1 KB of truth. Rows,
    their order and truth.json depend on `applicants`, `seed` and `clean` alone. `clean` leaves out the
    planted errors and the identifiers in posts; late arrivals stay, as they are when the lender knew of a
    row. `progress` gets applicants done and in all.
    A folder without truth.json was not finished. Raises DataError with every fault, for a number out of its
    range or a folder that holds something, and RunError where the disk or the memory does not suffice.
    """
    _check(folder, applicants, seed, chunk, jobs)
    bounds = [(start, min(start + chunk, applicants)) for start in range(0, applicants, chunk)]
    tasks = [(folder, place, seed, clean, *bound) for place, bound in enumerate(bounds)]
    parts = []
    for part in _parts(tasks, min(jobs, len(tasks))):
        parts.append(part)
        if progress:
            progress(bounds[len(parts) - 1][1], applicants)
    truth = {name: np.concatenate([part.truth[name] for part in parts]) for name in parts[0].truth}
    rows = {name: sum(part.rows[name] for part in parts) for name in SOURCES}
    counts = _added([part.counts for part in parts])
    write_whole(folder / "truth.parquet", parquet([_truth_table(truth)]))
    write_json(folder / "truth.json", describe(truth, rows, counts, seed=seed, clean=clean))
    return folder


def _check(folder: Path, applicants: int, seed: int, chunk: int, jobs: int) -> None:
    ranges = (
        ("applicants", applicants, 1, MOST_APPLICANTS),
        ("seed", seed, 0, 2**63 - 1),
        ("chunk", chunk, 1, MOST_APPLICANTS),
        ("jobs", jobs, 1, MOST_JOBS),
    )
    faults = [
        f"{name}: got {value!r}; right is a whole number from {low:,} to {high:,}"
        for name, value, low, high in ranges
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high
    ]
    if folder.exists() and not folder.is_dir():
        faults.append(f"{folder}: is a file; right is a folder that is empty or not there yet")
    elif folder.is_dir() and any(folder.iterdir()):
        unfinished = any(folder.glob("applicants/*.parquet")) and not (folder / "truth.json").exists()
        left = " of a world that was not finished (no truth.json): remove it" if unfinished else ""
        faults.append(f"{folder}: holds files{left}; right is a folder that is empty or not there yet")
    if faults:
        raise DataError("The world was not written; nothing was changed.", faults)


def _parts(tasks: list[Task], jobs: int) -> Iterator[Part]:
    """Yield the parts in order; with one job in this process, else in fresh ones."""
    if jobs == 1:
        for task in tasks:
            yield _write_chunk(*task)
        return
    workers = [_started(tasks[first::jobs]) for first in range(jobs)]
    try:
        for place in range(len(tasks)):
            told = _received(workers[place % jobs][1])
            if isinstance(told, Exception):
                raise told
            yield told
    finally:
        for _, parts in workers:
            parts.close()  # who still writes ends with the chunk in hand
        for worker, _ in workers:
            worker.join()


def _received(parts: Connection) -> Any:
    """Return the next part of a process; raises RunError where it ended before, or within, a part."""
    try:
        return parts.recv()
    except (EOFError, OSError):
        right = ["most likely memory ran out: take a smaller chunk or one job", "remove the folder first"]
        raise RunError("A process that wrote the world was ended from outside.", right) from None


def _started(tasks: list[Task]) -> tuple[Any, Connection]:
    """Start a process for some tasks; its parts come through a pipe that ends when the process does."""
    spawn = multiprocessing.get_context("spawn")
    receiving, sending = spawn.Pipe(duplex=False)
    worker = spawn.Process(target=_write_chunks, args=(tasks, sending))
    worker.start()
    sending.close()
    return worker, receiving


def _write_chunks(tasks: list[Task], sending: Connection) -> None:
    with suppress(BrokenPipeError):  # nobody waits any more
        try:
            for task in tasks:
                sending.send(_write_chunk(*task))
        except Exception as error:
            sending.send(error)


def _write_chunk(folder: Path, place: int, seed: int, clean: bool, start: int, stop: int) -> Part:
    """Write the applicants from `start` to before `stop` as part `place` of every source."""
    first, last = start // BLOCK, (stop - 1) // BLOCK
    truths, counts, exported = [], [], []
    for low in range(first, last + 1, BLOCKS_TOGETHER):
        numbers = range(low, min(low + BLOCKS_TOGETHER, last + 1))
        group = join([cut(draw_block(seed, number, clean), start, stop) for number in numbers])
        truths.append(group.truth)
        counts.append(count(group))
        exported.append(export(group))
    for source in SOURCES:
        path = folder / source / f"part-{place:05}.parquet"
        write_whole(path, parquet([tables[source] for tables in exported]))
    truth = {name: np.concatenate([part[name] for part in truths]) for name in truths[0]}
    truth["owner"] = np.arange(start, stop)
    rows = {name: sum(len(tables[name]) for tables in exported) for name in SOURCES}
    return Part(truth, rows, _added(counts))


def _truth_table(truth: Table) -> pa.Table:
    """Return true PD, what would have come of everybody, and the formula's features, missing as null."""
    columns = {name: pa.array(values, from_pandas=True) for name, values in truth.items() if name != "owner"}
    return pa.table({"customer_id": customer_ids(truth["owner"]), **columns})


def _added(counts: list[Table]) -> Table:
    return {name: np.sum([part[name] for part in counts], axis=0) for name in counts[0]}
