"""Which features stand in for a protected attribute: alone, given the outcome, beside what they are for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import exp, log, sqrt
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.statistics.estimate import Estimate, normal_estimate, undefined
from workbench.statistics.samples import FloatArray, IntArray

LEAST_MEMBERS = 20
DELONG = "DeLong on log-odds"
_STRENGTH = ("strength", "low", "high")
_ENDS = ("", "_low", "_high")
_NAMES = ("attribute", "feature", "group")
_PROXIES = {
    **dict.fromkeys(_NAMES, pl.String),
    **dict.fromkeys(_STRENGTH, pl.Float64),
    **dict.fromkeys(("direction", "applicants"), pl.Int64),
}
_CONDITIONAL = {
    **dict.fromkeys(_NAMES, pl.String),
    **dict.fromkeys(_STRENGTH, pl.Float64),
    **{f"given_outcome{end}": pl.Float64 for end in _ENDS},
    **dict.fromkeys(("among_goods", "among_bads"), pl.Float64),
    **{f"for_default{end}": pl.Float64 for end in _ENDS},
    **{"default_direction": pl.Int64, "applicants": pl.Int64, "note": pl.String},
}


class Area(NamedTuple):
    """An AUC with its DeLong standard error, of so many members among all others."""

    value: float
    error: float
    members: int
    others: int


def proxy_table(
    frame: pl.DataFrame, attributes: Sequence[str], names: Sequence[str], *, level: float
) -> pl.DataFrame:
    """Return attribute, feature, group, strength, low, high, direction, applicants; the strongest first.

    Strength is the AUC of the feature for membership of `group`, turned so that it is at least 0.5: 0.5 =
    says nothing about the group, 1 = gives it away. `direction` +1: higher values in the group. Of an
    attribute's groups the one that the feature tells best is shown, of equals the first in the alphabet; a
    missing value ranks below all others, since missing can tell as well. DeLong's interval at `level`, each
    feature on its own. Applicants whose group is not known are left out of their attribute; groups of fewer
    than 20 applicants, or with fewer than 20 others, are as well.
    """
    judged = {attribute: judged_groups(frame[attribute]) for attribute in attributes}
    places = {attribute: _places(frame[attribute], groups) for attribute, groups in judged.items() if groups}
    rows = []
    for name in names:
        ranks = value_ranks(frame[name])
        for attribute, (known, place) in places.items():
            row = _told(ranks[known], place, judged[attribute], level)
            rows.append({"attribute": attribute, "feature": name, **row})
    return pl.DataFrame(rows, schema=_PROXIES).sort(
        "strength", "attribute", "feature", descending=[True, False, False]
    )


def conditional_table(proxies: pl.DataFrame, frame: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return for each proxy whether it still tells its group given the outcome, and what it is good for.

    `given_outcome`: AUC of the feature for the group among applicants of the same outcome, turned as
    `strength` is; 0.5 = it told the group only because the group defaults more or less often, near
    `strength` = it tells the group whatever the outcome, below 0.5 = the other way round. `for_default`: AUC
    of the feature for default among applicants of the same group, turned to at least 0.5 (`default_direction`
    +1: higher values default more); 0.5 = it is of no use within groups. High given the outcome and of no use
    for default: it stands in for the group. The reverse: a driver of risk that differs between groups.

    Strata are joined with van Elteren's weights, members x others / (applicants + 1), the best against small
    differences; the interval is DeLong's, strata being independent. Strata with fewer than 20 on either side
    count nothing; without any, the value is null and `note` says so. Applicants whose group or outcome is
    not known are left out here, and of an attribute the small groups count as one.

    `proxies`: as from `proxy_table`; `frame`: default (0/1, null where not known), the attributes and the
    features. Returns attribute, feature, group, strength, low, high, given_outcome, given_outcome_low,
    given_outcome_high, among_goods, among_bads, for_default, for_default_low, for_default_high,
    default_direction, applicants, note; in the order of `proxies`.

    Reference: van Elteren (1960), Bulletin of the International Statistical Institute 37: 351-361; Zou,
    Carlsson and Yu (2012), Biometrical Journal 54: 249-263, on its weights for AUC.
    """
    frame = frame.filter(pl.col("default").is_not_null())
    default, attributes = frame["default"].to_numpy(), proxies["attribute"].unique()
    labels = {attribute: frame[attribute].cast(pl.String) for attribute in attributes}
    places = {attribute: _places(frame[attribute], judged_groups(frame[attribute])) for attribute in labels}
    found = {}
    for (feature,), part in proxies.group_by("feature"):
        ranks = value_ranks(frame[str(feature)])
        for row in part.iter_rows(named=True):
            known, place = places[row["attribute"]]
            member = (labels[row["attribute"]] == row["group"]).fill_null(value=False).to_numpy()[known]
            told = _conditional(ranks[known], default[known], member, place, row["direction"], level)
            found[row["attribute"], row["feature"]] = told
    rows = [row | found[row["attribute"], row["feature"]] for row in proxies.iter_rows(named=True)]
    return pl.DataFrame([{name: row[name] for name in _CONDITIONAL} for row in rows], schema=_CONDITIONAL)


def judged_groups(labels: pl.Series) -> list[str]:
    """Return the groups, sorted, that have 20 members and 20 others among the applicants of known group."""
    counts = labels.drop_nulls().cast(pl.String).value_counts()
    most = counts["count"].sum() - LEAST_MEMBERS
    judged = counts.filter((pl.col("count") >= LEAST_MEMBERS) & (pl.col("count") <= most))
    return judged[judged.columns[0]].sort().to_list()


def group_places(labels: pl.Series, judged: Sequence[str]) -> IntArray:
    """Return each applicant's place among the judged groups; one more for the small ones, -1 if unknown."""
    places = {group: place for place, group in enumerate(judged)}
    known = labels.cast(pl.String).replace_strict(places, default=len(judged), return_dtype=pl.Int64)
    return pl.select(pl.when(labels.is_not_null()).then(known).otherwise(-1)).to_series().to_numpy()


def value_ranks(values: pl.Series) -> IntArray:
    """Return the rank of each value among the distinct ones, from 1; 0 where it is missing."""
    ranks = values.cast(pl.Float64).fill_nan(None).rank("dense")
    return ranks.cast(pl.Int64).fill_null(0).to_numpy()


def _places(labels: pl.Series, judged: Sequence[str]) -> tuple[IntArray, IntArray]:
    """Return the rows whose group is known, and the place of each one's group."""
    place = group_places(labels, judged)
    known = np.flatnonzero(place >= 0)
    return known, place[known]


def _told(ranks: IntArray, place: IntArray, judged: Sequence[str], level: float) -> dict[str, object]:
    """Return how well the ranks tell the group that they tell best."""
    areas = _areas(ranks, place)[: len(judged)]
    best = int(np.argmax(np.round(np.abs(areas - 0.5), 12)))
    direction = 1 if areas[best] >= 0.5 else -1
    member = place == best
    strength = _interval([_area(ranks, member)], direction, level)
    told = dict(zip(_STRENGTH, (strength.value, strength.low, strength.high), strict=True))
    return {"group": judged[best], **told, "direction": direction, "applicants": int(member.sum())}


def _conditional(
    ranks: IntArray,
    default: NDArray[np.integer],
    member: NDArray[np.bool_],
    place: IntArray,
    direction: int,
    level: float,
) -> dict[str, object]:
    outcomes = [_area(ranks[default == bad], member[default == bad]) for bad in (0, 1)]
    groups = [_area(ranks[place == at], default[place == at] == 1) for at in range(place.max(initial=0) + 1)]
    given, plain = _interval(outcomes, direction, level), _interval(groups, 1, level)
    turned = -1 if plain.value is not None and plain.value < 0.5 else 1
    useful = _interval(groups, turned, level)
    among = [_interval([area], direction, level).value for area in outcomes]
    reasons = {"given the outcome": given, "for default": useful}
    return {
        **_named("given_outcome", given),
        **dict(zip(("among_goods", "among_bads"), among, strict=True)),
        **_named("for_default", useful),
        "default_direction": None if useful.value is None else turned,
        "note": "; ".join(f"{what} {e.method}" for what, e in reasons.items() if e.low is None),
    }


def _named(name: str, estimate: Estimate) -> dict[str, float | None]:
    ends = (estimate.value, estimate.low, estimate.high)
    return {f"{name}{end}": value for end, value in zip(_ENDS, ends, strict=True)}


def _areas(ranks: IntArray, place: IntArray) -> FloatArray:
    """Return the AUC of the ranks for each group [groups], by Mann and Whitney from average ranks."""
    counts, members = np.bincount(ranks), np.bincount(place)
    average = np.cumsum(counts) - counts / 2
    sums = np.bincount(place, average[ranks])
    pairs = members * (place.size - members)
    return np.asarray((sums - members**2 / 2) / np.maximum(pairs, 1))


def _area(ranks: IntArray, member: NDArray[np.bool_]) -> Area:
    """Return the AUC of the ranks for membership with DeLong's standard error, NaN without two on a side."""
    counts = np.bincount(ranks, minlength=1)
    inside = np.bincount(ranks[member], minlength=counts.size)
    outside = counts - inside
    members, others = int(inside.sum()), int(outside.sum())
    if min(members, others) < 2:
        return Area(float("nan"), float("nan"), members, others)
    below = (np.cumsum(outside) - outside / 2) / others
    above = 1 - (np.cumsum(inside) - inside / 2) / members
    value = float(inside @ below) / members
    squares = inside @ (below - value) ** 2, outside @ (above - value) ** 2
    parts = zip(squares, (members, others), strict=True)
    return Area(value, sqrt(sum(float(part) / (size - 1) / size for part, size in parts)), members, others)


def _interval(areas: Iterable[Area], direction: int, level: float) -> Estimate:
    """Return the AUC of independent strata together, by van Elteren's weights; -1 turns it round."""
    used = [area for area in areas if min(area.members, area.others) >= LEAST_MEMBERS]
    if not used:
        return undefined(level, f"fewer than {LEAST_MEMBERS} on a side")
    raw = np.array([area.members * area.others / (area.members + area.others + 1) for area in used])
    weights = raw / raw.sum()
    value = float(weights @ [area.value for area in used])
    value = value if direction > 0 else 1 - value
    error = sqrt(float(weights**2 @ [area.error**2 for area in used]))
    if not 0 < value < 1:
        return Estimate(value, None, None, level, f"no interval: {DELONG} finds no variation")
    spread = error / (value * (1 - value))
    logit = normal_estimate(log(value / (1 - value)), spread, level=level, method=DELONG)
    low, high = (None if end is None else 1 / (1 + exp(-end)) for end in (logit.low, logit.high))
    return Estimate(value, low, high, level, logit.method)
