"""The commands about what a run proves: what the packs ask, and who vouches for the run."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from workbench.commands import RunArgument, day_of
from workbench.errors import RunError
from workbench.packs import FOLDER, Pack, load_packs
from workbench.params import STAGES
from workbench.progress import console, progress_shown
from workbench.requirements import DRAFT, Requirement
from workbench.run import Run, damaged, params_fault, run_folder, unknown_files


def packs(
    names: Annotated[list[str] | None, typer.Argument(help="packs by name; all if left out")] = None,
    on: Annotated[str, typer.Option(help="YYYY-MM-DD; today if left out")] = "",
    against: Annotated[str, typer.Option(help="another day to compare with, YYYY-MM-DD")] = "",
    sources: Annotated[
        bool, typer.Option("--sources", help="how far each was checked, against what")
    ] = False,
) -> None:
    """Check the packs of the jurisdictions and list what they ask on a day, or what changes between two."""
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    day = day_of("--on", on) if on else datetime.now(UTC).date()
    other = day_of("--against", against) if against else None
    for pack in load_packs(names or known):
        lines = _changed(pack, *sorted((day, other))) if other else _listed(pack, day, sources)
        for line in lines:
            console.print(line, soft_wrap=True, markup=False, highlight=False)


def verify(
    run: RunArgument,
    key: Annotated[Path | None, typer.Option(help="PEM file with the public key of who signed")] = None,
    again: Annotated[
        bool, typer.Option("--rerun", help="execute the run again and compare every file")
    ] = False,
    keep: Annotated[Path | None, typer.Option(help="empty folder in which the second run stays")] = None,
) -> None:
    """Check a run: files, numbers in documents, what may not leave, signature; exit code 1 for a fault."""
    if keep and not again:
        raise typer.BadParameter("only --rerun leaves a second run", param_hint="--keep")
    opened = Run.open(run_folder(run))
    faults = _faults(opened)
    if key:
        from workbench.provenance import signature_faults

        faults += signature_faults(opened, key)
    if again and not faults:
        faults += _rerun_faults(opened, keep)
    for fault in faults:
        console.print(fault, soft_wrap=True, markup=False)
    checked = len(opened.manifest["artifacts"])
    console.print(f"{checked} artifacts checked, {len(faults)} fault(s)")
    if faults:
        raise typer.Exit(1)


def _faults(run: Run) -> list[str]:
    """Return what is wrong with the files, stages and documents of a run."""
    faults = [f"{name} {fault}" for name, fault in damaged(run).items()]
    faults += [f"{name} is not in the manifest" for name in unknown_files(run)]
    faults += [fault] if (fault := params_fault(run)) else []
    stages = run.manifest["stages"]
    states = {name: stages.get(name, {}).get("state", "not run") for name in STAGES}
    unfinished = {name: state for name, state in states.items() if state != "complete"}
    faults += [f"stage {name} is {state}, not complete" for name, state in unfinished.items()]
    if faults:
        return faults
    from workbench.reporting.pages import number_faults
    from workbench.reporting.redaction import redaction_faults

    return [*number_faults(run), *redaction_faults(run)]


def _rerun_faults(run: Run, keep: Path | None) -> list[str]:
    """Execute a run again, tell what is the same, and return what is not."""
    from workbench.rerun import rerun

    try:
        with progress_shown() as progress:
            found = rerun(run, progress=progress, keep=keep)
    except KeyboardInterrupt:
        print("interrupted; the run is as it was", file=sys.stderr)
        raise typer.Exit(130) from None
    for name, why in found.not_compared.items():
        console.print(f"{name} was not compared: {why}", soft_wrap=True, markup=False)
    console.print(f"executed again: {len(found.same)} artifacts have the same bytes")
    if found.same_contents:
        told = f"{len(found.same_contents)} the same contents (notebooks without times, rows decrypted)"
        console.print(told, soft_wrap=True)
    return [f"{name} differs when executed again: {how}" for name, how in found.different.items()]


def sign(
    run: RunArgument,
    key: Annotated[Path, typer.Option(help="PEM file with a private key (Ed25519, ECDSA or RSA)")],
) -> None:
    """Sign what a run was made from and what it made: an in-toto statement in a DSSE envelope."""
    from workbench.provenance import sign_run

    opened = Run.open(run_folder(run))
    if faults := damaged(opened):
        raise RunError(
            f"{opened.run_id}: a damaged run is not signed", [f"{n} {f}" for n, f in faults.items()]
        )
    console.print(str(sign_run(opened, key)), soft_wrap=True, markup=False)


def bundle(
    run: RunArgument,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="ZIP to write; RUN.zip if left out")] = None,
    key: Annotated[Path | None, typer.Option(help="PEM file with a private key, to sign the list")] = None,
) -> None:
    """Write what a regulator gets of a run: documents, facts, tables and proofs, no row, with a verifier."""
    from workbench.reporting.bundle import write_bundle

    opened = Run.open(run_folder(run))
    target = out or Path(f"{opened.run_id}.zip")
    files = write_bundle(opened, target, key)
    console.print(
        f"{target}: {files} files; check it: python3 verify_bundle.py {target.name}", soft_wrap=True
    )


def compare(
    before: RunArgument,
    after: Annotated[Path, typer.Argument(help="the other run")],
    out: Annotated[Path, typer.Option("--out", "-o", help="page to write")] = Path("change.html"),
) -> None:
    """Write what changed between two runs: data, parameters, facts, decisions, model, documents."""
    from workbench.reporting.change_report import write_change_report

    first, second = _both(before, after)
    counts = write_change_report(first, second, out)
    told = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    console.print(f"differ: {told or 'nothing'}", soft_wrap=True, markup=False)
    console.print(str(out), soft_wrap=True, markup=False)


def _both(*paths: Path) -> list[Run]:
    """Open the runs; raises RunError with what is wrong with either."""
    runs, faults = [], []
    for path in paths:
        try:
            runs.append(Run.open(run_folder(path)))
        except RunError as error:
            faults.append(str(error))
    if faults:
        raise RunError("two runs are needed to compare", faults)
    return runs


def findings(
    run: RunArgument,
    every: Annotated[bool, typer.Option("--all", help="those that are accepted or closed as well")] = False,
) -> None:
    """List what a run finds against itself and what people added, the worst first."""
    from workbench.reporting.finding_states import OPEN
    from workbench.reporting.run_findings import findings_of

    found = findings_of(Run.open(run_folder(run)))
    for row in found.frame.iter_rows(named=True):
        if every or row["state"] == OPEN:
            about = f" ({row['subject']})" if row["subject"] else ""
            told = f"{row['severity']:<6} {row['state']:<8} {row['id']} {row['title']}{about}"
            console.print(f"{told}: {row['owner']}, due {row['due']}", soft_wrap=True, markup=False)
    counts = found.records()["findings"]["open"]
    console.print(", ".join(f"{number} {severity}" for severity, number in counts.items()) + " open")


def _listed(pack: Pack, on: date, sources: bool) -> list[str]:
    asked = pack.in_force(on)
    drafts = [one for one in pack.requirements if one.standing == DRAFT and one.applies_from <= on]
    later = sum(one.applies_from > on and one.standing != DRAFT for one in pack.requirements)
    rules = sum(rule.in_force(on) for rule in pack.rules)
    told = f"{pack.pack}: {pack.title}, checked on {pack.checked_on}; on {on} {rules} data rule(s)"
    lines = [f"{told} and {len(asked)} requirement(s) in force, {later} to come, {len(drafts)} draft(s)"]
    if pack.is_stale(on):
        lines.append(f"  last checked more than a year before {on}: check it before relying on it")
    return lines + [line for one in (*asked, *drafts) for line in _entry(one, sources)]


def _entry(one: Requirement, sources: bool) -> list[str]:
    """Return a requirement in a line; with sources how far it was checked, against what, below it."""
    standing = "" if one.standing == "in force" else f"{one.standing}, "
    line = f"  {_named(one)}, {one.clause} ({standing}{one.status})"
    if not sources:
        return [line]
    read = (
        f"      text {one.status}, first day {one.applies_from} {one.date_status}, looked at {one.checked_on}"
    )
    return [line, f"{read}: {one.source}", *([f"      {one.note}"] if one.note else [])]


def _changed(pack: Pack, earlier: date, later: date) -> list[str]:
    """Return what begins and what ends after the earlier day and up to the later one."""
    before, after = pack.in_force(earlier), pack.in_force(later)
    lines = [f"{pack.pack}: from {earlier} to {later}"]
    lines += [f"  - {_named(one)} until {one.applies_until}" for one in before if one not in after]
    lines += [f"  + {_named(one)} from {one.applies_from}" for one in after if one not in before]
    return lines if len(lines) > 1 else [f"{lines[0]}: nothing changes"]


def _named(one: Requirement) -> str:
    return f"{one.id}  {one.title}: {one.instrument}"
