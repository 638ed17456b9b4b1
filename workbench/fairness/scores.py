"""Scores by group: how far apart they are, and their distribution for a chart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.statistics.bins import bin_index, count_bins
from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.estimate import Estimate, bounded, normal_estimate, undefined
from workbench.statistics.proportions import wilson_bounds
from workbench.statistics.samples import (
    FloatArray,
    finite_faults,
    length_faults,
    raise_faults,
)

SMD = "standardized_mean_difference"
GRID_POINTS = 500
"""Places at which the noise of two distributions is bootstrapped; the distances use every score."""

Sample = tuple[FloatArray, ...]
Measure = Callable[[Sample, Sample, float], Estimate]
"""From a group's columns [applicants], the reference group's and the level to an estimate."""


def standardized_mean_difference(
    score: ArrayLike, group: Labels, *, reference_group: str, min_applicants: int, level: float = 0.95
) -> pl.DataFrame:
    """Return how many pooled standard deviations each group's mean score lies above the reference group's.

    (mean of group - mean of reference) / sqrt(((n1-1)s1^2 + (n2-1)s2^2) / (n1+n2-2)). 0 = equal, below 0 =
    the group scores lower (less safe). The interval is the delta method on the moments of the two samples:
    Hedges and Olkin's where scores are normal with equal spread, and right without either.

    `score`: higher = safer [applicants]; `group`: labels [applicants]. A group with fewer than
    `min_applicants` is not judged. Returns columns group, metric, value, low, high, level, method,
    applicants, judged, note; the reference group has value 0 and interval [0, 0].

    Raises:
        DataError: lengths that differ, missing scores or groups, a reference group absent or too small.

    Reference: Hedges and Olkin (1985), Statistical Methods for Meta-Analysis, chapter 5.
    """
    samples, least = samples_by_group({"score": score}, group), {"applicants": min_applicants}
    check_reference(samples, reference_group, least)
    rows = compared_rows(SMD, samples, reference_group, _smd, least, level)
    return pl.DataFrame(rows, schema=METRIC_SCHEMA)


def score_distances(
    score: ArrayLike,
    group: Labels,
    *,
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return how far each group's scores are from the reference group's, over the whole distribution.

    ks_distance: the largest gap of the two distribution functions, in [0, 1]; wasserstein_distance: the area
    between them, in score points: how far the mean applicant would have to move. 0 = equal; neither has a
    direction. Noise alone raises both, so the interval is value +/- the `level` quantile of the same distance
    between the noise of the two samples, bootstrapped: by the triangle inequality it covers also where the
    groups are equal, where its low end is 0, and is cautious elsewhere.

    Arguments, columns and errors as `standardized_mean_difference`.

    Reference: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13, for confidence sets
    from the noise of a distance.
    """
    from scipy.stats import ks_2samp, wasserstein_distance

    samples, least = samples_by_group({"score": score}, group), {"applicants": min_applicants}
    check_reference(samples, reference_group, least)
    scores = {name: sample[0] for name, sample in samples.items()}
    grid = np.unique(np.concatenate(list(scores.values())))
    if grid.size > GRID_POINTS:
        grid = np.unique(np.quantile(grid, np.linspace(0, 1, GRID_POINTS), method="inverted_cdf"))
    noise = _noise(scores, grid, replicates, np.random.default_rng(seed))
    method, itself = f"bootstrap band, {replicates} replicates", _itself(0.0, level)
    rows: list[dict[str, object]] = []
    for name, sample in scores.items():
        gaps = np.abs(noise[name] - noise[reference_group])
        value = float(ks_2samp(sample, scores[reference_group], method="asymp").statistic)
        ks = _band(value, gaps.max(axis=1), level, method)
        area = float(wasserstein_distance(sample, scores[reference_group]))
        moved = _band(area, gaps[:, :-1] @ np.diff(grid), level, method)
        short = shortage({"applicants": sample.size}, least)
        for metric, found in (("ks_distance", bounded(ks, least=0, most=1)), ("wasserstein_distance", moved)):
            estimate = itself if name == reference_group else found
            rows.append(metric_row(name, metric, estimate, sample.size, short))
    return pl.DataFrame(rows, schema=METRIC_SCHEMA).sort("metric", maintain_order=True)


def score_distribution(
    score: ArrayLike, group: Labels, *, edges: Sequence[float] | FloatArray, level: float = 0.95
) -> pl.DataFrame:
    """Return the share of each group's applicants in each score bin and up to it, for a chart.

    `edges`: inner edges from the development sample, strictly rising [edges]; a bin is (above, up to] and the
    outer ones are open. Every group has every bin, and its shares add up to 1. Returns columns group, bin (1
    = lowest scores), score_above, score_up_to (null at the open ends), applicants, share, low, high (Wilson),
    level, cumulative_share.

    Raises:
        DataError: lengths that differ, missing scores or groups, edges that do not rise.
    """
    cuts = np.asarray(edges, dtype=np.float64)
    if not np.all(np.diff(cuts) > 0):
        raise DataError("The score bins cannot be cut", [f"the {cuts.size} edges do not rise strictly"])
    tables = []
    for name, (sample,) in samples_by_group({"score": score}, group).items():
        applicants = count_bins(sample, cuts)[:-1]
        low, high = wilson_bounds(applicants, sample.size, level=level)
        columns = {
            "bin": np.arange(1, cuts.size + 2),
            "score_above": pl.Series([None, *cuts.tolist()], dtype=pl.Float64),
            "score_up_to": pl.Series([*cuts.tolist(), None], dtype=pl.Float64),
            "applicants": applicants,
            "share": applicants / sample.size,
            "low": low,
            "high": high,
        }
        cumulative = pl.Series(np.cumsum(applicants) / sample.size)
        table = pl.DataFrame(columns).with_columns(level=pl.lit(level), cumulative_share=cumulative)
        tables.append(table.select(pl.lit(name).alias("group"), pl.all()))
    return pl.concat(tables)


def metric_row(
    group: str, metric: str, estimate: Estimate, applicants: int, short: str = ""
) -> dict[str, object]:
    """Return a row of METRIC_SCHEMA: judged where the group is large enough and there is an interval."""
    reason = estimate.method if estimate.low is None else ""
    return {
        "group": group,
        "metric": metric,
        **asdict(estimate),
        "applicants": applicants,
        "judged": not short and not reason,
        "note": "; ".join(filter(None, [short, reason])),
    }


def samples_by_group(columns: Mapping[str, ArrayLike], group: Labels) -> dict[str, Sample]:
    """Return the columns of each group's applicants, the groups in order."""
    values, labels = (
        {name: np.asarray(of, dtype=np.float64) for name, of in columns.items()},
        as_labels(group),
    )
    faults = [
        *length_faults({**values, "group": labels}),
        *(fault for name, of in values.items() for fault in finite_faults(name, of)),
        *label_faults(labels),
    ]
    raise_faults("The scores cannot be compared", faults)
    members = {name: (labels == name).to_numpy() for name in labels.unique().sort()}
    return {name: tuple(of[member] for of in values.values()) for name, member in members.items()}


def sizes_of(sample: Sample) -> dict[str, int]:
    """Return applicants, goods and bads of columns that start with default."""
    bads = int((sample[0] == 1).sum())
    return {"applicants": sample[0].size, "goods": sample[0].size - bads, "bads": bads}


def check_reference(samples: dict[str, Sample], reference_group: str, least: dict[str, int]) -> None:
    """Raise a DataError unless the reference group is there and large enough."""
    require_reference(reference_group, samples)
    short = shortage(sizes_of(samples[reference_group]), least)
    raise_faults(f"The reference group {reference_group!r} cannot be compared with", [short] if short else [])


def compared_rows(
    metric: str,
    samples: dict[str, Sample],
    reference_group: str,
    measure: Measure,
    least: dict[str, int],
    level: float,
) -> Iterator[dict[str, object]]:
    """Yield a row of METRIC_SCHEMA for each group against the reference, which is 0 against itself."""
    for name, sample in samples.items():
        same = name == reference_group
        estimate = _itself(0.0, level) if same else measure(sample, samples[reference_group], level)
        yield metric_row(name, metric, estimate, sample[0].size, shortage(sizes_of(sample), least))


def _itself(neutral: float, level: float) -> Estimate:
    return Estimate(neutral, neutral, neutral, level, "by definition")


def _smd(one: Sample, other: Sample, level: float) -> Estimate:
    sample, reference = one[0], other[0]
    degrees = sample.size + reference.size - 2
    squares = ((sample - sample.mean()) ** 2).sum() + ((reference - reference.mean()) ** 2).sum()
    if not squares or min(sample.size, reference.size) < 2:
        return undefined(level, "scores that do not vary, or a single applicant")
    spread = float(np.sqrt(squares / degrees))
    value = float((sample.mean() - reference.mean()) / spread)
    parts = (
        (sample, value * (sample.size - 1) / degrees),
        (reference, -value * (reference.size - 1) / degrees),
    )
    error = np.sqrt(sum(_variance(scores, spread, pull) for scores, pull in parts))
    return normal_estimate(value, float(error), level=level, method="normal, delta method")


def _variance(scores: FloatArray, spread: float, pull: float) -> float:
    """Return one sample's part of the variance: through its mean, and through the pooled spread."""
    z = (scores - scores.mean()) / spread
    return float((z - pull / 2 * z**2).var(ddof=1) / scores.size)


def _noise(
    scores: dict[str, FloatArray], grid: FloatArray, replicates: int, generator: np.random.Generator
) -> dict[str, FloatArray]:
    """Return resampled minus found distribution functions at the grid [replicates, grid] of each group."""
    noise = {}
    for name, sample in scores.items():
        counts = np.bincount(bin_index(sample, grid[:-1]), minlength=grid.size)
        draws = multinomial_replicates(counts, replicates=replicates, seed=generator)
        noise[name] = np.cumsum(draws - counts, axis=1) / sample.size
    return noise


def _band(value: float, noise: FloatArray, level: float, method: str) -> Estimate:
    margin = float(np.quantile(noise, level))
    if not margin > 0:
        return Estimate(value, None, None, level, f"no interval: {method} finds no variation")
    return Estimate(value, max(value - margin, 0.0), value + margin, level, method)
