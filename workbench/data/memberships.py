"""Membership that is estimated outside: probabilities of the groups in columns of the applicants' source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import polars as pl

from workbench.statistics.samples import membership_faults, raise_faults

ROWS = pl.Schema(
    {"applicant_id": pl.Int64, "attribute": pl.String, "group": pl.String, "probability": pl.Float64}
)
MOST_MISSING = 0.5
"""Largest share of applicants without an estimate of an attribute."""


def membership_rows(everyone: pl.DataFrame, memberships: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Return applicant_id, attribute, group and probability of the applicants in the study.

    `memberships`: attribute: {group: column of `everyone`}. Who has no probability of any group of an
    attribute has no rows of it; no rows without an estimated attribute.

    Raises:
        DataError: probabilities of which only some are missing, that are outside [0, 1] or do not add up to 1
            within 1e-6; an attribute that is missing for more than half. All faults at once, with counts.
    """
    kept = everyone.filter(pl.col("left_out") == "").sort("applicant_id")
    tables = {
        name: kept.select("applicant_id", *(pl.col(column).alias(group) for group, column in groups.items()))
        for name, groups in memberships.items()
    }
    stated = {name: _stated(table) for name, table in tables.items()}
    faults = [fault for name in tables for fault in _faults(name, tables[name], stated[name])]
    raise_faults("data.memberships: probabilities that cannot be used", faults)
    long = [
        table.unpivot(index="applicant_id", variable_name="group", value_name="probability").select(
            "applicant_id", pl.lit(name).alias("attribute"), "group", pl.col("probability").cast(pl.Float64)
        )
        for name, table in stated.items()
    ]
    return pl.concat([pl.DataFrame(schema=ROWS), *long], how="vertical_relaxed").select(ROWS.names())


def _stated(table: pl.DataFrame) -> pl.DataFrame:
    """Return the applicants who have any of the probabilities."""
    return table.filter(pl.any_horizontal(pl.all().exclude("applicant_id").is_not_null()))


def _faults(name: str, table: pl.DataFrame, stated: pl.DataFrame) -> Iterator[str]:
    missing, groups = table.height - stated.height, table.columns[1:]
    if missing > MOST_MISSING * table.height:
        yield f"{name}: missing for {missing:,} of {table.height:,} applicants; at most half may be"
    found = membership_faults(stated.select(pl.col(groups).cast(pl.Float64)).to_numpy(), groups)
    yield from (f"{name}: {fault}" for fault in found)
