"""The register of lines: every line of a study with the moment it was declared, kept before any result is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.params import STAGES, Study

_MORE = ("training.tolerance", "training.suspicious_auc", "scoring.tolerance")


def declared_lines(study: Study) -> dict[str, Any]:
    """Return the study's lines: section and key, such as fairness.air_line, with the value."""
    return {
        f"{stage}.{key}": value
        for stage in STAGES
        for key, value in study.section(stage).items()
        if key.endswith(("_line", "_lines")) or f"{stage}.{key}" in _MORE
    }


def register_lines(
    known: list[dict[str, Any]], study: Study, stages: Mapping[str, Mapping[str, Any]], at: str
) -> list[dict[str, Any]]:
    """Return the register with what is new in a study: lines that are new to it, and changed ones.

    An entry has line, value, author (the study's owner), at (UTC, to the second) and after_results: whether
    the stage that the line judges was complete when the line was declared or changed. Entries are never
    changed or removed.
    """
    latest = {entry["line"]: entry["value"] for entry in known}
    return known + [
        {
            "line": line,
            "value": value,
            "author": study.report.owner,
            "at": at,
            "after_results": stages.get(line.partition(".")[0], {}).get("state") == "complete",
        }
        for line, value in declared_lines(study).items()
        if line not in latest or latest[line] != value
    ]
