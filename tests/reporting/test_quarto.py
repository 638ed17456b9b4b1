"""The same sources under Quarto and under the embedded renderer: the same words, numbers and references."""

import re
import shutil
from html.parser import HTMLParser

import pytest

from tests.pipeline.running import shared_run
from workbench.reporting.render import render

pytestmark = pytest.mark.skipif(shutil.which("quarto") is None, reason="Quarto is not installed")
PIECES = ("td", "th", "caption", "figcaption", "h1", "h2", "h3", "p", "li")


class Pieces(HTMLParser):
    """The texts of a page's main part by their element, in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(page[page.index("<main") :])

    def handle_starttag(self, tag, _attrs):
        if tag in PIECES:
            self._open.append(tag)
            self.texts.append((tag, ""))

    def handle_endtag(self, tag):
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)

    def of(self, *tags):
        return [" ".join(text.split()) for tag, text in self.texts if tag in tags and text.strip()]


@pytest.fixture(scope="module", params=["sample", "model_card", "validation"])
def pages(request, tmp_path_factory, rendered):
    """The pieces of one project as either renderer makes it."""
    source = rendered
    if request.param != "sample":
        source = shared_run(tmp_path_factory) / "report" / "source" / request.param
    found = {}
    for renderer in ("embedded", "quarto"):
        folder = tmp_path_factory.mktemp(renderer) / request.param
        shutil.copytree(source, folder)
        (page,) = render(folder, formats=["html"], renderer=renderer)
        found[renderer] = Pieces(page.read_text(encoding="utf-8").replace("\u00a0", " "))
    return found


def test_tables_have_the_same_cells(pages):
    assert pages["quarto"].of("td", "th") == pages["embedded"].of("td", "th")


def test_figures_and_tables_have_the_same_numbers_and_captions(pages):
    captions = {name: sorted(page.of("caption", "figcaption")) for name, page in pages.items()}
    assert captions["quarto"] == captions["embedded"]


def test_headings_have_the_same_numbers(pages):
    headings = {
        name: [text for text in page.of("h1", "h2", "h3") if text != "References"]
        for name, page in pages.items()
    }
    assert [text for text in headings["quarto"] if re.match(r"\d", text)] == [
        text for text in headings["embedded"] if re.match(r"\d", text)
    ]


def test_the_prose_is_the_same(pages):
    prose = {name: [text for text in page.of("p", "li") if len(text) > 40] for name, page in pages.items()}
    assert prose["quarto"] == prose["embedded"]
