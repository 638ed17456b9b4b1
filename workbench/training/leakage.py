"""Leakage: what the model could not have learnt honestly, looked for from four sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats, model_matrix
from workbench.statistics.estimate import Estimate, bounded, normal_estimate, normal_quantile
from workbench.statistics.proportions import WILSON, wilson_bounds
from workbench.statistics.ranking import DELONG, auc, compare_auc
from workbench.statistics.samples import FloatArray, raise_faults
from workbench.training.boosting import booster_settings
from workbench.training.folds import Folds, boosted_out_of_fold

NEUTRAL = 0.5
MEMORY = {"max_depth": 4, "learning_rate": 0.1}
MEMORY_ROUNDS = 50


def permuted_target(
    features: Floats,
    default: Floats,
    folds: Folds,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    permutations: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Train on the outcomes and on permutations of them; judged by a permuted outcome, 0.5 is all there is.

    A mean AUC of the permuted ones above 0.5 says that the judged rows reach the fitting. `p_value` is the
    chance that a world without any relation ranks as well as the real one: (r + 1) / (permutations + 1) with
    r permutations that do, exact, and never below 1 / (permutations + 1).

    AUCs are within the judged rows of a fold, averaged over folds. Pooled, a permuted AUC would fall below
    0.5, since the rows fitted on hold fewer defaults where the judged ones hold more. Returns permutation
    (0 = the real outcomes), auc, low, high (DeLong, cautious), p_value (of permutation 0), level, method.
    Time: folds x (1 + permutations) trainings.

    Raises:
        DataError: no permutation.

    Reference: Ojala and Garriga (2010), JMLR 11: 1833-1863; Phipson and Smyth (2010), Statistical
    Applications in Genetics and Molecular Biology 9(1), article 39.
    """
    few = [f"permutations is {permutations}; at least 1 is needed"] if permutations < 1 else []
    raise_faults("The outcome cannot be permuted", few)
    generator = np.random.default_rng(seed)
    outcomes = [default, *(generator.permutation(default) for _ in range(permutations))]
    predicted = _refitted(features, outcomes, folds, settings, rounds)
    found = [
        _within_folds(outcome, prob, folds, level) for outcome, prob in zip(outcomes, predicted, strict=True)
    ]
    areas = np.array([estimate.value for estimate in found])
    p_value = float((1 + (areas[1:] >= areas[0]).sum()) / (1 + permutations))
    rows = [
        {"permutation": number, "p_value": None if number else p_value, **_interval(estimate)}
        for number, estimate in enumerate(found)
    ]
    return pl.DataFrame(rows, schema={"permutation": pl.Int64, **_AREA, "p_value": pl.Float64, **_LEVEL})


def future_features(
    frame: pl.DataFrame, *, names: Sequence[str], suspicious_auc: float, level: float
) -> pl.DataFrame:
    """Rank by each feature alone: one that nearly decides the outcome probably comes from after it.

    `frame` has default and `names`. `auc` is that of the feature's known values as they stand: above 0.5 =
    the higher the riskier, below = the safer, 0.5 = tells nothing. `missing_auc` is that of the flag
    "value is missing", for what the outcome fills in. `strength` is 0.5 and the larger distance of the two
    from 0.5; `suspicious` where it is above the line. A relation that rises and falls again is not seen here.

    Returns, strongest first: feature, known (applicants), auc, low, high (DeLong on log-odds), missing_auc,
    strength, line (`suspicious_auc`), suspicious, level, method; auc null where the known values have one
    outcome or there are none.

    Raises:
        DataError: as `auc`.
    """
    default = frame["default"].to_numpy().astype(float)
    matrix = model_matrix(frame, list(names))
    rows = [
        {"feature": name, "line": suspicious_auc, **_single(default, matrix[:, at], level)}
        for at, name in enumerate(names)
    ]
    gaps = [(pl.col(name).fill_null(NEUTRAL) - NEUTRAL).abs() for name in ("auc", "missing_auc")]
    table = pl.DataFrame(rows, schema=_SINGLE).with_columns(strength=NEUTRAL + pl.max_horizontal(gaps))
    judged = table.with_columns(suspicious=pl.col("strength") > pl.col("line"))
    order = ["feature", "known", *_AREA, "missing_auc", "strength", "line", "suspicious", *_LEVEL]
    return judged.sort("strength", descending=True, maintain_order=True).select(order)


def identifier_memorisation(
    applicant_id: pl.Series, default: Floats, folds: Folds, *, level: float, seed: int
) -> pl.DataFrame:
    """Predict the outcome out of fold from the identifier, and from the row's place; 0.5 = they tell nothing.

    From the identifier come its digits as a number, its length and its rank in alphabetical order read from
    the front, from its first four characters and from the back. A booster of 50 rounds and depth 4 looks for
    any pattern. An interval above 0.5 says that identifiers or the order of the rows carry the outcome or,
    where identifiers are given out in time, that the default rate moves with time. AUC within folds.

    Returns read_from (identifier, row_order), auc, low, high (DeLong, cautious), level, method.
    """
    settings = booster_settings((), seed=seed) | MEMORY
    sources = {
        "identifier": _traces(applicant_id.cast(pl.String)),
        "row_order": np.arange(default.size, dtype=np.float64)[:, None],
    }
    rows = []
    for source, matrix in sources.items():
        prob = boosted_out_of_fold(matrix, default, folds, settings=settings, rounds=MEMORY_ROUNDS)
        rows.append({"read_from": source, **_interval(_within_folds(default, prob, folds, level))})
    return pl.DataFrame(rows, schema={"read_from": pl.String, **_AREA, **_LEVEL})


def duplicated_rows(frame: pl.DataFrame, *, names: Sequence[str], level: float) -> pl.DataFrame:
    """Count applicants whose values of all features occur in another sample as well; none are expected.

    `frame` has sample, default and `names`. Applicants of whom no feature is known are alike without being
    the same; they are counted apart. Returns one row per sample: sample, applicants, nothing_known,
    duplicated (of the others), concordant (another sample has them with the same outcome: a model can repeat
    it by heart), discordant (only with the other outcome), share (duplicated of those of whom something is
    known), low, high (Wilson), level, method.
    """
    rows = frame.select("sample", "default", pl.col(names).cast(pl.Float64).fill_nan(None))
    elsewhere = pl.len().over(names) - pl.len().over("sample", *names)
    alike = pl.len().over("default", *names) - pl.len().over("default", "sample", *names)
    known = pl.any_horizontal(pl.col(names).is_not_null())
    told = rows.select("sample", known=known, twice=known & (elsewhere > 0), same=known & (alike > 0))
    counts = {
        "applicants": pl.len(),
        "nothing_known": (~pl.col("known")).sum(),
        "duplicated": pl.col("twice").sum(),
        "concordant": pl.col("same").sum(),
        "discordant": (pl.col("twice") & ~pl.col("same")).sum(),
    }
    counted = told.group_by("sample").agg(**{name: count.cast(pl.Int64) for name, count in counts.items()})
    return _with_share(counted.sort("sample"), level)


def _refitted(
    features: Floats, outcomes: Sequence[Floats], folds: Folds, settings: Mapping[str, Any], rounds: int
) -> list[Floats]:
    """Return the out-of-fold PDs for each of the outcomes; the features of a fold are binned once."""
    from xgboost import QuantileDMatrix, train

    predicted = [np.full(outcome.size, np.nan) for outcome in outcomes]
    for fitted, judged in folds.pairs:
        matrix = QuantileDMatrix(features[fitted], outcomes[0][fitted])
        rows = QuantileDMatrix(features[judged], ref=matrix)
        for outcome, prob in zip(outcomes, predicted, strict=True):
            matrix.set_label(outcome[fitted])
            prob[judged] = train(dict(settings), matrix, num_boost_round=rounds).predict(rows)
    return predicted


def _within_folds(default: Floats, prob: Floats, folds: Folds, level: float) -> Estimate:
    """Return the mean over folds of the AUC within a fold's judged rows.

    Folds share rows that they were fitted on, so their AUCs move together, by how much cannot be estimated
    (Bengio and Grandvalet, 2004, JMLR 5: 1089-1105). The standard error of a mean is at most the mean of the
    standard errors, whatever the correlation: that one is taken, and the interval is cautious.
    """
    gaps = [
        compare_auc(default[judged], np.full(judged.size, NEUTRAL), prob[judged], level=level).difference
        for _, judged in folds.pairs
    ]
    margins = [0.0 if gap.low is None or gap.high is None else (gap.high - gap.low) / 2 for gap in gaps]
    value = NEUTRAL + float(np.mean([gap.value for gap in gaps]))
    error = float(np.mean(margins)) / normal_quantile(level)
    found = normal_estimate(value, error, level=level, method=f"{DELONG} within folds, cautious")
    return bounded(found, least=0, most=1)


def _single(default: Floats, values: FloatArray, level: float) -> dict[str, Any]:
    missing = np.isnan(values)
    flagged = auc(default, missing.astype(float), level=level).value
    bad, known = default[~missing], values[~missing]
    if 0 < bad.sum() < bad.size:
        place = np.unique(known, return_inverse=True)[1]
        found = _interval(auc(bad, place / max(place.max(), 1), level=level))
    else:
        found = {"level": level, "method": "undefined: the known values are of one outcome"}
    return {"known": known.size, "missing_auc": flagged, **found}


def _traces(applicant_id: pl.Series) -> Floats:
    text = pl.col("id")
    ranked = (text, text.str.head(4), text.str.reverse())
    table = pl.DataFrame({"id": applicant_id}).select(
        digits=text.str.replace_all(r"\D", "").cast(pl.Float64, strict=False),
        length=text.str.len_chars().cast(pl.Float64),
        **{f"rank_{at}": part.rank("dense").cast(pl.Float64) for at, part in enumerate(ranked)},
    )
    return model_matrix(table, table.columns)


def _with_share(counted: pl.DataFrame, level: float) -> pl.DataFrame:
    judged = counted["applicants"] - counted["nothing_known"]
    low, high = wilson_bounds(counted["duplicated"], judged, level=level)
    ends = {"share": counted["duplicated"] / judged, "low": pl.Series(low), "high": pl.Series(high)}
    shares = {name: values.fill_nan(None) for name, values in ends.items()}
    return counted.with_columns(**shares, level=pl.lit(level), method=pl.lit(WILSON))


def _interval(found: Estimate) -> dict[str, Any]:
    return {
        **{"auc": found.value, "low": found.low, "high": found.high},
        **{"level": found.level, "method": found.method},
    }


_LEVEL = {"level": pl.Float64, "method": pl.String}
_AREA = dict.fromkeys(("auc", "low", "high"), pl.Float64)
_SINGLE = {
    **{"feature": pl.String, "known": pl.Int64, **_AREA},
    **{"missing_auc": pl.Float64, "line": pl.Float64, **_LEVEL},
}
