"""The commands about people: what one is told, what all are told, and how their data leave a run."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from workbench.errors import ParamsError
from workbench.progress import console
from workbench.run import Run, run_folder
from workbench.store import write_whole

RunArgument = Annotated[Path, typer.Argument(help="run folder, or the name of a run in runs/")]


def explain(
    run: RunArgument,
    applicant: Annotated[str, typer.Option(help="the applicant's id as it is in the source")],
    out: Annotated[Path | None, typer.Option(help="page to write; <pseudonym>.html if left out")] = None,
) -> None:
    """Write the page of one applicant: score, reasons, what would have changed it, and the data used."""
    from workbench.reporting.people import explain as page_of
    from workbench.retention import applicant_in_run

    opened = Run.open(run_folder(run))
    person = applicant_in_run(opened, applicant, "")
    page, path = page_of(opened, person), out or Path(f"{person}.html")
    write_whole(path, lambda temporary: temporary.write_text(page, encoding="utf-8"))
    console.print(str(path), soft_wrap=True, markup=False)


def letters(
    run: RunArgument,
    notice: Annotated[str, typer.Option(help="whose letter: us, eu, uk, india or kenya")],
    out: Annotated[Path, typer.Option(help="a folder outside the run; what it holds is personal")],
    language: Annotated[str, typer.Option(help="one of explanation.languages")] = "en",
    to: Annotated[str, typer.Option(help="formats, separated by commas")] = "html,pdf",
    decided_on: Annotated[
        str, typer.Option("--on", help="YYYY-MM-DD of the decisions; the day of the run if left out")
    ] = "",
    fonts: Annotated[Path | None, typer.Option(help="folder with fonts that the PDF needs")] = None,
    most: Annotated[int, typer.Option(min=0, help="write so many; 0 writes all")] = 0,
) -> None:
    """Write a letter with the reasons for everybody of the holdout sample who was not approved."""
    from workbench.reporting.people import run_letters

    opened = Run.open(run_folder(run))
    day = day_of("--on", decided_on or opened.manifest["created"])
    made = run_letters(
        opened,
        out,
        notice=notice,
        language=language,
        decided_on=day,
        formats=formats_of(to, ("html", "pdf")),
        fonts=[fonts] if fonts else [],
        most=most,
    )
    console.print(f"{out}: {len({path.stem for path in made})} letter(s)", soft_wrap=True, markup=False)


def purge(run: RunArgument) -> None:
    """Remove the row-level data of a run and keep the evidence: tables, facts, models, documents, hashes."""
    from workbench.retention import purge as purge_run

    removed = purge_run(Run.open(run_folder(run)), datetime.now(UTC).date())
    for artifact, rows, size in removed.select("artifact", "rows", "bytes").iter_rows():
        console.print(f"{artifact}: {rows or 0:,} rows, {size:,} bytes", soft_wrap=True, markup=False)
    console.print(f"{removed.height} row-level artifacts removed; the evidence is kept")


def forget(
    run: RunArgument, applicant: Annotated[str, typer.Option(help="the id in the source's own form")]
) -> None:
    """Remove one person from a run's row-level data, and say what has to be made again."""
    from workbench.retention import forget as forget_applicant

    forgotten = forget_applicant(Run.open(run_folder(run)), applicant)
    for artifact, rows in forgotten.removed.select("artifact", "rows").iter_rows():
        console.print(f"{artifact}: {rows:,} rows removed", soft_wrap=True, markup=False)
    for text in (*(f"to be made again: {name}" for name in forgotten.retrain), *forgotten.notes):
        console.print(text, soft_wrap=True, markup=False)


@contextmanager
def interruptible() -> Iterator[None]:
    """Turn Ctrl-C into one line and exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise typer.Exit(130) from None


def formats_of(to: str, known: Sequence[str] = ("html", "pdf", "docx")) -> tuple[Any, ...]:
    """Return the formats of a list with commas; raises ParamsError for one that is not there."""
    formats = tuple(part.strip() for part in to.split(","))
    if wrong := [name for name in formats if name not in known]:
        raise ParamsError(f"--to {to}: unknown format {', '.join(wrong)}", [f"formats: {', '.join(known)}"])
    return formats


def day_of(option: str, text: str) -> date:
    """Return the day that an option names; raises ParamsError for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ParamsError(f"{option} {text}: no day", ["YYYY-MM-DD is right"]) from None
