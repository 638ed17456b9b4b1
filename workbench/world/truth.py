"""The true probability of default: realised behaviour at the application, put through a logit formula."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.world.people import People, sigmoid
from workbench.world.plan import DAY, FEATURES, INTERCEPT, MISSING, OBSERVATION_DAYS, TERMS, Array, Table
from workbench.world.words import STRESS

PERIODS = 12  # 30-day periods of mobile_money_inflow_cv_365


def _known(people: People, table: Table, time: str) -> tuple[Array, Array, Array]:
    """Return which events were there and recorded before the application, their owner and age in days."""
    applied = people.applied[table["owner"]]
    age = (applied - table[time]) // DAY
    before = (table[time] < applied) & (table["recorded_time"] < applied)
    known = before & (age < OBSERVATION_DAYS)
    return known, table["owner"][known], age[known]


def _mean(owner: Array, values: Array, size: int) -> Array:
    """Mean of whole numbers by owner; missing for those without any."""
    count = np.bincount(owner, minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(owner, values, minlength=size) / count)


def days_late(people: People, bills: Table) -> tuple[Array, Array]:
    """Owner and whole days late of the bills known at the application; negative when paid early."""
    known, owner, age = _known(people, bills, "due_time")
    applied, paid = people.applied[owner], bills["paid_time"][known]
    seen = (paid != MISSING) & (paid < applied)
    return owner, np.where(seen, age - (applied - paid) // DAY, age)


def _inflow_cv(people: People, transactions: Table) -> Array:
    known, owner, age = _known(people, transactions, "txn_time")
    size = len(people)
    inside = (age < 30 * PERIODS) & (transactions["direction"][known] == 1)
    place = owner[inside] * PERIODS + age[inside] // 30
    sums = np.bincount(place, transactions["amount"][known][inside], minlength=size * PERIODS)
    periods = sums.reshape(size, PERIODS)
    with np.errstate(invalid="ignore"):
        return np.asarray(periods.std(axis=1) / periods.mean(axis=1))


def _gap_mean(people: People, topups: Table) -> Array:
    _, owner, age = _known(people, topups, "topup_time")
    size = len(people)
    newest, oldest = np.full(size, OBSERVATION_DAYS), np.zeros(size)
    np.minimum.at(newest, owner, age)
    np.maximum.at(oldest, owner, age)
    gaps = np.bincount(owner, minlength=size) - 1
    return np.where(gaps > 0, (oldest - newest) / np.maximum(gaps, 1), np.nan)


def _stress_share(people: People, posts: Table) -> Array:
    known, owner, _ = _known(people, posts, "posted_time")
    consented = people.table["consent_social"][owner]
    owner, words = owner[consented], posts["words"][known][consented]
    size = len(people)
    stress = np.bincount(owner, ((words >= 0) & (words < len(STRESS))).sum(axis=1), minlength=size)
    with np.errstate(invalid="ignore"):
        return np.asarray(stress / np.bincount(owner, (words >= 0).sum(axis=1), minlength=size))


def features(people: People, tables: dict[str, Table]) -> dict[str, Array]:
    """Return the features of the true formula, missing as NaN."""
    size, bureau, money = len(people), tables["bureau"], tables["mobile_money"]
    owner, late = days_late(people, tables["electricity"])
    water_owner, water_late = days_late(people, tables["water"])
    known, money_owner, _ = _known(people, money, "txn_time")
    worst = np.full(size, np.nan)
    worst[bureau["owner"]] = bureau["months_worst_delinquency"]
    values = (
        _mean(owner, late >= 1, size),
        _mean(money_owner, money["balance"][known], size) / 100,
        _inflow_cv(people, money),
        _mean(water_owner, np.maximum(water_late, 0), size),
        _gap_mean(people, tables["airtime"]),
        worst,
        _stress_share(people, tables["posts"]),
    )
    return dict(zip(FEATURES, values, strict=True))


def true_logit(values: dict[str, Array]) -> Array:
    """Return the true log-odds of default."""
    total = np.full(len(values[FEATURES[0]]), INTERCEPT)
    for term in TERMS:
        x = values[term.feature]
        x = {"identity": x, "log": np.log(np.maximum(x, 1)), "log1p": np.log1p(x)}[term.transform]
        total += np.nan_to_num(term.coefficient * (x - term.centre) / term.scale)
    return total


def probability(logit: Array) -> Array:
    """Return the probability of default of log-odds."""
    return sigmoid(logit)


def area_under_curve(score: Array, outcome: Array) -> float | None:
    """Return the AUC of a score against 0/1, ties as half, or None where one class is absent."""
    distinct, place = np.unique(score, return_inverse=True)
    bad = np.bincount(place, outcome, minlength=len(distinct))
    good = np.bincount(place, 1 - outcome, minlength=len(distinct))
    pairs = float(bad.sum() * good.sum())
    return float((bad * (np.cumsum(good) - good / 2)).sum() / pairs) if pairs else None


def formula() -> dict[str, Any]:
    """Return the true formula as truth.json states it."""
    terms = [
        {
            "feature": term.feature,
            "transform": term.transform,
            "centre": term.centre,
            "scale": term.scale,
            "coefficient": term.coefficient,
            "direction": "higher, higher PD" if term.coefficient > 0 else "higher, lower PD",
            "note": term.note,
        }
        for term in TERMS
    ]
    how = (
        "PD = 1 / (1 + exp(-(intercept + sum of coefficient x (transform(feature) - centre) / scale)));"
        " a term whose feature is missing is 0; features over events before, and recorded before,"
        " the application, at most 365 days old; log = ln(max(x, 1)), log1p = ln(1 + x)"
    )
    return {"how": how, "intercept": INTERCEPT, "terms": terms}
