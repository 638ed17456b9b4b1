"""Who decides: the champion, a canary for a share of the applicants, and shadows that decide without
effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import DataError, RunError
from workbench.rollout.assignment import in_canary
from workbench.rollout.deployment import DEPLOYMENT
from workbench.scoring.contract import Field
from workbench.serving.opening import OpenedBundle, open_bundle
from workbench.store import read_json


@dataclass(frozen=True)
class Deployment:
    """The bundles in use; `share` of the applicants, by `salt` and id alone, go to the canary."""

    champion: OpenedBundle
    canary: OpenedBundle | None = None
    share: float = 0.0
    salt: str = ""
    shadows: tuple[OpenedBundle, ...] = ()

    def role_of(self, applicant_id: str) -> str:
        """Return "canary" or "champion": the same for an applicant at all times."""
        is_canary = self.canary is not None and in_canary(applicant_id, salt=self.salt, share=self.share)
        return "canary" if is_canary else "champion"

    def bundle_of(self, role: str) -> OpenedBundle:
        """Return the bundle that decides in a role."""
        return self.canary if role == "canary" and self.canary is not None else self.champion

    @property
    def everyone(self) -> tuple[OpenedBundle, ...]:
        """Every bundle that is asked, the champion first."""
        return (self.champion, *([self.canary] if self.canary else []), *self.shadows)

    @property
    def fields(self) -> dict[str, Field]:
        """The fields that a request must have: those of every bundle, the champion's first."""
        return {
            field.name: field for opened in reversed(self.everyone) for field in opened.frozen.contract.fields
        }


def open_deployment(place: Path, *, sha256: str = "") -> Deployment:
    """Open what a server is to serve: a folder with `deployment.json`, a run, or a bundle's file.

    Raises:
        RunError, DataError: as `open_bundle`; a deployment that is not whole, with every fault.
    """
    if (place / DEPLOYMENT).is_file():
        return _read(place, read_json(place / DEPLOYMENT))
    return Deployment(open_bundle(place, sha256=sha256, engine="onnx"))


def _read(folder: Path, about: Any) -> Deployment:
    faults: list[str] = []

    def opened(role: str, entry: Any) -> OpenedBundle | None:
        try:
            return open_bundle(folder / entry["path"], sha256=entry["sha256"], engine="onnx")
        except (KeyError, TypeError):
            faults.append(f"{role}: names no path with its sha256")
        except (RunError, DataError) as error:
            faults.extend([f"{role}: {error.summary}", *error.faults])
        return None

    known = about if isinstance(about, Mapping) else {}
    champion, canary = opened("champion", known.get("champion")), None
    share = 0.0
    if known.get("canary"):
        canary, share = opened("canary", known["canary"]), known["canary"].get("share", 0.0)
        if not (isinstance(share, float) and 0 < share < 1):
            faults.append(f"canary: share is {share}; between 0 and 1 is right")
    shadows = [opened(f"shadow {at}", entry) for at, entry in enumerate(known.get("shadows", []), start=1)]
    if faults or champion is None:
        raise RunError(f"{folder / DEPLOYMENT}: cannot be served", faults)
    return Deployment(
        champion, canary, share, str(known.get("salt", "")), tuple(one for one in shadows if one)
    )
