"""The baseline of scores and features, and how far a later batch is from it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from workbench.statistics.bins import (
    count_bins,
    population_stability_index,
    psi_null_quantile,
    quantile_edges,
)


def baseline_bins(development: pl.DataFrame, names: Sequence[str], *, bands: int) -> pl.DataFrame:
    """Return the bins that later batches are counted in: name, bin, upper (edge), applicants, share.

    Edges are quantiles of the development sample; the last bin but one is open above and the last one holds
    missing values.
    """
    return pl.concat([_bins(development, name, bands) for name in names])


def stability_table(
    baseline: pl.DataFrame, batch: pl.DataFrame, *, level: float, replicates: int, seed: int
) -> pl.DataFrame:
    """Return name, stability (PSI), low, high, noise and applicants, the least stable first.

    0 = the same distribution. `noise` is the PSI that only 1 - level of batches of this size would exceed if
    nothing had changed.
    """
    rows = []
    for (name,), bins in baseline.group_by("name", maintain_order=True):
        expected = bins["applicants"].to_numpy()
        actual = count_bins(_values(batch, str(name)), _edges(bins))
        seen = (expected > 0) | (actual > 0)
        index = population_stability_index(
            expected[seen], actual[seen], level=level, replicates=replicates, seed=seed
        )
        noise = psi_null_quantile(
            expected[expected > 0], batch.height, level=level, replicates=replicates, seed=seed
        )
        rows.append(
            {
                "name": name,
                "stability": index.value,
                "low": index.low,
                "high": index.high,
                "noise": noise,
                "applicants": batch.height,
            }
        )
    return pl.DataFrame(rows).sort("stability", descending=True)


def score_bands(baseline: pl.DataFrame, batch: pl.DataFrame) -> pl.DataFrame:
    """Return the score distribution in the baseline's bins: upper, development (share), batch (share)."""
    bins = baseline.filter(pl.col("name") == "score")
    counts = count_bins(_values(batch, "score"), _edges(bins))
    shares = pl.Series("batch", counts / counts.sum())
    return bins.select("bin", "upper", pl.col("share").alias("development")).with_columns(shares).head(-1)


def _bins(frame: pl.DataFrame, name: str, bands: int) -> pl.DataFrame:
    values = _values(frame, name)
    edges = quantile_edges(values, bands)
    counts = count_bins(values, edges)
    return pl.DataFrame(
        {
            "name": [name] * counts.size,
            "bin": np.arange(1, counts.size + 1),
            "upper": pl.Series([*edges.tolist(), None, None], dtype=pl.Float64),
            "applicants": counts.astype(np.int64),
            "share": counts / counts.sum(),
        }
    )


def _edges(bins: pl.DataFrame) -> np.ndarray:
    return bins["upper"].drop_nulls().to_numpy()


def _values(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
