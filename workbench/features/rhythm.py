"""Usage rhythm and tenure: when an applicant is active, from the times of events alone."""

from __future__ import annotations

import narwhals as nw

from workbench.features.catalogue import Feature, SourceView, feature_of
from workbench.features.windows import Aggregate, Windows, flag, plain, ratio, share_of_periods

RHYTHM, TENURE = "usage rhythm", "tenure"
NIGHT_ENDS, SATURDAY = 6, 6
MEASURES = {
    "night": flag(nw.col("hour") < NIGHT_ENDS),
    "weekend": flag(nw.col("weekday") >= SATURDAY),
}


def features(view: SourceView, windows: Windows) -> list[Feature]:
    """Return the rhythm of a source whose events the applicant sets off: top-ups and transactions."""
    made = [feature for days in windows.days for feature in _in_window(view, windows, days)]
    if windows.periods > 1:
        when = f"share of the {windows.periods} whole 30-day periods before the application with an event"
        active = share_of_periods(windows.by_period("one"))
        made.append(feature_of(view, "active_periods_share", RHYTHM, when, "share", -1, active))
    last = plain(Aggregate("age", "min"))
    made.append(feature_of(view, "days_since_last", RHYTHM, "days since the latest event", "days", 1, last))
    return made


def _in_window(view: SourceView, windows: Windows, days: int) -> list[Feature]:
    when = f"in the last {days} days"
    count, night, weekend = (windows.total(name, days) for name in ("one", "night", "weekend"))
    return [
        feature_of(view, f"night_share_{days}", RHYTHM, f"share of events between 0 and 6 o'clock {when}", "share", 0, ratio(night, count)),
        feature_of(view, f"weekend_share_{days}", RHYTHM, f"share of events on Saturday or Sunday {when}", "share", 0, ratio(weekend, count)),
    ]  # fmt: skip


def tenure(view: SourceView, windows: Windows) -> list[Feature]:
    """Return the days since the oldest event in the observation window."""
    definition = f"days since the oldest event, at most {windows.observation_days - 1}"
    oldest = plain(Aggregate("age", "max"))
    return [feature_of(view, "tenure_days", TENURE, definition, "days", -1, oldest)]
