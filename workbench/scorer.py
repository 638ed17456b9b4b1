"""One scorer for every stage: features in, margin, PD, score and decision out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError, near_name

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScoreScale:
    """Score points from the PD: `reference_score` at `reference_odds` (good:bad), higher is safer."""

    reference_score: float
    reference_odds: float
    points_to_double_odds: float

    @property
    def factor(self) -> float:
        """Points per unit of log-odds: points_to_double_odds / ln 2."""
        return float(self.points_to_double_odds / np.log(2))

    def score(self, prob_default: Floats) -> Floats:
        """Return score points: reference_score + factor (ln odds - ln reference_odds)."""
        log_odds = np.log1p(-prob_default) - np.log(prob_default)
        points: Floats = self.reference_score + self.factor * (log_odds - np.log(self.reference_odds))
        return points

    def prob_default(self, score: float) -> float:
        """Return the PD at a score: 1 / (1 + odds)."""
        log_odds = (score - self.reference_score) / self.factor + np.log(self.reference_odds)
        return float(1 / (1 + np.exp(log_odds)))


@dataclass(frozen=True)
class Calibration:
    """Platt's calibration of the margin: log-odds of default = intercept + slope x margin."""

    intercept: float = 0.0
    slope: float = 1.0

    def prob_default(self, margin: Floats) -> Floats:
        """Return the calibrated PD of margins (log-odds of default as the booster gives them)."""
        prob: Floats = 1 / (1 + np.exp(-(self.intercept + self.slope * margin)))
        return prob


@dataclass(frozen=True)
class Scorer:
    """The champion as it decides: booster, calibration, scale and cutoff."""

    features: tuple[str, ...]
    booster: Any
    calibration: Calibration
    scale: ScoreScale
    cutoff: float

    def margin(self, features: pl.DataFrame) -> Floats:
        """Return the booster's log-odds of default, one per row of `features`."""
        from xgboost import DMatrix

        return np.asarray(
            self.booster.predict(DMatrix(self._matrix(features)), output_margin=True), dtype=float
        )

    def score(self, features: pl.DataFrame) -> pl.DataFrame:
        """Return applicant_id, margin, prob_default, score and approved (1 where score >= cutoff)."""
        margin = self.margin(features)
        prob_default = self.calibration.prob_default(margin)
        score = self.scale.score(prob_default)
        return pl.DataFrame(
            {
                "applicant_id": features["applicant_id"],
                "margin": margin,
                "prob_default": prob_default,
                "score": score,
                "approved": (score >= self.cutoff).astype(int),
            }
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the booster as a JSON object."""
        return {
            "features": list(self.features),
            "calibration": asdict(self.calibration),
            "scale": asdict(self.scale),
            "cutoff": self.cutoff,
        }

    def _matrix(self, features: pl.DataFrame) -> Floats:
        missing = [name for name in self.features if name not in features.columns]
        if missing:
            faults = [f"{name} is missing{near_name(name, features.columns)}" for name in missing]
            raise DataError(f"{len(missing)} of {len(self.features)} features are not in the table", faults)
        return model_matrix(features, self.features)


def load_scorer(model: bytes, about: Mapping[str, Any]) -> Scorer:
    """Return the scorer from the booster's UBJSON and the JSON of `Scorer.as_dict`."""
    from xgboost import Booster

    booster = Booster()
    booster.load_model(bytearray(model))
    return Scorer(
        features=tuple(about["features"]),
        booster=booster,
        calibration=Calibration(**about["calibration"]),
        scale=ScoreScale(**about["scale"]),
        cutoff=about["cutoff"],
    )


def model_matrix(features: pl.DataFrame, names: Sequence[str]) -> Floats:
    """Return features as a matrix [applicants, features]; missing values are NaN."""
    matrix: Floats = features.select(names).cast(pl.Float64).fill_null(np.nan).to_numpy()
    return matrix
