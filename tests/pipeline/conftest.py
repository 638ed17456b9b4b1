from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline import running
from workbench.params import ROOT
from workbench.run import Run
from workbench.study import load_study


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the smoke study with its report; tests only read it."""
    return running.shared_run(tmp_path_factory)


@pytest.fixture
def copy(smoke_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, in a folder of runs of its own; tests may damage it."""
    return running.copied(smoke_run, tmp_path)


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], Run]:
    """Makes a run folder in which no stage has run."""

    def make() -> Run:
        study = load_study(ROOT / "params" / "smoke.yaml")
        about = {"created": "2026-01-01", "engine": {"name": "cpu", "device": "cpu", "why": "test"}}
        return Run.create(tmp_path / "smoke", study, about)

    return make
