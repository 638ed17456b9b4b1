"""Applicants one by one: are those who are nearly alike treated alike, whichever their group?"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.fairness.scores import metric_row
from workbench.statistics.estimate import Estimate, bounded, normal_estimate, undefined
from workbench.statistics.means import mean_estimate
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import FloatArray, IntArray, finite_faults, length_faults, raise_faults

EVERYONE = "everyone"
NO_PIPELINE = "no feature is made from protected attributes here, so there is nothing to flip"
CONSISTENCY_SCHEMA = METRIC_SCHEMA | {"mean_distance": pl.Float64}
MATCHED_SCHEMA = METRIC_SCHEMA | {"mean_distance": pl.Float64, "share_matched": pl.Float64}


def standardized_features(features: pl.DataFrame, development: pl.DataFrame) -> FloatArray:
    """Return points [applicants, columns] whose distances say how alike applicants are to the model.

    Each feature less its mean and over its standard deviation in the development sample, all over the root of
    their number: a distance of 1 is a difference of one standard deviation in every feature. A missing value
    lies at the mean, and a column of its own says that it is missing. A constant feature is left out.

    `features`, `development`: the columns that the model reads, one row per applicant.

    Raises:
        DataError: columns that differ, or none that varies.
    """
    absent = [
        f"{name} is missing in development" for name in features.columns if name not in development.columns
    ]
    raise_faults("The features cannot be standardised", absent)
    numbers = pl.all().cast(pl.Float64).fill_nan(None)
    known, base = features.select(numbers), development.select(features.columns).select(numbers)
    columns = []
    for name in features.columns:
        mean, spread = base[name].mean(), base[name].std()
        if isinstance(mean, float) and isinstance(spread, float) and spread > 0:
            columns.append(((known[name] - mean) / spread).fill_null(0.0).to_numpy())
        if base[name].null_count() or known[name].null_count():
            columns.append(known[name].is_null().cast(pl.Float64).to_numpy())
    raise_faults("The features cannot be standardised", [] if columns else ["no feature varies"])
    points: FloatArray = np.column_stack(columns) / np.sqrt(features.width)
    return points


def consistency(
    outcome: ArrayLike,
    points: FloatArray,
    group: Labels,
    *,
    neighbours: int = 5,
    most: int = 1_000,
    min_applicants: int,
    level: float = 0.95,
    seed: int,
) -> pl.DataFrame:
    """Return how like an applicant's outcome is to that of the nearest others: mean of 1 - |own - theirs|.

    1 = the nearest are always treated alike. For everyone: consistency, and consistency_shuffled: what as
    many others drawn at random would give, the neutral value. For each group: consistency_within_group and
    consistency_across_groups, the nearest of the own group and of all others: where the latter is lower
    and its neighbours are not much further, the group itself is treated otherwise. The interval is normal and
    a little cautious: it knows that one applicant may be the neighbour of many.

    `outcome`: decision or PD, in [0, 1] [applicants]; `points`: as from `standardized_features`; `group`:
    labels [applicants]. At most `most` applicants are drawn of everyone and of each group, and `neighbours`
    of each are found among all. Returns the columns of `group_metrics` (applicants: those drawn) and
    mean_distance to the neighbours, in standard deviations of a feature.

    Raises:
        DataError: lengths that differ, outcomes or groups that are missing.

    Reference: Zemel, Wu, Swersky, Pitassi and Dwork (2013), ICML 28: 325-333.
    """
    values, labels = _checked(outcome, points, group)
    generator, everyone = np.random.default_rng(seed), np.arange(values.size)
    drawn = _drawn(everyone, most, generator)
    others = generator.integers(1, values.size, (drawn.size, neighbours))
    shuffled = (drawn[:, None] + others) % values.size
    found = [
        (EVERYONE, "consistency", drawn, *_nearest(points, drawn, everyone, neighbours)),
        (EVERYONE, "consistency_shuffled", drawn, None, shuffled),
    ]
    for name in labels.unique().sort():
        inside = (labels == name).to_numpy()
        drawn = _drawn(np.flatnonzero(inside), most, generator)
        for metric, side in (("within_group", inside), ("across_groups", ~inside)):
            nearest = _nearest(points, drawn, np.flatnonzero(side), neighbours)
            found.append((str(name), f"consistency_{metric}", drawn, *nearest))
    rows = []
    for name, metric, drawn, distance, near in found:
        short = shortage({"applicants": drawn.size}, {"applicants": min_applicants})
        estimate = _alike(values, drawn, near, level)
        row = metric_row(name, metric, estimate, drawn.size, short)
        rows.append(row | {"mean_distance": _mean(distance)})
    return pl.DataFrame(rows, schema=CONSISTENCY_SCHEMA)


def matched_pairs(
    outcome: ArrayLike,
    points: FloatArray,
    group: Labels,
    *,
    reference_group: str,
    caliper: float,
    most: int = 5_000,
    min_applicants: int,
    level: float = 0.95,
    seed: int,
) -> pl.DataFrame:
    """Return the outcome of each group's applicants minus that of their nearest reference applicants.

    matched_difference: 0 = those who are nearly alike are treated alike, above 0 = the group's PD, or its
    approvals, are higher. A model that reads only the features can differ here only through what is left of
    the distance: the difference tells how far a small step goes, and is where decisions that were not made by
    the model alone would show. Interval as Abadie and Imbens': it knows that a reference applicant may be
    the match of several.

    `caliper`: furthest that a match may be, in standard deviations of a feature; the others have none. At
    most `most` applicants of a group are drawn. Other arguments as `consistency`; judged from
    `min_applicants` matched, and of the reference, on. Returns the columns of `group_metrics` (applicants:
    the matched), mean_distance, share_matched; no rows for the reference group.

    Raises:
        DataError: as `consistency`, and an absent reference group.

    Reference: Abadie and Imbens (2006), Econometrica 74: 235-267.
    """
    values, labels = _checked(outcome, points, group)
    names = [str(name) for name in labels.unique().sort()]
    require_reference(reference_group, names)
    generator = np.random.default_rng(seed)
    reference = np.flatnonzero((labels == reference_group).to_numpy())
    rows = []
    for name in (name for name in names if name != reference_group):
        drawn = _drawn(np.flatnonzero((labels == name).to_numpy()), most, generator)
        distance, near = _nearest(points, drawn, reference, 1)
        kept = distance[:, 0] <= caliper
        match = near[kept, 0]
        estimate = _matched(values[drawn[kept]], match, values, points, reference, level)
        fewest = min(match.size, reference.size)
        short = shortage({"applicants": fewest}, {"applicants": min_applicants})
        row = metric_row(name, "matched_difference", estimate, match.size, short)
        rows.append(row | {"mean_distance": _mean(distance[kept]), "share_matched": float(kept.mean())})
    return pl.DataFrame(rows, schema=MATCHED_SCHEMA)


def attribute_flip(
    protected: pl.DataFrame,
    attributes: Sequence[str],
    *,
    features_of: Callable[[pl.DataFrame], pl.DataFrame] | None,
    score: Callable[[pl.DataFrame], pl.DataFrame],
    level: float = 0.95,
) -> pl.DataFrame:
    """Return what changes when everyone is given another value of a protected attribute.

    flip_prob_default: PD after - before, mean of those who had another value; flip_decision: share of them
    whose decision changes. 0 = nothing changes. The model reads no attribute, so a flip can act only
    through features made from it: `features_of` makes them. Without it (None) nothing can be flipped,
    the values are undefined and the note says so; what merely goes with the attribute is for `proxy_table`.

    `protected`: one row per applicant, with `attributes`; `features_of`: from such a table to the features,
    in the same order; `score`: from features to prob_default and approved, such as `Scorer.score`. Returns
    attribute and the columns of `group_metrics`, group being the value given.
    """
    before = None if features_of is None else score(features_of(protected))
    rows = []
    for name in attributes:
        for given in protected[name].drop_nulls().unique().sort():
            moved = protected[name].ne_missing(given).to_numpy()
            found = {
                metric: undefined(level, NO_PIPELINE) for metric in ("flip_prob_default", "flip_decision")
            }
            if features_of is not None and before is not None:
                flipped = pl.lit(given, dtype=protected.schema[name]).alias(name)
                after = score(features_of(protected.with_columns(flipped)))
                change = (after["prob_default"] - before["prob_default"]).to_numpy()[moved]
                turned = (after["approved"] != before["approved"]).to_numpy()[moved]
                found["flip_prob_default"] = mean_estimate(change, level=level)
                found["flip_decision"] = wilson(int(turned.sum()), turned.size, level=level)
            for metric, estimate in found.items():
                rows.append({"attribute": name} | metric_row(str(given), metric, estimate, int(moved.sum())))
    return pl.DataFrame(rows, schema={"attribute": pl.String, **METRIC_SCHEMA})


def _checked(outcome: ArrayLike, points: FloatArray, group: Labels) -> tuple[FloatArray, pl.Series]:
    values, labels = np.asarray(outcome, dtype=np.float64), as_labels(group)
    faults = [
        *length_faults({"outcome": values, "points": points[:, 0], "group": labels}),
        *finite_faults("outcome", values),
        *finite_faults("points", points.ravel()),
        *label_faults(labels),
    ]
    raise_faults("Applicants cannot be compared one by one", faults)
    return values, labels


def _drawn(members: IntArray, most: int, generator: np.random.Generator) -> IntArray:
    if members.size <= most:
        return members
    return np.sort(generator.choice(members, most, replace=False))


def _nearest(points: FloatArray, whose: IntArray, among: IntArray, count: int) -> tuple[FloatArray, IntArray]:
    """Return distances and places of the nearest others [whose, count]; fewer where there are not so many."""
    from sklearn.neighbors import NearestNeighbors

    apart = not np.isin(whose, among).any()
    count = min(count, among.size - (not apart))
    if count < 1 or not whose.size:
        return np.empty((whose.size, 0)), np.empty((whose.size, 0), dtype=np.int64)
    finder = NearestNeighbors(algorithm="brute").fit(points[among])
    distance, place = finder.kneighbors(points[whose], count + (not apart))
    found = among[place]
    if apart:
        return distance, found
    other = found != whose[:, None]
    other[other.all(axis=1), -1] = False
    return distance[other].reshape(-1, count), found[other].reshape(-1, count)


def _alike(values: FloatArray, drawn: IntArray, near: IntArray, level: float) -> Estimate:
    """Return the mean of 1 - |own - mean of neighbours| with the interval that knows who is shared.

    An applicant moves the mean through their own term, and through each term in which they are a neighbour by
    how far they are from the others there; the variance is that of the sum of both by applicant.
    """
    count = near.shape[1]
    if not count:
        return undefined(level, "there are no neighbours")
    own, theirs = values[drawn][:, None], values[near]
    gap = own - theirs.mean(axis=1, keepdims=True)
    alike = 1 - np.abs(gap[:, 0])
    rest = (theirs.sum(axis=1, keepdims=True) - theirs + own) / count
    push = np.sign(gap) / count * (theirs - rest)
    moved = np.bincount(near.ravel(), push.ravel(), minlength=values.size)
    moved[drawn] += alike - alike.mean()
    error = float(np.sqrt((moved**2).sum())) / drawn.size
    found = normal_estimate(float(alike.mean()), error, level=level, method="normal, shared neighbours")
    return bounded(found, least=0, most=1)


def _matched(
    own: FloatArray,
    match: IntArray,
    values: FloatArray,
    points: FloatArray,
    reference: IntArray,
    level: float,
) -> Estimate:
    if not own.size:
        return undefined(level, "no applicant has a match within the caliper")
    gaps = own - values[match]
    used, times = np.unique(match, return_counts=True)
    often = used[times > 1]
    _, near = _nearest(points, often, reference, 1)
    noise = (values[often] - values[near[:, 0]]) ** 2 / 2 if near.size else np.zeros(1)
    again = times[times > 1]
    variance = float(((gaps - gaps.mean()) ** 2).sum() + (again * (again - 1) * noise).sum()) / own.size**2
    return normal_estimate(float(gaps.mean()), variance**0.5, level=level, method="normal, Abadie-Imbens")


def _mean(distances: FloatArray | None) -> float | None:
    return None if distances is None or not distances.size else float(distances.mean())
