"""The one table that every group metric is computed from: group x outcome x decision."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.fairness.groups import Labels, as_labels, label_faults
from workbench.statistics.samples import binary_faults, length_faults, raise_faults

CELLS = ("goods_approved", "goods_declined", "bads_approved", "bads_declined")


def outcome_counts(group: Labels, default: ArrayLike, approved: ArrayLike) -> pl.DataFrame:
    """Count applicants by group, outcome and decision.

    `group`: label of each applicant [applicants], any type, none missing; `default`: 0 good, 1 bad
    [applicants]; `approved`: 0 declined, 1 approved [applicants]. Returns columns group (text; sorted, that
    of an Enum in its order), applicants, goods_approved, goods_declined, bads_approved, bads_declined: one
    row per group, and the four cells add up to applicants.

    Raises:
        DataError: lengths that differ, a missing group, values other than 0 and 1; with counts, never rows.
    """
    labels = as_labels(group)
    bad, approve = np.asarray(default, dtype=np.float64), np.asarray(approved, dtype=np.float64)
    faults = [
        *length_faults({"group": labels, "default": bad, "approved": approve}),
        *label_faults(labels),
        *binary_faults("default", bad),
        *binary_faults("approved", approve),
    ]
    raise_faults("The groups cannot be counted", faults)
    cells = pl.Series(2 * bad + (1 - approve), dtype=pl.Int64)
    rows = pl.DataFrame({"group": labels, "cell": cells})
    counted = [(pl.col("cell") == index).sum().cast(pl.Int64).alias(name) for index, name in enumerate(CELLS)]
    table = rows.group_by("group").agg(pl.len().cast(pl.Int64).alias("applicants"), *counted).sort("group")
    return table.with_columns(pl.col("group").cast(pl.String))


def check_outcome_counts(counts: pl.DataFrame) -> None:
    """Raise a DataError unless the table has the columns of `outcome_counts` and they agree."""
    absent = [name for name in ("group", "applicants", *CELLS) if name not in counts.columns]
    if absent:
        raise DataError("The table holds no outcome counts", [f"column {name} is absent" for name in absent])
    wrong = counts.filter(pl.sum_horizontal(CELLS) != pl.col("applicants")).height
    faults = [f"the four cells do not add up to applicants in {wrong} groups"] if wrong else []
    if counts["group"].is_duplicated().any():
        faults.append("a group has more than one row; one row per group is needed")
    raise_faults("The outcome counts contradict themselves", faults)
