"""A small synthetic world and its finished study, shared by the tests that know the truth."""

import functools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from tests.pipeline.running import command
from workbench.params import ROOT
from workbench.privacy.pseudonyms import pseudonymise
from workbench.world.write import write_world

APPLICANTS, FEW, SEED = 16_000, 4_000, 3
KEY = "a-key-of-the-tests-that-hides-nobody"
SMALL = (
    "training.trials=3",
    "training.challengers=[logistic]",
    "training.minimisation_sizes=[20]",
    "training.resamples=2",
    "training.permutations=2",
    "features.replicates=100",
    "validation.replicates=100",
    "fairness.replicates=200",
    "fairness.alternative_trials=6",
)


@functools.cache
def small_world(base: Path) -> Path:
    """Make a world for what hangs on no number of applicants, once in a session."""
    return write_world(base / "small", applicants=FEW, seed=SEED, jobs=1)


@functools.cache
def shared_world(base: Path) -> Path:
    """Make the world once in a session; `base` is the session's temporary folder."""
    return write_world(base / "world", applicants=APPLICANTS, seed=SEED, jobs=1)


def truth_of(world: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((world / "truth.json").read_text(encoding="utf-8"))
    return found


def true_outcomes(world: Path) -> pl.DataFrame:
    """applicant_id as in a run, and the true PD."""
    truth = pl.read_parquet(world / "truth.parquet")
    keyed = truth.with_columns(applicant_id=pseudonymise(truth["customer_id"], KEY.encode()))
    return keyed.select("applicant_id", "customer_id", true_prob_default="prob_default")


def study_of(world: Path, folder: Path, *, consented: str = "", **changes: Any) -> Path:
    """params/alternative.yaml on this world, written to a folder; `consented` names the
    consent column of the handset, `changes` are keys of the data section."""
    values = yaml.safe_load((ROOT / "params" / "alternative.yaml").read_text(encoding="utf-8"))
    for source in values["data"]["sources"].values():
        source["path"] = str(world / Path(source["path"]).relative_to("world"))
    if consented:
        values["data"]["sources"]["applicants"]["features"]["handset_tier"]["consent"] = consented
    values["data"] |= {"truth": str(world / "truth.parquet")} | changes
    path = folder / "alternative.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def start(
    study: Path, runs: Path, *words: object, key: str = KEY, **variables: str
) -> subprocess.CompletedProcess[str]:
    settings = [word for text in SMALL for word in ("--set", text)]
    environment = {name: value for name, value in os.environ.items() if name != "WORKBENCH_KEY"} | variables
    environment |= {"WORKBENCH_KEY": key} if key else {}
    return subprocess.run(
        command("run", study, "--runs", runs, "--to", "html", *settings, *words),
        capture_output=True, text=True, timeout=600, cwd=ROOT, env=environment, check=False,
    )  # fmt: skip


@functools.cache
def finished_study(base: Path) -> Path:
    """Run the whole study once in a session and return its run folder."""
    world = shared_world(base)
    done = start(study_of(world, base / "studies"), base / "alternative", "--to", "html,pdf")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return base / "alternative" / "alternative"


def call_long(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, timeout=1_800, cwd=ROOT, check=False)
