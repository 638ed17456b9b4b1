"""What a study's parameters are: one section for each stage, frozen, without unknown keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from workbench.fields import (
    Count,
    Date,
    Day,
    Level,
    Lines,
    Month,
    Replicates,
    Section,
    Seed,
    Share,
    Variable,
    complete_with,
    once,
    rising,
)
from workbench.kinds import Issue, MonthIssue
from workbench.model_params import TrainingParams, ValidationParams
from workbench.report_params import ReportParams
from workbench.sources import Name, Source, applicants_source, check_sources, judged_attributes

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("data", "features", "training", "validation", "explanation", "fairness", "scoring", "monitoring")
EngineName = Literal["auto", "cpu", "gpu", "dask"]


class DataParams(Section):
    """Sources, permission, quality, who is in the study, and samples."""

    sources: Annotated[dict[Name, Source], Field(min_length=1), AfterValidator(check_sources)]
    default_definition: str
    application_date: Day
    observation_days: Annotated[int, Field(ge=30, le=3660)]
    performance_days: Count
    extracted_on: Day
    keep_declined: bool
    applicants: Annotated[int, Field(ge=0)]
    protected: list[Name]
    memberships: dict[Name, Annotated[dict[str, Name], Field(min_length=2)]]
    segments: Annotated[list[Name], AfterValidator(once)]
    other_outcomes: Annotated[list[Name], AfterValidator(once)]
    age_bands: Annotated[list[int], Field(min_length=1), AfterValidator(rising)]
    reference: str
    truth: str
    packs: list[Name]
    judged_on: Date
    on_prohibited: Literal["stop", "drop", "drop_unread"]
    severity: Annotated[dict[Issue, Literal["stop", "quarantine", "warn"]], complete_with(get_args(Issue))]
    quality_lines: Annotated[
        dict[MonthIssue, Annotated[float, Field(gt=0)]], complete_with(get_args(MonthIssue))
    ]
    late_days: Count
    out_of_time_from: Month
    development_share: Share
    calibration_share: Share
    holdout_share: Share
    seed: Seed

    @field_validator("protected", "segments", "other_outcomes")
    @classmethod
    def _known(cls, names: list[str], info: ValidationInfo) -> list[str]:
        table = applicants_source(info.data.get("sources", {}))
        unknown = [name for name in names if table and name not in table.types]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: not in the types of the applicants' source")
        features = [name for name in names if table and name in table.features]
        if features and info.field_name != "segments":
            what = "protected attributes" if info.field_name == "protected" else "outcomes"
            raise ValueError(f"{', '.join(features)}: {what} judge the model and never enter it")
        judged = [name for name in names if name in info.data.get("protected", [])]
        if judged and info.field_name != "protected":
            raise ValueError(f"{', '.join(judged)}: a protected attribute is judged by stage fairness alone")
        return names

    @field_validator("memberships")
    @classmethod
    def _estimated(cls, values: dict[str, dict[str, str]], info: ValidationInfo) -> dict[str, dict[str, str]]:
        table = applicants_source(info.data.get("sources", {}))
        columns = sorted({column for groups in values.values() for column in groups.values()})
        if unfit := [c for c in columns if table and table.types.get(c) != "number"]:
            raise ValueError(f"{', '.join(unfit)}: no number in the types of the applicants' source")
        if features := [c for c in columns if table and c in table.features]:
            raise ValueError(f"{', '.join(features)}: membership judges the model and never enters it")
        judged = judged_attributes(info.data.get("protected", []))
        if known := [name for name in values if name in judged]:
            raise ValueError(f"{', '.join(known)}: already protected; give the estimate another name")
        return values

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

    selected: Annotated[list[str], Field(min_length=1), AfterValidator(once)]
    windows: Annotated[list[Count], Field(min_length=1), AfterValidator(rising)]
    topics: Annotated[int, Field(ge=0, le=50)]
    terms: Annotated[int, Field(ge=50, le=100_000)]
    least_applicants: Annotated[int, Field(ge=5)]
    invisible_without: Annotated[list[str], AfterValidator(once)]
    thin_feature: str
    thin_below: float
    bins: Annotated[int, Field(ge=2, le=50)]
    stability_line: Annotated[float, Field(gt=0)]
    level: Level
    replicates: Replicates
    seed: Seed


class KnockOut(Section):
    """A rule that declines whoever has a feature at or beyond a value, or not at all."""

    feature: str
    at_least: float | None = None
    at_most: float | None = None
    is_missing: bool = False


class ExplanationParams(Section):
    """Attributions, reason codes with their texts, and what would have changed a decision."""

    method: Literal["near_cutoff", "all_applicants", "best_value"]
    background_size: Annotated[int, Field(ge=20, le=5000)]
    background_score_range: Annotated[float, Field(gt=0)]
    best_value_size: Annotated[int, Field(ge=20, le=5000)]
    reasons_shown: Annotated[int, Field(ge=1, le=4)]
    counter_offer_points: Annotated[float, Field(ge=0)]
    knock_out_rules: dict[str, KnockOut]
    languages: Annotated[list[Name], AfterValidator(once)]
    reason_texts: str
    currency: Annotated[str, Field(max_length=20)]
    actionable: dict[str, Literal[-1, 0, 1]]
    most_changes: Annotated[int, Field(ge=1, le=3)]
    counterfactual_applicants: Count
    checked_applicants: Annotated[int, Field(ge=20, le=100_000)]
    dependence_features: Annotated[int, Field(ge=1, le=8)]
    beeswarm_features: Annotated[int, Field(ge=1, le=20)]
    interaction_pairs: Annotated[int, Field(ge=1, le=100)]
    least_applicants: Annotated[int, Field(ge=2)]
    reason_noise: Annotated[float, Field(gt=0, le=1)]
    level: Level
    replicates: Replicates
    seed: Seed


class FairnessParams(Section):
    """Protected attributes, reference groups and lines."""

    attributes: Annotated[list[Name], Field(min_length=1), AfterValidator(once)]
    reference_groups: dict[Name, str]
    intersection_depth: Annotated[int, Field(ge=1, le=4)]
    small_groups: Literal["suppress", "pool"]
    bad_approved_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    good_declined_cost: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    approval_rates: Annotated[list[Share], Field(min_length=1), AfterValidator(rising)]
    legitimate: Annotated[list[str], AfterValidator(once)]
    strata_bins: Annotated[int, Field(ge=2, le=20)]
    odds_ratios: Annotated[list[Annotated[float, Field(ge=1)]], Field(min_length=1), AfterValidator(rising)]
    mislabelled_shares: Annotated[list[Share], Field(min_length=1), AfterValidator(rising)]
    neighbours: Annotated[int, Field(ge=1, le=50)]
    caliper: Annotated[float, Field(gt=0)]
    membership_folds: Annotated[int, Field(ge=2, le=10)]
    membership_most_applicants: Annotated[int, Field(ge=1_000)]
    alternative_trials: Annotated[int, Field(ge=0, le=1_000)]
    alternatives_for: str
    alternatives_left_out: Annotated[int, Field(ge=0)]
    most_loss: Annotated[float, Field(ge=0, lt=0.5)]
    loss_given_default: Annotated[float, Field(gt=0, le=1)]
    air_line: Share
    smd_line: Annotated[float, Field(gt=0)]
    proxy_line: Annotated[float, Field(ge=0.5, lt=1)]
    min_group_applicants: Count
    min_group_defaults: Count
    level: Level
    replicates: Replicates
    seed: Seed

    @field_validator("reference_groups")
    @classmethod
    def _every_attribute_has_one(cls, groups: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        missing = [name for name in info.data.get("attributes", []) if name not in groups]
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}; name a group for each attribute, or a rule")
        return groups

    @field_validator("intersection_depth")
    @classmethod
    def _no_deeper_than_attributes(cls, depth: int, info: ValidationInfo) -> int:
        if depth > len(info.data.get("attributes", range(depth))):
            raise ValueError(f"{depth} received; at most the number of attributes is right")
        return depth

    @field_validator("alternatives_for")
    @classmethod
    def _one_of_the_attributes(cls, name: str, info: ValidationInfo) -> str:
        known = info.data.get("attributes", [name])
        if name and name not in known:
            raise ValueError(f"received {name}; one of {', '.join(known)} is right, or none")
        return name


class ScoringParams(Section):
    """The scorer that goes into use, and scoring from the source tables."""

    tolerance: Annotated[float, Field(gt=0, le=1e-3)]
    out_of_contract: Literal["refuse", "flag"]
    seed: Seed


class MonitoringParams(Section):
    """The baseline that later batches are compared with, and the triggers."""

    bands: Annotated[int, Field(ge=2, le=50)]
    stability_lines: Lines
    false_alarms: Annotated[float, Field(gt=0, le=0.2)]
    default_rate_line: Share
    auc_line: Annotated[float, Field(ge=0.5, le=1)]
    calibration_line: Annotated[float, Field(gt=0, lt=1)]
    impact_line: Annotated[float, Field(gt=0, le=1)]
    refused_line: Share
    override_line: Share
    latency_line: Annotated[float, Field(gt=0)]
    error_line: Share
    owners: dict[str, str]
    level: Level
    replicates: Replicates
    seed: Seed


class Study(Section):
    """One study: a section for each stage, and the report's."""

    study: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
    note: str
    engine: EngineName
    scheduler: str
    pseudonym_key: Variable
    encryption_key: Variable
    data: DataParams
    features: FeaturesParams
    training: TrainingParams
    validation: ValidationParams
    explanation: ExplanationParams
    fairness: FairnessParams
    scoring: ScoringParams
    monitoring: MonitoringParams
    report: ReportParams

    @model_validator(mode="after")
    def _agrees(self) -> Study:
        judged = judged_attributes(self.data.protected)
        faults = [
            f"fairness.attributes: {name} is no protected attribute ({', '.join(judged) or 'there is none'})"
            for name in self.fairness.attributes
            if name not in judged
        ]
        if lacking := [name for name in self.data.memberships if name not in self.fairness.reference_groups]:
            faults.append(f"fairness.reference_groups lacks {', '.join(lacking)} of data.memberships")
        named = sorted({*self.data.protected, *judged} & set(self.features.selected))
        if named:
            faults.append(
                f"features.selected: {', '.join(named)}: protected attributes never enter the model"
            )
        if self.features.thin_feature and not self.features.invisible_without:
            faults.append("features.invisible_without is empty: name what an applicant without a file lacks")
        if self.training.reject_inference != "none" and not self.data.keep_declined:
            faults.append("training.reject_inference needs the declined: set data.keep_declined to true")
        if self.training.reject_inference != "none" and self.training.memory == "external":
            faults.append("training.memory: with reject_inference the rows are in memory; set it to in_core")
        days = self.data.observation_days
        if wrong := [w for w in self.features.windows if w > days or (w % 30 and w != days)]:
            faults.append(f"features.windows: {wrong}: multiples of 30 days, or the {days} observation days")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def section(self, stage: str) -> dict[str, Any]:
        """Return the flat literals of one stage's section."""
        values: dict[str, Any] = getattr(self, stage).model_dump(exclude_defaults=True)
        return values
