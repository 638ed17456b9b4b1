"""A study read from YAML and checked as a whole before anything runs."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import ValidationError

from workbench.errors import ParamsError, near_name
from workbench.params import Study
from workbench.yaml_reader import parse_yaml, read_mapping


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


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        others = ", ".join(sorted(str(p) for p in path.parent.glob("*.yaml"))) or "none"
        raise ParamsError(f"{path}: no such file", [f"studies in that folder: {others}"])
    return read_mapping(path, right="a study is a mapping of sections")


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
        target[keys[-1]] = parse_yaml(text)
    except yaml.YAMLError as error:
        right = [" ".join(str(error).split()), "quote texts: --set 'note=\"a: b\"'"]
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
    hint = " (YAML reads 1e-3 as text: write 1.0e-3)" if _looks_like_number(received) else ""
    return f"{where}: received {received!r}; {message[0].lower()}{message[1:]}{hint}"


def _looks_like_number(received: Any) -> bool:
    return isinstance(received, str) and re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", received) is not None


def _known_keys(location: Sequence[str]) -> list[str]:
    model: Any = Study
    for part in location:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:  # a name that the study chose, such as that of a source
            continue
        arguments = [part for part in get_args(field.annotation) if part is not type(None)]
        model = arguments[-1] if arguments else field.annotation
        while get_origin(model) is dict:
            model = get_args(model)[-1]
    return list(model.model_fields) if hasattr(model, "model_fields") else list(get_args(model))
