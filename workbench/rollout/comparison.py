"""A shadow or a canary against the champion, from the decisions of both, at any time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.rollout.sequential import (
    difference_sequence,
    discordance_e_value,
    equal_shares_e_value,
    mean_sequence,
    paired_variance,
    rates_sequence,
)

WORSE, NOT_WORSE, NOT_SETTLED = "worse beyond margin", "not worse", "not settled"
Worse = Literal["higher", "either"]
APPROVED = "approved"
NEEDED = {
    "applicant_id": (pl.String, pl.Int64),
    "role": (pl.String,),
    "bundle_sha256": (pl.String,),
    "prob_default": (pl.Float64,),
    "decision": (pl.String,),
}
"""The columns of a table of decisions, with the types that each may have."""
FIRST_LOOK = 500
"""Applicants that each side has before a mean or a pair says anything: its variance is an estimate. Rates of
arms need none."""
COMPARISON = pl.Schema(
    {"measure": pl.String, "champion": pl.Float64, "other": pl.Float64, "difference": pl.Float64}
    | {"low": pl.Float64, "high": pl.Float64, "level": pl.Float64, "margin": pl.Float64}
    | {"n_champion": pl.Int64, "n_other": pl.Int64, "e_value": pl.Float64, "e_line": pl.Float64}
    | {"verdict": pl.String}
)


@dataclass(frozen=True)
class Measure:
    """What is compared: the margin unless told otherwise, which direction is worse, and why."""

    margin: float
    worse: Worse
    about: str


PAIRED = {
    "approval_rate": Measure(0.02, "either", "an unseen change of policy goes either way"),
    "prob_default": Measure(0.005, "either", "a level that nobody validated"),
}
ARMS = {
    "approval_rate": Measure(0.02, "either", "an unseen change of policy goes either way"),
    "default_rate": Measure(0.01, "higher", "of those approved, with an outcome"),
    "error_rate": Measure(0.005, "higher", "requests without a decision"),
    "milliseconds": Measure(5.0, "higher", "mean time of a decision"),
}
PAIRED_STATEMENTS = len(PAIRED) + 1
"""Two intervals and the test of the discordant pairs share alpha (Bonferroni), whatever the table has."""
ARMS_STATEMENTS = 2 * len(ARMS) - 1
"""Four intervals and the tests of three rates share alpha (Bonferroni), whatever the table has."""


def compare_paired(
    decisions: pl.DataFrame,
    *,
    champion: str,
    other: str,
    margins: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    tightest_at: int = 10_000,
) -> pl.DataFrame:
    """Compare a shadow with the champion on the applicants that both have decided.

    Of each applicant the first decision of each bundle counts. Returns `COMPARISON`: approval_rate with the
    interval of the paired difference (other minus champion) and, as e_value, the exact test that as many
    change to approved as from it; prob_default with that of the mean difference. All hold together, at all
    looks, with chance 1 - alpha; 0 = no difference. Below `FIRST_LOOK` pairs nothing is settled.

    Raises:
        DataError: columns that are missing, or no pair.

    Reference: `discordance_e_value` and `mean_sequence`.
    """
    _check(decisions)
    kept = _kept(margins, PAIRED)
    sides = [_first(decisions, "champion", champion), _first(decisions, "shadow", other)]
    pairs = (
        sides[0]
        .join(sides[1], on="applicant_id", suffix="_other")
        .drop_nulls(["prob_default", "decision", "prob_default_other", "decision_other"])
    )
    if not pairs.height:
        raise DataError("no applicant was decided by both", [_seen(decisions)])
    yes, yes_other = (pairs[name].eq(APPROVED).to_numpy() for name in ("decision", "decision_other"))
    up, down, n = int((yes_other & ~yes).sum()), int((yes & ~yes_other).sum()), pairs.height
    gap = pairs["prob_default_other"].to_numpy() - pairs["prob_default"].to_numpy()
    each = alpha / PAIRED_STATEMENTS
    spread = {
        "approval_rate": ((up - down) / n, paired_variance(up, down, n)),
        "prob_default": (float(gap.mean()), gap.var(ddof=1) if n > 1 else np.nan),
    }
    levels = {
        "approval_rate": (float(yes.mean()), float(yes_other.mean())),
        "prob_default": tuple(float(pairs[f"prob_default{end}"].to_numpy().mean()) for end in ("", "_other")),
    }
    rows = []
    for name, (difference, variance) in spread.items():
        ends = mean_sequence(difference, variance, n, alpha=each, tightest_at=tightest_at)
        rows.append(_row(name, PAIRED[name], levels[name], difference, ends, kept[name], (n, n), 1 - each))
    rows[0] |= {"e_value": float(discordance_e_value(up, down)), "e_line": 1 / each}
    return pl.DataFrame(rows, schema=COMPARISON)


def compare_arms(
    decisions: pl.DataFrame,
    *,
    champion: str,
    other: str,
    margins: Mapping[str, float] | None = None,
    alpha: float = 0.05,
    tightest_at: int = 10_000,
) -> pl.DataFrame:
    """Compare a canary with the champion, each on the applicants that were assigned to it.

    Of each applicant the first decision counts. Returns `COMPARISON` (other minus champion): approval_rate;
    default_rate of those approved, where the column `default` has outcomes; error_rate, the share without a
    decision or PD; milliseconds, the mean of the column where it is there. All hold together, at all looks,
    with chance 1 - alpha; 0 = no difference. `e_value` is against equal rates, exactly, and says they differ
    from `e_line` on. The share of the canary must be the same in the whole table: otherwise a drift of the
    applicants is taken for a difference.

    Raises:
        DataError: columns that are missing, or an arm without applicants.

    Reference: `rates_sequence`, `difference_sequence` and `equal_shares_e_value`.
    """
    _check(decisions)
    kept, each = _kept(margins, ARMS), alpha / ARMS_STATEMENTS
    sides = [_first(decisions, "champion", champion), _first(decisions, "canary", other)]
    if not all(side.height for side in sides):
        raise DataError("champion and canary have not both decided", [_seen(decisions)])
    rows = []
    for name, values in _arm_values(*sides).items():
        counts = (values[0].size, values[1].size)
        means = tuple(float(side.mean()) if side.size else np.nan for side in values)
        sums = (float(values[0].sum()), float(values[1].sum()))
        is_rate, about = name != "milliseconds", {}
        if is_rate:
            ends = rates_sequence(sums, counts, alpha=each, tightest_at=tightest_at)
            about = {"e_value": float(equal_shares_e_value(sums, counts)), "e_line": 1 / each}
        else:
            spreads = tuple(side.var(ddof=1) if side.size > 1 else np.nan for side in values)
            ends = difference_sequence(
                (means[0], means[1]), (spreads[0], spreads[1]), counts, alpha=each, tightest_at=tightest_at
            )
        row = _row(
            name,
            ARMS[name],
            means,
            means[1] - means[0],
            ends,
            kept[name],
            counts,
            1 - each,
            first=1 if is_rate else FIRST_LOOK,
        )
        rows.append(row | about)
    return pl.DataFrame(rows, schema=COMPARISON)


def verdict_of(low: float, high: float, *, margin: float, worse: Worse) -> str:
    """Return what an interval for other minus champion says: worse beyond the margin, not worse, not settled.

    Worse is "higher" than +margin, or "either" side of -margin and +margin; the ends of the interval on the
    margin itself count as not worse.
    """
    if low > margin or (worse == "either" and high < -margin):
        return WORSE
    within = high <= margin and (worse == "higher" or low >= -margin)
    return NOT_WORSE if within else NOT_SETTLED


def _arm_values(*sides: pl.DataFrame) -> dict[str, list[np.ndarray[Any, Any]]]:
    decided = [side.drop_nulls(["prob_default", "decision"]) for side in sides]
    found = {
        "approval_rate": [side["decision"].eq(APPROVED).cast(pl.Float64).to_numpy() for side in decided],
        "error_rate": [
            side.select(pl.col("prob_default").is_null() | pl.col("decision").is_null())
            .to_series()
            .cast(pl.Float64)
            .to_numpy()
            for side in sides
        ],
    }
    if "default" in sides[0].columns:
        paid = [side.filter(decision=APPROVED)["default"].drop_nulls() for side in decided]
        found["default_rate"] = [one.cast(pl.Float64).to_numpy() for one in paid]
    if "milliseconds" in sides[0].columns:
        found["milliseconds"] = [side["milliseconds"].drop_nulls().to_numpy() for side in sides]
    return {name: found[name] for name in ARMS if name in found}


def _row(
    name: str,
    measure: Measure,
    levels: tuple[float, ...],
    difference: float,
    ends: tuple[Any, Any],
    margin: float,
    counts: tuple[int, ...],
    level: float,
    *,
    first: int = FIRST_LOOK,
) -> dict[str, Any]:
    low, high = float(ends[0]), float(ends[1])
    enough = min(counts) >= first
    verdict = verdict_of(low, high, margin=margin, worse=measure.worse) if enough else NOT_SETTLED
    row = {"measure": name, "champion": levels[0], "other": levels[1], "difference": difference}
    row |= {"low": low, "high": high, "level": level, "margin": margin}
    row = {key: None if isinstance(one, float) and np.isnan(one) else one for key, one in row.items()}
    return row | {"n_champion": counts[0], "n_other": counts[1], "verdict": verdict}


def _first(decisions: pl.DataFrame, role: str, sha256: str) -> pl.DataFrame:
    side = decisions.filter(role=role, bundle_sha256=sha256)
    return side.unique("applicant_id", keep="first", maintain_order=True)


def _kept(margins: Mapping[str, float] | None, measures: Mapping[str, Measure]) -> dict[str, float]:
    given = dict(margins or {})
    faults = [f"margin of {name}: no such measure" for name in given if name not in measures]
    faults += [f"margin of {name}: {one}; above 0 is right" for name, one in given.items() if not one > 0]
    if faults:
        raise DataError("cannot be compared", [*faults, f"measures: {', '.join(measures)}"])
    return {name: given.get(name, measure.margin) for name, measure in measures.items()}


def _check(decisions: pl.DataFrame) -> None:
    found = decisions.schema
    faults = [f"{name}: missing" for name in NEEDED if name not in found]
    faults += [
        f"{name}: is {found[name]}, {kinds[0]} is right"
        for name, kinds in NEEDED.items()
        if name in found and found[name] not in (*kinds, pl.Null)
    ]
    if faults:
        raise DataError("no table of decisions", faults)


def _seen(decisions: pl.DataFrame) -> str:
    counted = decisions.group_by("role", "bundle_sha256").len().sort("role", "bundle_sha256")
    told = [f"{rows:,} of {role} {str(sha256)[:12]}" for role, sha256, rows in counted.iter_rows()]
    return f"in the table: {', '.join(told) or 'no decision'}"
