"""From the payment ledger to one row per applicant, in Narwhals expressions that every engine runs."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from workbench.features.catalogue import Feature

_MONTH = nw.col("month_index")
_LATEST = _MONTH == 6
_LATE = nw.col("status").clip(0, None)


def _number(condition: nw.Expr) -> nw.Expr:
    return condition.cast(nw.Float64)


# What each month says, from the month's own row and the bill of the month before.
_MONTHLY = {
    "late": _LATE.cast(nw.Float64),
    "late_latest": _LATE * _number(_LATEST),
    "late_recent": _LATE * _number(_MONTH >= 4),
    "is_late": _number(_LATE >= 1),
    "is_late_2": _number(_LATE >= 2),
    "late_index": _MONTH * _number(_LATE >= 1),
    "late_product": _LATE * (_MONTH - 3.5),
    "is_paid_in_full": _number(nw.col("status") == -1),
    "is_paid_in_full_latest": _number((nw.col("status") == -1) & _LATEST),
    "is_no_use": _number(nw.col("status") == -2),
    "is_no_use_latest": _number((nw.col("status") == -2) & _LATEST),
    "utilisation": nw.col("billed") / nw.col("credit_limit"),
    "utilisation_latest": nw.col("billed") / nw.col("credit_limit") * _number(_LATEST),
    "utilisation_product": nw.col("billed") / nw.col("credit_limit") * (_MONTH - 3.5),
    "is_over_limit": _number(nw.col("billed") > nw.col("credit_limit")),
    "paid_share": nw.col("paid") / nw.col("credit_limit"),
    "paid_share_latest": nw.col("paid") / nw.col("credit_limit") * _number(_LATEST),
    "billed_latest": nw.col("billed") * _number(_LATEST),
    "payment_ratio": (nw.col("paid") / nw.col("owed_before")).clip(0, 1),
    "paid_against_bill": nw.when(nw.col("owed_before") > 0).then(nw.col("paid")),
    "is_unpaid": _number((nw.col("owed_before") > 0) & (nw.col("paid") == 0)),
}

# What the six months of one applicant say together: plain aggregates, which every engine has.
_AGGREGATES = {
    "late_latest": nw.col("late_latest").sum(),
    "late_max": nw.col("late").max(),
    "late_recent": nw.col("late_recent").sum(),
    "late_count": nw.col("is_late").sum(),
    "late_2_count": nw.col("is_late_2").sum(),
    "late_last_index": nw.col("late_index").max(),
    "late_product": nw.col("late_product").sum(),
    "paid_in_full_count": nw.col("is_paid_in_full").sum(),
    "paid_in_full_latest": nw.col("is_paid_in_full_latest").sum(),
    "no_use_count": nw.col("is_no_use").sum(),
    "no_use_latest": nw.col("is_no_use_latest").sum(),
    "utilisation_latest": nw.col("utilisation_latest").sum(),
    "utilisation_mean": nw.col("utilisation").mean(),
    "utilisation_max": nw.col("utilisation").max(),
    "utilisation_product": nw.col("utilisation_product").sum(),
    "utilisation_deviation": nw.col("utilisation").std(),
    "over_limit_count": nw.col("is_over_limit").sum(),
    "payment_ratio_mean": nw.col("payment_ratio").mean(),
    "payment_ratio_min": nw.col("payment_ratio").min(),
    "paid_against_bill": nw.col("paid_against_bill").sum(),
    "owed_before": nw.col("owed_before").sum(),
    "unpaid_count": nw.col("is_unpaid").sum(),
    "paid_share_latest": nw.col("paid_share_latest").sum(),
    "paid_share_mean": nw.col("paid_share").mean(),
    "paid_share_deviation": nw.col("paid_share").std(),
    "paid_mean": nw.col("paid").mean(),
    "paid_max": nw.col("paid").max(),
    "billed_mean": nw.col("billed").mean(),
    "billed_latest": nw.col("billed_latest").sum(),
    "credit_limit": nw.col("credit_limit").max(),
}


def build_features(
    applicants: nw.LazyFrame[Any], statements: nw.LazyFrame[Any], features: tuple[Feature, ...]
) -> nw.LazyFrame[Any]:
    """Return applicant_id and one column per feature, sorted by applicant_id, as float64.

    `applicants` has applicant_id and credit_limit; `statements` has applicant_id, month_index (1 to 6, oldest
    first), status, billed and paid. A payment is set against the bill of the month before; where that bill is
    not above zero the ratio is missing, not zero. Works the same on Polars, pandas and cuDF frames.
    """
    monthly = _with_bill_before(statements).join(
        applicants.select("applicant_id", "credit_limit"), on="applicant_id", how="inner"
    )
    monthly = monthly.with_columns(**_MONTHLY)
    totals = monthly.group_by("applicant_id").agg(**_AGGREGATES)
    totals = totals.with_columns(owed_before=nw.when(nw.col("owed_before") > 0).then(nw.col("owed_before")))
    values = {feature.name: feature.value.cast(nw.Float64) for feature in features}
    return totals.select("applicant_id", **values).sort("applicant_id")


def _with_bill_before(statements: nw.LazyFrame[Any]) -> nw.LazyFrame[Any]:
    """Add `owed_before`: the bill of the month before, missing where it is not above zero."""
    before = statements.select(
        "applicant_id",
        month_index=nw.col("month_index") + 1,
        owed_before=nw.when(nw.col("billed") > 0).then(nw.col("billed").cast(nw.Float64)),
    )
    return statements.join(before, on=["applicant_id", "month_index"], how="left")
