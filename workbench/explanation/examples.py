"""Three applicants to look at, without a number of their own: values are told as quarters."""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.explanation.reasons import points_per_value
from workbench.scorer import Floats, Scorer


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
