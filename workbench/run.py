"""A run folder: artifacts, facts and the manifest that vouches for them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from filelock import FileLock, Timeout

from workbench.errors import RunError, near_name
from workbench.lines import register_lines
from workbench.params import ROOT, STAGES, Study
from workbench.store import digest, digest_files, read_json, sha256, write_json, write_whole
from workbench.study import check_study
from workbench.yaml_reader import parse_yaml

MANIFEST = "manifest.json"
PARAMS = "params.yaml"
PROVENANCE = "provenance.json"  # who vouches for the run; workbench/provenance.py
SCRATCH = ".scratch"  # in the folder of a stage: rows on their way
UNFINISHED = ".unfinished"  # in the folder of a run: checkpoints and journals of stages that did not close
FORGOTTEN = "forgotten.json"  # who is to stay out of the run, by pseudonym; workbench/retention.py
Kind = Literal["rows", "tables", "models", "journals", "facts", "notebook", "document", "record"]


class Run:
    """One run folder, opened for reading or for a stage to write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    @property
    def run_id(self) -> str:
        """The folder's name, which is the run's name everywhere."""
        return self.folder.name

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing run; raises RunError when there is none or its manifest is damaged."""
        if not (folder / MANIFEST).is_file():
            others = sorted(p.parent.name for p in folder.parent.glob(f"*/{MANIFEST}"))
            raise RunError(
                f"{folder}: no run here{near_name(folder.name, others)}",
                [f"runs in that folder: {', '.join(others) or 'none'}", "make one with: workbench run STUDY"],
            )
        run = cls(folder)
        known: Any = read_json(folder / MANIFEST)
        known = known if isinstance(known, dict) else {}
        faults = [f"lacks {key!r}" for key in ("run_id", "stages", "artifacts") if key not in known]
        if faults:
            raise RunError(f"{folder / MANIFEST}: edited or from another version", faults)
        return run

    @classmethod
    def create(cls, folder: Path, study: Study, about: Mapping[str, Any]) -> Run:
        """Make or reopen a run folder for a study and record what it runs with."""
        run = cls.open(folder) if (folder / MANIFEST).is_file() else cls(folder)
        text = yaml.safe_dump(study.model_dump(), sort_keys=False, allow_unicode=True)
        if not (folder / PARAMS).is_file() or (folder / PARAMS).read_text(encoding="utf-8") != text:
            write_whole(folder / PARAMS, lambda path: path.write_text(text, encoding="utf-8"))

        def change(manifest: dict[str, Any]) -> None:
            manifest |= {"run_id": run.run_id, "study": study.study, "note": study.note}
            manifest["params_sha256"] = digest(study.model_dump())
            manifest.setdefault("stages", {})
            manifest.setdefault("artifacts", {})
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            manifest["lines"] = register_lines(manifest.get("lines", []), study, manifest["stages"], now)
            manifest |= {key: value for key, value in about.items() if key != "created"}
            manifest.setdefault("created", about.get("created"))

        run.update(change)
        return run

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest as it is on the disk now."""
        values: dict[str, Any] = read_json(self.folder / MANIFEST)
        return values

    @property
    def study(self) -> Study:
        """The resolved parameters the run was made with."""
        path = self.folder / PARAMS
        if not path.is_file():
            raise RunError(f"{path}: no such file", ["the run folder is not complete; run the study again"])
        return _study_of(path.read_text(encoding="utf-8"), str(path))

    def update(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Change the manifest under its lock and write it whole; unchanged content is not written."""
        path = self.folder / MANIFEST
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".manifest.lock", timeout=60):
            manifest = read_json(path) if path.is_file() else {}
            before = digest(manifest)
            change(manifest)
            if digest(manifest) != before:
                manifest["artifacts"] = dict(sorted(manifest["artifacts"].items()))
                write_json(path, manifest)

    def lock(self) -> FileLock:
        """Take the folder for this process; raises RunError when another one has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.folder / ".in_use.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise RunError(
                f"{self.folder}: in use by another process",
                ["wait for it to end, or run into another folder with --run-id NAME"],
            ) from None
        return lock

    def entry(self, artifact: str) -> dict[str, Any]:
        """Return the manifest's entry of an artifact; raises RunError when no stage wrote it."""
        artifacts = self.manifest["artifacts"]
        if artifact not in artifacts:
            stage = artifact.split("/")[0]
            raise RunError(
                f"{artifact}: not in run {self.run_id}{near_name(artifact, artifacts)}",
                [f"run its stage first: workbench run STUDY --only {stage}"],
            )
        found: dict[str, Any] = artifacts[artifact]
        return found

    def checked_path(self, artifact: str) -> Path:
        """Return an artifact's path after comparing its bytes with the manifest."""
        entry = self.entry(artifact)
        path = self.folder / str(entry["path"])
        if "purged" in entry:
            right = "run the study again to make it anew"
            raise RunError(f"{self.run_id}: {artifact} was purged on {entry['purged']}", [right])
        fault = artifact_fault(path, entry)
        if fault:
            right = "restore the file, or make it again with workbench run STUDY --from STAGE"
            raise RunError(f"{self.run_id}: {artifact} {fault}", [right])
        return path

    def facts(self) -> list[dict[str, Any]]:
        """Return the facts of all stages, in stage order."""
        names = [f"{stage}/facts" for stage in STAGES]
        known = self.manifest["artifacts"]
        return [fact for name in names if name in known for fact in read_json(self.checked_path(name))]


@lru_cache(maxsize=8)
def _study_of(text: str, where: str) -> Study:
    """Check a study once for each text: it is frozen, and read many times."""
    return check_study(parse_yaml(text), where)


def artifact_fault(path: Path, entry: Mapping[str, Any]) -> str:
    """Return what is wrong with an artifact's file, or an empty text; one that was purged is to be gone."""
    if "purged" in entry:
        return f"was purged on {entry['purged']} and is there again" if path.exists() else ""
    if not path.exists():
        return "is missing"
    size = size_of(path)
    if size != entry["bytes"]:
        return f"has {size:,} bytes where {entry['bytes']:,} were written (truncated or edited)"
    return "" if sha256_of(path) == entry["sha256"] else "was edited after it was written"


def describe_artifact(path: Path, folder: Path, stage: str, kind: Kind, **about: Any) -> dict[str, Any]:
    """Return the manifest's entry for a file, or a folder of parts, that has just been written."""
    sensitivity = "row" if kind == "rows" else "aggregate"
    return {
        "path": path.relative_to(folder).as_posix(),
        "stage": stage,
        "kind": kind,
        "sensitivity": sensitivity,
        "bytes": size_of(path),
        "sha256": sha256_of(path),
        **about,
    }


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all the parts in a folder."""
    return sum(part.stat().st_size for part in parts_of(path))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, or one over the names and contents of the parts in a folder."""
    return digest_files(parts_of(path), path) if path.is_dir() else sha256(path)


def parts_of(path: Path) -> list[Path]:
    """Return the files of an artifact: itself, or the parts in its folder in order."""
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def damaged(run: Run, stages: tuple[str, ...] | None = None) -> dict[str, str]:
    """Return the faults of a run's artifacts, by artifact; files that are gone count as well."""
    entries = run.manifest["artifacts"].items()
    faults = {
        name: artifact_fault(run.folder / entry["path"], entry)
        for name, entry in entries
        if stages is None or entry["stage"] in stages
    }
    return {name: fault for name, fault in faults.items() if fault}


def params_fault(run: Run) -> str:
    """Return what is wrong with the parameters in a run folder, or an empty text: they are as resolved."""
    path = run.folder / PARAMS
    if not path.is_file():
        return f"{PARAMS} is missing"
    try:
        is_known = digest(parse_yaml(path.read_text(encoding="utf-8"))) == run.manifest["params_sha256"]
    except (yaml.YAMLError, UnicodeDecodeError, TypeError):
        is_known = False
    return "" if is_known else f"{PARAMS} was edited after the run"


def unknown_files(run: Run) -> list[str]:
    """Return files in the run folder that the manifest does not name."""
    paths = [run.folder / entry["path"] for entry in run.manifest["artifacts"].values()]
    parts = [part for path in paths for part in parts_of(path)]
    known = {part.relative_to(run.folder).as_posix() for part in parts} | {
        MANIFEST,
        PARAMS,
        FORGOTTEN,
        PROVENANCE,
    }
    found = {path.relative_to(run.folder).as_posix() for path in run.folder.rglob("*") if path.is_file()}
    return sorted(name for name in found - known if not name.startswith((".", "report/source/")))


def clear_scratch(run: Run) -> None:
    """Remove what stages that failed or were killed have left on its way."""
    for stage in STAGES:
        shutil.rmtree(run.folder / stage / SCRATCH, ignore_errors=True)


def runs_folder() -> Path:
    """Return the folder that runs go to unless told otherwise."""
    return ROOT / "runs"


def run_folder(run: Path) -> Path:
    """Return the folder of a run that is named by its path, or by its name in runs/."""
    return run if run.exists() or len(run.parts) > 1 else runs_folder() / run
