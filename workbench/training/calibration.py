"""Platt's calibration, fitted on a sample of its own."""

from __future__ import annotations

from workbench.errors import DataError
from workbench.scorer import Calibration, Floats


def fit_calibration(margin: Floats, default: Floats, *, method: str, least_defaults: int) -> Calibration:
    """Return the calibration of margins (log-odds of default) on the calibration sample.

    Platt: log-odds = intercept + slope x margin by maximum likelihood; neutral at intercept 0, slope 1.
    `method` "none" returns the neutral one. Raises DataError when the sample has fewer defaults or goods
    than `least_defaults`. Source: Platt 1999, "Probabilistic outputs for support vector machines".
    """
    if method == "none":
        return Calibration()
    defaults = int(default.sum())
    goods = default.size - defaults
    if min(defaults, goods) < least_defaults:
        raise DataError(
            f"the calibration sample has {defaults:,} defaults and {goods:,} goods; too small to calibrate",
            [
                f"training.min_calibration_defaults asks for {least_defaults:,} of each",
                "raise data.calibration_share, or set training.calibration to none",
            ],
        )
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=float("inf")).fit(margin.reshape(-1, 1), default)
    return Calibration(intercept=float(model.intercept_[0]), slope=float(model.coef_[0, 0]))
