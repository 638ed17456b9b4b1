import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import ttest_1samp
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from workbench.errors import DataError
from workbench.validation.calibration import (
    brier_score,
    brier_skill,
    calibration_in_the_large,
    calibration_line,
    calibration_table,
    compare_losses,
    log_loss,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.floats(0.001, 0.999)), min_size=2, max_size=50)


def simulated(generator, size=1000, slope=1.0, shift=0.0):
    """Applicants whose log-odds of default are shift + slope x the model's."""
    log_odds = generator.normal(-1.5, 1, size)
    return (generator.random(size) < expit(shift + slope * log_odds)).astype(int), expit(log_odds)


def tolerance(runs, level=0.95):
    return 3.5 * np.sqrt(level * (1 - level) / runs)


def holds(estimate, truth):
    return estimate.low <= truth <= estimate.high


@given(ROWS)
def test_losses_equal_scikit_learn(rows):
    default, prob = zip(*rows, strict=True)
    assert brier_score(default, prob).value == pytest.approx(brier_score_loss(default, prob, labels=[0, 1]))
    assert log_loss(default, prob).value == pytest.approx(sklearn_log_loss(default, prob, labels=[0, 1]))


def test_a_certain_and_wrong_prediction_costs_a_finite_loss():
    assert log_loss([1, 0], [0.0, 0.0]).value == pytest.approx(-np.log(1e-15) / 2)


def test_more_defaults_than_expected_is_above_zero():
    assert calibration_in_the_large([1, 1, 0, 0], [0.25] * 4).value == 0.25


def test_the_table_counts_everyone_once_from_riskiest_to_safest():
    default, prob = simulated(np.random.default_rng(1))
    table = calibration_table(default, prob, bands=8)
    assert table["band"].to_list() == list(range(1, 9))
    assert table["applicants"].to_list() == [125] * 8
    assert table["defaults"].sum() == default.sum()
    assert table["expected_default_rate"].is_sorted(descending=True)
    weighted = (table["expected_default_rate"] * table["applicants"]).sum()
    assert weighted == pytest.approx(prob.sum())
    riskiest = np.sort(prob)[-125:]
    assert table["observed_default_rate"][0] == default[prob >= riskiest[0]].mean()


@pytest.mark.parametrize(("prob", "bands"), [([0.2] * 6, 1), ([0.1] * 3 + [0.4] * 3, 2)])
def test_tied_probabilities_share_a_band(prob, bands):
    table = calibration_table([0, 0, 1, 0, 1, 1], prob)
    assert table.height == bands
    assert table["applicants"].sum() == 6


def test_one_band_is_refused():
    with pytest.raises(DataError, match="at least 2"):
        calibration_table([0, 1], [0.1, 0.2], bands=1)


def test_the_line_equals_a_glm_fitted_independently():
    default, prob = simulated(np.random.default_rng(2))
    log_odds = np.log(prob / (1 - prob))
    line = calibration_line(default, prob)
    joint = sm.GLM(default, sm.add_constant(log_odds), family=sm.families.Binomial()).fit(tol=1e-12)
    fixed = sm.GLM(default, np.ones(1000), family=sm.families.Binomial(), offset=log_odds).fit(tol=1e-12)
    assert [line.intercept.value, line.slope.value] == pytest.approx(joint.params, abs=1e-8)
    assert [line.slope.low, line.slope.high] == pytest.approx(joint.conf_int()[1], abs=1e-6)
    assert line.intercept_slope_one.value == pytest.approx(fixed.params[0], abs=1e-8)


def test_too_extreme_probabilities_have_a_slope_below_one_and_missed_defaults_an_intercept_above_zero():
    line = calibration_line(*simulated(np.random.default_rng(3), size=5000, slope=0.6, shift=0.4))
    assert line.slope.high < 1
    assert line.intercept_slope_one.low > 0


def test_a_constant_has_no_slope_but_a_level():
    line = calibration_line([0, 1, 0, 1], [0.2] * 4)
    assert (line.slope.value, line.intercept.value) == (None, None)
    assert "equal" in line.slope.method
    assert line.intercept_slope_one.value == pytest.approx(np.log(1) - np.log(0.25))


def test_separation_is_undefined_and_says_so():
    line = calibration_line([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert line.slope.value is None
    assert "separated" in line.slope.method


def test_certain_probabilities_stay_finite():
    assert calibration_line([0, 1, 0, 1, 1], [0.0, 1.0, 0.4, 0.3, 0.6]).slope.method


def test_compare_losses_equals_the_paired_t_statistic_and_is_below_zero_for_the_better_challenger():
    default, prob = simulated(np.random.default_rng(4))
    naive = np.full(1000, default.mean())
    comparison = compare_losses(default, naive, prob)
    assert comparison.difference.value < 0
    expected = ttest_1samp((prob - default) ** 2 - (naive - default) ** 2, 0).statistic
    assert comparison.z == pytest.approx(expected)
    assert compare_losses(default, prob, prob).p_value is None


def test_brier_skill_is_one_less_the_ratio_and_zero_for_the_naive_rate_itself():
    default, prob = simulated(np.random.default_rng(5))
    ratio = brier_score(default, prob).value / brier_score(default, np.full(1000, 0.3)).value
    assert brier_skill(default, prob, naive_rate=0.3).value == pytest.approx(1 - ratio)
    assert brier_skill(default, np.full(1000, 0.3), naive_rate=0.3).value == 0
    assert brier_skill([0, 0], [0.1, 0.1], naive_rate=0).value is None


def test_a_naive_rate_that_is_no_share_is_refused():
    with pytest.raises(DataError, match="share in"):
        brier_skill([0, 1], [0.1, 0.2], naive_rate=20)


@pytest.mark.parametrize(
    "measure", [brier_score, log_loss, calibration_table, calibration_in_the_large, calibration_line]
)
def test_probabilities_that_are_none_are_refused(measure):
    with pytest.raises(DataError, match=r"outside \[0, 1\] in 1 of 3") as caught:
        measure([0, 1, 0], [0.1, -0.5, np.nan])
    assert "missing in 1 of 3" in str(caught.value)


@pytest.mark.parametrize("measure", [brier_score, log_loss])
def test_a_single_applicant_has_no_interval(measure):
    assert measure([1], [0.3]).low is None


def test_intervals_cover():
    generator, runs = np.random.default_rng(6), 600
    many = simulated(generator, size=400_000)
    truths = {name: score(*many).value for name, score in (("brier", brier_score), ("log", log_loss))}
    truths["skill"] = brier_skill(*many, naive_rate=0.2).value
    hits = dict.fromkeys([*truths, "slope", "intercept", "slope one"], 0)
    in_the_large = 0
    for _ in range(runs):
        sample = simulated(generator, size=800)
        line = calibration_line(*sample)
        hits["slope"] += holds(line.slope, 1)
        hits["intercept"] += holds(line.intercept, 0)
        hits["slope one"] += holds(line.intercept_slope_one, 0)
        hits["brier"] += holds(brier_score(*sample), truths["brier"])
        hits["log"] += holds(log_loss(*sample), truths["log"])
        hits["skill"] += holds(brier_skill(*sample, naive_rate=0.2), truths["skill"])
        in_the_large += holds(calibration_in_the_large(*sample), 0)
    assert {name: count / runs for name, count in hits.items()} == pytest.approx(
        dict.fromkeys(hits, 0.95), abs=tolerance(runs)
    )
    assert in_the_large / runs >= 0.95 - tolerance(runs)  # a little too wide by design
