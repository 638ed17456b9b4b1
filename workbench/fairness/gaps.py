"""The headline: which judged group is furthest from the reference."""

from __future__ import annotations

import polars as pl

from workbench.fairness.metrics import COMPARISONS, ESTIMATE_SCHEMA


def largest_gaps(metrics: pl.DataFrame, *, reference_group: str) -> pl.DataFrame:
    """Return for each comparison its worst judged group: lowest ratio, or largest absolute difference.

    Picking the worst of several is itself a selection: its gap is exaggerated and its interval no longer
    covers at its level, which the note says. A metric for which no other group is judged has no row.

    `metrics` as from `group_metrics`. Returns columns metric, group, value, low, high, level, method,
    applicants, judged_groups, note.
    """
    ratios = [name for name, comparison in COMPARISONS.items() if comparison.kind == "ratio"]
    ratio, value = pl.col("metric").is_in(ratios), pl.col("value")
    note = "worst of {} judged groups; picking it is itself a selection and exaggerates the gap"
    return (
        metrics.filter("judged", pl.col("metric").is_in([*COMPARISONS]), pl.col("group") != reference_group)
        .with_columns(judged_groups=pl.len().over("metric"), order=pl.int_range(pl.len()))
        .with_columns(gap=pl.when(ratio).then(-value).otherwise(value.abs()))
        .sort("gap", "order", descending=[True, False])
        .unique("metric", keep="first", maintain_order=True)
        .sort("order")
        .with_columns(note=pl.format(note, "judged_groups"))
        .select("metric", "group", *ESTIMATE_SCHEMA, "applicants", "judged_groups", "note")
    )
