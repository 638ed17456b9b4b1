"""A sample report, rendered once, and the tools to look at it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import RenderError
from workbench.reporting.render import render

HERE = Path(__file__).parent
THEME = HERE.parents[1] / "reports" / "theme" / "theme.css"


def copy_sample(folder: Path) -> Path:
    shutil.copytree(HERE / "sample_project", folder)
    shutil.copy(THEME, folder / "theme.css")
    return folder


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    return copy_sample(tmp_path / "report")


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample report's folder with its HTML and PDF in it; tests only read it."""
    folder = copy_sample(tmp_path_factory.mktemp("rendered") / "report")
    render(folder, renderer="embedded")
    return folder


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Path]:
    """Makes a project of one page with this text; further files by their path."""

    def make(body: str, **files: str) -> Path:
        folder = tmp_path / "page"
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        shutil.copy(HERE / "sample_project" / "figures" / "segments.svg", folder / "figures" / "a.svg")
        (folder / "_quarto.yml").write_text("project: {render: [page.qmd]}\n", encoding="utf-8")
        (folder / "page.qmd").write_text(f"---\ntitle: Page\n---\n{body}", encoding="utf-8")
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return folder

    return make


@pytest.fixture
def html(page: Callable[..., Path]) -> Callable[..., str]:
    """Renders a page of this text and returns its HTML on one line."""

    def make(body: str, **files: str) -> str:
        path = render(page(body, **files), formats=["html"], renderer="embedded")[0]
        return " ".join(path.read_text(encoding="utf-8").replace("\u00a0", " ").split())

    return make


@pytest.fixture
def faults(page: Callable[..., Path]) -> Callable[..., tuple[str, ...]]:
    """Renders a page of this text, which must fail, and returns the faults."""

    def make(body: str, **files: str) -> tuple[str, ...]:
        with pytest.raises(RenderError) as caught:
            render(page(body, **files), formats=["html"], renderer="embedded")
        return caught.value.faults

    return make


@pytest.fixture(scope="session")
def dom() -> Callable[[Path], str]:
    """Opens a page in Chromium and returns the document as the browser has it."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")

    def dump(path: Path) -> str:
        command = [chromium, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"]
        command += ["--virtual-time-budget=5000", "--dump-dom", path.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        return done.stdout

    return dump


@pytest.fixture(scope="session")
def pdf_pages() -> Callable[[Path], list[str]]:
    """Returns the text of each page of a PDF."""
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed")

    def read(path: Path) -> list[str]:
        command = ["pdftotext", "-layout", str(path), "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return [" ".join(page.replace("\u200b", "").split()) for page in text.split("\f")[:-1]]

    return read
