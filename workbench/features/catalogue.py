"""The feature catalogue: what each feature is, where it comes from and which way it should point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import narwhals as nw
import polars as pl

from workbench.errors import ParamsError, near_name

DataCategory = Literal["payment_history", "credit_terms"]
_TIME_SPREAD = 17.5  # sum of (month_index - 3.5)^2 over six months: turns a sum of products into a slope


@dataclass(frozen=True)
class Feature:
    """One feature: its expression over the aggregates of one applicant, and what a reader must know.

    `monotone` is the expected direction: +1 "higher value, higher PD", -1 "higher value, lower PD", 0 none.
    """

    name: str
    family: str
    definition: str
    unit: str
    monotone: Literal[-1, 0, 1]
    value: nw.Expr
    source: str = "statements"
    data_category: DataCategory = "payment_history"


def _slope(total: str) -> nw.Expr:
    return nw.col(total) / _TIME_SPREAD


def _column(name: str) -> nw.Expr:
    return nw.col(name)


FEATURES = (
    Feature("late_months_latest", "payments late now", "months late in the latest month", "months", 1, _column("late_latest")),
    Feature("late_months_max", "payments late", "deepest delinquency in six months", "months", 1, _column("late_max")),
    Feature("late_months_recent", "payments late now", "mean months late over the latest three months", "months", 1, _column("late_recent") / 3),
    Feature("late_count", "payments late", "months in which a payment was late", "count", 1, _column("late_count")),
    Feature("late_2_count", "payments late", "months two or more months late", "count", 1, _column("late_2_count")),
    Feature("months_since_late", "payments late now", "months since the last late month; 6 when never late", "months", -1, 6 - _column("late_last_index")),
    Feature("late_trend", "payments late now", "slope of months late over six months", "months per month", 1, _slope("late_product")),
    Feature("paid_in_full_count", "account use", "months paid in full", "count", 0, _column("paid_in_full_count")),
    Feature("paid_in_full_latest", "account use", "latest month paid in full", "yes or no", 0, _column("paid_in_full_latest")),
    Feature("no_use_count", "account use", "months without consumption", "count", 0, _column("no_use_count")),
    Feature("no_use_latest", "account use", "no consumption in the latest month", "yes or no", 0, _column("no_use_latest")),
    Feature("utilisation_latest", "use of the limit", "latest bill over credit limit", "share of limit", 0, _column("utilisation_latest")),
    Feature("utilisation_mean", "use of the limit", "mean bill over credit limit", "share of limit", 0, _column("utilisation_mean")),
    Feature("utilisation_max", "use of the limit", "highest bill over credit limit", "share of limit", 1, _column("utilisation_max")),
    Feature("utilisation_trend", "use of the limit", "slope of bill over credit limit over six months", "share of limit per month", 0, _slope("utilisation_product")),
    Feature("utilisation_volatility", "use of the limit", "standard deviation of bill over credit limit", "share of limit", 0, _column("utilisation_deviation")),
    Feature("over_limit_count", "use of the limit", "months with a bill above the credit limit", "count", 1, _column("over_limit_count")),
    Feature("payment_ratio_mean", "share of bills paid", "mean of payment over the previous month's bill, each at most 1; missing without a bill", "share of bill", -1, _column("payment_ratio_mean")),
    Feature("payment_ratio_min", "share of bills paid", "lowest payment over the previous month's bill, at most 1; missing without a bill", "share of bill", -1, _column("payment_ratio_min")),
    Feature("payment_ratio_total", "share of bills paid", "sum of payments over sum of the previous months' bills, at most 10; missing without a bill", "share of bills", -1, (_column("paid_against_bill") / _column("owed_before")).clip(0, 10)),
    Feature("unpaid_count", "bills left unpaid", "months without any payment on a bill of the month before", "count", 1, _column("unpaid_count")),
    Feature("paid_share_latest", "size of payments", "latest payment over credit limit", "share of limit", -1, _column("paid_share_latest")),
    Feature("paid_share_mean", "size of payments", "mean payment over credit limit", "share of limit", -1, _column("paid_share_mean")),
    Feature("paid_mean", "size of payments", "mean monthly payment", "TWD", -1, _column("paid_mean")),
    Feature("paid_max", "size of payments", "largest monthly payment", "TWD", -1, _column("paid_max")),
    Feature("payment_volatility", "regularity of payments", "standard deviation of payment over credit limit", "share of limit", 0, _column("paid_share_deviation")),
    Feature("billed_mean", "size of bills", "mean monthly bill", "TWD", 0, _column("billed_mean")),
    Feature("billed_latest", "size of bills", "latest bill", "TWD", 0, _column("billed_latest")),
    Feature("credit_limit", "credit limit", "credit limit granted", "TWD", -1, _column("credit_limit"), source="applicants", data_category="credit_terms"),
)  # fmt: skip
BY_NAME = {feature.name: feature for feature in FEATURES}


def select_features(names: list[str]) -> tuple[Feature, ...]:
    """Return the named features in the order given; raises ParamsError with every unknown name."""
    faults = [
        f"features.selected: {name!r} is not in the catalogue{near_name(name, BY_NAME)}"
        for name in names
        if name not in BY_NAME
    ]
    if faults:
        raise ParamsError(f"{len(faults)} unknown feature(s)", [*faults, f"known: {', '.join(BY_NAME)}"])
    return tuple(BY_NAME[name] for name in names)


def catalogue_table(features: tuple[Feature, ...]) -> pl.DataFrame:
    """Return feature, family, definition, source, data_category, unit and monotone, one row per feature."""
    columns = ("name", "family", "definition", "source", "data_category", "unit", "monotone")
    rows = [{column: getattr(feature, column) for column in columns} for feature in features]
    return pl.DataFrame(rows).rename({"name": "feature"})
