"""What many tests at once allow to be said: p-values adjusted for their number."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from workbench.errors import DataError
from workbench.statistics.samples import FloatArray


def holm(p_values: Iterable[float | None]) -> list[float | None]:
    """Return p-values adjusted so that the chance of one or more false findings is at most the line used.

    The k-th smallest of m is multiplied by m - k + 1, made to rise, cut at 1. Valid under any dependence
    between the tests. None (not tested) stays None and does not count among the m.

    Raises:
        DataError: a p-value outside [0, 1] or not a number.

    Reference: Holm (1979), Scandinavian Journal of Statistics 6: 65-70.
    """
    given = list(p_values)
    tested = np.array([value for value in given if value is not None], dtype=np.float64)
    wrong = int(np.sum(~((tested >= 0) & (tested <= 1))))
    if wrong:
        raise DataError("The p-values cannot be adjusted", [f"{wrong} of {tested.size} are outside [0, 1]"])
    adjusted = iter(_step_down(tested).tolist())
    return [None if value is None else next(adjusted) for value in given]


def _step_down(tested: FloatArray) -> FloatArray:
    order = np.argsort(tested, kind="stable")
    rising = np.maximum.accumulate(tested[order] * np.arange(tested.size, 0, -1))
    adjusted = np.empty_like(tested)
    adjusted[order] = np.minimum(rising, 1.0)
    return adjusted
