"""What every measure asks of its sample, checked once and with all faults at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from workbench.errors import DataError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
ROUNDING = 1e-6
"""By how much probabilities that should add up to 1 may miss it."""


def checked_sample(
    default: ArrayLike,
    *,
    probabilities: Mapping[str, ArrayLike] | None = None,
    scores: Mapping[str, ArrayLike] | None = None,
    both_classes: bool = False,
) -> tuple[FloatArray, ...]:
    """Return the outcomes and the other columns, in the order given, as float arrays [applicants].

    `default` is 0 (good) or 1 (bad), `probabilities` lie in [0, 1], `scores` are finite; all have the same
    length. With `both_classes`, at least one good and one bad are wanted.

    Raises:
        DataError: every fault that was found, with counts and never with a row's value.
    """
    wanted = {"default": default, **(probabilities or {}), **(scores or {})}
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in wanted.items()}
    faults = [
        *length_faults(columns),
        *binary_faults("default", columns["default"]),
        *(_class_faults(columns["default"]) if both_classes else ()),
        *(fault for name in probabilities or {} for fault in _probability_faults(name, columns[name])),
        *(fault for name in scores or {} for fault in finite_faults(name, columns[name])),
    ]
    raise_faults("The sample cannot be measured", faults)
    return tuple(columns.values())


def checked_counts(**counts: ArrayLike) -> tuple[FloatArray, ...]:
    """Return named vectors of counts [cells] as floats: finite, not negative, each with a total above 0.

    Raises:
        DataError: every fault that was found.
    """
    columns = {name: np.asarray(values, dtype=np.float64) for name, values in counts.items()}
    faults = list(length_faults(columns))
    for name, cells in columns.items():
        if not np.all(np.isfinite(cells)) or np.any(cells < 0):
            faults.append(f"{name} holds a count that is negative or not a number")
        elif not cells.sum():
            faults.append(f"{name} adds up to 0; at least one applicant is needed")
    raise_faults("The counts cannot be compared", faults)
    return tuple(columns.values())


def raise_faults(summary: str, faults: Iterable[str]) -> None:
    """Raise one DataError with all faults, if there are any."""
    found = list(faults)
    if found:
        raise DataError(summary, found)


def length_faults(columns: Mapping[str, FloatArray | pl.Series]) -> Iterator[str]:
    """Find columns that are not flat, not equally long or empty."""
    for name, values in columns.items():
        if len(values.shape) != 1:
            yield f"{name} has {len(values.shape)} dimensions; 1 is needed"
    lengths = {name: values.shape[0] for name, values in columns.items() if values.shape}
    if len(set(lengths.values())) > 1:
        sizes = ", ".join(f"{name} {length}" for name, length in lengths.items())
        yield f"lengths differ ({sizes}); the same rows in the same order are needed"
    if 0 in lengths.values():
        yield "there are no rows"


def binary_faults(name: str, values: FloatArray) -> Iterator[str]:
    """Count the rows that are neither 0 nor 1."""
    other = int(np.sum((values != 0) & (values != 1)))
    if other:
        yield f"{name} is missing or neither 0 nor 1 in {other} of {values.size} rows"


def finite_faults(name: str, values: FloatArray) -> Iterator[str]:
    """Count the rows that are missing or infinite."""
    broken = int(np.sum(~np.isfinite(values)))
    if broken:
        yield f"{name} is missing or infinite in {broken} of {values.size} rows"


def _class_faults(default: FloatArray) -> Iterator[str]:
    bads, goods = int(np.sum(default == 1)), int(np.sum(default == 0))
    if default.size and not (bads and goods):
        yield f"default has {goods} goods and {bads} bads; at least one of each is needed"


def _probability_faults(name: str, values: FloatArray) -> Iterator[str]:
    missing = int(np.isnan(values).sum())
    outside = int(np.sum((values < 0) | (values > 1)))
    if missing:
        yield f"{name} is missing in {missing} of {values.size} rows"
    if outside:
        yield f"{name} is outside [0, 1] in {outside} of {values.size} rows"


def membership_faults(probabilities: FloatArray, groups: Sequence[str]) -> Iterator[str]:
    """Find probabilities of membership [applicants, groups] that are missing, outside [0, 1], or do not add
    up to 1 within 1e-6."""
    rows = probabilities.shape[0]
    if len(groups) < 2:
        yield f"{len(groups)} columns of probabilities; at least 2 groups are needed"
    for name, column in zip(groups, probabilities.T, strict=True):
        missing = int(np.isnan(column).sum())
        outside = int(((column < 0) | (column > 1)).sum())
        if missing:
            yield f"{name} is missing in {missing} of {rows} rows"
        if outside:
            yield f"{name} is outside [0, 1] in {outside} of {rows} rows"
    off = int((np.abs(probabilities.sum(axis=1) - 1) > ROUNDING).sum())
    if off:
        yield f"the groups do not add up to 1 within {ROUNDING:g} in {off} of {rows} rows"
