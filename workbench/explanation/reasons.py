"""Reason codes: what cost a declined applicant most, compared with applicants approved near the cutoff."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.scorer import Floats, Scorer


def near_cutoff(
    scores: pl.DataFrame, *, cutoff: float, score_range: float, size: int, seed: int
) -> pl.Series:
    """Return the ids of a seeded draw of applicants approved at most `score_range` points above the cutoff.

    Raises DataError when fewer than 20 applicants are there.
    """
    near = scores.filter(pl.col("score").is_between(cutoff, cutoff + score_range))["applicant_id"].sort()
    if near.len() < 20:
        raise DataError(
            f"{near.len()} approved applicants within {score_range:g} points of the cutoff; 20 are needed",
            ["raise explanation.background_score_range, or choose a training.cutoff within the scores"],
        )
    return near.sample(min(size, near.len()), seed=seed).sort()


def reason_codes(
    values: Floats,
    applicant_id: pl.Series,
    *,
    families: Mapping[str, str],
    names: Sequence[str],
    points_per_log_odds: float | Floats,
    reasons_shown: int,
) -> pl.DataFrame:
    """Return the principal reasons of each applicant: applicant_id, rank, reason_code, points_lost.

    points_lost = points_per_log_odds x SHAP value against the background, summed over the features of one
    family before ranking, so that the same thing is not said twice. Only families that lower the score are
    reasons. `points_per_log_odds` is one number, or one for each applicant (`points_per_value`).
    `families` maps each of `names` to its family; raises DataError when one has none.
    """
    missing = [name for name in names if name not in families]
    if missing:
        raise DataError("features without a reason", missing)
    codes = sorted({families[name] for name in names})
    member = np.array([[families[name] == code for code in codes] for name in names], dtype=float)
    lost = points_per_log_odds * values @ member
    order = np.argsort(-lost, axis=1, kind="stable")[:, :reasons_shown]
    shape = order.shape
    table = pl.DataFrame(
        {
            "applicant_id": np.repeat(applicant_id.to_numpy(), shape[1]),
            "rank": np.tile(np.arange(1, shape[1] + 1), shape[0]),
            "reason_code": np.array(codes)[order.ravel()] if codes else [],
            "points_lost": np.take_along_axis(lost, order, axis=1).ravel(),
        }
    )
    return table.filter(pl.col("points_lost") > 0)


def points_per_value(scorer: Scorer, features: pl.DataFrame, values: Floats) -> float | Floats:
    """Return the points that one of SHAP value costs: a number, or one for each applicant [applicants, 1].

    points = factor x secant of the calibration between the applicant's margin and what the values are
    measured from (margin - their sum), so that values times points add up to the difference in score. It is
    one number where the calibration is a line. `values` [applicants, features] are those of `features`.
    """
    calibration, factor = scorer.calibration, scorer.scale.factor
    if calibration.is_line:
        return factor * calibration.slope
    margin = scorer.margin(features)
    each: Floats = factor * calibration.secant(margin, margin - values.sum(axis=1))
    return each[:, np.newaxis]


def reason_table(reasons: pl.DataFrame, applicants: int) -> pl.DataFrame:
    """Return reason_code, applicants with it, share (of all declined), as_first (share), mean_points_lost."""
    return (
        reasons.group_by("reason_code")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.len() / applicants).alias("share"),
            ((pl.col("rank") == 1).sum() / applicants).alias("as_first"),
            pl.col("points_lost").mean().alias("mean_points_lost"),
        )
        .sort("as_first", "share", "reason_code", descending=[True, True, False])
    )


def example_applicants(scores: pl.DataFrame, *, cutoff: float) -> pl.DataFrame:
    """Return three applicants to explain: example and applicant_id.

    The safest quartile's middle, the first one declined below the cutoff, and the riskiest tenth's middle.
    """
    ordered = scores.sort("score", "applicant_id", descending=[True, False])
    declined = ordered.filter(pl.col("score") < cutoff)
    if declined.height == 0:
        raise DataError("nobody is declined at the cutoff, so no decline can be explained")
    rows = {
        "safe applicant": ordered.row(ordered.height // 8, named=True),
        "just declined": declined.row(0, named=True),
        "risky applicant": ordered.row(ordered.height - 1 - ordered.height // 20, named=True),
    }
    return pl.DataFrame(
        [
            {"example": name, "applicant_id": row["applicant_id"], "score": row["score"]}
            for name, row in rows.items()
        ]
    )


def example_table(
    scorer: Scorer, features: pl.DataFrame, values: Floats, examples: pl.DataFrame, *, shown: int = 8
) -> pl.DataFrame:
    """Return the largest contributions of each example: example, feature, value_band, points.

    A value is given as the quarter of the applicants that it falls in, never as the person's own number;
    `points` is what the feature adds to the score (below 0 costs points).
    """
    points = -points_per_value(scorer, features, values) * values
    tables = []
    for row in examples.iter_rows(named=True):
        index = features["applicant_id"].index_of(row["applicant_id"])
        if index is None:
            raise DataError("an example applicant is not in the table of features", ["explain those in it"])
        order = np.argsort(-np.abs(points[index]), kind="stable")[:shown]
        names = [scorer.features[i] for i in order]
        bands = [_quarter(features[name], features[name][index]) for name in names]
        columns = {"feature": names, "value_band": bands, "points": points[index][order]}
        tables.append(pl.DataFrame(columns).select(pl.lit(row["example"]).alias("example"), pl.all()))
    return pl.concat(tables)


def _quarter(column: pl.Series, value: float | None) -> str:
    if value is None:
        return "missing"
    known = column.drop_nulls().to_numpy()
    share = (np.mean(known < value) + np.mean(known <= value)) / 2  # the middle of ties
    labels = ("lowest quarter", "second quarter", "third quarter", "highest quarter")
    return labels[min(int(share * 4), 3)]
