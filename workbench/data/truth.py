"""What is true of a made world's applicants: it judges what a study finds, and no model sees it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from workbench.errors import DataError

ROWS = {"applicant_id": pl.Int64, "true_prob_default": pl.Float64}
_NUMBERS = dict.fromkeys(("centre", "scale", "coefficient"), pl.Float64)
TERMS = pl.Schema({"feature": pl.String, "transform": pl.String, **_NUMBERS})


def truth_rows(everyone: pl.DataFrame, truth: pl.DataFrame | None, *, key: str) -> pl.DataFrame:
    """Return applicant_id and true_prob_default (0, 1) of everyone in the study; no rows without a truth.

    `truth` has the ids of the applicants' source in the column `key`, and prob_default. Raises DataError when
    a column is missing, an id repeats, a probability is not inside (0, 1), or someone of the study is
    missing.
    """
    if truth is None:
        return pl.DataFrame(schema=ROWS)
    if absent := [name for name in (key, "prob_default") if name not in truth.columns]:
        raise DataError(f"data.truth: a table of {key}, prob_default", [f"no column {c!r}" for c in absent])
    prob = pl.col("prob_default").cast(pl.Float64, strict=False)
    wanted = truth.select(pl.col(key).cast(pl.String).alias("source_id"), true_prob_default=prob)
    kept = everyone.filter(pl.col("left_out") == "").sort("applicant_id")
    inside = pl.col("true_prob_default").is_between(0, 1, closed="none")
    found = kept.select("applicant_id", pl.col("source_id").cast(pl.String)).join(
        wanted.unique("source_id"), on="source_id", how="left", maintain_order="left"
    )
    counts = {
        "rows repeat an id": wanted.height - wanted["source_id"].n_unique(),
        "probabilities are not inside (0, 1)": wanted.filter(~inside.fill_null(False)).height,
        "applicants of the study are not in it": found["true_prob_default"].null_count(),
    }
    if faults := [f"{size:,} {what}" for what, size in counts.items() if size]:
        raise DataError("data.truth cannot judge the study", faults)
    return found.select(list(ROWS))


def true_terms(stated: Mapping[str, Any]) -> pl.DataFrame:
    """Return feature, transform, centre, scale and coefficient of the terms of a made world's true log-odds.

    Log-odds = intercept + sum of coefficient x (transform(feature) - centre) / scale. `stated`: what the JSON
    file beside `data.truth` says, with the list formula.terms; no rows where it states no formula. Raises
    DataError for terms that lack one of these, or whose numbers are none.
    """
    terms = stated.get("formula", {}).get("terms", [])
    try:
        return pl.DataFrame([[term[name] for name in TERMS] for term in terms], schema=TERMS, orient="row")
    except (KeyError, TypeError, pl.exceptions.PolarsError):
        fault = f"{len(terms)} terms; each needs {', '.join(TERMS)}"
        raise DataError("the formula beside data.truth cannot be read", [fault]) from None
