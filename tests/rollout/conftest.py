import shutil

import pytest

from workbench.rollout.registry import Registry


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory):
    """A registry's file without anything in it: MLflow takes seconds to make one."""
    path = tmp_path_factory.mktemp("registry") / "registry.db"
    Registry(f"sqlite:///{path}").versions("nothing")
    return path


@pytest.fixture
def registry(empty_registry, tmp_path):
    (tmp_path / "registry").mkdir()
    shutil.copyfile(empty_registry, tmp_path / "registry" / "registry.db")
    return Registry(f"sqlite:///{tmp_path / 'registry' / 'registry.db'}")
