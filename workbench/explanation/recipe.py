"""How a scorer gives the reasons that this stage gives: plain values, and whom it compares with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import polars as pl

from workbench.explanation.decisions import Rule
from workbench.explanation.reasons import Method, best_values
from workbench.scorer import Floats, Scorer


def reason_recipe(
    scorer: Scorer,
    method: Method,
    *,
    approved: pl.DataFrame,
    size: int,
    seed: int,
    rules: Sequence[Rule],
    reasons_shown: int,
    counter_offer_points: float,
    codes: pl.DataFrame,
) -> dict[str, Any]:
    """Return method, reasons_shown, counter_offer_points, rules, best (by feature) and texts as JSON.

    `best` are the values of `best_values` among the approved, None but for the method best_value; `codes` has
    reason_code and reason, the general text. Raises DataError as `best_values`.
    """

    def score_of(rows: pl.DataFrame) -> Floats:
        return scorer.points(scorer.margin(rows))

    best = None
    if method == "best_value":
        best = best_values(score_of, approved, scorer.features, size=size, seed=seed)
    return {
        "method": method,
        "reasons_shown": reasons_shown,
        "counter_offer_points": counter_offer_points,
        "rules": [asdict(rule) for rule in rules],
        "best": best,
        "texts": dict(codes.select("reason_code", "reason").iter_rows()),
    }


def compared_with(method: Method, groups: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return applicant_id of those whom the method compares with; nobody for best_value.

    `groups`: the rows of near_cutoff and of all_applicants.
    """
    nobody = next(iter(groups.values())).clear()
    return groups.get(method, nobody).select("applicant_id")
