"""In which month applicants began to differ from the development sample."""

from __future__ import annotations

import numpy as np
import polars as pl

from workbench.statistics.bins import count_bins, divergence
from workbench.statistics.shift import psi_critical

LEAST_APPLICANTS = 100


def month_table(baseline: pl.DataFrame, frame: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return vintage, name, applicants, stability (PSI), noise, beyond: each month against the baseline.

    `noise` is what the largest of all indices and months together exceeds by chance alone in 1 - `level` of
    studies: (1/n + 1/m) times the chi-squared quantile with bins - 1 degrees of freedom at
    1 - (1 - level) / (indices x months), Bonferroni's correction. Months of fewer than 100 applicants are not
    judged. Reference: Yurdakul and Naranjo (2020), Journal of Risk Model Validation 14(4).
    """
    known = frame.filter(pl.col("vintage").is_not_null()).partition_by("vintage", as_dict=True)
    months = {str(key[0]): month for key, month in sorted(known.items()) if month.height >= LEAST_APPLICANTS}
    tests = max(1, len(months) * baseline["name"].n_unique())
    rows = []
    for (name,), bins in baseline.group_by("name", maintain_order=True):
        expected, edges = bins["applicants"].to_numpy(), bins["upper"].drop_nulls().to_numpy()
        used, total = int((expected > 0).sum()), int(expected.sum())
        for vintage, month in months.items():
            actual = count_bins(month[str(name)].cast(pl.Float64).fill_null(np.nan).to_numpy(), edges)
            seen = (expected > 0) | (actual > 0)
            stability = float(divergence(expected[seen], actual[seen]))
            noise = psi_critical(total, int(actual.sum()), used, level=1 - (1 - level) / tests)
            rows.append((vintage, str(name), month.height, stability, noise, stability > noise))
    schema = {"vintage": pl.String, "name": pl.String, "applicants": pl.Int64, "stability": pl.Float64}
    return pl.DataFrame(rows, schema=schema | {"noise": pl.Float64, "beyond": pl.Boolean}, orient="row")


def drift_table(months: pl.DataFrame) -> pl.DataFrame:
    """Return vintage, applicants, score (PSI), score_noise, score_beyond, beyond, furthest, one row per
    month.

    `beyond` counts the features beyond noise, `furthest` is the one that is most beyond it.
    """
    score = months.filter(pl.col("name") == "score")
    features = months.filter(pl.col("name") != "score")
    furthest = (pl.col("stability") / pl.col("noise")).arg_max()
    counted = features.group_by("vintage").agg(
        pl.col("beyond").sum().cast(pl.Int64), pl.col("name").get(furthest).alias("furthest")
    )
    named = {"score": "stability", "score_noise": "noise", "score_beyond": "beyond"}
    shown = score.select("vintage", "applicants", **{new: pl.col(old) for new, old in named.items()})
    return shown.join(counted, on="vintage", how="left").sort("vintage")


def drift_month(drift: pl.DataFrame) -> str | None:
    """Return the first month whose scores are beyond noise, confirmed by the next one; the last needs none.

    "none" when no month is; None when no month was judged at all, so that nothing is known. Features alone do
    not count: months differ in length, and a fault of the data moves a feature without touching what the
    model says.
    """
    if drift.height == 0:
        return None
    beyond = drift["score_beyond"].to_list()
    for index, vintage in enumerate(drift["vintage"]):
        if beyond[index] and all(beyond[index : index + 2]):
            return str(vintage)
    return "none"
