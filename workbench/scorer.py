"""One scorer for every stage: features in, margin, PD, score and decision out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import DataError, near_name

Floats = NDArray[np.float64]
SHORTEST_SECANT = 1e-6
"""In margin: over less, a difference of two log-odds is mostly rounding."""


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
    """The calibrated log-odds of default of a booster's margin; they never fall as the margin rises.

    platt: intercept + slope x margin; none is intercept 0 and slope 1. beta, where there is a `slope_risky`:
    intercept + slope ln p - slope_risky ln(1 - p), with p the PD of the margin itself, so that `slope` holds
    far among the safe and `slope_risky` far among the risky; where they are equal it is platt. isotonic,
    where there are `knots` (margin, log-odds): straight lines between them, level beyond the outermost;
    intercept and slope then play no part. Raises DataError for slopes below 0 and knots that do not rise.
    Source: Platt 1999; Kull, Silva Filho and Flach 2017, "Beta calibration".
    """

    intercept: float = 0.0
    slope: float = 1.0
    slope_risky: float | None = None
    knots: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        faults = list(_calibration_faults(self))
        if faults:
            raise DataError("a calibration must keep the order of margins", faults)

    @property
    def method(self) -> str:
        """Return none, platt, beta or isotonic."""
        if self.knots:
            return "isotonic"
        if self.slope_risky is not None:
            return "beta"
        return "none" if (self.intercept, self.slope) == (0.0, 1.0) else "platt"

    @property
    def parameters(self) -> int:
        """Return how many numbers were fitted: none 0, platt 2, beta 3, isotonic 2 a knot."""
        return {"none": 0, "platt": 2, "beta": 3, "isotonic": 2 * len(self.knots)}[self.method]

    @property
    def is_line(self) -> bool:
        """Whether `slope` is the slope everywhere."""
        return not self.knots and self.slope_risky is None

    def log_odds(self, margin: Floats) -> Floats:
        """Return the calibrated log-odds of default of margins (log-odds as the booster gives them)."""
        if self.knots:
            bent: Floats = np.interp(margin, *self._curve)
            return bent
        if self.slope_risky is None:
            return self.intercept + self.slope * margin
        safe, risky = beta_terms(margin)
        return self.intercept + self.slope * safe + self.slope_risky * risky

    def prob_default(self, margin: Floats) -> Floats:
        """Return the calibrated PD of margins (log-odds of default as the booster gives them)."""
        prob: Floats = 1 / (1 + np.exp(-self.log_odds(margin)))
        return prob

    def secant(self, margin: Floats, reference: Floats | float) -> Floats:
        """Return the calibrated log-odds for one of margin, on the way from a reference to each margin.

        (log_odds(margin) - log_odds(reference)) / (margin - reference), the slope of a line: contributions
        to margin - reference, times it, add up to the difference of the calibrated log-odds. Never below 0;
        where the two are closer than 1e-6, the slope over 1e-6 above the reference.
        """
        end, start = np.broadcast_arrays(np.asarray(margin, dtype=float), np.asarray(reference, dtype=float))
        if self.is_line:
            return np.full(end.shape, self.slope)
        close = np.abs(end - start) < SHORTEST_SECANT
        end = np.where(close, start + SHORTEST_SECANT, end)
        slope: Floats = (self.log_odds(end) - self.log_odds(start)) / (end - start)
        return slope

    def as_dict(self) -> dict[str, Any]:
        """Return the method's own numbers as a JSON object; `load_calibration` gives it back."""
        if self.knots:
            return {"knots": [list(knot) for knot in self.knots]}
        line = {"intercept": self.intercept, "slope": self.slope}
        return line if self.slope_risky is None else line | {"slope_risky": self.slope_risky}

    @cached_property
    def _curve(self) -> tuple[Floats, Floats]:
        margins, log_odds = np.array(self.knots).T
        return margins, log_odds


def beta_terms(margin: Floats) -> tuple[Floats, Floats]:
    """Return ln p and -ln(1 - p), p the PD 1 / (1 + exp(-margin)): both rise, and their sum is the margin."""
    return -np.logaddexp(0, -margin), np.logaddexp(0, margin)


def load_calibration(about: Mapping[str, Any]) -> Calibration:
    """Return the calibration from the JSON of `Calibration.as_dict`."""
    knots = tuple((float(margin), float(log_odds)) for margin, log_odds in about.get("knots", ()))
    return Calibration(**{**about, "knots": knots})


def _calibration_faults(calibration: Calibration) -> Iterator[str]:
    for name in ("slope", "slope_risky"):
        value = getattr(calibration, name)
        if value is not None and not value >= 0:
            yield f"{name} is {value:g}; at least 0 is right"
    if calibration.knots:
        margins, log_odds = np.array(calibration.knots, dtype=float).T
        rising = (np.diff(margins) > 0).all() and (np.diff(log_odds) >= 0).all()
        if not (np.isfinite(calibration.knots).all() and rising):
            yield "knots: margins must rise, log-odds must not fall, and all must be finite"


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

    def points(self, margin: Floats) -> Floats:
        """Return the score points of margins."""
        return self.scale.score(self.calibration.prob_default(margin))

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
            "calibration": self.calibration.as_dict(),
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
        calibration=load_calibration(about["calibration"]),
        scale=ScoreScale(**about["scale"]),
        cutoff=about["cutoff"],
    )


def model_matrix(features: pl.DataFrame, names: Sequence[str]) -> Floats:
    """Return features as a matrix [applicants, features]; missing values are NaN."""
    matrix: Floats = features.select(names).cast(pl.Float64).fill_null(np.nan).to_numpy()
    return matrix
