"""Draws the applicants: what drives them, which nobody sees, and what they declare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.world.plan import (
    APPROVAL,
    BIAS,
    COMMUNITIES,
    DAY,
    DRIFT,
    DRIFT_MONTH,
    FIRST_MONTH,
    HANDSET_SHARES,
    INCOME_LOG,
    INCOME_MISSING,
    MISSING,
    MONTHS,
    NORTH,
    RECOVERED,
    SOUTH_SHARE,
    TOLD_APART,
    Array,
    Table,
    month_start,
)
from workbench.world.words import FIRST_NAMES, LAST_NAMES, REGIONS, STREETS

SOURCES_HELD = {"electricity": 0.92, "water": 0.82, "airtime": 0.98, "mobile_money": 0.96}
BUREAU_SHARE = 1 / 3
CONSENT_SHARE = 0.35
POSTING_SHARE = (0.15, 0.70)  # of those who do not consent, and of those who do


@dataclass(frozen=True)
class People:
    """One block of applicants: their table, and the latent traits that drive their events."""

    table: Table
    traits: dict[str, Array]

    @property
    def applied(self) -> Array:
        """Second of the application."""
        return self.table["application_time"]

    def __len__(self) -> int:
        return len(self.applied)


def sigmoid(values: Array) -> Array:
    """Return 1 / (1 + exp(-x))."""
    return 1.0 / (1.0 + np.exp(-values))


def draw_people(rng: np.random.Generator, size: int) -> People:
    """Return applicants with everything but approval and outcome, which need their events."""
    start, end = month_start(FIRST_MONTH), month_start(FIRST_MONTH + MONTHS)
    applied = rng.integers(start // DAY, end // DAY, size) * DAY + _daytime(rng, size)
    south = rng.random(size) < SOUTH_SHARE
    traits = _traits(rng, south, applied >= month_start(DRIFT_MONTH))
    tiers = np.array([np.cumsum(HANDSET_SHARES[name]) for name in COMMUNITIES])
    income, wanted = _declared(rng, traits["income"])
    consent = rng.random(size) < CONSENT_SHARE
    traits["posting"] = rng.random(size) < np.where(consent, POSTING_SHARE[1], POSTING_SHARE[0])
    birth = applied // DAY - rng.integers(18 * 366, 68 * 365, size)
    table: Table = {
        "application_time": applied,
        "first_name": rng.integers(0, len(FIRST_NAMES), size),
        "last_name": rng.integers(0, len(LAST_NAMES), size),
        "street": rng.integers(0, len(STREETS), size),
        "house": rng.integers(1, 300, size),
        "sex": rng.integers(0, 2, size),
        "birth_date": birth,
        "community": south.astype(np.int64),
        "region": rng.integers(0, len(REGIONS), size),
        "handset_tier": 1 + (rng.random(size)[:, None] > tiers[south.astype(np.int64), :3]).sum(axis=1),
        "declared_income": income,
        "requested_amount": wanted,
        "consent_social": consent,
    }
    return People(table, traits)


def estimate_membership(rng: np.random.Generator, people: People) -> Table:
    """Return the probability of each community that a sign would give, as a surname or an area does.

    The sign is normal, its mean `TOLD_APART` standard deviations higher in the south, and tells nothing else:
    P(south | sign) by Bayes' rule, calibrated by construction. Rounded to 4 decimals; the two add up to 1.
    """
    south = people.table["community"] != NORTH
    sign = TOLD_APART * (south - 0.5) + rng.standard_normal(len(people))
    told = np.round(sigmoid(np.log(SOUTH_SHARE / (1 - SOUTH_SHARE)) + TOLD_APART * sign), 4)
    return {"north_probability": np.round(1 - told, 4), "south_probability": told}


def _daytime(rng: np.random.Generator, size: int) -> Array:
    return np.clip(rng.normal(13.5, 3.5, size) * 3600, 0, DAY - 1).astype(np.int64)


def _traits(rng: np.random.Generator, south: Array, drifted: Array) -> dict[str, Array]:
    """Latent traits, each about standard normal; strain ties lateness, thin balances and volatility."""
    strain, *own = rng.standard_normal((10, len(south)))
    strain = strain + 0.20 * south
    return {
        "lateness": 0.5 * strain + 0.85 * own[0] + DRIFT["lateness"] * drifted,
        "water_lateness": 0.3 * strain + 0.4 * own[0] + 0.85 * own[1] + DRIFT["lateness"] * drifted,
        "buffer": -0.4 * strain + 0.9 * own[2],
        "volatility": 0.3 * strain + 0.95 * own[3],
        "income": INCOME_LOG[0] + INCOME_LOG[1] * (own[4] - 0.3 * strain) + DRIFT["income"] * drifted,
        "usage": -0.2 * strain + 0.98 * own[5],
        "topup": own[6] + DRIFT["topup"] / 0.45 * drifted,
        "stress": 0.5 * strain + 0.85 * own[7],
        "bureau": 0.4 * strain + 0.3 * own[0] + 0.85 * own[8],
    }


def _declared(rng: np.random.Generator, log_income: Array) -> tuple[Array, Array]:
    """Declared income in cents, missing more often where it is low, and the amount asked for."""
    size = len(log_income)
    stated = log_income + rng.normal(0, 0.2, size)
    income = np.round(np.exp(stated) / 10).astype(np.int64) * 1000
    z_score = (stated - INCOME_LOG[0]) / INCOME_LOG[1]
    hidden = rng.random(size) < sigmoid(INCOME_MISSING[0] - INCOME_MISSING[1] * z_score)
    wanted = (
        np.round(np.exp(0.8 * log_income + rng.normal(1.0, 0.4, size)) / 50 + 0.5).astype(np.int64) * 5000
    )
    return np.where(hidden, MISSING, income), wanted


def draw_bureau(rng: np.random.Generator, people: People) -> Table:
    """Return the credit bureau's answer about a third of the applicants; the others are unknown to it."""
    owner = np.flatnonzero(rng.random(len(people)) < BUREAU_SHARE)
    size, trait = len(owner), people.traits["bureau"][owner]
    worst = np.minimum(rng.poisson(np.exp(-0.75 + 0.85 * trait)), 6)
    used = np.round(100 * sigmoid(-0.4 + 0.5 * trait + rng.normal(0, 0.8, size)))
    points = np.round(680 - 35 * trait - 12 * worst + rng.normal(0, 30, size))
    return {
        "owner": owner,
        "recorded_time": people.applied[owner] - rng.integers(60, 2 * DAY, size),
        "open_accounts": rng.poisson(2.2, size) + 1,
        "months_worst_delinquency": worst,
        "inquiries_6m": rng.poisson(np.exp(0.2 + 0.3 * trait)),
        "utilisation": used.astype(np.int64),
        "bureau_score": np.clip(points, 300, 850).astype(np.int64),
    }


def decide(rng: np.random.Generator, people: People, logit: Array) -> tuple[Array, Array]:
    """Return whether each was approved at the time and whether each would default: 0 or 1.

    Default is Bernoulli(true PD). Approval is Bernoulli with log-odds APPROVAL[0] - APPROVAL[1] x logit,
    less BIAS for the community south: at equal true PD it was approved less often.
    """
    size = len(people)
    default = rng.random(size) < sigmoid(logit)
    favour = APPROVAL[0] - APPROVAL[1] * logit - BIAS * (people.table["community"] != NORTH)
    approved = rng.random(size) < sigmoid(favour)
    return approved.astype(np.int64), default.astype(np.int64)


def fall_behind(rng: np.random.Generator, default: Array, logit: Array) -> Array:
    """Return whether each was ever 60 days past due: who defaulted was, and some who recovered were."""
    recovered = rng.random(len(default)) < sigmoid(logit + RECOVERED)
    return np.where(default == 1, 1, recovered.astype(np.int64))
