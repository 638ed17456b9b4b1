"""All attributes and their crossings judged together, and the headline of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from workbench.fairness.counts import CELLS, UNIT_COSTS, Costs
from workbench.fairness.gaps import comparison_tests, detectable_gaps, largest_gaps, spreads
from workbench.fairness.groups import NOT_KNOWN, UNKNOWN_NOTE, Reference, by_attribute
from workbench.fairness.metrics import METRIC_SCHEMA, group_metrics
from workbench.fairness.scores import SMD, standardized_mean_difference


def assess_counts(
    counts: pl.DataFrame,
    references: Mapping[str, Reference],
    *,
    min_applicants: int,
    min_defaults: int,
    costs: Costs = UNIT_COSTS,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the metrics of every group of every attribute and crossing, with the tests of the comparisons.

    `counts` as from `attribute_counts`, `references` as from `resolve_references`. The empty reference group
    of a crossing is listed with 0 applicants. Returns attribute, the columns of `group_metrics`, p_value,
    p_adjusted and test; these are null for rates, reference groups and what is not judged.
    """
    tables = []
    for name, table in _with_references(counts, references):
        group, note = references[name]
        metrics = group_metrics(
            table,
            reference_group=group,
            reference_note=note,
            min_applicants=min_applicants,
            min_defaults=min_defaults,
            costs=costs,
            level=level,
            replicates=replicates,
            seed=seed,
        )
        tests = comparison_tests(table, metrics, reference_group=group, costs=costs)
        told = metrics.join(tests, on=("group", "metric"), how="left", maintain_order="left")
        tables.append(told.select(pl.lit(name).alias("attribute"), pl.all()))
    return pl.concat(tables)


def score_differences(
    frame: pl.DataFrame, references: Mapping[str, Reference], *, min_applicants: int, level: float
) -> pl.DataFrame:
    """Return the SMD of the score for every group: attribute and the columns of `group_metrics`.

    `frame` has one row per applicant: score and the groups of each attribute, as `group_columns` makes them.
    Where the reference group of a crossing is too small, the values are null and the note says why.
    """
    tables = []
    for name, (group, _) in references.items():
        sizes = frame.group_by(name).len().sort(name).rename({name: "group"})
        size = sizes.filter(pl.col("group").cast(pl.String) == group)["len"].sum()
        if size < min_applicants:
            table = _undefined(
                sizes, f"undefined: the reference group has fewer than {min_applicants} applicants", level
            )
        else:
            table = standardized_mean_difference(
                frame["score"], frame[name], reference_group=group, min_applicants=min_applicants, level=level
            )
        tables.append(table.select(pl.lit(name).alias("attribute"), pl.all()))
    unknown = pl.col("group") == NOT_KNOWN
    note = pl.when(unknown).then(pl.lit(UNKNOWN_NOTE)).otherwise("note")
    return pl.concat(tables).with_columns(judged=pl.col("judged") & ~unknown, note=note)


def assess_spreads(
    counts: pl.DataFrame, metrics: pl.DataFrame, *, level: float, replicates: int, seed: int
) -> pl.DataFrame:
    """Return attribute and the columns of `spreads`: how far the judged groups of each lie apart."""
    judged: dict[str, list[str]] = {}
    for name, group in (
        metrics.filter("judged", metric="selection_rate").select("attribute", "group").iter_rows()
    ):
        judged.setdefault(name, []).append(group)
    return pl.concat(
        spreads(
            table,
            judged.get(name, []),
            level=level,
            replicates=replicates,
            seed=seed,
        ).select(pl.lit(name).alias("attribute"), pl.all())
        for name, table in by_attribute(counts)
    )


def assess_power(counts: pl.DataFrame, references: Mapping[str, Reference], *, level: float) -> pl.DataFrame:
    """Return attribute and the columns of `detectable_gaps`: what this sample could have seen."""
    return pl.concat(
        detectable_gaps(table, reference_group=references[name].group, level=level).select(
            pl.lit(name).alias("attribute"), pl.all()
        )
        for name, table in _with_references(counts, references)
    )


def headlines(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return the worst judged group by attribute and metric: attribute and the columns of `largest_gaps`."""
    return pl.concat(
        largest_gaps(table).select(pl.lit(name).alias("attribute"), pl.all())
        for name, table in by_attribute(metrics)
    )


def _with_references(
    counts: pl.DataFrame, references: Mapping[str, Reference]
) -> Iterator[tuple[str, pl.DataFrame]]:
    """Give each attribute with its counts, and a row of zeros for a reference group that is empty."""
    for name, table in by_attribute(counts):
        group = references[name].group
        empty = pl.DataFrame({"group": [group]}).with_columns(
            pl.lit(0, pl.Int64).alias(cell) for cell in ("applicants", *CELLS)
        )
        absent = group not in table["group"].to_list()
        yield name, pl.concat([table, empty]) if absent else table


def _undefined(sizes: pl.DataFrame, reason: str, level: float) -> pl.DataFrame:
    columns = {"metric": SMD, "level": level, "method": reason, "judged": False, "note": reason}
    rows = [{"group": group, "applicants": size, **columns} for group, size in sizes.iter_rows()]
    return pl.DataFrame(rows, schema=METRIC_SCHEMA)
