"""Opening a scoring bundle: of a run that vouches for it, or a file with the hash it must have."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.errors import DataError, RunError
from workbench.run import Run, run_folder
from workbench.scoring.bundle import unpack
from workbench.scoring.engines import EngineName
from workbench.scoring.frozen import FrozenScorer

ARTIFACT = "scoring/bundle"


@dataclass(frozen=True)
class OpenedBundle:
    """A scoring bundle that was checked: its scorer, its SHA-256, where it lies and whose key encrypts
    rows."""

    frozen: FrozenScorer
    sha256: str
    path: Path
    encryption_key: str = ""


def open_bundle(place: Path, *, sha256: str = "", engine: EngineName = "xgboost") -> OpenedBundle:
    """Open the scoring bundle of a run (its folder or its name in runs/), or a bundle's file.

    The manifest of a run says which hash the bundle must have; for a file, `sha256` may.

    Raises:
        RunError: no run and no file there, or an artifact that was edited.
        DataError: a file that is no scoring bundle, is damaged, or has another hash.
    """
    if place.is_file():
        return _opened(place, sha256, engine, "")
    run = Run.open(run_folder(place))
    expected = str(run.entry(ARTIFACT)["sha256"])
    if sha256 and sha256 != expected:
        raise DataError(
            f"{run.run_id}: its scoring bundle has SHA-256 {expected}", [f"{sha256} was asked for"]
        )
    path = run.checked_path(ARTIFACT)
    return _opened(path, expected, engine, run.manifest.get("encryption_key", ""))


def _opened(path: Path, sha256: str, engine: EngineName, encryption_key: str) -> OpenedBundle:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: not readable ({error.strerror})") from None
    try:
        frozen, found = unpack(content, sha256=sha256, engine=engine)
    except DataError as error:
        raise DataError(f"{path}: {error.summary}", error.faults) from None
    return OpenedBundle(frozen, found, path, encryption_key)
