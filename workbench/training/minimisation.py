"""Data minimisation: how few features carry the model, judged by rows that did not choose them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from workbench.scorer import Floats
from workbench.statistics.ranking import auc, compare_auc
from workbench.statistics.samples import FloatArray, IntArray, raise_faults
from workbench.training.ablation import settings_for
from workbench.training.folds import Folds, boosted_out_of_fold


def minimisation_curve(
    features: Floats,
    default: Floats,
    folds: Folds,
    *,
    names: Sequence[str],
    sizes: Sequence[int],
    settings: Mapping[str, Any],
    rounds: int,
    level: float,
) -> pl.DataFrame:
    """Measure models of the strongest k features against the model of all of them; 0 = nothing is lost.

    In every fold the features are ranked anew, by the gain that they bring in a booster of the fold's fitted
    rows alone, so the rows that judge have no part in the choice. The settings stay the champion's, with the
    constraints of the features that stay (`settings_for`).

    `features` [applicants, features], `default` 0 or 1 [applicants]; of `sizes` those of at least all
    features are left out. Returns, fewest first and all features last: features (k), auc, low, high (DeLong
    on log-odds), difference (AUC minus that of all features), difference_low, difference_high, level, method
    (of the difference; none for the last row). Intervals hold for the models as they were trained. Time:
    folds x (1 + sizes) trainings.

    Raises:
        DataError: a size below 1, or names that do not fit the features.
    """
    raise_faults("The features cannot be minimised", _faults(features, names, min(sizes, default=1)))
    smaller = sorted({size for size in sizes if size < len(names)})
    full, fewer = np.full(default.size, np.nan), {size: np.full(default.size, np.nan) for size in smaller}
    for fitted, judged in folds.pairs:
        booster, full[judged] = _fitted(features, default, fitted, judged, settings, rounds)
        order, fold = _by_gain(booster, len(names))[0], Folds(((fitted, judged),))
        for size, prob in fewer.items():
            kept = np.sort(order[:size])
            chosen = settings_for(settings, [names[at] for at in kept], names=names)
            found = boosted_out_of_fold(features[:, kept], default, fold, settings=chosen, rounds=rounds)
            prob[judged] = found[judged]
    bad, judged = default[folds.judged], folds.judged
    rows = [_row(size, bad, full[judged], prob[judged], level) for size, prob in fewer.items()]
    whole = _row(len(names), bad, full[judged], full[judged], level)
    last = whole | {"method": "none: the model that the others are compared with"}
    return pl.DataFrame([*rows, last], schema=_COLUMNS)


def smallest_sufficient(curve: pl.DataFrame, *, tolerance: float) -> int:
    """Return the fewest features whose loss of AUC is shown to stay within `tolerance`.

    The low end of the difference lies above -tolerance: non-inferiority, so a small sample asks for more
    features. All features, where no smaller number shows it.
    """
    shown = curve.filter(pl.col("difference_low") > -tolerance)["features"]
    most = curve["features"].max()
    return int(shown.min() if shown.len() else most)  # type: ignore[arg-type]


def surviving_features(
    features: Floats,
    default: Floats,
    folds: Folds,
    *,
    names: Sequence[str],
    keep: int,
    settings: Mapping[str, Any],
    rounds: int,
) -> pl.DataFrame:
    """Rank the features on the whole development sample and say which `keep` stay, strongest first.

    Returns rank (1 = strongest), feature, gain_share (its share of the gain of all splits; 0 = never split
    on), kept, folds_kept (share of the folds in which it is among the strongest `keep` as well; 1 = the
    choice does not depend on the rows). A description of one booster, without an interval. Time: 1 + folds
    trainings. Raises DataError as `minimisation_curve`.
    """
    raise_faults("The features cannot be ranked", _faults(features, names, keep))
    everyone = np.arange(default.size)
    booster, _ = _fitted(features, default, everyone, everyone[:1], settings, rounds)
    order, gain = _by_gain(booster, len(names))
    times = np.zeros(len(names))
    for fitted, judged in folds.pairs:
        in_fold, _ = _fitted(features, default, fitted, judged[:1], settings, rounds)
        times[_by_gain(in_fold, len(names))[0][:keep]] += 1
    return pl.DataFrame(
        {
            "rank": np.arange(1, len(names) + 1),
            "feature": [names[at] for at in order],
            "gain_share": gain[order] / max(gain.sum(), np.finfo(float).tiny),
            "kept": np.arange(len(names)) < keep,
            "folds_kept": times[order] / len(folds.pairs),
        }
    )


def _fitted(
    features: Floats,
    default: Floats,
    fitted: IntArray,
    judged: IntArray,
    settings: Mapping[str, Any],
    rounds: int,
) -> tuple[Any, Floats]:
    """Return the booster of the fitted rows and its PDs of the judged ones."""
    from xgboost import QuantileDMatrix, train

    matrix = QuantileDMatrix(features[fitted], default[fitted])
    booster = train(dict(settings), matrix, num_boost_round=rounds)
    prob: Floats = booster.predict(QuantileDMatrix(features[judged], ref=matrix)).astype(np.float64)
    return booster, prob


def _by_gain(booster: Any, features: int) -> tuple[IntArray, FloatArray]:
    """Return the features' positions, strongest first and ties as they stand, and their total gain."""
    gain = np.zeros(features)
    for name, value in booster.get_score(importance_type="total_gain").items():
        gain[int(name.removeprefix("f"))] = value
    return np.argsort(-gain, kind="stable"), gain


def _row(size: int, bad: FloatArray, full: Floats, prob: Floats, level: float) -> dict[str, Any]:
    area, gap = auc(bad, prob, level=level), compare_auc(bad, full, prob, level=level).difference
    return {
        "features": size,
        **{"auc": area.value, "low": area.low, "high": area.high},
        **{"difference": gap.value, "difference_low": gap.low, "difference_high": gap.high},
        **{"level": level, "method": gap.method},
    }


def _faults(features: Floats, names: Sequence[str], least: int) -> list[str]:
    small = [f"a number of features is {least}; it is at least 1"] if least < 1 else []
    width = features.shape[1]
    return small + ([f"{len(names)} names for {width} features"] if len(names) != width else [])


_ENDS = ("auc", "low", "high", "difference", "difference_low", "difference_high", "level")
_COLUMNS = {"features": pl.Int64, **dict.fromkeys(_ENDS, pl.Float64), "method": pl.String}
