"""The feature catalogue: what each feature is, where it comes from and which way it should point."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import narwhals as nw
import polars as pl

from workbench.errors import ParamsError, near_name

DataCategory = Literal["payment_history", "credit_terms"]
_TIME_SPREAD = 35.0  # twice the sum of (month_index - 3.5)^2 over six months
_MILLIONTHS = 1_000_000.0


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


def _column(name: str) -> nw.Expr:
    return nw.col(name)


def _mean(name: str) -> nw.Expr:
    return _column(f"{name}_sum") / _column("months")


def _of_limit(value: nw.Expr) -> nw.Expr:
    return value / _column("credit_limit")


def _slope(name: str) -> nw.Expr:
    """Return the least-squares slope per month from the sum of value x (2 month_index - 7)."""
    return _column(f"{name}_product_sum") / _TIME_SPREAD


def _deviation(name: str) -> nw.Expr:
    """Return the standard deviation (n - 1) from sums of values and squares, exact until the root."""
    months, total = _column("months"), _column(f"{name}_sum")
    return ((months * _column(f"{name}_square_sum") - total * total) / (months * (months - 1))).sqrt()


def _missing_at_zero(divisor: nw.Expr) -> nw.Expr:
    return nw.when(divisor > 0).then(divisor)


FEATURES = (
    Feature("late_months_latest", "payments late now", "months late in the latest month", "months", 1, _column("late_latest_sum")),
    Feature("late_months_max", "payments late", "deepest delinquency in six months", "months", 1, _column("late_max")),
    Feature("late_months_recent", "payments late now", "mean months late over the latest three months", "months", 1, _column("late_recent_sum") / 3),
    Feature("late_count", "payments late", "months in which a payment was late", "count", 1, _column("is_late_sum")),
    Feature("late_2_count", "payments late", "months two or more months late", "count", 1, _column("is_late_2_sum")),
    Feature("months_since_late", "payments late now", "months since the last late month; 6 when never late", "months", -1, 6 - _column("late_index_max")),
    Feature("late_trend", "payments late now", "slope of months late over six months", "months per month", 1, _slope("late")),
    Feature("paid_in_full_count", "account use", "months paid in full", "count", 0, _column("is_paid_in_full_sum")),
    Feature("paid_in_full_latest", "account use", "latest month paid in full", "yes or no", 0, _column("is_paid_in_full_latest_sum")),
    Feature("no_use_count", "account use", "months without consumption", "count", 0, _column("is_no_use_sum")),
    Feature("no_use_latest", "account use", "no consumption in the latest month", "yes or no", 0, _column("is_no_use_latest_sum")),
    Feature("utilisation_latest", "use of the limit", "latest bill over credit limit", "share of limit", 0, _of_limit(_column("billed_latest_sum"))),
    Feature("utilisation_mean", "use of the limit", "mean bill over credit limit", "share of limit", 0, _of_limit(_mean("billed"))),
    Feature("utilisation_max", "use of the limit", "highest bill over credit limit", "share of limit", 1, _of_limit(_column("billed_max"))),
    Feature("utilisation_trend", "use of the limit", "slope of bill over credit limit over six months", "share of limit per month", 0, _of_limit(_slope("billed"))),
    Feature("utilisation_volatility", "use of the limit", "standard deviation of bill over credit limit", "share of limit", 0, _of_limit(_deviation("billed"))),
    Feature("over_limit_count", "use of the limit", "months with a bill above the credit limit", "count", 1, _column("is_over_limit_sum")),
    Feature("payment_ratio_mean", "share of bills paid", "mean of payment over the previous month's bill, each at most 1; missing without a bill", "share of bill", -1, _column("payment_ratio_sum") / _missing_at_zero(_column("payment_ratio_count")) / _MILLIONTHS),
    Feature("payment_ratio_min", "share of bills paid", "lowest payment over the previous month's bill, at most 1; missing without a bill", "share of bill", -1, _column("payment_ratio_min") / _MILLIONTHS),
    Feature("payment_ratio_total", "share of bills paid", "sum of payments over sum of the previous months' bills, at most 10; missing without a bill", "share of bills", -1, (_column("paid_against_bill_sum") / _missing_at_zero(_column("owed_before_sum"))).clip(0, 10)),
    Feature("unpaid_count", "bills left unpaid", "months without any payment on a bill of the month before", "count", 1, _column("is_unpaid_sum")),
    Feature("paid_share_latest", "size of payments", "latest payment over credit limit", "share of limit", -1, _of_limit(_column("paid_latest_sum"))),
    Feature("paid_share_mean", "size of payments", "mean payment over credit limit", "share of limit", -1, _of_limit(_mean("paid"))),
    Feature("paid_mean", "size of payments", "mean monthly payment", "TWD", -1, _mean("paid")),
    Feature("paid_max", "size of payments", "largest monthly payment", "TWD", -1, _column("paid_max")),
    Feature("payment_volatility", "regularity of payments", "standard deviation of payment over credit limit", "share of limit", 0, _of_limit(_deviation("paid"))),
    Feature("billed_mean", "size of bills", "mean monthly bill", "TWD", 0, _mean("billed")),
    Feature("billed_latest", "size of bills", "latest bill", "TWD", 0, _column("billed_latest_sum")),
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
