"""What the documents include of a run: its numbers as variables, its tables and lists as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from workbench.params import Study
from workbench.reporting import evidence
from workbench.reporting.content import TABLES
from workbench.reporting.disclosure import shown_facts, shown_frames
from workbench.reporting.documents import DOCUMENTS, STAGE, names_in
from workbench.reporting.letter_samples import READS, letter_samples
from workbench.reporting.out_of_time import out_of_time
from workbench.reporting.outline_pages import outline_pages
from workbench.reporting.requirement_pages import requirement_pages
from workbench.reporting.run_findings import findings_of
from workbench.run import Run

TABLES_READ = sorted({table.artifact for table in TABLES.values()} | {*READS})


def variables_text(run: Run) -> str:
    """Return what the shortcodes of the documents stand for, as YAML."""
    values = evidence.variables(shown_facts(run), run.study, run.manifest)
    return yaml.safe_dump(values, sort_keys=True, allow_unicode=True)


def printed_pages(run: Run) -> dict[str, str]:
    """Return what the documents include of a run by name: tables and lists in Markdown, after suppression."""
    study, frames = run.study, shown_frames(run, TABLES_READ)
    pages = _tables(frames, study.report.suppress_below)
    findings = findings_of(run)
    return pages | _others(shown_facts(run), study, run.manifest, frames, findings.matrix) | findings.pages()


def number_faults(run: Run) -> list[str]:
    """Return the documents of a run whose numbers or tables are not what its facts and artifacts say."""
    folder = run.folder / STAGE / "source"
    there = [name for name in DOCUMENTS if (folder / name).is_dir()]
    if not there:
        return []
    wanted = {f"_generated/{name}.md": page for name, page in printed_pages(run).items()}
    wanted["_variables.yml"] = variables_text(run)
    return [
        f"report/{name}: {', '.join(wrong)} is not what the run says now; render it with workbench report"
        for name in there
        if (wrong := [file for file, text in wanted.items() if _differs(folder / name / file, text)])
    ]


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
    facts: list[dict[str, Any]],
    study: Study,
    manifest: Mapping[str, Any],
    frames: Mapping[str, pl.DataFrame],
    matrix: pl.DataFrame,
) -> dict[str, str]:
    below = study.report.suppress_below
    return {
        "lines": evidence.lines_table(facts, suppress_below=below),
        "fairness_lines": evidence.lines_table(
            (fact for fact in facts if fact["id"].startswith("fairness.")), suppress_below=below
        ),
        "card_lines": evidence.lines_table(
            (fact for fact in facts if fact["id"].startswith(("validation.", "monitoring."))),
            suppress_below=below,
        ),
        "out_of_time": out_of_time(frames["data/samples_table"], study),
        "sample_letters": letter_samples(frames, study, manifest),
        "limits": evidence.limits_list(study),
        "sources": evidence.sources_table(study, manifest),
        "facts": evidence.facts_table(facts, suppress_below=below),
        "artifacts": evidence.artifacts_table(manifest, suppress_below=below),
        "parameters": evidence.parameters_table(study),
        "packages": evidence.packages_table(manifest),
        **requirement_pages(study, manifest, facts, matrix),
        **outline_pages(study, facts, names_in(manifest)),
    }


def _differs(path: Path, text: str) -> bool:
    return not path.is_file() or path.read_text(encoding="utf-8") != text
