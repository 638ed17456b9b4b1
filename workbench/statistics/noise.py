"""Small errors of measurement: the same applicants, almost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.statistics.samples import FloatArray


def measurement_noise(values: FloatArray, generator: np.random.Generator) -> Callable[[float], FloatArray]:
    """Return what makes the values [applicants] noisy by a size of the noise; the same draws at every size.

    value + noise x spread x standard normal, where the spread is the interquartile range of the known values
    (those not NaN), or their standard deviation where that is 0; 0 changes nothing. Noisy values stay in the
    range seen, whole numbers stay whole by random rounding, and missing ones stay missing.
    """
    known = values[~np.isnan(values)]
    if not known.size:
        return lambda noise: values  # noqa: ARG005
    least, lower, upper, most = np.quantile(known, [0, 0.25, 0.75, 1])
    spread = upper - lower if upper > lower else known.std()
    drawn = generator.standard_normal(values.size, dtype=np.float32)
    whole = bool(np.all(known == np.round(known)))
    rounding = generator.random(values.size, dtype=np.float32) if whole else None

    def noisy(noise: float) -> FloatArray:
        change = drawn * (noise * spread)
        if rounding is not None:
            change = np.floor(change + rounding)
        moved: FloatArray = np.clip(values + change, least, most)
        return moved

    return noisy
