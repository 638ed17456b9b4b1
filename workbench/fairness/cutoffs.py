"""Every cutoff that could have been chosen: how the groups would have fared at each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.fairness.scores import metric_row
from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.estimate import Estimate
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference
from workbench.statistics.samples import (
    FloatArray,
    IntArray,
    binary_faults,
    finite_faults,
    length_faults,
    raise_faults,
)

RATES = {"selection_rate": (0, 1), "true_positive_rate": (0,), "false_positive_rate": (1,)}
"""The outcomes (0 good, 1 bad) among which each rate counts the approved."""
COMPARISONS: dict[str, dict[str, Callable[..., Estimate]]] = {
    rate: {f"{rate}_difference": newcombe_difference} for rate in RATES
}
COMPARISONS["selection_rate"]["adverse_impact_ratio"] = donner_zou_ratio
BAND = {"band_low": pl.Float64, "band_high": pl.Float64}
LEAST_COUNT = 5
"""Fewest approved and declined of a group at a cutoff that takes part in setting the width of the band."""


def approval_cutoffs(development_score: ArrayLike, approval_rates: Sequence[float]) -> FloatArray:
    """Return the score at or above which each share of the development sample lies [approval_rates].

    `development_score`: higher = safer [applicants]; `approval_rates`: shares inside (0, 1), rising strictly.
    The cutoffs fall or stay where scores are tied.

    Raises:
        DataError: missing scores or none, rates that are outside or do not rise.
    """
    score, rates = (np.asarray(of, dtype=np.float64) for of in (development_score, approval_rates))
    faults = [*length_faults({"development_score": score}), *finite_faults("development_score", score)]
    if not (rates.size and np.all((rates > 0) & (rates < 1)) and np.all(np.diff(rates) > 0)):
        faults.append("approval_rates must be inside (0, 1) and rise strictly")
    raise_faults("The cutoffs cannot be set", faults)
    return np.asarray(np.quantile(score, 1 - rates, method="inverted_cdf"))


def cutoff_metrics(
    default: ArrayLike,
    score: ArrayLike,
    group: Labels,
    *,
    development_score: ArrayLike,
    approval_rates: Sequence[float],
    reference_group: str,
    min_applicants: int,
    min_defaults: int,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return what each group's approvals against the reference's would be at every cutoff.

    adverse_impact_ratio (1 = equal, below 1 = approved less often), and the differences of selection rate,
    true_positive_rate and false_positive_rate, group - reference (0 = equal). Approved: score >= cutoff.
    [low, high] holds at `level` for one cutoff taken alone, Newcombe's or Donner and Zou's; [band_low,
    band_high] holds for all cutoffs together: the same interval at the level of the largest bootstrapped
    deviation over the cutoffs, in standard errors (sup-t). Read the band to pick a cutoff or tell a range.

    `default`: 0 or 1, `score`: higher = safer, `group`: labels [applicants], of the sample that judges;
    `development_score` and `approval_rates` set the cutoffs, as `approval_cutoffs`. A group with fewer than
    `min_applicants`, or fewer goods or bads than `min_defaults`, is not judged; where none of the reference
    is approved the ratio is undefined. Returns approval_rate (that of the development sample), cutoff, the
    columns of `group_metrics`, band_low, band_high; no rows for the reference group.

    Raises:
        DataError: lengths that differ, values missing or out of range, a reference group absent or too small.

    Reference: Montiel Olea and Plagborg-Moller (2019), Journal of Applied Econometrics 34: 1-17, for sup-t.
    """
    cutoffs = approval_cutoffs(development_score, approval_rates)
    names, counts = _counts(default, score, group, cutoffs)
    require_reference(reference_group, names)
    reference = names.index(reference_group)
    least = {"applicants": min_applicants, "goods": min_defaults, "bads": min_defaults}
    outcomes_of = dict(zip(least, (counts.sum(axis=(1, 2)), *counts.sum(axis=2).T), strict=True))
    sizes = outcomes_of["applicants"].tolist()
    shortages = [
        shortage({name: int(of[at]) for name, of in outcomes_of.items()}, least) for at in range(len(names))
    ]
    faults = [shortages[reference]] if shortages[reference] else []
    raise_faults(f"The reference group {reference_group!r} cannot be compared with", faults)
    draws = multinomial_replicates(counts, replicates=replicates, seed=seed).reshape(-1, *counts.shape)
    about = pl.DataFrame({"approval_rate": list(approval_rates), "cutoff": cutoffs})
    tables = []
    for rate, outcomes in RATES.items():
        curve, drawn = _Curve.of(counts, outcomes), _Curve.of(draws, outcomes).rates
        for at in (at for at in range(len(names)) if at != reference):
            gaps = drawn[:, at] - drawn[:, reference]
            wide = _band_level(gaps[:, curve.is_steady(at) & curve.is_steady(reference)], level)
            for metric, interval in COMPARISONS[rate].items():
                rows = [
                    metric_row(names[at], metric, interval(*four, level=level), sizes[at], shortages[at])
                    for four in curve.pairs(at, reference)
                ]
                bands = [interval(*four, level=wide) for four in curve.pairs(at, reference)]
                ends = {"band_low": [b.low for b in bands], "band_high": [b.high for b in bands]}
                table = pl.DataFrame(rows, schema=METRIC_SCHEMA)
                tables.append(pl.concat([about, table, pl.DataFrame(ends, schema=BAND)], how="horizontal"))
    return pl.concat(tables)


@dataclass(frozen=True)
class _Curve:
    """The approved at each cutoff [..., groups, cutoffs] and those they are among [..., groups, 1]."""

    hits: IntArray
    trials: IntArray

    @classmethod
    def of(cls, counts: IntArray, outcomes: tuple[int, ...]) -> _Curve:
        """Return the curve of counts [..., groups, outcome, bins from the safest down]."""
        sums = counts[..., outcomes, :].sum(axis=-2).cumsum(axis=-1)
        return cls(sums[..., :-1], sums[..., -1:])

    @property
    def rates(self) -> FloatArray:
        """The shares approved, NaN among nobody."""
        return self.hits / np.where(self.trials, self.trials, np.nan)

    def is_steady(self, at: int) -> NDArray[np.bool_]:
        """Whether at each cutoff enough are approved and declined for a standard error to mean something."""
        return np.asarray(np.minimum(self.hits[at], self.trials[at] - self.hits[at]) >= LEAST_COUNT)

    def pairs(self, at: int, reference: int) -> Iterator[list[int]]:
        """Yield approved and trials of the group and of the reference at each cutoff."""
        for place in range(self.hits.shape[-1]):
            yield [int(of[who, place]) for who in (at, reference) for of in self._both]

    @property
    def _both(self) -> tuple[IntArray, IntArray]:
        return self.hits, np.broadcast_to(self.trials, self.hits.shape)


def _counts(
    default: ArrayLike, score: ArrayLike, group: Labels, cutoffs: FloatArray
) -> tuple[list[str], IntArray]:
    """Return the groups and their counts [groups, outcome, bins between cutoffs from the safest down]."""
    bad, points = np.asarray(default, dtype=np.float64), np.asarray(score, dtype=np.float64)
    labels = as_labels(group)
    faults = [
        *length_faults({"default": bad, "score": points, "group": labels}),
        *binary_faults("default", bad),
        *finite_faults("score", points),
        *label_faults(labels),
    ]
    raise_faults("The cutoffs cannot be judged", faults)
    names = labels.unique().sort().cast(pl.String).to_list()
    places = labels.cast(pl.Enum(names)).to_physical().to_numpy().astype(np.int64)
    below = cutoffs.size - np.searchsorted(cutoffs[::-1], points, side="right")
    shape = (len(names), 2, cutoffs.size + 1)
    flat = np.ravel_multi_index((places, bad.astype(np.int64), below), shape)
    return names, np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def _band_level(gaps: FloatArray, level: float) -> float:
    """Return the level at which one cutoff's interval holds for all cutoffs of gaps [replicates, cutoffs]."""
    known = gaps[np.isfinite(gaps).all(axis=1)]
    if min(known.shape) < 1:
        return level
    furthest = (np.abs(known - known.mean(axis=0)) / known.std(axis=0)).max(axis=1)
    return max(level, 2 * NormalDist().cdf(min(float(np.quantile(furthest, level)), 8.0)) - 1)
