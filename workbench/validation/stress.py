"""What a worse economy, told as changes of features, would do to PDs, approvals and losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import near_name
from workbench.statistics.means import matched_difference, mean_estimate
from workbench.statistics.samples import FloatArray, raise_faults
from workbench.validation.robustness import Predict, Transform, feature_values, logistic

OPERATIONS = ("times", "plus")
Scenarios = Mapping[str, Mapping[str, Mapping[str, float]]]


def stress(
    predict: Predict,
    features: pl.DataFrame,
    *,
    names: Sequence[str],
    scenarios: Scenarios,
    economics: Mapping[str, Any],
    cutoff: float,
    prob_of: Transform = logistic,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return what a worse economy, told as changes of features, does to PDs, approvals and losses.

    A scenario names features and for each `times` a factor and then `plus` an amount, for everyone; missing
    stays missing. mean_pd and approval_rate (at the same cutoff) are of all applicants; expected_loss is PD x
    loss_given_default x amount per loan of those approved before the stress: the book that is already there.
    The model is taken to hold under stress, which it never saw: read `outside`, the share of applicants whom
    the change takes beyond the range of a feature, first.

    `economics`: loss_given_default (share), amount and currency. Other arguments and errors as `noise_table`;
    one call of `predict` for each scenario and one for all. Returns for each scenario three rows: scenario,
    measure, unit, applicants, outside, before, after, value (after - before; 0 = no change), low, high
    (normal of the paired mean; Agresti-Min for approvals), level, method.
    """
    raise_faults("The stress cannot be applied", _scenario_faults(features, names, scenarios))
    base = predict(features)
    before, loss = prob_of(base), economics["loss_given_default"] * economics["amount"]
    approved, rows = before <= cutoff, list[dict[str, Any]]()
    for scenario, changes in scenarios.items():
        stressed = features.with_columns(
            pl.col(name).cast(pl.Float64) * change.get("times", 1.0) + change.get("plus", 0.0)
            for name, change in changes.items()
        )
        after, outside = prob_of(predict(stressed)), _outside(features, stressed, list(changes))
        still = after <= cutoff
        found = {
            ("mean_pd", "share"): (before, after, mean_estimate(after - before, level=level)),
            ("approval_rate", "share"): (
                approved,
                still,
                matched_difference(approved, still, level=level),
            ),
            ("expected_loss", f"{economics['currency']} per loan"): (
                loss * before[approved],
                loss * after[approved],
                mean_estimate(loss * (after - before)[approved], level=level),
            ),
        }
        rows += [
            {"scenario": scenario, "measure": measure, "unit": unit, "applicants": old.size}
            | {"outside": outside, "before": _mean(old), "after": _mean(new), **vars(change)}
            for (measure, unit), (old, new, change) in found.items()
        ]
    return pl.DataFrame(rows, schema=_STRESS)


def _scenario_faults(features: pl.DataFrame, names: Sequence[str], scenarios: Scenarios) -> Iterator[str]:
    if not features.height:
        yield "there are no rows"
    for scenario, changes in scenarios.items():
        if not changes:
            yield f"{scenario} changes nothing"
        for name, change in changes.items():
            if name not in names or name not in features.columns:
                yield f"{scenario}: {name} is not a feature of the model{near_name(name, names)}"
            if unknown := sorted(set(change) - set(OPERATIONS)):
                yield f"{scenario}: {name} has {', '.join(unknown)}; times and plus are known"


def _outside(features: pl.DataFrame, stressed: pl.DataFrame, names: Sequence[str]) -> float:
    """Return the share of applicants whom the stress takes beyond the range of any feature."""
    beyond = np.zeros(features.height, dtype=bool)
    for name in names:
        before, after = feature_values(features, name), feature_values(stressed, name)
        known = before[~np.isnan(before)]
        if known.size:
            beyond |= (after < known.min()) | (after > known.max())
    return float(beyond.mean())


def _mean(values: FloatArray) -> float | None:
    return float(values.mean()) if values.size else None


_STRESS = {
    **dict.fromkeys(("scenario", "measure", "unit"), pl.String),
    "applicants": pl.Int64,
    **dict.fromkeys(("outside", "before", "after", "value", "low", "high", "level"), pl.Float64),
    "method": pl.String,
}
