"""The Taiwan credit-card data as applicants, a monthly payment ledger and protected attributes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl

from workbench.errors import DataError, near_name

MONTHS = ("2005-09", "2005-08", "2005-07", "2005-06", "2005-05", "2005-04")
STATUS_COLUMNS = ("PAY_0", "PAY_2", "PAY_3", "PAY_4", "PAY_5", "PAY_6")
SEXES = {1: "male", 2: "female"}
EDUCATIONS = {1: "graduate school", 2: "university", 3: "high school", 4: "other"}
MARITAL_STATUSES = {1: "married", 2: "single", 3: "other"}
UNDOCUMENTED = "undocumented"


@dataclass(frozen=True)
class Tables:
    """The study's tables; every one carries `applicant_id`."""

    applicants: pl.DataFrame
    statements: pl.DataFrame
    protected: pl.DataFrame

    def only(self, applicant_id: pl.Series) -> Tables:
        """Return the tables restricted to some applicants."""
        keep = pl.col("applicant_id").is_in(applicant_id.implode())
        return Tables(*(t.filter(keep) for t in (self.applicants, self.statements, self.protected)))


def read_source(path: Path) -> pl.DataFrame:
    """Read the source file; raises DataError when it is missing, unreadable or not a Parquet table."""
    if not path.is_file():
        others = sorted(p.name for p in path.parent.glob("*")) if path.parent.is_dir() else []
        raise DataError(
            f"{path}: no such file{near_name(path.name, others)}",
            ["data.source is a path below the repository, such as data/taiwan_credit.parquet"],
        )
    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).splitlines()[0][:160]
        raise DataError(f"{path}: not readable as Parquet, truncated or another format", [reason]) from None


def split_tables(source: pl.DataFrame) -> Tables:
    """Split one wide row per client into applicants, statements (one row per client and month) and protected.

    Months run from April to September 2005; `month_index` counts them from 1 (April) to 6 (September).
    """
    applicants = source.select(
        pl.col("ID").alias("applicant_id"),
        pl.col("LIMIT_BAL").alias("credit_limit"),
        pl.col("DEFAULT").alias("default"),
    ).sort("applicant_id")
    protected = source.select(
        pl.col("ID").alias("applicant_id"),
        pl.col("AGE").alias("age"),
        _labels("SEX", SEXES).alias("sex"),
        _labels("EDUCATION", EDUCATIONS).alias("education"),
        _labels("MARRIAGE", MARITAL_STATUSES).alias("marital_status"),
    ).sort("applicant_id")
    return Tables(applicants, _ledger(source), protected)


def add_age_bands(protected: pl.DataFrame, starts: list[int]) -> pl.DataFrame:
    """Add `age_band`: [30, 62] gives 'under 30', '30 to 61' and '62 and over'."""
    labels = [f"under {starts[0]}"]
    labels += [f"{low} to {high - 1}" for low, high in pairwise(starts)]
    labels += [f"{starts[-1]} and over"]
    band = np.array(labels)[np.searchsorted(starts, protected["age"].to_numpy(), side="right")]
    return protected.with_columns(pl.Series("age_band", band, dtype=pl.String))


def _labels(column: str, labels: dict[int, str]) -> pl.Expr:
    return pl.col(column).replace_strict(labels, default=UNDOCUMENTED, return_dtype=pl.String)


def _ledger(source: pl.DataFrame) -> pl.DataFrame:
    months = [
        source.select(
            pl.col("ID").alias("applicant_id"),
            pl.lit(month).alias("month"),
            pl.lit(len(MONTHS) - position, dtype=pl.Int64).alias("month_index"),
            pl.col(STATUS_COLUMNS[position]).alias("status"),
            pl.col(f"BILL_AMT{position + 1}").alias("billed"),
            pl.col(f"PAY_AMT{position + 1}").alias("paid"),
        )
        for position, month in enumerate(MONTHS)
    ]
    return pl.concat(months).sort("applicant_id", "month_index")
