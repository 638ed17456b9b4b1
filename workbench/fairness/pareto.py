"""The trade between loss and disparity: the front of a search, and which of its members a rule recommends."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.statistics.samples import FloatArray

Disparity = Literal["selection_rate_difference", "adverse_impact_ratio"]
Rule = Literal["least_disparity_within_loss", "least_loss_within_disparity"]


def disparity(
    approved: ArrayLike, applicants: ArrayLike, *, reference: int, measure: Disparity
) -> FloatArray:
    """Return how unequal approvals are, 0 = equal, from counts [..., groups].

    selection_rate_difference: the largest |selection rate of a group - that of the reference group|.
    adverse_impact_ratio: 1 - the smallest ratio to the reference group's selection rate; groups approved more
    often do not count. NaN where a group has nobody or, for the ratio, the reference group has none approved.
    `reference`: the reference group's position. Returns floats [...].
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = np.asarray(approved, dtype=np.float64) / np.asarray(applicants, dtype=np.float64)
        base = rates[..., [reference]]
        if measure == "selection_rate_difference":
            return np.asarray(np.abs(rates - base).max(axis=-1))
        return np.asarray(1 - (rates / base).min(axis=-1))


def pareto_front(losses: ArrayLike, disparities: ArrayLike) -> NDArray[np.bool_]:
    """Return which candidates no other one beats: as good in both and better in one [candidates].

    `losses`, `disparities`: lower = better [candidates]. Of equal candidates all or none are on the front.
    """
    first, second = (np.asarray(values, dtype=np.float64) for values in (losses, disparities))
    as_good = (first[:, None] <= first) & (second[:, None] <= second)
    better = (first[:, None] < first) | (second[:, None] < second)
    return np.asarray(~(as_good & better).any(axis=0))


def recommended(candidates: pl.DataFrame, *, rule: Rule, line: float) -> tuple[int | None, str]:
    """Return the number of the recommended member of the front, None where none qualifies, and why.

    least_disparity_within_loss: the least disparity among members whose loss is surely at most `line` above
    the champion's: the upper one-sided end of `search_loss_change`. least_loss_within_disparity: the least
    loss among members with a disparity of at most `line`. Both want less disparity than the champion has, and
    both decide by the part that judged the search, so that the holdout chooses nothing.

    `candidates` as from `search_alternatives`; candidate 0 is the champion.
    """
    champion = candidates.row(by_predicate=pl.col("candidate") == 0, named=True)
    members = candidates.filter("on_front", pl.col("search_disparity") < champion["search_disparity"])
    held, by = {
        "least_disparity_within_loss": ("search_loss_change_high", "search_disparity"),
        "least_loss_within_disparity": ("search_disparity", "search_loss"),
    }[rule]
    qualified = members.filter(pl.col(held) <= line).sort(by, "search_loss", "candidate")
    said = f"{qualified.height} of the {members.height} on the front with less disparity than the champion"
    why = f"{rule.replace('_', ' ')}: {said} have {held.replace('_', ' ')} of at most {line:g}"
    return (int(qualified["candidate"][0]) if qualified.height else None), why
