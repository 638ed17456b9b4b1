"""A study's parameters: one YAML file, checked as a whole before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workbench.errors import ParamsError, near_name

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("data", "features", "training", "validation", "explanation", "fairness", "scoring", "monitoring")
SEARCH_LIMITS = {
    "max_depth": (1, 16),
    "learning_rate": (1e-4, 1),
    "min_child_weight": (0, 1e6),
    "subsample": (0.05, 1),
    "colsample_bytree": (0.05, 1),
    "reg_lambda": (0, 1e6),
}
PROTECTED = ("sex", "age_band", "education", "marital_status")

Share = Annotated[float, Field(gt=0, lt=1)]
Level = Annotated[float, Field(ge=0.5, lt=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Count = Annotated[int, Field(ge=1)]
Replicates = Annotated[int, Field(ge=100, le=100_000)]
Range = Annotated[list[float], Field(min_length=2, max_length=2)]
AttributeName = Literal["sex", "age_band", "education", "marital_status"]


class Section(BaseModel):
    """Base of every section: frozen, strict about types, refuses unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


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
    age_bands: Annotated[list[int], Field(min_length=1)]
    development_share: Share
    calibration_share: Share
    holdout_share: Share
    seed: Seed

    @model_validator(mode="after")
    def _consistent(self) -> DataParams:
        total = self.development_share + self.calibration_share + self.holdout_share
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the three sample shares add up to {total:g}; they must add up to 1")
        if sorted(set(self.age_bands)) != self.age_bands:
            raise ValueError("age_bands must be increasing ages without repeats, such as [30, 40, 50, 62]")
        return self


class FeaturesParams(Section):
    """Features used by the models and how they are described."""

    selected: Annotated[list[str], Field(min_length=1)]
    bins: Annotated[int, Field(ge=2, le=50)]
    stability_line: Annotated[float, Field(gt=0)]
    level: Level
    replicates: Replicates
    seed: Seed

    @model_validator(mode="after")
    def _judged_only(self) -> FeaturesParams:
        named = [name for name in self.selected if name in (*PROTECTED, "age")]
        if named:
            raise ValueError(
                f"protected attributes judge the model and never enter it, received {', '.join(named)}; "
                "remove them from features.selected"
            )
        repeated = sorted({name for name in self.selected if self.selected.count(name) > 1})
        if repeated:
            raise ValueError(f"named twice: {', '.join(repeated)}; name each feature once")
        return self


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

    @model_validator(mode="after")
    def _ranges(self) -> TrainingParams:
        faults = []
        for name, (least, most) in SEARCH_LIMITS.items():
            low, high = getattr(self, name)
            if not least <= low <= high <= most:
                right = f"it must be [low, high] within [{least:g}, {most:g}]"
                faults.append(f"{name} is [{low:g}, {high:g}]; {right}")
        if faults:
            raise ValueError("; ".join(faults))
        return self


class ValidationParams(Section):
    """How the champion is judged on the holdout sample."""

    bands: Annotated[int, Field(ge=2, le=50)]
    auc_line: Annotated[float, Field(gt=0.5, lt=1)]
    calibration_slope_lines: Range
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
    replicates: Replicates
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

    @model_validator(mode="after")
    def _every_attribute_has_a_reference(self) -> FairnessParams:
        missing = [name for name in self.attributes if name not in self.reference_groups]
        if missing:
            raise ValueError(f"reference_groups lacks {', '.join(missing)}; name a group for each attribute")
        return self


class ScoringParams(Section):
    """Batch scoring from the source tables."""

    tolerance: Annotated[float, Field(gt=0, le=1e-3)]


class MonitoringParams(Section):
    """The baseline that later batches are compared with, and the triggers."""

    bands: Annotated[int, Field(ge=2, le=50)]
    stability_lines: Range
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


def load_study(path: Path, overrides: Sequence[str] = ()) -> Study:
    """Read a study, apply `a.b=v` overrides and check it; raises ParamsError with every fault found."""
    values = _read_yaml(path)
    for override in overrides:
        _apply(values, override)
    return check_study(values, str(path))


def check_study(values: Mapping[str, Any], name: str) -> Study:
    """Check the parameters of a study given as a mapping."""
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        faults = [_fault(dict(detail)) for detail in error.errors(include_url=False)]
        summary = f"{name}: {len(faults)} fault(s) in the parameters; nothing was run"
        raise ParamsError(summary, faults) from None


class _UniqueKeys(yaml.SafeLoader):
    """A safe loader that refuses repeated keys, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key!r} appears twice, the second time in line {line}")
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        others = ", ".join(sorted(str(p) for p in path.parent.glob("*.yaml"))) or "none"
        raise ParamsError(f"{path}: no such file", [f"studies in that folder: {others}"])
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not readable as YAML", [" ".join(str(error).split())]) from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: holds {type(values).__name__}; a study is a mapping of sections")
    return values


def _apply(values: dict[str, Any], override: str) -> None:
    name, separator, text = override.partition("=")
    keys = name.strip().split(".")
    if not separator or not all(keys):
        right = ["write it as --set fairness.air_line=0.8"]
        raise ParamsError(f"--set {override}: received no key=value", right)
    target: Any = values
    for key in keys[:-1]:
        target = target.setdefault(key, {}) if isinstance(target, dict) else None
    if not isinstance(target, dict):
        raise ParamsError(f"--set {override}: {'.'.join(keys[:-1])} is no section")
    try:
        target[keys[-1]] = yaml.safe_load(text)
    except yaml.YAMLError:
        right = ["quote texts: --set 'note=\"a: b\"'"]
        raise ParamsError(f"--set {override}: the value is not YAML", right) from None


def _fault(detail: dict[str, Any]) -> str:
    location = [str(part) for part in detail["loc"]]
    where = ".".join(location) or "study"
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{near_name(location[-1], _known_keys(location[:-1]))}"
    if detail["type"] == "missing":
        return f"{where}: missing; every key is written out in params/taiwan.yaml"
    message = detail["msg"].removeprefix("Value error, ")
    received = detail["input"]
    if isinstance(received, dict):
        return f"{where}: {message}"
    return f"{where}: received {received!r}; {message[0].lower()}{message[1:]}"


def _known_keys(location: Sequence[str]) -> list[str]:
    model: Any = Study
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field else None
    if hasattr(model, "model_fields"):
        return list(model.model_fields)
    return list(get_args(AttributeName))
