"""What a stage's outcome depends on; a stage whose dependencies did not change is not run again."""

from __future__ import annotations

import json
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from workbench.params import ROOT, Study
from workbench.run import Run
from workbench.sources import local_files
from workbench.store import digest, digest_files, sha256

PACKAGES = (
    "dask",
    "fairlearn",
    "interpret-core",
    "narwhals",
    "numpy",
    "optbinning",
    "optuna",
    "pandas",
    "papermill",
    "polars",
    "pypandoc_binary",
    "scikit-learn",
    "scipy",
    "shap",
    "statsmodels",
    "typst",
)
_SHARED = (
    "engine.py",
    "errors.py",
    "facts.py",
    "kinds.py",
    "run.py",
    "scorer.py",
    "sources.py",
    "stage.py",
    "store.py",
)
_SCORES_AGAIN = ("data", "features")  # what scoring recomputes from the source tables


def stage_fingerprint(stage: str, study: Study, engine: str) -> str:
    """Return one digest of a stage's parameters, notebook, package code, packages, engine and source data."""
    return digest(
        study.section(stage),
        [study.pseudonym_key, study.encryption_key] if stage == "data" else study.encryption_key,
        notebook_code(notebook_path(stage)),
        _package_code(stage),
        package_versions(),
        engine,
        [source_hashes(study), _judged_by(study)] if stage == "data" else {},
    )


def _judged_by(study: Study) -> list[str]:
    """Return the hashes of what the data are judged by: packs, the reference table and the truth."""
    packs = [ROOT / "params" / "jurisdictions" / f"{name}.yaml" for name in study.data.packs]
    tables = [ROOT / path for path in (study.data.reference, study.data.truth) if path]
    stated = [table.with_suffix(".json") for table in tables]
    return [sha256(path) for path in (*packs, *tables, *stated) if path.is_file()]


def source_hashes(study: Study) -> dict[str, str]:
    """Return the SHA-256 of every source's local files; URLs and queries have none."""
    found = {name: local_files(source, ROOT) for name, source in study.data.sources.items()}
    return {
        name: digest(
            [(path.name, _file_hash(path, path.stat().st_mtime_ns, path.stat().st_size)) for path in files]
        )
        if len(files) != 1
        else _file_hash(files[0], files[0].stat().st_mtime_ns, files[0].stat().st_size)
        for name, files in found.items()
        if files
    }


@cache
def _file_hash(path: Path, modified: int, size: int) -> str:  # noqa: ARG001 (they make a changed file another key)
    return sha256(path)


def is_fresh(run: Run, stage: str, fingerprint: str) -> bool:
    """Return whether a complete stage would find the same fingerprint and the same artifacts again."""
    manifest = run.manifest
    entry = manifest["stages"].get(stage, {})
    if entry.get("state") != "complete" or entry.get("fingerprint") != fingerprint:
        return False
    artifacts = manifest["artifacts"]
    reads: dict[str, str] = entry["reads"]
    own = [item for item in artifacts.values() if item["stage"] == stage]
    return all(artifacts.get(name, {}).get("sha256") == known for name, known in reads.items()) and all(
        (run.folder / item["path"]).exists() for item in own
    )


def notebook_path(stage: str) -> Path:
    """Return the notebook of a stage."""
    found = sorted((ROOT / "notebooks").glob(f"[0-9][0-9]_{stage}.ipynb"))
    return found[0] if found else ROOT / "notebooks" / f"{stage}.ipynb"


def notebook_code(path: Path) -> list[str]:
    """Return the sources of a notebook's cells; outputs and metadata do not count."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"] if path.is_file() else []
    return ["".join(cell["source"]) for cell in cells]


@cache
def package_versions() -> dict[str, str]:
    """Return the versions of the packages that numbers depend on."""
    import sys

    versions = {name: version(name) for name in PACKAGES}
    versions["xgboost"] = _xgboost_version()
    return {"python": ".".join(map(str, sys.version_info[:3]))} | versions


def code_revision() -> dict[str, Any]:
    """Return the git revision of the code and whether the working tree was clean."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        return {
            "revision": git("rev-parse", "HEAD") or "unknown",
            "clean": git("status", "--porcelain") == "",
        }
    except FileNotFoundError:
        return {"revision": "unknown", "clean": False}


def _xgboost_version() -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return version("xgboost")
    except PackageNotFoundError:
        return version("xgboost-cpu")


def _package_code(stage: str) -> str:
    package = ROOT / "workbench"
    folders = [
        stage,
        "statistics",
        *(["privacy"] if stage in ("data", "features", "scoring") else []),
        *(_SCORES_AGAIN if stage == "scoring" else ()),
    ]
    files = [path for folder in folders for path in (package / folder).rglob("*.py")]
    shared = [*_SHARED, *(("packs.py", "yaml_reader.py") if stage == "data" else ())]
    return digest_files([*files, *(package / name for name in shared)], ROOT)
