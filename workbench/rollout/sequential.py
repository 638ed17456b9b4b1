"""Tests and intervals that stay right however often, and whenever, somebody looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaln, lambertw

Floats = NDArray[np.float64]


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


def share_variance(successes: ArrayLike, n: ArrayLike) -> Floats:
    """Return p (1 - p) at p = (successes + 1) / (n + 2): never 0, so that no share is certain by chance.

    Reference: Laplace's rule of succession.
    """
    share = (np.asarray(successes, dtype=np.float64) + 1) / (np.asarray(n, dtype=np.float64) + 2)
    found: Floats = share * (1 - share)
    return found


def paired_variance(one_way: ArrayLike, other_way: ArrayLike, n: ArrayLike) -> Floats:
    """Return the variance of +1 (b pairs), -1 (c pairs) and 0 (the others), with one more pair each way."""
    b, c = np.asarray(one_way, dtype=np.float64) + 1, np.asarray(other_way, dtype=np.float64) + 1
    count = np.asarray(n, dtype=np.float64) + 2
    found: Floats = (b + c) / count - ((b - c) / count) ** 2
    return found
