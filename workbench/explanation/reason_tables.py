"""Tables of reasons for a report: how often each is given, who has none, and how far methods agree."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import polars as pl

from workbench.reason_texts import OTHER
from workbench.statistics.estimate import Estimate
from workbench.statistics.means import mean_estimate
from workbench.statistics.proportions import WILSON, wilson, wilson_bounds

_ID = "applicant_id"


def reason_table(reasons: pl.DataFrame, applicants: int, *, level: float = 0.95) -> pl.DataFrame:
    """Return how often each reason is given to the `applicants` who were not approved.

    Columns: reason_code, applicants (who have it), share, as_first (share), mean_points_lost (missing for a
    rule), low and high (of share), method; the most frequent first reason first.
    """
    counted = (
        reasons.group_by("reason_code")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.len() / applicants).alias("share"),
            ((pl.col("rank") == 1).sum() / applicants).alias("as_first"),
            pl.col("points_lost").mean().alias("mean_points_lost"),
        )
        .sort("as_first", "share", "reason_code", descending=[True, True, False])
    )
    low, high = wilson_bounds(counted["applicants"], applicants, level=level)
    return counted.with_columns(low=pl.Series(low), high=pl.Series(high), method=pl.lit(WILSON))


def coverage_table(
    decided: pl.DataFrame, reasons: pl.DataFrame, codes: pl.DataFrame, *, reasons_shown: int, level: float
) -> pl.DataFrame:
    """Return what those who were not approved are told: decision, measure, applicants, share and interval.

    Measures, for each decision: with all reasons, without any reason, by a rule, and with a text of our own
    (sample 24) among the reasons. Columns: decision, measure, applicants, of (all with the decision), share,
    low, high, method. `codes` has reason_code and sample (`Wording.codes`).
    """
    mine = reasons.join(codes.select("reason_code", "sample"), on="reason_code", how="left")
    told = mine.group_by(_ID).agg(count=pl.len(), own=(pl.col("sample") == OTHER).any())
    people = decided.filter(pl.col("decision") != "approved").join(told, on=_ID, how="left")
    count = pl.col("count").fill_null(0)
    measures = {
        "with all reasons": count >= reasons_shown,
        "without any reason": count == 0,
        "by a rule": pl.col("stage") == "rule",
        "with a text of our own": pl.col("own").fill_null(False),
    }
    rows = []
    for decision, part in sorted(people.partition_by("decision", as_dict=True).items()):
        for measure, holds in measures.items():
            hits = part.filter(holds).height
            estimate = wilson(hits, part.height, level=level)
            rows.append(
                {"decision": decision[0], "measure": measure, "applicants": hits, "of": part.height}
                | _numbers(estimate, "share")
            )
    return pl.DataFrame(rows)


def sample_table(reasons: pl.DataFrame, codes: pl.DataFrame) -> pl.DataFrame:
    """Return sample (of Regulation B, Appendix C; 24: a text of our own), reasons and their share of all."""
    counted = reasons.join(codes.select("reason_code", "sample"), on="reason_code", how="left")
    counted = counted.group_by("sample").agg(reasons=pl.len().cast(pl.Int64)).sort("sample")
    return counted.with_columns(share=pl.col("reasons") / pl.col("reasons").sum())


def overlap_table(
    reasons: Mapping[str, pl.DataFrame], applicants: pl.Series, *, level: float
) -> pl.DataFrame:
    """Return how far two methods give the same applicants the same reasons; 1 = always the same.

    Measures: `reasons in common`, the mean of (reasons that both give / the longer list), order aside, and
    `same first reason`. Two empty lists agree. Columns: reasons_by, compared_with, measure, applicants,
    value, low, high, method. `reasons` are those of each method, by its name.
    """
    rows = []
    for (first, one), (second, other) in combinations(reasons.items(), 2):
        common, same = _agreement(one, other, applicants)
        for measure, estimate in (
            ("reasons in common", mean_estimate(common, level=level)),
            ("same first reason", wilson(int(same.sum()), same.len(), level=level)),
        ):
            rows.append(
                {"reasons_by": first, "compared_with": second, "measure": measure, "applicants": same.len()}
                | _numbers(estimate, "value")
            )
    return pl.DataFrame(rows)


def _agreement(one: pl.DataFrame, other: pl.DataFrame, applicants: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return each applicant's share of reasons in common, and whether the first one is the same."""
    everyone = pl.DataFrame({_ID: applicants})
    lists = {
        name: table.sort("rank").group_by(_ID).agg(pl.col("reason_code").alias(name))
        for name, table in (("one", one), ("other", other))
    }
    joined = everyone
    for table in lists.values():
        joined = joined.join(table, on=_ID, how="left", maintain_order="left")
    filled = joined.with_columns(pl.col("one", "other").fill_null([]))
    shared = pl.col("one").list.set_intersection("other").list.len()
    longest = pl.max_horizontal(pl.col("one").list.len(), pl.col("other").list.len())
    measured = filled.select(
        common=pl.when(longest == 0).then(1.0).otherwise(shared / longest),
        same=pl.col("one").list.first().eq_missing(pl.col("other").list.first()),
    )
    return measured["common"], measured["same"]


def _numbers(estimate: Estimate, name: str) -> dict[str, Any]:
    return {
        name: estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "method": estimate.method,
    }
