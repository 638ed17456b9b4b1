"""Who is decided otherwise than by the benchmark, at the same approval rate, and how they turned out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.statistics.estimate import Estimate
from workbench.statistics.proportions import newcombe_difference, wilson
from workbench.statistics.samples import FloatArray, checked_sample, raise_faults

Mask = NDArray[np.bool_]
EVERYONE = "all"
MISSING = "missing"
MOST_SEGMENTS = 100
PARTS = ("both_approved", "swap_in", "swap_out", "both_declined")
DIFFERENCE = "swap_in_minus_swap_out"


def approve_safest(risk: FloatArray, *, approval_rate: float) -> Mask:
    """Return whether each applicant is among the safest share (lowest `risk`), rounded to a whole number.

    Equal risks are taken in the order of the rows, so that every model approves exactly as many and a model
    against itself differs by nobody.

    Raises:
        DataError: a rate outside (0, 1).
    """
    faults = [] if 0 < approval_rate < 1 else [f"the approval rate is {approval_rate:g}; it is in (0, 1)"]
    raise_faults("Nobody can be approved by rank", faults)
    wanted = round(approval_rate * risk.size)
    if not 0 < wanted < risk.size:
        return np.full(risk.size, wanted > 0)
    last = np.partition(risk, wanted - 1)[wanted - 1]
    approved: Mask = risk < last
    approved[np.flatnonzero(risk == last)[: wanted - int(approved.sum())]] = True
    return approved


def swap_table(
    frame: pl.DataFrame,
    *,
    approval_rate: float,
    champion: str = "prob_default",
    benchmark: str = "prob_default_scorecard",
    by: Sequence[str] = (),
    level: float = 0.95,
) -> pl.DataFrame:
    """Return whom the champion approves and the benchmark does not, the reverse, and their default rates.

    Both approve the safest `approval_rate` of everyone. swap_in = approved by the champion alone, swap_out =
    by the benchmark alone; their default rates' difference, in the row "swap_in_minus_swap_out", is 0 where
    the champion chooses no better and below 0 where it does. Outcomes must be known for all, the declined
    too: where only the approved have one, the table is about those.

    `frame`: default, the PD (or any number that rises with risk) of the champion and of the benchmark, and
    the columns of `by`, one row per applicant. Returns, for everyone (by = segment = "all") and every segment
    of each column in `by`, five rows: by, segment, part, applicants, share (of the segment), defaults, value
    (default rate), low, high (Wilson; Newcombe for the difference, each at `level` alone), level, method;
    null where there is nobody.

    Raises:
        DataError: columns that are not there or have more than 100 segments, values that are missing, a rate
            outside (0, 1).
    """
    raise_faults("The swap set cannot be told", _faults(frame, [champion, benchmark], by))
    scores = {"champion": frame[champion].to_numpy(), "benchmark": frame[benchmark].to_numpy()}
    bad, ours, theirs = checked_sample(frame["default"].to_numpy(), scores=scores)
    new, old = (approve_safest(risk, approval_rate=approval_rate) for risk in (ours, theirs))
    parts = dict(zip(PARTS, (new & old, new & ~old, old & ~new, ~(new | old)), strict=True))
    rows = _rows(bad, parts, np.ones(bad.size, dtype=bool), by=EVERYONE, segment=EVERYONE, level=level)
    for column in dict.fromkeys(by):
        labels = frame[column].cast(pl.String).fill_null(MISSING)
        for segment in labels.unique().sort():
            inside = (labels == segment).to_numpy()
            rows += _rows(bad, parts, inside, by=column, segment=segment, level=level)
    return pl.DataFrame(rows, schema=_COLUMNS)


def _faults(frame: pl.DataFrame, models: Sequence[str], by: Sequence[str]) -> list[str]:
    wanted = dict.fromkeys(["default", *models, *by])
    faults = [
        f"there is no column {name}{near_name(name, frame.columns)}"
        for name in wanted
        if name not in frame.columns
    ]
    for name in by:
        segments = frame[name].n_unique() if name in frame.columns else 0
        if segments > MOST_SEGMENTS:
            faults.append(f"{name} has {segments} segments; at most {MOST_SEGMENTS}, so cut it into bands")
    return faults


def _rows(
    bad: FloatArray, parts: dict[str, Mask], inside: Mask, *, by: str, segment: str, level: float
) -> list[dict[str, Any]]:
    counts = {name: _counts(bad, part & inside) for name, part in parts.items()}
    everyone = int(inside.sum())
    rows = [
        {"part": name, "applicants": size, "share": size / everyone, "defaults": defaults}
        | vars(wilson(defaults, size, level=level))
        for name, (defaults, size) in counts.items()
    ]
    gap: Estimate = newcombe_difference(*counts["swap_in"], *counts["swap_out"], level=level)
    swapped = counts["swap_in"][1] + counts["swap_out"][1]
    difference = {"part": DIFFERENCE, "applicants": swapped, "share": swapped / everyone}
    return [{"by": by, "segment": segment, **row} for row in (*rows, difference | vars(gap))]


def _counts(bad: FloatArray, rows: Mask) -> tuple[int, int]:
    return int(bad[rows].sum()), int(rows.sum())


_COLUMNS = {
    **dict.fromkeys(("by", "segment", "part"), pl.String),
    **{"applicants": pl.Int64, "share": pl.Float64, "defaults": pl.Int64},
    **dict.fromkeys(("value", "low", "high", "level"), pl.Float64),
    "method": pl.String,
}
