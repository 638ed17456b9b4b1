"""What is wrong in each source and month, how much of it, and what the study does about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from workbench.data.parts import ROW_ISSUES
from workbench.errors import DataError

MONTH_ISSUES = ("volume", "missing", "unit_shift", "category_shift")
ISSUES = (*ROW_ISSUES, "unknown_applicant", *MONTH_ISSUES)
MEANINGS = {
    "duplicate": "row equal to another in every column",
    "after_application": "event on or after the application: never used",
    "recorded_after": "event before the application, recorded after it or at no known time: never used",
    "late_arrival": "recorded later than the lag allowed",
    "out_of_contract": "value outside the contract, or unreadable",
    "unknown_applicant": "event of nobody in the applicants' source: never used",
    "volume": "rows per month against the months before and after",
    "missing": "missing share against the months before and after",
    "unit_shift": "level of an amount against the months before and after",
    "category_shift": "mix of categories against the months before and after",
}
_LEAST_ROWS = 200
Distance = Callable[[pl.Expr, pl.Expr], pl.Expr]


def actions_of(
    severity: Mapping[str, str], own: Mapping[str, str], contracts: Sequence[str], *, people: bool = False
) -> dict[str, str]:
    """Return the action for every issue and contract of a source: its own, else the study's."""
    general = {**severity, **own}
    if people:  # persons are not set aside for their month
        general |= {issue: "warn" for issue in MONTH_ISSUES if general[issue] == "quarantine"}
    return {issue: general[issue] for issue in ISSUES} | {
        name: own.get(name, general["out_of_contract"]) for name in contracts
    }


def add_up(counts: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Add the counts of all parts up: source, month, measure, value."""
    whole = pl.concat(list(counts))
    keys = ["source", "month", "measure"]
    return whole.group_by(keys).agg(pl.col("value").sum()).sort(keys)


def findings(
    counts: pl.DataFrame, actions: Mapping[str, Mapping[str, str]], lines: Mapping[str, float]
) -> pl.DataFrame:
    """Return every finding: source, issue, column, month, affected (rows), share, action."""
    return pl.concat([row_findings(counts, actions), month_findings(counts, actions, lines)])


def row_findings(counts: pl.DataFrame, actions: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    """Return the issues of rows by source, issue, column and month: rows affected, share, action.

    Shares are of the month's rows of applicants who are in the study; that of rows of nobody in the
    applicants' source is of these and those rows together.
    """
    rows = counts.filter(pl.col("measure") == "rows").select("source", "month", total="value")
    split = counts.with_columns(
        issue=pl.col("measure").str.split(":").list.first(),
        column=pl.col("measure").str.split(":").list.get(1, null_on_oob=True).fill_null(""),
    )
    found = split.filter(pl.col("issue").is_in([*ROW_ISSUES, "unknown_applicant"]), pl.col("value") > 0)
    joined = found.join(rows, on=["source", "month"], how="left", nulls_equal=True)
    stranger, known = pl.col("issue") == "unknown_applicant", pl.col("total").fill_null(0)
    whole = pl.when(stranger).then(known + pl.col("value")).otherwise("total")  # rows are of those known
    return _with_actions(
        joined.select("source", "issue", "column", "month", affected="value", share=pl.col("value") / whole),
        actions,
    )


def month_findings(
    counts: pl.DataFrame, actions: Mapping[str, Mapping[str, str]], lines: Mapping[str, float]
) -> pl.DataFrame:
    """Return the months that differ from the month before and from the month after by more than the lines.

    Measures: volume (relative difference of rows), missing (difference of the missing share), unit_shift
    (factor between geometric means), category_shift (total variation distance between the mixes). Growth, and
    a level that stays, are no finding here. Not judged are the first and the last month and months of fewer
    than 200 rows; the volume of a month, also of one without any row, is judged where a neighbour has 200.
    """
    rows = counts.filter(pl.col("measure") == "rows").select("source", "month", total="value")
    wide = counts.join(rows, on=["source", "month"]).filter(pl.col("month").is_not_null())
    missing = _measure(wide, "missing:").with_columns(level=pl.col("value") / pl.col("total"))
    sums = _measure(wide, "log_sum:")
    sizes = _measure(wide, "log_count:").select("source", "month", "column", size="value")
    units = sums.join(sizes, on=["source", "month", "column"]).with_columns(
        level=pl.col("value") / pl.col("size") / 1e6
    )
    found = [
        _volumes(rows.drop_nulls("month"), lines["volume"]),
        _against_neighbours(missing, "missing", lambda here, near: (here - near).abs(), lines["missing"]),
        _against_neighbours(
            units, "unit_shift", lambda here, near: 10 ** (here - near).abs(), lines["unit_shift"]
        ),
        _category_shifts(wide, lines["category_shift"]),
    ]
    return _with_actions(pl.concat([frame.select(_FOUND) for frame in found]), actions)


def stop_on(findings: pl.DataFrame) -> None:
    """Raise DataError with every finding whose action is stop."""
    stopping = (
        findings.filter(pl.col("action") == "stop")
        .group_by("source", "issue", "column")
        .agg(
            pl.col("affected").sum(),
            pl.col("month").drop_nulls().min().alias("first"),
            pl.col("month").n_unique().alias("months"),
        )
    )
    if stopping.height:
        faults = [
            f"{'.'.join(filter(None, (row['source'], row['column'])))}: {row['issue']} in "
            f"{row['months']} month(s), first {month_name(row['first'])}; {row['affected']:,.0f} rows "
            f"({MEANINGS[row['issue']]})"
            for row in stopping.sort("source", "issue", "column").iter_rows(named=True)
        ]
        right = "correct the source, or set data.severity to quarantine or warn"
        raise DataError(f"data quality: {len(faults)} finding(s) with severity stop", [*faults, right])


def quality_table(findings: pl.DataFrame) -> pl.DataFrame:
    """Return the findings by source, issue and column: months, worst month, rows, worst share, action."""
    named = findings.with_columns(
        name=pl.col("month").map_elements(month_name, return_dtype=pl.String, skip_nulls=False)
    )
    return (
        named.group_by("source", "issue", "column", "action")
        .agg(
            pl.col("month").n_unique().cast(pl.Int64).alias("months"),
            pl.col("name").sort_by("share", descending=True).first().alias("worst_month"),
            pl.col("affected").sum().cast(pl.Int64).alias("rows"),
            pl.col("share").max().alias("worst"),
        )
        .with_columns(meaning=pl.col("issue").replace_strict(MEANINGS))
        .sort("source", "issue", "column")
    )


def month_name(month: int | None) -> str:
    """Return 202503 as 2025-03."""
    return f"{month // 100}-{month % 100:02}" if month else "no date"


_FOUND = ("source", "issue", "column", "month", "affected", "share")


def _with_actions(found: pl.DataFrame, actions: Mapping[str, Mapping[str, str]]) -> pl.DataFrame:
    def action(row: Mapping[str, str]) -> str:
        own = actions[row["source"]]
        return (
            own.get(row["column"], own[row["issue"]])
            if row["issue"] == "out_of_contract"
            else own[row["issue"]]
        )

    named = pl.Series("action", [action(row) for row in found.iter_rows(named=True)], dtype=pl.String)
    return found.with_columns(pl.col("share").fill_null(1.0), named).sort(
        "source", "issue", "column", "month"
    )


def _measure(wide: pl.DataFrame, prefix: str) -> pl.DataFrame:
    chosen = wide.filter(pl.col("measure").str.starts_with(prefix))
    return chosen.with_columns(column=pl.col("measure").str.strip_prefix(prefix))


def _against_neighbours(
    levels: pl.DataFrame, issue: str, distance: Distance, line: float, *, least: int = _LEAST_ROWS
) -> pl.DataFrame:
    """Return the months that lie apart from both neighbours, on the same side, by more than the line."""
    own = ["source", "column"]
    here, level = pl.col("level"), levels.sort(*own, "month")
    before, after = here.shift(1).over(own), here.shift(-1).over(own)
    same_side = (here - before).sign() == (here - after).sign()
    nearest = pl.min_horizontal(distance(here, before), distance(here, after))
    found = level.with_columns(share=nearest, same_side=same_side).filter(
        pl.col("same_side"), pl.col("share") > line, pl.col("share").is_finite(), pl.col("total") >= least
    )
    return found.with_columns(pl.lit(issue).alias("issue"), affected=pl.col("total"))


def _volumes(rows: pl.DataFrame, line: float) -> pl.DataFrame:
    """Return the months whose rows differ from those of the month before and of the month after."""
    count = (pl.col("month") // 100) * 12 + pl.col("month") % 100 - 1
    spans = rows.group_by("source").agg(pl.int_range(count.min(), count.max() + 1).alias("count"))
    every = spans.explode("count").with_columns(month=pl.col("count") // 12 * 100 + pl.col("count") % 12 + 1)
    typed = every.select("source", pl.col("month").cast(rows.schema["month"]))
    levels = typed.join(rows, on=["source", "month"], how="left").fill_null(0).sort("source", "month")
    near = [pl.col("total").shift(step).over("source") for step in (1, -1)]
    enough = pl.max_horizontal("total", *near) >= _LEAST_ROWS
    judged = levels.with_columns(column=pl.lit(""), level="total", total=pl.when(enough).then("total"))
    return _against_neighbours(judged, "volume", lambda here, near: (here / near - 1).abs(), line, least=0)


def _category_shifts(wide: pl.DataFrame, line: float) -> pl.DataFrame:
    """Return the months whose mix of categories lies apart from both neighbours' by more than the line."""
    own = ["source", "column"]
    split = pl.col("column").str.splitn("=", 2)
    mixes = _measure(wide, "category:").with_columns(
        category=split.struct.field("field_1"), column=split.struct.field("field_0")
    )
    months = mixes.select(*own, "month", "total").unique()
    grid = months.join(mixes.select(*own, "category").unique(), on=own)
    keys = [*own, "category"]
    full = grid.join(mixes.select(*keys, "month", "value"), on=[*keys, "month"], how="left").sort(
        *keys, "month"
    )
    level = pl.col("value").fill_null(0) / pl.col("total")
    near = [pl.col("level").shift(step).over(keys) for step in (1, -1)]
    levels = full.with_columns(level=level).with_columns(before=near[0], after=near[1])
    beside = levels.drop_nulls(["before", "after"])
    gaps = {
        "here_before": ("level", "before"),
        "here_after": ("level", "after"),
        "around": ("before", "after"),
    }
    distances = beside.group_by(*own, "month", "total").agg(
        (pl.col(one) - pl.col(other)).abs().sum().alias(gap) / 2 for gap, (one, other) in gaps.items()
    )
    # of one category: the smaller of both distances where the month lies on one side of both, else nothing
    found = distances.with_columns(
        share=(pl.col("here_before") + pl.col("here_after") - pl.col("around")) / 2
    )
    shifted = found.filter(pl.col("share") > line, pl.col("total") >= _LEAST_ROWS)
    return shifted.with_columns(pl.lit("category_shift").alias("issue"), affected=pl.col("total"))
