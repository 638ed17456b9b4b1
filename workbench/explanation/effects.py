"""What the model's margin does as one feature moves: accumulated local effects and partial dependence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import near_name
from workbench.explanation.spread import hidden_counts, joined_edges
from workbench.scorer import Floats, model_matrix
from workbench.statistics.estimate import Estimate, normal_estimate, undefined
from workbench.statistics.means import NORMAL_MEAN, mean_estimate
from workbench.statistics.samples import IntArray, raise_faults

Margin = Callable[[pl.DataFrame], Floats]
"""The log-odds of default [applicants] of a table of features."""
ACCUMULATED = "normal, accumulated means of local differences and their centre"
PAIRED = f"paired {NORMAL_MEAN}"
TOO_FEW = "too few applicants have the value or another"
ROUNDING = 1e-5
"""Log-odds by which sums of single-precision leaves may differ; less is no step."""


def accumulated_effects(
    margin: Margin, features: pl.DataFrame, *, shown: Sequence[str], least: int, level: float, bins: int = 20
) -> pl.DataFrame:
    """Return the accumulated local effects (ALE) of features on the margin, with the data's density.

    In each quantile bin of a feature: the mean over its applicants of margin(the feature at the bin's upper
    end) - margin(at its lower end), all else as they are; summed from the lowest bin on, and shifted so that
    the mean over applicants is 0. Above 0 = a higher PD than the feature's average effect. It moves nobody
    further than a bin, so that correlated features stay in a likely combination. The missing have no place
    in the order and are left out. The interval is normal: the bins' local differences are independent, and
    the centre has an error of its own; bins and booster are taken as given.

    Bins have at least `least` applicants, and the outermost ends are the `least`-th smallest and largest
    value; those beyond count to the outermost bins. Two predictions for each applicant and feature.

    Returns one row per end of a bin: feature, curve ("ale"), bin (0 = the lowest end, else the bin that ends
    here), missing (false), value, effect (log-odds), low, high, applicants (of the bin), level, method. A
    feature without two such values has one row without effect, and `method` says why.

    Raises:
        DataError: features that are not in the table, no rows, fewer than 2 bins, least below 1.

    Reference: Apley and Zhu (2020), JRSS B 82: 1059-1086.
    """
    raise_faults("The effects cannot be shown", _faults(features, shown, bins, least))
    cuts = {name: _cut(features, name, bins, least) for name in shown}
    return pl.concat(
        _curve(name, "ale", cut, _accumulated(margin, features, name, cut, level), least)
        for name, cut in cuts.items()
    )


def partial_dependence(
    margin: Margin,
    features: pl.DataFrame,
    *,
    shown: Sequence[str],
    least: int,
    level: float,
    bins: int = 20,
    rows: int = 2_000,
    seed: int,
) -> pl.DataFrame:
    """Return the partial dependence (PDP) of the margin on features, with the data's density.

    effect = mean over applicants of margin(the feature at the value, all else as they are) - margin(as they
    are): 0 = the average applicant's own. It moves everyone to every value, likely or not: where it departs
    from ALE, the feature's companions make the difference. Over `rows` applicants drawn at random; the
    interval is that of a paired mean. Bins, ends and density as in `accumulated_effects`, from all rows.

    Returns the columns of `accumulated_effects` (curve "pdp") and, where at least `least` applicants miss
    the feature, a row with bin and value null and missing true: everyone without it.

    Raises:
        DataError: as `accumulated_effects`, or fewer than 2 rows.

    Reference: Friedman (2001), Annals of Statistics 29: 1189-1232, section 8.2.
    """
    few = [f"rows is {rows}; at least 2 are needed"] if rows < 2 else []
    raise_faults("The effects cannot be shown", [*_faults(features, shown, bins, least), *few])
    sample = features.sample(min(rows, features.height), seed=seed)
    own = np.asarray(margin(sample), dtype=np.float64)

    def effect(name: str, value: float | None) -> Estimate:
        moved = np.asarray(margin(_placed(sample, name, value)), dtype=np.float64)
        return mean_estimate(moved - own, level=level, method=PAIRED)

    cuts = {name: _cut(features, name, bins, least) for name in shown}
    return pl.concat(
        _curve(
            name,
            "pdp",
            cut,
            [effect(name, end) for end in cut.ends] or [undefined(level, TOO_FEW)],
            least,
            [effect(name, None)] if cut.missing >= least else [],
        )
        for name, cut in cuts.items()
    )


def shown_directions(
    curves: pl.DataFrame, monotone: Mapping[str, int], *, height: str = "effect"
) -> pl.DataFrame:
    """Return which way each shown curve goes, and how many of its steps go against the expected direction.

    A step is the change of `height` from one row of a feature to the next, by more than 1e-5; the row of the
    missing has no place in the order. This reads what is shown; training proves the booster itself. Counts
    of a curve: they have no interval.

    `curves`: of `accumulated_effects`, `partial_dependence` or, with height "mean", `dependence_table`;
    `monotone`: +1 "higher value, higher PD", -1 or 0 for each feature. Returns, in the order of the curves:
    feature, expected (0 = none), shown (+1 rises, -1 falls, 0 both, null flat), steps, against, share_against
    (of the steps; null where nothing is expected or there is no step), largest_against (log-odds; 0 = none),
    agrees (null where nothing is expected; true = no step against).

    Raises:
        DataError: a feature without an expected direction; 0 says that there is none.
    """
    names = curves["feature"].unique(maintain_order=True)
    raise_faults("The curves cannot be judged", _curve_faults(curves, names, monotone))
    known = curves.filter(~pl.col("missing") & pl.col(height).is_not_null()).sort("feature", "bin")
    change = pl.col(height).diff().over("feature")
    steps = known.select("feature", pl.when(change.abs() > ROUNDING).then(change).otherwise(0.0 * change))
    table = pl.DataFrame({"feature": names, "expected": [int(monotone[name]) for name in names]}).join(
        steps.rename({height: "step"}).drop_nulls(), on="feature", how="left", maintain_order="left"
    )
    step, wanted = pl.col("step"), pl.col("expected").sign()
    rises, falls, wrong = (step > 0).any(), (step < 0).any(), -step * wanted
    shown = pl.when(rises & falls).then(0).when(rises).then(1).when(falls).then(-1)
    told = table.group_by("feature", "expected", maintain_order=True).agg(
        shown.cast(pl.Int64).alias("shown"),
        step.count().cast(pl.Int64).alias("steps"),
        (wrong > 0).sum().cast(pl.Int64).alias("against"),
        wrong.max().fill_null(0.0).clip(0).abs().alias("largest_against"),
    )
    judged = (pl.col("expected") != 0) & (pl.col("steps") > 0)
    return told.select(
        *("feature", "expected", "shown", "steps", "against"),
        pl.when(judged).then(pl.col("against") / pl.col("steps")).alias("share_against"),
        "largest_against",
        pl.when(judged).then(pl.col("against") == 0).alias("agrees"),
    )


@dataclass(frozen=True)
class _Cut:
    """The ends of a feature's bins, which applicants know it, their bin, and how many are in each."""

    ends: Floats
    known: NDArray[np.bool_]
    inside: IntArray
    applicants: IntArray

    @property
    def missing(self) -> int:
        return int((~self.known).sum())

    @property
    def bins(self) -> int:
        return max(self.ends.size - 1, 0)


def _cut(features: pl.DataFrame, name: str, bins: int, least: int) -> _Cut:
    feature = model_matrix(features, [name])[:, 0]
    known = ~np.isnan(feature)
    values = np.sort(feature[known])
    if values.size < least:
        return _Cut(np.empty(0), known, np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64))
    lowest, highest = values[least - 1], values[-least]
    cuts = np.unique(np.quantile(values, np.arange(1, bins) / bins, method="inverted_cdf"))
    inner = joined_edges(values, cuts[(cuts > lowest) & (cuts < highest)], least)
    ends = np.unique([*sorted((lowest, highest)), *inner])
    inside = np.searchsorted(inner, feature[known], side="left")
    return _Cut(ends, known, inside, np.bincount(inside)[: ends.size - 1])


def _accumulated(
    margin: Margin, features: pl.DataFrame, name: str, cut: _Cut, level: float
) -> list[Estimate]:
    if not cut.bins:
        return [undefined(level, TOO_FEW)]
    known = features.filter(pl.Series(cut.known))
    upper, lower = (margin(_placed(known, name, cut.ends[cut.inside + side])) for side in (1, 0))
    steps, count = np.asarray(upper, dtype=np.float64) - lower, cut.applicants
    mean = np.bincount(cut.inside, steps) / count
    variance = np.bincount(cut.inside, (steps - mean[cut.inside]) ** 2) / np.maximum(count - 1, 1) / count
    share = count / count.sum()
    # the centre: each bin's applicants stand half way up their own step
    centre = share / 2 + share.sum() - np.cumsum(share)
    parts = np.tri(cut.bins + 1, cut.bins, -1) - centre
    effect = parts @ mean
    middle = (effect[1:] + effect[:-1]) / 2
    error = np.sqrt(parts**2 @ variance + share @ middle**2 / count.sum())
    return [
        normal_estimate(float(one), float(around), level=level, method=ACCUMULATED)
        for one, around in zip(effect, error, strict=True)
    ]


def _curve(
    name: str,
    curve: str,
    cut: _Cut,
    estimates: Sequence[Estimate],
    least: int,
    without: Sequence[Estimate] = (),
) -> pl.DataFrame:
    """Return the rows of the bins' ends, and that of the missing if there is an estimate `without`."""
    every, ends = [*estimates, *without], len(estimates)
    none: list[None] = [None] * len(without)
    hidden = hidden_counts(np.append(cut.applicants, cut.missing), least)[: cut.bins]
    counts = [None if small else int(count) for count, small in zip(cut.applicants, hidden, strict=True)]
    return pl.DataFrame(
        {
            "feature": [name] * len(every),
            "curve": [curve] * len(every),
            "bin": [*range(ends), *none],
            "missing": [False] * ends + [True] * len(without),
            "value": [*(cut.ends.tolist() or [None]), *none],
            "effect": [estimate.value for estimate in every],
            "low": [estimate.low for estimate in every],
            "high": [estimate.high for estimate in every],
            "applicants": [None, *counts, *([cut.missing] * len(without))],
            "level": [estimate.level for estimate in every],
            "method": [estimate.method for estimate in every],
        },
        schema=_COLUMNS,
    )


def _placed(features: pl.DataFrame, name: str, value: Floats | float | None) -> pl.DataFrame:
    column = pl.Series(value) if isinstance(value, np.ndarray) else pl.lit(value, dtype=pl.Float64)
    return features.with_columns(column.alias(name))


def _faults(features: pl.DataFrame, shown: Sequence[str], bins: int, least: int) -> Iterator[str]:
    if not features.height:
        yield "there are no applicants"
    if not shown:
        yield "no feature is to be shown; at least 1 is needed"
    for name in shown:
        if name not in features.columns:
            yield f"the table has no feature {name!r}{near_name(name, features.columns)}"
    if bins < 2:
        yield f"{bins} bins asked for; at least 2 are needed"
    if least < 1:
        yield f"least is {least}; at least 1 is needed"


def _curve_faults(curves: pl.DataFrame, names: pl.Series, monotone: Mapping[str, int]) -> Iterator[str]:
    for name in names:
        if name not in monotone:
            yield f"{name} has no expected direction{near_name(name, monotone)}"
    if "curve" in curves.columns and curves["curve"].n_unique() > 1:
        yield f"{curves['curve'].n_unique()} kinds of curves; one at a time is needed"


_COLUMNS = {
    **{"feature": pl.String, "curve": pl.String, "bin": pl.Int64, "missing": pl.Boolean},
    **dict.fromkeys(("value", "effect", "low", "high"), pl.Float64),
    **{"applicants": pl.Int64, "level": pl.Float64, "method": pl.String},
}
