"""Do the reasons hold: under other models, under small noise, and against the truth of a made world?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.scorer import Floats
from workbench.statistics.estimate import Estimate, bounded
from workbench.statistics.means import crossed_share, mean_estimate
from workbench.statistics.noise import measurement_noise
from workbench.statistics.proportions import wilson
from workbench.statistics.ranking import rank_correlation
from workbench.statistics.samples import raise_faults

Bools = NDArray[np.bool_]
CROSSED = "Student's t, models and applicants"
TRANSFORMS: Mapping[str, Callable[[Floats], Floats]] = {
    "identity": lambda x: x,
    "log": lambda x: np.log(np.maximum(x, 1)),
    "log1p": np.log1p,
}
"""Of the terms of a made world's formula, as its truth.json states them."""
_TOLD: dict[str, Any] = {
    **{"measure": pl.String, "applicants": pl.Int64},
    **dict.fromkeys(("value", "low", "high", "level"), pl.Float64),
    "method": pl.String,
}


def stability_table(
    points: Floats, others: Mapping[str, Sequence[Floats]], *, reasons_shown: int, level: float
) -> pl.DataFrame:
    """Return how often another model would have given the same applicant the same reasons, by kind.

    Measures, 1 = always: same_first (the first reason is the same), overlap (mean share of the named families
    that both name, |both| / the longer list), same_reasons (the same families, in any order). Models and
    applicants are both samples: Owen's variance, Student's t. A family is named when it is among the
    `reasons_shown` that cost most and costs points.

    `points`: what each family costs by the champion [applicants, families], above 0 lowers the score;
    `others`: kind ("resample", "seed", "noise") -> the points of each other model on the same applicants and
    families.
    Returns kind, models, measure, applicants, value, low, high, level, method.

    Raises:
        DataError: no applicants or models, shapes that differ, points that are not finite, no reasons shown.

    Reference: Owen (2007), Annals of Applied Statistics 1: 386-411, on two samples crossed.
    """
    raise_faults("The reasons cannot be compared", _faults(points, others, reasons_shown))
    rows = [
        {"kind": kind, "models": len(models), **told}
        for kind, models in others.items()
        for told in _stability(points, models, reasons_shown, level)
    ]
    return pl.DataFrame(rows, schema={"kind": pl.String, "models": pl.Int64, **_TOLD})


def noisy_features(features: pl.DataFrame, names: Sequence[str], *, noise: float, seed: int) -> pl.DataFrame:
    """Return the features, each with independent `measurement_noise` of size `noise` (0 changes nothing)."""
    generator = np.random.default_rng(seed)
    return features.with_columns(_noisy(features[name], noise, generator) for name in names)


def true_points(
    features: pl.DataFrame,
    background: pl.DataFrame,
    terms: Sequence[Mapping[str, Any]],
    *,
    families: Mapping[str, str],
    codes: Sequence[str],
) -> Floats | None:
    """Return what each family truly adds to the log-odds, compared with the background [applicants, codes].

    A term adds coefficient x (transform(feature) - centre) / scale, 0 where it is missing; less its mean over
    the background. `terms`: feature, transform, centre, scale and coefficient, as a made world's truth.json
    states them; those of features that the study does not have are left out, since no reason can name them.
    `families`: feature -> one of `codes`. None where the study has no feature of any term.
    """
    found = np.zeros((features.height, len(codes)))
    known = [term for term in terms if term["feature"] in families and term["feature"] in features.columns]
    for term in known:
        name = term["feature"]
        added, reference = (_term(frame[name], term) for frame in (features, background))
        found[:, list(codes).index(families[name])] += added - reference.mean()
    return found if known else None


def truth_table(points: Floats, truth: Floats | None, *, reasons_shown: int, level: float) -> pl.DataFrame:
    """Return how near the reasons are to the true drivers of a made world, and how near chance would come.

    Measures: first_is_true (the first reason is among the `reasons_shown` true families that raise the PD
    most; Wilson), named_are_true (mean share of the named families that truly raise it), rank_correlation
    (mean over applicants of Spearman's between points and truth; 1 = the same order, 0 = chance), and
    first_gain and named_gain: the first two less what families drawn at random would give; 0 = no better.
    Normal intervals. Applicants whose families cost nothing at all, or truly add nothing, are left out. No
    rows where the truth is not known (None).

    `points`, `truth`: what each family costs, and truly adds to the log-odds [applicants, families]. Returns
    measure, applicants, value, low, high, level, method.

    Raises:
        DataError: as `stability_table`, or nobody is left.
    """
    if truth is None:
        return pl.DataFrame(schema=_TOLD)
    raise_faults(
        "The reasons cannot be held against the truth", _faults(points, {"true": [truth]}, reasons_shown)
    )
    kept = (points > 0).any(axis=1) & (truth > 0).any(axis=1)
    raise_faults("The reasons cannot be held against the truth", [] if kept.any() else ["nobody has both"])
    points, truth = points[kept], truth[kept]
    named, main, raising = _named(points, reasons_shown), _named(truth, reasons_shown), truth > 0
    first = main[np.arange(len(points)), points.argmax(axis=1)]
    share = (named & raising).sum(axis=1) / named.sum(axis=1)
    orders = [rank_correlation(*pair, level=level).value for pair in zip(points, truth, strict=True)]
    told = {
        "first_is_true": wilson(int(first.sum()), first.size, level=level),
        "first_gain": mean_estimate(first - main.mean(axis=1), level=level),
        "named_are_true": mean_estimate(share, level=level),
        "named_gain": mean_estimate(share - raising.mean(axis=1), level=level),
        "rank_correlation": mean_estimate([order for order in orders if order is not None], level=level),
    }
    rows = [{"measure": name, "applicants": len(points), **vars(told[name])} for name in told]
    return pl.DataFrame(rows, schema=_TOLD)


def _stability(
    points: Floats, models: Sequence[Floats], reasons_shown: int, level: float
) -> list[dict[str, Any]]:
    ours = _named(points, reasons_shown)
    theirs = np.stack([_named(model, reasons_shown) for model in models])
    first = np.stack([_first(model) == _first(points) for model in models])
    longer = np.maximum(ours.sum(axis=1), theirs.sum(axis=2))
    overlap = np.where(longer > 0, (ours & theirs).sum(axis=2) / np.maximum(longer, 1), 1.0)
    told = {
        "same_first": crossed_share(first, level=level),
        "overlap": _crossed_mean(overlap, level=level),
        "same_reasons": crossed_share((ours == theirs).all(axis=2), level=level),
    }
    return [{"measure": name, "applicants": len(points), **vars(told[name])} for name in told]


def _named(points: Floats, reasons_shown: int) -> Bools:
    """Return which families are named [applicants, families]; ties go to the family that stands first."""
    places = np.argsort(np.argsort(-points, axis=1, kind="stable"), axis=1)
    return np.asarray((places < reasons_shown) & (points > 0))


def _first(points: Floats) -> NDArray[np.int64]:
    """Return the place of the first reason [applicants], -1 where nothing costs points."""
    return np.where(points.max(axis=1) > 0, points.argmax(axis=1), -1)


def _crossed_mean(values: Floats, *, level: float) -> Estimate:
    """Return the mean of values in [0, 1] [models, applicants] as `crossed_share` does for yes or no."""
    from scipy.stats import t

    means = [mean for mean in (values.mean(axis=1), values.mean(axis=0)) if mean.size > 1]
    variances = [float(mean.var(ddof=1)) / mean.size for mean in means]
    total, value = sum(variances), float(values.mean())
    if not total:
        return Estimate(value, None, None, level, f"no interval: {CROSSED} finds no variation")
    freedom = total**2 / sum(part**2 / (mean.size - 1) for part, mean in zip(variances, means, strict=True))
    margin = float(t.ppf(0.5 + level / 2, freedom)) * sqrt(total)
    return bounded(Estimate(value, value - margin, value + margin, level, CROSSED), least=0.0, most=1.0)


def _noisy(column: pl.Series, noise: float, generator: np.random.Generator) -> pl.Series:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return pl.Series(column.name, measurement_noise(values, generator)(noise)).fill_nan(None)


def _term(column: pl.Series, term: Mapping[str, Any]) -> Floats:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    moved = TRANSFORMS[term["transform"]](values)
    added: Floats = np.nan_to_num(term["coefficient"] * (moved - term["centre"]) / term["scale"])
    return added


def _faults(points: Floats, others: Mapping[str, Sequence[Floats]], reasons_shown: int) -> list[str]:
    faults = ["there are no applicants"] if not len(points) else []
    faults += [
        f"there are no models of the kind {kind!r}" for kind, models in others.items() if not len(models)
    ]
    faults += ["there are no kinds of models"] if not others else []
    if reasons_shown < 1:
        faults.append(f"{reasons_shown} reasons are shown; at least 1 is needed")
    everyone = [("champion", points), *((kind, model) for kind, models in others.items() for model in models)]
    for kind, model in everyone:
        if model.shape != points.shape:
            faults.append(f"{kind}: points of the shape {model.shape}, not {points.shape}")
        if broken := int(np.sum(~np.isfinite(model))):
            faults.append(f"{kind}: {broken:,} points are missing or infinite")
    return faults
