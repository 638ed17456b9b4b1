"""Which features carry the difference between a group and its reference group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.statistics.estimate import normal_estimate
from workbench.statistics.samples import FloatArray, IntArray, binary_faults, length_faults, raise_faults

MISPLACED = 0.001
"""Largest share of applicants whose decision may disagree with their margin: rounding at the cutoff."""
PARTS = 64
"""Pairs that get an order of the features of their own, so that no one order weighs much."""
CARRIED = {
    **dict.fromkeys(("attribute", "group", "of", "feature"), pl.String),
    **dict.fromkeys(("contribution", "low", "high", "level"), pl.Float64),
    **{"method": pl.String, "share": pl.Float64, "applicants": pl.Int64},
}


@dataclass(frozen=True)
class _Side:
    """SHAP values [applicants, features] and decisions [applicants] of one group."""

    values: FloatArray
    approved: NDArray[np.bool_]


def disparity_table(
    frame: pl.DataFrame,
    values: FloatArray,
    names: Sequence[str],
    attributes: Sequence[str],
    *,
    reference_groups: Mapping[str, str],
    min_applicants: int,
    level: float,
    rounds: int = 4,
    seed: int,
) -> pl.DataFrame:
    """Return how much each feature adds to the difference between each group and its reference group.

    `of` margin: mean SHAP value in the group - mean in the reference group, in log-odds of default; above 0 =
    raises the group's PD against the reference's. They add up to the difference of the mean margins. `of`
    selection: in shares of applicants; below 0 = lowers the group's approvals. They add up to the group's
    share approved - the reference group's. 0 = the feature carries nothing.

    Selection: a member of the group is compared with one of the reference group drawn at random; the SHAP
    values of the one are exchanged for the other's, feature after feature in random order, and each change of
    the decision on the way (margin at or below the cutoff's) goes to the feature exchanged. It is the Shapley
    value of the decision, the reference group being its background, so that a feature distributed alike in
    both groups and independent of the others carries nothing. Every applicant weighs the same, `rounds` times
    with other partners, each order also backwards. Assumed: a SHAP value is the feature's own, and stays as
    it is while others are exchanged (interactions are shared out already). The decision follows the margin.

    Intervals: Welch's standard error for the margin; for selection that of both groups as samples, which
    counts the chance in partners and orders twice, so that it is a little cautious. Model and cutoff are
    taken as given. Groups of fewer than `min_applicants` and applicants of unknown group are left out.

    `frame`: approved (0/1) and the attributes, one row per applicant; `values`: SHAP values of the margin
    [applicants, features] in its order, `names` [features]. Returns attribute, group, of, feature,
    contribution, low, high, level, method, share (of the whole difference, null where it is 0), applicants;
    largest first.

    Raises:
        DataError: sizes that differ, values that are not finite, decisions that do not follow the margin, a
            reference group that is absent or too small.

    Reference: Lundberg (2020), Explaining Quantitative Measures of Fairness, for the margin; Shapley and
    Shubik (1954), American Political Science Review 48: 787-792, for the decision; Fairlie (2005), Journal of
    Economic and Social Measurement 30: 305-316, for exchanging one by one in random order; Owen (2007),
    Annals of Applied Statistics 1: 386-411, for the interval.
    """
    faults = list(_faults(frame, values, names, attributes, reference_groups, min_applicants))
    raise_faults("The disparity cannot be told by features", faults)
    approved = frame["approved"].to_numpy() == 1
    cutoff = _cutoff(values, approved)
    rows = []
    for attribute in attributes:
        labels = frame[attribute].cast(pl.String)
        sides = {
            group: _Side(values[member], approved[member])
            for group in labels.drop_nulls().unique().sort()
            if (member := (labels == group).fill_null(value=False).to_numpy()).sum() >= max(min_applicants, 2)
        }
        reference = sides.pop(reference_groups[attribute])
        for group, side in sides.items():
            draws = np.random.default_rng(seed)
            parts = {
                "margin": _margin(side, reference),
                "selection": _selection(side, reference, cutoff, rounds, draws),
            }
            about = {"attribute": attribute, "group": group, "applicants": side.approved.size}
            for of, part in parts.items():
                rows += [about | {"of": of} | row for row in _rows(names, *part, level)]
    order = ("attribute", "group", "of", pl.col("contribution").abs(), "feature")
    return pl.DataFrame(rows, schema=CARRIED).sort(order, descending=[False] * 3 + [True, False])


def _margin(side: _Side, reference: _Side) -> tuple[FloatArray, FloatArray, str]:
    """Return each feature's part of the difference of the mean margins, and its standard error."""
    both = (side.values, reference.values)
    error = np.sqrt(sum(values.var(axis=0, ddof=1) / len(values) for values in both))
    return both[0].mean(axis=0) - both[1].mean(axis=0), np.asarray(error), "normal, Welch"


def _selection(
    side: _Side, reference: _Side, cutoff: float, rounds: int, draws: np.random.Generator
) -> tuple[FloatArray, FloatArray, str]:
    """Return each feature's part of the difference of the shares approved, and its standard error."""
    sizes = side.approved.size, reference.approved.size
    found = [_round(side, reference, cutoff, draws) for _ in range(rounds)]
    pairs, features, changes = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    count = side.values.shape[1]
    contribution = np.bincount(features, changes, minlength=count) / rounds
    error = np.sqrt(
        sum(
            _mean_variance(owner * count + features, changes * size / rounds, size, contribution)
            for owner, size in zip(pairs, sizes, strict=True)
        )
    )
    return contribution, error, f"normal, both groups' applicants, {2 * rounds} orders a pair"


def _round(
    side: _Side, reference: _Side, cutoff: float, draws: np.random.Generator
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return who changed decision at which feature, and by how much: pairs [2, n], features [n], changes [n].

    The changes of all pairs add up to the difference of the shares approved.
    """
    ours, theirs, weights = _partners(side.approved.size, reference.approved.size, draws)
    found = []
    for part in range(min(PARTS, weights.size)):
        mine = slice(part, None, PARTS)
        order = draws.permutation(side.values.shape[1])
        for way in (order, order[::-1]):
            pair, place, change = _changes(side, reference, ours[mine], theirs[mine], way, cutoff)
            pairs = np.stack([ours[mine][pair], theirs[mine][pair]])
            found.append((pairs, way[place], change * weights[mine][pair] / 2))
    pairs, features, changes = (np.concatenate(parts, axis=-1) for parts in zip(*found, strict=True))
    return pairs, features, changes


def _changes(
    side: _Side, reference: _Side, ours: IntArray, theirs: IntArray, order: IntArray, cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the pairs, the places in `order` and the signs of the changes of decision on the way."""
    start = reference.values[theirs]
    steps = (side.values[ours] - start)[:, order]
    approved = np.empty((ours.size, order.size + 1), dtype=np.int8)
    approved[:, 1:] = start.sum(axis=1)[:, None] + steps.cumsum(axis=1) <= cutoff
    approved[:, 0], approved[:, -1] = reference.approved[theirs], side.approved[ours]
    change = np.diff(approved, axis=1)
    pair, place = np.nonzero(change)
    return pair, place, change[pair, place].astype(np.float64)


def _partners(ours: int, theirs: int, draws: np.random.Generator) -> tuple[IntArray, IntArray, FloatArray]:
    """Return pairs of places at random with weights, in which every place of a side weighs the same.

    Both sides, one in random order, are laid along one line, each filling it evenly: who meet, are a pair.
    """
    ends = np.union1d(np.arange(1, ours + 1) * theirs, np.arange(1, theirs + 1) * ours)
    weights = np.diff(ends, prepend=0) / (ours * theirs)
    return (ends - 1) // theirs, draws.permutation(theirs)[(ends - 1) // ours], weights


def _mean_variance(cells: IntArray, changes: FloatArray, size: int, mean: FloatArray) -> FloatArray:
    """Return the variance of the mean over one side's applicants, from changes by applicant and feature."""
    cell, place = np.unique(cells, return_inverse=True)
    sums = np.bincount(place, changes)
    squares = np.bincount(cell % mean.size, sums**2, minlength=mean.size)
    return np.maximum(squares / size - mean**2, 0.0) / (size - 1)


def _rows(
    names: Sequence[str], parts: FloatArray, errors: FloatArray, method: str, level: float
) -> Iterator[dict[str, object]]:
    total = float(parts.sum())
    empty = abs(total) < 1e-12
    for name, part, error in zip(names, parts.tolist(), errors.tolist(), strict=True):
        told = asdict(normal_estimate(part, error, level=level, method=method))
        yield {
            "feature": name,
            "contribution": told.pop("value"),
            **told,
            "share": None if empty else part / total,
        }


def _cutoff(values: FloatArray, approved: NDArray[np.bool_]) -> float:
    """Return the sum of SHAP values up to which applicants are approved."""
    sums = np.sort(values.sum(axis=1))
    count = int(approved.sum())
    if count in (0, sums.size):
        return float("inf") if count else float("-inf")
    return float(sums[count - 1] + sums[count]) / 2


def _faults(
    frame: pl.DataFrame,
    values: FloatArray,
    names: Sequence[str],
    attributes: Sequence[str],
    reference_groups: Mapping[str, str],
    min_applicants: int,
) -> Iterator[str]:
    if values.shape != (frame.height, len(names)):
        yield f"SHAP values are {values.shape}, applicants by features; {(frame.height, len(names))} is right"
        return
    approved = frame["approved"].cast(pl.Float64).to_numpy()
    broken = int((~np.isfinite(values)).any(axis=1).sum())
    found = [*length_faults({"approved": approved}), *binary_faults("approved", approved)]
    found += [f"SHAP values are missing or infinite in {broken} of {frame.height} rows"] if broken else []
    yield from found
    if not found:
        yield from _misplaced(values, approved == 1)
    for attribute in attributes:
        yield from _reference_faults(frame[attribute], reference_groups[attribute], min_applicants)


def _misplaced(values: FloatArray, approved: NDArray[np.bool_]) -> Iterator[str]:
    wrong = int(((values.sum(axis=1) <= _cutoff(values, approved)) != approved).sum())
    if wrong > MISPLACED * approved.size:
        yield f"{wrong} of {approved.size} applicants are not decided by their margin: another rule decided"


def _reference_faults(labels: pl.Series, reference: str, min_applicants: int) -> Iterator[str]:
    counts = dict(labels.drop_nulls().cast(pl.String).value_counts().iter_rows())
    least = max(min_applicants, 2)
    if reference not in counts:
        hint, groups = near_name(reference, counts), ", ".join(map(repr, sorted(counts)))
        yield f"{labels.name}: there is no reference group {reference!r}{hint}; the groups are {groups}"
    elif counts[reference] < least:
        yield f"{labels.name}: the reference group {reference!r} has fewer than {least} applicants"
