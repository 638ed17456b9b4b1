"""Draws the events of a block of applicants: bills, top-ups, transactions and posts, sorted by time."""

from __future__ import annotations

import numpy as np

from workbench.world.people import SOURCES_HELD, People, sigmoid
from workbench.world.plan import (
    DAY,
    IDENTIFIER_SHARE,
    IDENTIFIERS,
    LATE_ARRIVAL,
    LATEST_DAYS,
    MISSING,
    OLDEST_DAYS,
    Array,
    Table,
    in_month,
)
from workbench.world.words import STARTS

MOST_WORDS = 14
FULL_HISTORY = 0.75  # of the holders of a source; the others came to it 60 to 395 days before they applied
_BASE = 1_600_000_000  # seconds; keeps the sorting key within 63 bits


def _since(rng: np.random.Generator, size: int) -> Array:
    """Days before the application from which on a source knows the applicant."""
    return np.where(rng.random(size) < FULL_HISTORY, OLDEST_DAYS, rng.integers(60, OLDEST_DAYS + 1, size))


def _daytimes(rng: np.random.Generator, size: int) -> Array:
    """Seconds of the day, most in the afternoon, a few in the night."""
    return (rng.normal(14 * 3600, 4.5 * 3600, size) % DAY).astype(np.int64)


def _scattered(rng: np.random.Generator, people: People, since: Array, yearly: Array) -> tuple[Array, Array]:
    """Owner and second of events at a constant rate a year from `since` days before to 30 days after."""
    counts = rng.poisson(yearly * (since + LATEST_DAYS) / 365)
    owner = np.repeat(np.arange(len(people)), counts)
    span = (since + LATEST_DAYS)[owner]
    days = (rng.random(len(owner)) * span).astype(np.int64) - LATEST_DAYS
    return owner, (people.applied // DAY)[owner] * DAY - days * DAY + _daytimes(rng, len(owner))


def _in_order(owner: Array, seconds: Array, flag: Array | int = 0) -> tuple[Array, Array, Array]:
    """Sort by owner and time, carrying one bit along."""
    key = (owner << 33) | ((seconds - _BASE) << 1) | flag
    key.sort()
    return key >> 33, ((key >> 1) & (2**32 - 1)) + _BASE, key & 1


def _recorded(rng: np.random.Generator, seconds: Array) -> Array:
    """Mostly minutes after the event, for one in twenty a day or two."""
    size = len(seconds)
    delay = 20 + (600 * rng.standard_exponential(size, dtype=np.float32)).astype(np.int64)
    return seconds + delay + (rng.random(size, dtype=np.float32) < 0.05) * rng.integers(DAY, 2 * DAY, size)


def _cents(log_units: Array, low: float, high: float) -> Array:
    return np.round(np.clip(np.exp(log_units), low, high) * 100).astype(np.int64)


def draw_bills(rng: np.random.Generator, people: People, source: str) -> Table:
    """Return monthly bills, due and paid at noon; `paid_time` is missing where one was never paid."""
    trait = people.traits["lateness" if source == "electricity" else "water_lateness"]
    size, back = len(people), np.arange(13, -1, -1)
    months = people.applied.astype("datetime64[s]").astype("datetime64[M]")
    due_days = (months[:, None] - back).astype("datetime64[D]").astype(np.int64)
    due_days = due_days + rng.integers(0, 28, size)[:, None]
    held = rng.random(size) < SOURCES_HELD[source]
    known = held[:, None] & (people.applied[:, None] // DAY - due_days <= _since(rng, size)[:, None])
    owner = np.nonzero(known)[0]
    due = due_days[known] * DAY + DAY // 2
    rows = len(owner)
    late = rng.random(rows) < sigmoid(-1.75 + 1.0 * trait)[owner]
    delay = np.exp(2.2 + 0.25 * trait)[owner] * rng.standard_exponential(rows)
    days = np.where(late, 1 + np.minimum(delay, 150).astype(np.int64), -rng.integers(0, 11, rows))
    unpaid = late & (rng.random(rows) < 0.03)
    level = rng.normal(3.2 if source == "electricity" else 2.7, 0.35, size)[owner]
    amount = _cents(level + 0.15 * rng.standard_normal(rows), 5, 90)
    partly = np.where(rng.random(rows) < 0.02, amount // 2, amount)
    return {
        "owner": owner,
        "due_time": due,
        "paid_time": np.where(unpaid, MISSING, due + days * DAY),
        "amount_due": amount,
        "amount_paid": np.where(unpaid, 0, partly),
        "recorded_time": due + rng.integers(DAY // 2, 3 * DAY, rows),
    }


def draw_topups(rng: np.random.Generator, people: People) -> Table:
    """Return mobile top-ups; those of one month may be recorded weeks late."""
    held = rng.random(len(people)) < SOURCES_HELD["airtime"]
    yearly = held * np.exp(3.56 + 0.42 * people.traits["usage"])
    owner, seconds, _ = _in_order(*_scattered(rng, people, _since(rng, len(people)), yearly))
    rows = len(owner)
    level = 0.7 + 0.45 * people.traits["topup"]
    recorded = _recorded(rng, seconds)
    tardy = in_month(seconds, LATE_ARRIVAL.month) & (rng.random(rows) < LATE_ARRIVAL.share)
    recorded = np.where(tardy, seconds + rng.integers(21 * DAY, 57 * DAY, rows), recorded)
    return {
        "owner": owner,
        "topup_time": seconds,
        "amount": _cents(level[owner] + 0.5 * rng.standard_normal(rows), 0.2, 100),
        "recorded_time": recorded,
        "tardy": tardy,
    }


def _paydays(rng: np.random.Generator, people: People, since: Array) -> tuple[Array, Array]:
    """Owner and second of about one larger inflow a month; the volatile miss some."""
    size, count = len(people), (OLDEST_DAYS + LATEST_DAYS) // 30
    regular = sigmoid(2.6 - 0.8 * people.traits["volatility"])
    days = np.arange(count) * 30 - LATEST_DAYS + rng.integers(0, 30, size)[:, None]
    days = days + rng.integers(-2, 3, (size, count))
    there = (rng.random((size, count)) < regular[:, None]) & (days <= since[:, None])
    owner = np.nonzero(there)[0]
    seconds = (people.applied // DAY)[owner] * DAY - days[there] * DAY + _daytimes(rng, len(owner))
    return owner, seconds


def draw_transactions(rng: np.random.Generator, people: People) -> Table:
    """Return mobile-money transactions: direction 1 in and 0 out, amount, and balance after it."""
    size, traits = len(people), people.traits
    held = rng.random(size) < SOURCES_HELD["mobile_money"]
    since = np.where(held, _since(rng, size), -2 * LATEST_DAYS - 30)  # the others: after every event
    paid_owner, paid = _paydays(rng, people, since)
    yearly = held * np.exp(3.52 + 0.15 * traits["usage"])
    other_owner, other = _scattered(rng, people, np.maximum(since, -LATEST_DAYS), yearly)
    owner, seconds, salary = _in_order(
        np.concatenate([paid_owner, other_owner]),
        np.concatenate([paid, other]),
        np.concatenate([np.ones_like(paid), np.zeros_like(other)]),
    )
    rows = len(owner)
    small_in = rng.random(rows, dtype=np.float32) < 0.10
    noise = rng.standard_normal(rows)
    spread = (0.12 + 0.10 * np.exp(0.4 * traits["volatility"]))[owner]
    income = traits["income"][owner] - 0.4
    log_amount = np.where(salary == 1, income + spread * noise, income - 3.0 + 0.6 * noise)
    balance = (4.7 + 0.85 * traits["buffer"])[owner] + 0.5 * rng.standard_normal(rows)
    return {
        "owner": owner,
        "txn_time": seconds,
        "direction": ((salary == 1) | small_in).astype(np.int64),
        "amount": _cents(log_amount, 0.5, 50_000),
        "balance": _cents(balance, 1.0, 50_000),
        "recorded_time": _recorded(rng, seconds),
    }


def draw_posts(rng: np.random.Generator, people: People) -> Table:
    """Return posts as places in the vocabulary (-1 past the end), some naming an identifier (0: none)."""
    size = len(people)
    yearly = people.traits["posting"] * np.exp(2.1 + 0.3 * rng.standard_normal(size))
    owner, seconds, _ = _in_order(*_scattered(rng, people, _since(rng, size), yearly))
    rows, starts = len(owner), np.array(STARTS)
    stressed = rng.random(rows) < sigmoid(-2.0 + 0.9 * people.traits["stress"])[owner]
    topic = np.where(stressed, 0, rng.integers(1, len(STARTS) - 2, rows))[:, None]
    topic = np.where(rng.random((rows, MOST_WORDS)) < 0.45, topic, len(STARTS) - 2)
    words = starts[topic] + (rng.random(topic.shape) * (starts[topic + 1] - starts[topic])).astype(np.int64)
    lengths = rng.integers(6, MOST_WORDS + 1, rows)[:, None]
    named = rng.random(rows) < IDENTIFIER_SHARE
    return {
        "owner": owner,
        "posted_time": seconds,
        "words": np.where(np.arange(MOST_WORDS) < lengths, words, -1).astype(np.int16),
        "identifier": np.where(named, rng.integers(1, len(IDENTIFIERS) + 1, rows), 0),
        "recorded_time": _recorded(rng, seconds),
    }
