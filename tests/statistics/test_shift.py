import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from workbench.errors import DataError
from workbench.statistics.bins import divergence, psi_null_quantile
from workbench.statistics.shift import homogeneity_p_value, psi_critical, psi_test

COUNTS = st.lists(st.integers(1, 300), min_size=3, max_size=3)


def rejections(first, second, shares, *, runs, replicates=100, level=0.95):
    generator = np.random.default_rng(7)
    tests = [
        psi_test(
            generator.multinomial(first, shares),
            generator.multinomial(second, shares),
            level=level,
            replicates=replicates,
            seed=seed,
        )
        for seed in range(runs)
    ]
    beyond = [t.critical is not None and t.value > t.critical for t in tests]
    assert beyond == [t.p_value is not None and t.p_value < 1 - level for t in tests]
    return float(np.mean(beyond))


def test_the_critical_value_by_hand():
    assert psi_critical(1000, 500, 10) == pytest.approx(0.003 * 16.918978, abs=1e-8)
    assert psi_critical(1000, 500, 10, level=0.99) == pytest.approx(0.003 * chi2.ppf(0.99, 9))


def test_large_samples_are_judged_by_chi_squared():
    found = psi_test([500, 500], [450, 550], seed=1)
    by_hand = (0.45 - 0.5) * np.log(0.9) + (0.55 - 0.5) * np.log(1.1)
    assert found.value == pytest.approx(by_hand)
    assert found.p_value == pytest.approx(chi2.sf(by_hand / 0.002, 1))
    assert found.critical == pytest.approx(psi_critical(1000, 1000, 2))
    assert (found.bins, found.method) == (2, "chi-squared, 1 degrees of freedom")


@pytest.mark.parametrize(
    ("first", "second", "shares"),
    [
        (2000, 1500, [0.1] * 10),
        (1000, 100, [0.1] * 10),
        (200, 200, [0.05] + [0.95 / 9] * 9),
        (5000, 1000, [0.001] + [0.999 / 4] * 4),
    ],
)
def test_unchanged_samples_are_rejected_as_often_as_promised(first, second, shares):
    runs = 600
    rate = rejections(first, second, shares, runs=runs)
    assert abs(rate - 0.05) < 4 * np.sqrt(0.05 * 0.95 / runs)


def test_chi_squared_alone_would_reject_small_samples_too_often():
    generator, shares = np.random.default_rng(3), [0.1] * 10
    samples = (generator.multinomial(size, shares, size=20_000) for size in (1000, 100))
    assert np.mean(divergence(*samples) > psi_critical(1000, 100, 10)) > 0.065


def test_a_bin_that_few_are_in_is_not_rejected_more_often_than_promised():
    assert rejections(500, 50, [0.001, 0.999], runs=400) < 0.05 + 4 * np.sqrt(0.05 * 0.95 / 400)


def test_the_small_sample_critical_value_is_near_the_simulated_one():
    before = np.full(10, 100)
    after = np.full(10, 10)
    found = psi_test(before, after, replicates=4000, seed=1)
    assert "two moments" in found.method
    assert found.critical == pytest.approx(psi_null_quantile(before, 100, replicates=8000, seed=2), rel=0.04)


@pytest.mark.parametrize(("smallest", "words"), [(50, "degrees of freedom"), (49, "two moments")])
def test_the_line_between_the_two_ways(smallest, words):
    counts = [smallest, 1000 - smallest]
    assert words in psi_test(counts, counts, seed=1).method


@given(COUNTS, COUNTS)
def test_the_order_of_the_bins_and_of_the_samples_does_not_matter_much(first, second):
    found = psi_test(first, second, replicates=50, seed=1)
    turned = psi_test(first[::-1], second[::-1], replicates=50, seed=1)
    assert found.value == pytest.approx(turned.value)
    assert found.value == pytest.approx(psi_test(second, first, replicates=50, seed=1).value)
    assert 0 <= found.p_value <= 1


def test_further_apart_is_less_likely():
    p_values = [psi_test([30, 30, 30], [30 - step, 30, 30 + step], seed=1).p_value for step in (0, 5, 10, 20)]
    assert p_values[0] == 1
    assert p_values == sorted(p_values, reverse=True)
    assert p_values[-1] < 0.01


def test_empty_bins_do_not_count_and_one_bin_cannot_be_tested():
    assert psi_test([60, 0, 60], [60, 0, 60], seed=1).bins == 2
    found = psi_test([60, 0], [40, 0], seed=1)
    assert (found.value, found.critical, found.p_value, found.bins) == (0.0, None, None, 1)
    assert "one bin" in found.method


def test_counts_that_do_not_match_are_refused():
    with pytest.raises(DataError, match="lengths differ"):
        psi_test([1, 2], [1, 2, 3], seed=1)
    with pytest.raises(DataError, match="adds up to 0"):
        psi_test([1, 2], [0, 0], seed=1)


@pytest.mark.parametrize(
    ("shares", "before", "after"),
    [([0.1] * 10, 3000, 800), ([0.6, 0.3, 0.07, 0.02, 0.008, 0.002], 3000, 200), ([0.5, 0.5], 100, 100)],
)
def test_homogeneity_is_right_out_in_the_tail(shares, before, after):
    generator = np.random.default_rng(1)
    drawn = [
        (generator.multinomial(before, shares), generator.multinomial(after, shares)) for _ in range(6000)
    ]
    p_values = np.array([homogeneity_p_value(*counts) for counts in drawn])
    for bound in (0.05, 0.01):
        assert np.mean(p_values <= bound) <= bound + 4 * np.sqrt(bound * (1 - bound) / 6000)


def test_homogeneity_is_scipys_where_no_bin_is_small():
    from scipy.stats import chi2_contingency

    before, after = [300, 500, 200], [90, 120, 90]
    assert homogeneity_p_value(before, after) == pytest.approx(chi2_contingency([before, after]).pvalue)


def test_homogeneity_puts_small_bins_together():
    assert homogeneity_p_value([100, 100, 1], [50, 50, 1]) == homogeneity_p_value([100, 101], [50, 51])
    assert homogeneity_p_value([100], [50]) is None
    assert homogeneity_p_value([100, 0], [50, 0]) is None
    assert homogeneity_p_value([3, 1], [1, 1]) is None
