"""Events cut into parts by applicant: staged once, counted part by part, then kept or set aside.

All rows of an applicant lie in the part of the same number in every source, so that later work on one part
needs no other: memory does not grow with the number of applicants, and parts may run on different machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import polars.selectors as cs

from workbench.data.standard import FAULTS, Standard, fault, local
from workbench.kinds import KINDS
from workbench.privacy.encryption import open_cipher
from workbench.privacy.identifiers import normalise_text
from workbench.sources import Source

DAY = 86_400_000_000
UNKNOWN, LEFT_OUT = -1, -2
_LONGEST_LAG = 3_660  # longer is a wrong date, not a late row
# What becomes of a staged row; the first that is true of it counts.
OUTCOMES = (
    "set_aside",
    "undated",
    "after_application",
    "recorded_after",
    "outside_window",
    "superseded",
    "kept",
)
ROW_ISSUES = ("duplicate", "after_application", "recorded_after", "late_arrival", "out_of_contract")
_PASSING = (
    cs.temporal() | cs.starts_with(FAULTS) | cs.by_name("month", "lag_days", "known", "day_only", "duplicate")
)


@dataclass(frozen=True)
class Part:
    """One part of one source and what is to be done with it: plain values, for another process too.

    `single`: one row per applicant is kept, the newest. `clocked`: equal rows on a day without a clock are no
    duplicates, since a person can do the same twice a day.
    """

    source: str
    number: int
    staged: str
    observation_days: int
    late_days: int
    contracts: tuple[str, ...]
    amounts: tuple[str, ...]
    categories: tuple[str, ...]
    actions: Mapping[str, str] = field(default_factory=dict)
    set_aside: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    target: str = ""
    aside: str = ""
    cipher: str = ""
    single: bool = False
    clocked: bool = False


def join_people(source: Source, standard: Standard, people: pl.LazyFrame) -> pl.LazyFrame:
    """Give every row its applicant's pseudonym, part and application time; the source's own id goes.

    Rows without consent, and of applicants who are not in the study, are left out here. Rows of applicants
    that the applicants' source does not know get part -1, and lose their values where consent is needed.
    """
    joined = standard.table.join(
        people, left_on="applicant_id", right_on="source_id", how="left", suffix="_study"
    )
    values = [c for c in standard.columns if c != "applicant_id"]
    known = joined.filter(pl.col("part").is_null() | (pl.col("part") != LEFT_OUT))
    if source.consent:
        given = pl.col(source.consent) == 1
        known = known.filter(pl.col("part").is_null() | given).with_columns(
            pl.when(given).then(c) for c in values
        )
    return known.select(
        pl.col("part").fill_null(UNKNOWN),
        pl.col("applicant_id_study").alias("applicant_id"),
        "application_time",
        *(normalise_text(pl.col(c)) if source.all_types[c] == "text" else pl.col(c) for c in values),
        cs.starts_with(FAULTS),
    )


def timed(source: Source, joined: pl.LazyFrame, columns: tuple[str, ...]) -> pl.LazyFrame:
    """Add age_days, hour, weekday and month, and the ages of other times before the application.

    An age is floor((application - time) / 1 day) in whole days; a time that is not before the application
    was not known then, so its age is missing. A time at midnight is a day without a clock: it is before the
    application when the whole day is. `lag_days` is recorded minus event time in days; `known` says whether
    the row was recorded before the application. The times stay until the part is finished: rows that differ
    in one of them are no duplicates.
    """
    has_recorded = "recorded_time" in columns
    if KINDS[source.kind].role == "snapshot":
        just_before = pl.col("application_time") - pl.duration(microseconds=1)
        joined = joined.with_columns(event_time=pl.col("recorded_time") if has_recorded else just_before)
    zone = source.time_zone
    wall = local(pl.col("event_time"), zone)
    times = [c for c in columns if source.all_types[c] == "time" and c not in ("event_time", "recorded_time")]
    recorded = pl.col("recorded_time") if has_recorded else pl.lit(None, pl.Datetime("us"))
    known = (_end(recorded, zone) < pl.col("application_time")).fill_null(False)
    ages = {f"{c.removesuffix('_time')}_age": _age(c, zone) for c in times}
    return joined.with_columns(
        age_days=_age("event_time", zone),
        hour=wall.dt.hour().cast(pl.Int64),
        weekday=wall.dt.weekday().cast(pl.Int64),
        month=(wall.dt.year().cast(pl.Int32) * 100 + wall.dt.month()),
        lag_days=(recorded - pl.col("event_time")).dt.total_days(),
        known=known if has_recorded else pl.lit(True),
        day_only=_at_midnight(wall),
        **{name: pl.when(age >= 0).then(age) for name, age in ages.items()},
    )


def write_staged(rows: pl.LazyFrame, folder: Path, cipher: str) -> None:
    """Stream rows into one folder for each part."""
    target = pl.PartitionBy(folder, key="part", include_key=False)
    writing: dict[str, Any] = {"compression": "lz4", "mkdir": True, "maintain_order": False} | open_cipher(
        cipher
    ).writing
    rows.sink_parquet(target, **writing)


def count_part(part: Part) -> pl.DataFrame:
    """Count what is in a staged part: month, measure, column, value (a sum over rows, so parts add up)."""
    rows = _staged(part)
    if part.number == UNKNOWN:
        return count_months(part.source, rows, {"unknown_applicant": pl.len().cast(pl.Float64)}, ())
    values = rows.select(cs.exclude(_PASSING, "applicant_id", "hour", "weekday", "age_days")).columns
    measures = {"rows": pl.len().cast(pl.Float64)}
    measures |= {issue: flag.sum().cast(pl.Float64) for issue, flag in _flags(part).items()}
    measures |= {
        f"missing:{c}": pl.col(c).null_count().cast(pl.Float64) for c in values if not c.endswith("_age")
    }
    measures |= {
        f"out_of_contract:{c}": fault(i).sum().cast(pl.Float64) for i, c in enumerate(part.contracts)
    }
    measures |= amount_measures(part.amounts)
    return count_months(part.source, rows, measures, part.categories)


def amount_measures(columns: Sequence[str]) -> dict[str, pl.Expr]:
    """Return what geometric means of amounts are made of: sums of log10 in whole millionths, and counts."""
    measures = {}
    for column in columns:
        positive = pl.col(column).filter(pl.col(column) > 0).cast(pl.Float64)
        measures[f"log_sum:{column}"] = (positive.log10() * 1e6).round(0).sum()
        measures[f"log_count:{column}"] = positive.count().cast(pl.Float64)
    return measures


def count_months(
    source: str, rows: pl.DataFrame, measures: Mapping[str, pl.Expr], categories: Sequence[str]
) -> pl.DataFrame:
    """Return source, month, measure, value: the measures, and the rows of every value of the categories."""
    counted = rows.group_by("month").agg(**measures).unpivot(index="month", variable_name="measure")
    values = [
        rows.group_by("month", pl.concat_str(pl.lit(f"category:{c}="), pl.col(c)).alias("measure")).agg(
            value=pl.len().cast(pl.Float64)
        )
        for c in categories
    ]
    found = pl.concat([counted, *(frame.filter(pl.col("measure").is_not_null()) for frame in values)])
    return found.select(pl.lit(source).alias("source"), "month", "measure", "value").sort("month", "measure")


def finish_part(part: Part) -> dict[str, int]:
    """Write the usable rows of a part and those set aside; returns how many ended in each of OUTCOMES."""
    rows = _staged(part).with_columns(_reason(part).alias("reason"))
    rows = rows.with_columns(_outcome(part).alias("outcome"))
    found = dict(rows["outcome"].value_counts().iter_rows())
    aside = rows.filter(pl.col("outcome") == "set_aside")
    usable = rows.filter(pl.col("outcome") == "kept")
    kept = usable.drop(_PASSING, "reason", "outcome")
    first = ["applicant_id", "age_days", "hour", "weekday"]
    order = [*first, *sorted(c for c in kept.columns if c not in first)]
    cipher = open_cipher(part.cipher)
    kept = kept.select(order).sort(order, descending=[False, True, *[False] * (len(order) - 2)])
    if part.single:
        kept = kept.unique("applicant_id", keep="last", maintain_order=True)
    kept.write_parquet(part.target, **cipher.writing)
    if part.aside and aside.height:
        spare = aside.select(*first, "reason", *order[4:])
        spare.sort(spare.columns).write_parquet(part.aside, **cipher.writing)
    last = {"superseded": usable.height - kept.height, "kept": kept.height}
    return dict.fromkeys(OUTCOMES, 0) | found | last


def _at_midnight(wall: pl.Expr) -> pl.Expr:
    return (wall == wall.dt.truncate("1d")).fill_null(False)


def _end(time: pl.Expr, zone: str) -> pl.Expr:
    """Return the time itself, or the end of the day where the time is a day without a clock."""
    last = time + pl.duration(days=1) - pl.duration(microseconds=1)
    return pl.when(_at_midnight(local(time, zone))).then(last).otherwise(time)


def _age(column: str, zone: str) -> pl.Expr:
    time, applied = pl.col(column), pl.col("application_time")
    return (
        pl.when(_end(time, zone) < applied)
        .then((applied - time).dt.total_microseconds() // DAY)
        .otherwise(pl.when((applied - time).is_not_null()).then(-1))
    )


def _staged(part: Part) -> pl.DataFrame:
    files = sorted(Path(part.staged).glob("*.parquet"))
    reading = {"hive_partitioning": False, "glob": False} | open_cipher(part.cipher).reading
    rows = pl.read_parquet(files, **reading)
    repeated = _duplicates(rows)
    return rows.with_columns(duplicate=repeated & ~rows["day_only"] if part.clocked else repeated)


def _duplicates(rows: pl.DataFrame) -> pl.Series:
    """Mark the second and later of rows that are equal in every column."""
    repeated = rows.hash_rows(seed=0).is_duplicated()
    if not repeated.any():
        return repeated
    suspects = rows.with_row_index("_row").filter(repeated)
    first = suspects.unique(subset=rows.columns, keep="first", maintain_order=True)["_row"]
    return repeated & ~pl.int_range(rows.height, eager=True, dtype=pl.UInt32).is_in(first.implode())


def _flags(part: Part) -> dict[str, pl.Expr]:
    after = (pl.col("age_days") < 0).fill_null(False)
    return {
        "duplicate": pl.col("duplicate"),
        "after_application": after,
        "recorded_after": ~after & ~pl.col("known"),
        "late_arrival": pl.col("lag_days").is_between(part.late_days + 1, _LONGEST_LAG).fill_null(False),
    }


def _outcome(part: Part) -> pl.Expr:
    age = pl.col("age_days")
    return (
        pl.when(pl.col("reason") != "")
        .then(pl.lit("set_aside"))
        .when(age.is_null())
        .then(pl.lit("undated"))
        .when(age < 0)
        .then(pl.lit("after_application"))
        .when(~pl.col("known"))
        .then(pl.lit("recorded_after"))
        .when(age >= part.observation_days)
        .then(pl.lit("outside_window"))
        .otherwise(pl.lit("kept"))
    )


def _reason(part: Part) -> pl.Expr:
    """Return why a row is set aside, or an empty text."""
    flags = {issue: flag for issue, flag in _flags(part).items() if part.actions.get(issue) == "quarantine"}
    flags |= {c: fault(i) for i, c in enumerate(part.contracts) if part.actions.get(c) == "quarantine"}
    flags |= {
        issue: pl.col("month").is_in([int(m) for m in months]) for issue, months in part.set_aside.items()
    }
    reason = pl.lit("")
    for issue, flag in reversed(flags.items()):
        reason = pl.when(flag).then(pl.lit(issue)).otherwise(reason)
    return reason
