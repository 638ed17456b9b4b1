"""The benchmark: a weight-of-evidence scorecard with points, by optbinning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import DataError
from workbench.scorer import Floats, ScoreScale

_TREND = {1: "ascending", -1: "descending", 0: "auto"}


@dataclass(frozen=True)
class ScorecardModel:
    """A fitted scorecard: its points table, the characteristics in it and those left out with the reason."""

    points: pl.DataFrame
    kept: tuple[str, ...]
    left_out: pl.DataFrame
    _model: Any

    def prob_default(self, features: pl.DataFrame) -> Floats:
        """Return the scorecard's PD, one per row."""
        frame = _pandas(features, self.kept)
        prob: Floats = np.asarray(self._model.predict_proba(frame)[:, 1], dtype=float)
        return prob


def fit_scorecard(
    features: pl.DataFrame,
    default: Floats,
    *,
    names: Sequence[str],
    monotone: Sequence[int],
    max_bins: int,
    min_information_value: float,
    scale: ScoreScale,
    seed: int,
) -> ScorecardModel:
    """Fit monotone bins, weights of evidence and a logistic regression on the development sample.

    Weight of evidence is ln(goods share / bads share), so every coefficient of the log-odds of default must
    be negative; a characteristic whose coefficient is not is left out, the worst one first. Points add up
    to `scale`'s score. Raises DataError when no characteristic is left.
    """
    trends = {name: _TREND[direction] for name, direction in zip(names, monotone, strict=True)}
    frame = _pandas(features, names)
    binning = _binning(trends, max_bins)
    weights, weak = _weights_of_evidence(frame, default, binning, min_information_value)
    kept, crossed = _with_negative_coefficients(weights, default, seed)
    if not kept:
        raise DataError(
            "no characteristic is strong enough for a scorecard",
            [f"training.scorecard_min_information_value is {min_information_value:g}; lower it"],
        )
    found = {name: binning.get_binned_variable(name).splits for name in kept}
    model = _scorecard(frame[kept], default, {name: trends[name] for name in kept}, found, scale, seed)
    left_out = [{"characteristic": name, "reason": "information value below the line"} for name in weak]
    left_out += [{"characteristic": name, "reason": "coefficient of the wrong sign"} for name in crossed]
    schema = {"characteristic": pl.String, "reason": pl.String}
    return ScorecardModel(_points_table(model), tuple(kept), pl.DataFrame(left_out, schema=schema), model)


def _weights_of_evidence(frame: Any, default: Floats, process: Any, least: float) -> tuple[Any, list[str]]:
    weights = process.fit_transform(frame, default, metric="woe", metric_missing="empirical")
    strengths = process.summary().set_index("name")["iv"].astype(float)
    weak = [name for name in frame.columns if strengths[name] < least]
    return weights.drop(columns=weak), weak


def _with_negative_coefficients(weights: Any, default: Floats, seed: int) -> tuple[list[str], list[str]]:
    kept, crossed = list(weights.columns), []
    while kept:
        coefficients = _logistic(seed).fit(weights[kept], default).coef_[0]
        worst = int(np.argmax(coefficients))
        if coefficients[worst] < 0:
            break
        crossed.append(kept.pop(worst))
    return kept, crossed


def _scorecard(
    frame: Any, default: Floats, trends: dict[str, str], splits: dict[str, Any], scale: ScoreScale, seed: int
) -> Any:
    """Fit the points on bins that are known: the search for them is the slow part."""
    from optbinning import Scorecard

    model = Scorecard(
        binning_process=_binning(trends, max(len(edges) for edges in splits.values()) + 1, splits),
        estimator=_logistic(seed),
        scaling_method="pdo_odds",
        scaling_method_params={
            "pdo": scale.points_to_double_odds,
            "odds": scale.reference_odds,
            "scorecard_points": scale.reference_score,
        },
    )
    return model.fit(frame, default, metric_missing="empirical")


def _binning(trends: dict[str, str], max_bins: int, splits: Mapping[str, Any] | None = None) -> Any:
    from optbinning import BinningProcess

    settings: dict[str, dict[str, Any]] = {name: {"monotonic_trend": trend} for name, trend in trends.items()}
    for name, edges in (splits or {}).items():
        if len(edges):  # optbinning takes no empty list; where only missing tells, it finds that again
            settings[name] |= {"user_splits": edges, "user_splits_fixed": [True] * len(edges)}
    return BinningProcess(list(trends), max_n_bins=max_bins, binning_fit_params=settings, n_jobs=1)


def _logistic(seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=float("inf"), max_iter=1000, random_state=seed)


def _points_table(model: Any) -> pl.DataFrame:
    """Return characteristic, attribute, applicants, default_rate, weight_of_evidence, coefficient, points."""
    table = model.table(style="detailed")
    return pl.DataFrame(
        {
            "characteristic": table["Variable"].astype(str).tolist(),
            "attribute": _attributes(model),
            "applicants": table["Count"].astype(int).tolist(),
            "default_rate": table["Event rate"].astype(float).tolist(),
            "weight_of_evidence": table["WoE"].astype(float).tolist(),
            "coefficient": table["Coefficient"].astype(float).tolist(),
            "points": table["Points"].astype(float).tolist(),
        }
    ).filter(pl.col("applicants") > 0)


def _attributes(model: Any) -> list[str]:
    """Return the attributes in words, in the order of the points table; optbinning's have two decimals."""
    names = model.binning_process_.get_support(names=True)
    return [
        text for name in names for text in _intervals(model.binning_process_.get_binned_variable(name).splits)
    ]


def _intervals(splits: Sequence[float]) -> list[str]:
    edges = _edge_labels(splits)
    if not edges:
        return ["any value", "Special", "Missing"]
    between = [f"{low} to below {high}" for low, high in pairwise(edges)]
    return [f"below {edges[0]}", *between, f"{edges[-1]} and above", "Special", "Missing"]


def _edge_labels(splits: Sequence[float]) -> list[str]:
    """Return edges with whole amounts in full and as many digits as tell them apart, four at least."""
    labels: list[str] = []
    for digits in range(4, 18):
        labels = [
            np.format_float_positional(
                split, precision=max(digits, len(str(int(abs(split))))), fractional=False, trim="-"
            )
            for split in splits
        ]
        if len(set(labels)) == len(labels):
            break
    return labels


def _pandas(features: pl.DataFrame, names: Sequence[str]) -> Any:
    import pandas as pd

    return pd.DataFrame(
        {name: features[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in names}
    )
