"""What outcomes that were recorded wrongly for a group could change: bounds instead of silence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl

from workbench.fairness.counts import CELLS, check_outcome_counts
from workbench.fairness.groups import require_reference, shortage
from workbench.fairness.selection_bias import BOUNDS_SCHEMA, TIPPING_SCHEMA
from workbench.statistics.proportions import newcombe_difference
from workbench.statistics.samples import IntArray, raise_faults

Outcome = Literal["goods", "bads"]
OUTCOMES: dict[Outcome, slice] = {"goods": slice(0, 2), "bads": slice(2, 4)}
"""Where the cells of each outcome are: the approved, then the declined."""
RATES: dict[str, Outcome] = {
    "true_positive_rate_difference": "goods",
    "false_positive_rate_difference": "bads",
}
MISLABELLED: tuple[Outcome, ...] = ("bads", "goods")
ROUNDING = 1e-9


def mislabelling_bounds(
    counts: pl.DataFrame,
    *,
    shares: Sequence[float],
    reference_group: str,
    min_applicants: int,
    min_defaults: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return between which bounds error rates lie when some of a group's outcomes are recorded wrongly.

    Mislabelled bads: up to a share `strength` of the group's recorded bads are goods in truth (it was chased
    harder, say); mislabelled goods: up to that share of its recorded goods are bads. Nobody knows which, so
    the bounds take those that move the rate furthest; the reference group's record is taken as it is.
    Differences of true_positive_rate (approved among goods) and false_positive_rate (approved among bads),
    group - reference: 0 = equal. [lower, upper] are the bounds, sharp; [low, high] adds the sampling error of
    both ends (Newcombe).

    `counts`: as from `outcome_counts`; `shares`: in [0, 1]. A group with fewer than `min_applicants`, or
    fewer goods or bads than `min_defaults`, is not judged. Returns the columns of `unseen_outcome_bounds`
    (in_doubt: share of the group's applicants that may be mislabelled); no rows for the reference group.

    Raises:
        DataError: a table without the counts, an absent reference group, shares outside [0, 1].

    Reference: Horowitz and Manski (1995), Econometrica 63: 281-302, for bounds from wrong records.
    """
    wrong = sum(not 0 <= share <= 1 for share in shares)
    raise_faults("The bounds cannot be set", [f"{wrong} shares are outside [0, 1]"] if wrong else [])
    rows, least = [], {"applicants": min_applicants, "goods": min_defaults, "bads": min_defaults}
    reference, others = _cells(counts, reference_group)
    for name, cells in others.items():
        sizes = {"applicants": cells.sum(), "goods": cells[:2].sum(), "bads": cells[2:].sum()}
        short = shortage({of: int(size) for of, size in sizes.items()}, least)
        for mislabelled, share in ((of, share) for of in MISLABELLED for share in shares):
            most = int(share * sizes[mislabelled] + ROUNDING)
            about = {"group": name, "assumption": f"mislabelled {mislabelled}", "strength": share}
            about |= {"level": level, "applicants": int(cells.sum()), "in_doubt": most / int(cells.sum())}
            for metric, outcome in RATES.items():
                hits, trials = _scenarios(cells, mislabelled, np.array([most]), outcome)
                pairs = [[int(hits[at, 0]), int(trials[at, 0])] for at in range(2)]
                row = _row(pairs, _rate(reference, outcome), level, short)
                rows.append(about | {"metric": metric} | row)
    return pl.DataFrame(rows, schema=BOUNDS_SCHEMA)


def mislabelling_tipping_points(counts: pl.DataFrame, *, reference_group: str) -> pl.DataFrame:
    """Return how many of a group's outcomes must be recorded wrongly to undo the sign of each difference.

    `value`: the difference as recorded; `strength`: the smallest share of the group's recorded bads, or
    goods, at which the bounds of `mislabelling_bounds` hold 0; null where no share does, or the value is
    undefined. Bounds of this sample, without sampling error. Returns group, metric, assumption, value,
    strength, note.

    Raises:
        DataError: a table without the counts, an absent reference group.
    """
    reference, others = _cells(counts, reference_group)
    rows: list[dict[str, object]] = []
    for name, cells in others.items():
        for mislabelled in MISLABELLED:
            for metric, outcome in RATES.items():
                about = {"group": name, "metric": metric, "assumption": f"mislabelled {mislabelled}"}
                rows.append(about | _tipping(cells, mislabelled, _rate(reference, outcome), outcome))
    return pl.DataFrame(rows, schema=TIPPING_SCHEMA)


def _cells(counts: pl.DataFrame, reference_group: str) -> tuple[IntArray, dict[str, IntArray]]:
    """Return the four cells of the reference group, and those of every other group."""
    check_outcome_counts(counts)
    require_reference(reference_group, counts["group"].to_list())
    cells = {str(name): np.array(of, dtype=np.int64) for name, *of in counts.select("group", *CELLS).rows()}
    return cells.pop(reference_group), cells


def _rate(cells: IntArray, outcome: Outcome) -> list[int]:
    """Return the approved and all among the goods or the bads."""
    of = cells[OUTCOMES[outcome]]
    return [int(of[0]), int(of.sum())]


def _scenarios(
    cells: IntArray, mislabelled: Outcome, moved: IntArray, outcome: Outcome
) -> tuple[IntArray, IntArray]:
    """Return approved and all [scenarios, moved] when so many approved, or declined, are mislabelled."""
    right = "goods" if mislabelled == "bads" else "bads"
    hits, trials = [], []
    for place in range(2):
        part = np.minimum(moved, cells[OUTCOMES[mislabelled]][place])
        change = part if outcome == right else -part
        approved, everyone = _rate(cells, outcome)
        hits.append(approved + change * (place == 0))
        trials.append(everyone + change)
    return np.array(hits), np.array(trials)


def _row(pairs: list[list[int]], reference: list[int], level: float, short: str) -> dict[str, object]:
    if not (reference[1] and all(trials for _, trials in pairs)):
        reason = "undefined: nobody to divide by"
        return {"method": reason, "judged": False, "note": "; ".join(filter(None, [short, reason]))}
    ends = [newcombe_difference(*pair, *reference, level=level) for pair in pairs]
    lower, upper = sorted(ends, key=lambda end: end.value or 0.0)
    return {
        "lower": lower.value,
        "upper": upper.value,
        "low": lower.low,
        "high": upper.high,
        "method": lower.method,
        "judged": not short,
        "note": short,
    }


def _tipping(
    cells: IntArray, mislabelled: Outcome, reference: list[int], outcome: Outcome
) -> dict[str, object]:
    approved, everyone = _rate(cells, outcome)
    if not (everyone and reference[1]):
        return {"note": "undefined: nobody to divide by"}
    value, recorded = approved / everyone - reference[0] / reference[1], _rate(cells, mislabelled)[1]
    hits, trials = _scenarios(cells, mislabelled, np.arange(recorded + 1), outcome)
    gaps = hits / np.where(trials, trials, np.nan) - reference[0] / reference[1]
    undone = (gaps * np.sign(value) <= 0).any(axis=0)
    if not undone.any():
        return {"value": value, "note": "no share changes the sign"}
    return {"value": value, "strength": int(undone.argmax()) / max(recorded, 1), "note": ""}
