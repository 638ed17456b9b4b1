"""The history of monitored batches: one DuckDB file, whole after any kill, with no row of an applicant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import polars as pl

from workbench.errors import DataError, RunError
from workbench.monitoring.alerts import ALERT_SCHEMA
from workbench.monitoring.retraining import Recommendation
from workbench.watch.inputs import Batch
from workbench.watch.judging import Judged
from workbench.watch.measures import SCHEMA as MEASURE_SCHEMA

INDEX_COLUMNS = (
    "name",
    "stability",
    "chance",
    "p_value",
    "adjusted",
    "missing_before",
    "missing_now",
    "state",
)
_KINDS = {pl.String: "VARCHAR", pl.Float64: "DOUBLE", pl.Int64: "BIGINT"}
_INDEX_SCHEMA = {name: pl.String if name in ("name", "state") else pl.Float64 for name in INDEX_COLUMNS}
_TABLES: Mapping[str, Mapping[str, Any]] = {
    "indices": {"feature" if name == "name" else name: kind for name, kind in _INDEX_SCHEMA.items()},
    "measures": MEASURE_SCHEMA,
    "alerts": ALERT_SCHEMA,
}
_BATCHES = """CREATE TABLE IF NOT EXISTS batches (
    number BIGINT PRIMARY KEY, name VARCHAR, version BIGINT, identity VARCHAR, hashes VARCHAR, applicants
    BIGINT, first_vintage VARCHAR, last_vintage VARCHAR, bundle_sha256 VARCHAR, run VARCHAR, recorded_at
    VARCHAR, clock_went_back BOOLEAN, superseded_by BIGINT, action VARCHAR, evidence VARCHAR, UNIQUE (name,
    version))"""


@dataclass(frozen=True)
class Recorded:
    """A version of a batch in the history; `is_new` is False for one that was there before."""

    number: int
    name: str
    version: int
    recorded_at: str
    is_new: bool


class History:
    """The batches of one run, newest last by `number`: the clock may go back, the numbers do not."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._file = connection
        self._file.execute(_BATCHES)
        for table, columns in _TABLES.items():
            named = ", ".join(f'"{name}" {_KINDS[kind]}' for name, kind in columns.items())
            self._file.execute(f"CREATE TABLE IF NOT EXISTS {table} (number BIGINT, place BIGINT, {named})")

    def known(self, name: str, identity: str) -> Recorded | None:
        """Return the version of a batch that was made of the same files, if there is one."""
        found = self._file.execute(
            "SELECT number, version, recorded_at FROM batches WHERE name = ? AND identity = ?",
            [name, identity],
        ).fetchone()
        return Recorded(found[0], name, found[1], found[2], is_new=False) if found else None

    def check_content(self, name: str, hashes: Mapping[str, str], *, corrects: bool) -> None:
        """Refuse other applicants under a name that is taken, unless they correct it; more evidence is
        welcome.

        Raises:
            DataError: another batch of the same name.
        """
        found = self._file.execute(
            "SELECT hashes, version FROM batches WHERE name = ? ORDER BY version DESC LIMIT 1", [name]
        ).fetchone()
        if found and json.loads(found[0])["batch"] != hashes["batch"] and not corrects:
            right = [
                "name it otherwise with --name, or say --corrects: the old version is kept, marked superseded"
            ]
            raise DataError(f"batch {name} is known with other contents (version {found[1]})", right)

    def record(
        self, name: str, batch: Batch, judged: Judged, *, run: str, bundle_sha256: str, now: str
    ) -> Recorded:
        """Write a new version of a batch, and mark the one before it as superseded: all of it or nothing."""
        number = self._one("SELECT coalesce(max(number), 0) + 1 FROM batches")
        version = self._one("SELECT coalesce(max(version), 0) + 1 FROM batches WHERE name = ?", name)
        latest = self._one("SELECT max(recorded_at) FROM batches")
        vintages = _vintages(batch.frame)
        told: Recommendation = judged.recommendation
        self._file.begin()
        try:
            self._file.execute(
                "UPDATE batches SET superseded_by = ? WHERE name = ? AND superseded_by IS NULL",
                [version, name],
            )
            row = [
                number,
                name,
                version,
                batch.identity,
                json.dumps(batch.hashes),
                batch.frame.height,
                *vintages,
            ]
            row += [
                bundle_sha256,
                run,
                now,
                bool(latest and now < latest),
                None,
                told.action,
                json.dumps(told.evidence),
            ]
            self._file.execute(f"INSERT INTO batches VALUES ({', '.join('?' * len(row))})", row)
            for table, frame in self._frames(judged):
                marks = ", ".join("?" * (frame.width + 2))
                rows = [[number, place, *values] for place, values in enumerate(frame.rows())]
                if rows:
                    self._file.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
            self._file.commit()
        except BaseException:
            self._file.rollback()
            raise
        return Recorded(number, name, version, now, is_new=True)

    def table(self, table: str, number: int) -> pl.DataFrame:
        """Return the indices, measures or alerts of a version."""
        columns = _TABLES[table]
        named = ", ".join(f'"{name}"' for name in columns)
        found = self._file.execute(f"SELECT {named} FROM {table} WHERE number = ? ORDER BY place", [number])
        return pl.DataFrame(found.fetchall(), schema=dict(columns), orient="row")

    def batches(self, upto: int | None = None) -> pl.DataFrame:
        """Return every version in order of its number, with what was recommended; those up to a number
        alone."""
        most = upto if upto is not None else self._one("SELECT coalesce(max(number), 0) FROM batches")
        found = self._file.execute("SELECT * FROM batches WHERE number <= ? ORDER BY number", [most])
        names = [column[0] for column in found.description]
        return pl.DataFrame(found.fetchall(), schema=names, orient="row", infer_schema_length=None)

    def about(self, number: int) -> dict[str, Any]:
        """Return the row of a version."""
        return self.batches(number).row(by_predicate=pl.col("number") == number, named=True)

    def valid(self, upto: int) -> list[int]:
        """Return the numbers of the versions that were not superseded when number `upto` was recorded, in
        order."""
        found = self._file.execute(
            "SELECT max(number) FROM batches WHERE number <= ? GROUP BY name ORDER BY max(number)", [upto]
        )
        return [row[0] for row in found.fetchall()]

    def earlier_alerts(self, name: str) -> list[pl.DataFrame]:
        """Return the alerts of the batches before this one, newest first; versions of the same batch left
        out."""
        last = self._one("SELECT coalesce(max(number), 0) FROM batches")
        others = {
            row[0]
            for row in self._file.execute("SELECT number FROM batches WHERE name <> ?", [name]).fetchall()
        }
        return [self.table("alerts", number) for number in reversed(self.valid(last)) if number in others]

    def first_estimates(self, name: str, batch_sha256: str) -> pl.DataFrame | None:
        """Return the measures of the first version of a batch with these contents: estimates before
        outcomes."""
        rows = self._file.execute(
            "SELECT number, hashes FROM batches WHERE name = ? ORDER BY number", [name]
        ).fetchall()
        numbers = [number for number, hashes in rows if json.loads(hashes)["batch"] == batch_sha256]
        return self.table("measures", numbers[0]).filter(section="estimate") if numbers else None

    def _one(self, query: str, *values: Any) -> Any:
        found = self._file.execute(query, list(values)).fetchone()
        return found[0] if found else None

    @staticmethod
    def _frames(judged: Judged) -> Iterator[tuple[str, pl.DataFrame]]:
        yield "indices", judged.indices.select(INDEX_COLUMNS)
        yield "measures", judged.measures
        yield "alerts", judged.alerts


@contextmanager
def open_history(path: Path) -> Iterator[History]:
    """Open the history, or begin one; raises RunError for another file, and when another process has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(str(path), config={"enable_external_access": "false"})
    except duckdb.Error as error:
        if "lock" in str(error).lower():
            raise RunError(f"{path}: in use by another process", ["wait for it to end"]) from None
        raise RunError(f"{path}: is no history of batches", ["name another file with --history"]) from None
    try:
        yield History(connection)
    except duckdb.Error as error:
        raise RunError(f"{path}: not written", [str(error).splitlines()[0]]) from None
    finally:
        connection.close()


def _vintages(frame: pl.DataFrame) -> tuple[str | None, str | None]:
    if "vintage" not in frame.columns or not frame["vintage"].drop_nulls().len():
        return None, None
    known = frame["vintage"].drop_nulls().cast(pl.String)
    return known.min(), known.max()  # type: ignore[return-value]
