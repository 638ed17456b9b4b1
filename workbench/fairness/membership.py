"""Membership that is estimated: a probability for each group instead of a label, carried through."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.counts import CELLS, UNIT_COSTS, Costs, checked_cells
from workbench.fairness.groups import least_of, require_comparable
from workbench.fairness.metrics import group_metrics
from workbench.statistics.samples import FloatArray, raise_faults

ROUNDING = 1e-6
WEIGHTED = "weighted by membership probabilities, membership drawn; "
ASSUMED = (
    "membership is estimated: unbiased only if group and decision are unrelated among applicants with equal "
    "probabilities; where they are not, the gap is most often understated"
)


def expected_counts(probabilities: pl.DataFrame, default: ArrayLike, approved: ArrayLike) -> pl.DataFrame:
    """Return the expected number of applicants by group, outcome and decision.

    `probabilities`: one column per group, each row adding up to 1 [applicants, groups]; `default`,
    `approved`: 0 or 1 [applicants]. Returns the columns of `outcome_counts`, not whole numbers; the rates of
    these counts are the probability-weighted ones: sum(p x approved) / sum(p).

    Raises:
        DataError: probabilities that are missing, outside [0, 1] or do not add up to 1 within 1e-6; fewer
            than two groups; outcomes or decisions other than 0 and 1. All faults at once, with counts.
    """
    values = probabilities.cast(pl.Float64).to_numpy()
    raise_faults("The membership probabilities cannot be used", _faults(values, probabilities.columns))
    cells = checked_cells({"probabilities": probabilities.to_series()}, default, approved)
    weighted = [np.bincount(cells, weights=column, minlength=len(CELLS)) for column in values.T]
    table = pl.DataFrame(np.array(weighted), schema=dict.fromkeys(CELLS, pl.Float64))
    group = pl.Series("group", probabilities.columns, dtype=pl.String)
    return table.select(group, pl.sum_horizontal(CELLS).alias("applicants"), pl.all())


def membership_metrics(
    probabilities: pl.DataFrame,
    default: ArrayLike,
    approved: ArrayLike,
    *,
    reference_group: str,
    min_applicants: int,
    min_defaults: int,
    costs: Costs = UNIT_COSTS,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return the group metrics where membership is known as probabilities only, as BISG gives them.

    Each rate weighs applicants by their probability of the group. What it assumes: the probabilities are
    right (of those with 0.7, 70% are members), and decision and outcome do not depend on the group among
    applicants with the same probabilities. Where they do, the weighted difference is off by the covariance of
    group and decision within equal probabilities, and most often understates the gap. Everyone is not put
    into a likely group by a threshold: that bias most often overstates, and moves with the threshold.

    A replicate resamples applicants and draws each one's membership from its probabilities. Its counts are
    exactly one multinomial over the expected counts, so the intervals are those of `group_metrics` and no row
    is drawn. They hold the variance among samples and that of membership: they cover the rates of the
    population and those of these applicants, and are cautious for either. They do not hold the biases above,
    nor the uncertainty of the probabilities themselves.

    Arguments as `expected_counts` and `group_metrics`; the minimums are held against expected numbers.
    Returns the columns of `group_metrics`.

    Raises:
        DataError: as `expected_counts`; a reference group that is absent, too small, or with all or none
            approved.

    Reference: Chen, Kallus, Mao, Svacha and Udell (2019), Fairness Under Unawareness, FAT* '19: 339-348.
    """
    counts = expected_counts(probabilities, default, approved)
    require_comparable(counts, reference_group, least_of(min_applicants, min_defaults))
    metrics = group_metrics(
        counts,
        reference_group=reference_group,
        min_applicants=min_applicants,
        min_defaults=min_defaults,
        costs=costs,
        level=level,
        replicates=replicates,
        seed=seed,
    )
    known = pl.col("value").is_not_null() & (pl.col("method") != "by definition")
    method = pl.when(known).then(pl.concat_str(pl.lit(WEIGHTED), "method")).otherwise("method")
    note = pl.concat_str(
        pl.when(pl.col("note") != "").then(pl.format("{}; ", "note")).otherwise(pl.lit("")), pl.lit(ASSUMED)
    )
    return metrics.with_columns(method=method, note=note)


def _faults(values: FloatArray, groups: list[str]) -> Iterator[str]:
    rows = values.shape[0]
    if len(groups) < 2:
        yield f"{len(groups)} columns of probabilities; at least 2 groups are needed"
    for name, column in zip(groups, values.T, strict=True):
        missing = int(np.isnan(column).sum())
        outside = int(((column < 0) | (column > 1)).sum())
        if missing:
            yield f"{name} is missing in {missing} of {rows} rows"
        if outside:
            yield f"{name} is outside [0, 1] in {outside} of {rows} rows"
    off = int((np.abs(values.sum(axis=1) - 1) > ROUNDING).sum())
    if off:
        yield f"the groups do not add up to 1 within {ROUNDING:g} in {off} of {rows} rows"
