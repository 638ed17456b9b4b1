"""Top-ups: how often, how much and how evenly an applicant buys airtime."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import (
    Value,
    Windows,
    amount_measures,
    amount_variation,
    only_positive,
    plain,
    ratio,
    relative_slope,
)

FAMILY = "top-up behaviour"
MEASURES = {"amount": nw.col("amount")} | amount_measures("amount")


def features(view: SourceView, windows: Windows) -> list[Feature]:
    """Return the features of a source of top-ups."""
    made = [feature for days in windows.days for feature in _in_window(view, windows, days)]
    days = windows.longest
    cv = amount_variation(windows, "amount")
    made.append(
        feature_of(view, f"amount_cv_{days}", FAMILY, f"standard deviation over mean of the amounts in the last {days} days", "ratio", 0, cv)
    )  # fmt: skip
    if windows.periods > 1:
        trend = relative_slope(windows.by_period("one"))
        when = f"over the {windows.periods} whole 30-day periods before the application"
        made.append(
            feature_of(view, "trend", FAMILY, f"slope of the number of top-ups over its mean, {when}", "per 30 days", 0, trend)
        )  # fmt: skip
    return made


def _in_window(view: SourceView, windows: Windows, days: int) -> list[Feature]:
    when = f"in the last {days} days"
    count, amount = windows.total("one", days), windows.total("amount", days)
    return [
        feature_of(view, f"count_{days}", FAMILY, f"top-ups {when}", "count", 0, plain(count), absent=0),
        feature_of(view, f"amount_mean_{days}", FAMILY, f"mean top-up {when}", "minor units", 0, ratio(amount, count)),
        feature_of(view, f"gap_mean_{days}", FAMILY, f"mean days between top-ups {when}; missing with fewer than two", "days", 0, _gap(windows, days)),
    ]  # fmt: skip


def _gap(windows: Windows, days: int) -> Value:
    count = windows.total("one", days)
    first, last = windows.most("age", days), windows.least("age", days)
    gaps = only_positive(count.column - 1)
    return Value((first.column - last.column) / gaps, (count, first, last))
