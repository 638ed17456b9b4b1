"""The kinds of sources with their standard columns, and the words that a study may use of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DataCategory = Literal[
    "payment_history",
    "credit_terms",
    "utility",
    "telecom_usage",
    "mobile_money",
    "social_media",
    "location",
    "contacts",
    "health",
    "biometric",
    "bureau",
    "income",
    "employment",
    "education",
    "demographic",
    "device",
    "web_browsing",
]
KindName = Literal["applicants", "bills", "topups", "transactions", "posts", "statements", "bureau"]
ColumnType = Literal["id", "time", "money", "integer", "number", "flag", "category", "text"]
MonthIssue = Literal["volume", "missing", "unit_shift", "category_shift"]
Issue = Literal[
    "duplicate",
    "after_application",
    "recorded_after",
    "late_arrival",
    "out_of_contract",
    "unknown_applicant",
    "volume",
    "missing",
    "unit_shift",
    "category_shift",
]


@dataclass(frozen=True)
class Kind:
    """What a kind of source holds: role, standard columns with types, and which of them may be absent."""

    role: Literal["applicants", "events", "snapshot"]
    columns: dict[str, ColumnType]
    optional: frozenset[str] = frozenset()


_TIMES: dict[str, ColumnType] = {"event_time": "time", "recorded_time": "time"}
KINDS: dict[KindName, Kind] = {
    "applicants": Kind(
        "applicants",
        {"applicant_id": "id", "application_time": "time", "default": "flag", "approved_before": "flag"},
        frozenset({"application_time", "approved_before"}),
    ),
    "bills": Kind(
        "events",
        {
            "applicant_id": "id",
            **_TIMES,
            "paid_time": "time",
            "amount_due": "money",
            "amount_paid": "money",
            "service": "category",
        },
        frozenset({"recorded_time", "service", "amount_paid"}),
    ),
    "topups": Kind(
        "events", {"applicant_id": "id", **_TIMES, "amount": "money"}, frozenset({"recorded_time"})
    ),
    "transactions": Kind(
        "events",
        {"applicant_id": "id", **_TIMES, "amount": "money", "direction": "category", "balance": "money"},
        frozenset({"recorded_time", "balance"}),
    ),
    "posts": Kind("events", {"applicant_id": "id", **_TIMES, "text": "text"}, frozenset({"recorded_time"})),
    "statements": Kind(
        "events",
        {"applicant_id": "id", **_TIMES, "status": "integer", "billed": "money", "paid": "money"},
        frozenset({"recorded_time"}),
    ),
    "bureau": Kind("snapshot", {"applicant_id": "id", "recorded_time": "time"}, frozenset({"recorded_time"})),
}

Tier = Literal["low", "medium", "high"]
"""Materiality of a model, the lowest first."""
Severity = Literal["high", "medium", "low"]
"""How much a finding counts against the use of a model, the worst first."""
Role = Literal[
    "model owner",
    "model developer",
    "validator",
    "compliance officer",
    "counsel",
    "data protection officer",
    "management body",
    "security officer",
    "engineer",
]
"""Who owes a statement that only a person can make."""
