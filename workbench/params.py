"""What a study's parameters are: one section for each stage, frozen, without unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("data", "features", "training", "validation", "explanation", "fairness", "scoring", "monitoring")
SEARCH_LIMITS = {
    "max_depth": (1, 16),
    "learning_rate": (1e-4, 1),
    "min_child_weight": (1e-6, 1e6),
    "subsample": (0.05, 1),
    "colsample_bytree": (0.05, 1),
    "reg_lambda": (1e-6, 1e6),
}
PROTECTED = ("sex", "age_band", "education", "marital_status")

Share = Annotated[float, Field(gt=0, lt=1)]
Level = Annotated[float, Field(ge=0.5, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Count = Annotated[int, Field(ge=1)]
Replicates = Annotated[int, Field(ge=100, le=100_000)]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]


def _rising(values: list[Any]) -> list[Any]:
    if sorted(set(values)) != values:
        raise ValueError("values must rise without repeats")
    return values


Lines = Annotated[Range, AfterValidator(_rising)]
AttributeName = Literal["sex", "age_band", "education", "marital_status"]


class Section(BaseModel):
    """Base of every section: frozen, strict about types, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class DataParams(Section):
    """Source, cleaning decisions and samples."""

    source: str
    applicants: Annotated[int, Field(ge=0)]
    default_definition: str
    duplicates: Literal["keep", "drop"]
    undocumented_education: Literal["other", "exclude"]
    undocumented_marital_status: Literal["other", "exclude"]
    negative_bills: Literal["keep", "zero", "exclude"]
    inactive: Literal["keep", "exclude"]
    age_bands: Annotated[list[int], Field(min_length=1), AfterValidator(_rising)]
    development_share: Share
    calibration_share: Share
    holdout_share: Share
    seed: Seed

    @field_validator("holdout_share")
    @classmethod
    def _whole(cls, share: float, info: ValidationInfo) -> float:
        others = [info.data.get(f"{name}_share") for name in ("development", "calibration")]
        total = share + sum(other or 0.0 for other in others)
        if None not in others and abs(total - 1) > 1e-9:
            raise ValueError(f"the three sample shares add up to {total:g}; they must add up to 1")
        return share


class FeaturesParams(Section):
    """Features used by the models and how they are described."""

    selected: Annotated[list[str], Field(min_length=1)]
    bins: Annotated[int, Field(ge=2, le=50)]
    stability_line: Annotated[float, Field(gt=0)]
    level: Level
    replicates: Replicates
    seed: Seed

    @field_validator("selected")
    @classmethod
    def _judged_only(cls, selected: list[str]) -> list[str]:
        named = [name for name in selected if name in (*PROTECTED, "age")]
        repeated = sorted({name for name in selected if selected.count(name) > 1})
        faults = []
        if named:
            faults.append(
                f"protected attributes judge the model and never enter it; remove {', '.join(named)}"
            )
        if repeated:
            faults.append(f"named twice: {', '.join(repeated)}; name each feature once")
        if faults:
            raise ValueError("; ".join(faults))
        return selected


class TrainingParams(Section):
    """Search, champion, calibration, scorecard and the decision."""

    trials: Count
    folds: Annotated[int, Field(ge=2, le=20)]
    max_rounds: Count
    early_stopping_rounds: Count
    max_depth: Annotated[list[int], Field(min_length=2, max_length=2)]
    learning_rate: Range
    min_child_weight: Range
    subsample: Range
    colsample_bytree: Range
    reg_lambda: Range
    monotone: bool
    calibration: Literal["platt", "none"]
    min_calibration_defaults: Count
    scorecard_min_information_value: Annotated[float, Field(ge=0)]
    scorecard_max_bins: Annotated[int, Field(ge=2, le=20)]
    reference_score: float
    reference_odds: Annotated[float, Field(gt=0)]
    points_to_double_odds: Annotated[float, Field(gt=0)]
    cutoff: float
    seed: Seed

    @field_validator(*SEARCH_LIMITS)
    @classmethod
    def _within_limits(cls, limits: list[float], info: ValidationInfo) -> list[float]:
        least, most = SEARCH_LIMITS[str(info.field_name)]
        low, high = limits
        if not least <= low <= high <= most:
            raise ValueError(f"a range is [low, high] within [{least:g}, {most:g}]")
        return limits


class ValidationParams(Section):
    """How the champion is judged on the holdout sample."""

    bands: Annotated[int, Field(ge=2, le=50)]
    auc_line: Annotated[float, Field(gt=0.5, lt=1)]
    calibration_slope_lines: Lines
    level: Level
    replicates: Replicates
    seed: Seed


class ExplanationParams(Section):
    """Attributions and reason codes."""

    background_size: Annotated[int, Field(ge=20, le=5000)]
    background_score_range: Annotated[float, Field(gt=0)]
    reasons_shown: Annotated[int, Field(ge=1, le=10)]
    dependence_features: Annotated[int, Field(ge=1, le=8)]
    level: Level
    seed: Seed


class FairnessParams(Section):
    """Protected attributes, reference groups and lines."""

    attributes: Annotated[list[AttributeName], Field(min_length=1)]
    reference_groups: dict[AttributeName, str]
    air_line: Share
    smd_line: Annotated[float, Field(gt=0)]
    min_group_applicants: Count
    min_group_defaults: Count
    level: Level
    replicates: Replicates
    seed: Seed

    @field_validator("attributes")
    @classmethod
    def _once(cls, attributes: list[AttributeName]) -> list[AttributeName]:
        if len(set(attributes)) < len(attributes):
            raise ValueError("name each attribute once")
        return attributes

    @field_validator("reference_groups")
    @classmethod
    def _every_attribute_has_one(cls, groups: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        missing = [name for name in info.data.get("attributes", []) if name not in groups]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}; name a group for each attribute")
        return groups


class ScoringParams(Section):
    """Batch scoring from the source tables."""

    tolerance: Annotated[float, Field(gt=0, le=1e-3)]


class MonitoringParams(Section):
    """The baseline that later batches are compared with, and the triggers."""

    bands: Annotated[int, Field(ge=2, le=50)]
    stability_lines: Lines
    default_rate_line: Share
    level: Level
    replicates: Replicates
    seed: Seed


class ReportParams(Section):
    """What only a person can say; an empty text prints as 'not provided'."""

    title: str
    notice: str
    owner: str
    purpose: str
    restrictions: str
    suppress_below: Annotated[int, Field(ge=0)]


class Study(Section):
    """One study: a section for each stage, and the report's."""

    study: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    note: str
    engine: Literal["auto", "cpu", "gpu"]
    data: DataParams
    features: FeaturesParams
    training: TrainingParams
    validation: ValidationParams
    explanation: ExplanationParams
    fairness: FairnessParams
    scoring: ScoringParams
    monitoring: MonitoringParams
    report: ReportParams

    def section(self, stage: str) -> dict[str, Any]:
        """Return the flat literals of one stage's section."""
        values: dict[str, Any] = getattr(self, stage).model_dump()
        return values
