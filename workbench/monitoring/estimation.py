"""What performance a batch will have, said before its outcomes are known, and how wrong that was."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats
from workbench.statistics.estimate import Estimate

CONFIDENCE_BASED = "confidence-based, {replicates} draws of calibration and outcomes"
MOST_ROWS = 50_000
MEASURES = ("auc", "default_rate", "approved_default_rate")


def estimated_performance(
    log_odds: Floats,
    approved: NDArray[np.bool_],
    *,
    line: tuple[float, float],
    covariance: Floats,
    level: float,
    replicates: int,
    seed: int,
) -> dict[str, Estimate]:
    """Return auc, default_rate and approved_default_rate of applicants whose outcomes nobody knows yet.

    Each draw takes a calibration line (intercept, slope) from the normal distribution around `line` with
    `covariance`, as the last known outcomes had it, and outcomes from the PDs that it gives: so the interval
    holds both how surely the PDs are known and the luck of this batch. The value is the median of the draws.
    It is right as far as the relation of score and outcome is still that of the applicants on whom the line
    was found: a change of that relation is what it cannot see. `log_odds` [applicants] are calibrated; at
    most 50,000 applicants are drawn for the AUC.

    Raises:
        DataError: no applicants.

    Source: confidence-based performance estimation; Guillory et al. 2021, "Predicting with Confidence on
    Unseen Distributions"; Garg et al. 2022.
    """
    if not log_odds.size:
        raise DataError("nobody to estimate the performance of")
    generator = np.random.default_rng(seed)
    rows = log_odds.size
    chosen = np.sort(generator.choice(rows, min(rows, MOST_ROWS), replace=False))
    scores, taken = log_odds[chosen], approved[chosen]
    ranks = _mid_ranks(scores)
    lines = generator.multivariate_normal(np.asarray(line), covariance, size=replicates)
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    scale = rows / chosen.size
    for intercept, slope in lines:
        prob = 1 / (1 + np.exp(-(intercept + slope * scores)))
        default = generator.random(chosen.size) < prob
        found["auc"].append(_auc(ranks, default, slope))
        found["default_rate"].append(_rate(default, prob, scale))
        found["approved_default_rate"].append(_rate(default[taken], prob[taken], scale))
    method = CONFIDENCE_BASED.format(replicates=replicates)
    return {name: _estimate(np.array(values), level, method) for name, values in found.items()}


def estimate_error(estimated: Estimate, observed: float | None) -> tuple[float | None, bool | None]:
    """Return observed less estimated, and whether what came true is inside the interval; None where
    unknown."""
    if estimated.value is None or observed is None:
        return None, None
    inside = None
    if estimated.low is not None and estimated.high is not None:
        inside = estimated.low <= observed <= estimated.high
    return observed - estimated.value, inside


def calibration_fit(log_odds: Floats, default: Floats) -> tuple[tuple[float, float], Floats]:
    """Return intercept and slope of the calibration line of known outcomes, and their covariance [2, 2].

    Raises DataError where goods and bads are separated, or one of them is absent.
    """
    from warnings import catch_warnings, simplefilter

    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.tools.sm_exceptions import ConvergenceWarning, PerfectSeparationWarning

    design = np.column_stack([np.ones(log_odds.size), log_odds])
    with catch_warnings():
        simplefilter("error", ConvergenceWarning)
        simplefilter("error", PerfectSeparationWarning)
        try:
            fit = Logit(default, design).fit(disp=0, method="newton")
        except (ConvergenceWarning, PerfectSeparationWarning, np.linalg.LinAlgError, ValueError):
            wrong = "goods and bads are separated, or one of them is absent"
            raise DataError("no calibration line can be found", [wrong]) from None
    intercept, slope = fit.params
    return (float(intercept), float(slope)), np.asarray(fit.cov_params(), dtype=float)


def _auc(ranks: Floats, default: NDArray[np.bool_], slope: float) -> float:
    bads = int(default.sum())
    goods = default.size - bads
    if not bads or not goods:
        return float("nan")
    auc = float((ranks[default].sum() - bads * (bads + 1) / 2) / (bads * goods))
    return auc if slope >= 0 else 1 - auc


def _rate(default: NDArray[np.bool_], prob: Floats, scale: float) -> float:
    """Return a drawn default rate; where only some rows were drawn, its luck is that of all rows."""
    if not default.size:
        return float("nan")
    mean = float(prob.mean())
    luck = float(default.mean()) - mean
    return float(mean + luck / scale**0.5)


def _mid_ranks(values: Floats) -> Floats:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks


def _estimate(draws: Floats, level: float, method: str) -> Estimate:
    known = draws[~np.isnan(draws)]
    if not known.size:
        return Estimate(None, None, None, level, "undefined in every draw")
    low, value, high = np.quantile(known, [(1 - level) / 2, 0.5, (1 + level) / 2])
    return Estimate(float(value), float(low), float(high), level, method)
