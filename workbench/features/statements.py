"""The card ledger: 29 features from six monthly statements, in Narwhals expressions that every engine runs.

Only whole numbers are added up: an engine may add in any order, and a sum of whole numbers does not depend on
it, while the last digit of a sum of fractions does, and a tree's threshold can lie just there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView
from workbench.features.windows import PERIOD_DAYS, Windows, only_positive

_MONTHS = 6
_TIME_SPREAD = 35.0  # twice the sum of (month_index - 3.5)^2 over six months
_MILLIONTHS = 1_000_000
_MONTH = nw.col("month_index")
_LATE = nw.col("status").clip(0, None)
_BILLED, _PAID, _OWED = nw.col("billed"), nw.col("paid"), nw.col("owed_before")


def _only(condition: nw.Expr, value: nw.Expr | None = None) -> nw.Expr:
    flag = condition.cast(nw.Int64)
    return flag if value is None else flag * value


# What each month says, from the month's own row and the bill of the month before: whole numbers.
_MONTHLY = {
    "late": _LATE,
    "late_latest": _only(_MONTH == 6, _LATE),
    "late_recent": _only(_MONTH >= 4, _LATE),
    "is_late": _only(_LATE >= 1),
    "is_late_2": _only(_LATE >= 2),
    "late_index": _only(_LATE >= 1, _MONTH),
    "late_product": _LATE * (2 * _MONTH - 7),
    "is_paid_in_full": _only(nw.col("status") == -1),
    "is_paid_in_full_latest": _only((nw.col("status") == -1) & (_MONTH == 6)),
    "is_no_use": _only(nw.col("status") == -2),
    "is_no_use_latest": _only((nw.col("status") == -2) & (_MONTH == 6)),
    "billed_latest": _only(_MONTH == 6, _BILLED),
    "billed_product": _BILLED * (2 * _MONTH - 7),
    "billed_square": _BILLED * _BILLED,
    "is_over_limit": _only(nw.col("credit_limit") < _BILLED),
    "paid_latest": _only(_MONTH == 6, _PAID),
    "paid_square": _PAID * _PAID,
    "payment_ratio": ((_PAID / _OWED).clip(0, 1) * _MILLIONTHS).round(0),
    "paid_against_bill": nw.when(_OWED > 0).then(_PAID),
    "is_unpaid": _only((_OWED > 0) & (_PAID == 0)),
}

# What the six months of one applicant say together: plain aggregates, which every engine has.
_SUMS = (
    "late_latest", "late_recent", "is_late", "is_late_2", "late_product",
    "is_paid_in_full", "is_paid_in_full_latest", "is_no_use", "is_no_use_latest",
    "billed", "billed_latest", "billed_product", "billed_square", "is_over_limit",
    "paid", "paid_latest", "paid_square", "paid_against_bill", "owed_before", "is_unpaid", "payment_ratio",
)  # fmt: skip
_AGGREGATES = {f"{name}_sum": nw.col(name).sum() for name in _SUMS} | {
    "months": _MONTH.count(),
    "late_max": nw.col("late").max(),
    "late_index_max": nw.col("late_index").max(),
    "billed_max": _BILLED.max(),
    "paid_max": _PAID.max(),
    "payment_ratio_min": nw.col("payment_ratio").min(),
    "payment_ratio_count": nw.col("payment_ratio").count(),
    "credit_limit": nw.col("credit_limit").max(),
}


def _mean(name: str) -> nw.Expr:
    return nw.col(f"{name}_sum") / nw.col("months")


def _of_limit(value: nw.Expr) -> nw.Expr:
    return value / only_positive(nw.col("credit_limit"))


def _slope(name: str) -> nw.Expr:
    """Return the least-squares slope per month from the sum of value x (2 month_index - 7), of six months."""
    return nw.when(nw.col("months") == _MONTHS).then(nw.col(f"{name}_product_sum") * (1 / _TIME_SPREAD))


def _deviation(name: str) -> nw.Expr:
    """Return the standard deviation (n - 1) from sums of values and squares; missing for a single month."""
    sums = ("months", f"{name}_sum", f"{name}_square_sum")
    months, total, square = (nw.col(column).cast(nw.Float64) for column in sums)
    variance = (months * square - total * total).clip(0, None) / only_positive(months * (months - 1))
    return variance.sqrt()


def _feature(
    name: str, family: str, definition: str, unit: str, monotone: Literal[-1, 0, 1], value: nw.Expr
) -> Feature:
    return Feature(
        name, family, definition, unit, monotone, value, "statements", "statements", "payment_history"
    )


FEATURES = (
    _feature("late_months_latest", "payments late now", "months late in the latest month", "months", 1, nw.col("late_latest_sum")),
    _feature("late_months_max", "payments late", "deepest delinquency in six months", "months", 1, nw.col("late_max")),
    _feature("late_months_recent", "payments late now", "mean months late over the latest three months", "months", 1, nw.col("late_recent_sum") * (1 / 3)),
    _feature("late_count", "payments late", "months in which a payment was late", "count", 1, nw.col("is_late_sum")),
    _feature("late_2_count", "payments late", "months two or more months late", "count", 1, nw.col("is_late_2_sum")),
    _feature("months_since_late", "payments late now", "months since the last late month; 6 when never late", "months", -1, 6 - nw.col("late_index_max")),
    _feature("late_trend", "payments late now", "slope of months late over six months", "months per month", 1, _slope("late")),
    _feature("paid_in_full_count", "account use", "months paid in full", "count", 0, nw.col("is_paid_in_full_sum")),
    _feature("paid_in_full_latest", "account use", "latest month paid in full", "yes or no", 0, nw.col("is_paid_in_full_latest_sum")),
    _feature("no_use_count", "account use", "months without consumption", "count", 0, nw.col("is_no_use_sum")),
    _feature("no_use_latest", "account use", "no consumption in the latest month", "yes or no", 0, nw.col("is_no_use_latest_sum")),
    _feature("utilisation_latest", "use of the limit", "latest bill over credit limit", "share of limit", 0, _of_limit(nw.col("billed_latest_sum"))),
    _feature("utilisation_mean", "use of the limit", "mean bill over credit limit", "share of limit", 0, _of_limit(_mean("billed"))),
    _feature("utilisation_max", "use of the limit", "highest bill over credit limit", "share of limit", 1, _of_limit(nw.col("billed_max"))),
    _feature("utilisation_trend", "use of the limit", "slope of bill over credit limit over six months", "share of limit per month", 0, _of_limit(_slope("billed"))),
    _feature("utilisation_volatility", "use of the limit", "standard deviation of bill over credit limit", "share of limit", 0, _of_limit(_deviation("billed"))),
    _feature("over_limit_count", "use of the limit", "months with a bill above the credit limit", "count", 1, nw.col("is_over_limit_sum")),
    _feature("payment_ratio_mean", "share of bills paid", "mean of payment over the previous month's bill, each at most 1; missing without a bill", "share of bill", -1, nw.col("payment_ratio_sum") / only_positive(nw.col("payment_ratio_count")) * (1 / _MILLIONTHS)),
    _feature("payment_ratio_min", "share of bills paid", "lowest payment over the previous month's bill, at most 1; missing without a bill", "share of bill", -1, nw.col("payment_ratio_min") * (1 / _MILLIONTHS)),
    _feature("payment_ratio_total", "share of bills paid", "sum of payments over sum of the previous months' bills, at most 10; missing without a bill", "share of bills", -1, (nw.col("paid_against_bill_sum") / only_positive(nw.col("owed_before_sum"))).clip(0, 10)),
    _feature("unpaid_count", "bills left unpaid", "months without any payment on a bill of the month before", "count", 1, nw.col("is_unpaid_sum")),
    _feature("paid_share_latest", "size of payments", "latest payment over credit limit", "share of limit", -1, _of_limit(nw.col("paid_latest_sum"))),
    _feature("paid_share_mean", "size of payments", "mean payment over credit limit", "share of limit", -1, _of_limit(_mean("paid"))),
    _feature("paid_mean", "size of payments", "mean monthly payment", "TWD", -1, _mean("paid")),
    _feature("paid_max", "size of payments", "largest monthly payment", "TWD", -1, nw.col("paid_max")),
    _feature("payment_volatility", "regularity of payments", "standard deviation of payment over credit limit", "share of limit", 0, _of_limit(_deviation("paid"))),
    _feature("billed_mean", "size of bills", "mean monthly bill", "TWD", 0, _mean("billed")),
    _feature("billed_latest", "size of bills", "latest bill", "TWD", 0, nw.col("billed_latest_sum")),
    Feature("credit_limit", "credit limit", "credit limit granted", "TWD", -1, nw.col("credit_limit"), "applicants", "applicants", "credit_terms"),
)  # fmt: skip


def features(view: SourceView, windows: Windows) -> list[Feature]:  # noqa: ARG001 - a family's signature
    """Return the 29 features under their own names; windows do not bear on six fixed months."""
    return [
        feature
        if feature.source == "applicants"
        else replace(feature, source=view.name, data_category=view.data_category)
        for feature in FEATURES
    ]


def totals(statements: nw.LazyFrame[Any], applicants: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Return one row of aggregates per applicant with a statement in the six 30-day months before applying.

    `applicants` has applicant_id and credit_limit; `statements` has applicant_id, age_days, status, billed
    and paid (whole numbers), one row per 30 days. A payment is set against the bill of the month before;
    where that bill is not above zero the ratio is missing, not zero.
    """
    months = statements.with_columns(month_index=_MONTHS - nw.col("age_days") // PERIOD_DAYS).filter(
        _MONTH >= 1
    )
    monthly = _with_bill_before(months).join(
        applicants.select("applicant_id", "credit_limit"), on="applicant_id", how="inner"
    )
    return monthly.with_columns(**_MONTHLY).group_by("applicant_id").agg(**_AGGREGATES)


def _with_bill_before(statements: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Add `owed_before`: the bill of the month before, missing where it is not above zero."""
    before = statements.select(
        "applicant_id",
        month_index=_MONTH + 1,
        owed_before=nw.when(_BILLED > 0).then(_BILLED.cast(nw.Float64)),
    )
    return statements.join(before, on=["applicant_id", "month_index"], how="left")
