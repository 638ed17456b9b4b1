"""What the made-up world holds: its dates, its true formula, its drift and the errors planted in it.

All times are UTC; seconds count from 1970-01-01. Money is whole cents until it is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Table = dict[str, Array]

VERSION = 1
BLOCK = 1_000  # applicants drawn with one generator: what makes the content independent of the chunks
MOST_APPLICANTS = 100_000_000  # customer numbers are C00000000 to C99999999
DAY = 86_400
MISSING = np.iinfo(np.int64).min  # stands for a missing whole number until the table is written

FIRST_MONTH, MONTHS = np.datetime64("2024-01", "M"), 24
EXTRACTED = np.datetime64("2026-06-30", "D")
OBSERVATION_DAYS, PERFORMANCE_DAYS = 365, 180
OLDEST_DAYS, LATEST_DAYS = 395, 30  # events reach from 395 days before the application to 30 after it
DRIFT_MONTH = np.datetime64("2025-07", "M")

NORTH, SOUTH = 0, 1
COMMUNITIES = ("north", "south")
SOUTH_SHARE = 0.30
TOLD_APART = 1.5  # standard deviations between the communities in what membership is estimated by
HANDSET_SHARES = {"north": (0.06, 0.16, 0.40, 0.38), "south": (0.44, 0.34, 0.16, 0.06)}  # tiers 1 to 4
BIAS = 0.9  # log-odds of approval taken from the community south at equal true PD
APPROVAL = (0.9, 0.45)  # log-odds of approval = first - second x true log-odds of default
RECOVERED = (
    -0.5
)  # log-odds, beside the true ones of default, that one who paid in the end was 60 days late once
INCOME_MISSING = (-1.6, 1.1)  # log-odds of a missing declared income = first - second x its z-score
INCOME_LOG = (6.2, 0.55)  # mean and standard deviation of ln(monthly income) that the z-score uses

# What an applicant from DRIFT_MONTH on differs by, in the units of its latent trait.
DRIFT = {"lateness": 0.62, "income": -0.37, "topup": -0.30}


@dataclass(frozen=True)
class Term:
    """One part of the true log-odds: coefficient x (transform(feature) - centre) / scale; 0 where missing."""

    feature: str
    transform: str  # identity, log = ln(max(x, 1)), log1p = ln(1 + x)
    centre: float
    scale: float
    coefficient: float
    note: str = ""


INTERCEPT = -2.50
TERMS = (
    Term(
        "electricity_late_share_365", "identity", 0.19, 0.18, 0.80,
        "late: paid 1 or more days after the due day, or unpaid and 1 or more days past due",
    ),
    Term(
        "mobile_money_balance_mean_365", "log", 4.80, 0.85, -0.80,
        "mean balance after the transactions, in currency units",
    ),
    Term(
        "mobile_money_inflow_cv_365", "log1p", 0.42, 0.24, 0.30,
        "population standard deviation / mean of the inflow of the 12 latest 30-day periods, empty ones as 0",
    ),
    Term(
        "water_days_late_mean_365", "log1p", 0.52, 0.50, 0.20,
        "mean of days late, early bills as 0",
    ),
    Term(
        "airtime_gap_mean_365", "log1p", 2.42, 0.42, 0.20,
        "whole days from the oldest to the newest top-up / (top-ups - 1); missing below 2",
    ),
    Term("bureau_months_worst_delinquency", "identity", 0.70, 1.00, 0.30),
    Term(
        "posts_money_stress_share_365", "identity", 0.07, 0.08, 0.10,
        "money-stress words / words of consented posts; posts_topic_* can only come near it",
    ),
)  # fmt: skip
FEATURES = tuple(term.feature for term in TERMS)


@dataclass(frozen=True)
class Error:
    """An error in the rows of one source whose event falls into one month."""

    source: str
    kind: str
    month: np.datetime64
    share: float
    columns: tuple[str, ...]
    what: str


def _error(source: str, kind: str, month: str, share: float, columns: str, what: str) -> Error:
    return Error(source, kind, np.datetime64(month, "M"), share, tuple(columns.split()), what)


ERRORS = (
    _error("electricity", "negative", "2024-05", 0.02, "amount_due", "amount times -1"),
    _error("airtime", "day_zero", "2024-07", 0.01, "topup_time",
           "time is 1970-01-01 00:00:00, so the row counts to 1970-01"),
    _error("airtime", "duplicate", "2024-09", 0.02, "", "an exact copy follows the row"),
    _error("water", "unknown_customer", "2024-10", 0.02, "customer_id",
           "a copy of the row belongs to a customer_id from C900000000 on that no applicant has"),
    _error("mobile_money", "category", "2024-11", 0.03, "direction", "spelled IN and OUT"),
    _error("water", "unit", "2025-02", 0.60, "amount_due amount_paid",
           "amounts in cents, 100 times as large"),
    _error("mobile_money", "missing", "2025-03", 0.10, "balance", "balance is null"),
)  # fmt: skip
LATE_ARRIVAL = _error(
    "airtime", "late_arrival", "2025-04", 0.40, "recorded_time",
    "recorded 21 to 56 days after the event; the true PD heeds it",
)  # fmt: skip
IDENTIFIER_SHARE = 0.02  # of the posts
IDENTIFIERS = ("email", "phone", "national_id")


def month_start(month: np.datetime64) -> int:
    """Return the first second of a month."""
    return int(month.astype("datetime64[s]").astype(np.int64))


def in_month(seconds: Array, month: np.datetime64) -> NDArray[np.bool_]:
    """Say which times fall into a calendar month."""
    return np.asarray((seconds >= month_start(month)) & (seconds < month_start(month + 1)))
