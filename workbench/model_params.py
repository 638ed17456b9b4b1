"""What a study says of training and validation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from workbench.fields import Count, Level, Lines, Range, Replicates, Section, Seed, Share, once, rising

SEARCH_LIMITS = {
    "max_depth": (1, 16),
    "learning_rate": (1e-4, 1),
    "min_child_weight": (1e-6, 1e6),
    "subsample": (0.05, 1),
    "colsample_bytree": (0.05, 1),
    "reg_lambda": (1e-6, 1e6),
}


Challenger = Literal["scorecard", "logistic", "explainable_boosting"]


class TrainingParams(Section):
    """Search, champion and challengers, calibration, evidence for each choice, and the decision."""

    trials: Count
    seconds: Annotated[int, Field(ge=0)]
    cross_validation: Literal["random", "forward"]
    folds: Annotated[int, Field(ge=2, le=20)]
    pruning: bool
    winner: Literal["best", "one_standard_error"]
    max_rounds: Count
    early_stopping_rounds: Count
    max_depth: Annotated[list[int], Field(min_length=2, max_length=2)]
    learning_rate: Range
    min_child_weight: Range
    subsample: Range
    colsample_bytree: Range
    reg_lambda: Range
    monotone: bool
    interactions: Literal["free", "data_category", "source", "alone"]
    champion: Literal["most_constrained", "best", "constrained", "monotone", "unconstrained", "additive"]
    challengers: Annotated[list[Challenger], AfterValidator(once)]
    tolerance: Annotated[float, Field(ge=0, lt=0.5)]
    memory: Literal["in_core", "external"]
    batch_rows: Annotated[int, Field(ge=1_000)]
    block_rounds: Count
    calibration: Literal["simplest", "best", "none", "platt", "beta", "isotonic"]
    min_calibration_defaults: Count
    scorecard_min_information_value: Annotated[float, Field(ge=0)]
    scorecard_max_bins: Annotated[int, Field(ge=2, le=20)]
    minimisation_sizes: Annotated[list[Count], Field(min_length=1), AfterValidator(rising)]
    resamples: Annotated[int, Field(ge=2, le=200)]
    permutations: Annotated[int, Field(ge=1, le=1000)]
    suspicious_auc: Annotated[float, Field(gt=0.5, lt=1)]
    reject_inference: Literal["none", "fuzzy", "parcelling"]
    prudence: Annotated[float, Field(ge=1, le=10)]
    reference_score: float
    reference_odds: Annotated[float, Field(gt=0)]
    points_to_double_odds: Annotated[float, Field(gt=0)]
    cutoff: float
    replicates: Replicates
    level: Level
    seed: Seed

    @field_validator(*SEARCH_LIMITS)
    @classmethod
    def _within_limits(cls, limits: list[float], info: ValidationInfo) -> list[float]:
        least, most = SEARCH_LIMITS[str(info.field_name)]
        low, high = limits
        if not least <= low <= high <= most:
            raise ValueError(f"a range is [low, high] within [{least:g}, {most:g}]")
        return limits


class Economics(Section):
    """What a decision costs and earns, for each unit of the amount lent."""

    loss_given_default: Annotated[float, Field(gt=0, le=1)]
    income: Annotated[float, Field(ge=0)]
    application_cost: Annotated[float, Field(ge=0)]
    amount: Annotated[float, Field(gt=0)]
    currency: Annotated[str, Field(min_length=1, max_length=20)]


class Change(Section):
    """How a stress changes a feature: times a factor, then plus an amount."""

    times: float = 1.0
    plus: float = 0.0


class ValidationParams(Section):
    """How the champion is judged on the holdout sample."""

    bands: Annotated[int, Field(ge=2, le=50)]
    auc_line: Annotated[float, Field(gt=0.5, lt=1)]
    calibration_slope_lines: Lines
    segment_defaults: Annotated[int, Field(ge=5)]
    weak_spot_depth: Annotated[int, Field(ge=1, le=3)]
    weak_spot_applicants: Annotated[int, Field(ge=20)]
    noise: Annotated[list[Share], Field(min_length=1), AfterValidator(rising)]
    stress: dict[str, dict[str, Change]]
    economics: Economics
    review_error: Share
    level: Level
    replicates: Replicates
    seed: Seed
