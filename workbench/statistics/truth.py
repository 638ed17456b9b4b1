"""How far probabilities are from the true ones, where a made world tells them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.statistics.estimate import Estimate
from workbench.statistics.means import mean_estimate
from workbench.statistics.samples import FloatArray

TINY = float(np.finfo(np.float32).eps)


def prob_errors(
    prob_default: ArrayLike, true_prob_default: ArrayLike, *, level: float
) -> dict[str, Estimate]:
    """Return log_odds_bias and absolute_error of probabilities, with normal intervals.

    log_odds_bias = mean(log-odds of prob - log-odds of true): 0 = right on the whole, above 0 = too high.
    absolute_error = mean |prob - true|: 0 = right for everyone. Probabilities closer to 0 or 1 than single
    precision tells are taken as that close.

    `prob_default`, `true_prob_default`: [0, 1] [applicants].
    """
    prob, true = (np.asarray(values, dtype=np.float64) for values in (prob_default, true_prob_default))
    return {
        "log_odds_bias": mean_estimate(_log_odds(prob) - _log_odds(true), level=level),
        "absolute_error": mean_estimate(np.abs(prob - true), level=level),
    }


def _log_odds(prob: FloatArray) -> FloatArray:
    inside = np.clip(prob, TINY, 1 - TINY)
    return np.asarray(np.log(inside) - np.log1p(-inside))
