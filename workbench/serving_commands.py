"""The commands of the scorer in use: batches, the service, and the model repository of a GPU server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from workbench.engine import choose_engine
from workbench.errors import ParamsError
from workbench.progress import console, counted
from workbench.run import run_folder
from workbench.store import write_whole

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


def serve(
    scorer: Annotated[
        Path,
        typer.Argument(help="folder with deployment.json, run folder, name of a run, or a bundle's file"),
    ],
    log: Annotated[Path, typer.Option(help="the decision log; what it holds is personal")] = Path(
        "decisions.sqlite"
    ),
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65_535)] = 8000,
    token_variable: Annotated[
        str, typer.Option(help="environment variable that holds the token of the clients; empty: none")
    ] = "",
    certificate: Annotated[Path | None, typer.Option(help="TLS: certificate chain, PEM")] = None,
    key: Annotated[Path | None, typer.Option(help="TLS: private key, PEM")] = None,
    client_authority: Annotated[
        Path | None, typer.Option(help="mutual TLS: the authority of the clients' certificates, PEM")
    ] = None,
    in_flight: Annotated[
        int, typer.Option(min=1, help="most requests at once; more are told to come back")
    ] = 64,
    sha256: Annotated[str, typer.Option(help="the hash that the bundle must have")] = "",
) -> None:
    """Answer requests for decisions over HTTP; SIGHUP takes the bundles anew, SIGTERM ends in peace."""
    from workbench.serving.app import Limits
    from workbench.serving.decision_log import DecisionLog
    from workbench.serving.deployment import open_deployment
    from workbench.serving.server import Door
    from workbench.serving.server import serve as serve_at
    from workbench.serving.service import Service

    if token_variable and not os.environ.get(token_variable):
        raise ParamsError(f"--token-variable {token_variable}: is not set or empty", ["export it first"])
    token = os.environ.get(token_variable, "") if token_variable else ""
    door = Door(host, port, token, certificate, key, client_authority)
    door.check()
    folder = scorer if scorer.exists() else run_folder(scorer)
    open_deployment(folder, sha256=sha256)
    kept = DecisionLog(log)
    limits = Limits(in_flight=in_flight)
    serve_at(lambda: Service(lambda: open_deployment(folder, sha256=sha256), kept), door, limits=limits)


def decisions(
    log: Annotated[Path, typer.Argument(help="decision log of workbench serve")],
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Parquet file to write; none: check alone")
    ] = None,
    requests: Annotated[
        Path | None, typer.Option(help="Parquet file for the requests without decision")
    ] = None,
) -> None:
    """Check that no decision of a log was edited or is missing, and write them as tables for monitoring."""
    from workbench.serving.exporting import decision_rows, request_rows

    told = decision_rows(log)
    console.print(f"{log}: {told.height:,} decisions, none edited or missing", soft_wrap=True, markup=False)
    for path, table in ((out, told), (requests, request_rows(log) if requests else None)):
        if path is not None and table is not None:
            write_whole(path, table.write_parquet)
            console.print(f"{path}: {table.height:,} rows", soft_wrap=True, markup=False)


def triton(
    scorer: ScorerArgument,
    out: Annotated[Path, typer.Option("-o", "--out", help="folder of the model repository")],
) -> None:
    """Write the champion as a model repository of Triton's FIL backend, for scoring on a GPU server."""
    from workbench.serving.opening import open_bundle
    from workbench.serving.triton import export_repository

    console.print(str(export_repository(open_bundle(scorer), out)), soft_wrap=True, markup=False)
