"""Approvals by group in each vintage or segment, and whether the gap moves over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.fairness.conditional import cell_counts
from workbench.fairness.groups import Labels, require_reference, shortage
from workbench.fairness.metrics import ESTIMATE_SCHEMA, METRIC_SCHEMA
from workbench.fairness.scores import metric_row
from workbench.statistics.estimate import Estimate, normal_estimate, undefined
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson
from workbench.statistics.samples import FloatArray

COMPARISONS: dict[str, Callable[..., Estimate]] = {
    "adverse_impact_ratio": donner_zou_ratio,
    "selection_rate_difference": newcombe_difference,
}
TREND = "selection_rate_difference_trend"
TREND_SCHEMA = {
    "group": pl.String,
    "metric": pl.String,
    **ESTIMATE_SCHEMA,
    "p_value": pl.Float64,
    "change_p_value": pl.Float64,
    "vintages": pl.Int64,
    "judged": pl.Boolean,
    "note": pl.String,
}
DAYS_A_YEAR = 365.25
LEAST_VINTAGES = 3


def segment_metrics(
    approved: ArrayLike,
    group: Labels,
    segment: Labels,
    *,
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return selection rates and their comparison with the reference group's within each segment.

    selection_rate (Wilson), adverse_impact_ratio (Donner and Zou; 1 = equal, below 1 = approved less often)
    and selection_rate_difference (Newcombe; 0 = equal). A cell of fewer than `min_applicants` is suppressed:
    value and applicants are null and the note says why; so is a comparison with a small reference cell.

    `approved`: 0 or 1; `group`, `segment`: labels, segments being vintages or any other [applicants]. Returns
    segment and the columns of `group_metrics`; the reference group has a selection_rate only.

    Raises:
        DataError: lengths that differ, a missing group or segment, values other than 0 and 1, an absent
            reference group.
    """
    names, segments, hits, totals = cell_counts(approved, group, segment)
    require_reference(reference_group, names)
    reference = names.index(reference_group)
    rows = []
    for place, where in enumerate(segments):
        cells = [(int(hits[at, place]), int(totals[at, place])) for at in range(len(names))]
        shorts = [shortage({"applicants": total}, {"applicants": min_applicants}) for _, total in cells]
        for at, name in enumerate(names):
            compared = COMPARISONS if at != reference else {}
            row = _row(name, "selection_rate", wilson(*cells[at], level=level), cells[at][1], shorts[at])
            rows.append({"segment": where} | row)
            for metric, interval in compared.items():
                estimate = interval(*cells[at], *cells[reference], level=level)
                short = shorts[at] or (shorts[reference] and f"reference group: {shorts[reference]}")
                rows.append({"segment": where} | _row(name, metric, estimate, cells[at][1], short))
    return pl.DataFrame(rows, schema={"segment": pl.String, **METRIC_SCHEMA})


def trend_over_vintages(
    approved: ArrayLike,
    group: Labels,
    vintage: pl.Series,
    *,
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return by how much each group's selection rate moves a year against the reference group's.

    The slope of the selection rate difference (group - reference) on the vintage in years, each vintage
    weighted by its precision: 0 = the gap is steady, below 0 = it moves against the group. Normal interval;
    `p_value` two-sided for a slope of 0. `change_p_value`: chi-squared (Cochran's Q) for "the same difference
    in every vintage", which also sees what a line does not. Each share's variance has one approved and one
    declined added, so that it is not 0 where all are.

    `vintage`: dates [applicants]; the others as `segment_metrics`. Vintages in which the group or the
    reference has fewer than `min_applicants` are left out; at least three are needed. Returns group, metric,
    value, low, high, level, method, p_value, change_p_value, vintages (used), judged, note.

    Raises:
        DataError: as `segment_metrics`.

    Reference: Cochran (1954), Biometrics 10: 101-129; Agresti and Caffo (2000), American Statistician 54:
    280-288, for the added counts.
    """
    if vintage.dtype != pl.Date:
        raise DataError("The trend cannot be measured", [f"vintage is {vintage.dtype}; dates are needed"])
    names, vintages, hits, totals = cell_counts(approved, group, vintage)
    require_reference(reference_group, names)
    reference = names.index(reference_group)
    years = pl.Series(vintages).str.to_date().to_physical().to_numpy() / DAYS_A_YEAR
    added = (hits + 1) / (totals + 2)
    with np.errstate(invalid="ignore"):
        rates, variances = hits / totals, added * (1 - added) / (totals + 2)
    rows = []
    for at in (at for at in range(len(names)) if at != reference):
        large = (totals[[at, reference]] >= min_applicants).all(axis=0)
        gaps = (rates[at] - rates[reference])[large]
        weights = 1 / (variances[at] + variances[reference])[large]
        estimate, p_values = _trend(gaps, years[large], weights, level)
        about = metric_row(names[at], TREND, estimate, 0) | p_values | {"vintages": int(large.sum())}
        rows.append({column: about.get(column) for column in TREND_SCHEMA})
    return pl.DataFrame(rows, schema=TREND_SCHEMA)


def _trend(
    gaps: FloatArray, years: FloatArray, weights: FloatArray, level: float
) -> tuple[Estimate, dict[str, float]]:
    from scipy.stats import chi2, norm

    if gaps.size < LEAST_VINTAGES:
        return undefined(level, f"fewer than {LEAST_VINTAGES} vintages are large enough"), {}
    time = years - np.average(years, weights=weights)
    moved = gaps - np.average(gaps, weights=weights)
    precision = float((weights * time**2).sum())
    slope = float((weights * time * moved).sum() / precision)
    estimate = normal_estimate(slope, precision**-0.5, level=level, method="normal, weighted least squares")
    whole = float((weights * moved**2).sum())
    p_values = {
        "p_value": float(2 * norm.sf(abs(slope) * precision**0.5)),
        "change_p_value": float(chi2.sf(whole, gaps.size - 1)),
    }
    return estimate, p_values


def _row(name: str, metric: str, estimate: Estimate, applicants: int, short: str) -> dict[str, object]:
    if not short:
        return metric_row(name, metric, estimate, applicants)
    hidden = Estimate(None, None, None, estimate.level, f"suppressed: {short}")
    return metric_row(name, metric, hidden, applicants) | {"applicants": None}
