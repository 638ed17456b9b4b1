"""The monitoring report of a batch: one Quarto project, filled from the history alone."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import polars as pl
import yaml

from workbench.monitoring.indices import STABLE
from workbench.params import ROOT
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.render import render
from workbench.reporting.tables import format_number
from workbench.reporting.writers import Format
from workbench.store import write_whole
from workbench.watch.charts import trend
from workbench.watch.history import History, Recorded
from workbench.watch.pages import INDICES_SHOWN, pages, trend_rows
from workbench.watch.reference import Reference

PROJECT = ROOT / "reports" / "batch"
ABSENT = {
    "performance": "outcomes",
    "fairness": "groups",
    "service": "the service's times and failures",
    "people": "people's overrides",
}


def write_document(
    recorded: Recorded, history: History, reference: Reference, folder: Path, *, formats: Sequence[Format]
) -> list[Path]:
    """Write the report of a version of a batch; the same version gives the same bytes whatever came after
    it."""
    numbers = history.valid(recorded.number)
    trending = trend_rows(history, numbers)
    study = reference.study
    with tempfile.TemporaryDirectory() as scratch:
        project = Path(scratch) / PROJECT.name
        shutil.copytree(PROJECT, project)
        shutil.copytree(ROOT / "reports" / "theme", project, dirs_exist_ok=True)
        for name in ("_generated", "figures"):
            (project / name).mkdir()
        for name, text in pages(recorded, history, reference, trending).items():
            (project / "_generated" / f"{name}.md").write_text(text, encoding="utf-8")
        drawn = trend(trending, lines=study.monitoring.stability_lines, auc_line=study.monitoring.auc_line)
        (project / "figures" / "trend.svg").write_bytes(drawn.svg())
        told = yaml.safe_dump({"batch": _variables(recorded, history, reference)}, allow_unicode=True)
        (project / "_variables.yml").write_text(told, encoding="utf-8")
        made = render(project, formats=formats)
        targets = [folder / f"{recorded.name}-v{recorded.version}{path.suffix}" for path in made]
        for source, target in zip(made, targets, strict=True):
            write_whole(target, partial(shutil.copyfile, source))
    return targets


def _variables(recorded: Recorded, history: History, reference: Reference) -> dict[str, str]:
    about = history.about(recorded.number)
    alerts, indices = (history.table(table, recorded.number) for table in ("alerts", "indices"))
    measures = history.table("measures", recorded.number)
    evidence = "; ".join(json.loads(about["evidence"]))
    severity = dict(alerts.group_by("severity").len().iter_rows())
    study = reference.study
    return {
        "name": escape_markdown(f"{recorded.name}, version {recorded.version}"),
        "date": recorded.recorded_at,
        "run": escape_markdown(about["run"]),
        "notice": escape_markdown(study.report.notice) or "–",
        "action": about["action"],
        "evidence": evidence[:1].upper() + evidence[1:] + ".",
        "acts": str(severity.get("act", 0)),
        "watches": str(severity.get("watch", 0)),
        "notices": str(severity.get("notice", 0)),
        "unowned": str(alerts["owner"].null_count()),
        "false_alarms": format_number(study.monitoring.false_alarms, "share"),
        "drift": _drift(indices),
        "indices_left": str(max(indices.height - INDICES_SHOWN, 0)),
        "reason_shift": _reason_shift(measures),
        "absent": _absent(measures),
    }


def _drift(indices: pl.DataFrame) -> str:
    beyond = indices.filter(pl.col("state") != STABLE)
    score = "score" in beyond["feature"].to_list()
    features = beyond.height - score
    told = "beyond" if score else "within"
    return f"The score is {told} what chance alone explains; features beyond it: {features}."


def _reason_shift(measures: pl.DataFrame) -> str:
    found = measures.filter(measure="first_reason_shift")
    if not found.height:
        return "There are too few to compare the mix."
    value, p_value = found.select("value", "p_value").row(0)
    told = format_number(p_value, "", 4) if p_value is not None else "undefined"
    return f"Stability index of the mix: {format_number(value, '', 4)}; p-value for no difference: {told}."


def _absent(measures: pl.DataFrame) -> str:
    there = set(measures["section"])
    absent = [text for section, text in ABSENT.items() if section not in there]
    return (
        f"This batch tells nothing of: {', '.join(absent)}."
        if absent
        else "Every part of the plan has data in this batch."
    )
