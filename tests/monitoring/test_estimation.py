"""Performance said before outcomes: its intervals hold what comes true, while the relation is the same."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.monitoring.estimation import calibration_fit, estimate_error, estimated_performance
from workbench.statistics.estimate import Estimate


def drawn(count, seed, shift=0.0):
    """Log-odds and outcomes that follow them."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-1.5 + shift, 1.2, count)
    return log_odds, (generator.random(count) < 1 / (1 + np.exp(-log_odds))).astype(float)


def estimated(log_odds, reference, seed=1, cutoff=-0.8):
    line, covariance = calibration_fit(*reference)
    return estimated_performance(
        log_odds, log_odds <= cutoff, line=line, covariance=covariance, level=0.95, replicates=200, seed=seed
    )


def test_intervals_hold_what_comes_true():
    inside = {"auc": 0, "default_rate": 0, "approved_default_rate": 0}
    for seed in range(120):
        log_odds, default = drawn(600, 1000 + seed, shift=0.4)  # other applicants, the same relation
        found = estimated(log_odds, drawn(900, seed), seed)
        taken = log_odds <= -0.8
        came_true = {
            "auc": roc_auc_score(default, log_odds),
            "default_rate": default.mean(),
            "approved_default_rate": default[taken].mean(),
        }
        for name, value in came_true.items():
            inside[name] += estimate_error(found[name], float(value))[1]
    assert min(inside.values()) >= 108  # 95 percent of 120, less three standard deviations
    assert max(inside.values()) <= 120


def test_few_known_outcomes_make_it_less_sure():
    log_odds, _ = drawn(2000, 5)
    widths = [
        (lambda found: found.high - found.low)(estimated(log_odds, drawn(count, 6))["auc"])
        for count in (200, 20_000)
    ]
    assert widths[0] > 1.3 * widths[1]


def test_a_changed_relation_is_what_it_cannot_see():
    log_odds, _ = drawn(4000, 7)
    found = estimated(log_odds, drawn(4000, 8))["auc"]
    generator = np.random.default_rng(9)
    unrelated = generator.random(4000) < 0.2
    error, inside = estimate_error(found, roc_auc_score(unrelated, log_odds))
    assert inside is False
    assert error < -0.2


def test_a_large_batch_is_estimated_from_a_draw():
    log_odds, default = drawn(120_000, 3)
    found = estimated(log_odds, drawn(50_000, 4))
    assert found["auc"].low <= roc_auc_score(default, log_odds) <= found["auc"].high
    assert found["default_rate"].low <= default.mean() <= found["default_rate"].high


def test_where_nobody_is_approved_their_rate_is_undefined():
    log_odds, _ = drawn(500, 3)
    found = estimated(log_odds, drawn(500, 4), cutoff=-99.0)
    assert found["approved_default_rate"].value is None


def test_the_fit_is_that_of_statsmodels_line():
    (intercept, slope), covariance = calibration_fit(*drawn(30_000, 2))
    assert (intercept, slope) == (pytest.approx(0, abs=0.06), pytest.approx(1, abs=0.05))
    assert covariance.shape == (2, 2)


def test_what_cannot_be_is_refused():
    with pytest.raises(DataError, match="nobody"):
        estimated(np.empty(0), drawn(500, 1))
    log_odds, _ = drawn(100, 1)
    with pytest.raises(DataError, match="no calibration line"):
        calibration_fit(log_odds, np.zeros(100))


def test_an_error_needs_both():
    known = Estimate(0.7, 0.6, 0.8, 0.95, "x")
    assert estimate_error(known, None) == (None, None)
    assert estimate_error(known, 0.8) == (pytest.approx(0.1), True)
    assert estimate_error(Estimate(None, None, None, 0.95, "x"), 0.8) == (None, None)
