"""What a scoring server reads: one file that names the bundles in use, which lie beside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import RolloutError, RunError
from workbench.store import read_json, sha256, write_json, write_whole

DEPLOYMENT, NEXT, BUNDLES = "deployment.json", "deployment.next.json", "bundles"
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Deployed:
    """A version of the model and the SHA-256 of its scoring bundle."""

    version: int
    sha256: str

    @property
    def path(self) -> str:
        """Where the bundle lies in the folder of the deployment."""
        return f"{BUNDLES}/{self.sha256}.zip"

    def as_dict(self) -> dict[str, Any]:
        """Return what the file says of the bundle."""
        return {"version": self.version, "sha256": self.sha256, "path": self.path}


@dataclass(frozen=True)
class Deployment:
    """The bundles in use: `share` of the applicants, by `salt` and id alone, are the canary's."""

    model: str
    champion: Deployed
    canary: Deployed | None = None
    share: float = 0.0
    salt: str = ""
    shadows: tuple[Deployed, ...] = ()

    @property
    def everyone(self) -> tuple[Deployed, ...]:
        """Every bundle in use, the champion first."""
        return (self.champion, *([self.canary] if self.canary else []), *self.shadows)

    def as_dict(self) -> dict[str, Any]:
        """Return what `deployment.json` holds."""
        return {
            "model": self.model,
            "salt": self.salt,
            "champion": self.champion.as_dict(),
            "canary": self.canary.as_dict() | {"share": float(self.share)} if self.canary else None,
            "shadows": [one.as_dict() for one in self.shadows],
        }


@dataclass(frozen=True)
class Prepared:
    """A deployment whose bundles are in place and whose file waits for its name."""

    folder: Path

    def commit(self) -> None:
        """Give the file its name: from here on servers read it."""
        try:
            (self.folder / NEXT).replace(self.folder / DEPLOYMENT)
        except OSError as error:
            raise RolloutError(
                f"{self.folder / DEPLOYMENT}: not written ({error.strerror})",
                ["the change is recorded; give the same command again to write it"],
            ) from None

    def withdraw(self) -> None:
        """Leave the deployment as it was; bundles that nothing names may stay."""
        (self.folder / NEXT).unlink(missing_ok=True)


def prepare_deployment(
    folder: Path, deployment: Deployment, bundle: Callable[[Deployed, Path], Path]
) -> Prepared:
    """Put bundles and the next file in place; what servers read stays as it is until `commit`.

    `bundle` brings the file of a bundle that is not there, or not as it was frozen, given a folder to use.

    Raises:
        RolloutError: a bundle with another hash, a deployment of another model, or a folder that takes no
            files; then nothing that servers read was changed.
    """
    try:
        if (folder / DEPLOYMENT).is_file() and (there := _model_in(folder)) != deployment.model:
            raise RolloutError(
                f"{folder}: deploys {there}", [f"{deployment.model} needs a folder of its own"]
            )
        for one in deployment.everyone:
            target = folder / one.path
            if not target.is_file() or sha256(target) != one.sha256:
                _put(bundle, one, target)
        write_json(folder / NEXT, deployment.as_dict())
    except (RunError, OSError) as error:
        raise RolloutError(
            f"{folder}: nothing deployed ({error})", ["what was deployed is unchanged"]
        ) from None
    return Prepared(folder)


def read_deployment(folder: Path) -> Deployment:
    """Read a deployment, checking all that it says and the hash of every bundle.

    Raises:
        RolloutError: with everything that is wrong.
    """
    path = folder / DEPLOYMENT
    try:
        values = read_json(path)
    except RunError as error:
        raise RolloutError(f"{folder}: no deployment", [str(error)]) from None
    told = values if isinstance(values, dict) else {}
    faults = [
        f"{key}: missing, or no text" for key in ("model", "salt") if not isinstance(told.get(key), str)
    ]
    champion = _read_one(folder, "champion", told.get("champion"), faults)
    about, canary = told.get("canary"), None
    share: Any = 0.0
    if about is not None:
        canary = _read_one(folder, "canary", about, faults)
        share = about.get("share") if isinstance(about, dict) else None
        if not isinstance(share, float) or not 0 < share < 1:
            faults.append(f"canary: share is {share}; between 0 and 1 is right")
    listed = told.get("shadows")
    if not isinstance(listed, list):
        faults.append("shadows: missing, or no list")
        listed = []
    shadows = [_read_one(folder, f"shadow {at}", one, faults) for at, one in enumerate(listed, start=1)]
    found = [one for one in (champion, canary, *shadows) if one]
    if len({one.sha256 for one in found}) < len(found):
        faults.append("a bundle has two roles")
    if faults or champion is None:
        raise RolloutError(f"{path}: cannot be used", faults)
    return Deployment(
        told["model"], champion, canary, share, told["salt"], tuple(one for one in shadows if one)
    )


def _put(bundle: Callable[[Deployed, Path], Path], one: Deployed, target: Path) -> None:
    def write(temporary: Path) -> None:
        # the folder of the temporary file is on the right disk, and private while the bundle arrives
        found = bundle(one, temporary.parent)
        shutil.copyfile(found, temporary)
        if (wrong := sha256(temporary)) != one.sha256:
            raise RolloutError(
                f"version {one.version}: its bundle has SHA-256 {wrong}", [f"{one.sha256} is right"]
            )

    write_whole(target, write)


def _read_one(folder: Path, role: str, about: Any, faults: list[str]) -> Deployed | None:
    """Return a bundle as the file tells it, adding to the faults what is wrong with it."""
    if not isinstance(about, Mapping):
        faults.append(f"{role}: missing, or not as it was written")
        return None
    version, digest, path = (about.get(key) for key in ("version", "sha256", "path"))
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        faults.append(f"{role}: version is {version}")
        version = 0
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        faults.append(f"{role}: sha256 is no SHA-256")
        return None
    found = Deployed(version, digest)
    if path != found.path:
        faults.append(f"{role}: path is {path}; {found.path} is right")
    elif not (folder / path).is_file():
        faults.append(f"{role}: {path} is missing")
    elif sha256(folder / path) != digest:
        faults.append(f"{role}: {path} was changed")
    return found


def _model_in(folder: Path) -> Any:
    values = read_json(folder / DEPLOYMENT)
    return values.get("model") if isinstance(values, dict) else None
