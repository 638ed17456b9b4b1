"""Reason codes: which families of features cost an applicant most, by a method that the study names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError
from workbench.scorer import Floats, Scorer

Method = Literal["near_cutoff", "all_applicants", "best_value"]
ScoreOf = Callable[[pl.DataFrame], Floats]
LEAST_BACKGROUND = 20
INQUIRIES = 22  # "number of recent inquiries" of Regulation B, Appendix C
DECILES = np.linspace(0.1, 0.9, 9)


@dataclass(frozen=True)
class Losses:
    """The score points that each family costs each applicant: above 0 it lowers the score.

    `points` [applicants, codes]; `costliest` [applicants, codes] is the place in `features` of the family's
    feature that costs most, from which the reason's text is filled.
    """

    codes: tuple[str, ...]
    features: tuple[str, ...]
    points: Floats
    costliest: NDArray[np.int16]


def near_cutoff(
    scores: pl.DataFrame, *, cutoff: float, score_range: float, size: int, seed: int
) -> pl.Series:
    """Return the ids of a seeded draw of applicants approved at most `score_range` points above the cutoff.

    Raises DataError when fewer than 20 applicants are there.
    """
    near = scores.filter(pl.col("score").is_between(cutoff, cutoff + score_range))["applicant_id"].sort()
    if near.len() < LEAST_BACKGROUND:
        raise DataError(
            f"{near.len()} approved applicants within {score_range:g} points of the cutoff; "
            f"{LEAST_BACKGROUND} are needed",
            ["raise explanation.background_score_range, or choose a training.cutoff within the scores"],
        )
    return near.sample(min(size, near.len()), seed=seed).sort()


def all_applicants(scores: pl.DataFrame, *, size: int, seed: int) -> pl.Series:
    """Return the ids of a seeded draw of everybody; raises DataError when there are fewer than 20."""
    everyone = scores["applicant_id"].sort()
    if everyone.len() < LEAST_BACKGROUND:
        raise DataError(f"{everyone.len()} applicants to compare with; {LEAST_BACKGROUND} are needed")
    return everyone.sample(min(size, everyone.len()), seed=seed).sort()


def losses_of_values(
    values: Floats,
    *,
    families: Mapping[str, str],
    names: Sequence[str],
    points_per_log_odds: float | Floats,
) -> Losses:
    """Return what each family costs against the background of SHAP values: the sum over its features.

    points = points_per_log_odds x SHAP value [applicants, features]. Methods `near_cutoff` (values against
    those approved near the cutoff) and `all_applicants` (against everybody). `points_per_log_odds` is one
    number, or one for each applicant (`points_per_value`). Raises DataError for features without a family.
    """
    members = _members(families, names)
    points = np.empty((len(values), len(members)))
    costliest = np.empty(points.shape, dtype=np.int16)
    for at, columns in enumerate(members.values()):
        lost = points_per_log_odds * values[:, columns]
        points[:, at] = lost.sum(axis=1)
        costliest[:, at] = np.array(columns, dtype=np.int16)[lost.argmax(axis=1)]
    return Losses(tuple(members), tuple(names), points, costliest)


def losses_to_best(
    score_of: ScoreOf,
    features: pl.DataFrame,
    best: Mapping[str, float | None],
    *,
    families: Mapping[str, str],
    names: Sequence[str],
) -> Losses:
    """Return what each family costs against its best attainable values (`best_values`): method `best_value`.

    points = score with the family's features at their best values - the applicant's own score. The feature
    that costs most is the one that gains most when it alone is set. `score_of` gives score points.
    Raises DataError for features without a family. Source: the distance from the best points of a scorecard
    (Siddiqi 2006), of a family.
    """
    members = _members(families, names)
    own = score_of(features)
    points = np.empty((features.height, len(members)))
    costliest = np.empty(points.shape, dtype=np.int16)
    for at, columns in enumerate(members.values()):
        chosen = [names[column] for column in columns]
        points[:, at] = score_of(_set(features, best, chosen)) - own
        alone = [score_of(_set(features, best, [name])) for name in chosen] if len(chosen) > 1 else [own]
        costliest[:, at] = np.array(columns, dtype=np.int16)[np.argmax(alone, axis=0)]
    return Losses(tuple(members), tuple(names), points, costliest)


def best_values(
    score_of: ScoreOf, approved: pl.DataFrame, names: Sequence[str], *, size: int, seed: int
) -> dict[str, float | None]:
    """Return the value of each feature that the model scores best, of those that approved applicants have.

    Candidates are the deciles among the approved, and missing (None) where at least a tenth of them have
    none. Each is given to a seeded draw of `size` approved applicants; the one with the highest mean score
    is the best, the first of equals. Raises DataError when fewer than 20 are approved.
    """
    if approved.height < LEAST_BACKGROUND:
        raise DataError(f"{approved.height} approved applicants; {LEAST_BACKGROUND} are needed")
    drawn = approved.sort("applicant_id").sample(min(size, approved.height), seed=seed)
    best = {}
    for name in names:
        candidates = _candidates(approved[name])
        tried = pl.concat([_set(drawn, {name: value}, [name]) for value in candidates])
        means = score_of(tried).reshape(len(candidates), drawn.height).mean(axis=1)
        best[name] = candidates[int(np.argmax(means))]
    return best


def rank_reasons(losses: Losses, applicant_id: pl.Series, *, reasons_shown: int) -> pl.DataFrame:
    """Return the principal reasons of each applicant, the costliest first.

    Columns: applicant_id, rank (from 1), reason_code, feature (that cost most), points_lost, kind "model".
    Families stand in for their features, so that the same thing is not said twice; only those that lower the
    score are reasons, at most `reasons_shown`. Of equals the first by name comes first.
    """
    order = np.argsort(-losses.points, axis=1, kind="stable")[:, :reasons_shown]
    count, shown = order.shape
    costliest = np.take_along_axis(losses.costliest, order, axis=1).ravel()
    at = pl.Series(np.repeat(np.arange(count), shown), dtype=pl.UInt32)
    table = pl.DataFrame(
        {
            "applicant_id": applicant_id.gather(at),
            "rank": np.tile(np.arange(1, shown + 1), count),
            "reason_code": pl.Series(losses.codes, dtype=pl.String).gather(order.ravel()),
            "feature": pl.Series(losses.features, dtype=pl.String).gather(costliest),
            "points_lost": np.take_along_axis(losses.points, order, axis=1).ravel(),
            "kind": pl.repeat("model", count * shown, dtype=pl.String, eager=True),
        }
    )
    return table.filter(pl.col("points_lost") > 0)


def reason_codes(
    values: Floats,
    applicant_id: pl.Series,
    *,
    families: Mapping[str, str],
    names: Sequence[str],
    points_per_log_odds: float | Floats,
    reasons_shown: int,
) -> pl.DataFrame:
    """Return the principal reasons by SHAP values: `losses_of_values`, then `rank_reasons`."""
    losses = losses_of_values(values, families=families, names=names, points_per_log_odds=points_per_log_odds)
    return rank_reasons(losses, applicant_id, reasons_shown=reasons_shown)


def key_factors(
    losses: Losses,
    applicant_id: pl.Series,
    *,
    bureau: Sequence[str],
    inquiries: Sequence[str] = (),
    shown: int = 4,
) -> pl.DataFrame:
    """Return the key factors of the bureau's data, columns as `rank_reasons`: a list apart from the reasons.

    Only the families `bureau`, at most `shown`, and one of `inquiries` beside them where it cost points and
    is not among them. Source: Fair Credit Reporting Act 609(f)(1)(C) and (9).
    """
    kept = [at for at, code in enumerate(losses.codes) if code in bureau]
    codes = tuple(losses.codes[at] for at in kept)
    own = Losses(codes, losses.features, losses.points[:, kept], losses.costliest[:, kept])
    ranked = rank_reasons(own, applicant_id, reasons_shown=max(len(kept), 1))
    fifth = pl.col("reason_code").is_in(list(inquiries))
    beyond = (pl.col("rank") > shown) & fifth & (fifth.cum_sum().over("applicant_id") == 1)
    found = ranked.filter((pl.col("rank") <= shown) | beyond)
    return found.with_columns(rank=pl.col("rank").clip(upper_bound=shown + 1))


def bureau_codes(codes: pl.DataFrame) -> dict[str, list[str]]:
    """Return which codes are a bureau's key factors, and which of them its inquiries, for `key_factors`.

    `codes` has reason_code, list and sample (of Regulation B, Appendix C; 22: recent inquiries).
    """
    bureau = codes.filter(pl.col("list") == "bureau")
    inquiries = bureau.filter(pl.col("sample") == INQUIRIES)
    return {"bureau": bureau["reason_code"].to_list(), "inquiries": inquiries["reason_code"].to_list()}


def points_per_value(scorer: Scorer, features: pl.DataFrame, values: Floats) -> float | Floats:
    """Return the points that one of SHAP value costs: a number, or one for each applicant [applicants, 1].

    points = factor x secant of the calibration between the applicant's margin and what the values are
    measured from (margin - their sum), so that values times points add up to the difference in score. It is
    one number where the calibration is a line. `values` [applicants, features] are those of `features`.
    """
    calibration, factor = scorer.calibration, scorer.scale.factor
    if calibration.is_line:
        return factor * calibration.slope
    margin = scorer.margin(features)
    each: Floats = factor * calibration.secant(margin, margin - values.sum(axis=1))
    return each[:, np.newaxis]


def _members(families: Mapping[str, str], names: Sequence[str]) -> dict[str, list[int]]:
    """Return the places of each family's features, families by name."""
    missing = [name for name in names if name not in families]
    if missing:
        raise DataError("features without a reason", missing)
    codes = sorted({families[name] for name in names})
    return {code: [at for at, name in enumerate(names) if families[name] == code] for code in codes}


def _set(features: pl.DataFrame, best: Mapping[str, float | None], names: Sequence[str]) -> pl.DataFrame:
    return features.with_columns(pl.lit(best[name], pl.Float64).alias(name) for name in names)


def _candidates(column: pl.Series) -> list[Any]:
    known = column.cast(pl.Float64).fill_nan(None).drop_nulls()
    values = known.to_numpy() if known.len() else np.empty(0)
    deciles = np.unique(np.quantile(values, DECILES, method="inverted_cdf")).tolist() if values.size else []
    return [*deciles, None] if known.len() <= 0.9 * column.len() else deciles
