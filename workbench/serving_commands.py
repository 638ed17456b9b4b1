"""The commands of the scorer in use: batches, the service, and the model repository of a GPU server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.engine import choose_engine
from workbench.errors import ParamsError
from workbench.progress import console, counted

ScorerArgument = Annotated[
    Path, typer.Argument(help="run folder, name of a run in runs/, or a scoring bundle's file")
]
EngineChoice = Literal["cpu", "dask"]


def score(
    scorer: ScorerArgument,
    inputs: Annotated[
        list[Path], typer.Argument(help="Parquet files, or folders of them, with applicant_id and features")
    ],
    out: Annotated[
        Path, typer.Option("-o", "--out", help="folder for the decisions; what it holds is personal")
    ],
    name: Annotated[str, typer.Option(help="name of the batch; the folder's if left out")] = "",
    reasons: Annotated[bool, typer.Option(help="with the reasons of those not approved")] = True,
    engine: Annotated[EngineChoice, typer.Option(help="cpu, or dask for many machines")] = "cpu",
    scheduler: Annotated[str, typer.Option(help="address of a Dask scheduler; empty: one here")] = "",
    part_rows: Annotated[int, typer.Option(min=1_000, max=10_000_000, help="rows of a part")] = 250_000,
    sha256: Annotated[str, typer.Option(help="the hash that the bundle must have")] = "",
) -> None:
    """Score a batch of any size; the same command goes on where a killed one stopped."""
    from workbench.serving.batch import score_batch
    from workbench.serving.opening import open_bundle

    if out.is_file():
        raise ParamsError(f"--out {out}: is a file", ["name a folder"])
    opened = open_bundle(scorer, sha256=sha256)
    chosen = choose_engine(engine, scheduler)
    with counted("parts", 1) as progress:
        done = score_batch(
            opened,
            inputs,
            out,
            name=name or out.resolve().name,
            engine=chosen,
            reasons=reasons,
            part_rows=part_rows,
            progress=progress,
        )
    about = done.about
    told = ", ".join(f"{count:,} {outcome}" for outcome, count in about["decisions"].items() if count)
    console.print(
        f"{done.folder}: {done.rows:,} applicants: {told or 'nobody'}", soft_wrap=True, markup=False
    )
    if done.resumed:
        console.print(f"{done.resumed} part(s) were there already", markup=False)
    if about["repeated_ids"]:
        console.print(f"{about['repeated_ids']:,} rows repeat an applicant_id", markup=False)
    flags = [f"{count:,} {flag}" for flag, count in about["flags"].items() if count]
    console.print(
        f"flags: {', '.join(flags) or 'none'}; bundle {opened.sha256[:16]}", soft_wrap=True, markup=False
    )
