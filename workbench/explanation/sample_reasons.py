"""Reasons that many share, as those of made-up people: what a report may show of letters."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_ID = "applicant_id"
_ROUNDED = 2  # significant digits of a typical value


def sample_reasons(
    reasons: pl.DataFrame,
    decided: pl.DataFrame,
    features: pl.DataFrame,
    names: Sequence[str],
    *,
    samples: int,
    least: int,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the reasons of the most shared lists of each decision, and the features of a typical person.

    Two people share a list when decision, reasons, their order and the features named are the same; a list
    of fewer than `least` is not shown. Each list becomes one made-up person, whose number stands as
    applicant_id: the first table has applicant_id, applicants (who share it), decision, rank, reason_code,
    feature, kind; the second applicant_id and `names`, each the lower median of those who share the list,
    rounded to two significant digits. At most `samples` lists of each decision.
    """
    ordered = reasons.sort(_ID, "rank").group_by(_ID, maintain_order=True)
    lists = ordered.agg(told=pl.concat_str("kind", "reason_code", "feature", separator="\n").str.join("\n\n"))
    shared = (
        lists.join(decided.select(_ID, "decision"), on=_ID, how="left", maintain_order="left")
        .group_by("decision", "told")
        .agg(people=pl.col(_ID), applicants=pl.len().cast(pl.Int64))
        .filter(pl.col("applicants") >= least)
        .sort(pl.col("decision"), "applicants", "told", descending=[True, True, False])
        .group_by("decision", maintain_order=True)
        .head(samples)
        .with_row_index("sample", offset=1)
        .with_columns(pl.col("sample").cast(pl.Int64))
    )
    first = shared.select("sample", "decision", "applicants", pl.col("people").list.min().alias(_ID))
    columns = ("rank", "reason_code", "feature", "kind")
    told = first.join(reasons.select(_ID, *columns), on=_ID).sort("sample", "rank")
    people = shared.select("sample", pl.col("people").alias(_ID)).explode(_ID)
    middle = pl.col(names).cast(pl.Float64).fill_nan(None).quantile(0.5, "lower").round_sig_figs(_ROUNDED)
    typical = people.join(features, on=_ID).group_by("sample").agg(middle).sort("sample")
    return (
        told.select(pl.col("sample").alias(_ID), "applicants", "decision", *columns),
        typical.rename({"sample": _ID}),
    )
