"""The decision log: one SQLite file that only grows, whole whatever dies, chained so that an edit shows."""

from __future__ import annotations

import hashlib
import json
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.errors import RunError

DECISION_COLUMNS = {
    "at": "TEXT NOT NULL",
    "applicant_id": "TEXT NOT NULL",
    "role": "TEXT NOT NULL",
    "bundle_sha256": "TEXT NOT NULL",
    "inputs_sha256": "TEXT NOT NULL",
    "prob_default": "REAL NOT NULL",
    "score": "REAL NOT NULL",
    "decision": "TEXT NOT NULL",
    "decided_by": "TEXT NOT NULL",
    "review": "INTEGER NOT NULL",
    "flags": "TEXT NOT NULL",
    "reasons": "TEXT NOT NULL",
    "milliseconds": "REAL NOT NULL",
}
REQUEST_COLUMNS = {"at": "TEXT NOT NULL", "status": "INTEGER NOT NULL", "milliseconds": "REAL NOT NULL"}
TABLES = {"decisions": DECISION_COLUMNS, "requests": REQUEST_COLUMNS}
MOST_TOGETHER = 256
FIRST = "0" * 64
"""What stands before the first row of the chain."""
Row = Mapping[str, Any]


class LogUnavailableError(Exception):
    """The log takes nothing at the moment: no decision may be told."""


class DecisionLog:
    """Appends rows in groups, each group one transaction that is on the disk before anybody is answered.

    Order is that of `seq`, which only rises: the clock may go back. Every decision carries the SHA-256 of the
    one before it together with its own columns. Raises RunError for a file that is no decision log, was
    edited, or is in use.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path, self._clock = path, clock
        self._waiting: queue.SimpleQueue[tuple[str, Row, Future[int]] | None] = queue.SimpleQueue()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(f"{path}.lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{path}: in use by another process", ["each server keeps a log of its own"]
            ) from None
        file = _opened(path)
        self._last = last_digest(file)
        file.close()
        self.is_writable = True
        self._thread = threading.Thread(target=self._work, name="decision-log", daemon=True)
        self._thread.start()

    def append(self, table: str, row: Row) -> Future[int]:
        """Hand in a row; the future holds its `seq` when it is on the disk, or LogUnavailableError."""
        done: Future[int] = Future()
        self._waiting.put((table, row, done))
        return done

    def now(self) -> str:
        """Return the time as the clock says it, in UTC with milliseconds."""
        return self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def close(self) -> None:
        """Write what was handed in and close the file."""
        self._waiting.put(None)
        self._thread.join()
        self._lock.release()

    def _work(self) -> None:
        """Write group after group, on a connection that belongs to this thread."""
        file = _opened(self.path)
        is_open = True
        while is_open:
            group = [self._waiting.get()]
            while len(group) < MOST_TOGETHER and not self._waiting.empty():
                group.append(self._waiting.get())
            is_open = None not in group
            items = [item for item in group if item is not None]
            try:
                numbers = self._write(file, items)
            except sqlite3.Error as error:
                self.is_writable = False
                for _, _, done in items:
                    done.set_exception(LogUnavailableError(type(error).__name__))
                continue
            self.is_writable = True
            for (_, _, done), number in zip(items, numbers, strict=True):
                done.set_result(number)
        file.close()

    def _write(self, file: sqlite3.Connection, items: list[tuple[str, Row, Future[int]]]) -> list[int]:
        last, numbers = self._last, []
        file.execute("BEGIN IMMEDIATE")
        try:
            for table, row, _ in items:
                columns = TABLES[table]
                values = [row[name] for name in columns]
                if table == "decisions":
                    last = chained(last, row)
                    values.append(last)
                marks = ", ".join("?" * len(values))
                names = ", ".join([*columns, *(["digest"] if table == "decisions" else [])])
                numbers.append(
                    file.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", values).lastrowid
                )
            file.execute("COMMIT")
        except sqlite3.Error:
            if file.in_transaction:
                file.execute("ROLLBACK")
            raise
        self._last = last
        return [number or 0 for number in numbers]


def chained(previous: str, row: Row) -> str:
    """Return the digest of a decision: SHA-256 of the digest before it and the row's columns as JSON."""
    text = json.dumps([previous, *(row[name] for name in DECISION_COLUMNS)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def last_digest(file: sqlite3.Connection) -> str:
    """Return the digest of the newest decision, where the chain goes on."""
    found = file.execute("SELECT digest FROM decisions ORDER BY seq DESC LIMIT 1").fetchone()
    return str(found[0]) if found else FIRST


def read_log(path: Path, table: str = "decisions") -> Iterator[dict[str, Any]]:
    """Yield the rows of a table in order of `seq`, each decision checked against the chain.

    Raises RunError at the first decision that was edited, or that lacks the one before it.
    """
    if not path.is_file():
        raise RunError(f"{path}: no such decision log")
    columns = [*TABLES[table], *(["digest"] if table == "decisions" else [])]
    previous, expected = FIRST, 1
    with _reading(path) as file:
        for seq, *values in file.execute(f"SELECT seq, {', '.join(columns)} FROM {table} ORDER BY seq"):
            row = {"seq": seq, **dict(zip(columns, values, strict=True))}
            if table == "decisions":
                if seq != expected or row["digest"] != chained(previous, row):
                    wrong = f"decision {expected:,} was edited or is missing"
                    raise RunError(f"{path}: the chain is broken", [wrong])
                previous, expected = row["digest"], expected + 1
            yield row


def _reading(path: Path) -> Any:
    from contextlib import closing

    try:
        return closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True))
    except sqlite3.Error as error:
        raise RunError(f"{path}: not readable as a decision log ({error})") from None


def _opened(path: Path) -> sqlite3.Connection:
    try:
        file = sqlite3.connect(path, isolation_level=None, timeout=5)
        file.execute("PRAGMA journal_mode=WAL")
        path.chmod(0o600)
        file.execute("PRAGMA synchronous=FULL")
        for table, columns in TABLES.items():
            named = ", ".join(f"{name} {kind}" for name, kind in columns.items())
            digest = ", digest TEXT NOT NULL" if table == "decisions" else ""
            file.execute(
                f"CREATE TABLE IF NOT EXISTS {table} (seq INTEGER PRIMARY KEY AUTOINCREMENT, {named}{digest})"
            )
            for change in ("UPDATE", "DELETE"):
                file.execute(
                    f"CREATE TRIGGER IF NOT EXISTS no_{change.lower()}_{table} BEFORE {change} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'a decision log only grows'); END"
                )
    except (sqlite3.Error, OSError) as error:
        raise RunError(
            f"{path}: cannot be a decision log ({error})", ["name a file on a disk with space"]
        ) from None
    return file
