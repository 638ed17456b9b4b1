import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import DescrStatsW

from workbench.statistics.estimate import Estimate
from workbench.statistics.means import (
    crossed_share,
    jackknife_estimate,
    matched_difference,
    mean_estimate,
    quantile_estimate,
    student_mean,
)

LEVEL = 0.95


def coverage(intervals, truth):
    return float(np.mean([e.low is not None and e.low <= truth <= e.high for e in intervals]))


def least(runs, level=LEVEL):
    return level - 3.5 * np.sqrt(level * (1 - level) / runs)


def test_means_equal_statsmodels():
    values = np.random.default_rng(1).normal(3, 2, 40)
    described = DescrStatsW(values)
    mean, small = mean_estimate(values, level=0.9), student_mean(values, level=0.9)
    assert (mean.low, mean.high) == pytest.approx(described.zconfint_mean(0.1))
    assert (small.low, small.high) == pytest.approx(described.tconfint_mean(0.1))


@pytest.mark.parametrize("mean", [mean_estimate, student_mean])
def test_means_of_nobody_of_one_and_of_equals(mean):
    assert mean([], level=LEVEL).value is None
    for values in ([2.0], [2.0, 2.0]):
        found = mean(values, level=LEVEL)
        assert (found.value, found.low) == (2.0, None)
        assert "no interval" in found.method


@given(st.lists(st.integers(-50, 50), min_size=80, max_size=200), st.sampled_from([0.5, 0.9]))
def test_a_quantile_and_its_ends_are_values_of_the_sample(values, share):
    found = quantile_estimate(values, share, level=LEVEL)
    assert found.low <= found.value <= found.high
    assert {found.low, found.value, found.high} <= set(values)
    assert np.mean(np.array(values) <= found.value) >= share


def test_the_median_of_a_hundred_lies_between_the_40th_and_the_61st():
    found = quantile_estimate(np.arange(100, 0, -1), 0.5, level=LEVEL)
    assert (found.low, found.value, found.high) == (40, 50, 61)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_interval_covers_a_skewed_distribution(share):
    generator, runs = np.random.default_rng(2), 1500
    found = [quantile_estimate(generator.lognormal(size=150), share, level=LEVEL) for _ in range(runs)]
    truth = stats.lognorm.ppf(share, 1)
    assert coverage(found, truth) >= least(runs)


def test_a_quantile_of_too_few_has_no_interval():
    assert quantile_estimate([], 0.95, level=LEVEL).value is None
    for size in (1, 20, 50):
        found = quantile_estimate(range(size), 0.95, level=LEVEL)
        assert found.value is not None
        assert found.low is None
        assert quantile_estimate(range(size), 0.05, level=LEVEL).low is None
    for share in (0.05, 0.95):
        assert quantile_estimate(range(100), share, level=LEVEL).low is not None


def test_matched_difference_by_hand():
    before = [1] * 30 + [0] * 70
    after = [1] * 25 + [0] * 5 + [1] * 15 + [0] * 55
    found = matched_difference(before, after, level=LEVEL)
    assert found.value == pytest.approx(0.10)
    centre = 10 / 102
    margin = 1.959964 * np.sqrt((15.5 + 5.5) / 102 - centre**2) / np.sqrt(102)
    assert (found.low, found.high) == pytest.approx((centre - margin, centre + margin), abs=1e-6)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_a_matched_difference_turns_around_and_stays_in_range(pairs):
    before, after = zip(*pairs, strict=True)
    there, back = matched_difference(before, after, level=0.8), matched_difference(after, before, level=0.8)
    assert there.value == pytest.approx(np.mean(after) - np.mean(before))
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= there.low <= there.value <= there.high <= 1


def test_no_change_is_not_certain():
    found = matched_difference([1, 0] * 50, [1, 0] * 50, level=LEVEL)
    assert found.value == 0
    assert found.low < 0 < found.high
    assert matched_difference([], [], level=LEVEL).value is None


@pytest.mark.parametrize("cells", [(0.02, 0.05), (0.0, 0.01), (0.1, 0.1)])
def test_a_matched_difference_covers(cells):
    lost, gained = cells
    runs, size, generator = 1500, 150, np.random.default_rng(4)
    changes = generator.multinomial(size, [gained, lost, 1 - gained - lost], size=runs)
    found = []
    for up, down, same in changes:
        before = np.repeat([0, 1, 1], [up, down, same])
        after = np.repeat([1, 0, 1], [up, down, same])
        found.append(matched_difference(before, after, level=LEVEL))
    assert coverage(found, gained - lost) >= least(runs)


@pytest.mark.parametrize(("models", "slack"), [(4, 0.03), (10, 0.005)])
def test_a_crossed_share_covers_what_both_samples_leave_open(models, slack):
    generator, runs, size = np.random.default_rng(5), 800, 200
    truth = stats.norm.sf(2 / np.sqrt(2.25))
    found = []
    for _ in range(runs):
        noise = generator.normal(size=(models, size)) + generator.normal(size=size)
        shared = 0.5 * generator.normal(size=(models, 1))
        found.append(crossed_share(noise + shared > 2, level=LEVEL))
    assert coverage(found, truth) >= least(runs) - slack
    assert all(e.low <= e.value <= e.high for e in found if e.low is not None)


def test_applicants_alone_would_leave_the_models_out():
    flips = np.zeros((4, 2000), dtype=bool)
    flips[0], flips[1, :1000] = True, True
    found = crossed_share(flips, level=LEVEL)
    assert found.value == pytest.approx(0.375)
    assert found.high - found.low > 0.8


@pytest.mark.parametrize("flips", [np.zeros((3, 5)), np.ones((3, 5))])
def test_a_share_without_variation_has_no_interval(flips):
    found = crossed_share(flips, level=LEVEL)
    assert (found.value, found.low) == (flips[0, 0], None)


def test_the_jackknife_of_a_mean_is_student_s_on_logarithms():
    values = np.array([2.0, 3.0, 5.0, 4.0])
    left_out = (values.sum() - values) / 3
    found = jackknife_estimate(values.mean(), left_out, level=LEVEL)
    logs = np.log(left_out)
    margin = stats.t.ppf(0.975, 3) * np.sqrt(3 / 4 * ((logs - logs.mean()) ** 2).sum())
    assert (found.low, found.high) == pytest.approx((3.5 * np.exp(-margin), 3.5 * np.exp(margin)))


def test_the_jackknife_takes_an_upward_bias_off_the_value_and_the_low_end():
    plain = jackknife_estimate(1.0, [1.02, 1.03, 1.04], level=LEVEL)
    corrected = jackknife_estimate(1.0, [1.02, 1.03, 1.04], level=LEVEL, bias=True)
    assert corrected.value < plain.value
    assert corrected.low < plain.low
    assert corrected.high == pytest.approx(plain.high)
    assert "bias-corrected" in corrected.method


@pytest.mark.parametrize("left_out", [[1.0, 1.1], [1.0, 1.0, 1.0], [1.0, 0.0, 1.1]])
def test_too_few_or_alike_have_no_jackknife(left_out):
    found = jackknife_estimate(1.0, left_out, level=LEVEL)
    assert isinstance(found, Estimate)
    assert (found.value, found.low) == (1.0, None)
