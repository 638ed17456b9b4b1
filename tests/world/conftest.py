import json
from types import SimpleNamespace

import polars as pl
import pytest

from workbench.world.write import SOURCES, write_world

APPLICANTS = 5_000


def read_world(folder):
    """Every table of a world, rows in the order of the parts, and truth.json."""
    tables = {
        source: pl.concat([pl.read_parquet(path) for path in sorted((folder / source).iterdir())])
        for source in SOURCES
    }
    truth = json.loads((folder / "truth.json").read_text())
    return SimpleNamespace(
        folder=folder, known=pl.read_parquet(folder / "truth.parquet"), truth=truth, **tables
    )


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """A world with everything planted, in one part."""
    folder = tmp_path_factory.mktemp("worlds") / "planted"
    return read_world(write_world(folder, applicants=APPLICANTS, seed=7, jobs=1))


@pytest.fixture(scope="session")
def clean(tmp_path_factory):
    """The same world without errors in its rows."""
    folder = tmp_path_factory.mktemp("worlds") / "clean"
    return read_world(write_world(folder, applicants=APPLICANTS, seed=7, jobs=1, clean=True))


@pytest.fixture(scope="session")
def read():
    return read_world
