"""Membership that is estimated: a probability for each group instead of a label, carried through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.counts import CELLS, UNIT_COSTS, Costs, checked_cells
from workbench.fairness.groups import CROSS, NOT_KNOWN, resolve_references
from workbench.fairness.metrics import METRIC_SCHEMA, group_metrics
from workbench.statistics.samples import membership_faults, raise_faults

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
    raise_faults(
        "The membership probabilities cannot be used", membership_faults(values, probabilities.columns)
    )
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
    reference_note: str = "",
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
        DataError: as `expected_counts`; a reference group that is absent.

    Reference: Chen, Kallus, Mao, Svacha and Udell (2019), Fairness Under Unawareness, FAT* '19: 339-348.
    """
    counts = expected_counts(probabilities, default, approved)
    metrics = group_metrics(
        counts,
        reference_group=reference_group,
        reference_note=reference_note,
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


def estimated_metrics(
    frame: pl.DataFrame,
    memberships: pl.DataFrame,
    attributes: Sequence[str],
    *,
    references: Mapping[str, str],
    min_applicants: int,
    min_defaults: int,
    costs: Costs = UNIT_COSTS,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return attribute and the columns of `membership_metrics` for every estimated attribute, alone and
    crossed with each of `attributes`, whose groups are known.

    A crossing "sex x community" has the probability of the community where the sex is that of the group, and
    0 elsewhere. Two estimated attributes are not crossed: that would need their joint probabilities.

    `frame`: applicant_id, default, approved and the groups of `attributes`, as `group_columns` makes them,
    one row per applicant; `memberships`: applicant_id, attribute, group and probability, as stage data
    writes them. Who has no probability of an attribute is left out of it, which the note says. `references`:
    a group, or a rule, for every estimated attribute, and a group for every known one. No rows without an
    estimate.

    Raises:
        DataError: as `resolve_references` and `expected_counts`.
    """
    tables, least = [], {"min_applicants": min_applicants, "min_defaults": min_defaults}
    for name in memberships["attribute"].unique(maintain_order=True):
        wide = memberships.filter(attribute=name).pivot("group", index="applicant_id", values="probability")
        rows, groups = frame.join(wide, on="applicant_id", maintain_order="left"), wide.columns[1:]
        counts = expected_counts(rows.select(groups), rows["default"], rows["approved"])
        named = counts.select(pl.lit(name).alias("attribute"), pl.all())
        group, note = resolve_references(named, references, **least)[name]
        left_out = 1 - rows.height / frame.height
        said = f"{left_out:.0%} of the applicants have no estimate and are left out" if left_out else ""
        for known in ("", *attributes):
            cells, crossed = (rows.select(groups), rows) if not known else _crossed(rows, known, groups)
            metrics = membership_metrics(
                cells,
                crossed["default"],
                crossed["approved"],
                reference_group=f"{references[known]}{CROSS}{group}" if known else group,
                reference_note="; ".join(filter(None, [note, said])),
                costs=costs,
                level=level,
                replicates=replicates,
                seed=seed,
                **least,
            )
            label = f"{known}{CROSS}{name}" if known else name
            tables.append(metrics.select(pl.lit(label).alias("attribute"), pl.all()))
    return pl.concat(tables or [pl.DataFrame(schema={"attribute": pl.String, **METRIC_SCHEMA})])


def _crossed(rows: pl.DataFrame, known: str, groups: Sequence[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the probabilities of the crossed groups, and the rows of those whose known group is known."""
    kept = rows.filter(pl.col(known).cast(pl.String) != NOT_KNOWN)
    labels = kept[known].cast(pl.String)
    return kept.select(
        pl.when(labels == label).then(pl.col(group)).otherwise(0.0).alias(f"{label}{CROSS}{group}")
        for label in labels.unique().sort()
        for group in groups
    ), kept
