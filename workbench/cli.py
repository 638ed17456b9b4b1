"""The command line: run a study, render, verify and list runs, and say what this machine has."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workbench.commands import RunArgument, explain, forget, formats_of, interruptible, letters, purge
from workbench.errors import ParamsError, WorkbenchError, near_name
from workbench.evidence_commands import bundle, compare, findings, packs, sign, verify
from workbench.params import ROOT, STAGES, EngineName
from workbench.progress import (
    console,
    counted,
    facts_summary,
    progress_shown,
    runs_summary,
    times_summary,
)
from workbench.rollout_commands import compare_stages, promote, register, rollback, rollout
from workbench.run import Run, run_folder, runs_folder
from workbench.serving_commands import decisions, score, serve, triton
from workbench.sources import local_files
from workbench.study import load_study
from workbench.watch_commands import monitor

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)

RendererName = Literal["auto", "quarto", "embedded"]


@app.command()
def run(
    study: Annotated[Path, typer.Argument(help="a study, such as params/taiwan.yaml")],
    override: Annotated[list[str] | None, typer.Option("--set", help="a.b=v: change one parameter")] = None,
    only: Annotated[str | None, typer.Option(help="run this stage alone, even if nothing changed")] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="run this stage and those after it again")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=8, help="stages side by side")] = 2,
    engine: Annotated[EngineName | None, typer.Option(help="instead of the study's engine")] = None,
    renderer: Annotated[RendererName, typer.Option(help="who renders the report")] = "auto",
    run_id: Annotated[
        str | None, typer.Option(help="name of the run folder; the study's name if left out")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="folder that holds the runs")] = None,
    to: Annotated[str, typer.Option(help="formats of the documents: html, pdf, docx")] = "html,pdf",
) -> None:
    """Run a study from raw data to the report; what did not change is not run again."""
    from workbench.pipeline import run_stages

    overrides = [*(override or []), *([f"engine={engine}"] if engine else [])]
    checked = load_study(study, overrides)
    if run_id is not None and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", run_id):
        right = "letters, digits, dots, - and _; --runs names another folder"
        raise ParamsError(f"--run-id {run_id}: no name for a run folder", [right])
    choice, formats = _stages(only, start), formats_of(to)
    folder = (runs or runs_folder()) / (run_id or checked.study)
    with progress_shown() as progress, interruptible():
        passed = run_stages(
            checked, folder, stages=choice.stages, force=choice.force, jobs=jobs, progress=progress
        )
        begun = time.time()
        documents = [] if only else _report(passed.run, formats, renderer, progress)
    facts_summary(passed.run)
    remote = [name for name, source in checked.data.sources.items() if not local_files(source, ROOT)]
    if remote and "data" in choice.stages and "data" not in choice.force:
        console.print(f"by URL or query, looked at again with --from data: {', '.join(remote)}", markup=False)
    times_summary(passed.run, [*passed.work, (begun, time.time())])
    for document in documents:
        console.print(str(document), soft_wrap=True, markup=False)


@app.command()
def report(
    run: RunArgument,
    to: Annotated[str, typer.Option(help="formats: html, pdf, docx")] = "html,pdf",
    renderer: Annotated[RendererName, typer.Option(help="who renders")] = "auto",
) -> None:
    """Render the report of a complete run again."""
    formats = formats_of(to)
    opened = Run.open(run_folder(run))
    with opened.lock(), progress_shown() as progress:
        documents = _report(opened, formats, renderer, progress, force=True)
    for document in documents:
        console.print(str(document), soft_wrap=True)


@app.command()
def new(
    study: Annotated[str, typer.Argument(help="name of the study: a-z, 0-9, - and _")],
    table: Annotated[str, typer.Option("--from", help="CSV, Parquet or JSON lines: file, glob or URL")],
    target: Annotated[str, typer.Option(help="column of the outcome: 1 bad, 0 good")],
    applicant_id: Annotated[str, typer.Option("--id", help="column of the applicant's id")] = "",
    application_time: Annotated[str, typer.Option("--time", help="column of the application time")] = "",
    protected: Annotated[str, typer.Option(help="columns, separated by commas; beside the guesses")] = "",
    encoding: Annotated[str, typer.Option(help="of text, such as cp1252")] = "utf-8",
    out: Annotated[Path | None, typer.Option(help="file to write; params/STUDY.yaml if left out")] = None,
) -> None:
    """Write a first study from a table of applicants, for you to correct."""
    from workbench.template import KEY, write_study

    made = write_study(
        study,
        table,
        target=target,
        applicant_id=applicant_id,
        application_time=application_time,
        protected=[part.strip() for part in protected.split(",") if part.strip()],
        encoding=encoding,
        out=out,
    )
    lines = [f"{made.path}: {made.checks} lines are marked check: read and correct it"]
    if made.needs_key:
        lines.append(
            f"ids are text or personal; make a key once and keep it: export {KEY}=$(openssl rand -hex 32)"
        )
    lines.append(f"then: workbench run {made.path} --only data")
    for line in lines:
        console.print(line, soft_wrap=True, markup=False)


@app.command()
def synth(
    applicants: Annotated[int, typer.Option(help="how many applications")],
    out: Annotated[Path, typer.Option(help="an empty or new folder")],
    seed: Annotated[int, typer.Option(help="of every draw")] = 1,
    chunk: Annotated[int, typer.Option(help="applicants in a file; changes no row")] = 50_000,
    jobs: Annotated[int, typer.Option(help="processes; changes no row")] = 2,
) -> None:
    """Make a world whose truth is known: alternative data of applicants, with planted faults, in Parquet."""
    from workbench.world.write import write_world

    with counted("applicants", applicants) as advance, interruptible():
        folder = write_world(out, applicants=applicants, seed=seed, chunk=chunk, jobs=jobs, progress=advance)
    console.print(f"{folder}: the tables, and their truth in truth.json", soft_wrap=True, markup=False)


@app.command()
def runs(folder: Annotated[Path | None, typer.Option(help="folder that holds the runs")] = None) -> None:
    """List the runs with their study, state and report."""
    runs_summary(folder or runs_folder())


@app.command()
def doctor() -> None:
    """Say what this machine has, what is missing and how to get it."""
    from workbench.doctor import findings as of_machine

    for name, state, advice in of_machine():
        console.print(f"{name:<12} {state}", soft_wrap=True, markup=False)
        if advice:
            console.print(f"{'':<12}   {advice}", soft_wrap=True, markup=False)


for command in (
    explain,
    letters,
    purge,
    forget,
    packs,
    sign,
    bundle,
    compare,
    findings,
    verify,
    score,
    serve,
    decisions,
    triton,
    monitor,
    register,
    promote,
    compare_stages,
    rollback,
    rollout,
):
    app.command()(command)


def main() -> None:
    """Run the command line; a user's mistake or a full disk prints its text and exits with 1."""
    try:
        app()
    except WorkbenchError as error:
        print(error, file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        print(f"{error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)


@dataclass(frozen=True)
class _Choice:
    stages: tuple[str, ...]
    force: frozenset[str]


def _stages(only: str | None, start: str | None) -> _Choice:
    from workbench.pipeline import stages_after

    for option, name in (("--only", only), ("--from", start)):
        if name is not None and name not in STAGES:
            right = f"stages: {', '.join(STAGES)}"
            raise ParamsError(f"{option} {name}: no such stage{near_name(name, STAGES)}", [right])
    if only and start:
        raise ParamsError("--only and --from: received both; one of them is right")
    if only:
        return _Choice((only,), frozenset({only}))
    return _Choice(STAGES, frozenset(stages_after(start)) if start else frozenset())


def _report(run: Run, formats: Any, renderer: RendererName, progress: Any, force: bool = False) -> list[Path]:
    from workbench.reporting.documents import documents_of
    from workbench.reporting.report import is_current, make_report

    if not force and is_current(run, formats, renderer):
        progress.ended("report", 0.0, "unchanged")
        return documents_of(run)
    progress.started("report")
    begun = time.perf_counter()
    documents = make_report(run, formats=formats, renderer=renderer)
    progress.ended("report", time.perf_counter() - begun, "complete")
    return documents
