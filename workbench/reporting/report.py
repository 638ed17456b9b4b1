"""The reports of a run: sources copied, numbers and figures written beside them, documents rendered."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from workbench.errors import RunError
from workbench.outlines import OUTLINES
from workbench.packs import FOLDER
from workbench.params import ROOT, STAGES, Study
from workbench.reporting import evidence
from workbench.reporting.content import TABLES
from workbench.reporting.figures import FIGURES, reads
from workbench.reporting.letter_samples import READS, letter_samples
from workbench.reporting.open_items import open_items, out_of_time
from workbench.reporting.outline_pages import outline_pages
from workbench.reporting.render import Renderer, render
from workbench.reporting.requirement_pages import MANIFEST, declared_on, requirement_pages
from workbench.reporting.writers import FORMATS, Format
from workbench.requirements import EVIDENCE
from workbench.run import Run, describe_artifact
from workbench.store import digest, digest_files, write_whole

DOCUMENTS = {
    "model_risk": "The model-risk report",
    "fair_lending": "The fair-lending report",
    "model_card": "The model card",
    "validation": "The independent validation",
    "monitoring": "The monitoring report",
    "ai_act_annex_iv": "The technical documentation under Annex IV of the AI Act",
}
"""The Quarto projects in reports/, each a document of its own over the same numbers, tables and figures."""
STAGE = "report"


def make_report(
    run: Run, *, formats: Sequence[Format] = ("html", "pdf"), renderer: Renderer = "auto"
) -> list[Path]:
    """Render the reports of a complete run and record their documents in the manifest.

    Raises RunError when a stage is not complete or an artifact damaged, RenderError when a source is wrong.
    """
    manifest, study = run.manifest, run.study
    _require_complete(manifest)
    folder = run.folder / STAGE / "source"
    shutil.rmtree(folder, ignore_errors=True)
    sources = [_copy_sources(name, folder) for name in DOCUMENTS]
    _write_numbers(run, study, manifest, sources)
    documents = []
    with ThreadPoolExecutor() as pool:
        rendered = list(pool.map(partial(render, formats=formats, renderer=renderer), sources))
    for made in (one for several in rendered for one in several):
        document = run.folder / STAGE / made.name
        write_whole(document, lambda path, made=made: shutil.copyfile(made, path))  # type: ignore[misc]
        made.unlink()
        documents.append(document)
    inputs = report_inputs(manifest, renderer)
    run.update(lambda values: _record(values, run.folder, documents, inputs))
    return documents


def report_inputs(manifest: Mapping[str, Any], renderer: Renderer) -> str:
    """Return one digest of all that the report's bytes depend on."""
    read = {name: manifest["artifacts"].get(name, {}).get("sha256") for name in _reads()}
    files = [*(ROOT / "reports").rglob("*"), *(ROOT / "workbench" / "reporting").rglob("*")]
    files += [EVIDENCE, OUTLINES, *FOLDER.glob("*.yaml")]
    code = digest_files([path for path in files if path.is_file() and path.suffix != ".pyc"], ROOT)
    about = [
        manifest[key]
        for key in ("run_id", "created", "params_sha256", "packages", "code", "engine", "sources")
    ]
    return digest(read, code, about, declared_on(manifest), renderer, shutil.which("quarto") or "")


def is_current(run: Run, formats: Sequence[Format], renderer: Renderer) -> bool:
    """Return whether the documents asked for are there and nothing they depend on changed."""
    manifest = run.manifest
    known = manifest.get("report", {})
    there = all(path.is_file() for path in _places(run, formats))
    return (
        there
        and known.get("inputs") == report_inputs(manifest, renderer)
        and set(formats) <= set(known["formats"])
    )


def number_faults(run: Run) -> list[str]:
    """Return the documents of a run whose numbers or tables are not what its facts and artifacts say."""
    folder = run.folder / STAGE / "source"
    there = [name for name in DOCUMENTS if (folder / name).is_dir()]
    wanted = {"_variables.yml": _variables(run)} if there else {}
    wanted |= {f"_generated/{name}.md": page for name, page in printed_pages(run).items()} if there else {}
    return [
        f"report/{name}: {', '.join(wrong)} is not what the run says now; render it with workbench report"
        for name in there
        if (wrong := [file for file, text in wanted.items() if _differs(folder / name / file, text)])
    ]


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text


def printed_pages(run: Run) -> dict[str, str]:
    """Return what the documents include of a run by name: tables and lists in Markdown, after suppression."""
    return _pages(run, run.study, run.manifest, _frames(run))


def documents_of(run: Run) -> list[Path]:
    """Return the documents of the run that are there."""
    return [path for path in _places(run, FORMATS) if path.is_file()]


def _places(run: Run, formats: Sequence[Format]) -> list[Path]:
    return [run.folder / STAGE / f"{document}.{name}" for document in DOCUMENTS for name in formats]


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


def _variables(run: Run) -> str:
    """Return what the shortcodes of the documents stand for."""
    values = evidence.variables(run.facts(), run.study, run.manifest)
    return yaml.safe_dump(values, sort_keys=True, allow_unicode=True)


def _write_numbers(run: Run, study: Study, manifest: Mapping[str, Any], sources: Sequence[Path]) -> None:
    """Write facts, tables and figures into each project, so that each can be rendered by itself."""
    text, frames = _variables(run), _frames(run)
    pages = _pages(run, study, manifest, frames)
    drawn = {name: figure.draw(frames[figure.artifact], study).svg() for name, figure in FIGURES.items()}
    for source in sources:
        (source / "_variables.yml").write_text(text, encoding="utf-8")
        (source / "_generated").mkdir()
        (source / "figures").mkdir()
        for name, shown in pages.items():
            (source / "_generated" / f"{name}.md").write_text(shown, encoding="utf-8")
        for name, svg in drawn.items():
            (source / "figures" / f"{name}.svg").write_bytes(svg)


def _frames(run: Run) -> dict[str, pl.DataFrame]:
    return {name: pl.read_parquet(run.checked_path(name)) for name in _tables_read()}


def _pages(
    run: Run, study: Study, manifest: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]
) -> dict[str, str]:
    return _tables(frames, study.report.suppress_below) | _others(run.facts(), study, manifest, frames)


def _tables(frames: Mapping[str, pl.DataFrame], below: int) -> dict[str, str]:
    """Return each chapter's tables, and those that are too long for a chapter as one page, `all_rows`."""
    pages, whole = {}, []
    for name, table in TABLES.items():
        rows = table.rows(frames[table.artifact], suppress_below=below)
        long = table.is_long(rows)
        pages[name] = table.markdown(table.brief(rows) if long else rows, suppress_below=below)
        if long:
            shown = table.markdown(rows, suppress_below=below)
            whole.append(f"::: {{#tbl-all-{name.replace('_', '-')}}}\n{shown}\n{table.whole}.\n:::\n")
    return pages | {"all_rows": "\n".join(whole) or "The tables of the chapters have every row.\n"}


def _others(
    facts: list[dict[str, Any]], study: Study, manifest: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]
) -> dict[str, str]:
    below, documents = study.report.suppress_below, [f"{STAGE}/{name}.html" for name in DOCUMENTS]
    return {
        "lines": evidence.lines_table(facts, suppress_below=below),
        "fairness_lines": evidence.lines_table(
            (fact for fact in facts if fact["id"].startswith("fairness.")), suppress_below=below
        ),
        "card_lines": evidence.lines_table(
            (fact for fact in facts if fact["id"].startswith(("validation.", "monitoring."))),
            suppress_below=below,
        ),
        "open_items": open_items(facts, study, frames),
        "out_of_time": out_of_time(frames["data/samples_table"], study),
        "sample_letters": letter_samples(frames, study, manifest),
        "limits": evidence.limits_list(study),
        "sources": evidence.sources_table(study, manifest),
        "facts": evidence.facts_table(facts, suppress_below=below),
        "artifacts": evidence.artifacts_table(manifest, suppress_below=below),
        "parameters": evidence.parameters_table(study),
        "packages": evidence.packages_table(manifest),
        **requirement_pages(study, manifest, facts, documents),
        **outline_pages(study, facts, {*manifest["artifacts"], *documents, MANIFEST}),
    }


def _reads() -> list[str]:
    return [*_tables_read(), *(f"{stage}/facts" for stage in STAGES)]


def _tables_read() -> list[str]:
    return sorted({*reads(), *READS})


def _record(manifest: dict[str, Any], folder: Path, documents: list[Path], inputs: str) -> None:
    known = manifest.get("report", {})
    kept = known.get("formats", []) if known.get("inputs") == inputs else []
    formats = sorted({*kept, *(path.suffix[1:] for path in documents)})
    manifest["report"] = {"inputs": inputs, "formats": formats}
    for path in documents:
        manifest["artifacts"][f"{STAGE}/{path.name}"] = describe_artifact(
            path, folder, STAGE, "document", unit="document", key=[], about=DOCUMENTS[path.stem]
        )
