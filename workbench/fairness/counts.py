"""The one table that every group metric is computed from, group x outcome x decision, and its rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.fairness.groups import Labels, as_enum, as_labels, groups_of, label_faults
from workbench.statistics.samples import FloatArray, IntArray, binary_faults, length_faults, raise_faults


class Rate(NamedTuple):
    """A share of two sums of cells; `among` names what it is divided by."""

    successes: tuple[str, ...]
    trials: tuple[str, ...]
    among: str


class Costs(NamedTuple):
    """What an error costs, in any one unit: a bad who is approved, a good who is declined."""

    bad_approved: float = 1.0
    good_declined: float = 1.0


CELLS = ("goods_approved", "goods_declined", "bads_approved", "bads_declined")
GOODS, BADS = CELLS[:2], CELLS[2:]
APPROVED, DECLINED = ("goods_approved", "bads_approved"), ("goods_declined", "bads_declined")
ERROR_COST = "error_cost"
RATES = {
    "selection_rate": Rate(APPROVED, CELLS, "applicants"),
    "true_positive_rate": Rate(("goods_approved",), GOODS, "goods"),
    "false_negative_rate": Rate(("goods_declined",), GOODS, "goods"),
    "false_positive_rate": Rate(("bads_approved",), BADS, "bads"),
    "true_negative_rate": Rate(("bads_declined",), BADS, "bads"),
    "default_rate_among_approved": Rate(("bads_approved",), APPROVED, "approved applicants"),
    "good_rate_among_declined": Rate(("goods_declined",), DECLINED, "declined applicants"),
    "accuracy": Rate(("goods_approved", "bads_declined"), CELLS, "applicants"),
    "default_rate": Rate(BADS, CELLS, "applicants"),
    ERROR_COST: Rate(("bads_approved", "goods_declined"), CELLS, "applicants"),
}
UNIT_COSTS = Costs()
ROUNDING = 1e-6
"""Share of a group by which the four cells may miss its applicants, where they are expected counts."""


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
    return _counted(labels, checked_cells({"group": labels}, default, approved))


def attribute_counts(frame: pl.DataFrame, attributes: Sequence[str]) -> pl.DataFrame:
    """Return attribute and the columns of `outcome_counts`, for every group of every attribute.

    `frame` has one row per applicant: default, approved and one column per attribute, as `group_columns`
    makes them.

    Raises:
        DataError: as `outcome_counts`, with the faults of all attributes.
    """
    groups = {name: as_labels(frame[name]) for name in attributes}
    cells = checked_cells(groups, frame["default"], frame["approved"])
    tables = [
        _counted(labels, cells).select(pl.lit(name).alias("attribute"), pl.all())
        for name, labels in groups.items()
    ]
    return pl.concat(tables)


def checked_cells(groups: Mapping[str, pl.Series], default: ArrayLike, approved: ArrayLike) -> IntArray:
    """Return the place in CELLS of each applicant [applicants]; `groups`: columns of the same applicants.

    Raises:
        DataError: lengths that differ, a missing group, values other than 0 and 1.
    """
    bad, approve = np.asarray(default, dtype=np.float64), np.asarray(approved, dtype=np.float64)
    faults = [
        *length_faults({**groups, "default": bad, "approved": approve}),
        *(fault for name, labels in groups.items() for fault in label_faults(labels, name)),
        *binary_faults("default", bad),
        *binary_faults("approved", approve),
    ]
    raise_faults("The groups cannot be counted", faults)
    return (2 * bad + (1 - approve)).astype(np.int64)


def rate_values(cells: FloatArray, costs: Costs = UNIT_COSTS) -> dict[str, FloatArray]:
    """Return every rate of cells [4, ...] as [...], NaN where it has nothing to be divided by.

    `error_cost` is the cost of the errors over the applicants; with costs of 1, the share of errors.
    """
    errors = zip(costs, RATES[ERROR_COST].successes, strict=True)
    cost = sum(each * total(cells, (name,)) for each, name in errors)
    found = {name: share(cells, name) for name in RATES if name != ERROR_COST}
    with np.errstate(divide="ignore", invalid="ignore"):
        return found | {ERROR_COST: np.asarray(cost / total(cells, CELLS))}


def share(cells: FloatArray, name: str) -> FloatArray:
    """Return successes over trials of a rate, of cells [4, ...] as [...], NaN without trials."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(total(cells, RATES[name].successes) / total(cells, RATES[name].trials))


def total(cells: FloatArray, names: Sequence[str]) -> FloatArray:
    """Return the sum of the named cells [4, ...] as [...]."""
    return np.asarray(cells[[CELLS.index(name) for name in names]].sum(axis=0))


def check_outcome_counts(counts: pl.DataFrame) -> None:
    """Raise a DataError unless the table has the columns of `outcome_counts` and they agree."""
    absent = [name for name in ("group", "applicants", *CELLS) if name not in counts.columns]
    if absent:
        raise DataError("The table holds no outcome counts", [f"column {name} is absent" for name in absent])
    missed = (pl.sum_horizontal(CELLS) - pl.col("applicants")).abs()
    wrong = counts.filter(missed > ROUNDING * pl.col("applicants")).height
    faults = [f"the four cells do not add up to applicants in {wrong} groups"] if wrong else []
    if counts["group"].is_duplicated().any():
        faults.append("a group has more than one row; one row per group is needed")
    raise_faults("The outcome counts contradict themselves", faults)


def _counted(labels: pl.Series, cells: IntArray) -> pl.DataFrame:
    column = as_enum(labels)
    groups = groups_of(column)
    places = column.to_physical().to_numpy().astype(np.int64) * len(CELLS) + cells
    counted = np.bincount(places, minlength=len(groups) * len(CELLS)).reshape(-1, len(CELLS))
    table = pl.DataFrame(counted, schema=dict.fromkeys(CELLS, pl.Int64))
    applicants = pl.sum_horizontal(CELLS).alias("applicants")
    table = table.select(pl.Series("group", groups, dtype=pl.String), applicants, pl.all())
    return table.filter(pl.col("applicants") > 0)
