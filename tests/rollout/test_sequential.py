"""Against brute force, and the share of simulated rollouts that are ever called wrong. Seeds are fixed."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from workbench.rollout import sequential
from workbench.rollout.sequential import (
    difference_sequence,
    discordance_e_value,
    equal_shares_e_value,
    exact_rates_sequence,
    log_mixture,
    mean_sequence,
    mixture_margin,
    paired_variance,
    rates_sequence,
    tightest_rho2,
)

LOOKS, SIMULATIONS = 2_000, 2_000


def arms(generator, p1, p2, share, *, step, simulations=SIMULATIONS, looks=LOOKS):
    """Counts of two arms at every look, `step` applicants between two of them."""
    n2 = np.cumsum(generator.binomial(step, share, (simulations, looks)), axis=1)
    n1 = np.arange(1, looks + 1) * step - n2
    new = [np.diff(n, prepend=0, axis=1) for n in (n1, n2)]
    k1, k2 = (np.cumsum(generator.binomial(n, p), axis=1) for n, p in zip(new, (p1, p2), strict=True))
    return (k1, k2), (n1, n2)


def ever(crossed):
    return float(crossed.any(axis=1).mean())


# Brute force


@pytest.mark.parametrize(("b", "c"), [(0, 0), (3, 1), (0, 12), (40, 25)])
def test_the_e_value_of_discordant_pairs_is_the_integral_of_the_likelihood_ratio(b, c):
    expected, _ = quad(lambda p: p**b * (1 - p) ** c * 2.0 ** (b + c), 0, 1)
    assert discordance_e_value(b, c) == pytest.approx(expected, rel=1e-8)


def test_the_mixture_is_the_integral_over_jeffreys_prior():
    k, n, share = 7.0, 30.0, 0.3

    def weighed(p):
        return p ** (k - 0.5) * (1 - p) ** (n - k - 0.5) / np.pi

    expected = quad(weighed, 0, 1)[0] / (share**k * (1 - share) ** (n - k))
    assert np.exp(log_mixture(*map(np.asarray, (k, n, share)))) == pytest.approx(expected, rel=1e-6)


def test_a_martingale_keeps_its_mean_of_one():
    n = np.arange(31.0)
    chances = np.exp(gammaln(31) - gammaln(n + 1) - gammaln(31 - n) - 30 * np.log(2))
    assert (chances * discordance_e_value(n, 30 - n)).sum() == pytest.approx(1)
    at = np.exp(log_mixture(n, np.full(31, 30.0), np.full(31, 0.5)))
    assert (chances * at).sum() == pytest.approx(1)


@pytest.mark.parametrize("alpha", [0.05, 0.0125])
def test_the_boundary_is_robbins_and_narrowest_where_it_was_asked_to_be(alpha):
    rho2 = tightest_rho2(1_000, alpha=alpha)
    found = minimize_scalar(
        lambda log: float(mixture_margin(1_000, alpha=alpha, rho2=np.exp(log))), bounds=(-15, 3)
    )
    assert np.log(rho2) == pytest.approx(found.x, abs=1e-3)
    n, margin = 700, float(mixture_margin(700, alpha=alpha, rho2=rho2))
    mixed, _ = quad(  # the mixture of exp(t S - n t^2 / 2) over t ~ N(0, rho2) is 1/alpha on the boundary
        lambda t: np.exp(t * n * margin - n * t * t / 2 - t * t / (2 * rho2)) / np.sqrt(2 * np.pi * rho2),
        -3,
        3,
        points=[0, margin],
        limit=500,
    )
    assert mixed == pytest.approx(1 / alpha, rel=1e-6)


COUNTS = [
    (3, 50, 10, 40),
    (0, 100, 0, 30),
    (100, 100, 30, 30),
    (0, 5, 5, 5),
    (500, 1000, 20, 50),
    (0, 0, 3, 9),
]


@pytest.mark.parametrize("counts", COUNTS)
def test_exact_rates_are_the_edges_of_the_region_on_a_grid(counts):
    k1, n1, k2, n2 = map(float, counts)
    share = np.linspace(1e-5, 1 - 1e-5, 2_001)
    inside = log_mixture(k1, n1, share)[:, None] + log_mixture(k2, n2, share)[None] < np.log(20)
    first, second = np.nonzero(inside)
    gaps = share[second] - share[first]
    low, high = exact_rates_sequence((k1, k2), (n1, n2), alpha=0.05)
    assert low == pytest.approx(gaps.min(), abs=2e-3)
    assert high == pytest.approx(gaps.max(), abs=2e-3)
    common = log_mixture(k1, n1, share) + log_mixture(k2, n2, share)
    assert equal_shares_e_value((k1, k2), (n1, n2)) == pytest.approx(np.exp(common.min()), rel=2e-2)


def test_two_arms_are_the_mean_of_pseudo_outcomes():
    generator = np.random.default_rng(1)
    one, two = generator.normal(0, 1, 300), generator.normal(1, 2, 100)
    pseudo = np.concatenate([-(one - one.mean()) * 4 / 3, (two - two.mean()) * 4]) + two.mean() - one.mean()
    expected = mean_sequence(pseudo.mean(), pseudo.var(), 400, alpha=0.05, tightest_at=1_000)
    found = difference_sequence(
        (one.mean(), two.mean()), (one.var(), two.var()), (300, 100), alpha=0.05, tightest_at=1_000
    )
    assert np.allclose(found, expected)


def test_rates_are_exact_until_both_outcomes_are_expected_often_enough():
    args = {"alpha": 0.05, "tightest_at": 10_000}
    few, many = ((1, 1), (400, 400)), ((100, 100), (400, 400))
    exact = exact_rates_sequence(*few, alpha=0.05)
    assert np.allclose(rates_sequence(*few, **args), exact)
    assert np.ptp(rates_sequence(*many, **args)) < np.ptp(exact_rates_sequence(*many, alpha=0.05))
    assert np.allclose(
        rates_sequence((0, 0), (0, 50), **args), exact_rates_sequence((0, 0), (0, 50), alpha=0.05)
    )


def test_pairs_without_a_difference_still_have_a_variance():
    assert paired_variance(0, 0, 98) == pytest.approx(0.02)


# Nothing is ever called wrong more often than alpha: 2,000 simulations of 2,000 looks each


def test_discordant_pairs_under_the_null():
    up = np.cumsum(np.random.default_rng(7).random((SIMULATIONS, LOOKS)) < 0.5, axis=1)
    e_values = discordance_e_value(up, np.arange(1, LOOKS + 1) - up)
    assert 0.01 < ever(e_values >= 20) <= 0.05


@pytest.mark.parametrize(("p", "step"), [(0.8, 20), (0.05, 20), (0.002, 400)])
@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize("alpha", [0.05, 0.05 / 7])
def test_rates_of_two_arms_under_the_null(p, step, share, alpha, monkeypatch):
    """The asymptotic part alone, from its first look on; the exact one is tried below."""
    nothing = np.full((SIMULATIONS, LOOKS), np.nan)
    monkeypatch.setattr(sequential, "exact_rates_sequence", lambda *_, **__: (nothing, nothing))
    successes, counts = arms(np.random.default_rng(11), p, p, share, step=step)
    low, high = rates_sequence(successes, counts, alpha=alpha, tightest_at=10_000)
    assert ever((low > 0) | (high < 0)) <= alpha


def test_exact_rates_under_the_null():
    """2,000 simulations of 200 looks: exact is exact at any number, and each look is a search."""
    successes, counts = arms(np.random.default_rng(12), 0.03, 0.03, 0.1, step=40, looks=200)
    low, high = exact_rates_sequence(successes, counts, alpha=0.05)
    assert ever((low > 0) | (high < 0)) <= 0.05
    assert ever(equal_shares_e_value(successes, counts) >= 20) <= 0.05
    assert np.array_equal((low > 0) | (high < 0), equal_shares_e_value(successes, counts) >= 20)


@pytest.mark.parametrize("rate", [0.1, 0.005])
def test_paired_decisions_under_the_null(rate):
    moved = np.random.default_rng(13).multinomial(5, [rate, rate, 1 - 2 * rate], (SIMULATIONS, LOOKS))
    up, down = (np.cumsum(moved[..., way], axis=1) for way in (0, 1))
    n = np.arange(1, LOOKS + 1) * 5
    low, high = mean_sequence(
        (up - down) / n, paired_variance(up, down, n), n, alpha=0.05, tightest_at=10_000
    )
    assert ever(((low > 0) | (high < 0)) & (n >= 500)) <= 0.05


@pytest.mark.parametrize("share", [0.5, 0.05])
def test_skewed_times_of_two_arms_under_the_null(share):
    """1,000 simulations of 2,000 looks, lognormal times, from 500 of each arm on."""
    generator = np.random.default_rng(14)
    n2 = np.cumsum(generator.binomial(20, share, (1_000, LOOKS)), axis=1)
    n1 = np.arange(1, LOOKS + 1) * 20 - n2

    def moments(n):
        values = generator.lognormal(0, 1, (1_000, int(n.max()))).astype(np.float32)
        at = np.maximum(n, 2) - 1
        sums, squares = (
            np.take_along_axis(np.cumsum(v, axis=1, dtype=np.float64), at, 1) for v in (values, values**2)
        )
        mean = sums / (at + 1)
        return mean, (squares - (at + 1) * mean**2) / at

    (mean1, spread1), (mean2, spread2) = moments(n1), moments(n2)
    n1, n2 = np.maximum(n1, 2), np.maximum(n2, 2)
    low, high = difference_sequence(
        (mean1, mean2), (spread1, spread2), (n1, n2), alpha=0.05, tightest_at=10_000
    )
    assert ever(((low > 0) | (high < 0)) & (np.minimum(n1, n2) >= 500)) <= 0.05


# Power: 500 simulations


def test_a_worse_canary_is_found():
    successes, counts = arms(np.random.default_rng(15), 0.03, 0.05, 0.2, step=200, simulations=500, looks=200)
    low, _ = rates_sequence(successes, counts, alpha=0.05 / 7, tightest_at=10_000)
    assert ever(low > 0) > 0.95


def test_a_shadow_that_changes_decisions_one_way_is_found():
    up = np.cumsum(np.random.default_rng(16).random((500, 500)) < 0.65, axis=1)
    assert ever(discordance_e_value(up, np.arange(1, 501) - up) >= 60) > 0.95
