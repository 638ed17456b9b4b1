"""Which groups are there, and which of them may be judged or compared with."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError, near_name

Labels = Sequence[object] | NDArray[Any] | pl.Series


def as_labels(group: Labels) -> pl.Series:
    """Return the groups as text, or as the Enum that they are, in its order; missing ones stay null."""
    labels = pl.Series("group", group, strict=False)
    if labels.dtype == pl.Enum:
        return labels
    return (labels.fill_nan(None) if labels.dtype.is_float() else labels).cast(pl.String)


def label_faults(labels: pl.Series) -> Iterator[str]:
    """Count the applicants without a group."""
    if labels.null_count():
        yield (
            f"group is missing in {labels.null_count()} of {len(labels)} rows; "
            "give these a label of their own, such as 'not stated'"
        )


def shortage(counts: dict[str, int], least: dict[str, int]) -> str:
    """Return why a group is too small to judge, or an empty text; never its counts, which may be small."""
    return ", ".join(f"fewer than {least[what]} {what}" for what in least if counts[what] < least[what])


def require_reference(reference_group: str, groups: Collection[str]) -> None:
    """Raise a DataError, with the groups that there are, unless the reference group is one of them."""
    if reference_group not in groups:
        hint = near_name(reference_group, groups)
        fault = f"received {reference_group!r}{hint}; the groups are {', '.join(map(repr, groups))}"
        raise DataError("The reference group is not in the data", [fault])
