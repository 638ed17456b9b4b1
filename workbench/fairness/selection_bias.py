"""What outcomes that were never seen could change: bounds instead of silence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, hypot, inf, isfinite, log, nan
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.groups import Labels, as_labels, label_faults, require_reference, shortage
from workbench.statistics.estimate import normal_quantile
from workbench.statistics.samples import FloatArray, binary_faults, length_faults, raise_faults

DIFFERENCES = (
    "default_rate_difference",
    "true_positive_rate_difference",
    "false_positive_rate_difference",
)
UNSEEN = "unseen outcomes"
BOUNDS_SCHEMA = {
    "group": pl.String,
    "metric": pl.String,
    "assumption": pl.String,
    "strength": pl.Float64,
    "lower": pl.Float64,
    "upper": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "level": pl.Float64,
    "method": pl.String,
    "applicants": pl.Int64,
    "in_doubt": pl.Float64,
    "judged": pl.Boolean,
    "note": pl.String,
}
TIPPING_SCHEMA = {
    "group": pl.String,
    "metric": pl.String,
    "assumption": pl.String,
    "value": pl.Float64,
    "strength": pl.Float64,
    "note": pl.String,
}
MOST_ODDS = 1e6


def unseen_outcome_bounds(
    default: ArrayLike,
    prob_default: ArrayLike,
    approved: ArrayLike,
    group: Labels,
    *,
    odds_ratios: Sequence[float],
    reference_group: str,
    min_applicants: int,
    level: float = 0.95,
) -> pl.DataFrame:
    """Return between which bounds metrics lie when the outcome of some applicants was never seen.

    Each unseen applicant's chance of default is anything between prob_default and that with its odds times G,
    `strength`: 1 = like the seen with the same score, 3 = up to three times the odds. Applicants and groups
    may differ in it, so that no bound can be passed. A null strength is the worst case (Manski): anything
    from 0 to 1. Rates: default_rate; differences, group - reference: default_rate, true_positive_rate and
    false_positive_rate. [lower, upper] are the bounds, sharp under the assumption; [low, high] adds the
    sampling error of both ends (normal, delta method) and holds the true value at least at `level`, with
    prob_default taken as given.

    `default`: 0, 1 or missing where unseen; `prob_default`: in (0, 1), calibrated on the seen; `approved`: 0
    or 1, the decision that is judged; `group`: labels [applicants]; `odds_ratios`: G, at least 1 each. Judged
    where the group and the reference have at least `min_applicants` and both ends exist. Returns group,
    metric, assumption, strength, lower, upper, low, high, level, method, applicants, in_doubt (share of the
    group that is unseen), judged, note.

    Raises:
        DataError: lengths that differ, values out of range, an absent reference group, G below 1.

    Reference: Manski (1990), American Economic Review 80: 319-323; Rosenbaum (2002), Observational Studies,
    chapter 4, for odds ratios; Horowitz and Manski (2000), JASA 95: 77-84, for intervals of bounds.
    """
    groups = _groups(default, prob_default, approved, group)
    weak = sum(not odds >= 1 for odds in odds_ratios)
    raise_faults("The bounds cannot be set", [f"{weak} odds ratios are below 1"] if weak else [])
    require_reference(reference_group, groups)
    reference, rows = groups[reference_group], []
    for strength in [*odds_ratios, None]:
        odds = inf if strength is None else strength
        for name, one in groups.items():
            found = {"default_rate": one.ends("default_rate", odds)}
            if name != reference_group:
                found |= {metric: _difference_ends(metric, one, reference, odds) for metric in DIFFERENCES}
            sizes = [one.prob.size] if name == reference_group else [one.prob.size, reference.prob.size]
            short = shortage({"applicants": min(sizes)}, {"applicants": min_applicants})
            about = {"group": name, "assumption": UNSEEN, "strength": strength, "level": level}
            about |= {"applicants": one.prob.size, "in_doubt": float(np.isnan(one.bad).mean())}
            rows += [about | _bounds_row(metric, ends, level, short) for metric, ends in found.items()]
    return pl.DataFrame(rows, schema=BOUNDS_SCHEMA)


def unseen_tipping_points(
    default: ArrayLike, prob_default: ArrayLike, approved: ArrayLike, group: Labels, *, reference_group: str
) -> pl.DataFrame:
    """Return how strong the assumption on unseen outcomes must be to undo the sign of each difference.

    `value`: the difference if the unseen are like the seen with the same score; `strength`: the smallest G,
    as in `unseen_outcome_bounds`, at which its bounds hold 0; null where no G does, or it is undefined.
    Bounds of this sample, without sampling error. Returns group, metric, assumption, value, strength, note.

    Raises:
        DataError: as `unseen_outcome_bounds`.
    """
    groups = _groups(default, prob_default, approved, group)
    require_reference(reference_group, groups)
    rows = []
    for name in (name for name in groups if name != reference_group):
        for metric in DIFFERENCES:
            pair = groups[name], groups[reference_group]
            value = _difference_ends(metric, *pair, 1.0)[0].value
            strength, note = _tipping_odds(metric, *pair, value)
            row = (name, metric, UNSEEN, _known(value), strength, note)
            rows.append(dict(zip(TIPPING_SCHEMA, row, strict=True)))
    return pl.DataFrame(rows, schema=TIPPING_SCHEMA)


class _End(NamedTuple):
    """One end of the bounds and its standard error; NaN where it is undefined."""

    value: float
    error: float


@dataclass(frozen=True)
class _Group:
    """Outcome (NaN where unseen), PD and decision of a group's applicants [applicants]."""

    bad: FloatArray
    prob: FloatArray
    approved: FloatArray

    def chances(self, odds: float) -> tuple[FloatArray, FloatArray]:
        """Return the least and the greatest chance of default of everyone; of the seen it is 0 or 1."""
        unseen = np.isnan(self.bad)
        most = 1 / (1 + (1 - self.prob) / (odds * self.prob))
        least = np.zeros(1) if odds == inf else self.prob
        return np.where(unseen, least, self.bad), np.where(unseen, most, self.bad)

    def ends(self, metric: str, odds: float) -> tuple[_End, _End]:
        """Return the lower and the upper end of a rate."""
        least, most = self.chances(odds)
        if metric.startswith("default_rate"):
            return _share(least, 1 - least), _share(most, 1 - most)
        taken = self.approved
        if metric.startswith("true_positive_rate"):
            least, most = 1 - most, 1 - least
        return (
            _share(taken * least, (1 - taken) * most),
            _share(taken * most, (1 - taken) * least),
        )


def _share(inside: FloatArray, outside: FloatArray) -> _End:
    """Return the sum of inside over that of both [applicants], with the delta method's standard error."""
    both = inside + outside
    if not both.sum() > 0:
        return _End(nan, nan)
    value = float(inside.sum() / both.sum())
    return _End(value, float(np.sqrt(((inside - value * both) ** 2).sum()) / both.sum()))


def _difference_ends(metric: str, one: _Group, reference: _Group, odds: float) -> tuple[_End, _End]:
    (lower, upper), (least, most) = (of.ends(metric, odds) for of in (one, reference))
    return (
        _End(lower.value - most.value, hypot(lower.error, most.error)),
        _End(upper.value - least.value, hypot(upper.error, least.error)),
    )


def _tipping_odds(metric: str, one: _Group, reference: _Group, value: float) -> tuple[float | None, str]:
    """Return the smallest odds ratio at which the bounds hold 0, and why there is none."""
    from scipy.optimize import brentq

    def margin(log_odds: float) -> float:
        lower, upper = _difference_ends(metric, one, reference, exp(log_odds))
        return lower.value if value > 0 else -upper.value

    if not isfinite(value):
        return None, "undefined: nobody to divide by"
    if not value:
        return 1.0, ""
    if margin(log(MOST_ODDS)) > 0:
        return None, "no odds ratio changes the sign"
    return exp(float(brentq(margin, 0.0, log(MOST_ODDS), xtol=1e-6))), ""


def _groups(
    default: ArrayLike, prob_default: ArrayLike, approved: ArrayLike, group: Labels
) -> dict[str, _Group]:
    bad, prob, taken = (np.asarray(of, dtype=np.float64) for of in (default, prob_default, approved))
    labels = as_labels(group)
    outside = int(np.sum(~((prob > 0) & (prob < 1))))
    faults = [
        *length_faults({"default": bad, "prob_default": prob, "approved": taken, "group": labels}),
        *binary_faults("default", bad[~np.isnan(bad)]),
        *([f"prob_default is missing or not inside (0, 1) in {outside} rows"] if outside else []),
        *binary_faults("approved", taken),
        *label_faults(labels),
    ]
    raise_faults("The bounds cannot be set", faults)
    members = {name: (labels == name).to_numpy() for name in labels.unique().sort()}
    return {name: _Group(bad[of], prob[of], taken[of]) for name, of in members.items()}


def _bounds_row(metric: str, ends: tuple[_End, _End], level: float, short: str) -> dict[str, object]:
    z, (lower, upper) = normal_quantile(level), ends
    low, high = lower.value - z * lower.error, upper.value + z * upper.error
    reason = "" if isfinite(low) and isfinite(high) else "undefined: nobody to divide by"
    least = -1.0 if metric in DIFFERENCES else 0.0
    return {
        "metric": metric,
        "lower": _known(lower.value),
        "upper": _known(upper.value),
        "low": None if reason else max(low, least),
        "high": None if reason else min(high, 1.0),
        "method": reason or "normal, delta method",
        "judged": not short and not reason,
        "note": "; ".join(filter(None, [short, reason])),
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
