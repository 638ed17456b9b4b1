"""Gaps between groups: tests of them, what the sample could have seen, and the headlines."""

from __future__ import annotations

from itertools import groupby
from math import erfc, exp, isfinite, isnan, sqrt
from operator import itemgetter
from statistics import NormalDist

import numpy as np
import polars as pl

from workbench.fairness.counts import CELLS, ERROR_COST, RATES, UNIT_COSTS, Costs, share, total
from workbench.fairness.groups import NOT_KNOWN
from workbench.fairness.metrics import COMPARISONS, ESTIMATE_SCHEMA
from workbench.statistics.bootstrap import multinomial_replicates
from workbench.statistics.estimate import Estimate, normal_quantile, undefined
from workbench.statistics.multiplicity import holm
from workbench.statistics.samples import FloatArray

LEAST_EXPECTED = 5
"""Expected successes and failures from which the score test's normal distribution holds."""
SCORE, FISHER, NORMAL, BOTH = (
    "score",
    "Fisher's exact",
    "normal, unequal variances",
    "Sidak, both differences",
)
POWER = 0.8
SPREADS = {
    "demographic_parity_difference": ("selection_rate",),
    "demographic_parity_ratio": ("selection_rate",),
    "equal_opportunity_difference": ("true_positive_rate",),
    "equalized_odds_difference": ("true_positive_rate", "false_positive_rate"),
}
TEST_SCHEMA = {
    "group": pl.String,
    "metric": pl.String,
    "p_value": pl.Float64,
    "p_adjusted": pl.Float64,
    "test": pl.String,
}


def comparison_tests(
    counts: pl.DataFrame, metrics: pl.DataFrame, *, reference_group: str, costs: Costs = UNIT_COSTS
) -> pl.DataFrame:
    """Return the two-sided p-value of "no difference" for every judged group and comparison.

    The score test of two shares, Fisher's exact one where fewer than 5 successes or failures are expected;
    the same p-value for the ratio and the difference of a rate. Costs: the difference of means over its
    standard error. Equalized odds: 1 - (1 - smaller p-value)^2 of its two differences, goods and bads being
    independent. `p_adjusted` is Holm's over the judged groups of the attribute, metric by metric: each metric
    asks a question of its own. Expected counts are tested as if they had been counted, which is cautious.

    `counts` as from `outcome_counts` and `metrics` as from `group_metrics`, of one attribute. Returns columns
    group, metric, p_value, p_adjusted, test; no rows for what is not judged, nor for the reference group.

    Reference: Agresti (2013), Categorical Data Analysis, sections 3.2 and 3.5; Holm (1979), Scandinavian
    Journal of Statistics 6: 65-70.
    """
    cells = counts.select(CELLS).to_numpy().astype(np.float64).T
    place = {group: at for at, group in enumerate(counts["group"])}
    compared = pl.col("metric").is_in([*COMPARISONS]) & (pl.col("group") != reference_group)
    judged = metrics.filter("judged", compared).select("metric", "group")
    rows: list[tuple[object, ...]] = []
    for metric, pairs in groupby(judged.iter_rows(), itemgetter(0)):
        groups = [group for _, group in pairs]
        tested = _tested(metric, cells, [place[group] for group in groups], place[reference_group], costs)
        adjusted = holm(p_value for p_value, _ in tested)
        for group, (p_value, test), among in zip(groups, tested, adjusted, strict=True):
            rows.append((group, metric, p_value, among, test))
    return pl.DataFrame(rows, schema=TEST_SCHEMA, orient="row")


def detectable_gaps(
    counts: pl.DataFrame, *, reference_group: str, level: float = 0.95, power: float = POWER
) -> pl.DataFrame:
    """Return the smallest shortfall in selection rate that these numbers of applicants would have shown.

    The largest p below the reference's selection rate p0 for which the two-sided score test at 1 - `level`
    finds the difference with probability `power`: |p - p0| = z1 sqrt(q(1-q)(1/n + 1/n0)) + z2 sqrt(p(1-p)/n +
    p0(1-p0)/n0), q the pooled rate. A gap smaller than this may be there and not be seen. For one test alone;
    adjusted for several, more is needed. Null where even none approved would not have been seen.

    Returns columns group, applicants, reference_rate, detectable_difference (p - p0, below 0),
    detectable_ratio (p / p0), power, level, note; no row for the reference group.

    Reference: Fleiss, Levin and Paik (2003), Statistical Methods for Rates and Proportions, section 4.2.
    """
    own = counts.row(by_predicate=pl.col("group") == reference_group, named=True)
    others = counts.filter(~pl.col("group").is_in([reference_group, NOT_KNOWN]))
    sizes = others["applicants"].to_numpy().astype(np.float64)
    approved, size = own["goods_approved"] + own["bads_approved"], own["applicants"]
    rate = approved / size if size else 0.0
    z_values = normal_quantile(level), NormalDist().inv_cdf(power)
    seen = _shown_rates(sizes, rate, size, *z_values) if rate else np.full(sizes.size, np.nan)
    columns = {
        "group": others["group"],
        "applicants": others["applicants"],
        "reference_rate": np.full(sizes.size, rate if size else np.nan),
        "detectable_difference": seen - rate,
        "detectable_ratio": seen / (rate or np.nan),
        "power": np.full(sizes.size, power),
        "level": np.full(sizes.size, level),
    }
    reason = "too few: none approved would not show" if rate else "none of the reference group is approved"
    unseen = pl.when(pl.col("detectable_difference").is_null()).then(pl.lit(reason))
    return pl.DataFrame(columns, nan_to_null=True).with_columns(note=unseen.otherwise(pl.lit("")))


def spreads(
    counts: pl.DataFrame, judged: list[str], *, level: float = 0.95, replicates: int = 1_000, seed: int
) -> pl.DataFrame:
    """Return how far the judged groups of an attribute lie apart, without a reference group.

    As Fairlearn defines them, on the judged groups: demographic_parity_difference (largest - smallest
    selection rate; 0 = equal), demographic_parity_ratio (smallest / largest; 1 = equal),
    equal_opportunity_difference (of true positive rates), equalized_odds_difference (the larger of the
    differences of true and of false positive rates). Noise alone sets groups apart, so the interval is the
    value +/- the `level` quantile of the same spread of the groups' noise, from one multinomial bootstrap: by
    the triangle inequality it covers also where all groups are equal, and is cautious elsewhere; a ratio's is
    made for its logarithm. The p-value is that of the chi-squared test that all judged groups have the same
    rate (for equalized odds: the same rates); none where fewer than 5 are expected in a cell.

    `counts` as from `outcome_counts`. Returns columns metric, value, low, high, level, method, p_value,
    judged_groups, applicants. Undefined with fewer than two judged groups or a rate that is undefined.
    """
    table = counts.filter(pl.col("group").is_in(judged))
    cells = table.select(CELLS).to_numpy().astype(np.float64).T
    rows: list[list[object]] = []
    draws = cells[..., None]
    if table.height > 1:
        drawn = multinomial_replicates(cells, replicates=replicates, seed=seed)
        draws = drawn.T.astype(np.float64).reshape(*cells.shape, -1)
    for metric, names in SPREADS.items():
        estimate = undefined(level, f"{table.height} judged groups; at least 2 are needed")
        if table.height > 1:
            rates = [(share(cells, name), share(draws, name)) for name in names]
            estimate = _spread(rates, metric.endswith("_ratio"), level)
        p_value = _homogeneity(cells, names) if estimate.value is not None else None
        rows.append([metric, *vars(estimate).values(), p_value, table.height, round(cells.sum())])
    schema = {"metric": pl.String, **ESTIMATE_SCHEMA, "p_value": pl.Float64}
    return pl.DataFrame(
        rows, schema={**schema, "judged_groups": pl.Int64, "applicants": pl.Int64}, orient="row"
    )


def largest_gaps(metrics: pl.DataFrame) -> pl.DataFrame:
    """Return for each comparison its worst judged group: lowest ratio, or largest absolute difference.

    Picking the worst of several is itself a selection: its gap is exaggerated and its interval no longer
    covers at its level, which the note says. A metric for which no other group is judged has no row.

    `metrics` as from `group_metrics`, also with other metrics against the reference group, whose own rows are
    known by their method "by definition". Returns columns metric, group, value, low, high, level, method,
    applicants, judged_groups, note.
    """
    ratios = [name for name, comparison in COMPARISONS.items() if comparison.kind == "ratio"]
    ratio, value = pl.col("metric").is_in(ratios), pl.col("value")
    note = "worst of {} judged groups; picking it is itself a selection and exaggerates the gap"
    compared = pl.col("metric").is_in([*COMPARISONS]) | pl.col("metric").str.ends_with("_difference")
    return (
        metrics.filter("judged", compared, pl.col("method") != "by definition")
        .with_columns(judged_groups=pl.len().over("metric"), order=pl.int_range(pl.len()))
        .with_columns(gap=pl.when(ratio).then(-value).otherwise(value.abs()))
        .sort("gap", "order", descending=[True, False])
        .unique("metric", keep="first", maintain_order=True)
        .sort("order")
        .with_columns(note=pl.format(note, "judged_groups"))
        .select("metric", "group", *ESTIMATE_SCHEMA, "applicants", "judged_groups", "note")
    )


def _tested(
    metric: str, cells: FloatArray, places: list[int], reference: int, costs: Costs
) -> list[tuple[float, str]]:
    """Return the p-value and the name of the test of the groups at `places`, from cells [4, groups]."""
    names, _ = COMPARISONS[metric]
    if len(names) > 1:
        parts = [_tested(f"{name}_difference", cells, places, reference, costs) for name in names]
        least = [min(p_value for p_value, _ in pair) for pair in zip(*parts, strict=True)]
        return [(1 - (1 - p_value) ** 2, BOTH) for p_value in least]
    if names == (ERROR_COST,):
        return [(_cost_test(cells[:, at], cells[:, reference], costs), NORMAL) for at in places]
    hits, trials = (total(cells, part).tolist() for part in RATES[names[0]][:2])
    shares = list(zip(hits, trials, strict=True))
    return [_share_test(shares[at], shares[reference]) for at in places]


def _share_test(own: tuple[float, float], reference: tuple[float, float]) -> tuple[float, str]:
    """Return the p-value that two shares, as successes and trials, are equal, and the name of the test."""
    (hits, trials), (others, size) = own, reference
    pooled = (hits + others) / (trials + size)
    if min(pooled, 1 - pooled) * min(trials, size) < LEAST_EXPECTED:
        from scipy.stats import fisher_exact

        table = np.rint([[hits, trials - hits], [others, size - others]]).astype(int)
        return float(fisher_exact(table).pvalue), FISHER
    z = (hits / trials - others / size) / sqrt(pooled * (1 - pooled) * (1 / trials + 1 / size))
    return erfc(abs(z) / sqrt(2)), SCORE


def _cost_test(own: FloatArray, reference: FloatArray, costs: Costs) -> float:
    """Return the p-value that the mean costs of two groups are equal."""
    each = np.array([0.0, costs.good_declined, costs.bad_approved, 0.0])
    means = [float(cells @ each / cells.sum()) for cells in (own, reference)]
    squares = [float(cells @ each**2 / cells.sum()) for cells in (own, reference)]
    parts = zip(squares, means, (own, reference), strict=True)
    variance = sum((square - mean**2) / float(cells.sum()) for square, mean, cells in parts)
    gap = abs(means[0] - means[1])
    return erfc(gap / sqrt(2 * variance)) if variance > 0 else float(gap == 0)


def _shown_rates(
    sizes: FloatArray, rate: float, reference_size: float, z_level: float, z_power: float
) -> FloatArray:
    """Return the largest rate below the reference's that is found different, by bisection; NaN if none."""

    def shown(low: FloatArray) -> np.ndarray:
        pooled = (sizes * low + reference_size * rate) / (sizes + reference_size)
        alike = np.sqrt(pooled * (1 - pooled) * (1 / sizes + 1 / reference_size))
        apart = np.sqrt(low * (1 - low) / sizes + rate * (1 - rate) / reference_size)
        return np.asarray(rate - low >= z_level * alike + z_power * apart)

    inside, outside = np.zeros_like(sizes), np.full_like(sizes, rate)
    possible = shown(inside)
    for _ in range(60):
        middle = (inside + outside) / 2
        found = shown(middle)
        inside, outside = np.where(found, middle, inside), np.where(found, outside, middle)
    return np.where(possible, inside, np.nan)


def _spread(rates: list[tuple[FloatArray, FloatArray]], ratio: bool, level: float) -> Estimate:
    """Return the spread of rates [groups] with the interval from their replicates [groups, replicates]."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = [(np.log(found), np.log(drawn)) if ratio else (found, drawn) for found, drawn in rates]
        value = float(np.max([np.ptp(found) for found, _ in scaled]))
        noise = np.max([np.ptp(drawn - found[:, None], axis=0) for found, drawn in scaled], axis=0)
        margin = float(np.quantile(noise, level))
    if isnan(value):
        return undefined(level, "a rate of 0 in every group" if ratio else "a rate that is undefined")
    method = f"noise of all groups at once, bootstrap, {noise.size} replicates"
    if not (isfinite(margin) and margin > 0):
        ends = (exp(-value) if ratio else value, None, None)
        return Estimate(*ends, level, f"no interval: {method}, finds no variation or a rate of 0")
    low, high = max(value - margin, 0.0), value + margin
    if ratio:
        return Estimate(exp(-value), exp(-high), exp(-low), level, method)
    return Estimate(value, low, min(high, 1.0), level, method)


def _homogeneity(cells: FloatArray, names: tuple[str, ...]) -> float | None:
    """Return the p-value that all groups have the same rates, from cells [4, groups]."""
    from scipy.special import chdtrc

    statistic = 0.0
    for rate in (RATES[name] for name in names):
        hits, trials = total(cells, rate.successes), total(cells, rate.trials)
        pooled = hits.sum() / trials.sum()
        if min(pooled, 1 - pooled) * trials.min() < LEAST_EXPECTED:
            return None
        statistic += float(((hits - trials * pooled) ** 2 / (trials * pooled * (1 - pooled))).sum())
    return float(chdtrc(len(names) * (cells.shape[1] - 1), statistic))
