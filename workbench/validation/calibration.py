"""Whether defaults come as often as the model says: tables, lines and scores of its probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.errors import DataError
from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.estimate import (
    Estimate,
    PairedComparison,
    normal_estimate,
    paired_comparison,
    undefined,
)
from workbench.statistics.proportions import WILSON, wilson_bounds
from workbench.statistics.samples import FloatArray, checked_sample

PROBABILITY_FLOOR = 1e-15
"""Logarithms are taken of probabilities clipped to [1e-15, 1 - 1e-15]."""
LIKELIHOOD = "Wald, maximum likelihood"


@dataclass(frozen=True)
class CalibrationLine:
    """The logistic regression of default on the model's log-odds of default.

    `intercept` and `slope` are fitted together: intercept 0 and slope 1 = calibrated; slope below 1 = the
    probabilities are too extreme, above 1 = too timid. `intercept_slope_one` is fitted with the slope held at
    1, which is calibration in the large on the log-odds scale: 0 = right on the whole, above 0 = more
    defaults than expected.
    """

    intercept: Estimate
    slope: Estimate
    intercept_slope_one: Estimate


def calibration_table(
    default: ArrayLike, prob_default: ArrayLike, *, bands: int = 10, level: float = 0.95
) -> pl.DataFrame:
    """Return observed against expected default rate by band of prob_default, band 1 the riskiest.

    Bands hold about equal numbers; ties stay together, so there may be fewer. Expected inside [low, high]
    agrees with what was observed.

    `default`: 0 or 1 [applicants]; `prob_default`: [0, 1] [applicants]. Returns columns band, applicants,
    defaults, expected_default_rate (mean prob_default), observed_default_rate, low, high (Wilson), level,
    method.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, fewer than two bands.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    band = bin_index(-prob, quantile_edges(-prob, bands))
    bands_used, band = np.unique(band, return_inverse=True)
    applicants = np.bincount(band)
    defaults = np.bincount(band, weights=bad)
    low, high = wilson_bounds(defaults, applicants, level=level)
    return pl.DataFrame(
        {
            "band": np.arange(1, bands_used.size + 1),
            "applicants": applicants,
            "defaults": defaults.astype(np.int64),
            "expected_default_rate": np.bincount(band, weights=prob) / applicants,
            "observed_default_rate": defaults / applicants,
            "low": low,
            "high": high,
        }
    ).with_columns(level=pl.lit(level), method=pl.lit(WILSON))


def calibration_in_the_large(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the observed default rate minus the mean prob_default, a share.

    0 = right on the whole, above 0 = more defaults than expected. Wilson's interval of the observed rate,
    shifted: it takes the probabilities as given and ignores that they explain part of the variation, so it is
    a little too wide and never too narrow. Arguments and errors as `calibration_table`.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    low, high = wilson_bounds(bad.sum(), bad.size, level=level)
    expected = prob.mean()
    return Estimate(
        float(bad.mean() - expected), float(low - expected), float(high - expected), level, WILSON
    )


def calibration_line(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> CalibrationLine:
    """Return the intercept and slope of ln(odds of default) observed against ln(odds of default) predicted.

    See `CalibrationLine` for the two intercepts and the directions. Both are on the scale
    ln(prob_default / (1 - prob_default)), with probabilities clipped to [1e-15, 1 - 1e-15]; intervals are
    Wald's. Undefined, with the reason, where all probabilities are equal or separate the classes perfectly.

    Raises:
        DataError: as `calibration_table`, and one class only.

    Reference: Cox (1958), Biometrika 45: 562-565; Steyerberg (2019), Clinical Prediction Models, chapter 15.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    clipped = _clipped(prob)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    constant = np.ones((bad.size, 1))
    (in_the_large,) = _logit_estimates(bad, constant, offset=log_odds, level=level)
    if np.ptp(log_odds) == 0:
        nothing = undefined(level, "all probabilities are equal")
        return CalibrationLine(nothing, nothing, in_the_large)
    intercept, slope = _logit_estimates(bad, np.column_stack([constant, log_odds]), offset=None, level=level)
    return CalibrationLine(intercept, slope, in_the_large)


def brier_score(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the mean of (prob_default - default)^2 with the normal interval of a mean.

    0 = perfect, lower is better; r(1 - r) is what the constant default rate r itself scores. Arguments and
    errors as `calibration_table`.

    Reference: Brier (1950), Monthly Weather Review 78: 1-3.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    return _mean_estimate((prob - bad) ** 2, level)


def log_loss(default: ArrayLike, prob_default: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Return the mean of -ln(probability given to what happened), with the normal interval of a mean.

    0 = perfect, lower is better, in nats. Probabilities are clipped to [1e-15, 1 - 1e-15], so one certain and
    wrong prediction costs 34.5 and not infinity. Arguments and errors as `calibration_table`.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    clipped = _clipped(prob)
    return _mean_estimate(-np.where(bad == 1, np.log(clipped), np.log1p(-clipped)), level)


def compare_losses(
    default: ArrayLike, champion: ArrayLike, challenger: ArrayLike, *, level: float = 0.95
) -> PairedComparison:
    """Return the challenger's Brier score minus the champion's on the same applicants, row by row.

    Below 0 = the challenger is better, 0 = no difference. `default`: 0 or 1 [applicants]; `champion`,
    `challenger`: each model's prob_default [applicants]. Normal interval and test of a mean difference.

    Raises:
        DataError: as `calibration_table`.
    """
    models = {"champion": champion, "challenger": challenger}
    bad, old, new = checked_sample(default, probabilities=models)
    difference = (new - bad) ** 2 - (old - bad) ** 2
    method = "normal, paired differences"
    return paired_comparison(
        float(difference.mean()), _standard_error(difference), level=level, method=method
    )


def brier_skill(
    default: ArrayLike, prob_default: ArrayLike, *, naive_rate: float, level: float = 0.95
) -> Estimate:
    """Return 1 - brier / brier of giving everyone `naive_rate`.

    1 = perfect, 0 = no better than the naive rate, below 0 = worse. Take the naive rate from the
    development sample. Interval by the delta method for a ratio of two means over the same applicants.
    Undefined where the naive rate is never wrong. Other arguments and errors as `calibration_table`.

    Raises:
        DataError: also for a naive rate outside [0, 1].
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    if not 0 <= naive_rate <= 1:
        raise DataError(
            "The naive rate cannot be used", [f"received {naive_rate}; a share in [0, 1] is needed"]
        )
    loss, naive = (prob - bad) ** 2, (naive_rate - bad) ** 2
    if not naive.mean():
        return undefined(level, "the naive rate is never wrong")
    ratio = float(loss.mean() / naive.mean())
    error = _standard_error(loss - ratio * naive) / float(naive.mean())
    return normal_estimate(1 - ratio, error, level=level, method="normal, delta method")


def _clipped(prob: FloatArray) -> FloatArray:
    return np.clip(prob, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)


def _standard_error(values: FloatArray) -> float:
    return float(values.std(ddof=1) / np.sqrt(values.size)) if values.size > 1 else float("nan")


def _mean_estimate(values: FloatArray, level: float) -> Estimate:
    return normal_estimate(float(values.mean()), _standard_error(values), level=level, method="normal, mean")


def _logit_estimates(
    bad: FloatArray, design: FloatArray, *, offset: FloatArray | None, level: float
) -> list[Estimate]:
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

    with catch_warnings():
        simplefilter("error", ConvergenceWarning)
        simplefilter("error", PerfectSeparationWarning)
        try:
            fit = Logit(bad, design, offset=offset).fit(disp=0, method="newton")
        except (ConvergenceWarning, PerfectSeparationWarning, np.linalg.LinAlgError):
            return [undefined(level, "no finite fit; goods and bads are separated")] * design.shape[1]
    fitted = zip(fit.params.tolist(), fit.bse.tolist(), strict=True)
    return [normal_estimate(value, error, level=level, method=LIKELIHOOD) for value, error in fitted]
