"""Runs with the evidence that gates read, made by hand in a moment, and tables of decisions."""

import json
from pathlib import Path

import numpy as np
import polars as pl

from workbench.params import ROOT, STAGES
from workbench.run import Run, describe_artifact
from workbench.study import load_study

ABOUT = {"created": "2026-11-26", "code": {"revision": "abc123", "clean": True}, "packages_sha256": "0" * 64}
ABOUT |= {"sources": {}, "seeds": {"training": 1}, "engine": {"name": "cpu"}}
TRIGGERS = ({"trigger": "score shifts", "measure": "PSI", "line": 0.1, "response": "look"},)
FINDING = {"id": "F06", "subject": "", "severity": "high", "state": "open"}
CHAMPION, OTHER = "a" * 64, "b" * 64


def facts(met="yes"):
    told = [{"id": f"validation.{name}_gain", "value": 0.01, "met": met} for name in ("auc", "brier")]
    return [*told, {"id": "validation.economics", "value": "a text", "met": None}]


def put(run, name, content, kind="record"):
    """Write an artifact of a run and its entry, as a stage would."""
    stage, _, rest = name.partition("/")
    ending = {"tables": "parquet", "models": "zip"}.get(kind, "json")
    path = run.folder / stage / f"{rest}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        path.write_text(json.dumps(content))
    entry = describe_artifact(path, run.folder, stage, kind)
    run.update(lambda manifest: manifest["artifacts"].update({name: entry}))
    return path


def made_run(folder: Path, *, bundle=b"first", findings=(), matrix=(), met="yes", triggers=TRIGGERS) -> Run:
    """A complete run that passes every gate unless told otherwise; the study is always smoke."""
    run = Run.create(folder, load_study(ROOT / "params" / "smoke.yaml"), ABOUT)
    run.update(lambda manifest: manifest.update(stages={stage: {"state": "complete"} for stage in STAGES}))
    put(run, "report/findings", {"findings": list(findings)})
    put(run, "report/requirements", list(matrix))
    put(run, "validation/facts", facts(met), "facts")
    put(run, "monitoring/triggers", pl.DataFrame(list(triggers)), "tables")
    put(run, "scoring/bundle", bundle, "models")
    return run


def side(role, sha256, n, *, approved=0.8, prob=0.1, default=0.03, start=0, seed=1):
    """Decisions of one bundle on n applicants; rates as they are told, up to chance."""
    generator = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "applicant_id": [str(start + at) for at in range(n)],
            "role": role,
            "bundle_sha256": sha256,
            "prob_default": np.clip(prob + 0.02 * generator.standard_normal(n), 0, 1),
            "decision": np.where(generator.random(n) < approved, "approved", "declined"),
            "default": (generator.random(n) < default).astype(np.int64),
            "milliseconds": 5 + generator.exponential(1.0, n),
        }
    )
