"""Development, calibration and holdout samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from workbench.errors import DataError

SAMPLES = ("development", "calibration", "holdout")
LEAST_DEFAULTS = 20


def draw_samples(applicants: pl.DataFrame, *, shares: Mapping[str, float], seed: int) -> pl.DataFrame:
    """Assign every applicant to one sample, at random within defaults and within goods.

    Parameters: `applicants` with applicant_id and default; `shares` of the three samples, adding up to 1.
    Returns applicant_id and sample, sorted by applicant_id. Raises DataError when a sample would hold
    fewer than 20 defaults or goods. There is no application date here, so no sample is out of time.
    """
    generator = np.random.default_rng(seed)
    parts = [
        _assign(group["applicant_id"].sort(), shares, generator)
        for _, group in sorted(applicants.group_by("default"), key=lambda item: str(item[0]))
    ]
    samples = pl.concat(parts).sort("applicant_id")
    _check_sizes(sample_table(samples, applicants))
    return samples


def sample_table(samples: pl.DataFrame, applicants: pl.DataFrame) -> pl.DataFrame:
    """Return applicants, defaults, goods and default_rate of each sample, in the order of their use."""
    counts = (
        samples.join(applicants, on="applicant_id")
        .group_by("sample")
        .agg(pl.len().cast(pl.Int64).alias("applicants"), pl.col("default").sum().alias("defaults"))
    )
    order = pl.DataFrame({"sample": SAMPLES})
    filled = order.join(counts, on="sample", how="left", maintain_order="left").fill_null(0)
    return filled.with_columns(
        (pl.col("applicants") - pl.col("defaults")).alias("goods"),
        (pl.col("defaults") / pl.col("applicants")).alias("default_rate"),
    )


def group_table(protected: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return attribute, group and the number of applicants of each group in all and in the holdout sample."""
    frame = protected.join(samples, on="applicant_id")
    tables = [
        frame.group_by(pl.col(name).alias("group"))
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.col("sample") == "holdout").sum().cast(pl.Int64).alias("holdout"),
        )
        .sort("group")
        .select(pl.lit(name).alias("attribute"), pl.all())
        for name in ("sex", "age_band", "education", "marital_status")
    ]
    return pl.concat(tables)


def _assign(ids: pl.Series, shares: Mapping[str, float], generator: np.random.Generator) -> pl.DataFrame:
    shuffled = ids.gather(generator.permutation(ids.len()))
    ends = np.round(np.cumsum([shares[name] for name in SAMPLES]) * ids.len()).astype(int)
    names = np.repeat(SAMPLES, np.diff(ends, prepend=0))
    return pl.DataFrame({"applicant_id": shuffled, "sample": names})


def _check_sizes(table: pl.DataFrame) -> None:
    faults = [
        f"{row['sample']}: {row['defaults']:,} defaults and {row['goods']:,} goods; "
        f"at least {LEAST_DEFAULTS} of each"
        for row in table.iter_rows(named=True)
        if min(row["defaults"] or 0, row["goods"] or 0) < LEAST_DEFAULTS
    ]
    if faults:
        raise DataError("samples too small to fit, calibrate or judge a model", faults)
