"""Approvals compared among applicants who are alike in legitimate respects: stratified, Mantel-Haenszel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.fairness.metrics import METRIC_SCHEMA
from workbench.fairness.scores import metric_row
from workbench.statistics.bins import bin_index
from workbench.statistics.estimate import Estimate, bounded, normal_estimate, undefined
from workbench.statistics.samples import FloatArray, IntArray, binary_faults, length_faults, raise_faults

METRICS = (
    "conditional_odds_ratio",
    "conditional_adverse_impact_ratio",
    "conditional_selection_rate_difference",
)
ROBINS, GREENLAND = "Mantel-Haenszel, Robins-Breslow-Greenland", "Mantel-Haenszel, Greenland-Robins"
CONDITIONAL_SCHEMA = METRIC_SCHEMA | {
    "p_value": pl.Float64,
    "homogeneity_p_value": pl.Float64,
    "strata": pl.Int64,
    "strata_used": pl.Int64,
    "share_used": pl.Float64,
}


def stratum_labels(frame: pl.DataFrame, *, edges: Mapping[str, Sequence[float]]) -> pl.Series:
    """Return the stratum of each applicant [applicants]: whole numbers, alike where all columns are.

    `frame`: the legitimate variables, one column each. A number is cut at its `edges`, quantiles of the
    development sample as from `quantile_edges`; text is taken as it is. Missing is a stratum of its own.

    Raises:
        DataError: a number without edges, edges without a column, or no columns.
    """
    numbers = [name for name, kind in frame.schema.items() if kind.is_numeric()]
    faults = [f"{name} is a number and has no edges" for name in numbers if name not in edges]
    faults += [f"{name} has edges and is no number of the table" for name in edges if name not in numbers]
    if not frame.width:
        faults.append("no variables are given; at least one is needed")
    raise_faults("The strata cannot be made", faults)
    binned = [
        pl.Series(name, bin_index(frame[name].cast(pl.Float64).fill_null(np.nan), edges[name]))
        for name in numbers
    ]
    return frame.with_columns(binned).select(pl.struct(pl.all()).rank("dense").cast(pl.Int64)).to_series()


def conditional_comparison(
    approved: ArrayLike,
    group: Labels,
    stratum: Labels,
    *,
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return each group's approvals against the reference group's among applicants of the same stratum.

    conditional_odds_ratio (odds of approval), conditional_adverse_impact_ratio (1 = equal, below 1 = approved
    less often) and conditional_selection_rate_difference (0 = equal), each the Mantel-Haenszel average over
    strata. Intervals: Robins, Breslow and Greenland; Greenland and Robins, both on the logarithm; Sato. They
    hold for few large strata and for many small ones. `p_value`: Cochran-Mantel-Haenszel without continuity
    correction, for "the same odds in every stratum". `homogeneity_p_value`: Breslow and Day's with Tarone's
    correction, for "the same odds ratio in every stratum"; a small one says that an average hides
    differences. It needs strata that are not small.

    `approved`: 0 or 1; `group`, `stratum`: labels [applicants], as from `stratum_labels`. A stratum without
    both groups tells nothing and is left out: `strata` counts all in which the group is, `strata_used` those
    with both, `share_used` the group's applicants in these; judged if they are at least `min_applicants`.
    Returns the columns of `group_metrics` and these five; no rows for the reference group.

    Raises:
        DataError: lengths that differ, a missing group or stratum, values other than 0 and 1, an absent
            reference group.

    Reference: Mantel and Haenszel (1959), JNCI 22: 719-748; Robins, Breslow and Greenland (1986), Biometrics
    42: 311-323; Greenland and Robins (1985), Biometrics 41: 55-68; Sato (1989), Biometrics 45: 1323-1324;
    Tarone (1985), Biometrika 72: 91-95.
    """
    names, _, hits, totals = cell_counts(approved, group, stratum)
    require_reference(reference_group, names)
    reference = names.index(reference_group)
    rows: list[dict[str, object]] = []
    for at in (at for at in range(len(names)) if at != reference):
        both = (totals[at] > 0) & (totals[reference] > 0)
        pair = _Strata(*(of[who, both].astype(float) for who in (at, reference) for of in (hits, totals)))
        applicants = int(pair.total.sum())
        short = shortage({"applicants": applicants}, {"applicants": min_applicants})
        extra = {
            "p_value": pair.common_odds_p_value,
            "homogeneity_p_value": pair.homogeneity_p_value,
            "strata": int((totals[at] > 0).sum()),
            "strata_used": int(both.sum()),
            "share_used": applicants / int(totals[at].sum()),
        }
        for metric, estimate in pair.averages(level).items():
            rows.append(metric_row(names[at], metric, estimate, applicants, short) | extra)
    return pl.DataFrame(rows, schema=CONDITIONAL_SCHEMA)


def cell_counts(
    approved: ArrayLike, group: Labels, stratum: Labels
) -> tuple[list[str], list[str], IntArray, IntArray]:
    """Return groups and strata in their order, and the approved and the applicants [groups, strata].

    Raises:
        DataError: lengths that differ, a missing group or stratum, values other than 0 and 1.
    """
    taken, labels, places = np.asarray(approved, dtype=np.float64), as_labels(group), as_labels(stratum)
    faults = [
        *length_faults({"approved": taken, "group": labels, "stratum": places}),
        *binary_faults("approved", taken),
        *label_faults(labels),
        *(f"stratum: {fault}" for fault in label_faults(places)),
    ]
    raise_faults("The groups cannot be compared within strata", faults)
    names, strata = (of.unique().sort().cast(pl.String).to_list() for of in (labels, places))
    rows, columns = (
        of.cast(pl.Enum(known)).to_physical().to_numpy().astype(np.int64)
        for of, known in ((labels, names), (places, strata))
    )
    shape = len(names), len(strata)
    flat = np.ravel_multi_index((rows, columns), shape)
    totals, hits = (np.bincount(flat, of, minlength=shape[0] * shape[1]) for of in (None, taken))
    return names, strata, hits.astype(np.int64).reshape(shape), totals.reshape(shape)


@dataclass(frozen=True)
class _Strata:
    """Approved and applicants of the group and of the reference group in the strata that have both."""

    hits: FloatArray
    total: FloatArray
    reference_hits: FloatArray
    reference_total: FloatArray

    @property
    def size(self) -> FloatArray:
        return self.total + self.reference_total

    def averages(self, level: float) -> dict[str, Estimate]:
        """Return the three Mantel-Haenszel averages with their intervals."""
        a, n, c, m, size = self.hits, self.total, self.reference_hits, self.reference_total, self.size
        weight = float((n * m / size).sum())
        odds = float((a * (m - c) / size).sum()), float((c * (n - a) / size).sum())
        risks = float((a * m / size).sum()), float((c * n / size).sum())
        nothing = undefined(level, "no stratum with both groups")
        if not weight:
            return dict.fromkeys(METRICS, nothing)
        ratio_variance = ((n * m * (a + c) - a * c * size) / size**2).sum() / (risks[0] * risks[1] or np.nan)
        difference = (risks[0] - risks[1]) / weight
        spread = (a * (m - c) + c * (n - a)) / (2 * size)
        lean = (n**2 * c - m**2 * a + n * m * (m - n) / 2) / size**2
        error = float(np.sqrt(max(difference * lean.sum() + spread.sum(), 0.0))) / weight
        sato = normal_estimate(difference, error, level=level, method="Mantel-Haenszel, Sato")
        found = (
            _on_logarithm(*odds, self._log_odds_error if all(odds) else 0.0, level, ROBINS),
            _on_logarithm(*risks, float(np.sqrt(ratio_variance)), level, GREENLAND),
            bounded(sato, least=-1, most=1),
        )
        return dict(zip(METRICS, found, strict=True))

    @property
    def common_odds_p_value(self) -> float | None:
        """Return Cochran, Mantel and Haenszel's p-value; None where no stratum can tell."""
        if not self._telling.any():
            return None
        return float(self._table.test_null_odds(correction=False).pvalue)

    @property
    def homogeneity_p_value(self) -> float | None:
        """Return Breslow, Day and Tarone's p-value; None with fewer than two telling strata or no odds ratio.

        The expected approvals e solve e (m - t + e) = ratio (n - e)(t - e), in the form that allows ratio 1.
        """
        from scipy.stats import chi2

        tell = self._telling
        a, n, c, m = (of[tell] for of in (self.hits, self.total, self.reference_hits, self.reference_total))
        both = (a * (m - c) / (n + m)).sum(), (c * (n - a) / (n + m)).sum()
        if a.size < 2 or not all(both):
            return None
        ratio, t = both[0] / both[1], a + c
        b = ratio * (n + t) + m - t
        expected = 2 * ratio * n * t / (b + np.sqrt(b**2 + 4 * (1 - ratio) * ratio * n * t))
        rest = m - t + expected
        variance = 1 / (1 / expected + 1 / (n - expected) + 1 / (t - expected) + 1 / rest)
        gap = a - expected
        statistic = (gap**2 / variance).sum() - gap.sum() ** 2 / variance.sum()
        return float(chi2.sf(statistic, a.size - 1))

    @property
    def _telling(self) -> NDArray[np.bool_]:
        """Whether some but not all of a stratum are approved; the others bear on neither test."""
        approved = self.hits + self.reference_hits
        return (approved > 0) & (approved < self.size)

    @property
    def _table(self) -> Any:
        from statsmodels.stats.contingency_tables import StratifiedTable

        rows = ((self.hits, self.total), (self.reference_hits, self.reference_total))
        return StratifiedTable(np.array([[hits, total - hits] for hits, total in rows]))

    @property
    def _log_odds_error(self) -> float:
        return float(self._table.logodds_pooled_se)


def _on_logarithm(over: float, under: float, error: float, level: float, method: str) -> Estimate:
    if not under:
        return undefined(level, "nobody of the reference group to divide by")
    if not over:
        return Estimate(0.0, None, None, level, f"no interval: {method} finds no variation")
    found = normal_estimate(log(over / under), error, level=level, method=method)
    if found.low is None or found.high is None:
        return Estimate(over / under, None, None, level, found.method)
    return Estimate(over / under, exp(found.low), exp(found.high), level, method)
