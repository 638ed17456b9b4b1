"""Group metrics with their intervals: each ratio or difference to be read beside its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.fairness.counts import (
    CELLS,
    ERROR_COST,
    RATES,
    UNIT_COSTS,
    Costs,
    Rate,
    check_outcome_counts,
    rate_values,
    total,
)
from workbench.fairness.groups import group_shortages, least_of, reference_shortage, require_reference
from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.proportions import DONNER_ZOU, NEWCOMBE, WILSON, donner_zou_ratio, wilson_bounds
from workbench.statistics.samples import FloatArray

BoolArray = NDArray[np.bool_]
Limits = tuple[FloatArray, FloatArray]


class Comparison(NamedTuple):
    """A group's rates over, or minus, the reference group's; or the larger of two such differences."""

    rates: tuple[str, ...]
    kind: Literal["ratio", "difference", "larger difference"]


COMPARISONS = {
    "adverse_impact_ratio": Comparison(("selection_rate",), "ratio"),
    "selection_rate_difference": Comparison(("selection_rate",), "difference"),
    "true_positive_rate_difference": Comparison(("true_positive_rate",), "difference"),
    "false_positive_rate_difference": Comparison(("false_positive_rate",), "difference"),
    "equalized_odds_difference": Comparison(
        ("true_positive_rate", "false_positive_rate"), "larger difference"
    ),
    "default_rate_among_approved_difference": Comparison(("default_rate_among_approved",), "difference"),
    "good_rate_among_declined_difference": Comparison(("good_rate_among_declined",), "difference"),
    "accuracy_difference": Comparison(("accuracy",), "difference"),
    "default_rate_difference": Comparison(("default_rate",), "difference"),
    "error_cost_difference": Comparison(("error_cost",), "difference"),
}
FEW = 10
"""Successes or failures below which resampling a share misleads, so that its limits are Wilson's."""
MOVER = "MOVER (Wilson limits)"
ESTIMATE_SCHEMA = {
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "level": pl.Float64,
    "method": pl.String,
}
METRIC_SCHEMA = {
    "group": pl.String,
    "metric": pl.String,
    **ESTIMATE_SCHEMA,
    "applicants": pl.Int64,
    "judged": pl.Boolean,
    "note": pl.String,
}


def group_metrics(
    counts: pl.DataFrame,
    *,
    reference_group: str,
    reference_note: str = "",
    min_applicants: int,
    min_defaults: int,
    costs: Costs = UNIT_COSTS,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return every group metric with its interval, one row per metric and group.

    The favourable outcome is `approved`. Rates: selection_rate (approved among all), true_positive_rate and
    false_negative_rate (approved, declined among goods), false_positive_rate and true_negative_rate
    (approved, declined among bads), default_rate_among_approved, good_rate_among_declined (1 - negative
    predictive value), accuracy (goods approved and bads declined among all), default_rate (bads among all),
    error_cost (cost of the errors per applicant, in the unit of `costs`). Against the reference group:
    adverse_impact_ratio (selection rate / reference's; 1 = equal, below 1 = approved less often), the
    `_difference` of a rate (group - reference; 0 = equal, below 0 = lower) and equalized_odds_difference (the
    larger absolute difference of true and false positive rates; 0 = equal). The differences of false negative
    and true negative rates are those of true and false positive rates with the opposite sign.

    All intervals are percentiles of one multinomial over group x outcome x decision. Where a share has fewer
    than 10 successes or failures, resampling it misleads: those rows have Wilson's, Newcombe's or Donner and
    Zou's interval instead, the same form for costs. That of equalized odds holds both differences at once: it
    is made from theirs at the square root of `level`, goods and bads being independent, and is cautious.

    `counts` as from `outcome_counts`, or expected counts. A group with fewer than `min_applicants`, or with
    fewer goods or bads than `min_defaults`, keeps its values but is not judged, and the note says why; nor is
    a comparison with a reference that is too small or has all or none approved. A division by zero gives a
    null value with the reason in the note. `reference_note`: how the reference was chosen, for the notes.

    Returns columns group, metric, value, low, high, level, method, applicants, judged, note.

    Raises:
        DataError: a table without the counts; a reference group that is absent.

    Reference: Efron (1979), Annals of Statistics 7: 1-26; Hardt, Price and Srebro (2016), NeurIPS 29, for the
    rates among goods and among bads; Zou and Donner (2008), Statistics in Medicine 27: 1693-1702, for costs.
    """
    check_outcome_counts(counts)
    require_reference(reference_group, counts["group"].to_list())
    least = least_of(min_applicants, min_defaults)
    short = group_shortages(counts, least)
    unfit = reference_shortage(counts, reference_group, least)
    against = [f"the reference group has {unfit}" if unfit else "", reference_note]
    names = counts["group"].to_list()
    notes = [
        _joined(text, *(against if name != reference_group else ()))
        for name, text in zip(names, short, strict=True)
    ]
    sample = _sample(counts, reference_group, costs, replicates=replicates, seed=seed)
    large = np.array([not text for text in short])
    rows = [row for metric in RATES for row in _rows(sample, metric, level, large, short)]
    comparable = large & (not unfit)
    rows += [row for metric in COMPARISONS for row in _rows(sample, metric, level, comparable, notes)]
    return pl.DataFrame(rows, schema=METRIC_SCHEMA, orient="row")


def compared(rates: Mapping[str, FloatArray], metric: str, reference: int) -> FloatArray:
    """Return a rate, or a comparison with the group at `reference`, of rates [groups, ...]."""
    if metric in RATES:
        return rates[metric]
    names, kind = COMPARISONS[metric]
    with np.errstate(divide="ignore", invalid="ignore"):
        if kind == "ratio":
            return np.asarray(rates[names[0]] / rates[names[0]][[reference]])
        differences = [rates[name] - rates[name][[reference]] for name in names]
    return differences[0] if kind == "difference" else np.maximum(*np.abs(differences))


@dataclass(frozen=True)
class _Sample:
    """The cells [4, groups] and the rates of their replicates [groups, replicates]."""

    names: list[str]
    reference: int
    cells: FloatArray
    costs: Costs
    rates: dict[str, FloatArray]
    drawn: dict[str, FloatArray]
    method: str


def _sample(
    counts: pl.DataFrame, reference_group: str, costs: Costs, *, replicates: int, seed: int
) -> _Sample:
    names = counts["group"].to_list()
    cells = counts.select(CELLS).to_numpy().astype(np.float64).T
    draws = multinomial_replicates(cells, replicates=replicates, seed=seed)
    drawn = rate_values(np.ascontiguousarray(draws.T.astype(np.float64)).reshape(*cells.shape, -1), costs)
    method = f"percentile bootstrap, {replicates} replicates"
    return _Sample(
        names, names.index(reference_group), cells, costs, rate_values(cells, costs), drawn, method
    )


def _rows(
    sample: _Sample, metric: str, level: float, judged: BoolArray, notes: Sequence[str]
) -> Iterator[tuple[object, ...]]:
    """Give a metric's row for every group, in the columns of METRIC_SCHEMA."""
    values = compared(sample.rates, metric, sample.reference)
    low, high, methods = _interval(sample, metric, level)
    applicants = sample.cells.sum(axis=0)
    for at, group in enumerate(sample.names):
        known = bool(np.isfinite(values[at]))
        reason = "" if known else _reason(sample, metric, at)
        numbers = [float(ends[at]) for ends in (values, low, high)] if known else [None] * 3
        told = (reason or methods[at], round(applicants[at]), known and bool(judged[at]))
        yield group, metric, *numbers, level, *told, _joined(notes[at], reason)


def _interval(sample: _Sample, metric: str, level: float) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return low, high and method of every group: from the replicates, or in closed form where few."""
    if metric in COMPARISONS and len(COMPARISONS[metric].rates) > 1:
        return _both(sample, metric, level)
    values = compared(sample.rates, metric, sample.reference)
    low, high, closed = _closed_form(sample, metric, level)
    drawn = compared(sample.drawn, metric, sample.reference)
    many = _many(sample, metric)
    if many.any():
        low[many], high[many] = _percentiles(drawn[many], level)
    methods = [sample.method if resampled else closed for resampled in many]
    if metric in COMPARISONS:
        at = sample.reference
        low[at], high[at], methods[at] = values[at], values[at], "by definition"
    return low, high, methods


def _percentiles(drawn: FloatArray, level: float) -> Limits:
    """Return the ends of the middle `level` of replicates [groups, replicates], undefined ones left out."""
    ends = (1 - level) / 2, (1 + level) / 2
    low, high = np.quantile(drawn, ends, axis=-1)
    if np.isnan(low).any():
        low, high = np.nanquantile(drawn, ends, axis=-1)
    return low, high


def _both(sample: _Sample, metric: str, level: float) -> tuple[FloatArray, FloatArray, list[str]]:
    """Return the interval of the larger absolute difference: where both lie at once with `level`."""
    parts = [_interval(sample, f"{name}_difference", sqrt(level)) for name in COMPARISONS[metric].rates]
    nearest = [np.maximum(np.maximum(low, -high), 0.0) for low, high, _ in parts]
    furthest = [np.maximum(np.abs(low), np.abs(high)) for low, high, _ in parts]
    pairs = zip(*(methods for _, _, methods in parts), strict=True)
    methods = [f"both differences at once: {' and '.join(dict.fromkeys(pair))}" for pair in pairs]
    methods[sample.reference] = "by definition"
    return np.maximum(*nearest), np.maximum(*furthest), methods


def _many(sample: _Sample, metric: str) -> BoolArray:
    """Say for which groups, and the reference where compared, a share has enough of both to be resampled."""
    rate = RATES[metric if metric in RATES else COMPARISONS[metric].rates[0]]
    hits, trials = total(sample.cells, rate.successes), total(sample.cells, rate.trials)
    many = np.minimum(hits, trials - hits) >= FEW
    return many if metric in RATES else many & many[sample.reference]


def _closed_form(sample: _Sample, metric: str, level: float) -> tuple[FloatArray, FloatArray, str]:
    """Return limits made from Wilson's limits of each share, and the name of the method."""
    if metric in RATES:
        return *_limits(sample, metric, level), MOVER if metric == ERROR_COST else WILSON
    (name,), kind = COMPARISONS[metric]
    if kind == "ratio":
        return *_ratio_limits(sample, RATES[name], level), DONNER_ZOU
    (low, high), value, at = _limits(sample, name, level), sample.rates[name], sample.reference
    below = np.hypot(value - low, high[at] - value[at])
    above = np.hypot(high - value, value[at] - low[at])
    difference = value - value[at]
    return difference - below, difference + above, MOVER if name == ERROR_COST else NEWCOMBE


def _limits(sample: _Sample, name: str, level: float) -> Limits:
    """Return Wilson's limits of a rate; those of the cost from its two shares."""
    rate = RATES[name]
    trials = total(sample.cells, rate.trials)
    if name != ERROR_COST:
        return wilson_bounds(total(sample.cells, rate.successes), trials, level=level)
    value = sample.rates[name]
    below, above = np.zeros_like(value), np.zeros_like(value)
    for cost, cell in zip(sample.costs, rate.successes, strict=True):
        low, high = wilson_bounds(total(sample.cells, (cell,)), trials, level=level)
        share = total(sample.cells, (cell,)) / np.maximum(trials, 1)
        below, above = np.hypot(below, cost * (share - low)), np.hypot(above, cost * (high - share))
    return value - below, value + above


def _ratio_limits(sample: _Sample, rate: Rate, level: float) -> Limits:
    """Return Donner and Zou's limits; of expected counts, those of the nearest whole ones."""
    hits, trials = (np.rint(total(sample.cells, part)).astype(int) for part in (rate.successes, rate.trials))
    at = sample.reference
    ratios = [
        donner_zou_ratio(*share, int(hits[at]), int(trials[at]), level=level)
        for share in zip(hits.tolist(), trials.tolist(), strict=True)
    ]
    low, high = (
        np.array(ends, dtype=np.float64) for ends in zip(*((r.low, r.high) for r in ratios), strict=True)
    )
    return low, high


def _reason(sample: _Sample, metric: str, at: int) -> str:
    """Return why a value is undefined."""
    names = (metric,) if metric in RATES else COMPARISONS[metric].rates
    places = {at: ""} if metric in RATES else {sample.reference: "of the reference group ", at: ""}
    for place, whose in reversed(places.items()):
        for among, trials in ((RATES[n].among, total(sample.cells, RATES[n].trials)) for n in names):
            if not trials[place]:
                return f"undefined: 0 {among} {whose}to divide by"
    return f"undefined: 0 {names[0]} of the reference group to divide by"


def _joined(*texts: str) -> str:
    return "; ".join(filter(None, texts))
