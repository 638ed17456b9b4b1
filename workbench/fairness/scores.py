"""Scores by group: how far apart they are, and their distribution for a chart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.statistics.bins import bin_index
from workbench.statistics.estimate import Estimate, normal_estimate, undefined
from workbench.statistics.samples import FloatArray, finite_faults, length_faults, raise_faults

SMD = "standardized_mean_difference"


def standardized_mean_difference(
    score: ArrayLike,
    group: Labels,
    *,
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
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
    samples, least = _by_group(score, group), {"applicants": min_applicants}
    require_reference(reference_group, samples)
    reference = samples[reference_group]
    short = shortage({"applicants": reference.size}, least)
    raise_faults(f"The reference group {reference_group!r} cannot be compared with", [short] if short else [])
    itself = Estimate(0.0, 0.0, 0.0, level, "by definition")
    return pl.DataFrame(
        [
            _row(name, sample, itself if name == reference_group else _smd(sample, reference, level), least)
            for name, sample in samples.items()
        ],
        schema=METRIC_SCHEMA,
    )


def score_distribution(
    score: ArrayLike, group: Labels, *, edges: Sequence[float] | FloatArray
) -> pl.DataFrame:
    """Return the share of each group's applicants in each score bin, for a chart.

    `edges`: inner edges, strictly rising [edges]; a bin is (above, up to] and the outer ones are open. Every
    group has every bin, and its shares add up to 1. Returns columns group, bin (1 = lowest scores),
    score_above, score_up_to (null at the open ends), applicants, share.

    Raises:
        DataError: lengths that differ, missing scores or groups, edges that do not rise.
    """
    cuts = np.asarray(edges, dtype=np.float64)
    if not np.all(np.diff(cuts) > 0):
        raise DataError("The score bins cannot be cut", [f"the {cuts.size} edges do not rise strictly"])
    bins = pl.DataFrame(
        {
            "bin": np.arange(1, cuts.size + 2),
            "score_above": pl.Series([None, *cuts.tolist()], dtype=pl.Float64),
            "score_up_to": pl.Series([*cuts.tolist(), None], dtype=pl.Float64),
        }
    )
    return pl.concat(_histogram(bins, name, sample, cuts) for name, sample in _by_group(score, group).items())


def _by_group(score: ArrayLike, group: Labels) -> dict[str, FloatArray]:
    points, labels = np.asarray(score, dtype=np.float64), as_labels(group)
    faults = [
        *length_faults({"score": points, "group": labels}),
        *finite_faults("score", points),
        *label_faults(labels),
    ]
    raise_faults("The scores cannot be compared", faults)
    return {name: points[(labels == name).to_numpy()] for name in labels.unique().sort()}


def _row(name: str, sample: FloatArray, estimate: Estimate, least: dict[str, int]) -> dict[str, object]:
    short = shortage({"applicants": sample.size}, least)
    reason = estimate.method if estimate.low is None else ""
    return {
        "group": name,
        "metric": SMD,
        **asdict(estimate),
        "applicants": sample.size,
        "judged": not short and not reason,
        "note": "; ".join(filter(None, [short, reason])),
    }


def _smd(sample: FloatArray, reference: FloatArray, level: float) -> Estimate:
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


def _histogram(bins: pl.DataFrame, name: str, sample: FloatArray, cuts: FloatArray) -> pl.DataFrame:
    applicants = pl.Series(np.bincount(bin_index(sample, cuts), minlength=cuts.size + 1))
    return bins.select(
        pl.lit(name).alias("group"), pl.all(), applicants=applicants, share=applicants / sample.size
    )
