"""YAML read safely: a repeated key, of which YAML would silently keep the last, is refused."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import ParamsError


class _UniqueKeys(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A safe loader that refuses repeated keys, of which YAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.YAMLError(
                    f"line {key_node.start_mark.line + 1}: a list or mapping cannot be a key"
                )
            if key in seen:
                line = key_node.start_mark.line + 1
                raise yaml.YAMLError(f"key {key!r} appears twice, the second time in line {line}")
            seen.add(key)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds; raises yaml.YAMLError, also for a date that does not exist."""
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except ValueError as error:
        raise yaml.YAMLError(str(error)) from None


def read_mapping(path: Path, *, right: str) -> dict[str, Any]:
    """Read a YAML file that holds a mapping; raises ParamsError, `right` says what it should hold."""
    try:
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not readable as YAML", [" ".join(str(error).split())]) from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: holds {type(values).__name__}; {right}")
    return values
