"""What decisions bring: approvals, losses and profit at the study's cutoff and along all others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bootstrap import multinomial_replicates, percentile_estimate
from workbench.statistics.estimate import Estimate, undefined
from workbench.statistics.means import NORMAL_MEAN, mean_estimate
from workbench.statistics.proportions import WILSON, wilson
from workbench.statistics.samples import FloatArray, IntArray, checked_sample, raise_faults
from workbench.validation.calibration import calibration_in_the_large

SHARES = ("loss_given_default", "income", "application_cost")
RATES = tuple(np.arange(1, 20) / 20)


@dataclass(frozen=True)
class _Money:
    """What one approved good earns, one approved bad costs and every application costs, in currency."""

    good: float
    bad: float
    application: float
    currency: str

    def profit(self, counts: IntArray | FloatArray) -> FloatArray:
        """Return the profit per applicant of counts [..., (approved goods, approved bads, declined)]."""
        earned = counts[..., 0] * self.good - counts[..., 1] * self.bad
        return np.asarray(earned / counts.sum(axis=-1) - self.application)


def outcome_table(
    default: ArrayLike,
    score: ArrayLike,
    prob_default: ArrayLike,
    *,
    cutoff: float,
    economics: Mapping[str, Any],
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return what the study's cutoff brings: approvals, expected and realised losses, profit.

    approval_rate, approved_default_rate, declined_default_rate (shares); per approved loan expected_loss =
    mean PD x loss_given_default x amount, realised_loss = the same of what happened, loss_gap = realised -
    expected (0 = as priced, above 0 = more was lost); per applicant profit = (approved goods x income -
    approved bads x loss_given_default) x amount / applicants - application_cost x amount, and profit_gain =
    profit - that of approving everyone (above 0 = deciding pays). A bad earns nothing; no discounting.

    `default`: 0 or 1, known for the declined too, `score`: higher = safer, `prob_default`: [0, 1], all
    [applicants]; approved at and above `cutoff`. `economics`: loss_given_default, income, application_cost,
    each a share of `amount`, one loan's in `currency`. Returns columns measure, unit, applicants (that it is
    about), value, low, high, level, method: Wilson for rates and what is linear in them, normal for
    expected_loss, percentiles of weighted counts for profit.

    Raises:
        DataError: lengths that differ, values that are missing or out of range, economics that lack a number.
    """
    money = _money(economics)
    bad, points, prob = _sample(default, score, prob_default)
    approved = points >= cutoff
    counts = _outcomes(bad, approved)
    draws = multinomial_replicates(_with_declined(bad, approved), replicates=replicates, seed=seed)
    profit, all_profit = (money.profit(cells) for cells in (_decided(draws), _all_approved(draws)))
    own = _with_declined(bad, approved)
    value = float(money.profit(_decided(own)))
    gain = value - float(money.profit(_all_approved(own)))
    method = f"bootstrap, {replicates} replicates"
    loan, applicant = f"{money.currency} per loan", f"{money.currency} per applicant"
    rows = {
        ("approval_rate", "share"): wilson(int(approved.sum()), bad.size, level=level),
        ("approved_default_rate", "share"): wilson(counts[1], counts[0] + counts[1], level=level),
        ("declined_default_rate", "share"): wilson(counts[3], counts[2] + counts[3], level=level),
        ("expected_loss", loan): mean_estimate(money.bad * prob[approved], level=level),
        ("realised_loss", loan): _times(wilson(counts[1], counts[0] + counts[1], level=level), money.bad),
        ("loss_gap", loan): _times(_gap(bad[approved], prob[approved], level), money.bad),
        ("profit", applicant): percentile_estimate(value, profit, level=level, method=method),
        ("profit_gain", applicant): percentile_estimate(
            gain, profit - all_profit, level=level, method=method
        ),
    }
    about = {"declined_default_rate": int((~approved).sum())}
    about |= dict.fromkeys(("approval_rate", "profit", "profit_gain"), bad.size)
    return pl.DataFrame(
        [
            {"measure": name, "unit": unit, "applicants": about.get(name, int(approved.sum())), **vars(found)}
            for (name, unit), found in rows.items()
        ],
        schema_overrides=dict.fromkeys(("value", "low", "high"), pl.Float64),
    )


def cutoff_curve(
    default: ArrayLike,
    score: ArrayLike,
    prob_default: ArrayLike,
    *,
    economics: Mapping[str, Any],
    cutoffs: Sequence[float] | None = None,
    approval_rates: Sequence[float] = RATES,
    level: float = 0.95,
    replicates: int = 1_000,
    seed: int,
) -> pl.DataFrame:
    """Return approvals, default rate, losses and profit along cutoffs: to look at, not to choose from.

    The cutoff with the highest profit here is flattered by having been picked on the sample that judges it:
    set a cutoff on another sample. Intervals are those of each cutoff alone. Other arguments, definitions and
    errors as `outcome_table`.

    `cutoffs`: scores; None = those that approve about each of `approval_rates` (ties together). Returns,
    sorted by cutoff, columns cutoff, applicants, approved, defaults (among them), then approval_rate,
    default_rate, expected_loss, realised_loss (both per approved loan) and profit (per applicant), each with
    <name>_low and <name>_high, currency, level, method; null where nobody is approved.
    """
    money = _money(economics)
    bad, points, prob = _sample(default, score, prob_default)
    grid = np.unique(_cutoffs_of(points, approval_rates) if cutoffs is None else np.asarray(cutoffs, float))
    cell = np.searchsorted(grid, points, side="right")
    counts = np.bincount(2 * cell + bad.astype(np.int64), minlength=2 * grid.size + 2)
    draws = multinomial_replicates(counts, replicates=replicates, seed=seed)
    profits = money.profit(_approved_along(draws))
    values = money.profit(_approved_along(counts))
    goods, bads, _ = _approved_along(counts).T
    method = f"bootstrap, {replicates} replicates"
    rows = []
    for place, cutoff in enumerate(grid):
        approved, defaults = int(goods[place] + bads[place]), int(bads[place])
        rate = wilson(defaults, approved, level=level)
        profit = percentile_estimate(float(values[place]), profits[:, place], level=level, method=method)
        parts = {
            "approval_rate": wilson(approved, bad.size, level=level),
            "default_rate": rate,
            "expected_loss": mean_estimate(money.bad * prob[points >= cutoff], level=level),
            "realised_loss": _times(rate, money.bad),
            "profit": profit,
        }
        numbers = {name + end: value for name, part in parts.items() for end, value in _numbers(part)}
        rows.append(
            {"cutoff": cutoff, "applicants": bad.size, "approved": approved, "defaults": defaults, **numbers}
        )
    told = f"{WILSON} (rates, realised_loss); {NORMAL_MEAN} (expected_loss); percentile {method} (profit)"
    return pl.DataFrame(rows, schema=_CURVE).with_columns(
        currency=pl.lit(money.currency), level=pl.lit(level), method=pl.lit(told)
    )


def _money(economics: Mapping[str, Any]) -> _Money:
    wanted = (*SHARES, "amount")
    faults = [f"{name} is missing" for name in (*wanted, "currency") if name not in economics]
    faults += [f"{name} is negative" for name in wanted if name in economics and not economics[name] >= 0]
    raise_faults("Outcomes cannot be told in money", faults)
    loss, income, cost = (float(economics[name]) * float(economics["amount"]) for name in SHARES)
    return _Money(income, loss, cost, str(economics["currency"]))


def _sample(
    default: ArrayLike, score: ArrayLike, prob_default: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray]:
    bad, prob, points = checked_sample(
        default, probabilities={"prob_default": prob_default}, scores={"score": score}
    )
    return bad, points, prob


def _outcomes(bad: FloatArray, approved: np.ndarray) -> list[int]:
    """Return the counts of approved goods, approved bads, declined goods, declined bads."""
    counts: list[int] = np.bincount((2 * ~approved + bad).astype(np.int64), minlength=4).tolist()
    return counts


def _with_declined(bad: FloatArray, approved: np.ndarray) -> IntArray:
    return np.asarray(_outcomes(bad, approved), dtype=np.int64)


def _decided(counts: IntArray) -> IntArray:
    """Return approved goods, approved bads, declined [..., 3] of the four counts [..., 4]."""
    return np.stack([counts[..., 0], counts[..., 1], counts[..., 2] + counts[..., 3]], axis=-1)


def _all_approved(counts: IntArray) -> IntArray:
    nobody = np.zeros_like(counts[..., 0])
    return np.stack([counts[..., 0] + counts[..., 2], counts[..., 1] + counts[..., 3], nobody], axis=-1)


def _approved_along(counts: IntArray) -> IntArray:
    """Return approved goods, approved bads, declined [..., cutoffs, 3] of counts by cell and outcome."""
    cells = counts.reshape(*counts.shape[:-1], -1, 2)
    at_or_above = np.cumsum(cells[..., ::-1, :], axis=-2)[..., ::-1, :]
    approved, everyone = at_or_above[..., 1:, :], at_or_above[..., :1, :].sum(axis=-1)
    return np.concatenate([approved, (everyone - approved.sum(axis=-1))[..., None]], axis=-1)


def _cutoffs_of(points: FloatArray, approval_rates: Sequence[float]) -> FloatArray:
    wrong = sum(not 0 < rate <= 1 for rate in approval_rates)
    raise_faults("The cutoffs cannot be set", [f"{wrong} approval rates are not in (0, 1]"] if wrong else [])
    shares = 1 - np.asarray(approval_rates, dtype=np.float64)
    return np.asarray(np.quantile(points, shares, method="higher"), dtype=np.float64)


def _times(estimate: Estimate, factor: float) -> Estimate:
    numbers = (estimate.value, estimate.low, estimate.high)
    value, low, high = (None if number is None else number * factor for number in numbers)
    return replace(estimate, value=value, low=low, high=high)


def _gap(bad: FloatArray, prob: FloatArray, level: float) -> Estimate:
    if not bad.size:
        return undefined(level, "nobody is approved")
    return calibration_in_the_large(bad, prob, level=level)


def _numbers(part: Estimate) -> tuple[tuple[str, float | None], ...]:
    return ("", part.value), ("_low", part.low), ("_high", part.high)


_MEASURES = ("approval_rate", "default_rate", "expected_loss", "realised_loss", "profit")
_CURVE: dict[str, Any] = {
    **{"cutoff": pl.Float64, **dict.fromkeys(("applicants", "approved", "defaults"), pl.Int64)},
    **dict.fromkeys((name + end for name in _MEASURES for end in ("", "_low", "_high")), pl.Float64),
}
