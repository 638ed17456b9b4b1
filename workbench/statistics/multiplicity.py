"""What many tests at once allow to be said: p-values adjusted for their number, and levels of intervals."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from workbench.errors import DataError
from workbench.statistics.samples import FloatArray, raise_faults


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """Return p-values adjusted so that the chance of one or more false findings is at most the line used.

    The k-th smallest of m is multiplied by m - k + 1, made to rise, cut at 1. Valid under any dependence
    between the tests. None (not tested) stays None and does not count among the m.

    Raises:
        DataError: a p-value outside [0, 1] or not a number.

    Reference: Holm (1979), Scandinavian Journal of Statistics 6: 65-70.
    """
    return _adjusted(p_values, _step_down)


def benjamini_hochberg(p_values: Iterable[float | None]) -> list[float | None]:
    """Return p-values adjusted so that the expected share of false findings among all is at most the line.

    The k-th smallest of m is multiplied by m / k, made to rise, cut at 1. Valid where the tests are
    independent or positively dependent. Gentler than `holm`: for screening, not for a claim. None as there.

    Raises:
        DataError: as `holm`.

    Reference: Benjamini and Hochberg (1995), Journal of the Royal Statistical Society B 57: 289-300.
    """
    from scipy.stats import false_discovery_control

    return _adjusted(p_values, false_discovery_control)


def simultaneous_level(level: float, comparisons: int) -> float:
    """Return the level of each of so many intervals at which all of them hold together with `level`.

    1 - (1 - level) / comparisons, Bonferroni's, valid under any dependence: 0.99 for five at 0.95.

    Raises:
        DataError: fewer than one comparison, or a level outside (0, 1).
    """
    faults = [f"{comparisons} comparisons; at least 1 is needed"] if comparisons < 1 else []
    if not 0 < level < 1:
        faults.append(f"level {level}; a number between 0 and 1 is needed")
    raise_faults("There is no simultaneous level", faults)
    return 1 - (1 - level) / comparisons


def _adjusted(
    p_values: Iterable[float | None], adjust: Callable[[FloatArray], FloatArray]
) -> list[float | None]:
    given = list(p_values)
    tested = np.array([value for value in given if value is not None], dtype=np.float64)
    wrong = int(np.sum(~((tested >= 0) & (tested <= 1))))
    if wrong:
        raise DataError("The p-values cannot be adjusted", [f"{wrong} of {tested.size} are outside [0, 1]"])
    adjusted = iter(adjust(tested).tolist() if tested.size else [])
    return [None if value is None else next(adjusted) for value in given]


def _step_down(tested: FloatArray) -> FloatArray:
    order = np.argsort(tested, kind="stable")
    rising = np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1))
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(rising, 1.0)
    return adjusted
