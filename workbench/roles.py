"""Which part each column of an unknown table plays in a study: id, time, outcome, protected, feature."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import DataError, ParamsError, near_name
from workbench.kinds import ColumnType
from workbench.profile import MOST_LABELS, Column, outward, words

LEAST_OUTCOMES = 80  # of defaults and of goods: 20 in a quarter


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_STANDARD = ("applicant_id", "application_time", "default")
_TAKEN = _words("approved_before source_id vintage left_out part sample row age age_band birth_date")
_IDS = _words("applicant application customer client borrower user member loan case record")
_ID_WORDS = {*_words("id no nr number key ref reference index uuid guid")}
_CODE_WORDS = {*_words("code zip zipcode postcode postal")}
_APPLIED = {*_words("application applied apply submitted submission requested request")}
_BORN = {*_words("dob born birth birthdate birthday")}
_DATES = {"date", "datetime", "timestamp", *_BORN}
_OF_AGE = {*_words("age applicant customer client borrower years in of at application")}
_BANDED = {*_words("band group bracket range class")}
_PROTECTED = _BORN | {
    *_words(
        "sex gender race racial ethnicity ethnic religion religious marital marriage married nationality"
    ),
    *_words(
        "citizenship caste tribe tribal community disability disabled pregnant pregnancy veteran orientation"
    ),
    *_words("political union foreign"),
}
# The first that a name has a word of; those that the law watches most come first.
_CATEGORIES = {
    "health": "health medical illness hospital diagnosis",
    "biometric": "face fingerprint voice biometric",
    "location": "location city town region province zip postcode postal distance latitude longitude",
    "contacts": "contacts contact friends references",
    "social_media": "social facebook twitter instagram linkedin followers posts",
    "web_browsing": "web browser browsing visits clicks",
    "device": "device handset android ios battery apps app",
    "mobile_money": "mpesa wallet momo",
    "telecom_usage": "airtime topup topups call calls sms phone mobile telecom",
    "utility": "utility electricity water gas bill bills",
    "bureau": "bureau fico inquiries inquiry tradelines delinquencies delinquency bankruptcies",
    "income": "income salary wage wages earnings",
    "employment": "employment employed employer job occupation work working",
    "education": "education school degree university study",
    "payment_history": "late paid arrears dpd repaid repayment overdue missed history",
    "demographic": "age children dependants dependents family household",
}


@dataclass
class Draft:
    """The applicants' source as it takes shape: values for the study, comments, and what is left unread."""

    values: dict[str, dict[str, Any]]
    comments: dict[str, str] = field(default_factory=dict)
    protected: dict[str, Column] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    id_is_personal: bool = False

    def read(self, name: str, column: Column, kind: ColumnType, comment: str = "") -> None:
        """Take a column under a name, with its type, contract and comment."""
        if name != column.own or name in _STANDARD:
            self.values["columns"][name] = column.own
        if name not in _STANDARD:
            self.values["types"][name] = kind
        rule = _rule(name, column, kind)
        self.values["contract"] |= {name: rule} if rule else {}
        self.comments[name] = comment


def draft_source(
    columns: Sequence[Column], *, target: str, applicant_id: str, applied: str, protected: Sequence[str]
) -> Draft:
    """Give every column its part; `applicant_id` and `applied` are guessed where they are empty.

    Raises ParamsError for columns that are not there or when nothing is protected, DataError for an outcome
    that is not two-valued, ids that repeat and a table without features.
    """
    known = {column.own: column for column in columns}
    asked = {"--target": [target], "--id": [applicant_id], "--time": [applied], "--protected": protected}
    faults = [
        f"{option} {own}: no such column{near_name(own, known)}"
        for option, names in asked.items()
        for own in names
        if own not in known and (own or option == "--target")
    ]
    if faults:
        headed = all(any(letter.isalpha() for letter in own) for own in known)
        named = ", ".join(list(known)[:40]) if headed else "not shown; does its first line hold values?"
        raise ParamsError(f"{len(faults)} column(s) are not in the table", [*faults, f"its columns: {named}"])
    sections = ("columns", "types", "contract", "severity", "features")
    draft = Draft({section: {} for section in sections})
    key = _key(columns, applicant_id, {target, applied})
    draft.read("applicant_id", key, "id", "" if applicant_id else "check: one row is one application")
    draft.id_is_personal = bool(key.identifier)
    time = known[applied] if applied else _application_time(columns)
    if time:
        if time.type != "time":
            right = "ISO dates, or one of the usual orders of day, month and year"
            raise DataError(f"--time {time.own}: holds no times that can be read", [right])
        draft.read("application_time", time, "time", "" if applied else "check: when the applicant applied")
    _check_outcome(known[target])
    draft.read("default", known[target], "flag", "check: 1 (or yes, true) is bad, 0 is good")
    used = {key.own, target, time.own if time else target}
    for name, column in _named([c for c in columns if c.own not in used]):
        _take(draft, name, column, asked=column.own in protected)
    if not draft.protected:
        right = "name one, for fairness to be judged: --protected COLUMN (sex, a birth date, a region ...)"
        raise ParamsError("no column looks like a protected attribute", [right])
    if not draft.values["features"]:
        raise DataError("no column can be a feature", ["a study needs numbers or flags that vary"])
    return draft


def _take(draft: Draft, name: str, column: Column, *, asked: bool) -> None:
    """Make a column a protected attribute, a feature, a category or none of them."""
    group = _group(name, column, asked=asked)
    why = _unread(column) if not group else ""
    if group and group[0] in ("age", "birth_date") and {"age", "birth_date"} & set(draft.protected):
        draft.unread[column.own] = "age bands are made of the other column"
    elif group and column.identifier:
        draft.unread[column.own] = f"protected attribute, but an identifier: {column.identifier}"
    elif group:
        draft.protected[group[0]] = column
        draft.read(group[0], column, group[1], "protected: judges the model and never enters it")
    elif why or column.type is None:
        draft.unread[column.own] = why
    elif column.type == "category":
        draft.read(name, column, "category", "no feature: to make it one, add flags or numbers to the table")
    else:
        draft.read(name, column, column.type, _doubt(column))
        draft.values["features"][name] = _feature(column)


def _key(columns: Iterable[Column], named: str, others: set[str]) -> Column:
    """Return the column that tells applicants apart: the one named, else the likeliest unique one."""
    unique = {c.own: c for c in columns if c.distinct == c.filled == c.rows and c.own not in others}
    unique = {own: c for own, c in unique.items() if c.type in ("integer", "text", "category")}
    if named:
        if named not in unique:
            right = "one row is one application: every row needs an id of its own, whole numbers or text"
            raise DataError(f"--id {named}: its values repeat, are missing, or are no ids", [right])
        return unique[named]
    likely = {own: words(own) for own in unique if words(own) and words(own)[-1] in _ID_WORDS}
    if likely:
        ranks = {own: min((_IDS.index(w) for w in w if w in _IDS), default=99) for own, w in likely.items()}
        return unique[min(likely, key=lambda own: (bool(unique[own].identifier), ranks[own]))]
    if len(unique) == 1:
        return next(iter(unique.values()))
    found = f"columns unique in every row: {', '.join(unique) or 'none'}"
    right = "name the id with --id COLUMN; a table without one needs a column of row numbers"
    raise DataError("no column is clearly the id of an application", [found, right])


def _application_time(columns: Iterable[Column]) -> Column | None:
    times = [c for c in columns if c.type == "time" and not _BORN & set(words(c.own))]
    named = [c for c in times if _APPLIED & set(words(c.own))]
    return named[0] if named else times[0] if len(times) == 1 else None


def _check_outcome(column: Column) -> None:
    flag = column.yes + column.no == column.filled
    wrong = ""
    if not column.filled:
        wrong = "has no value in any row"
    elif column.distinct == 1 or (flag and not (column.yes and column.no)):
        wrong = "is the same in every row"
    elif column.distinct == 2 and not flag:
        wrong = "holds two values that are not 0 and 1; which one is bad, only you know"
    elif not flag:
        wrong = f"holds {column.distinct:,} different values"
    elif min(column.yes, column.no) < LEAST_OUTCOMES:
        wrong = (
            f"has fewer than {LEAST_OUTCOMES} defaults or goods, too few to fit, calibrate and judge a model"
        )
    if wrong:
        right = "write 1 (also yes, true) for bad and 0 for good, and nothing where no outcome is known"
        raise DataError(f"--target {column.own}: {wrong}", [right])


def _group(name: str, column: Column, *, asked: bool) -> tuple[str, ColumnType] | None:
    """Return the name and type of a protected attribute that can be judged, None for any other column."""
    named = set(words(column.own))
    if (_BORN & named or asked) and column.type == "time":
        return "birth_date", "time"
    if "age" in named and named <= _OF_AGE and column.type in ("integer", "number"):
        return "age", column.type
    if not asked and not _PROTECTED & named and not ("age" in named and _BANDED & named):
        return None
    if column.shared:
        return name, "category"
    if asked:
        right = (
            f"at most {MOST_LABELS} groups that ten rows share, whole years in a column age, or a birth date"
        )
        raise DataError(f"--protected {column.own}: cannot be judged by group", [right])
    return None


def _unread(column: Column) -> str:
    """Return why a column is left unread, or an empty text."""
    named = set(words(column.own))
    numeric = column.type in ("integer", "number", "money")
    last = words(column.own)[-1:]
    reasons = {
        "no value in any row, or no plain values": column.type is None,
        f"direct identifier: {column.identifier}": bool(column.identifier),
        "protected by its name, with too many or too rare values to judge": bool(_PROTECTED & named),
        "another id": bool(_ID_WORDS & set(last)) and column.distinct > 0.9 * column.filled,
        "a time written as a number; write it as a date": numeric and bool(_DATES & named),
        "a code, which is no quantity": numeric and bool(_CODE_WORDS & named),
        "a time; nothing in a table of applicants reads it": column.type == "time",
        f"text of {column.distinct:,} values; long texts go into a source of kind posts": column.type
        == "text",
        "the same in nearly every row": column.type != "category" and not column.varies,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _doubt(column: Column) -> str:
    """Return what to look at in a column of numbers that becomes a feature."""
    if column.type == "flag":
        return ""
    if column.type == "money":
        return "check: an amount of money, kept in minor units"
    return f"check: {column.distinct} different values; is it a code?" if 2 < column.distinct <= 10 else ""


def _feature(column: Column) -> dict[str, Any]:
    named = words(column.own)
    found = (name for name, hints in _CATEGORIES.items() if set(hints.split()) & set(named))
    unit = {"money": "minor units", "flag": "0 or 1"}.get(str(column.type), "as in the table")
    category = next(found, "")
    own = {"data_category": category} if category else {}
    return {"definition": " ".join(named) or column.own, "unit": unit, "monotone": 0, **own}


def _rule(name: str, column: Column, kind: ColumnType) -> dict[str, Any]:
    """Return the contract that a column keeps: bounds rounded outward, labels that many share."""
    rule: dict[str, Any] = {"missing": False} if column.complete else {}
    if name == "default":
        return {"minimum": 0, "maximum": 1, **rule}
    if kind in ("integer", "number", "money") and column.low is not None and column.high is not None:
        low = 0 if 0 < column.low < column.high / 100 else outward(column.low, up=False)
        return {"minimum": low, "maximum": outward(column.high, up=True), **rule}
    return {"allowed": column.shared, **rule} if kind == "category" and column.shared else rule


def _named(columns: Iterable[Column]) -> Iterator[tuple[str, Column]]:
    """Give columns the names of a study: a-z, 0-9 and _, each once, none that the data stage uses."""
    taken = {*_STANDARD, *_TAKEN}
    for number, column in enumerate(columns, 1):
        plain = "_".join(words(column.own))[:32] or f"column_{number}"
        plain = plain if plain[0].isalpha() else f"c_{plain}"[:32]
        tries = (plain, f"{plain}_own", *(f"{plain}_{again}" for again in range(2, 10_000)))
        name = next(name for name in tries if name not in taken)
        taken.add(name)
        yield name, column
