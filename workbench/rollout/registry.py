"""The registry: runs, versions of models and their history, kept by MLflow in a file or on a server."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from workbench.errors import RolloutError, near_name
from workbench.params import ROOT
from workbench.rollout.gates import BUNDLE_ARTIFACT
from workbench.rollout.history import CANARY, CHAMPION, Line, State, replay
from workbench.rollout.run_log import MANIFEST_SHA256, RUN, SHA256, STUDY, log_run
from workbench.run import MANIFEST, Run
from workbench.sources import names_secret
from workbench.store import digest, sha256

FILE = "registry.db"
SQLITE = "sqlite:///"
SCHEMES = ("sqlite", "http", "https", "postgresql", "mysql", "mssql")
HISTORY = "history."
STAGE, SHARE = "workbench.stage", "workbench.share"
_ALONE = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_QUIET = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


@dataclass(frozen=True)
class Version:
    """A registered version: `sha256` of its scoring bundle, the run that froze it, and MLflow's run."""

    model: str
    number: int
    sha256: str
    run: str
    manifest_sha256: str
    logged: str


class Registry:
    """Runs and versions at an address; without one a SQLite file in rollout/, artifacts beside it."""

    def __init__(self, uri: str = "") -> None:
        self.uri = uri or f"{SQLITE}{ROOT / 'rollout' / FILE}"
        scheme = self.uri.split(":")[0].split("+")[0]
        if names_secret(self.uri):
            right = (
                "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, hold them"
            )
            raise RolloutError("--registry: no password on the command line", [right])
        if scheme not in SCHEMES or "://" not in self.uri:
            raise RolloutError(
                f"--registry {self.uri}: no address of a registry",
                ["right: sqlite:///folder/registry.db, or the https address of a tracking server"],
            )
        if self.folder and "?" in self.uri:
            raise RolloutError(f"--registry {self.uri}: a file alone", ["no options after ?"])

    @property
    def folder(self) -> Path | None:
        """The folder of a registry that is a file; None for a server."""
        return Path(self.uri.removeprefix(SQLITE)).resolve().parent if self.uri.startswith(SQLITE) else None

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Take the registry for this process: on one machine, one change at a time.

        On several machines a server has no such lock: of two lines that follow the same one both are kept,
        and the history then refuses to be read until a person has looked.
        """
        folder = self.folder or Path(tempfile.gettempdir())
        name = ".rollout.lock" if self.folder else f"workbench-{digest(self.uri)[:16]}.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / name, timeout=120):
                yield
        except Timeout:
            raise RolloutError(
                f"{self.uri}: in use by another process", ["try again when it ended"]
            ) from None
        except OSError as error:
            raise RolloutError(f"{folder}: no registry can be kept here ({error.strerror})") from None

    def log_run(self, run: Run, *, documents: bool = False) -> str:
        """Log a finished run and return MLflow's id of it; the same manifest is logged once.

        Parameters are flattened, facts with a number are metrics, study, manifest digest and code revision
        are tags; the documents of the report go along only where asked. Rows never do.

        Raises:
            RolloutError: a stage that is not complete, or a registry that does not answer.
        """
        with self._answering():
            return log_run(self._client, run, self.folder, documents=documents)

    def register(self, run: Run, *, documents: bool = False) -> Version:
        """Register the scoring bundle of a run as a version of its study; the same bundle, the same version.

        Raises:
            RunError: no bundle in the run, or one that was edited.
            RolloutError: as `log_run`.
        """
        path = run.checked_path(BUNDLE_ARTIFACT)
        with self.lock():
            logged, digested = self.log_run(run, documents=documents), sha256(path)
            model = str(run.manifest["study"])
            if known := next((one for one in self.versions(model) if one.sha256 == digested), None):
                return known
            with self._answering(), tempfile.TemporaryDirectory() as scratch:
                copy = Path(shutil.copyfile(path, Path(scratch) / f"{digested}.zip"))
                self._client.log_artifact(logged, copy, "bundle")
                if not self._client.search_registered_models(f"name = '{model}'"):
                    self._client.create_registered_model(model)
                source = f"{self._client.get_run(logged).info.artifact_uri}/bundle"
                tags = {SHA256: digested, RUN: run.run_id, STUDY: model}
                tags[MANIFEST_SHA256] = sha256(run.folder / MANIFEST)
                self._client.create_model_version(model, source, logged, tags=tags, await_creation_for=0)
            return next(one for one in self.versions(model) if one.sha256 == digested)

    def models(self) -> list[str]:
        """Return the names of the models that have versions; looking makes no file."""
        if self.uri.startswith(SQLITE) and not Path(self.uri.removeprefix(SQLITE)).is_file():
            return []
        with self._answering():
            return sorted(one.name for one in _pages(self._client.search_registered_models, ""))

    def versions(self, model: str) -> list[Version]:
        """Return the versions of a model in order."""
        found = [
            Version(
                model,
                int(one.version),
                one.tags[SHA256],
                one.tags[RUN],
                one.tags[MANIFEST_SHA256],
                str(one.run_id),
            )
            for one in self._versions(model)
            if SHA256 in one.tags
        ]
        return sorted(found, key=lambda one: one.number)

    def version(self, model: str, number: int) -> Version:
        """Return a version; raises RolloutError for one that is not there."""
        known = {one.number: one for one in self.versions(model)}
        if number not in known:
            told = ", ".join(map(str, known)) or "none"
            raise RolloutError(f"{model}: no version {number}", [f"versions: {told}"])
        return known[number]

    def version_of(self, run: Run) -> Version:
        """Return the version of a run's scoring bundle; raises RolloutError where it is not registered."""
        frozen = run.entry(BUNDLE_ARTIFACT)["sha256"]
        found = [one for one in self.versions(str(run.manifest["study"])) if one.sha256 == frozen]
        if not found:
            raise RolloutError(f"{run.run_id}: its bundle is not registered", ["workbench register RUN"])
        return found[0]

    def history(self, model: str) -> list[Line]:
        """Return the history of a model; raises RolloutError where it was edited or forked."""
        values = [
            json.loads(text)
            for one in self._versions(model)
            for key, text in one.tags.items()
            if key.startswith(HISTORY)
        ]
        lines = sorted((Line.of(value) for value in values), key=lambda line: line.number)
        replay(lines)
        return lines

    def append(self, version: Version, line: Line) -> None:
        """Add a line to the history of a version's model; its key has its digest: none goes over another."""
        text = json.dumps(line.as_dict(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        key = f"{HISTORY}{line.number:06}.{line.digest[:8]}"
        with self._answering():
            self._client.set_model_version_tag(version.model, str(version.number), key, text)

    def show(self, model: str, state: State) -> None:
        """Bring aliases and tags in line with the history, for those who look with MLflow's own tools."""
        with self._answering():
            for one in self._versions(model):
                number = int(one.version)
                wanted = {STAGE: state.of(number)}
                wanted |= {SHARE: f"{state.share:g}"} if number == state.canary else {}
                for key, text in wanted.items():
                    if one.tags.get(key) != text:
                        self._client.set_model_version_tag(model, one.version, key, text)
                if SHARE in one.tags and SHARE not in wanted:
                    self._client.delete_model_version_tag(model, one.version, SHARE)
            there = dict(self._client.get_registered_model(model).aliases)
            for alias, holder in ((CHAMPION, state.champion), (CANARY, state.canary)):
                if holder is None and alias in there:
                    self._client.delete_registered_model_alias(model, alias)
                elif holder is not None and there.get(alias) != str(holder):
                    self._client.set_registered_model_alias(model, alias, str(holder))

    def bundle(self, version: Version, folder: Path) -> Path:
        """Bring a version's bundle into a folder; raises RolloutError for one that is not as registered."""
        name = f"bundle/{version.sha256}.zip"
        with self._answering():
            path = Path(self._client.download_artifacts(version.logged, name, str(folder)))
        if sha256(path) != version.sha256:
            raise RolloutError(
                f"{version.model} version {version.number}: the bundle in the registry was changed",
                ["register the run again in a new registry, or restore the file"],
            )
        return path

    @cached_property
    def _client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(self.uri, self.uri)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Turn what MLflow raises into an error that a user can mend; it is told first to tell nobody."""
        os.environ.update(_ALONE)
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            if self.folder:
                self.folder.mkdir(parents=True, exist_ok=True)
            yield
        except (MlflowException, SQLAlchemyError, ImportError) as error:
            told = str(error).splitlines()[0][:300]
            raise RolloutError(f"{self.uri}: the registry does not take this", [told]) from None

    def _versions(self, model: str) -> list[Any]:
        with self._answering():
            return _pages(self._client.search_model_versions, f"name = '{model}'")


def one_model(registry: Registry, model: str = "") -> str:
    """Return the model that is meant: the one named, or the only one; raises RolloutError otherwise."""
    known = registry.models()
    if model in known or (not model and len(known) == 1):
        return model or known[0]
    told = [f"models: {', '.join(known) or 'none; workbench register RUN'}"]
    if model:
        raise RolloutError(f"{model}: no such model{near_name(model, known)}", told)
    raise RolloutError("which model is meant?", [*told, "name one with --model"])


def _pages(search: Any, text: str) -> list[Any]:
    found: list[Any] = []
    page = search(text)
    while True:
        found += page
        if not page.token:
            return found
        page = search(text, page_token=page.token)
