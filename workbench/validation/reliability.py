"""Whether the probabilities can be relied on: tests of calibration and what the Brier score is made of."""

from __future__ import annotations

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.bootstrap import (
    bias_corrected_estimate,
    multinomial_replicates,
    percentile_estimate,
)
from workbench.statistics.estimate import Estimate, bounded, normal_quantile
from workbench.statistics.samples import FloatArray, IntArray, checked_sample
from workbench.validation.calibration import brier_score, brier_skill

CELLS = 500
"""Most cells of neighbouring probabilities that the replicates are drawn from, for each outcome."""
FEW_EXPECTED = 5
"""Below so many expected defaults or goods in a band the chi-squared distribution is only roughly right."""
ECE_BIAS_SEEN = sqrt(2) - 1
"""Share of the bias of a mean absolute gap that its bootstrap shows where the truth is 0: the gap's mean size
is then a multiple of its standard error, and a replicate's, twice as variable, sqrt(2) times that."""
COLUMNS = ("statistic", "value", "low", "high", "level", "p_value", "method")


@dataclass(frozen=True)
class CalibrationTest:
    """A statistic and its p-value for "the probabilities are true"; None where it is undefined.

    `method` says how it was judged and what weakens it.
    """

    statistic: float | None
    p_value: float | None
    method: str


@dataclass(frozen=True)
class _Moments:
    """Sums over each band [..., bands]; `of_defaults` is of the probabilities of those who defaulted."""

    applicants: FloatArray
    defaults: FloatArray
    probabilities: FloatArray
    squares: FloatArray
    of_defaults: FloatArray


def spiegelhalter(default: ArrayLike, prob_default: ArrayLike) -> CalibrationTest:
    """Return Spiegelhalter's Z, the Brier score's distance from what true probabilities would give it.

    sum((y - p)(1 - 2p)) / sqrt(sum((1 - 2p)^2 p(1 - p))), standard normal where the probabilities are true;
    two-sided. 0 = as good as it says; above 0 = worse than it says, as where the probabilities are too
    extreme or, below one half, too low; below 0 = better than it says. It can miss errors that cancel. A
    probability of 0 or 1 that did not come true refutes the model outright: p-value 0.

    `default`: 0 or 1 [applicants]; `prob_default`: [0, 1] [applicants].

    Raises:
        DataError: lengths that differ, values that are missing or out of range.

    Reference: Spiegelhalter (1986), Statistics in Medicine 5: 421-433.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    weight = 1 - 2 * prob
    variance = float(np.sum(weight**2 * prob * (1 - prob)))
    z = float(np.sum((bad - prob) * weight)) / sqrt(variance) if variance > 0 else None
    refuted = _refuted(bad, prob)
    if refuted:
        return CalibrationTest(z, 0.0, refuted)
    if z is None:
        return CalibrationTest(None, None, "undefined: every probability is 0, 0.5 or 1")
    return CalibrationTest(z, erfc(abs(z) / sqrt(2)), "standard normal, two-sided")


def hosmer_lemeshow(default: ArrayLike, prob_default: ArrayLike, *, bands: int = 10) -> CalibrationTest:
    """Return the Hosmer-Lemeshow chi-squared of observed against expected defaults by band of prob_default.

    sum over bands of (observed - expected)^2 / (n m (1 - m)), m the band's mean probability, with as many
    degrees of freedom as bands: on a holdout sample nothing was fitted, so none is taken off (software that
    takes 2 off assumes the sample of the fit). 0 = observed as expected; higher = further. With many
    applicants it rejects errors too small to matter: read it beside the calibration table. Bands hold about
    equal numbers; ties stay together. A probability of 0 or 1 that did not come true gives p-value 0.

    Arguments as `spiegelhalter`.

    Raises:
        DataError: as `spiegelhalter`, and fewer than two bands.

    Reference: Hosmer and Lemeshow (1980), Communications in Statistics A9: 1043-1069.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    sums = _moments(_bands(prob, bands), bad, prob)
    mean = sums.probabilities / sums.applicants
    variance = sums.applicants * mean * (1 - mean)
    judged = variance > 0
    gaps = sums.defaults - sums.probabilities
    statistic = float(np.sum(gaps[judged] ** 2 / variance[judged])) if judged.any() else None
    refuted = _refuted(bad, prob)
    if refuted:
        return CalibrationTest(statistic, 0.0, refuted)
    if statistic is None:
        return CalibrationTest(None, None, "undefined: every probability is 0 or 1")
    return _chi_squared(statistic, sums, int(judged.sum()))


def expected_calibration_error(
    default: ArrayLike,
    prob_default: ArrayLike,
    *,
    bands: int = 10,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> Estimate:
    """Return the mean over applicants of |default rate - mean probability| of their band, a share.

    0 = calibrated, lower is better. Noise can only raise it, and its replicates once more, so the interval is
    value - bias - z x spread to value + z x spread, with the bias that replicates show divided by
    sqrt(2) - 1, the share they show of it where the truth is 0; it is a little cautious elsewhere. The low
    end is 0 where gaps of noise alone (the replicates' about the sample's) would be as large.

    Arguments and errors as `reliability_table`.

    Reference: Naeini, Cooper and Hauskrecht (2015), AAAI Conference on Artificial Intelligence 29: 2901-2907.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    sums, drawn = _with_replicates(bad, prob, bands=bands, replicates=replicates, seed=seed)
    return _ece(sums, drawn, level=level, method=f"bootstrap, {replicates} replicates")


def reliability_table(
    default: ArrayLike,
    prob_default: ArrayLike,
    *,
    bands: int = 10,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return every test and score of the probabilities in one table, the Brier score with what it is made of.

    Rows: spiegelhalter_z, hosmer_lemeshow (tests: a p-value and no interval), brier_score, its four parts,
    scaled_brier (1 - brier / r (1 - r); 1 = perfect, 0 = no better than everyone's default rate r) and
    expected_calibration_error. With n, f, o a band's applicants, mean probability and default rate, and the
    sums over bands divided by all applicants, the parts are brier_reliability = sum n (f - o)^2 (0 =
    calibrated, lower is better), brier_resolution = sum n (o - r)^2 (0 = bands alike, higher is better),
    brier_uncertainty = r (1 - r) (the portfolio's, not the model's) and brier_within_bands = variance of the
    probabilities inside bands less twice their covariance with the outcome (what banding hides; below 0 = the
    model ranks inside its bands too). Score = reliability - resolution + uncertainty + within bands, exactly.
    Noise raises the first two, so their intervals are bias-corrected and cautious.

    `default`: 0 or 1 [applicants]; `prob_default`: [0, 1] [applicants]; `seed` decides the replicates, drawn
    by weighted counts. Returns columns statistic, value, low, high, level, p_value, method.

    Raises:
        DataError: as `hosmer_lemeshow`.

    Reference: Murphy (1973), Journal of Applied Meteorology 12: 595-600; Stephenson, Coelho and Jolliffe
    (2008), Weather and Forecasting 23: 752-757, for the terms within bands.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    sums, drawn = _with_replicates(bad, prob, bands=bands, replicates=replicates, seed=seed)
    method = f"bootstrap, {replicates} replicates"
    parts = _decomposed(sums, drawn, level=level, method=method)
    estimates = {
        "brier_score": brier_score(bad, prob, level=level),
        **{f"brier_{name}": part for name, part in parts.items()},
        "scaled_brier": brier_skill(bad, prob, naive_rate=float(bad.mean()), level=level),
        "expected_calibration_error": _ece(sums, drawn, level=level, method=method),
    }
    tests = {"spiegelhalter_z": spiegelhalter(bad, prob)}
    tests["hosmer_lemeshow"] = hosmer_lemeshow(bad, prob, bands=bands)
    judged = [_row(name, _as_estimate(test, level), test.p_value) for name, test in tests.items()]
    return _table([*judged, *(_row(name, estimate) for name, estimate in estimates.items())])


def _bands(prob: FloatArray, bands: int) -> IntArray:
    """Return each applicant's band, numbered without gaps."""
    _, band = np.unique(bin_index(prob, quantile_edges(prob, bands)), return_inverse=True)
    return np.asarray(band, dtype=np.int64)


def _moments(band: IntArray, bad: FloatArray, prob: FloatArray) -> _Moments:
    weights = (np.ones_like(prob), bad, prob, prob**2, bad * prob)
    return _Moments(*(np.bincount(band, weights=weight).astype(np.float64) for weight in weights))


def _with_replicates(
    bad: FloatArray, prob: FloatArray, *, bands: int, replicates: int, seed: int
) -> tuple[_Moments, _Moments]:
    """Return the bands' sums, and those of replicates drawn from cells of band x probability x outcome."""
    band = _bands(prob, bands)
    place = np.empty(prob.size, dtype=np.int64)
    place[np.argsort(prob, kind="stable")] = np.arange(prob.size) * CELLS // prob.size
    _, first, cell = np.unique(
        (band * CELLS + place) * 2 + bad.astype(np.int64), return_index=True, return_inverse=True
    )
    counts = np.bincount(cell)
    cells = _moments(cell, bad, prob)
    inside = np.zeros((counts.size, int(band.max()) + 1))
    inside[np.arange(counts.size), band[first]] = 1
    draws = multinomial_replicates(counts, replicates=replicates, seed=seed).astype(np.float64)
    summed = (draws * (sums / counts) @ inside for sums in vars(cells).values())
    return _moments(band, bad, prob), _Moments(*summed)


def _decomposed(sums: _Moments, drawn: _Moments, *, level: float, method: str) -> dict[str, Estimate]:
    values, replicates = _components(sums), _components(drawn)

    def estimate(name: str) -> Estimate:
        value, replicate = float(values[name]), replicates[name]
        if name in ("reliability", "resolution"):
            return bias_corrected_estimate(value, replicate, level=level, method=method, least=0.0)
        return percentile_estimate(value, replicate, level=level, method=method)

    return {name: estimate(name) for name in values}


def _components(sums: _Moments) -> dict[str, FloatArray]:
    total = sums.applicants.sum(axis=-1)
    rate = sums.defaults.sum(axis=-1) / total
    observed, expected = _mean(sums.defaults, sums.applicants), _mean(sums.probabilities, sums.applicants)
    variance = sums.squares - sums.applicants * expected**2
    covariance = sums.of_defaults - sums.applicants * expected * observed
    return {
        "reliability": np.sum(sums.applicants * (expected - observed) ** 2, axis=-1) / total,
        "resolution": np.sum(sums.applicants * (observed - rate[..., None]) ** 2, axis=-1) / total,
        "uncertainty": np.asarray(rate * (1 - rate)),
        "within_bands": np.sum(variance - 2 * covariance, axis=-1) / total,
    }


def _mean(sums: FloatArray, applicants: FloatArray) -> FloatArray:
    return np.divide(sums, applicants, out=np.zeros_like(sums), where=applicants > 0)


def _ece(sums: _Moments, drawn: _Moments, *, level: float, method: str) -> Estimate:
    value, replicates = _mean_gap(sums), _mean_gap(drawn)
    margin = normal_quantile(level) * float(replicates.std())
    bias = max(float(replicates.mean() - value), 0.0) / ECE_BIAS_SEEN
    if not margin > 0:
        return Estimate(float(value), None, None, level, f"no interval: {method}, finds no variation")
    noise = np.quantile(_mean_gap(drawn, about=_gaps(sums)), (1 + level) / 2)
    low = float(value) - bias - margin if value > noise else 0.0
    estimate = Estimate(float(value), low, float(value) + margin, level, f"bias-corrected normal {method}")
    return bounded(estimate, least=0.0, most=1.0)


def _gaps(sums: _Moments) -> FloatArray:
    """Return each band's part of (default rate - mean probability), which add up to everyone's."""
    total = sums.applicants.sum(axis=-1, keepdims=True)
    return np.asarray((sums.defaults - sums.probabilities) / total)


def _mean_gap(sums: _Moments, *, about: FloatArray | float = 0.0) -> FloatArray:
    return np.asarray(np.abs(_gaps(sums) - about).sum(axis=-1))


def _chi_squared(statistic: float, sums: _Moments, degrees: int) -> CalibrationTest:
    from scipy.special import chdtrc

    expected = np.minimum(sums.probabilities, sums.applicants - sums.probabilities)
    few = int(np.sum(expected < FEW_EXPECTED))
    rough = f"; rough, {few} bands expect fewer than {FEW_EXPECTED} defaults or goods" if few else ""
    method = f"chi-squared, {degrees} degrees of freedom (holdout){rough}"
    return CalibrationTest(statistic, float(chdtrc(degrees, statistic)), method)


def _refuted(bad: FloatArray, prob: FloatArray) -> str:
    """Return what refutes the model outright, or nothing."""
    wrong = int(np.sum(((prob == 0) & (bad == 1)) | ((prob == 1) & (bad == 0))))
    return f"refuted: {wrong} probabilities of exactly 0 or 1 did not come true" if wrong else ""


def _as_estimate(test: CalibrationTest, level: float) -> Estimate:
    return Estimate(test.statistic, None, None, level, test.method)


def _row(name: str, estimate: Estimate, p_value: float | None = None) -> dict[str, object]:
    return {"statistic": name, **vars(estimate), "p_value": p_value}


def _table(rows: list[dict[str, object]]) -> pl.DataFrame:
    words = ("statistic", "method")
    schema = {name: pl.String if name in words else pl.Float64 for name in COLUMNS}
    return pl.DataFrame(rows, schema=schema)
