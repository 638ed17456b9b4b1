"""What is wrong or odd in the data, how often, and what the study decided about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from workbench.data.taiwan import UNDOCUMENTED, Tables


def quality_table(source: pl.DataFrame, tables: Tables, decisions: Mapping[str, str]) -> pl.DataFrame:
    """Count every known oddity: issue, applicants and rows affected, share of applicants, decision.

    `decisions` maps the five decided issues to what the study does about them; others are kept.
    """
    found = {
        "duplicates": (_repeats(source), "same values as an earlier client in all columns but the number"),
        "undocumented_education": (_undocumented(tables, "education"), "education code outside the codebook"),
        "undocumented_marital_status": (
            _undocumented(tables, "marital_status"),
            "marital status code outside the codebook",
        ),
        "negative_bills": (_negative_bills(tables), "bill below zero (credit balance)"),
        "inactive": (_inactive(tables), "no bill and no payment in any month"),
        "late_without_bill": (_late_without_bill(tables), "months late reported on a bill of zero or less"),
        "far_over_limit": (_far_over_limit(tables), "bill over 1.5 times the credit limit"),
    }
    total = tables.applicants.height
    return pl.DataFrame(
        [
            {
                "issue": name,
                "meaning": meaning,
                "applicants": ids.n_unique(),
                "rows": ids.len(),
                "share": ids.n_unique() / total,
                "decision": decisions.get(name, "keep"),
            }
            for name, (ids, meaning) in found.items()
        ]
    )


def exclude(
    source: pl.DataFrame, tables: Tables, decisions: Mapping[str, str]
) -> tuple[Tables, pl.DataFrame]:
    """Apply the decisions and return the tables with the exclusion waterfall.

    The waterfall has one row per step: step, excluded, applicants (left), default_rate (of those left).
    """
    steps = [("in the source", tables.applicants["applicant_id"].head(0))]
    if decisions["duplicates"] == "drop":
        steps.append(("duplicates dropped", _repeats(source)))
    steps += [
        (f"undocumented {attribute} excluded", _undocumented(tables, attribute))
        for attribute in ("education", "marital_status")
        if decisions[f"undocumented_{attribute}"] == "exclude"
    ]
    if decisions["negative_bills"] == "exclude":
        steps.append(("negative bills excluded", _negative_bills(tables)))
    if decisions["inactive"] == "exclude":
        steps.append(("inactive accounts excluded", _inactive(tables)))
    rows = []
    for step, ids in steps:
        before = tables.applicants.height
        tables = _without(tables, ids)
        rows.append(_waterfall_row(step, before, tables))
    return _recode(tables, decisions), pl.DataFrame(rows)


def draw_applicants(
    tables: Tables, waterfall: pl.DataFrame, *, applicants: int, seed: int
) -> tuple[Tables, pl.DataFrame]:
    """Keep a seeded random draw of so many applicants (0 keeps all) and add it to the waterfall."""
    before = tables.applicants.height
    if not 0 < applicants < before:
        return tables, waterfall
    drawn = tables.only(tables.applicants["applicant_id"].sample(applicants, seed=seed))
    row = _waterfall_row(f"outside the random draw of {applicants:,}", before, drawn)
    return drawn, pl.concat([waterfall, pl.DataFrame([row])])


def ledger_table(statements: pl.DataFrame) -> pl.DataFrame:
    """Return the ledger by month: month, statements, late_share, unused_share, median_billed, median_paid."""
    return (
        statements.group_by("month")
        .agg(
            pl.len().cast(pl.Int64).alias("statements"),
            (pl.col("status") > 0).mean().alias("late_share"),
            (pl.col("status") == -2).mean().alias("unused_share"),
            pl.col("billed").median().alias("median_billed"),
            pl.col("paid").median().alias("median_paid"),
        )
        .sort("month")
    )


def _waterfall_row(step: str, before: int, tables: Tables) -> dict[str, object]:
    left = tables.applicants
    return {
        "step": step,
        "excluded": before - left.height,
        "applicants": left.height,
        "default_rate": left["default"].mean(),
    }


def _without(tables: Tables, ids: pl.Series) -> Tables:
    return tables.only(tables.applicants.filter(~pl.col("applicant_id").is_in(ids.implode()))["applicant_id"])


def _recode(tables: Tables, decisions: Mapping[str, str]) -> Tables:
    other = pl.col("education", "marital_status").replace(UNDOCUMENTED, "other")
    tables = replace(tables, protected=tables.protected.with_columns(other))
    if decisions["negative_bills"] == "zero":
        zeroed = tables.statements.with_columns(pl.col("billed").clip(lower_bound=0))
        return replace(tables, statements=zeroed)
    return tables


def _repeats(source: pl.DataFrame) -> pl.Series:
    values = [name for name in source.columns if name != "ID"]
    first = source.sort("ID").unique(subset=values, keep="first", maintain_order=True)["ID"]
    return source.filter(~pl.col("ID").is_in(first.implode()))["ID"]


def _undocumented(tables: Tables, attribute: str) -> pl.Series:
    return tables.protected.filter(pl.col(attribute) == UNDOCUMENTED)["applicant_id"]


def _negative_bills(tables: Tables) -> pl.Series:
    return tables.statements.filter(pl.col("billed") < 0)["applicant_id"]


def _inactive(tables: Tables) -> pl.Series:
    activity = tables.statements.group_by("applicant_id", maintain_order=True).agg(
        (pl.col("billed").abs() + pl.col("paid").abs()).sum().alias("activity")
    )
    return activity.filter(pl.col("activity") == 0)["applicant_id"]


def _late_without_bill(tables: Tables) -> pl.Series:
    return tables.statements.filter((pl.col("status") > 0) & (pl.col("billed") <= 0))["applicant_id"]


def _far_over_limit(tables: Tables) -> pl.Series:
    limits = tables.applicants.select("applicant_id", "credit_limit")
    ledger = tables.statements.join(limits, on="applicant_id")
    return ledger.filter(pl.col("billed") > 1.5 * pl.col("credit_limit"))["applicant_id"]
