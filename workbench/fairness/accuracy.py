"""Probabilities by group: how well they rank, and whether defaults come as often as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.groups import Labels, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.fairness.scores import (
    Measure,
    Sample,
    check_reference,
    compared_rows,
    metric_row,
    samples_by_group,
    sizes_of,
)
from workbench.statistics.bins import bin_index
from workbench.statistics.estimate import Estimate, undefined
from workbench.statistics.proportions import newcombe_difference, wilson, wilson_bounds
from workbench.statistics.ranking import auc
from workbench.statistics.samples import checked_sample


def group_accuracy(
    default: ArrayLike,
    prob_default: ArrayLike,
    group: Labels,
    *,
    reference_group: str,
    min_applicants: int,
    min_defaults: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return how well the probabilities rank within each group, and whether they are right for it.

    auc (1 = ranks perfectly, 0.5 = chance; DeLong). observed_minus_expected: default rate - mean
    prob_default; 0 = right on the whole, above 0 = more defaults than predicted: its risk is
    understated. observed_to_expected: the same as a ratio, 1 = right. Both have Wilson's interval of the
    default rate, with the probabilities taken as given. `auc_difference` and
    `observed_minus_expected_difference`: group - reference, 0 = equal, from the limits of the two (MOVER,
    for shares Newcombe's).

    `default`: 0 or 1; `prob_default`: [0, 1]; `group`: labels [applicants]. A group with fewer than
    `min_applicants`, or fewer goods or bads than `min_defaults`, is not judged. Columns as
    `standardized_mean_difference`.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, a reference group absent or
            too small.

    Reference: DeLong, DeLong and Clarke-Pearson (1988), Biometrics 44: 837-845; Zou and Donner (2008),
    Statistics in Medicine 27: 1693-1702, for the differences.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    samples = samples_by_group({"default": bad, "prob_default": prob}, group)
    least = {"applicants": min_applicants, "goods": min_defaults, "bads": min_defaults}
    check_reference(samples, reference_group, least)
    rows = [
        metric_row(name, metric, single(sample, level), sample[0].size, shortage(sizes_of(sample), least))
        for metric, single in SINGLE.items()
        for name, sample in samples.items()
    ]
    for metric, measure in DIFFERENCES.items():
        rows += compared_rows(metric, samples, reference_group, measure, least, level)
    return pl.DataFrame(rows, schema=METRIC_SCHEMA)


def group_calibration(
    default: ArrayLike,
    prob_default: ArrayLike,
    group: Labels,
    *,
    edges: ArrayLike,
    min_applicants: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return each group's observed against its expected default rate by band of prob_default, for a chart.

    Calibrated within groups: in every band each group's expected rate lies inside [low, high].

    `edges`: inner edges of the bands from the development sample, rising [edges]; band 1 is the safest and
    those without any applicants have no row. The others as `group_accuracy`. Returns columns group, band,
    applicants, expected_default_rate, observed_default_rate, low, high (Wilson), level, note; numbers are
    null in a cell of fewer than `min_applicants`.

    Raises:
        DataError: as `group_accuracy`.

    Reference: Kleinberg, Mullainathan and Raghavan (2017), ITCS, for calibration within groups.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    samples = samples_by_group({"default": bad, "prob_default": prob}, group)
    tables = []
    for name, (outcome, expected) in samples.items():
        band = bin_index(expected, edges)
        applicants = np.bincount(band)
        used = np.flatnonzero(applicants)
        defaults, sums = (np.bincount(band, weights=of)[used] for of in (outcome, expected))
        low, high = wilson_bounds(defaults, applicants[used], level=level)
        columns = {
            "applicants": applicants[used],
            "expected_default_rate": sums / applicants[used],
            "observed_default_rate": defaults / applicants[used],
            "low": low,
            "high": high,
        }
        tables.append(pl.DataFrame({"group": [name] * used.size, "band": used + 1, **columns}))
    table, small = pl.concat(tables), pl.col("applicants") < min_applicants
    shown = [pl.when(~small).then(pl.col(name)).alias(name) for name in table.columns[2:]]
    note = pl.when(small).then(pl.lit(f"fewer than {min_applicants} applicants")).otherwise(pl.lit(""))
    return table.with_columns(*shown, level=pl.lit(level), note=note)


def _auc(sample: Sample, level: float) -> Estimate:
    sizes = sizes_of(sample)
    if not (sizes["goods"] and sizes["bads"]):
        return undefined(level, "goods and bads are both needed")
    return auc(*sample, level=level)


def _gap(sample: Sample, level: float) -> Estimate:
    bad, prob = sample
    return _moved(wilson(int(bad.sum()), bad.size, level=level), float(prob.mean()))


def _ratio(sample: Sample, level: float) -> Estimate:
    bad, prob = sample
    rate, expected = wilson(int(bad.sum()), bad.size, level=level), float(prob.mean())
    if not expected:
        return undefined(level, "no default is expected")
    ends = {name: getattr(rate, name) / expected for name in ("value", "low", "high")}
    return replace(rate, **ends)


def _auc_difference(sample: Sample, reference: Sample, level: float) -> Estimate:
    return _mover(_auc(sample, level), _auc(reference, level))


def _gap_difference(sample: Sample, reference: Sample, level: float) -> Estimate:
    counts = [count for bad, _ in (sample, reference) for count in (int(bad.sum()), bad.size)]
    difference = newcombe_difference(*counts, level=level)
    return _moved(difference, float(sample[1].mean() - reference[1].mean()))


def _moved(estimate: Estimate, expected: float) -> Estimate:
    ends = {name: getattr(estimate, name) - expected for name in ("value", "low", "high")}
    return replace(estimate, **ends)


def _mover(first: Estimate, second: Estimate) -> Estimate:
    """Return the first minus the second estimate of independent samples, from their limits."""
    if first.value is None or second.value is None:
        return first if first.value is None else second
    value, method = first.value - second.value, f"MOVER, {first.method}"
    if first.low is None or first.high is None or second.low is None or second.high is None:
        return Estimate(value, None, None, first.level, "no interval: one of the two has none")
    low = value - np.hypot(first.value - first.low, second.high - second.value)
    high = value + np.hypot(first.high - first.value, second.value - second.low)
    return Estimate(value, float(low), float(high), first.level, method)


SINGLE = {"auc": _auc, "observed_minus_expected": _gap, "observed_to_expected": _ratio}
DIFFERENCES: dict[str, Measure] = {
    "auc_difference": _auc_difference,
    "observed_minus_expected_difference": _gap_difference,
}
