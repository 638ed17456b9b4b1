"""A finished run as MLflow keeps runs: parameters, facts with a number, and where they come from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import RolloutError
from workbench.run import MANIFEST, PARAMS, Run, params_fault
from workbench.store import digest, sha256
from workbench.yaml_reader import parse_yaml

SHA256, RUN, MANIFEST_SHA256, STUDY = (
    f"workbench.{name}" for name in ("sha256", "run", "manifest_sha256", "study")
)
MOST_PARAM, BATCH, METRICS = 6_000, 100, 1_000  # MLflow takes no more


def log_run(client: Any, run: Run, folder: Path | None, *, documents: bool = False) -> str:
    """Log a finished run and return MLflow's id of it; the same run with the same manifest is logged once.

    Artifacts go into `folder`, or where the server keeps them. Raises RolloutError for a stage that is not
    complete, or edited parameters.
    """
    manifest = run.manifest
    states = {name: stage.get("state") for name, stage in manifest["stages"].items()}
    faults = [f"{name}: {state}" for name, state in states.items() if state != "complete"]
    if faults := [*faults, *filter(None, [params_fault(run)])]:
        raise RolloutError(f"{run.run_id}: only a complete run is logged", faults)
    tags = {
        RUN: run.run_id,
        STUDY: str(manifest["study"]),
        MANIFEST_SHA256: sha256(run.folder / MANIFEST),
        "workbench.code_revision": str(manifest["code"]["revision"]),
        "workbench.code_clean": str(manifest["code"]["clean"]).lower(),
    }
    experiment = _experiment(client, tags[STUDY], folder)
    same = client.search_runs([experiment], f"tags.`{MANIFEST_SHA256}` = '{tags[MANIFEST_SHA256]}'")
    found = next((one for one in same if one.data.tags.get(RUN) == run.run_id), None)
    if found is None or found.info.status != "FINISHED":
        found = found or client.create_run(experiment, run_name=run.run_id, tags=tags)
        _log_values(client, found.info.run_id, run)
        client.set_terminated(found.info.run_id, "FINISHED")
    if documents:
        for entry in manifest["artifacts"].values():
            if entry["kind"] == "document" and entry["sensitivity"] == "aggregate":
                client.log_artifact(found.info.run_id, str(run.folder / entry["path"]), "report")
    return str(found.info.run_id)


def flat_params(values: Mapping[str, Any], before: str = "") -> dict[str, str]:
    """Return parameters by dotted name as texts: lists as JSON, too long ones cut and told by their hash."""
    found: dict[str, str] = {}
    for key, value in values.items():
        name = before + _name(str(key))
        if isinstance(value, Mapping) and value:
            found |= flat_params(value, f"{name}.")
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
        if len(text) > MOST_PARAM:
            text = f"{text[: MOST_PARAM - 100]}... SHA-256 {digest(text)}"
        found[name] = text
    return found


def numeric_facts(facts: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the facts whose value is a number, by id."""
    return {
        _name(fact["id"]): float(fact["value"])
        for fact in facts
        if isinstance(fact["value"], int | float) and not isinstance(fact["value"], bool)
    }


def _name(text: str) -> str:
    """Return a name that MLflow takes."""
    return re.sub(r"[^A-Za-z0-9_.\- /:]", "_", text)


def _experiment(client: Any, study: str, folder: Path | None) -> str:
    if known := client.get_experiment_by_name(study):
        return str(known.experiment_id)
    place = (folder / "artifacts" / study).as_uri() if folder else None
    return str(client.create_experiment(study, artifact_location=place))


def _log_values(client: Any, logged: str, run: Run) -> None:
    from mlflow.entities import Metric, Param

    values = parse_yaml((run.folder / PARAMS).read_text(encoding="utf-8"))
    params = [Param(key, text) for key, text in flat_params(values).items()]
    for at in range(0, len(params), BATCH):
        client.log_batch(logged, params=params[at : at + BATCH])
    metrics = [Metric(name, value, 0, 0) for name, value in numeric_facts(run.facts()).items()]
    for at in range(0, len(metrics), METRICS):
        client.log_batch(logged, metrics=metrics[at : at + METRICS])
