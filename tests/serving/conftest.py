import pytest

from tests.scoring.making import frozen
from workbench.scoring.bundle import pack


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    """The file of a scoring bundle."""
    path = tmp_path_factory.mktemp("bundle") / "bundle.zip"
    path.write_bytes(pack(frozen(), seed=1))
    return path
