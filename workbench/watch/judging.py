"""A batch judged: its indices, measures, alerts and what they recommend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from workbench.monitoring.alerts import alert_table
from workbench.monitoring.indices import index_table
from workbench.monitoring.retraining import Recommendation, recommend
from workbench.monitoring.two_sample import LEAST_ROWS, TwoSampleTest, two_sample_test
from workbench.scoring.tables import decision_table
from workbench.watch.inputs import ID, Batch
from workbench.watch.measures import measure_table
from workbench.watch.reference import Reference

STEPS = 4


@dataclass(frozen=True)
class Judged:
    """Everything that is said of a batch; no table has a row of one applicant."""

    indices: pl.DataFrame
    measures: pl.DataFrame
    alerts: pl.DataFrame
    recommendation: Recommendation
    together: TwoSampleTest | None


def judge(
    batch: Batch,
    reference: Reference,
    earlier: Sequence[pl.DataFrame] = (),
    *,
    threads: int = 1,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Judged:
    """Return what a batch shows against the baseline of a run; `earlier` are the alerts of the batches
    before.

    Who was not decided on by the log is decided on here, by the run's own scoring bundle.
    """
    study, seed = reference.study.monitoring, reference.study.monitoring.seed
    whole = with_decisions(batch, reference, threads=threads)
    progress(1, STEPS)
    frame = whole.frame
    options = {"false_alarms": study.false_alarms, "lines": study.stability_lines}
    indices = index_table(reference.bins, frame, **options, replicates=study.replicates, seed=seed)  # type: ignore[arg-type]
    progress(2, STEPS)
    together = None
    if min(frame.height, reference.development.height) >= LEAST_ROWS:
        together = two_sample_test(
            reference.development, frame, reference.watched, level=study.level, seed=seed
        )
    progress(3, STEPS)
    measures = measure_table(whole, reference, together, seed=seed)
    alerts = alert_table(reference.plan, indices, measures, false_alarms=study.false_alarms)
    progress(4, STEPS)
    known = measures.filter(section="performance", measure="auc", of="all").height > 0
    told = recommend(alerts, earlier, outcomes_known=known)
    return Judged(indices, measures, alerts, told, together)


def with_decisions(batch: Batch, reference: Reference, *, threads: int = 1) -> Batch:
    """Return the batch with a decision for everybody: the one that was taken, else the scorer's."""
    if "decision" in batch.frame.columns:
        return batch
    decided = decision_table(reference.frozen, batch.frame, threads=threads)
    mine = [name for name in decided.columns if name == ID or name not in batch.frame.columns]
    frame = batch.frame.hstack(decided.select(mine).drop(ID).get_columns())
    return Batch(frame, batch.requests, batch.hashes, batch.repeated, batch.unknown_labels)
