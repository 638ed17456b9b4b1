"""The commands of a rollout: register, promote, compare, roll back, and show where every version is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
import typer
from rich.markup import escape
from rich.table import Table

from workbench.commands import RunArgument
from workbench.errors import ParamsError, RolloutError
from workbench.progress import console
from workbench.run import MANIFEST, Run, run_folder
from workbench.store import sha256

if TYPE_CHECKING:
    from workbench.rollout.history import Change
    from workbench.rollout.registry import Registry, Version

RegistryOption = Annotated[
    str, typer.Option(help="sqlite:///folder/registry.db or a tracking server; rollout/ if left out")
]
ModelOption = Annotated[str, typer.Option(help="name of the model, its study; the only one if left out")]
ApproverOption = Annotated[str, typer.Option(help='who answers for it: "Name, role"')]
WhyOption = Annotated[str, typer.Option(help="the reason, as it will be read")]
DeploymentOption = Annotated[
    Path | None, typer.Option(help="folder that a scoring server reads; written anew")
]


def register(
    run: RunArgument,
    registry: RegistryOption = "",
    documents: Annotated[bool, typer.Option("--documents", help="the documents of the report too")] = False,
) -> None:
    """Log a finished run and register its scoring bundle; the same bundle is the same version."""
    from workbench.rollout.registry import Registry

    version = Registry(registry).register(Run.open(run_folder(run)), documents=documents)
    console.print(
        f"{version.model} version {version.number}: bundle {version.sha256[:16]}, run {version.run}",
        soft_wrap=True,
        markup=False,
    )


def promote(
    what: Annotated[str, typer.Argument(help="run folder, name of a run in runs/, or a version's number")],
    to: Annotated[str, typer.Option(help="shadow, canary, champion or retired")],
    approver: ApproverOption = "",
    why: WhyOption = "",
    share: Annotated[float, typer.Option(help="of the applicants, for a canary, such as 0.05")] = 0.0,
    deployment: DeploymentOption = None,
    key: Annotated[
        Path | None, typer.Option(help="PEM file with a public key: a champion must be signed by it")
    ] = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
) -> None:
    """Bring a version to a stage, when its run passes the gates of that stage."""
    from workbench.rollout.history import Approver
    from workbench.rollout.promotion import Asked, promote
    from workbench.rollout.registry import Registry

    asked, opened = Asked(Approver.of(approver), why, deployment), Registry(registry)
    version, run = _meant(opened, what, model)
    done = promote(opened, version, asked, to=to, share=share, run=run, key=key)
    if done.gates:
        _table("Gates", ("gate", "needed", "found"), [(g.gate, g.needed, g.found) for g in done.gates])
    _told(version.model, done.changes, deployment)


def rollback(
    approver: ApproverOption = "",
    why: WhyOption = "",
    deployment: DeploymentOption = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
) -> None:
    """Make the previous champion champion again and withdraw the canary, at once."""
    from workbench.rollout.history import Approver
    from workbench.rollout.promotion import Asked, roll_back
    from workbench.rollout.registry import Registry, one_model

    asked, opened = Asked(Approver.of(approver), why, deployment), Registry(registry)
    name = one_model(opened, model)
    _told(name, roll_back(opened, name, asked).changes, deployment)


def rollout(
    registry: RegistryOption = "",
    model: ModelOption = "",
    deployment: Annotated[Path | None, typer.Option(help="folder to compare with the registry")] = None,
) -> None:
    """Show the versions of a model with their stages, its history, and whether a deployment follows it."""
    from workbench.rollout.deployment import read_deployment
    from workbench.rollout.history import CANARY, replay
    from workbench.rollout.promotion import deployment_of
    from workbench.rollout.registry import Registry, one_model

    opened = Registry(registry)
    name = one_model(opened, model)
    lines, versions = opened.history(name), opened.versions(name)
    state = replay(lines)
    shown = [
        (
            str(one.number),
            state.of(one.number) + (f" {state.share:g}" if state.of(one.number) == CANARY else ""),
            one.run,
            one.sha256[:16],
        )
        for one in versions
    ]
    _table(name, ("version", "stage", "run", "bundle"), shown)
    for line in lines:
        moved = [f"version {one.version} {one.before} to {one.after}" for one in line.changes]
        moved += [f"share {one.share:g}" for one in line.changes if one.share]
        moved += [f"{row['measure']} {row['verdict']}" for row in line.comparison.get("rows", [])]
        gates = [f"{len(line.gates)} gates met"] if line.gates else []
        who = [f"{line.name}, {line.role}: {line.why}"] if line.name else []
        told = "; ".join([", ".join(moved), *gates, *who])
        console.print(f"{line.number} {line.at} {line.kind}: {told}", soft_wrap=True, markup=False)
    if deployment and read_deployment(deployment) != deployment_of(name, versions, state):
        wrong = ["give the last promotion again with --deployment to write it"]
        raise RolloutError(f"{deployment}: is not what the registry says", wrong)


def compare_stages(
    decisions: Annotated[list[Path], typer.Argument(help="Parquet files of workbench decisions")],
    role: Annotated[Literal["shadow", "canary"], typer.Option(help="which of the two to compare")] = "canary",
    version: Annotated[int, typer.Option(help="the only one at that stage if left out")] = 0,
    alpha: Annotated[float, typer.Option(help="chance that anything said is ever wrong")] = 0.05,
    margin: Annotated[list[str] | None, typer.Option(help="measure=number, instead of its margin")] = None,
    registry: RegistryOption = "",
    model: ModelOption = "",
) -> None:
    """Compare a shadow or canary with the champion on decisions so far, and record it; look when you like."""
    from workbench.rollout.comparison import compare_arms, compare_paired
    from workbench.rollout.history import replay
    from workbench.rollout.promotion import champion_of, record_comparison
    from workbench.rollout.registry import Registry, one_model

    if not 0 < alpha < 0.5:
        raise ParamsError(f"--alpha {alpha:g}: between 0 and 0.5 is right")
    margins, opened = _margins(margin or []), Registry(registry)
    name = one_model(opened, model)
    state = replay(opened.history(name))
    found = [version] if version else state.at(role)
    if len(found) != 1:
        raise RolloutError(f"{name}: {len(found)} versions are {role}", ["name one with --version"])
    other, champion = opened.version(name, found[0]), champion_of(opened, name, state)
    try:
        table = pl.concat([pl.read_parquet(path) for path in decisions], how="diagonal_relaxed")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ParamsError("decisions: not readable as Parquet", [str(error).splitlines()[0]]) from None
    how = compare_arms if role == "canary" else compare_paired
    tables = {f"{at} {path.name}": sha256(path) for at, path in enumerate(decisions, start=1)}
    said = how(table, champion=champion.sha256, other=other.sha256, margins=margins, alpha=alpha)
    record_comparison(opened, other, said, role, tables)
    console.print(f"{name}: version {other.number} ({role}) against version {champion.number}", markup=False)
    for row in said.iter_rows(named=True):
        console.print(_measured(row), soft_wrap=True, markup=False)


def _meant(registry: Registry, what: str, model: str) -> tuple[Version, Run | None]:
    """Return the version that a number or a run names, and its run where it is found."""
    from workbench.rollout.registry import one_model

    if what.isdecimal() and not Path(what).exists():
        version = registry.version(one_model(registry, model), int(what))
        folder = run_folder(Path(version.run))
        return version, Run.open(folder) if (folder / MANIFEST).is_file() else None
    run = Run.open(run_folder(Path(what)))
    return registry.version_of(run), run


def _told(model: str, changes: tuple[Change, ...], deployment: Path | None) -> None:
    for one in changes:
        share = f", share {one.share:g}" if one.share else ""
        console.print(f"{model} version {one.version}: {one.before} to {one.after}{share}", markup=False)
    if not changes:
        console.print(f"{model}: it is there already; nothing was recorded", markup=False)
    if deployment:
        console.print(f"{deployment}: deployed", soft_wrap=True, markup=False)


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(cell) for cell in row))
    console.print(table)


def _measured(row: dict[str, Any]) -> str:
    """Return a comparison in a line: difference, interval, what it is held against, verdict."""
    told = {key: "-" if one is None else f"{one:.4g}" for key, one in row.items() if not isinstance(one, str)}
    e_value = f", e-value {told['e_value']} (line {told['e_line']})" if row["e_value"] is not None else ""
    numbers = f"{told['difference']} [{told['low']}, {told['high']}], margin {told['margin']}{e_value}"
    people = f"{row['n_champion']:,} and {row['n_other']:,} applicants"
    return f"  {row['measure']}: {numbers}, {people}: {row['verdict']}"


def _margins(told: list[str]) -> dict[str, float]:
    margins, faults = {}, []
    for text in told:
        name, _, number = text.partition("=")
        try:
            margins[name.strip()] = float(number)
        except ValueError:
            faults.append(f"{text}: measure=number is right")
    if faults:
        raise ParamsError("--margin cannot be read", faults)
    return margins
