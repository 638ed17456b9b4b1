"""Sums the world up for truth.json: what is true of it, what was planted and how much of it there is."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.world.block import Block
from workbench.world.plan import (
    APPROVAL,
    BIAS,
    COMMUNITIES,
    DRIFT,
    DRIFT_MONTH,
    ERRORS,
    EXTRACTED,
    FIRST_MONTH,
    HANDSET_SHARES,
    IDENTIFIERS,
    INCOME_LOG,
    INCOME_MISSING,
    LATE_ARRIVAL,
    MISSING,
    MONTHS,
    OBSERVATION_DAYS,
    PERFORMANCE_DAYS,
    RECOVERED,
    VERSION,
    Array,
    Table,
)
from workbench.world.truth import area_under_curve, formula
from workbench.world.words import STRESS

TIERS = 4
_DRIFTED = {
    "lateness": "log-odds that a bill is paid late, about; raises electricity_late_* and water_days_late_*",
    "income": "ln of every inflow and outflow; lowers mobile_money_inflow_mean_* and declared_income",
    "topup": "ln of every top-up; lowers airtime_amount_mean_*",
}
_COMMUNITY_RISK = "south differs in its strain a little (0.2 standard deviations), so its true PD is higher"


def count(block: Block) -> Table:
    """Return what adds up over blocks: rows hit by each error, identifiers given away, and cross tables."""
    people, south = block.tables["applicants"], block.tables["applicants"]["community"]
    cells = np.bincount(south * TIERS + people["handset_tier"] - 1, minlength=2 * TIERS)
    decided = np.bincount(south * 2 + people["approved_before"], minlength=4)
    named = np.bincount(block.tables["posts"]["identifier"], minlength=len(IDENTIFIERS) + 1)
    return {
        "errors": np.array([len(owner) for owner in block.hits]),
        "late": block.tables["airtime"]["tardy"].sum(),
        "identifiers": named[1:],
        "handset": cells.reshape(2, TIERS),
        "approved": decided.reshape(2, 2),
        "income_missing": (people["declared_income"] == MISSING).sum(),
        "consenting": people["consent_social"].sum(),
    }


def describe(truth: Table, rows: dict[str, int], counts: Table, *, seed: int, clean: bool) -> dict[str, Any]:
    """Return truth.json."""
    prob, default, approved = truth["prob_default"], truth["default"], truth["approved_before"] == 1
    last_day = (FIRST_MONTH + MONTHS).astype("datetime64[D]") - 1
    return {
        "version": VERSION,
        "seed": seed,
        "applicants": len(prob),
        "clean": clean,
        "dates": {
            "first_application": str(FIRST_MONTH.astype("datetime64[D]")),
            "last_application": str(last_day),
            "observation_days": OBSERVATION_DAYS,
            "performance_days": PERFORMANCE_DAYS,
            "extracted": str(EXTRACTED),
            "matured": "every application had its whole performance window when the data were extracted",
            "time_zone": "UTC",
        },
        "money": "currency units with 2 decimals",
        "rows": rows,
        "formula": formula() | {"money_stress_words": STRESS},
        "outcome": {
            "how": "default is Bernoulli(true PD); null where not approved before (selective labels)",
            "default_rate": _mean(default),
            "default_rate_approved": _mean(default[approved]),
            "approval_rate": _mean(approved),
            "past_due_60": "1 where default is, and where Bernoulli(sigmoid(true log-odds of default"
            f" {RECOVERED:+g})) is; null where not approved before",
            "oracle_auc": area_under_curve(prob, default),
            "oracle_auc_approved": area_under_curve(prob[approved], default[approved]),
        },
        "proxy": _proxy(counts["handset"]),
        "bias": {
            "column": "approved_before",
            "group": "south",
            "log_odds": -BIAS,
            "how": f"log-odds of approval = {APPROVAL[0]} - {APPROVAL[1]} x true log-odds of default"
            f" - {BIAS} for the community south",
            "approval_rate": dict(zip(COMMUNITIES, map(_share, counts["approved"]), strict=True)),
            "risk": _COMMUNITY_RISK,
        },
        "missing_not_at_random": {
            "column": "declared_income",
            "how": f"log-odds of missing = {INCOME_MISSING[0]} - {INCOME_MISSING[1]} x z, where z ="
            f" (ln(income that would be declared) - {INCOME_LOG[0]}) / {INCOME_LOG[1]}",
            "rows": int(counts["income_missing"]),
        },
        "consent": {"column": "consent_social", "source": "posts", "applicants": int(counts["consenting"])},
        "drift": {
            "month": str(DRIFT_MONTH),
            "how": "applicants from this month on, in all their history; formula and intercept stay",
            "shifts": [
                {"behaviour": name, "shift": shift, "what": _DRIFTED[name]} for name, shift in DRIFT.items()
            ],
        },
        "errors": _errors(counts["errors"], counts["late"], clean),
        "identifiers_in_posts": dict(zip(IDENTIFIERS, counts["identifiers"].tolist(), strict=True)),
    }


def _mean(values: Array) -> float | None:
    return float(values.mean()) if len(values) else None


def _share(cells: Array) -> float | None:
    return float(cells[1] / cells.sum()) if cells.sum() else None


def _proxy(cells: Array) -> dict[str, Any]:
    """Strength of the proxy: the AUC of a lower tier for the community south, and Cramer's V."""
    tier = np.tile(np.arange(TIERS), 2)
    south = np.repeat([0, 1], TIERS)
    repeated = np.repeat(np.arange(2 * TIERS), cells.ravel())
    expected = cells.sum(axis=1, keepdims=True) * cells.sum(axis=0) / max(cells.sum(), 1)
    squares = np.divide((cells - expected) ** 2, expected, out=np.zeros_like(expected), where=expected > 0)
    return {
        "column": "handset_tier",
        "group": "community",
        "in_formula": False,
        "shares_of_tiers": HANDSET_SHARES,
        "auc": area_under_curve(-tier[repeated], south[repeated]),
        "cramers_v": float(np.sqrt(squares.sum() / max(cells.sum(), 1))),
    }


def _errors(hits: Array, late: Array, clean: bool) -> list[dict[str, Any]]:
    """Return the planted errors, each with the rows that it hit; a clean world has only late arrivals."""
    planted = [(LATE_ARRIVAL, late)] if clean else [*zip(ERRORS, hits, strict=True), (LATE_ARRIVAL, late)]
    return [
        {
            "source": error.source,
            "month": str(error.month),
            "kind": error.kind,
            "columns": list(error.columns),
            "share_of_month": error.share,
            "what": error.what,
            "rows": int(rows),
        }
        for error, rows in planted
    ]
