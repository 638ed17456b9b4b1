"""Monitoring one batch from its files to its report."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from workbench.monitoring.estimation import estimate_error
from workbench.reporting.writers import Format
from workbench.run import Run
from workbench.statistics.estimate import Estimate
from workbench.watch.document import write_document
from workbench.watch.history import Recorded, open_history
from workbench.watch.inputs import Batch, BatchFiles, read_batch
from workbench.watch.judging import Judged, judge
from workbench.watch.measures import SCHEMA
from workbench.watch.reference import open_reference


@dataclass(frozen=True)
class Monitored:
    """What came of a batch: its version, alerts, recommendation, reports, and what the user should know."""

    recorded: Recorded
    alerts: pl.DataFrame
    action: str
    evidence: tuple[str, ...]
    documents: list[Path]
    notes: tuple[str, ...]


def monitor_batch(
    run: Run,
    files: BatchFiles,
    *,
    name: str,
    history: Path,
    out: Path,
    formats: Sequence[Format],
    corrects: bool = False,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Monitored:
    """Judge a batch, record it and write its report; the same files again change nothing and give the same
    bytes.

    The same applicants with more evidence (decisions, labels, requests) are a new version of the batch; other
    applicants under its name are refused unless they correct it. What was written before a failure stays.

    Raises:
        DataError: as `read_batch`, and another batch of the same name.
        RunError: as `open_reference` and `open_history`.
    """
    reference = open_reference(run)
    batch = read_batch(files, reference.watched, reference.cipher)
    with open_history(history) as kept:
        recorded = kept.known(name, batch.identity)
        if recorded is None:
            kept.check_content(name, batch.hashes, corrects=corrects)
            judged = judge(batch, reference, kept.earlier_alerts(name), threads=threads, progress=progress)
            judged = _with_errors(judged, kept.first_estimates(name, batch.hashes["batch"]))
            now = clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            known = {"run": run.run_id, "bundle_sha256": reference.bundle.sha256}
            recorded = kept.record(name, batch, judged, now=now, **known)
        about = kept.batches(recorded.number).row(
            by_predicate=pl.col("number") == recorded.number, named=True
        )
        documents = write_document(recorded, kept, reference, out, formats=formats)
        alerts = kept.table("alerts", recorded.number)
    evidence = tuple(json.loads(about["evidence"]))
    return Monitored(recorded, alerts, about["action"], evidence, documents, tuple(_notes(batch, about)))


def _with_errors(judged: Judged, first: pl.DataFrame | None) -> Judged:
    """Add how far the estimates before outcomes were off, now that outcomes are known.

    The estimate is the one that was recorded first for these applicants, else the one of now.
    """
    measures = judged.measures
    estimates = measures.filter(section="estimate") if first is None else first
    observed = measures.filter(section="performance", of="all")
    known = dict(observed.select("measure", "value").iter_rows())
    rows = []
    for row in estimates.iter_rows(named=True):
        measure = row["measure"].removeprefix("estimated_")
        if measure not in known:
            continue
        estimated = Estimate(row["value"], row["low"], row["high"], 0.95, row["method"])
        error, inside = estimate_error(estimated, known[measure])
        told = f"{'inside' if inside else 'outside'} the interval"
        changed = {"measure": f"error_of_estimated_{measure}", "value": error, "of": told}
        rows.append(row | changed | {"low": None, "high": None})
    if not rows:
        return judged
    return replace(judged, measures=pl.concat([measures, pl.DataFrame(rows, schema=SCHEMA)]))


def _notes(batch: Batch, about: dict[str, object]) -> list[str]:
    notes = (
        [f"{batch.repeated:,} applicants stand twice; the last row of each counts"] if batch.repeated else []
    )
    if batch.unknown_labels:
        notes.append(f"{batch.unknown_labels:,} labels are of applicants whom the batch lacks: left out")
    if about["clock_went_back"]:
        notes.append("the clock had gone back: batches are ordered by their number, not by time")
    return notes
