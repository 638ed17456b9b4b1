"""How steady importance is: over seeds and resamples of the same model, and from month to month."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from workbench.explanation.importance import checked_sizes, ranks_of, shares_of
from workbench.scorer import Floats
from workbench.statistics.estimate import bounded
from workbench.statistics.means import student_mean
from workbench.statistics.samples import raise_faults

MEASURES = ("rank_correlation", "kendall_correlation", "top_overlap")


def model_importance(values: Floats, names: Sequence[str], *, kind: str, model: str) -> pl.DataFrame:
    """Return what one model rests on, so that many can be put below each other: 60 rows stand for all SHAP.

    importance = mean |SHAP value|; share = of the sum; rank 1 = the most important. share_error = standard
    error of the share over applicants (a ratio of means, linearised); the model is taken as given.

    `values`: SHAP values [applicants, features]; `kind`: "champion", "seed", "resample" or another; `model`:
    its name. Returns kind, model, feature, importance, share, share_error, rank, applicants.

    Raises:
        DataError: no applicants, names that do not fit, values that are missing or infinite, all values 0.
    """
    size = checked_sizes(values, names)
    mean, total = size.mean(axis=0), size.sum(axis=1)
    still = [f"all values of {kind} {model} are 0"] if not total.any() else []
    raise_faults("The importance cannot be compared", still)
    share = shares_of(mean)
    error = (size - np.outer(total, share)).std(axis=0) / mean.sum() / np.sqrt(len(size))
    return pl.DataFrame(
        {
            "kind": [kind] * len(names),
            "model": [model] * len(names),
            "feature": list(names),
            "importance": mean,
            "share": share,
            "share_error": error,
            "rank": ranks_of(mean),
            "applicants": [len(size)] * len(names),
        }
    )


def monthly_importance(
    values: Floats, names: Sequence[str], months: pl.Series, *, least: int, kind: str = "month"
) -> pl.DataFrame:
    """Return what the model rests on in each month's applicants, in the columns of `model_importance`.

    `months`: month of application [applicants], a column of text or dates; months of fewer than `least`
    applicants are left out. Raises DataError as `model_importance`, or for other applicants in `months`.
    """
    checked_sizes(values, names)
    other = f"{months.len():,} months for {len(values):,} applicants"
    raise_faults("The importance cannot be compared", [other] if months.len() != len(values) else [])
    text = months.cast(pl.String)
    counts = text.drop_nulls().value_counts().filter(pl.col("count") >= least)
    found = [
        model_importance(values[(text == month).fill_null(False).to_numpy()], names, kind=kind, model=month)
        for month in sorted(counts[text.name])
    ]
    empty = model_importance(np.ones((1, len(names))), names, kind=kind, model="").clear()
    return pl.concat([empty, *found])


def importance_spread(champion: pl.DataFrame, others: pl.DataFrame) -> pl.DataFrame:
    """Return how far each feature's share and rank spread over the models of each kind.

    share_min to share_max is the range over `models`, share_sd and rank_sd their standard deviations (null
    for one model); 0 = steady. share_noise = root mean square of share_error: the sd that the choice of
    applicants alone would give models that differ in nothing else and have different applicants, as months
    have. Compare with it for months only; seeds on the same applicants share that noise.

    `champion`, `others`: of `model_importance`, one and many models. Returns, by the champion's rank: kind,
    feature, share and rank (the champion's), models, share_mean, share_min, share_max, share_sd, share_noise,
    rank_min, rank_max, rank_sd, method.

    Raises:
        DataError: more than one champion, no models, other features or a model twice.
    """
    raise_faults("The importance cannot be compared", _faults(champion, others))
    share, rank, models = pl.col("share"), pl.col("rank"), pl.len().cast(pl.Int64)
    spread = others.group_by("kind", "feature", maintain_order=True).agg(
        models.alias("models"),
        share.mean().alias("share_mean"),
        share.min().alias("share_min"),
        share.max().alias("share_max"),
        share.std().alias("share_sd"),
        (pl.col("share_error") ** 2).mean().sqrt().alias("share_noise"),
        rank.min().alias("rank_min"),
        rank.max().alias("rank_max"),
        rank.cast(pl.Float64).std().alias("rank_sd"),
        pl.format("range over {} models", pl.len()).alias("method"),
    )
    own = champion.select("feature", "share", "rank")
    order = {kind: at for at, kind in enumerate(others["kind"].unique(maintain_order=True))}
    joined = spread.join(own, on="feature").sort(
        pl.col("kind").replace_strict(order, return_dtype=pl.Int64), "rank", "feature"
    )
    front = ("kind", "feature", "share", "rank")
    return joined.select(*front, pl.exclude(front))


def model_agreement(champion: pl.DataFrame, others: pl.DataFrame, *, top: int = 10) -> pl.DataFrame:
    """Return how far each model agrees with the champion on what matters.

    rank_correlation: Spearman's, kendall_correlation: Kendall's tau-b, of the shares of the features that
    either uses; 1 = the same order, 0 = unrelated; null where all shares are equal. top_overlap = share of
    the champion's `top` features that are among the model's `top`, of those used, ties by name. Counted in
    one model each; intervals over models are those of `agreement_summary`.

    Returns kind, model, applicants, rank_correlation, kendall_correlation, top_overlap. Raises DataError as
    `importance_spread`, or for a `top` below 1.

    Reference: Kendall (1945), Biometrika 33: 239-251.
    """
    few = [f"top is {top}; at least 1 is needed"] if top < 1 else []
    raise_faults("The importance cannot be compared", [*_faults(champion, others), *few])
    own = champion.select("feature", share_own="share")
    best = _first(champion, top)
    rows = []
    for (kind, model), part in others.group_by("kind", "model", maintain_order=True):
        both = own.join(part, on="feature", maintain_order="left")
        both = both.filter((pl.col("share") > 0) | (pl.col("share_own") > 0))
        shares = both["share_own"].to_numpy(), both["share"].to_numpy()
        found = len(best & _first(part, top)) / len(best)
        rows.append((kind, model, part["applicants"][0], *_correlations(*shares), found))
    schema = {"kind": pl.String, "model": pl.String, "applicants": pl.Int64}
    return pl.DataFrame(rows, schema=schema | dict.fromkeys(MEASURES, pl.Float64), orient="row")


def agreement_summary(agreement: pl.DataFrame, *, level: float) -> pl.DataFrame:
    """Return the mean agreement over the models of each kind with its interval on Student's t, and the least.

    `agreement`: of `model_agreement`. Returns kind, measure, models, value, low, high, least (the smallest),
    level, method; the interval is cut at 1. Resamples overlap, so that they differ less than new samples.
    """
    rows = []
    for (kind,), part in agreement.group_by("kind", maintain_order=True):
        for measure in MEASURES:
            known = part[measure].drop_nulls()
            mean = bounded(student_mean(known, level=level), least=-1.0, most=1.0)
            rows.append(
                {"kind": kind, "measure": measure, "models": known.len(), "least": known.min(), **vars(mean)}
            )
    return pl.DataFrame(rows, schema=_SUMMARY)


def _first(part: pl.DataFrame, top: int) -> set[str]:
    used = part.filter(pl.col("share") > 0)
    return set(used.sort("share", "feature", descending=[True, False])["feature"].head(top))


def _correlations(own: Floats, other: Floats) -> tuple[float | None, float | None]:
    from scipy.stats import kendalltau, spearmanr

    if not (np.ptp(own) > 0 and np.ptp(other) > 0):
        return None, None
    return float(spearmanr(own, other).statistic), float(kendalltau(own, other).statistic)


def _faults(champion: pl.DataFrame, others: pl.DataFrame) -> Iterator[str]:
    if champion.select("kind", "model").n_unique() != 1:
        yield f"{champion.select('kind', 'model').n_unique()} champions; 1 is needed"
    if not others.height:
        yield "there are no models to compare with"
    own = set(champion["feature"])
    for (kind, model), part in others.group_by("kind", "model", maintain_order=True):
        if part["feature"].n_unique() < part.height:
            yield f"{kind} {model} is there more than once"
        if (different := len(own ^ set(part["feature"]))) > 0:
            yield f"{kind} {model} differs from the champion in {different} features"


_SUMMARY = {
    **{"kind": pl.String, "measure": pl.String, "models": pl.Int64},
    **dict.fromkeys(("value", "low", "high", "least", "level"), pl.Float64),
    "method": pl.String,
}
