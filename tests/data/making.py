"""Small studies made of frames: written as files, then taken in as the notebook of the data stage does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import polars.selectors as cs

from workbench.data import applicants as people
from workbench.data import intake, protection, quality
from workbench.data.standard import FAULTS, standardise
from workbench.engine import Engine
from workbench.sources import Source

APPLIED = datetime(2025, 6, 1, 12)
WARN = dict.fromkeys(quality.ISSUES, "warn")
LINES = {"volume": 0.5, "missing": 0.05, "unit_shift": 2.0, "category_shift": 0.1}
MICROSECOND, DAY = timedelta(microseconds=1), timedelta(days=1)


def source(kind="bills", **values):
    """A source with only what its kind must have said."""
    place = {} if {"query", "path"} & set(values) else {"path": "x.parquet"}
    return Source(kind=kind, **{"data_category": "utility", **place, **values})


def standard(frame, kind="bills", **values):
    """A frame in standard columns, and by contract the rows that break it."""
    made = standardise("s", source(kind, **values), frame.lazy())
    table = made.table.collect()
    faults = {c: table[f"{FAULTS}{i}"].to_list() for i, c in enumerate(made.contracts)}
    return table.drop(cs.starts_with(FAULTS)), faults


def applicants(count=3, **columns):
    """Applicants 1, 2, ... who applied at the same time and did not default, unless columns say otherwise.

    `file` is a column that nobody reads; without it they would be duplicates of the first.
    """
    ids = range(1, count + 1)
    fixed = {"applicant_id": ids, "application_time": APPLIED, "default": 0, "file": ids}
    rows = pl.select(pl.int_range(1, count + 1, dtype=pl.Int64).alias("applicant_id"))
    for name, values in (fixed | columns).items():
        column = pl.lit(values) if not isinstance(values, list | range) else pl.Series(values)
        rows = rows.with_columns(column.alias(name))
    return rows


def bills(*rows, **columns):
    """Bills of applicant 1, due and paid ten days before the application, unless rows say otherwise."""
    fixed = {
        "applicant_id": 1,
        "event_time": APPLIED - 10 * DAY,
        "paid_time": APPLIED - 10 * DAY,
        "amount_due": 20.0,
    }
    types = dict.fromkeys(("event_time", "paid_time", "recorded_time"), pl.Datetime("us"))
    made = pl.DataFrame([fixed | columns | row for row in rows], infer_schema_length=None)
    return made.with_columns(pl.col(c).cast(t) for c, t in types.items() if c in made.columns)


@dataclass
class Taken:
    """What the data stage made of a study."""

    folder: Path
    everyone: pl.DataFrame
    waterfall: pl.DataFrame
    counts: pl.DataFrame
    findings: pl.DataFrame
    ledger: pl.DataFrame
    identifiers: pl.DataFrame
    parts: int

    def rows(self, name):
        """The rows of all parts of a source, or of those set aside (`<name>_set_aside`)."""
        files = sorted((self.folder / "kept" / name).glob("*.parquet"))
        return pl.concat([pl.read_parquet(file) for file in files]) if files else pl.DataFrame()

    def part(self, name, number):
        return pl.read_parquet(self.folder / "kept" / name / f"part-{number:04}.parquet")

    def account(self, name):
        """The ledger's row of a source, without what is zero."""
        row = self.ledger.row(by_predicate=pl.col("source") == name, named=True)
        return {column: value for column, value in row.items() if value and column != "source"}

    def found(self, issue):
        """The findings of an issue: source, column, month, rows."""
        chosen = self.findings.filter(pl.col("issue") == issue)
        return chosen.select("source", "column", "month", pl.col("affected").cast(pl.Int64)).rows()


def take(
    folder,
    frames,
    *,
    sources=None,
    key=None,
    severity=None,
    observation_days=365,
    late_days=7,
    extracted_on="",
    forgotten=(),
    drawn=0,
    application_date="",
    performance_days=30,
    run=None,
    cipher="",
    stop=True,
):
    """Write the frames of a study as files and take them in; `sources` says what is special about each."""
    said = sources or {}
    declared = {}
    for name, frame in frames.items():
        frame.write_parquet(folder / f"{name}.parquet")
        kind = "applicants" if name == "applicants" else "bills"
        declared[name] = source(**{"kind": kind, "path": f"{name}.parquet", **said.get(name, {})})
    actions = WARN | (severity or {})
    opened = intake.open_sources(declared, root=folder, scratch=folder / "scratch")
    opened, identifiers = protection.protect(opened, key)
    known = people.read_people(intake.applicants_of(opened), application_date=application_date, key=key)
    by_source = intake.actions_by_source(opened, actions)
    everyone, waterfall = people.exclude(
        known,
        actions=by_source["applicants"],
        performance_days=performance_days,
        extracted_on=extracted_on,
        forgotten=forgotten,
        applicants=drawn,
        seed=1,
    )
    index = people.index_of(everyone, intake.consents_of(opened))
    places = {"folder": folder / "staged", "cipher": cipher}
    staged = intake.stage_events(opened, index, **places)
    planned = intake.plan_parts(
        opened, index, observation_days=observation_days, late_days=late_days, severity=actions, **places
    )
    mapped = run or Engine("cpu", "cpu", "test").map
    counts = intake.count_parts(planned, known.issues, mapped)
    found = quality.findings(counts, by_source, LINES)
    if stop:
        quality.stop_on(found)
    written = intake.finish_parts(planned, found, target=folder / "kept", run=mapped)
    ledger = intake.ledger(staged, written)
    parts = int(index["part"].max()) + 1
    return Taken(folder, everyone, waterfall, counts, found, ledger, identifiers, parts)
