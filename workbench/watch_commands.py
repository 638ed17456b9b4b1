"""The command that monitors a model in use, batch after batch."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

import typer

from workbench.commands import RunArgument, formats_of
from workbench.errors import ParamsError
from workbench.params import ROOT
from workbench.progress import console, counted
from workbench.run import Run, run_folder

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


def monitor(
    run: RunArgument,
    batch: Annotated[
        Path,
        typer.Option(help="Parquet: applicant_id, features; and vintage, groups, default, overridden"),
    ],
    name: Annotated[str, typer.Option(help="of the batch, such as 2026-11; the file's if left out")] = "",
    decisions: Annotated[
        Path | None, typer.Option(help="what was decided: of workbench score, or workbench decisions")
    ] = None,
    labels: Annotated[Path | None, typer.Option(help="Parquet: applicant_id, default")] = None,
    requests: Annotated[
        Path | None, typer.Option(help="requests without a decision: of workbench decisions")
    ] = None,
    corrects: Annotated[
        bool, typer.Option("--corrects", help="other contents under a known name are a new version")
    ] = False,
    history: Annotated[
        Path | None, typer.Option(help="DuckDB file; monitoring/<run>.duckdb if left out")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="folder of the reports; monitoring/<run> if left out")
    ] = None,
    to: Annotated[str, typer.Option(help="formats of the report: html, pdf, docx")] = "html,pdf",
) -> None:
    """Judge a batch against the run that made the model, keep it in the history, and report; again changes
    nothing."""
    from workbench.watch.inputs import BatchFiles
    from workbench.watch.monitoring import monitor_batch

    opened = Run.open(run_folder(run))
    called = name or batch.stem
    if not re.fullmatch(_NAME, called):
        raise ParamsError(
            f"--name {called}: no name for a batch", ["letters, digits, dots, - and _, at most 64"]
        )
    place = ROOT / "monitoring"
    with counted("steps", 4) as progress:
        found = monitor_batch(
            opened,
            BatchFiles(batch, decisions, labels, requests),
            name=called,
            corrects=corrects,
            history=history or place / f"{opened.run_id}.duckdb",
            out=out or place / opened.run_id,
            formats=formats_of(to),
            threads=os.cpu_count() or 1,
            progress=progress,
        )
    state = "recorded" if found.recorded.is_new else "known already, nothing changed"
    console.print(f"batch {called}, version {found.recorded.version}: {state}", markup=False)
    for note in found.notes:
        console.print(note, soft_wrap=True, markup=False)
    for row in found.alerts.iter_rows(named=True):
        owner, value = row["owner"] or "owner not named", f"{row['value']:.4g}"
        told = f"{row['severity']}: {row['trigger']} ({row['of']}) {value}; {row['response']}; {owner}"
        console.print(told, soft_wrap=True, markup=False)
    why = "; ".join(found.evidence)
    console.print(f"recommended: {found.action}: {why}", soft_wrap=True, markup=False)
    for document in found.documents:
        console.print(str(document), soft_wrap=True, markup=False)
