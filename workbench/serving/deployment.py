"""Who decides: the champion, a canary for a share of the applicants, shadows without effect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workbench.rollout.assignment import in_canary
from workbench.rollout.deployment import DEPLOYMENT, Deployed, read_deployment
from workbench.scoring.contract import Field
from workbench.serving.opening import OpenedBundle, open_bundle


@dataclass(frozen=True)
class Deployment:
    """The bundles in use, opened; `share` of the applicants, by `salt` and id alone, go to the canary."""

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
        """The fields that a request must have: those of every bundle; of shared ones the champion's."""
        contracts = [opened.frozen.contract for opened in reversed(self.everyone)]
        return {field.name: field for contract in contracts for field in contract.fields}


def open_deployment(place: Path, *, sha256: str = "") -> Deployment:
    """Open what a server is to serve: the folder of a deployment, a run, or a bundle's file.

    Raises:
        RolloutError: a deployment that is not whole, with every fault.
        RunError, DataError: as `open_bundle`.
    """
    if not (place / DEPLOYMENT).is_file():
        return Deployment(open_bundle(place, sha256=sha256, engine="onnx"))
    told = read_deployment(place)

    def opened(one: Deployed) -> OpenedBundle:
        return open_bundle(place / one.path, sha256=one.sha256, engine="onnx")

    canary = opened(told.canary) if told.canary else None
    return Deployment(opened(told.champion), canary, told.share, told.salt, tuple(map(opened, told.shadows)))
