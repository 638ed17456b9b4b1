"""The documents as assistive technology meets them: axe-core in the browser, and the structure of the PDF."""

import html as markup
import json
import re
from importlib.resources import files
from itertools import pairwise

import pikepdf
import polars as pl
import pytest

from tests.pipeline.running import call_here, command, shared_run
from workbench.reporting.documents import DOCUMENTS
from workbench.run import Run

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# Colours are the theme's: pages of a hundred tables need not be looked at cell by cell for them as well.
LONG = {"model_risk", "fair_lending"}
TELL = """
const options = {resultTypes: ['violations'], rules: {'color-contrast': {enabled: COLOURS}}};
axe.run(document, options).then(found => {
  const told = found.violations.map(rule => ({id: rule.id, impact: rule.impact, first: rule.nodes[0].html}));
  document.documentElement.innerHTML = '<body><pre id="found"></pre></body>';
  document.getElementById('found').textContent = JSON.stringify({rules: found.passes.length, told});
});
"""
BAD = """<html lang="en"><head><title>P</title></head><body><main><h1>P</h1><img src="data:,">
<p style="color:#ccc">pale</p></main></body></html>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return shared_run(tmp_path_factory) / "report"


@pytest.fixture(scope="module")
def violations(dom, tmp_path_factory):
    """Runs axe-core on a page of this text and returns what it objects to."""
    place = tmp_path_factory.mktemp("axe") / "page.html"

    def found(page, colours=True):
        tell = TELL.replace("COLOURS", str(colours).lower())
        scripts = f"<script>{AXE}</script><script>{tell}</script></body>"
        place.write_text(page.replace("</body>", scripts), encoding="utf-8")
        answer = re.search(r'<pre id="found">(.*?)</pre>', dom(place), re.DOTALL)
        assert answer, "axe-core did not answer"
        told = json.loads(markup.unescape(answer[1]))
        assert told["rules"] > 0
        return told["told"]

    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_axe_objects_to_nothing(folder, document, violations):
    page = (folder / f"{document}.html").read_text(encoding="utf-8")
    assert violations(page, colours=document not in LONG) == []


def test_axe_objects_to_nothing_in_the_report_of_a_batch(folder, tmp_path, violations):
    run = Run.open(folder.parent)
    batch = pl.read_parquet(run.checked_path("features/features")).head(600)
    groups = pl.read_parquet(run.checked_path("data/protected"))
    batch.join(groups, on="applicant_id").write_parquet(tmp_path / "b.parquet")
    words = ("--batch", tmp_path / "b.parquet", "--history", tmp_path / "h.duckdb", "-o", tmp_path / "out")
    done = call_here(command("monitor", run.folder, *words, "--to", "html"))
    assert done.returncode == 0, done.stderr
    assert violations((tmp_path / "out" / "b-v1.html").read_text(encoding="utf-8")) == []


def test_axe_would_object_to_a_picture_without_words_and_to_pale_text(violations):
    assert {one["id"] for one in violations(BAD)} >= {"image-alt", "color-contrast"}
    assert "color-contrast" not in {one["id"] for one in violations(BAD, colours=False)}


def elements(node):
    """Every element of a PDF's structure, in reading order."""
    if isinstance(node, pikepdf.Array):
        for child in node:
            yield from elements(child)
    elif isinstance(node, pikepdf.Dictionary):
        if "/S" in node:
            yield node
        if "/K" in node:
            yield from elements(node.K)


def names_of(node):
    return [str(child.S) for child in elements(node)]


@pytest.fixture(scope="module", params=DOCUMENTS)
def pdf(request, folder):
    with pikepdf.open(folder / f"{request.param}.pdf") as opened:
        yield opened


def test_the_pdf_says_what_it_conforms_to_and_in_which_language(pdf):
    told = pdf.Root.Metadata.read_bytes().decode("utf-8")
    for claim in ("<pdfaid:part>2<", "<pdfaid:conformance>A<", "<pdfuaid:part>1<", "<dc:title>"):
        assert claim in told
    assert str(pdf.Root.Lang) == "en-GB"
    assert pdf.Root.MarkInfo.Marked
    assert pdf.Root.ViewerPreferences.DisplayDocTitle
    assert [str(intent.S) for intent in pdf.Root.OutputIntents] == ["/GTS_PDFA1"]


def test_the_pdf_runs_and_fetches_nothing(pdf):
    assert not {"/OpenAction", "/AA", "/AcroForm"} & set(pdf.Root.keys())
    assert "/JavaScript" not in pdf.Root.get("/Names", {})
    kinds = {
        str(note.A.S) for page in pdf.pages for note in page.get("/Annots", []) if "/A" in note
    }  # internal links have a /Dest
    assert kinds <= {"/URI"}
    assert not pdf.is_encrypted


def test_pictures_have_words_and_tables_have_heads(pdf):
    found = list(elements(pdf.Root.StructTreeRoot))
    kinds = [str(node.S) for node in found]
    assert kinds.count("/Table") > 0
    for node in found:
        if str(node.S) == "/Figure":
            assert str(node.Alt).strip()
        if str(node.S) == "/Table":
            assert "/TH" in names_of(node)
        if str(node.S) == "/TH":
            attributes = [node.A] if isinstance(node.A, pikepdf.Dictionary) else list(node.A)
            assert any(str(one.get("/Scope", "")) == "/Column" for one in attributes)


def test_headings_begin_at_the_first_level_and_skip_none(pdf):
    levels = [int(name[2:]) for name in names_of(pdf.Root.StructTreeRoot) if re.fullmatch(r"/H\d", name)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_every_font_is_in_the_file(pdf):
    for page in pdf.pages:
        for font in page.get("/Resources", {}).get("/Font", {}).values():
            described = font.DescendantFonts[0] if "/DescendantFonts" in font else font
            if str(described.get("/Subtype", "")) != "/Type3":
                assert {"/FontFile", "/FontFile2", "/FontFile3"} & set(described.FontDescriptor.keys())
