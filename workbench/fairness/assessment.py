"""All attributes judged together: one table of metrics, and the headline of each attribute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from workbench.errors import DataError
from workbench.fairness.counts import outcome_counts
from workbench.fairness.gaps import largest_gaps
from workbench.fairness.metrics import group_metrics
from workbench.fairness.scores import SMD, standardized_mean_difference


def attribute_counts(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Return attribute, group, applicants and the four counts of outcome and decision, for every group.

    `frame` has one row per applicant: default, approved and one column per attribute.
    """
    default, approved = frame["default"], frame["approved"]
    tables = [
        outcome_counts(frame[name], default, approved).select(pl.lit(name).alias("attribute"), pl.all())
        for name in attributes
    ]
    return pl.concat(tables)


def assess_attributes(
    frame: pl.DataFrame,
    attributes: Sequence[str],
    *,
    reference_groups: Mapping[str, str],
    min_applicants: int,
    min_defaults: int,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the metrics of every group of every attribute, as `group_metrics` and the SMD of the score.

    `frame` has one row per applicant: default, approved, score and one column per attribute. Returns
    attribute and the columns of `group_metrics`. Raises DataError with the faults of all attributes.
    """
    tables, faults = [], []
    for name in attributes:
        try:
            metrics = group_metrics(
                outcome_counts(frame[name], frame["default"], frame["approved"]),
                reference_group=reference_groups[name],
                min_applicants=min_applicants,
                min_defaults=min_defaults,
                level=level,
                replicates=replicates,
                seed=seed,
            )
            differences = standardized_mean_difference(
                frame["score"],
                frame[name],
                reference_group=reference_groups[name],
                min_applicants=min_applicants,
                level=level,
            )
            table = pl.concat([metrics, differences])
            tables.append(table.select(pl.lit(name).alias("attribute"), pl.all()))
        except DataError as error:
            faults += [f"{name}: {error.summary}", *(f"{name}: {fault}" for fault in error.faults)]
    if faults:
        raise DataError("groups that cannot be judged", faults)
    return pl.concat(tables)


def headlines(metrics: pl.DataFrame, *, reference_groups: Mapping[str, str]) -> pl.DataFrame:
    """Return the worst judged group by attribute and metric: attribute and the columns of `largest_gaps`."""
    tables = []
    for (name,), table in metrics.group_by("attribute", maintain_order=True):
        reference = reference_groups[str(name)]
        gaps = largest_gaps(table.drop("attribute"), reference_group=reference)
        tables.append(
            pl.concat([gaps, _largest_smd(table, reference)]).select(
                pl.lit(name).alias("attribute"), pl.all()
            )
        )
    return pl.concat(tables)


def _largest_smd(table: pl.DataFrame, reference: str) -> pl.DataFrame:
    judged = table.filter(pl.col("metric") == SMD, "judged", pl.col("group") != reference)
    note = f"worst of {judged.height} judged groups; picking it is itself a selection and exaggerates the gap"
    columns = ("metric", "group", "value", "low", "high", "level", "method", "applicants")
    return (
        judged.sort(pl.col("value").abs(), descending=True)
        .head(1)
        .select(
            *columns, pl.lit(judged.height).cast(pl.UInt32).alias("judged_groups"), pl.lit(note).alias("note")
        )
    )
