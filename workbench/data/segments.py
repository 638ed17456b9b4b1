"""What validation looks at a model by, and no model sees: segments, and other outcomes than the default."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from workbench.errors import DataError


def judging_rows(
    everyone: pl.DataFrame, *, segments: Sequence[str], other_outcomes: Sequence[str]
) -> pl.DataFrame:
    """Return applicant_id, the segments as text and the other outcomes (1 bad, 0 good, missing not known).

    Those left out of the study are left out here. Raises DataError when an outcome has other values.
    """
    kept = everyone.filter(pl.col("left_out") == "").sort("applicant_id")
    outcomes = kept.select(pl.col(*other_outcomes).cast(pl.Int64)) if other_outcomes else pl.DataFrame()
    faults = [
        f"{column.name}: {wrong:,} of {kept.height:,} values are neither 0 (good) nor 1 (bad)"
        for column in outcomes
        if (wrong := int((~column.drop_nulls().is_in([0, 1])).sum()))
    ]
    if faults:
        raise DataError("data.other_outcomes: an outcome is 0, 1 or missing", faults)
    return kept.select("applicant_id", *(pl.col(name).cast(pl.String) for name in segments), *outcomes)
