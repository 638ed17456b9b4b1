"""The main numbers once more, by libraries that the workbench does not compute them with."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.samples import FloatArray, checked_sample

REPERFORMED = pl.Schema(
    {"measure": pl.String, "library": pl.String, "value": pl.Float64, "again": pl.Float64}
    | {"difference": pl.Float64}
)


def reperformance_table(
    default: ArrayLike, prob_default: ArrayLike, *, found: Mapping[str, float]
) -> pl.DataFrame:
    """Compute named measures again and return what was found, what came out, and the difference.

    `found` holds values by measure: auc, average_precision, brier_score, log_loss and slope are computed
    again by scikit-learn, ks by SciPy. difference = again - value; 0 = both agree, up to rounding. `default`:
    0 or 1, `prob_default`: [0, 1], both [applicants]. Undefined values (nan) give no difference.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, one class only.
        KeyError: a measure that is not among these.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default}, both_classes=True)
    rows = []
    for measure, value in found.items():
        library, compute = _MEASURES[measure]
        again = compute(bad, prob)
        rows.append(
            {"measure": measure, "library": library, "value": value}
            | {"again": again, "difference": again - value}
        )
    return pl.DataFrame(rows, schema=REPERFORMED).fill_nan(None)


def _auc(bad: FloatArray, prob: FloatArray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(bad, prob))


def _average_precision(bad: FloatArray, prob: FloatArray) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(bad, prob))


def _brier_score(bad: FloatArray, prob: FloatArray) -> float:
    from sklearn.metrics import brier_score_loss

    return float(brier_score_loss(bad, prob))


def _log_loss(bad: FloatArray, prob: FloatArray) -> float:
    from sklearn.metrics import log_loss

    return float(log_loss(bad, prob))


def _ks(bad: FloatArray, prob: FloatArray) -> float:
    from scipy.stats import ks_2samp

    return float(ks_2samp(prob[bad == 1], prob[bad == 0], method="asymp").statistic)


def _slope(bad: FloatArray, prob: FloatArray) -> float:
    from sklearn.linear_model import LogisticRegression

    clipped = np.clip(prob, 1e-15, 1 - 1e-15)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    if np.ptp(log_odds) == 0:
        return float("nan")
    model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10)
    return float(model.fit(log_odds[:, None], bad).coef_[0, 0])


_MEASURES: Mapping[str, tuple[str, Callable[[FloatArray, FloatArray], float]]] = {
    "auc": ("scikit-learn", _auc),
    "average_precision": ("scikit-learn", _average_precision),
    "ks": ("SciPy", _ks),
    "brier_score": ("scikit-learn", _brier_score),
    "log_loss": ("scikit-learn", _log_loss),
    "slope": ("scikit-learn", _slope),
}
