"""The sample report as a reader meets it: in the browser, on paper, and when something is wrong."""

import html as markup
import re
import shutil
import time
import zipfile
from html.parser import HTMLParser

import pytest
import yaml

from tests.reporting.conftest import THEME, copy_sample
from workbench.errors import RenderError
from workbench.reporting.markdown import escape_markdown
from workbench.reporting.render import render

RUN_ID = "2026-08-01T09-30-00_4f2a"
NOTICE = "Public data: says nothing about a portfolio."
HOSTILE = '<script>alert(1)</script> **x** | $a$ @fig-x {{< var y >}} <img src=x onerror=f()> #let x = 1; "q"'


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def text_of(page: str) -> str:
    body = re.sub(r"<(style|annotation)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL)
    return " ".join(markup.unescape(body).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def page(rendered):
    return (rendered / "sample.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def sheets(rendered, pdf_pages):
    return pdf_pages(rendered / "sample.pdf")


def test_both_documents_stand_beside_the_page(sample):
    assert render(sample, renderer="embedded") == [sample / "sample.html", sample / "sample.pdf"]
    assert render(sample, formats=["pdf"], renderer="embedded") == [sample / "sample.pdf"]


def test_numbers_are_the_same_in_both(page, sheets):
    captions = re.findall(r"(?:Figure|Table) \d: \w+,? \w+", text_of(page))
    assert captions == [
        "Table 1: Features, in",
        "Table 2: Discrimination on",
        "Figure 1: Observed default",
        "Figure 2: Default rate",
    ]
    sections = re.findall(r'header-section-number">([\d.]+)</span>\s*(\w+)', page)
    assert [number for number, _ in sections] == ["1", "2", "2.1", "3", "3.1", "3.2"]
    paper = " ".join(sheets)
    for words in [*captions, *(f"{number} {title}" for number, title in sections)]:
        assert words in paper
    assert "Section 2.1" in paper
    assert "Section 2.1" in text_of(page)


def test_the_same_sources_give_the_same_bytes(rendered, sample):
    for _ in range(3):
        for path in render(sample, renderer="embedded"):
            assert path.read_bytes() == (rendered / path.name).read_bytes()


def test_the_page_fetches_nothing(page):
    loading = [
        attrs.get(name) or ""
        for tag, attrs in Elements(page).found
        for name in ("src", "href", "srcset", "data", "poster")
        if tag != "a" and name in attrs
    ]
    loading += re.findall(r"url\(([^)]*)\)|@import\s+(\S+)", page)
    assert [value for value in loading if not str(value).startswith(("data:", "#"))] == []
    assert not {tag for tag, _ in Elements(page).found} & {"script", "iframe", "object", "embed", "base"}


def test_the_page_can_be_read_by_a_machine(page):
    elements = Elements(page).found
    assert ("html", {"lang": "en-GB"}) in elements
    assert "<title>Model risk report: Taiwan, thirty thousand card holders</title>" in page
    assert all(attrs.get("alt") for tag, attrs in elements if tag == "img")
    assert all(attrs.get("scope") == "col" for tag, attrs in elements if tag == "th")
    assert next(attrs["href"] for tag, attrs in elements if tag == "a") == "#main-text"
    ids = [attrs["id"] for _, attrs in elements if attrs.get("id")]
    assert len(ids) == len(set(ids))
    targets = {attrs["href"] for tag, attrs in elements if tag == "a" and attrs["href"].startswith("#")}
    assert targets <= {f"#{name}" for name in ids}


def test_every_sheet_has_the_notice_the_run_and_its_number(sheets):
    assert len(sheets) > 3
    for number, sheet in enumerate(sheets, start=1):
        assert NOTICE in sheet
        assert RUN_ID in sheet
        assert re.search(rf"{number} ?/ ?{len(sheets)}$", sheet)


def test_the_head_of_a_long_table_is_on_each_of_its_sheets(sheets):
    with_rows = [sheet for sheet in sheets if "before the application" in sheet]
    assert len(with_rows) > 1
    assert all("feature meaning coverage IV" in sheet for sheet in with_rows)
    assert sum(sheet.count("before the application") for sheet in sheets) == 60


def test_the_pdf_is_archivable_and_accessible(rendered):
    pdf = (rendered / "sample.pdf").read_bytes()
    assert b"<pdfaid:part>2</pdfaid:part><pdfaid:conformance>A</pdfaid:conformance>" in pdf
    assert b"<pdfuaid:part>1</pdfuaid:part>" in pdf
    assert b"Model risk report: Taiwan" in pdf
    assert b"2026-08-01T00:00:00" in pdf


def test_a_picture_without_alternative_text_costs_accessibility_only(page_of_one_picture):
    pdf = render(page_of_one_picture, formats=["pdf"], renderer="embedded")[0].read_bytes()
    assert b"<pdfaid:conformance>B</pdfaid:conformance>" in pdf
    assert b"pdfuaid:part>1" not in pdf


@pytest.fixture
def page_of_one_picture(sample):
    (sample / "sample.qmd").write_text("---\ntitle: One\n---\n\n![](figures/segments.svg)\n")
    return sample


def test_a_value_never_becomes_markup(sample, dom, pdf_pages):
    values = yaml.safe_load((sample / "_variables.yml").read_text())
    values["study"]["title"] = values["data"]["applicants"] = escape_markdown(HOSTILE)
    (sample / "_variables.yml").write_text(yaml.safe_dump(values))
    table = f"| a | b |\n|:--|--:|\n| {escape_markdown(HOSTILE)} | 1 |\n"
    (sample / "_generated" / "features.md").write_text(table)
    page, pdf = render(sample, renderer="embedded")
    seen = dom(page)
    body = seen[seen.index("<body") :]
    assert text_of(body).count(HOSTILE) == 3
    tags = {tag for tag, attrs in Elements(body).found if attrs.get("src") is None}
    assert not tags & {"script", "img"}
    assert f"<title>Model risk report: {markup.escape(HOSTILE)}</title>" in page.read_text()
    letters = "".join("".join(pdf_pages(pdf)).split())
    assert letters.count("".join(HOSTILE.split())) >= 2


def test_nothing_is_wider_than_a_narrow_screen(rendered, dom, tmp_path):
    """A phone's width in a frame, because a headless window is never that narrow."""
    widths = "[document.documentElement.scrollWidth, innerWidth]"
    measure = f"<script>parent.postMessage({widths}, '*')</script></body>"
    page = (rendered / "sample.html").read_text(encoding="utf-8").replace("</body>", measure)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
    listen = "<script>onmessage = message => document.title = message.data.join(' ')</script>"
    frame = '<iframe src="page.html" style="width:380px;height:800px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><title>none</title>{listen}{frame}")
    found = re.search(r"<title>(\d+) (\d+)</title>", dom(tmp_path / "frame.html"))
    assert int(found[2]) == 380
    assert 0 < int(found[1]) <= 380


def test_all_faults_are_told_at_once_with_their_places(sample):
    chapter = sample / "chapters" / "validation.qmd"
    lines = len(chapter.read_text().splitlines())
    chapter.write_text(
        chapter.read_text()
        + "{{< vidoe x >}} {{< var validation.acu.value >}}\n\n{{< include gone.qmd >}}\n\n"
        + "@fig-gone @yeh2010\n\n"
        + "![c](figures/calibraton.svg){#fig-calibration}\n"
    )
    with pytest.raises(RenderError) as caught:
        render(sample, renderer="embedded")
    at = "chapters/validation.qmd"
    assert set(caught.value.faults) == {
        f"{at}:{lines + 1}: {{{{< vidoe x >}}}}: unknown shortcode; known are var, include, pagebreak",
        f"{at}:{lines + 1}: {{{{< var validation.acu.value >}}}}: no such value in _variables.yml "
        "(did you mean validation.auc.value?)",
        f"{at}:{lines + 3}: {{{{< include gone.qmd >}}}}: no such file",
        f"{at}:{lines + 5}: @fig-gone: nothing has this id",
        f"{at}:{lines + 5}: @yeh2010: no such entry in the bibliography",
        f"{at}:{lines + 7}: figures/calibraton.svg: no such picture in the report's folder "
        "(did you mean figures/calibration.svg?)",
        f"{at}:27: #fig-calibration: the same id is used twice",
        f"{at}:{lines + 7}: #fig-calibration: the same id is used twice",
    }


def test_a_fault_in_the_front_matter_has_its_line(sample):
    page = sample / "sample.qmd"
    page.write_text(page.read_text().replace("study.title", "study.titel"))
    with pytest.raises(RenderError) as caught:
        render(sample, renderer="embedded")
    value = "{{< var study.titel >}}: no such value in _variables.yml (did you mean study.title?)"
    assert caught.value.faults == (f"sample.qmd:2: {value}",)


def test_a_render_that_fails_leaves_what_was_there(sample):
    before = {path: path.read_bytes() for path in render(sample, renderer="embedded")}
    (sample / "sample.qmd").write_text((sample / "sample.qmd").read_text() + "\n\n@fig-none\n")
    with pytest.raises(RenderError):
        render(sample, renderer="embedded")
    (sample / "sample.qmd").write_text("---\ntitle: T\n---\n\nA letter that no font of the PDF has: 中\n")
    with pytest.raises(RenderError, match="could not be displayed"):
        render(sample, renderer="embedded")
    assert {path: path.read_bytes() for path in before} == before
    assert not list(sample.glob(".*"))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ("project: {render: [a.qmd, b.qmd]}", "must name one page"),
        ("project: {render: [gone.qmd]}", "no such file"),
        ("[1, 2]", "holds list"),
        ("a: [", "not readable as YAML"),
        ("project: {render: [sample.qmd]}\nbibliography: gone.bib", "gone.bib: no such file"),
    ],
)
def test_settings_that_cannot_be_used(sample, settings, fault):
    (sample / "_quarto.yml").write_text(settings)
    (sample / "sample.qmd").write_text("Text.\n")
    with pytest.raises(RenderError, match=re.escape(fault)):
        render(sample, renderer="embedded")


def test_a_folder_without_settings(tmp_path):
    with pytest.raises(RenderError, match=r"_quarto\.yml: no such file"):
        render(tmp_path)


def test_two_documents_take_seconds(sample):
    start = time.perf_counter()
    render(sample, renderer="embedded")
    assert time.perf_counter() - start < 20


def fake_quarto(tmp_path, monkeypatch, says="", code=0, writes=True):
    """A `quarto` that notes its arguments and writes the file it is told to."""
    write = 'echo "made by quarto" > "$6"' if writes else ":"
    script = f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n{write}\necho "{says}" >&2\nexit {code}\n'
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "quarto").write_text(script)
    (tmp_path / "bin" / "quarto").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")


def test_quarto_is_taken_where_it_is(sample, tmp_path, monkeypatch):
    fake_quarto(tmp_path, monkeypatch)
    paths = render(sample)
    assert [path.read_text() for path in paths] == ["made by quarto\n"] * 2
    assert (tmp_path / "asked").read_text().splitlines() == [
        "render sample.qmd --to html --output sample.part.html",
        "render sample.qmd --to typst --output sample.part.pdf",
    ]
    assert not list(sample.glob("*.part.*"))


@pytest.mark.parametrize(
    ("behaviour", "fault"),
    [
        ({"says": "[WARNING] Unable to resolve crossref @fig-x"}, "Unable to resolve crossref @fig-x"),
        ({"says": "ERROR: no", "code": 1}, "stopped with code 1"),
        ({"writes": False}, "did not write sample.part.html"),
    ],
)
def test_what_quarto_only_warns_of_is_an_error(sample, tmp_path, monkeypatch, behaviour, fault):
    fake_quarto(tmp_path, monkeypatch, **behaviour)
    (sample / "sample.html").write_text("earlier")
    with pytest.raises(RenderError, match=fault):
        render(sample, renderer="quarto")
    assert (sample / "sample.html").read_text() == "earlier"
    assert not list(sample.glob("*.part.*"))


def test_quarto_asked_for_but_absent(sample, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(RenderError, match="not on the PATH"):
        render(sample, renderer="quarto")


@pytest.fixture(scope="module")
def word(tmp_path_factory):
    """The sample as Word, with the reference document of the theme."""
    folder = copy_sample(tmp_path_factory.mktemp("word") / "report")
    shutil.copy(THEME.parent / "reference.docx", folder)
    settings = yaml.safe_load((folder / "_quarto.yml").read_text(encoding="utf-8"))
    settings["format"]["docx"] = {"reference-doc": "reference.docx", "toc": True}
    (folder / "_quarto.yml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    return render(folder, formats=["docx"], renderer="embedded")[0]


def part_of(word, name="word/document.xml"):
    with zipfile.ZipFile(word) as package:
        return package.read(name).decode("utf-8")


def test_word_says_what_the_page_says(word, page):
    said = " ".join(markup.unescape(re.sub(r"<[^>]+>", "", part_of(word))).replace("\u00a0", " ").split())
    for words in re.findall(r"(?:Figure|Table) \d: \w+,? \w+", text_of(page)):
        assert words in said
    assert RUN_ID in said
    assert NOTICE in said


def test_word_has_alternative_texts_heads_that_repeat_and_callouts(word):
    text = part_of(word)
    pictures = re.findall(r"<wp:docPr [^>]*>", text)
    assert len(pictures) == 2
    assert all(re.search(r'descr="[^"]+"', picture) for picture in pictures)
    assert text.count("<w:tblHeader") == text.count("<w:tbl>") > 0
    assert '<w:pStyle w:val="CalloutTitle"' in text
    assert 'w:w="11906"' in text  # the width of A4


def test_word_has_the_same_bytes_again(word):
    before = word.read_bytes()
    assert render(word.parent, formats=["docx"], renderer="embedded")[0].read_bytes() == before


def test_a_reference_document_that_is_missing_is_told(word, tmp_path):
    folder = copy_sample(tmp_path / "report")
    shutil.copy(word.parent / "_quarto.yml", folder)
    with pytest.raises(RenderError, match="files are missing") as caught:
        render(folder, formats=["docx"], renderer="embedded")
    assert caught.value.faults == ("reference.docx: no such file, named in _quarto.yml or sample.qmd",)
