"""Which of a batch's indices are beyond chance, when all of them are looked at together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from workbench.statistics.bins import count_bins
from workbench.statistics.multiplicity import holm
from workbench.statistics.shift import homogeneity_p_value, psi_test

FAMILIES = ("score", "features", "two_sample")
"""Each has an equal part of the false alarms that a stable batch may raise: Bonferroni."""
SCORE = "score"
STABLE, NOISE, WATCH, ACT = "stable", "beyond chance", "watch", "act"


def index_table(
    baseline: pl.DataFrame,
    batch: pl.DataFrame,
    *,
    false_alarms: float,
    lines: Sequence[float],
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the stability index of the score and of every feature of one batch, the furthest from chance
    first.

    Columns: name, stability (PSI), chance (what it exceeds by chance alone in a share `false_alarms` of
    batches, this index alone), p_value (Pearson's, of the same counts), adjusted (Holm, within the features),
    missing_before, missing_now and state: stable; beyond chance (adjusted p at most a third of
    `false_alarms`); watch and act, where it is also at or above the first and the second of `lines`. Over all
    batches in which nothing has changed, at most a share `false_alarms` has any index, or the two-sample
    test, beyond chance. The last bin is missing values.
    """
    rows = [
        _row(str(name), bins, batch, level=1 - false_alarms, replicates=replicates, seed=seed)
        for (name,), bins in baseline.group_by("name", maintain_order=True)
    ]
    table = pl.DataFrame(rows, schema=_SCHEMA, orient="row")
    is_score = pl.col("name") == SCORE
    parts = [table.filter(is_score), table.filter(~is_score)]
    adjusted = [
        part.with_columns(adjusted=pl.Series(holm(part["p_value"]), dtype=pl.Float64)) for part in parts
    ]
    beyond = pl.col("adjusted") <= share_of(false_alarms)
    watch, act = lines
    state = (
        pl.when(~beyond.fill_null(False))
        .then(pl.lit(STABLE))
        .when(pl.col("stability") >= act)
        .then(pl.lit(ACT))
        .when(pl.col("stability") >= watch)
        .then(pl.lit(WATCH))
        .otherwise(pl.lit(NOISE))
    )
    furthest = (pl.col("stability") / pl.col("chance")).fill_null(0.0)
    return pl.concat(adjusted).with_columns(state=state).sort(furthest, descending=True, maintain_order=True)


def share_of(false_alarms: float) -> float:
    """Return the part of the false alarms that one family of tests may raise."""
    return false_alarms / len(FAMILIES)


def drifted(indices: pl.DataFrame, two_sample_p: float | None, *, false_alarms: float) -> bool:
    """Return whether a batch differs from the baseline by more than chance, in any family of tests."""
    beyond = indices.filter(pl.col("state") != STABLE).height > 0
    return beyond or (two_sample_p is not None and two_sample_p <= share_of(false_alarms))


_SCHEMA = {
    "name": pl.String,
    "stability": pl.Float64,
    "chance": pl.Float64,
    "p_value": pl.Float64,
    "missing_before": pl.Float64,
    "missing_now": pl.Float64,
}


def _row(
    name: str, bins: pl.DataFrame, batch: pl.DataFrame, *, level: float, replicates: int, seed: int
) -> tuple[object, ...]:
    expected = bins["applicants"].to_numpy()
    edges = bins["upper"].drop_nulls().to_numpy()
    values = batch[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    actual = count_bins(values, edges)
    tested = psi_test(expected, actual, level=level, replicates=replicates, seed=seed)
    missing = float(expected[-1] / expected.sum()), float(actual[-1] / max(actual.sum(), 1))
    return name, tested.value, tested.critical, homogeneity_p_value(expected, actual), *missing
