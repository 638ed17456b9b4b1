"""Transactions: how regularly income arrives, how volatile spending is and what is left in the account."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import (
    PERIOD_DAYS,
    Windows,
    flag,
    plain,
    ratio,
    relative_slope,
    share_of_periods,
    variation,
)

INCOME, SPENDING, BALANCE = "income inflow regularity", "spending volatility", "balance"
_AMOUNT, _LEFT = nw.col("amount"), nw.col("balance")
_IN, _OUT = nw.col("direction") == "in", nw.col("direction") == "out"
_LEFT_KNOWN = ~_LEFT.is_null()

MEASURES = {
    "inflow": nw.when(_IN).then(_AMOUNT).otherwise(0),
    "outflow": nw.when(_OUT).then(_AMOUNT).otherwise(0),
    "balance": _LEFT,
    "balance_known": flag(_LEFT_KNOWN),
    "drained": flag(_OUT & _LEFT_KNOWN & (_LEFT < _AMOUNT)),
    "out_known": flag(_OUT & _LEFT_KNOWN),
}


def features(view: SourceView, windows: Windows) -> list[Feature]:
    """Return the features of a source of transactions; those of the balance where the source has one."""
    made = [feature for days in windows.days for feature in _flows(view, windows, days)]
    if "balance" in view.columns:
        made += [feature for days in windows.days for feature in _balance(view, windows, days)]
    return made + (_over_periods(view, windows) if windows.periods > 1 else [])


def _flows(view: SourceView, windows: Windows, days: int) -> list[Feature]:
    when = f"in the last {days} days"
    inflow, outflow = windows.total("inflow", days), windows.total("outflow", days)
    per_period = PERIOD_DAYS / days
    return [
        feature_of(view, f"inflow_mean_{days}", INCOME, f"money in per 30 days, {when}", "minor units", -1, plain(inflow, per_period)),
        feature_of(view, f"outflow_mean_{days}", SPENDING, f"money out per 30 days, {when}", "minor units", 0, plain(outflow, per_period)),
        feature_of(view, f"outflow_ratio_{days}", SPENDING, f"money out over money in, {when}; missing without money in", "ratio", 1, ratio(outflow, inflow)),
    ]  # fmt: skip


def _balance(view: SourceView, windows: Windows, days: int) -> list[Feature]:
    when = f"in the last {days} days"
    balance, known = windows.total("balance", days), windows.total("balance_known", days)
    drained, out = windows.total("drained", days), windows.total("out_known", days)
    return [
        feature_of(view, f"balance_mean_{days}", BALANCE, f"mean balance after a transaction {when}", "minor units", -1, ratio(balance, known)),
        feature_of(view, f"balance_min_{days}", BALANCE, f"lowest balance after a transaction {when}", "minor units", -1, plain(windows.least("balance", days))),
        feature_of(view, f"low_balance_share_{days}", BALANCE, f"share of payments out {when} that left less in the account than they took", "share", 1, ratio(drained, out)),
    ]  # fmt: skip


def _over_periods(view: SourceView, windows: Windows) -> list[Feature]:
    days = windows.longest
    when = f"over the {windows.periods} whole 30-day periods before the application"
    inflow, outflow = windows.by_period("inflow"), windows.by_period("outflow")
    return [
        feature_of(view, f"inflow_periods_share_{days}", INCOME, f"share of periods with money in, {when}", "share", -1, share_of_periods(inflow)),
        feature_of(view, f"inflow_cv_{days}", INCOME, f"standard deviation over mean of money in {when}", "ratio", 1, variation(inflow)),
        feature_of(view, "inflow_trend", INCOME, f"slope of money in over its mean, {when}", "per 30 days", 0, relative_slope(inflow)),
        feature_of(view, f"outflow_cv_{days}", SPENDING, f"standard deviation over mean of money out {when}", "ratio", 1, variation(outflow)),
    ]  # fmt: skip
