"""From the payment ledger to one row per applicant, in Narwhals expressions that every engine runs.

Only whole numbers are added up: an engine may add in any order, and a sum of whole numbers does not depend on
it, while the last digit of a sum of fractions does, and a tree's threshold can lie just there.
"""

from __future__ import annotations

from typing import Any

import narwhals as nw

from workbench.features.catalogue import Feature

_MONTH = nw.col("month_index")
_LATE = nw.col("status").clip(0, None)
_BILLED, _PAID, _OWED = nw.col("billed"), nw.col("paid"), nw.col("owed_before")
_MILLIONTHS = 1_000_000


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


def build_features(
    applicants: nw.LazyFrame[Any], statements: nw.LazyFrame[Any], features: tuple[Feature, ...]
) -> nw.LazyFrame[Any]:
    """Return applicant_id and one column per feature, sorted by applicant_id, as float64.

    `applicants` has applicant_id and credit_limit; `statements` has applicant_id, month_index (1 to 6, oldest
    first), status, billed and paid (whole numbers). A payment is set against the bill of the month before;
    where that bill is not above zero the ratio is missing, not zero. Polars, pandas and cuDF frames give the
    same values.
    """
    monthly = _with_bill_before(statements).join(
        applicants.select("applicant_id", "credit_limit"), on="applicant_id", how="inner"
    )
    totals = monthly.with_columns(**_MONTHLY).group_by("applicant_id").agg(**_AGGREGATES)
    values = {feature.name: feature.value.cast(nw.Float64) for feature in features}
    return totals.select("applicant_id", **values).sort("applicant_id")


def _with_bill_before(statements: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Add `owed_before`: the bill of the month before, missing where it is not above zero."""
    before = statements.select(
        "applicant_id",
        month_index=_MONTH + 1,
        owed_before=nw.when(_BILLED > 0).then(_BILLED.cast(nw.Float64)),
    )
    return statements.join(before, on=["applicant_id", "month_index"], how="left")
