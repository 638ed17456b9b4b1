"""The reports of a run: sources copied, numbers and figures written beside them, documents rendered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from workbench.errors import RunError
from workbench.finding_rules import RULES
from workbench.outlines import OUTLINES
from workbench.packs import FOLDER
from workbench.params import ROOT, STAGES, Study
from workbench.reporting.disclosure import shown_frames
from workbench.reporting.documents import DOCUMENTS, STAGE, places_of
from workbench.reporting.figures import FIGURES, reads
from workbench.reporting.pages import TABLES_READ, printed_pages, variables_text
from workbench.reporting.render import Renderer, render
from workbench.reporting.requirement_pages import declared_on
from workbench.reporting.run_findings import REGISTER, findings_of, record_findings
from workbench.reporting.writers import Format
from workbench.requirements import EVIDENCE
from workbench.run import Run, describe_artifact
from workbench.store import digest, digest_files, write_json, write_whole

RECORDS = {"findings": "Findings with their state", "requirements": "Evidence matrix"}


def make_report(
    run: Run, *, formats: Sequence[Format] = ("html", "pdf"), renderer: Renderer = "auto"
) -> list[Path]:
    """Render the reports of a complete run and record their documents in the manifest.

    Raises RunError when a stage is not complete or an artifact damaged, RenderError when a source is wrong.
    """
    manifest = run.manifest
    _require_complete(manifest)
    folder = run.folder / STAGE / "source"
    shutil.rmtree(folder, ignore_errors=True)
    record_findings(run, datetime.now(UTC).date())
    sources = [_copy_sources(name, folder) for name in DOCUMENTS]
    _write_numbers(run, sources)
    documents = []
    with ThreadPoolExecutor() as pool:
        rendered = list(pool.map(partial(render, formats=formats, renderer=renderer), sources))
    for made in (one for several in rendered for one in several):
        document = run.folder / STAGE / made.name
        write_whole(document, lambda path, made=made: shutil.copyfile(made, path))  # type: ignore[misc]
        made.unlink()
        documents.append(document)
    inputs, records = report_inputs(run, renderer), _write_records(run)
    run.update(lambda values: _record(values, run.folder, documents, records, inputs))
    return documents


def _write_records(run: Run) -> list[Path]:
    """Write what gates read beside the documents: findings and evidence matrix, as JSON."""
    records = findings_of(run).records()
    for name, values in records.items():
        write_json(run.folder / STAGE / f"{name}.json", values)
    return [run.folder / STAGE / f"{name}.json" for name in records]


def report_inputs(run: Run, renderer: Renderer) -> str:
    """Return one digest of all that the report's bytes depend on."""
    manifest = run.manifest
    read = {name: manifest["artifacts"].get(name, {}).get("sha256") for name in _reads()}
    files = [*(ROOT / "reports").rglob("*"), *(ROOT / "workbench" / "reporting").rglob("*")]
    files += [EVIDENCE, OUTLINES, RULES, *FOLDER.glob("*.yaml"), *_said(run.study)]
    code = digest_files([path for path in files if path.is_file() and path.suffix != ".pyc"], ROOT)
    about = [
        manifest[key]
        for key in ("run_id", "created", "params_sha256", "packages", "code", "engine", "sources")
    ]
    registers = [declared_on(manifest), manifest.get(REGISTER, [])]
    return digest(read, code, about, registers, renderer, shutil.which("quarto") or "")


def _said(study: Study) -> list[Path]:
    """Return the files in which people said something of the study."""
    report = study.report
    own = [ROOT / report.findings_from] if report.findings_from else []
    return [*own, *((ROOT / report.statements_from).glob("*.md") if report.statements_from else [])]


def is_current(run: Run, formats: Sequence[Format], renderer: Renderer) -> bool:
    """Return whether the documents asked for are there and nothing they depend on changed."""
    manifest = run.manifest
    known = manifest.get("report", {})
    there = all(path.is_file() for path in places_of(run, formats))
    return (
        there
        and known.get("inputs") == report_inputs(run, renderer)
        and set(formats) <= set(known["formats"])
    )


def _require_complete(manifest: Mapping[str, Any]) -> None:
    states = {stage: manifest["stages"].get(stage, {}).get("state", "not run") for stage in STAGES}
    faults = [f"{stage}: {state}" for stage, state in states.items() if state != "complete"]
    if faults:
        raise RunError("the report needs every stage complete", [*faults, "run: workbench run STUDY"])


def _copy_sources(name: str, folder: Path) -> Path:
    """Copy the project of a document, and what all of them share, into a folder of its name."""
    source = folder / name
    shutil.copytree(ROOT / "reports" / name, source)
    shutil.copytree(ROOT / "reports" / "theme", source, dirs_exist_ok=True)
    return source


def _write_numbers(run: Run, sources: Sequence[Path]) -> None:
    """Write facts, tables and figures into each project, so that each can be rendered by itself."""
    text, pages, study = variables_text(run), printed_pages(run), run.study
    frames = shown_frames(run, {figure.artifact for figure in FIGURES.values()})
    drawn = {name: figure.draw(frames[figure.artifact], study).svg() for name, figure in FIGURES.items()}
    for source in sources:
        (source / "_variables.yml").write_text(text, encoding="utf-8")
        (source / "_generated").mkdir()
        (source / "figures").mkdir()
        for name, shown in pages.items():
            (source / "_generated" / f"{name}.md").write_text(shown, encoding="utf-8")
        for name, svg in drawn.items():
            (source / "figures" / f"{name}.svg").write_bytes(svg)


def _reads() -> list[str]:
    return [*TABLES_READ, *reads(), *(f"{stage}/facts" for stage in STAGES)]


def _record(
    manifest: dict[str, Any], folder: Path, documents: list[Path], records: list[Path], inputs: str
) -> None:
    known = manifest.get("report", {})
    kept = known.get("formats", []) if known.get("inputs") == inputs else []
    formats = sorted({*kept, *(path.suffix[1:] for path in documents)})
    manifest["report"] = {"inputs": inputs, "formats": formats}
    for path in documents:
        manifest["artifacts"][f"{STAGE}/{path.name}"] = describe_artifact(
            path, folder, STAGE, "document", unit="document", key=[], about=DOCUMENTS[path.stem]
        )
    for path in records:
        manifest["artifacts"][f"{STAGE}/{path.stem}"] = describe_artifact(
            path, folder, STAGE, "record", unit="record", key=[], about=RECORDS[path.stem]
        )
