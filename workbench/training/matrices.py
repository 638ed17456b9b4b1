"""Training matrices: in memory, or in pages on the disk for data that memory does not hold."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]
SAMPLE_ROWS = 50_000  # rows that set the limits of the bins


@dataclass(frozen=True)
class Batches:
    """Rows of a scan of Parquet in batches of `rows`, in their order, as often as they are asked for.

    A batch is features [rows, names], missing values NaN, and default, in single precision as XGBoost
    keeps them; the last one is shorter. `frame` has names and default. Each batch is a slice of the scan, so
    that memory holds one batch and the row groups it touches; a filter or join would run anew for each.
    """

    frame: pl.LazyFrame
    names: Sequence[str]
    rows: int

    def __iter__(self) -> Iterator[Batch]:
        """Read the frame once from its first row to its last."""
        features = pl.col(list(self.names)).cast(pl.Float32).fill_null(np.nan)
        query = self.frame.select(features, pl.col("default").cast(pl.Float32))
        height = self.frame.select(pl.len()).collect().item()
        for start in range(0, height, self.rows):
            part = query.slice(start, self.rows).collect()
            yield part.select(self.names).to_numpy(order="c"), part["default"].to_numpy()


def in_core_matrix(features: Floats, default: Floats, *, names: Sequence[str]) -> Any:
    """Return features [applicants, features] and default as XGBoost's matrix of bins, in memory."""
    from xgboost import QuantileDMatrix

    return QuantileDMatrix(features, default, feature_names=list(names))


def external_matrix(
    batches: Iterable[Batch],
    *,
    cache: Path,
    names: Sequence[str],
    max_bin: int = 256,
    sample_rows: int = SAMPLE_ROWS,
) -> Any:
    """Return the matrix of bins of batches of (features, default), kept in pages in the folder `cache`.

    Memory holds a few pages, some numbers for each row, and for a while a sample of `sample_rows` rows:
    it sets the limits of the bins, whatever the batches; XGBoost's own sketch of all rows would take
    megabytes for each feature and grow with the rows. Where the sample is everyone, the bins are those of
    `in_core_matrix`. LightGBM finds its bins the same way (bin_construct_sample_cnt).

    `batches` (`Batches`) are read three times, in the same order. The pages go with the matrix; those of a
    training that was killed go with the folder, which is the caller's.

    Raises:
        DataError: there are no rows, they can be read only once, or not all have `names`.
    """
    from xgboost import ExtMemQuantileDMatrix, QuantileDMatrix

    if iter(batches) is batches:
        raise DataError("The batches can be read only once", ["several passes are needed: give a Batches"])
    sample = _sample(batches, sample_rows, len(names))
    limits = QuantileDMatrix(sample, feature_names=list(names), max_bin=max_bin)
    del sample
    cache.mkdir(parents=True, exist_ok=True)
    # With the process's number: pages that a killed process left behind are not taken for ours.
    rows = passes(batches, names=names, pages=str(cache / f"pages-{os.getpid()}"))
    return ExtMemQuantileDMatrix(rows, max_bin=max_bin, ref=limits)


def passes(batches: Iterable[Batch], *, names: Sequence[str], pages: str | None = None) -> Any:
    """Return batches as XGBoost asks for them: the next one, or from the first one again.

    `pages` is where the names of its pages on the disk begin; None where it keeps none.
    """
    from xgboost import DataIter

    class Passes(DataIter):
        def __init__(self) -> None:
            super().__init__(cache_prefix=pages, on_host=False)

        def reset(self) -> None:
            self.left = iter(batches)

        def next(self, input_data: Any) -> bool:
            batch = next(self.left, None)
            if batch is not None:
                input_data(data=batch[0], label=batch[1], feature_names=list(names))
            return batch is not None

    return Passes()


def _sample(batches: Iterable[Batch], rows: int, width: int) -> NDArray[np.float32]:
    """Return `rows` rows drawn at random, or all of fewer, in their order: the same for any batches."""
    draw, seen = np.random.default_rng(0), 0
    kept = np.empty((rows, width), dtype=np.float32)
    keys, places = np.full(rows, np.inf), np.arange(rows)  # a row stays while its key is among the lowest
    for features, _ in batches:
        if features.shape[1] != width:
            fault = f"a batch has {features.shape[1]} features; {width} are needed"
            raise DataError("The batches do not have the features", [fault])
        drawn = draw.random(len(features))
        lowest = np.argpartition(np.concatenate([keys, drawn]), rows - 1)[:rows]
        entering = np.sort(lowest[lowest >= rows]) - rows
        leaving = np.setdiff1d(np.arange(rows), lowest)
        kept[leaving], keys[leaving] = features[entering], drawn[entering]
        places[leaving], seen = seen + entering, seen + len(features)
    if not seen:
        raise DataError("The batches hold no rows", ["at least one is needed"])
    order = np.argsort(np.where(np.isinf(keys), seen, places))[: min(seen, rows)]
    for column in kept.T:
        column[: order.size] = column[order]
    return kept[: order.size]
