"""The applicants most like one applicant, by the features that matter to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name
from workbench.scorer import Floats

GROUPS = {1: "approved", 0: "declined"}
_NEAREST = {"group": pl.String, "rank": pl.Int64, "applicant_id": pl.Int64, "distance": pl.Float64}


def nearest(
    features: pl.DataFrame,
    applicant_id: int,
    *,
    approved: pl.Series,
    weights: Mapping[str, float],
    count: int,
) -> pl.DataFrame:
    """Return the `count` approved and the `count` declined applicants nearest to one, the nearest first.

    distance = sum of weight x |difference in rank| / sum of weights, where the rank of a value is the share
    of the known values below it (half of those equal to it), so that neither units nor single extreme values
    decide. 0: the same in all that matters; 1: as far apart as can be. A value that is missing for one of
    two is 1 away from the other's, for both 0. `features`: applicant_id and the features [applicants];
    `approved`: 1 or 0 in the same order; `weights`: the importance of each feature, at least 0.

    Returns group (approved, declined), rank (1 is the nearest), applicant_id and distance; fewer rows where
    there are fewer applicants. Equal distances come in the order of applicant_id.

    Raises:
        DataError: the applicant is not in the table, lengths differ, features without a column, weights that
            are negative or all 0, or a count below 1.
    """
    _check(features, applicant_id, approved, weights, count)
    row = int(features["applicant_id"].index_of(applicant_id))  # type: ignore[arg-type]  # checked
    gaps = _rank_gaps(features, row, [name for name, weight in weights.items() if weight > 0])
    weight = np.array([value for value in weights.values() if value > 0])
    table = pl.DataFrame(
        {
            "group": approved.replace_strict(GROUPS, return_dtype=pl.String),
            "applicant_id": features["applicant_id"],
            "distance": np.round(gaps @ weight / weight.sum(), 12),  # ties are ties, whatever was rounded
        }
    ).filter(pl.col("applicant_id") != applicant_id)
    ordered = table.sort("group", "distance", "applicant_id")
    ranked = ordered.with_columns(rank=pl.int_range(1, pl.len() + 1).over("group"))
    kept = ranked.filter(pl.col("rank") <= count)
    return kept.select(pl.col(name).cast(kind) for name, kind in _NEAREST.items())


def differences(
    features: pl.DataFrame,
    applicant_id: int,
    others: Sequence[int],
    *,
    weights: Mapping[str, float],
    shown: int,
) -> pl.DataFrame:
    """Return in what each of `others` differs most from one applicant, the weightiest difference first.

    weight = the feature's weight x |difference in rank|, as in `nearest`. Returns applicant_id (the
    other's), feature, own, other (null where missing), difference (other - own, null where one is missing)
    and weight (> 0), at most `shown` rows for each. Raises DataError as `nearest`.
    """
    for each in (applicant_id, *others):
        _check(features, each, features["applicant_id"], weights, 1)
    names = [name for name, weight in weights.items() if weight > 0]
    row = int(features["applicant_id"].index_of(applicant_id))  # type: ignore[arg-type]  # checked
    gaps = _rank_gaps(features, row, names) * [weights[name] for name in names]
    rows = []
    for other in others:
        place = int(features["applicant_id"].index_of(other))  # type: ignore[arg-type]  # checked
        for index in np.argsort(-gaps[place], kind="stable")[:shown]:
            if gaps[place, index] > 0:
                values = features[names[index]][row], features[names[index]][place]
                gap = None if None in values else values[1] - values[0]
                rows.append((other, names[index], *values, gap, gaps[place, index]))
    columns = {"applicant_id": pl.Int64, "feature": pl.String}
    numbers = dict.fromkeys(("own", "other", "difference", "weight"), pl.Float64)
    return pl.DataFrame(rows, {**columns, **numbers}, orient="row")


def _rank_gaps(features: pl.DataFrame, row: int, names: Sequence[str]) -> Floats:
    """Return |difference in rank| to the applicant in `row` [applicants, names]."""
    columns = []
    for name in names:
        column = features[name].cast(pl.Float64).fill_nan(None)
        rank = (column.rank("average") - 0.5) / max(column.len() - column.null_count(), 1)
        known = rank.to_numpy()  # NaN where missing
        gap = np.abs(known - known[row])
        both = np.isnan(known) & np.isnan(known[row])
        columns.append(np.where(both, 0.0, np.where(np.isnan(gap), 1.0, gap)))
    return np.column_stack(columns)


def _check(
    features: pl.DataFrame, applicant_id: int, approved: pl.Series, weights: Mapping[str, float], count: int
) -> None:
    missing = [name for name in weights if name not in features.columns]
    faults = [f"{name} is missing{near_name(name, features.columns)}" for name in missing]
    if features["applicant_id"].index_of(applicant_id) is None:
        faults.append("the applicant is not in the table of features")
    if approved.len() != features.height:
        faults.append(f"there are {approved.len()} decisions for {features.height} applicants")
    if any(weight < 0 for weight in weights.values()) or not any(weights.values()):
        faults.append("the weights must be at least 0, and one of them above it")
    if count < 1:
        faults.append(f"count is {count}; at least 1 is right")
    if faults:
        raise DataError("nearest applicants cannot be found", faults)
