"""Whether the model holds on other samples and with other seeds: shifts and flipped decisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import atanh, exp, lgamma, sqrt, tanh
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import near_name
from workbench.statistics.bins import count_bins, population_stability_index, quantile_edges
from workbench.statistics.estimate import Estimate, normal_estimate
from workbench.statistics.means import crossed_share, jackknife_estimate, student_mean
from workbench.statistics.multiplicity import holm
from workbench.statistics.proportions import wilson
from workbench.statistics.samples import FloatArray, IntArray, finite_faults, length_faults, raise_faults
from workbench.statistics.shift import psi_test
from workbench.validation.swap import approve_safest

CUSTOMARY = ("stable", "watch", "shifted")
BONETT_WRIGHT = "Fisher z with Bonett-Wright variance"


@dataclass(frozen=True)
class Flips:
    """What other models of the same recipe would have decided.

    `by_kind`: one row per kind of model and measure: kind, measure (flip_share, score_sd_mean, score_sd_p95,
    rank_correlation), unit, models, applicants, value, low, high, level, method. `by_model`: one row per
    model: kind, model (1 upwards), applicants, flips, value (their share), low, high (Wilson),
    rank_correlation, rank_low, rank_high (Fisher's z; null for the same order), level, method.
    """

    by_kind: pl.DataFrame
    by_model: pl.DataFrame


def shift_table(
    expected: pl.DataFrame,
    actual: pl.DataFrame,
    *,
    names: Sequence[str],
    bins: int = 10,
    edges: Mapping[str, ArrayLike] | None = None,
    lines: tuple[float, float] = (0.10, 0.25),
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return how far scores (PSI) and features (CSI) have moved, against noise and against the custom.

    psi: 0 = the same distribution; higher = further apart. `critical` is what only 1 - `level` of unchanged
    samples of these sizes exceed, `p_value` that of "nothing has changed", `p_adjusted` Holm's over all
    names: with many applicants a shift too small to matter is beyond noise, with few a large one may not be.
    `customary` says which of the two `lines` it reaches: stable, watch, shifted.

    `expected`: the development sample, `actual`: the later one, both with `names` as numbers or yes/no, nulls
    and NaN allowed; `edges`: the inner edges of each name, None = quantiles of `expected` for about `bins`
    bins; missing values have a bin of their own. Returns, the furthest first, columns feature, psi, low, high
    (bias-corrected bootstrap), critical, p_value, p_adjusted, customary, bins (used), level, method (of the
    test); no interval, critical value or p-value where everyone is in one bin.

    Raises:
        DataError: columns that are not there, no rows, fewer than two bins.

    Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4).
    """
    faults = [
        f"{sample} has no column {name}{near_name(name, frame.columns)}"
        for sample, frame in (("expected", expected), ("actual", actual))
        for name in names
        if name not in frame.columns
    ]
    faults += [f"names and edges differ: {name}" for name in names if edges is not None and name not in edges]
    raise_faults("The shift cannot be measured", faults)
    rows = []
    for name in names:
        before, after = _values(expected, name), _values(actual, name)
        cuts = _edges(before, bins) if edges is None else np.asarray(edges[name], dtype=np.float64)
        counts = count_bins(before, cuts), count_bins(after, cuts)
        rows.append({"feature": name} | _shift(*counts, level=level, replicates=replicates, seed=seed))
    reached = [sum(row["psi"] >= line for line in lines) for row in rows]
    adjusted = holm(row["p_value"] for row in rows)
    table = pl.DataFrame(rows, schema=_SHIFT).with_columns(
        p_adjusted=pl.Series(adjusted, dtype=pl.Float64),
        customary=pl.Series([CUSTOMARY[place] for place in reached], dtype=pl.String),
    )
    first = table.select("feature", "psi", "low", "high", "critical", "p_value", "p_adjusted", "customary")
    return first.hstack(table.select("bins", "level", "method")).sort("psi", descending=True)


def decision_flips(
    base: ArrayLike,
    margins: Mapping[str, ArrayLike],
    *,
    approval_rate: float,
    score_of: Callable[[FloatArray], FloatArray] | None = None,
    level: float = 0.95,
) -> Flips:
    """Return how much decisions and scores hang on the sample and the seed of the champion's training.

    Each model approves the safest `approval_rate`, as the champion does. flip_share = share of applicants
    whom a model of the kind decides otherwise than the champion, 0 = none. score_sd_mean, score_sd_p95 =
    mean and 95th percentile over applicants of the score's standard deviation between models.
    rank_correlation = Spearman's with the champion, 1 = the same order.

    `base`: the champion's margins [rows], `margins`: of each kind [models, rows], log-odds of default;
    `score_of` turns margins into points, None = log-odds are told. Intervals of the kinds are on Student's t
    over the models drawn: that of the flips about applicants too (Owen's sum of both variances, a little
    cautious); that of the deviations by a jackknife of their logarithm (of the 95th percentile, which noise
    raises, bias-corrected as is the value), that of the correlation on Fisher's z.

    Raises:
        DataError: fewer than two models of a kind, lengths that differ, values that are missing, a rate
            outside (0, 1).

    Reference: Owen (2007), Annals of Applied Statistics 1: 386-411; Efron and Tibshirani (1993), An
    Introduction to the Bootstrap, chapter 11; Bonett and Wright (2000), Psychometrika 65: 23-28.
    """
    own = np.asarray(base, dtype=np.float64)
    kinds = {kind: np.asarray(models, dtype=np.float64) for kind, models in margins.items()}
    raise_faults("The models cannot be compared", _margin_faults(own, kinds))
    approved = approve_safest(own, approval_rate=approval_rate)
    by_kind, by_model, ranks = list[dict[str, Any]](), list[dict[str, Any]](), _centred_ranks(own)
    for kind, models in kinds.items():
        flips = np.stack([approve_safest(m, approval_rate=approval_rate) != approved for m in models])
        points = models if score_of is None else np.stack([score_of(model) for model in models])
        unit = "log-odds" if score_of is None else "points"
        correlations = [_correlation(ranks, _centred_ranks(model)) for model in models]
        mean, tail = _deviations(points, level=level)
        found = {
            ("flip_share", "share"): crossed_share(flips, level=level),
            ("score_sd_mean", unit): mean,
            ("score_sd_p95", unit): tail,
            ("rank_correlation", "correlation"): _mean_correlation(correlations, level=level),
        }
        counts = {"models": len(models), "applicants": own.size}
        by_kind += [
            {"kind": kind, "measure": name, "unit": unit, **counts, **vars(estimate)}
            for (name, unit), estimate in found.items()
        ]
        singles = zip(flips.sum(axis=1).tolist(), correlations, strict=True)
        by_model += [
            {"kind": kind, "model": number, **_single(flipped, own.size, correlation, level)}
            for number, (flipped, correlation) in enumerate(singles, 1)
        ]
    return Flips(
        pl.DataFrame(by_kind, schema_overrides=_ENDS), pl.DataFrame(by_model, schema_overrides=_ENDS)
    )


def _values(frame: pl.DataFrame, name: str) -> FloatArray:
    values: FloatArray = frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
    return values


def _edges(values: FloatArray, bins: int) -> FloatArray:
    return np.empty(0) if np.isnan(values).all() else quantile_edges(values, bins)


def _shift(
    expected: IntArray, actual: IntArray, *, level: float, replicates: int, seed: int
) -> dict[str, Any]:
    settings: dict[str, Any] = {"level": level, "replicates": replicates, "seed": seed}
    test = psi_test(expected, actual, **settings)
    seen = (expected > 0) | (actual > 0)
    index = population_stability_index(expected[seen], actual[seen], **settings)
    low, high = (None, None) if test.p_value is None else (index.low, index.high)
    told = {"critical": test.critical, "p_value": test.p_value, "bins": test.bins, "method": test.method}
    return {"psi": test.value, "low": low, "high": high, "level": level, **told}


def _margin_faults(base: FloatArray, kinds: Mapping[str, FloatArray]) -> Iterator[str]:
    yield from length_faults({"base": base})
    yield from finite_faults("base", base)
    if not kinds:
        yield "there are no other models"
    for kind, models in kinds.items():
        if models.ndim != 2 or models.shape[1] != base.size:
            yield f"{kind} has the shape {models.shape}; [models, {base.size}] is needed"
        elif len(models) < 2:
            yield f"{kind} has {len(models)} models; a spread needs at least 2"
        else:
            yield from finite_faults(kind, models)


def _deviations(points: FloatArray, *, level: float) -> tuple[Estimate, Estimate]:
    """Return mean and 95th percentile over applicants of the deviation between models [models, rows].

    Divided by c4, the share of it that so few normal values show on average.
    """
    models = len(points)
    apart = (points - points.mean(axis=0)) ** 2
    total = apart.sum(axis=0)

    def summaries(squares: FloatArray, count: int) -> list[float]:
        deviation = np.sqrt(np.maximum(squares, 0) / (count - 1)) / _c4(count)
        return [float(deviation.mean()), float(np.quantile(deviation, 0.95))]

    left_out = [
        summaries(total - models / (models - 1) * own, models - 1) if models > 2 else [] for own in apart
    ]
    mean, tail = summaries(total, models)
    without = np.asarray(left_out).reshape(models, -1)
    means, tails = without.T if models > 2 else (np.empty(0), np.empty(0))
    return (
        jackknife_estimate(mean, means, level=level),
        jackknife_estimate(tail, tails, level=level, bias=True),
    )


def _c4(count: int) -> float:
    return sqrt(2 / (count - 1)) * exp(lgamma(count / 2) - lgamma((count - 1) / 2))


def _centred_ranks(values: FloatArray) -> FloatArray:
    from scipy.stats import rankdata

    ranks: FloatArray = rankdata(values) - (values.size + 1) / 2
    return ranks


def _correlation(first: FloatArray, second: FloatArray) -> float:
    scale = sqrt(float(first @ first) * float(second @ second))
    return min(float(first @ second) / scale, 1.0) if scale else 0.0


def _single(flipped: int, applicants: int, correlation: float, level: float) -> dict[str, Any]:
    share, ranked = wilson(flipped, applicants, level=level), _fisher(correlation, applicants, level)
    return {
        **{"applicants": applicants, "flips": flipped},
        **{"value": share.value, "low": share.low, "high": share.high},
        **{"rank_correlation": ranked.value, "rank_low": ranked.low, "rank_high": ranked.high},
        **{"level": level, "method": f"{share.method}; {BONETT_WRIGHT}"},
    }


def _fisher(correlation: float, size: int, level: float) -> Estimate:
    if not abs(correlation) < 1 or size < 4:
        return Estimate(correlation, None, None, level, f"no interval: {BONETT_WRIGHT}, no variation")
    error = sqrt((1 + correlation**2 / 2) / (size - 3))
    interval = normal_estimate(atanh(correlation), error, level=level, method=BONETT_WRIGHT)
    return _from_fisher(correlation, interval)


def _mean_correlation(correlations: Sequence[float], *, level: float) -> Estimate:
    mean = float(np.mean(correlations))
    if max(abs(value) for value in correlations) >= 1:
        return Estimate(mean, None, None, level, "no interval: a model orders everyone as the champion does")
    z = [atanh(value) for value in correlations]
    interval = student_mean(z, level=level, method="Student's t over models, Fisher z")
    return interval if interval.value is None else _from_fisher(tanh(interval.value), interval)


def _from_fisher(value: float, interval: Estimate) -> Estimate:
    low, high = (None if end is None else tanh(end) for end in (interval.low, interval.high))
    return Estimate(value, low, high, interval.level, interval.method)


_ENDS = dict.fromkeys(("value", "low", "high", "rank_low", "rank_high"), pl.Float64)
_SHIFT = {
    "feature": pl.String,
    **dict.fromkeys(("psi", "low", "high", "critical", "p_value"), pl.Float64),
    **{"bins": pl.Int64, "level": pl.Float64, "method": pl.String},
}
