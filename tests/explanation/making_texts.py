"""Reason texts made by hand for the tests: two features of bills, one of a bureau and a rule."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import polars as pl

from workbench.reason_texts import ReasonTexts

VALUES: dict[str, Any] = {
    "language": "en",
    "name": "English",
    "version": "1",
    "effective_from": "2026-11-25",
    "author": "A. Author",
    "approver": "",
    "words": {
        "decimal": ".",
        "group": ",",
        "groups": [3, 3],
        "percent": "{n}%",
        "one": "1",
        "day": "in the last day",
        "days": "in the last {n} days",
        "months": "in the last {n} months",
        "missing": "nothing known: {factor}",
    },
    "refused": ["score too low"],
    "protected": ["sex", "marital status"],
    "sources": {"electricity": "electricity", "bureau": "credit bureau"},
    "families": {
        "bills": {
            "text": "bills paid late",
            "sample": 24,
            "list": "creditor",
            "features": {
                "{source}_late_share_{window}": {
                    "text": "{percent} of {source} bills late {window}",
                    "counted": "{count} of {whole} {source} bills late {window}",
                    "counted_one": "1 of {whole} {source} bills late {window}",
                    "of": "{source}_count_{window}",
                    "missing": "no {source} bill {window}",
                },
                "{source}_count_{window}": {
                    "text": "{value} {source} bills {window}",
                    "one": "1 {source} bill {window}",
                    "zero": "no {source} bill {window}",
                },
            },
        },
        "inquiries": {
            "text": "recent inquiries",
            "sample": 22,
            "list": "bureau",
            "features": {"bureau_inquiries": {"text": "{value} inquiries", "one": "1 inquiry"}},
        },
    },
    "rules": {
        "too many": {
            "name": "too many inquiries",
            "text": "{value} inquiries, more than any loan allows",
            "sample": 22,
            "list": "creditor",
        }
    },
}
CATALOGUE = pl.DataFrame(
    [
        ("electricity_late_share_365", "bills", "electricity", "utility", "share"),
        ("electricity_count_365", "bills", "electricity", "utility", "count"),
        ("bureau_inquiries", "inquiries", "bureau", "bureau", "inquiries"),
    ],
    schema=["feature", "family", "source", "data_category", "unit"],
    orient="row",
)


def values(**changes: Any) -> dict[str, Any]:
    """The values of a file; a change names its place with __ between the keys; None takes it out."""
    made = deepcopy(VALUES)
    for place, change in changes.items():
        *keys, last = place.split("__")
        part = made
        for key in keys:
            part = part[key]
        if change is None:
            del part[last]
        else:
            part[last] = change
    return made


def texts(**changes: Any) -> ReasonTexts:
    return ReasonTexts.model_validate(values(**changes))
