"""Where the model is wrong though no one asked there: places found on one half, confirmed on the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import erfc, inf, isinf, sqrt
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from workbench.statistics.bins import bin_index, quantile_edges
from workbench.statistics.estimate import normal_estimate, undefined
from workbench.statistics.multiplicity import holm
from workbench.statistics.samples import FloatArray, checked_sample, raise_faults
from workbench.validation.calibration import PROBABILITY_FLOOR

BINS = 32
"""Most steps of a feature at which it may be cut."""
DIGITS = 4
"""Significant digits of a cut; it is made where the text says, so that the text is the place."""
MOST_DEPTH = 3
MOST_SEARCHED = 50_000
"""More applicants find hardly other places, and serve better to confirm them."""
LEAST_EXPECTED = 10.0
"""Fewest defaults and goods that must be expected in a place for its test to mean what it says."""
EVERYONE = "everyone"
TESTED = "normal, confirmed on the half that was not searched; p-value by the variance of true PDs"


@dataclass(frozen=True)
class _Range:
    """What a place asks of one feature: above < value <= up_to, if `known`; a missing one, if `missing`."""

    above: float = -inf
    up_to: float = inf
    known: bool = True
    missing: bool = True

    def holds(self, values: FloatArray) -> np.ndarray:
        absent = np.isnan(values)
        with np.errstate(invalid="ignore"):
            inside = (values > self.above) & (values <= self.up_to)
        return (absent & self.missing) | (inside & self.known)

    def text(self, name: str, *, has_missing: bool) -> str:
        if not self.known:
            return f"{name} is missing"
        bounds = [f"{name} > {_number(self.above)}"] if not isinf(self.above) else []
        bounds += [f"{name} <= {_number(self.up_to)}"] if not isinf(self.up_to) else []
        words = " and ".join(bounds) or f"{name} is known"
        return f"({words} or {name} is missing)" if self.missing and has_missing else words


Place = Mapping[str, _Range]
_SHARES = ("default_rate", "mean_pd", "excess", "low", "high", "p_value", "p_adjusted")
SCHEMA = {
    **dict.fromkeys(("measure", "place"), pl.String),
    **dict.fromkeys(("applicants", "defaults"), pl.Int64),
    **dict.fromkeys(_SHARES, pl.Float64),
    **{"confirmed": pl.Boolean, "level": pl.Float64, "method": pl.String},
}


@dataclass(frozen=True)
class _Measure:
    """A per-applicant amount [applicants] that is 0 on average, with `variance`, where the PDs are true."""

    name: str
    amount: FloatArray
    variance: FloatArray


def find_weak_spots(
    features: pl.DataFrame,
    default: ArrayLike,
    prob_default: ArrayLike,
    *,
    names: Sequence[str] | None = None,
    depth: int = 3,
    least_applicants: int = 200,
    search_share: float = 0.5,
    level: float = 0.95,
    seed: int,
) -> pl.DataFrame:
    """Return places where shallow trees find the model wrong, each judged on applicants they never saw.

    Two trees cut a random share of the sample, at most 50,000, by its features. One follows an applicant's
    excess log loss, -(default - p) ln(p / (1 - p)): the loss less what true PDs would cost; above 0 = worse
    than the model says (risk understated or told apart too surely), below 0 = better than it says. The other
    follows the default gap, default - p: above 0 = risk understated, below 0 = overstated. 0 = as the model
    says. Every leaf is a claim, tested on the rest of the sample alone. `confirmed` = Holm's p-value over all
    claims is below 1 - level and the excess has the sign that was found: under true PDs the chance that any
    claim is confirmed is at most 1 - level, however many features were searched.

    `features`: numbers or yes/no [applicants], nulls and NaN allowed; `names`: the columns searched, None =
    all; `default`: 0 or 1, `prob_default`: [0, 1] [applicants], in the same order. `least_applicants`: fewest
    in a leaf of the searched part. Returns columns measure (log_loss, default_gap), place (the rule),
    applicants, defaults, default_rate, mean_pd (all of the confirming part), excess (mean per applicant),
    low, high (each at `level` alone), p_value, p_adjusted, confirmed, level, method (with the reason where a
    claim could not be tested); the strongest claims first.

    Raises:
        DataError: columns that are not there or not numbers, rows that do not match, options out of range,
            and as `calibration_table`.
    """
    bad, prob = checked_sample(default, probabilities={"prob_default": prob_default})
    columns = list(features.columns if names is None else names)
    column_faults = _column_faults(features, columns, bad.size)
    options = _option_faults(depth, least_applicants, search_share)
    raise_faults("Weak spots cannot be searched", [*column_faults, *options])
    values = {name: _values(features[name]) for name in columns}
    searched = np.zeros(bad.size, dtype=bool)
    size = min(int(bad.size * search_share), MOST_SEARCHED)
    searched[np.random.default_rng(seed).permutation(bad.size)[:size]] = True
    codes, edges = _cut({name: column[searched] for name, column in values.items()})
    rows: list[dict[str, Any]] = []
    for measure in _measures(bad, prob):
        amount = measure.amount[searched]
        for place in _leaves(codes, edges, amount, depth=depth, least=least_applicants, seed=seed):
            inside = _inside(place, values, bad.size)
            found = float(measure.amount[inside & searched].sum())
            claim = _claim(measure, inside & ~searched, bad, prob, level=level)
            rows.append({"place": _text(place, values), "found": found, **claim})
    return _judged(rows, level)


def _column_faults(features: pl.DataFrame, names: Sequence[str], applicants: int) -> Iterator[str]:
    if features.height != applicants:
        yield f"features has {features.height} rows and default {applicants}; the same rows are needed"
    if not names:
        yield "there is no feature to search; at least 1 is needed"
    for name in names:
        if name not in features.columns:
            yield f"there is no column {name}"
        elif not (features.schema[name].is_numeric() or features.schema[name] == pl.Boolean):
            yield f"{name} is {features.schema[name]}; numbers or yes/no are needed"


def _option_faults(depth: int, least_applicants: int, search_share: float) -> Iterator[str]:
    if not 1 <= depth <= MOST_DEPTH:
        yield f"depth {depth}; 1 to {MOST_DEPTH} is needed, so that a place can be told in words"
    if least_applicants < 1:
        yield f"least_applicants {least_applicants}; at least 1 is needed"
    if not 0 < search_share < 1:
        yield f"search_share {search_share}; between 0 and 1 is needed"


def _values(column: pl.Series) -> FloatArray:
    return column.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _measures(bad: FloatArray, prob: FloatArray) -> tuple[_Measure, _Measure]:
    clipped = np.clip(prob, PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)
    log_odds = np.log(clipped) - np.log1p(-clipped)
    gap, variance = bad - prob, prob * (1 - prob)
    return (
        _Measure("log_loss", -gap * log_odds, variance * log_odds**2),
        _Measure("default_gap", gap, variance),
    )


def _cut(values: Mapping[str, FloatArray]) -> tuple[np.ndarray, dict[str, FloatArray]]:
    """Return each feature's step as float32 [applicants, features], NaN where missing, and their cuts."""
    edges = {name: _edges(column) for name, column in values.items()}
    codes = np.column_stack([bin_index(column, edges[name]) for name, column in values.items()])
    steps = codes.astype(np.float32)
    for number, cuts in enumerate(edges.values()):
        steps[codes[:, number] == cuts.size + 1, number] = np.nan
    return steps, edges


def _edges(column: FloatArray) -> FloatArray:
    if np.isnan(column).all():
        return np.empty(0)
    return np.unique([float(_number(edge)) for edge in quantile_edges(column, BINS)])


def _leaves(
    codes: np.ndarray,
    edges: Mapping[str, FloatArray],
    amount: FloatArray,
    *,
    depth: int,
    least: int,
    seed: int,
) -> list[Place]:
    """Return the leaves of a regression tree; everyone is the only one where it finds no split."""
    from sklearn.tree import DecisionTreeRegressor

    if amount.size < 2 * least:
        return [{}]
    model = DecisionTreeRegressor(max_depth=depth, min_samples_leaf=least, random_state=seed)
    return list(_walk(model.fit(codes, amount).tree_, list(edges.items()), 0, {}))


def _walk(tree: Any, edges: list[tuple[str, FloatArray]], node: int, place: Place) -> Iterator[Place]:
    left, right = tree.children_left[node], tree.children_right[node]
    if left == right:
        yield place
        return
    name, cuts = edges[tree.feature[node]]
    before, missing_left = place.get(name, _Range()), bool(tree.missing_go_to_left[node])
    low, high = _split(before, cuts, float(tree.threshold[node]), missing_left=missing_left)
    yield from _walk(tree, edges, left, {**place, name: low})
    yield from _walk(tree, edges, right, {**place, name: high})


def _split(before: _Range, cuts: FloatArray, step: float, *, missing_left: bool) -> tuple[_Range, _Range]:
    """Return both sides of a split; above the last cut it parts the known from the missing."""
    here, there = before.missing and missing_left, before.missing and not missing_left
    if step >= cuts.size:
        return replace(before, missing=False), replace(before, known=False)
    cut = float(cuts[int(step)])
    below = replace(before, up_to=min(before.up_to, cut), missing=here)
    return below, replace(before, above=max(before.above, cut), missing=there)


def _inside(place: Place, values: Mapping[str, FloatArray], size: int) -> np.ndarray:
    inside = np.ones(size, dtype=bool)
    for name, wanted in place.items():
        inside &= wanted.holds(values[name])
    return inside


def _text(place: Place, values: Mapping[str, FloatArray]) -> str:
    words = [part.text(name, has_missing=bool(np.isnan(values[name]).any())) for name, part in place.items()]
    return " and ".join(words) or EVERYONE


def _claim(
    measure: _Measure, inside: np.ndarray, bad: FloatArray, prob: FloatArray, *, level: float
) -> dict[str, Any]:
    applicants, expected = int(inside.sum()), float(prob[inside].sum())
    spread = sqrt(float(measure.variance[inside].sum()))
    excess = measure.amount[inside]
    error = float(excess.std(ddof=1)) / sqrt(applicants) if applicants > 1 else 0.0
    estimate, p_value = undefined(level, "no applicant here in the confirming part"), None
    if applicants:
        estimate = normal_estimate(float(excess.mean()), error, level=level, method=TESTED)
    if min(expected, applicants - expected) < LEAST_EXPECTED or not spread:
        few = f"not tested: fewer than {LEAST_EXPECTED:g} defaults or goods are expected"
        estimate = replace(estimate, method=few) if applicants else estimate
    else:
        p_value = erfc(abs(float(excess.sum())) / spread / sqrt(2))
    shares = {"default_rate": bad, "mean_pd": prob}
    return {
        "measure": measure.name,
        "applicants": applicants,
        "defaults": int(bad[inside].sum()),
        **{name: float(share[inside].mean()) if applicants else None for name, share in shares.items()},
        **{"excess" if key == "value" else key: value for key, value in vars(estimate).items()},
        "p_value": p_value,
    }


def _judged(rows: list[dict[str, Any]], level: float) -> pl.DataFrame:
    for row, adjusted in zip(rows, holm(row["p_value"] for row in rows), strict=True):
        same_sign = row["excess"] is not None and row["excess"] * row["found"] > 0
        row["p_adjusted"] = adjusted
        row["confirmed"] = adjusted is not None and adjusted < 1 - level and same_sign
    table = pl.DataFrame(rows, schema=SCHEMA)
    return table.sort("confirmed", "p_value", descending=[True, False], nulls_last=True, maintain_order=True)


def _number(value: float) -> str:
    return np.format_float_positional(value, precision=DIGITS, fractional=False, trim="-")
