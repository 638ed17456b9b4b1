"""Are the reasons each applicant's own, and does any of them stand in for a protected attribute?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.statistics.estimate import Estimate, bounded, normal_estimate, undefined
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import IntArray, raise_faults

SIMPSON = "normal, Simpson's unbiased"
_TOLD: dict[str, Any] = {
    **{"measure": pl.String, "applicants": pl.Int64},
    **dict.fromkeys(("value", "low", "high", "level"), pl.Float64),
    "method": pl.String,
}
_PROXIES: dict[str, Any] = {
    **dict.fromkeys(("attribute", "group", "reason_code", "feature"), pl.String),
    **dict.fromkeys(("strength", "low", "high"), pl.Float64),
    **{"applicants": pl.Int64, "share": pl.Float64, "as_first": pl.Float64},
}


def specificity_table(reasons: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return how much the reasons differ between applicants.

    Measures: distinct_lists (lists of codes in order that anybody is told); commonest_list (share told the
    commonest; 1 = everybody the same; Wilson, a little high where many are equally common); same_first (the
    chance that two declined applicants have the same first reason; 1 = all have); effective_first_reasons =
    1 / same_first, the number of equally frequent first reasons that would give that; 1 = all the same.

    `reasons`: applicant_id, rank, reason_code. Returns measure, applicants, value, low, high, level, method.

    Raises:
        DataError: no reasons at all, or an applicant without a first one.

    Reference: Simpson (1949), Nature 163: 688, on the chance and its variance.
    """
    first = reasons.filter(pl.col("rank") == 1)["reason_code"].value_counts()["count"].to_numpy()
    lists = (
        reasons.sort("applicant_id", "rank")
        .group_by("applicant_id", maintain_order=True)
        .agg("reason_code")["reason_code"]
    )
    raise_faults("The reasons cannot be compared", _list_faults(lists.len(), int(first.sum())))
    counts = lists.value_counts(sort=True)["count"]
    same = _same_chance(first.astype(np.int64), level)
    told = {
        "distinct_lists": Estimate(float(counts.len()), None, None, level, "count"),
        "commonest_list": wilson(int(counts[0]), lists.len(), level=level),
        "same_first": same,
        "effective_first_reasons": _inverse(same),
    }
    rows = [{"measure": name, "applicants": lists.len(), **vars(told[name])} for name in told]
    return pl.DataFrame(rows, schema=_TOLD)


def check_no_protected(
    reasons: pl.DataFrame, attributes: Sequence[str], *, families: Mapping[str, str]
) -> None:
    """Raise DataError when a reason names a protected attribute, with the number of applicants told it.

    A reason names one when its code, or a feature of its family, is the attribute or one of its groups as a
    column of its own (`sex`, `sex_female`), whatever the case and the signs between words. `attributes`:
    names of columns; `families`: of each feature.
    """
    protected = [_plain(name) for name in attributes]
    told = reasons.group_by("reason_code").agg(pl.col("applicant_id").n_unique()).sort("reason_code")
    faults = []
    for code, applicants in told.iter_rows():
        names = [code, *sorted(name for name, family in families.items() if family == code)]
        faults += [
            f"{code!r} names {attribute!r} by {name!r}: told to {applicants:,} applicants"
            for name in names
            for attribute, plain in zip(attributes, protected, strict=True)
            if _plain(name) == plain or _plain(name).startswith(f"{plain} ")
        ]
    if faults:
        raise DataError("A reason may not name a protected attribute", faults)


def proxy_reasons(
    proxies: pl.DataFrame, reasons: pl.DataFrame, *, families: Mapping[str, str], line: float
) -> pl.DataFrame:
    """Return the reasons whose family stands in for a protected attribute, for sign-off; the strongest first.

    A family is as strong a proxy as its strongest feature. Listed are those above `line` (strength, not the
    end of its interval) that anybody is told; at the line is not above it. No rows = nothing to sign.

    `proxies`: attribute, feature, group, strength (AUC of the feature for the group; 0.5 = says nothing, 1 =
    gives it away), low, high, as stage fairness makes it; `reasons`: applicant_id, rank, reason_code;
    `families`: of each feature. Returns attribute, group, reason_code, feature, strength, low, high,
    applicants (told it), share (of all with reasons), as_first (share told it first).

    Raises:
        DataError: a line outside [0.5, 1], or features of a reason that no attribute was tried on.
    """
    told = {code for code in reasons["reason_code"].unique() if code is not None}
    own = {name: family for name, family in families.items() if family in told}
    raise_faults("Proxies among the reasons cannot be told", _proxy_faults(proxies, own, line))
    total = reasons["applicant_id"].n_unique()
    counts = reasons.group_by("reason_code").agg(
        pl.col("applicant_id").n_unique().cast(pl.Int64).alias("applicants"),
        (pl.col("applicant_id").n_unique() / total).alias("share"),
        ((pl.col("rank") == 1).sum() / total).alias("as_first"),
    )
    code = pl.DataFrame(
        {"feature": list(own), "reason_code": list(own.values())},
        schema={"feature": pl.String, "reason_code": pl.String},
    )
    return (
        proxies.select("attribute", "feature", "group", "strength", "low", "high")
        .join(code, on="feature")
        .sort("strength", "attribute", "feature", descending=[True, False, False])
        .unique(["attribute", "reason_code"], keep="first", maintain_order=True)
        .filter(pl.col("strength") > line)
        .join(counts, on="reason_code", maintain_order="left")
        .select(pl.col(name).cast(kind) for name, kind in _PROXIES.items())
    )


def _same_chance(counts: IntArray, level: float) -> Estimate:
    """Return the chance that two of the applicants [counts of each first reason] are alike, unbiased."""
    size = float(counts.sum())
    if size < 2:
        return undefined(level, "fewer than two applicants")
    shares = np.sort(counts) / size  # sums in one order, so that the last digit repeats
    twice, thrice = float((shares**2).sum()), float((shares**3).sum())
    value = float((counts * (counts - 1)).sum() / (size * (size - 1)))
    variance = 2 * (2 * (size - 2) * thrice + twice - (2 * size - 3) * twice**2) / (size * (size - 1))
    found = normal_estimate(value, sqrt(max(variance, 0.0)), level=level, method=SIMPSON)
    return bounded(found, least=0.0, most=1.0)


def _inverse(chance: Estimate) -> Estimate:
    if not chance.value:
        return undefined(chance.level, "no two applicants have the same first reason")
    value, method = 1 / chance.value, f"inverse of {chance.method}"
    if not (chance.low and chance.high):
        return Estimate(value, None, None, chance.level, f"no interval: {method}")
    return Estimate(value, 1 / chance.high, 1 / chance.low, chance.level, method)


def _plain(name: str) -> str:
    return " ".join(re.findall(r"[^\W_]+", name.casefold()))


def _list_faults(applicants: int, first: int) -> list[str]:
    if not applicants:
        return ["there are no reasons"]
    return [f"{applicants:,} applicants have {first:,} first reasons"] if first != applicants else []


def _proxy_faults(proxies: pl.DataFrame, own: Mapping[str, str], line: float) -> list[str]:
    faults = [] if 0.5 <= line <= 1 else [f"the line is {line:g}; 0.5 to 1 is right"]
    for (attribute,), part in proxies.group_by("attribute", maintain_order=True):
        untried = sorted(set(own) - set(part["feature"]))
        faults += [f"{name}: its strength for {attribute} is not known" for name in untried]
    return faults
