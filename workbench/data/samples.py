"""Development, calibration and holdout samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.statistics.proportions import wilson

SAMPLES = ("development", "calibration", "holdout")
OUT_OF_TIME = "out_of_time"
LEAST_DEFAULTS = 20


def draw_samples(
    applicants: pl.DataFrame, *, shares: Mapping[str, float], out_of_time_from: str = "", seed: int
) -> pl.DataFrame:
    """Assign every applicant to one sample, at random within defaults and within goods.

    Parameters: `applicants` with applicant_id, default and vintage (month of application); `shares` of the
    three samples, adding up to 1. Applications from the month `out_of_time_from` on are the out-of-time
    sample, which is never fitted on. Returns applicant_id, sample and vintage, sorted by applicant_id. Raises
    DataError when a sample would hold fewer than 20 defaults or goods.
    """
    generator = np.random.default_rng(seed)
    late = pl.col("vintage") >= out_of_time_from if out_of_time_from else pl.lit(False)
    later = applicants.filter(late).select("applicant_id", sample=pl.lit(OUT_OF_TIME))
    if out_of_time_from and not 0 < later.height < applicants.height:
        raise DataError(
            f"data.out_of_time_from {out_of_time_from}: {later.height:,} of {applicants.height:,} rows",
            [f"applications are from {applicants['vintage'].min()!s} to {applicants['vintage'].max()!s}"],
        )
    earlier = applicants.filter(~late).group_by("default")
    parts = [
        _assign(group["applicant_id"].sort(), shares, generator)
        for _, group in sorted(earlier, key=lambda item: str(item[0]))
    ]
    samples = pl.concat([*parts, later]).sort("applicant_id")
    _check_sizes(sample_table(samples, applicants))
    return samples.join(
        applicants.select("applicant_id", "vintage"), on="applicant_id", maintain_order="left"
    )


def sample_table(samples: pl.DataFrame, applicants: pl.DataFrame) -> pl.DataFrame:
    """Return applicants, defaults, goods and default_rate of each sample, in the order of their use."""
    counts = (
        samples.join(applicants, on="applicant_id")
        .group_by("sample")
        .agg(pl.len().cast(pl.Int64).alias("applicants"), pl.col("default").sum().alias("defaults"))
    )
    used = [*SAMPLES, *([OUT_OF_TIME] if OUT_OF_TIME in counts["sample"] else [])]
    order = pl.DataFrame({"sample": used})
    filled = order.join(counts, on="sample", how="left", maintain_order="left").fill_null(0)
    return filled.with_columns(
        (pl.col("applicants") - pl.col("defaults")).alias("goods"),
        (pl.col("defaults") / pl.col("applicants")).alias("default_rate"),
    )


def group_table(protected: pl.DataFrame, samples: pl.DataFrame) -> pl.DataFrame:
    """Return attribute, group and the number of applicants of each group in all and in the holdout sample."""
    frame = protected.join(samples, on="applicant_id")
    tables = [
        frame.group_by(pl.col(name).fill_null("not known").alias("group"))
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            (pl.col("sample") == "holdout").sum().cast(pl.Int64).alias("holdout"),
        )
        .sort("group")
        .select(pl.lit(name).alias("attribute"), pl.all())
        for name in protected.columns
        if name != "applicant_id"
    ]
    schema = {"attribute": pl.String, "group": pl.String, "applicants": pl.Int64, "holdout": pl.Int64}
    return pl.concat([pl.DataFrame(schema=schema), *tables])


def vintage_table(applicants: pl.DataFrame) -> pl.DataFrame:
    """Return vintage, applicants, defaults and default_rate, oldest first."""
    return (
        applicants.group_by("vintage")
        .agg(
            pl.len().cast(pl.Int64).alias("applicants"),
            pl.col("default").sum().alias("defaults"),
            pl.col("default").mean().alias("default_rate"),
        )
        .sort("vintage")
    )


def representativeness_table(
    groups: pl.DataFrame, reference: pl.DataFrame | None, *, level: float
) -> pl.DataFrame:
    """Compare the shares of groups in the study with a reference population's.

    `groups` is a group table; `reference` has attribute, group and share. Returns attribute, group,
    applicants, share (of the attribute's applicants), low, high (Wilson), reference, difference (share minus
    reference; 0 = as frequent as in the reference). Empty without a reference. Raises DataError when a column
    is missing.
    """
    columns = ("attribute", "group", "applicants", "share", "low", "high", "reference", "difference")
    if reference is None:
        return pl.DataFrame(
            schema=dict.fromkeys(columns[:2], pl.String) | dict.fromkeys(columns[2:], pl.Float64)
        )
    missing = [c for c in ("attribute", "group", "share") if c not in reference.columns]
    if missing:
        raise DataError(
            "data.reference: a table of attribute, group, share", [f"no column {c!r}" for c in missing]
        )
    wanted = reference.select("attribute", "group", reference=pl.col("share").cast(pl.Float64))
    joined = groups.join(wanted, on=["attribute", "group"], how="inner")
    total = pl.col("applicants").sum().over("attribute")
    shares = joined.with_columns(share=pl.col("applicants") / total, total=total)
    intervals = [wilson(n, t, level=level) for n, t in shares.select("applicants", "total").iter_rows()]
    return shares.with_columns(
        pl.Series("low", [i.low for i in intervals], dtype=pl.Float64),
        pl.Series("high", [i.high for i in intervals], dtype=pl.Float64),
        difference=pl.col("share") - pl.col("reference"),
    ).select(columns)


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
