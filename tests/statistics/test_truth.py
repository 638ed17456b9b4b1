import numpy as np
import pytest
from scipy.special import expit, logit

from workbench.statistics.truth import prob_errors

TRUE = np.array([0.1, 0.2, 0.4, 0.7])


def test_the_truth_has_no_error():
    found = prob_errors(TRUE, TRUE, level=0.95)
    assert [found[name].value for name in ("log_odds_bias", "absolute_error")] == [0, 0]


@pytest.mark.parametrize("bias", [-0.5, 0.3])
def test_a_bias_is_found_with_its_sign(bias):
    found = prob_errors(expit(logit(TRUE) + bias), TRUE, level=0.95)
    assert found["log_odds_bias"].value == pytest.approx(bias)
    assert found["absolute_error"].value == pytest.approx(np.abs(expit(logit(TRUE) + bias) - TRUE).mean())


def test_certainty_is_as_far_as_single_precision_tells():
    found = prob_errors([0.0, 1.0], [0.5, 0.5], level=0.95)
    assert found["log_odds_bias"].value == pytest.approx(0, abs=1e-12)
    assert found["absolute_error"].value == 0.5


def test_the_interval_of_the_bias_covers():
    draw, hits = np.random.default_rng(4), 0
    for _ in range(500):
        true = expit(draw.normal(size=200))
        found = prob_errors(expit(logit(true) + 0.2 + 0.5 * draw.normal(size=200)), true, level=0.95)
        hits += found["log_odds_bias"].low <= 0.2 <= found["log_odds_bias"].high
    assert hits / 500 == pytest.approx(0.95, abs=0.03)
