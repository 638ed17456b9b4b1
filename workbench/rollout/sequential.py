"""Tests and intervals that stay right however often, and whenever, somebody looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, lambertw, xlog1py, xlogy

Floats = NDArray[np.float64]
FIRST_EVENTS = 20
"""Events of either kind that the smaller arm is to expect before its share counts as normal."""


def discordance_e_value(one_way: ArrayLike, other_way: ArrayLike) -> Floats:
    """Return the e-value against "of the pairs that are decided differently, half go either way".

    E = 2^(b + c) B(b + 1, c + 1), b and c the pairs that go one way and the other: the likelihood mixed over
    a uniform share, over the likelihood at 1/2. 1 without such pairs; the chance that E ever reaches 1/alpha
    is at most alpha where the null is true, exactly, at any number of looks. Counts are whole numbers [...].

    Reference: Robbins (1970), Annals of Mathematical Statistics 41: 1397-1409; Ville's inequality as in
    Ramdas, Gruenwald, Vovk and Shafer (2023), Statistical Science 38: 576-601.
    """
    b, c = np.asarray(one_way, dtype=np.float64), np.asarray(other_way, dtype=np.float64)
    exponent: Floats = (b + c) * np.log(2) + betaln(b + 1, c + 1)
    return np.exp(np.minimum(exponent, 700))  # e^700 is the largest that a float holds


def tightest_rho2(n: float, *, alpha: float) -> float:
    """Return the rho^2 for which the boundary of `mixture_margin` is narrowest after n observations.

    rho^2 = (-W(-alpha^2 / e) - 1) / n, W Lambert's function on its lower branch. It is fixed before the first
    look: one that follows the data takes the guarantee away.

    Reference: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Annals of Statistics 52: 2613-2640.
    """
    return float(-lambertw(-(alpha**2) / np.e, k=-1).real - 1) / n


def mixture_margin(n: ArrayLike, *, alpha: float, rho2: float) -> Floats:
    """Return how far a mean of n values with variance 1 may be off, at all n at once, two-sided.

    sqrt(2 (n rho^2 + 1) / (n^2 rho^2) ln(sqrt(n rho^2 + 1) / alpha)): Robbins' normal mixture. Exact for
    normal values with known variance; with an estimated one it holds as the first look moves away from the
    start.

    Reference: Robbins (1970); Howard, Ramdas, McAuliffe and Sekhon (2021), Annals of Statistics 49:
    1055-1080; Waudby-Smith et al. (2024), Annals of Statistics 52: 2613-2640.
    """
    count = np.asarray(n, dtype=np.float64)
    inside = count * rho2 + 1
    found: Floats = np.sqrt(2 * inside / (count**2 * rho2) * np.log(np.sqrt(inside) / alpha))
    return found


def mean_sequence(
    mean: ArrayLike, variance: ArrayLike, n: ArrayLike, *, alpha: float, tightest_at: float
) -> tuple[Floats, Floats]:
    """Return low and high of the confidence sequence for a mean: mean -/+ sqrt(variance) x margin [...].

    `variance` is that of the values, `tightest_at` the n at which the sequence is narrowest.
    """
    margin = mixture_margin(n, alpha=alpha, rho2=tightest_rho2(tightest_at, alpha=alpha))
    centre, width = np.asarray(mean, dtype=np.float64), np.sqrt(variance) * margin
    return centre - width, centre + width


def difference_sequence(
    means: tuple[Any, Any],
    variances: tuple[Any, Any],
    counts: tuple[Any, Any],
    *,
    alpha: float,
    tightest_at: float,
) -> tuple[Floats, Floats]:
    """Return low and high of the confidence sequence for mean 2 - mean 1 of two arms drawn at random.

    Each pair is of arm 1 and arm 2, each member [...]. With n = n1 + n2 the difference is the mean of n
    pseudo-outcomes of variance n (s1^2 / n1 + s2^2 / n2): the difference of means is the doubly robust
    estimate of the effect without covariates.

    Reference: Waudby-Smith et al. (2024), section 3.
    """
    (mean1, mean2), (n1, n2) = (
        (np.asarray(one, dtype=np.float64) for one in pair) for pair in (means, counts)
    )
    total = n1 + n2
    variance = total * (np.asarray(variances[0]) / n1 + np.asarray(variances[1]) / n2)
    return mean_sequence(mean2 - mean1, variance, total, alpha=alpha, tightest_at=tightest_at)


def log_mixture(successes: Floats, n: Floats, share: Floats) -> Floats:
    """Return the logarithm of the likelihood mixed over Beta(1/2, 1/2), over the likelihood at a share [...].

    As a share of independent trials it is a martingale with mean 1 at the true share.
    """
    misses = n - successes
    mixed = betaln(successes + 0.5, misses + 0.5) - betaln(0.5, 0.5)
    found: Floats = mixed - xlogy(successes, share) - xlog1py(misses, -share)
    return found


def equal_shares_e_value(successes: tuple[Any, Any], counts: tuple[Any, Any]) -> Floats:
    """Return the e-value against equal shares in two arms [...]: the mixtures of both, at the common share.

    The product of `log_mixture` is a martingale at the true share however applicants come to the arms, and
    the common share gives the smallest: the chance that E ever reaches 1/alpha is at most alpha, exactly.

    Reference: Robbins (1970); Turner and Gruenwald (2023), Statistics and Probability Letters 198: 109835.
    """
    (k1, k2), (n1, n2) = _floats(successes), _floats(counts)
    common = (k1 + k2) / np.maximum(n1 + n2, 1)
    exponent: Floats = log_mixture(k1, n1, common) + log_mixture(k2, n2, common)
    return np.exp(np.minimum(exponent, 700))


def rates_sequence(
    successes: tuple[Any, Any], counts: tuple[Any, Any], *, alpha: float, tightest_at: float
) -> tuple[Floats, Floats]:
    """Return low and high of the confidence sequence for share 2 - share 1 of two arms [...].

    As `difference_sequence`, the variance of an arm its own or that of both together, whichever is larger.
    Until the smaller arm has `FIRST_EVENTS` expected of either outcome (n p (1 - p), p of both together) its
    share is far from normal, and `exact_rates_sequence`, about half as wide again, stands in.
    """
    (k1, k2), (n1, n2) = _floats(successes), _floats(counts)
    common = share_variance(k1 + k2, n1 + n2)
    enough = np.minimum(n1, n2) * common >= FIRST_EVENTS
    variances = tuple(np.maximum(share_variance(k, n), common) for k, n in ((k1, n1), (k2, n2)))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = difference_sequence(
            (k1 / n1, k2 / n2), (variances[0], variances[1]), (n1, n2), alpha=alpha, tightest_at=tightest_at
        )
    if not np.all(enough):
        exact = exact_rates_sequence(successes, counts, alpha=alpha)
        found = np.where(enough, found[0], exact[0]), np.where(enough, found[1], exact[1])
    return found


def exact_rates_sequence(
    successes: tuple[Any, Any], counts: tuple[Any, Any], *, alpha: float
) -> tuple[Floats, Floats]:
    """Return low and high of an exact confidence sequence for share 2 - share 1 of two arms [...].

    All shares p1, p2 with M1(p1) M2(p2) < 1 / alpha, M the mixture of `log_mixture`, seen from the side. The
    ends are where the slopes are equal and opposite, (n p - k) / (p (1 - p)) = +/- mu, found by halving. An
    arm without trials says nothing.

    Reference: as `equal_shares_e_value`.
    """
    (k1, k2), (n1, n2) = _floats(successes), _floats(counts)
    bound = float(np.log(1 / alpha))
    return _steepest(k1, n1, k2, n2, bound), -_steepest(k2, n2, k1, n1, bound)


def _steepest(k1: Floats, n1: Floats, k2: Floats, n2: Floats, bound: float) -> Floats:
    """Return the smallest p2 - p1 that the mixtures do not exclude."""

    def ends(log_slope: Floats) -> tuple[Floats, Floats]:
        slope = np.exp(log_slope)  # p1 above its share; p2 below its own, so that what it misses is above
        return _at_slope(k1, n1, slope), 1 - _at_slope(n2 - k2, n2, slope)

    small = np.full(np.broadcast(k1, k2).shape, -30.0)
    large = small + 90
    for _ in range(60):
        middle = (small + large) / 2
        p1, p2 = ends(middle)
        outside = log_mixture(k1, n1, p1) + log_mixture(k2, n2, p2) >= bound
        small, large = np.where(outside, small, middle), np.where(outside, middle, large)
    p1, p2 = ends(large)
    return p2 - p1


def _at_slope(k: Floats, n: Floats, slope: Floats) -> Floats:
    """Return p with (n p - k) / (p (1 - p)) = slope: the root of slope p^2 + (n - slope) p - k in [0, 1]."""
    linear = n - slope
    root = np.sqrt(linear**2 + 4 * slope * k)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(linear > 0, 2 * k / (linear + root), (root - linear) / (2 * slope))
    return found


def share_variance(successes: Floats, n: Floats) -> Floats:
    """Return p (1 - p) at p = (successes + 1) / (n + 2), Laplace's rule: never 0 by chance."""
    share = (successes + 1) / (n + 2)
    found: Floats = share * (1 - share)
    return found


def _floats(pair: tuple[Any, Any]) -> tuple[Floats, Floats]:
    first, second = (np.asarray(one, dtype=np.float64) for one in pair)
    return first, second


def paired_variance(one_way: ArrayLike, other_way: ArrayLike, n: ArrayLike) -> Floats:
    """Return the variance of +1 (b pairs), -1 (c pairs) and 0 (the others), with one more pair each way."""
    b, c = np.asarray(one_way, dtype=np.float64) + 1, np.asarray(other_way, dtype=np.float64) + 1
    count = np.asarray(n, dtype=np.float64) + 2
    found: Floats = (b + c) / count - ((b - c) / count) ** 2
    return found
