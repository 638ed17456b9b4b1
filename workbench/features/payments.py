"""Bills: how regularly they are paid, how deep the arrears are and how long ago they were."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import (
    Windows,
    amount_measures,
    amount_variation,
    flag,
    plain,
    ratio,
    slope_over_events,
)

REGULARITY, ARREARS = "payment regularity", "arrears depth and recency"
_AGE, _PAID, _DUE = nw.col("age_days"), nw.col("paid_age"), nw.col("amount_due")
_DAYS_LATE = _AGE - _PAID.fill_null(0)  # an unpaid bill is late since its due day
_LATE = _DAYS_LATE >= 1
_UNPAID = _PAID.is_null() & (_AGE >= 1)

# A payment counts only where paid_age says that it came before the application.
MEASURES = {
    "late": flag(_LATE),
    "late_30": flag(_DAYS_LATE >= 30),
    "late_age": nw.when(_LATE).then(_AGE).otherwise(0),
    "late_since": nw.when(_LATE).then(_AGE),
    "days_late": _DAYS_LATE.clip(0, None),
    "unpaid": flag(_UNPAID),
    "amount_due": _DUE,
    "owed": nw.when(_UNPAID)
    .then(_DUE)
    .otherwise(nw.when(_PAID.is_null()).then(0).otherwise((_DUE - nw.col("amount_paid")).clip(0, None))),
} | amount_measures("amount_due")


def features(view: SourceView, windows: Windows) -> list[Feature]:
    """Return the features of a source of bills."""
    made = [feature for days in windows.days for feature in _in_window(view, windows, days)]
    return made + _over_time(view, windows)


def _in_window(view: SourceView, windows: Windows, days: int) -> list[Feature]:
    when = f"in the last {days} days"
    count, late = windows.total("one", days), windows.total("late", days)
    late_30, days_late = windows.total("late_30", days), windows.total("days_late", days)
    deepest, unpaid = windows.most("days_late", days), windows.total("unpaid", days)
    return [
        feature_of(view, f"count_{days}", REGULARITY, f"bills due {when}", "count", 0, plain(count), absent=0),
        feature_of(view, f"late_share_{days}", REGULARITY, f"share of bills paid after the due day or past due and unpaid, {when}", "share", 1, ratio(late, count)),
        feature_of(view, f"late_30_share_{days}", ARREARS, f"share of bills 30 or more days late {when}", "share", 1, ratio(late_30, count)),
        feature_of(view, f"days_late_mean_{days}", ARREARS, f"mean days late of the bills {when}; early counts as 0", "days", 1, ratio(days_late, count)),
        feature_of(view, f"days_late_max_{days}", ARREARS, f"most days late of a bill {when}", "days", 1, plain(deepest)),
        feature_of(view, f"unpaid_share_{days}", ARREARS, f"share of bills past due with nothing paid, {when}", "share", 1, ratio(unpaid, count)),
    ]  # fmt: skip


def _over_time(view: SourceView, windows: Windows) -> list[Feature]:
    days = windows.longest
    when = f"in the last {days} days"
    count, billed, owed = (windows.total(name, days) for name in ("one", "amount_due", "owed"))
    arrears = ratio(owed, billed)
    in_bills = arrears._replace(
        expression=arrears.expression * count.column, aggregates=(owed, billed, count)
    )
    late_since = plain(windows.least("late_since", days))
    return [
        feature_of(view, "days_since_late", ARREARS, f"days since the due day of the latest late bill {when}; missing when never late", "days", -1, late_since),
        feature_of(view, "arrears_ratio", ARREARS, f"amount past due and unpaid over the mean bill {when}", "bills", 1, in_bills),
        feature_of(view, "late_trend", REGULARITY, f"slope of the share of late bills {when}", "share per 30 days", 1, slope_over_events(windows, "late")),
        feature_of(view, "amount_cv", REGULARITY, f"standard deviation over mean of the bills {when}", "ratio", 0, amount_variation(windows, "amount_due")),
    ]  # fmt: skip
