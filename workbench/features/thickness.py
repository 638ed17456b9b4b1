"""How much a lender already knows of an applicant: nothing, little or a full file."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from workbench.errors import DataError, near_name

NOT_TOLD = "not told"


def thickness(
    features: pl.DataFrame, *, invisible_without: Sequence[str], thin_feature: str, thin_below: float
) -> pl.DataFrame:
    """Return applicant_id and thickness: credit_invisible, thin or thick.

    Credit-invisible: every feature of `invisible_without` is missing. Thin: `thin_feature` is missing or
    below `thin_below`. Thick: the others. Without names everyone is "not told". Raises DataError, naming all
    of them, when a feature is not in the table. Source: Brevoort, Grimm and Kambara 2015, "Data Point:
    Credit Invisibles", for the words; where thin begins is the study's own line.
    """
    named = [*invisible_without, *([thin_feature] if thin_feature else [])]
    if faults := [
        f"{name}{near_name(name, features.columns)}" for name in named if name not in features.columns
    ]:
        raise DataError("features.invisible_without and thin_feature name what is no feature in use", faults)
    if not invisible_without:
        return features.select("applicant_id", thickness=pl.lit(NOT_TOLD))
    invisible = pl.all_horizontal(pl.col(*invisible_without).is_null())
    thin = (
        pl.col(thin_feature).is_null() | (pl.col(thin_feature) < thin_below)
        if thin_feature
        else pl.lit(False)
    )
    told = pl.when(invisible).then(pl.lit("credit_invisible")).when(thin).then(pl.lit("thin"))
    return features.select("applicant_id", thickness=told.otherwise(pl.lit("thick")))
