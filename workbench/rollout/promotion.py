"""Changes of stage: gates, the line of history, and the deployment, in the order that leaves nothing half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import polars as pl

from workbench.errors import RolloutError
from workbench.rollout.deployment import Deployed, Deployment, Prepared, prepare_deployment
from workbench.rollout.gates import BUNDLE_ARTIFACT, GATES, Gate, check_gates, evidence_of, gate_table
from workbench.rollout.history import (
    FIRST,
    SHADOW,
    Approver,
    Change,
    Line,
    State,
    plain_faults,
    promotion,
    replay,
    rollback,
)
from workbench.rollout.registry import Registry, Version
from workbench.run import Run
from workbench.store import digest


@dataclass(frozen=True)
class Asked:
    """Who asks for a change and why, and the folder of the deployment that follows it, if there is one."""

    approver: Approver
    why: str
    deployment: Path | None = None

    def check(self) -> None:
        """Raise RolloutError for a reason that is missing or not plain text."""
        faults = plain_faults("why", self.why) + ([] if self.why.strip() else ["why: missing"])
        if faults:
            raise RolloutError("a change needs a reason", faults)


@dataclass(frozen=True)
class Done:
    """What a change left: the changes (none where everything was so already), gates that were met, and the
    state."""

    changes: tuple[Change, ...]
    gates: tuple[Gate, ...]
    state: State


def promote(
    registry: Registry,
    version: Version,
    asked: Asked,
    *,
    to: str,
    share: float = 0.0,
    run: Run | None = None,
    key: Path | None = None,
) -> Done:
    """Bring a version to a stage when its run passes the gates of that stage; a new champion retires the old.

    `run` is the one that froze the bundle, read anew; `key` the public key that must have signed a champion.
    The same promotion twice records nothing and writes the deployment again.

    Raises:
        GateError: with every gate that failed; nothing is changed.
        RolloutError: a change that cannot be, another run's bundle, or what cannot be deployed; nothing is
            changed.
    """
    asked.check()
    with registry.lock():
        lines = registry.history(version.model)
        state = replay(lines)
        changes = promotion(state, version.number, to, share)
        gates: tuple[Gate, ...] = ()
        hashes: Mapping[str, str] = {}
        if changes and to in GATES:
            gates, hashes = _looked(registry, version, to, lines, state, run, key)
            check_gates(gates, f"{version.model} version {version.number} is not promoted to {to}")
        told = tuple(one.as_dict() for one in gates)
        line = _line(lines, "promotion", asked, changes=changes, gates=told, evidence=hashes)
        return _apply(registry, version.model, line, lines, asked, gates)


def roll_back(registry: Registry, model: str, asked: Asked) -> Done:
    """Make the previous champion champion again and withdraw the canary; no gate holds this up.

    Raises:
        RolloutError: no champion before this one, or a bundle that is not as it was registered.
    """
    asked.check()
    with registry.lock():
        lines = registry.history(model)
        line = _line(lines, "rollback", asked, changes=rollback(replay(lines)))
        return _apply(registry, model, line, lines, asked, ())


def record_comparison(
    registry: Registry, version: Version, table: pl.DataFrame, role: str, tables: Mapping[str, str]
) -> Line:
    """Add to the history that a comparison with the present champion was looked at, and what it said.

    `tables` are the hashes of the tables of decisions by name. Raises RolloutError without a champion.
    """
    with registry.lock():
        lines = registry.history(version.model)
        champion = champion_of(registry, version.model, replay(lines))
        told = {"champion": champion.sha256, "other": version.sha256, "role": role, "rows": table.to_dicts()}
        asked = Asked(Approver("", ""), "")
        line = _line(lines, "comparison", asked, evidence=tables, comparison=told)
        registry.append(version, line)
        return line


def champion_of(registry: Registry, model: str, state: State) -> Version:
    """Return the champion; raises RolloutError where there is none."""
    if state.champion is None:
        raise RolloutError(f"{model}: there is no champion", ["workbench promote RUN --to champion"])
    return registry.version(model, state.champion)


def deployment_of(model: str, versions: Sequence[Version], state: State) -> Deployment:
    """Return the deployment that a state asks for; raises RolloutError without a champion.

    The salt is of the canary's bundle: a canary keeps its applicants while its share grows, and another draws
    others.
    """
    known = {one.number: Deployed(one.number, one.sha256) for one in versions}
    if state.champion is None:
        raise RolloutError(f"{model}: nothing to deploy", ["promote a champion first"])
    canary = known[state.canary] if state.canary else None
    salt = digest(model, canary.sha256)[:16] if canary else ""
    shadows = tuple(known[number] for number in state.at(SHADOW))
    return Deployment(model, known[state.champion], canary, state.share, salt, shadows)


def _looked(
    registry: Registry,
    version: Version,
    to: str,
    lines: Sequence[Line],
    state: State,
    run: Run | None,
    key: Path | None,
) -> tuple[tuple[Gate, ...], Mapping[str, str]]:
    if run is None:
        raise RolloutError(f"version {version.number}: its run {version.run} is needed", ["name its folder"])
    frozen = run.manifest["artifacts"].get(BUNDLE_ARTIFACT, {}).get("sha256")
    if frozen != version.sha256:
        wrong = f"version {version.number} has bundle {version.sha256[:12]}, the run {str(frozen)[:12]}"
        raise RolloutError(f"{run.run_id}: is not the run of this version", [wrong])
    now = registry.version(version.model, state.champion) if state.champion else None
    compared = [
        line.comparison
        for line in lines
        if now and line.kind == "comparison"
        if line.comparison["champion"] == now.sha256 and line.comparison["other"] == version.sha256
    ]
    rows = compared[-1]["rows"] if compared else None
    evidence = evidence_of(run, key=key, comparison=rows, has_champion=now is not None)
    return gate_table(evidence, to), evidence.hashes


def _apply(
    registry: Registry,
    model: str,
    line: Line,
    lines: Sequence[Line],
    asked: Asked,
    gates: tuple[Gate, ...],
) -> Done:
    """Prepare the deployment, record, and only then let servers see it: what serves is on record."""
    state = replay(lines).after(line)
    prepared: Prepared | None = None
    if asked.deployment is not None:
        versions = {one.number: one for one in registry.versions(model)}
        wanted = deployment_of(model, list(versions.values()), state)
        prepared = prepare_deployment(
            asked.deployment, wanted, lambda one, folder: registry.bundle(versions[one.version], folder)
        )
    try:
        if line.changes:
            registry.append(registry.version(model, line.changes[-1].version), line)
    except BaseException:
        if prepared:
            prepared.withdraw()
        raise
    registry.show(model, state)
    if prepared:
        prepared.commit()
    return Done(line.changes, gates, state)


def _line(
    lines: Sequence[Line],
    kind: Literal["promotion", "rollback", "comparison"],
    asked: Asked,
    **about: Any,
) -> Line:
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    previous = lines[-1].digest if lines else FIRST
    who = asked.approver
    return Line(len(lines) + 1, at, kind, who.name, who.role, asked.why, previous=previous, **about)
