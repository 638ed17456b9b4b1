"""Group metrics with their intervals: each ratio or difference to be read beside its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from workbench.fairness.counts import CELLS, check_outcome_counts
from workbench.fairness.groups import require_reference, shortage
from workbench.statistics.bootstrap import multinomial_replicates, percentile_estimate
from workbench.statistics.estimate import Estimate
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson
from workbench.statistics.samples import FloatArray, IntArray, raise_faults


class Rate(NamedTuple):
    """A share of two sums of cells; `among` names what it is divided by."""

    successes: tuple[str, ...]
    trials: tuple[str, ...]
    among: str


class Comparison(NamedTuple):
    """A group's rate over, or minus, the reference group's."""

    rate: str
    kind: Literal["ratio", "difference"]


GOODS, BADS = CELLS[:2], CELLS[2:]
APPROVED = ("goods_approved", "bads_approved")
RATES = {
    "selection_rate": Rate(APPROVED, CELLS, "applicants"),
    "true_positive_rate": Rate(("goods_approved",), GOODS, "goods"),
    "false_positive_rate": Rate(("bads_approved",), BADS, "bads"),
    "default_rate_among_approved": Rate(("bads_approved",), APPROVED, "approved applicants"),
}
COMPARISONS = {
    "adverse_impact_ratio": Comparison("selection_rate", "ratio"),
    "selection_rate_difference": Comparison("selection_rate", "difference"),
    "true_positive_rate_difference": Comparison("true_positive_rate", "difference"),
    "false_positive_rate_difference": Comparison("false_positive_rate", "difference"),
    "default_rate_among_approved_difference": Comparison("default_rate_among_approved", "difference"),
}
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
    min_applicants: int,
    min_defaults: int,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return every group metric with its interval, one row per metric and group.

    The favourable outcome is `approved`. Rates: selection_rate (approved among all), true_positive_rate
    (approved among goods), false_positive_rate (approved among bads), default_rate_among_approved. Against
    the reference group: adverse_impact_ratio (selection rate / reference's; 1 = equal, below 1 = approved
    less often) and the `_difference` of each rate (group - reference; 0 = equal, below 0 = lower).

    All intervals are percentiles of one multinomial over group x outcome x decision. Resampling cannot vary a
    rate that is exactly 0 or 1: those rows have Wilson's, Newcombe's or Donner and Zou's interval instead.

    `counts` as from `outcome_counts`. A group with fewer than `min_applicants`, or with fewer goods or bads
    than `min_defaults`, keeps its values but is not judged, and the note says why. A division by zero gives a
    null value with the reason in the note.

    Returns columns group, metric, value, low, high, level, method, applicants, judged, note.

    Raises:
        DataError: a table without the counts; a reference group that is absent, too small to be judged, or
            with all or none approved.

    Reference: Efron (1979), Annals of Statistics 7: 1-26; Hardt, Price and Srebro (2016), NeurIPS 29, for the
    rates among goods and among bads.
    """
    check_outcome_counts(counts)
    least = {"applicants": min_applicants, "goods": min_defaults, "bads": min_defaults}
    require_reference(reference_group, counts["group"].to_list())
    raise_faults(
        f"The reference group {reference_group!r} cannot be compared with",
        _reference_faults(counts.row(by_predicate=pl.col("group") == reference_group, named=True), least),
    )
    groups = _resampled(counts, reference_group, level=level, replicates=replicates, seed=seed)
    shortages = [shortage(_sizes(row), least) for row in counts.iter_rows(named=True)]
    rows = [row for metric in (*RATES, *COMPARISONS) for row in _rows(groups, metric, shortages)]
    return pl.DataFrame(rows, schema=METRIC_SCHEMA)


@dataclass(frozen=True)
class _Groups:
    """The counts [groups, cells], their replicates [replicates, groups, cells] and the reference's place."""

    names: list[str]
    reference: int
    cells: IntArray
    draws: IntArray
    level: float


def _resampled(
    counts: pl.DataFrame, reference_group: str, *, level: float, replicates: int, seed: int
) -> _Groups:
    names = counts["group"].to_list()
    cells = counts.select(CELLS).to_numpy().astype(np.int64)
    draws = multinomial_replicates(cells, replicates=replicates, seed=seed).reshape(-1, *cells.shape)
    return _Groups(names, names.index(reference_group), cells, draws, level)


def _rows(groups: _Groups, metric: str, shortages: list[str]) -> Iterator[dict[str, object]]:
    for at, (estimate, short) in enumerate(zip(_estimates(groups, metric), shortages, strict=True)):
        yield {
            "group": groups.names[at],
            "metric": metric,
            **asdict(estimate),
            "applicants": int(groups.cells[at].sum()),
            "judged": not short and estimate.low is not None,
            "note": "; ".join(filter(None, [short, _gap_in(groups, metric, at, estimate)])),
        }


def _estimates(groups: _Groups, metric: str) -> Iterator[Estimate]:
    values = _values(metric, groups.cells, groups.reference)
    drawn = _values(metric, groups.draws, groups.reference)
    method = f"bootstrap, {len(drawn)} replicates"
    for at, value in enumerate(values):
        shares = _shares(groups, metric, at)
        if metric in COMPARISONS and at == groups.reference and np.isfinite(value):
            yield Estimate(*(float(value),) * 3, groups.level, "by definition")
        elif all(0 < hits < trials for hits, trials in shares):
            yield percentile_estimate(float(value), drawn[:, at], level=groups.level, method=method)
        else:
            yield _closed_form(metric, shares, groups.level)


def _closed_form(metric: str, shares: list[tuple[int, int]], level: float) -> Estimate:
    numbers = [number for share in shares for number in share]
    if metric in RATES:
        return wilson(*numbers, level=level)
    ratio = COMPARISONS[metric].kind == "ratio"
    return (donner_zou_ratio if ratio else newcombe_difference)(*numbers, level=level)


def _shares(groups: _Groups, metric: str, at: int) -> list[tuple[int, int]]:
    """Return successes and trials of the group and, for a comparison, of the reference."""
    rate, places = _rate(metric), [at] if metric in RATES else [at, groups.reference]
    hits, trials = _total(groups.cells, rate.successes), _total(groups.cells, rate.trials)
    return [(int(hits[place]), int(trials[place])) for place in places]


def _rate(metric: str) -> Rate:
    return RATES[metric] if metric in RATES else RATES[COMPARISONS[metric].rate]


def _total(cells: IntArray, names: tuple[str, ...]) -> IntArray:
    return np.asarray(cells[..., [CELLS.index(name) for name in names]].sum(axis=-1))


def _values(metric: str, cells: IntArray, reference: int) -> FloatArray:
    """Return a metric of cells [..., groups, 4] for every group [..., groups], NaN where undefined."""
    rate = _rate(metric)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.asarray(_total(cells, rate.successes) / _total(cells, rate.trials))
        if metric in RATES:
            return values
        base = values[..., [reference]]
        return values / base if COMPARISONS[metric].kind == "ratio" else values - base


def _gap_in(groups: _Groups, metric: str, at: int, estimate: Estimate) -> str:
    """Return why a value or its interval is missing, or an empty text."""
    if estimate.value is None:
        whose = "" if _shares(groups, metric, at)[0][1] == 0 else "of the reference group "
        return f"undefined: 0 {_rate(metric).among} {whose}to divide by"
    return estimate.method if estimate.low is None else ""


def _sizes(row: dict[str, int]) -> dict[str, int]:
    goods, bads = (sum(row[name] for name in names) for names in (GOODS, BADS))
    return {"applicants": row["applicants"], "goods": goods, "bads": bads}


def _reference_faults(row: dict[str, int], least: dict[str, int]) -> Iterator[str]:
    short = shortage(_sizes(row), least)
    if short:
        yield f"it has {short}; take a larger group or lower the minimum"
    approved = sum(row[name] for name in APPROVED)
    if approved in (0, row["applicants"]):
        yield f"{approved} of its {row['applicants']} applicants are approved; some, not all, are needed"
