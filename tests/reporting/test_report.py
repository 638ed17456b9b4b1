"""The report of the smoke study as its reader has it."""

import html as markup
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import polars as pl
import pytest
import yaml

from tests.pipeline.running import call, copied, made_again, shared_run, smoke
from workbench.params import ROOT, STAGES
from workbench.reporting import evidence
from workbench.reporting.content import TABLES
from workbench.reporting.disclosure import shown_facts
from workbench.reporting.documents import DOCUMENTS
from workbench.reporting.figures import FIGURES, reads
from workbench.run import Run

TITLE = '<script>alert("x")</script> {{< var study.name >}} **bold** & $a$'
SUFFIXES = ("_interval", "_line", "_met")


class Page(HTMLParser):
    """The elements of a page, and the text of some of them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.texts, self._open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag in ("title", "h1", "th", "script"):
            self._open.append(tag)
            self.texts.append((tag, ""))

    def handle_endtag(self, tag):
        if self._open and self._open[-1] == tag:
            self._open.pop()

    def handle_data(self, data):
        if self._open:
            tag, text = self.texts[-1]
            self.texts[-1] = (tag, text + data)

    def texts_of(self, name):
        return [" ".join(text.split()) for tag, text in self.texts if tag == name]


def text_of(page):
    body = re.sub(r"<(style|annotation|svg|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(markup.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u00a0", " ").split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture(scope="module")
def page(run):
    return (run.folder / "report" / "model_risk.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def source(run):
    return run.folder / "report" / "source" / "model_risk"


@pytest.fixture(scope="module")
def variables(source):
    return yaml.safe_load((source / "_variables.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS)
def test_nothing_is_left_unresolved(run, document):
    page = (run.folder / "report" / f"{document}.html").read_text(encoding="utf-8")
    text = text_of(page)
    assert "{{<" not in page
    assert "None" not in text.replace("None.", "")
    assert not re.search(r"\bnan\b|\binf\b", text)
    assert "?@" not in text
    assert "[@" not in text


@pytest.mark.parametrize("document", DOCUMENTS)
def test_no_line_of_a_page_starts_with_a_reference(document):
    """Markdown reads a line that starts with `@name.` as the first of a list of examples."""
    for path in (ROOT / "reports" / document).glob("*.qmd"):
        assert not re.findall(r"^ *@[\w-]+\.(?:\s|$)", path.read_text(encoding="utf-8"), re.MULTILINE), (
            path.name
        )


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_pdf_says_the_same(run, document, pdf_pages):
    text = " ".join(pdf_pages(run.folder / "report" / f"{document}.pdf"))
    assert "{{<" not in text
    assert not re.search(r"\bnan\b", text)
    assert "None" not in text.replace("None.", "")


def test_the_pdf_is_a_document_and_not_a_book(run):
    if shutil.which("pdfinfo") is None:
        pytest.skip("pdfinfo is not installed")
    words = ["pdfinfo", str(run.folder / "report" / "model_risk.pdf")]
    told = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    assert 15 <= int(facts["Pages"]) <= 80
    assert facts["Tagged"].strip() == "yes"
    assert facts["Title"].strip() == run.study.report.title


def test_the_model_card_has_two_pages(run, pdf_pages):
    pages = pdf_pages(run.folder / "report" / "model_card.pdf")
    assert len([page for page in pages if page.strip()]) == 2
    assert "Contents" not in pages[0]


def test_a_page_without_contents_uses_the_width_of_a_desk(run, dom, tmp_path):
    width = "document.getElementById('main-text').clientWidth"
    tell = f"<script>parent.postMessage({width}, '*')</script></body>"
    page = (run.folder / "report" / "model_card.html").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(page.replace("</body>", tell), encoding="utf-8")
    listen = "<script>onmessage = message => document.title = message.data</script>"
    frame = '<iframe src="page.html" style="width:1300px;height:800px;border:0"></iframe>'
    (tmp_path / "frame.html").write_text(f"<!doctype html><title>none</title>{listen}{frame}")
    found = re.search(r"<title>(\d+)</title>", dom(tmp_path / "frame.html"))
    assert 800 <= int(found[1]) <= 1000


def test_the_page_fetches_nothing(page):
    for tag, attributes in Page(page).elements:
        for name in ("src", "href", "srcset", "data", "poster", "xlink:href"):
            address = attributes.get(name)
            if address and not (tag == "a" and name == "href"):
                assert address.startswith(("data:", "#")), (tag, address[:80])
    styles = " ".join(re.findall(r"<style[^>]*>(.*?)</style>", page, re.DOTALL))
    assert "@import" not in styles
    assert not re.findall(r"url\((?!['\"]?(?:data:|#))[^)]*\)", styles)


def test_the_page_has_no_script_and_alternative_texts(page):
    elements = Page(page).elements
    assert [tag for tag, _ in elements if tag == "script"] == []
    for tag, attributes in elements:
        if tag == "img":
            assert attributes.get("alt"), attributes.get("src", "")[:40]


def test_every_stage_has_its_chapter(source):
    main = (source / "model_risk.qmd").read_text(encoding="utf-8")
    for stage in STAGES:
        assert f"{{{{< include {stage}.qmd >}}}}" in main


def test_every_table_and_figure_is_used(source):
    pages = " ".join(path.read_text(encoding="utf-8") for path in source.parent.glob("*/*.qmd"))
    for name in TABLES:
        assert f"{name}.md" in pages, name
    for name in FIGURES:
        assert f"{name}.svg" in pages, name


def test_every_number_is_a_fact(run, variables):
    facts = {fact["id"]: fact for fact in shown_facts(run)}
    told = variables | {}
    del told["study"], told["run"]

    def leaves(place, path=()):
        for key, value in place.items():
            name = (*path, key)
            yield from leaves(value, name) if isinstance(value, dict) else [(".".join(name), value)]

    traced = set()
    for name, shown in leaves(told):
        base = next((name[: -len(s)] for s in SUFFIXES if name.endswith(s) and name not in facts), name)
        assert base in facts, name
        traced.add(base)
        if base == name:
            assert shown == evidence.fact_value(facts[name], run.study.report.suppress_below)
    assert traced == set(facts)


def test_the_main_numbers_are_those_of_the_artifacts(run, variables):
    holdout = pl.read_parquet(run.checked_path("training/scores")).filter(pl.col("sample") == "holdout")
    assert variables["data"]["holdout_applicants"] == f"{holdout.height:,} applicants"
    positives = holdout.filter(pl.col("default") == 1)["prob_default"].to_numpy()
    negatives = holdout.filter(pl.col("default") == 0)["prob_default"].to_numpy()
    above = (positives[:, None] > negatives).mean() + 0.5 * (positives[:, None] == negatives).mean()
    assert variables["validation"]["auc"] == f"{above:.3f}"
    declined = holdout.filter(pl.col("approved") == 0).height
    assert variables["explanation"]["declined"] == f"{declined:,} applicants"


def test_the_pages_type_no_result(source):
    """A number with decimals in the prose would be typed; a licence and the AUC of chance are none."""
    for path in source.glob("*.qmd"):
        prose = re.sub(r"\{\{<.*?>\}\}|\{[^}]*\}|`[^`]*`|\]\([^)]*\)", "", path.read_text(encoding="utf-8"))
        prose = re.sub(r"\A---\n.*?\n---\n", "", prose, flags=re.DOTALL)
        assert set(re.findall(r"\b\d+\.\d+%?", prose)) <= {"4.0", "0.5"}, path.name


@pytest.mark.parametrize("word", ["taiwan", "twd", "ledger", "six months", "2005", "the bank"])
def test_the_pages_are_of_no_study_in_particular(word):
    for path in (ROOT / "reports" / "model_risk").glob("*.qmd"):
        prose = re.sub(r"\{\{<.*?>\}\}|\{#[^}]*\}|@[\w-]+", "", path.read_text(encoding="utf-8"))
        assert word not in " ".join(prose.lower().split()), path.name


def test_the_report_reads_aggregates_only(run):
    entries = run.manifest["artifacts"]
    assert {entries[name]["sensitivity"] for name in reads()} == {"aggregate"}


def test_no_applicant_is_in_the_report(run, page, source):
    headers = Page(page).texts_of("th")
    assert len(headers) > 50
    assert not [header for header in headers if "applicant id" in header.lower().replace("_", " ")]
    assert {path.suffix for path in source.rglob("*") if path.is_file()} <= {
        ".qmd", ".md", ".yml", ".svg", ".css", ".bib", ".docx",
    }  # fmt: skip
    for name, entry in run.manifest["artifacts"].items():
        if entry["kind"] == "tables":
            assert "applicant_id" not in entry["columns"], name


PEOPLE = {"Applicants", "Applicants left", "Left out", "Defaults", "Goods", "In holdout"}
PEOPLE |= {
    "Rows",
    "Without consent",
    "Of nobody in the study",
    "Not known at application",
    "Set aside",
    "Used",
}
PEOPLE |= {"Goods approved", "Goods declined", "Bads approved", "Bads declined"}


@pytest.mark.parametrize("name", list(TABLES))
def test_no_small_count_of_people_is_printed(run, source, name):
    """params: 'suppress_below: counts below it are not printed'."""
    lines = (source / "_generated" / f"{name}.md").read_text(encoding="utf-8").splitlines()
    if len(lines) < 3:
        return
    head = [cell.strip() for cell in re.split(r"(?<!\\)\|", lines[0])[1:-1]]
    for line in lines[2:]:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        printed = {h: c for h, c in zip(head, cells, strict=True) if h in PEOPLE and re.fullmatch(r"\d+", c)}
        small = {h: c for h, c in printed.items() if 0 < int(c) < run.study.report.suppress_below}
        assert small == {}, line


def test_a_suppressed_count_does_not_follow_from_other_numbers(run, source):
    """The counts of a group are hidden where one is small; the tables beside it must not tell them."""
    lines = (source / "_generated" / "fairness_counts.md").read_text(encoding="utf-8").splitlines()[2:]
    rows = [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    hidden = {(row[0], row[1]) for row in rows if "fewer than" in " ".join(row)}
    selection = (source / "_generated" / "fairness_selection.md").read_text(encoding="utf-8").splitlines()[2:]
    metrics = pl.read_parquet(run.checked_path("fairness/counts"))
    for line in selection:
        row = [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        if (row[0], row[1]) in hidden and row[3] not in ("–", "hidden"):
            group = metrics.filter(
                pl.col("attribute").str.replace_all("_", " ") == row[0],
                pl.col("group") == row[1].replace("\\", ""),
            )
            declined = group.select(pl.col("goods_declined") + pl.col("bads_declined")).item()
            approved = group.select(pl.col("goods_approved") + pl.col("bads_approved")).item()
            assert (
                min(declined, approved) == 0 or min(declined, approved) >= run.study.report.suppress_below
            ), row


@pytest.mark.parametrize(
    "name",
    ["data_groups", "fairness_selection", "fairness_ratios", "fairness_true_positives", "fairness_scores"],
)
def test_a_hidden_group_cannot_be_found_by_subtraction(source, name):
    """The groups of an attribute add up to a printed total, so one hidden group alone is not hidden."""
    hidden = {}
    for line in (source / "_generated" / f"{name}.md").read_text(encoding="utf-8").splitlines()[2:]:
        row = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        hidden.setdefault(row[0], []).append("fewer than" in " ".join(row) or row[2] == "hidden")
    assert [attribute for attribute, rows in hidden.items() if sum(rows) == 1] == []


def test_what_was_rendered_can_be_rendered_again(source):
    """Beside the documents lies a whole project."""
    assert (source / "_quarto.yml").is_file()
    for path in source.glob("*.qmd"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"\{\{< include (\S+) >\}\}", text):
            assert (source / name).is_file(), name
        for name in re.findall(r"\]\(((?:figures)/\S+?)\)", text):
            assert (source / name).is_file(), name


def test_a_title_with_markup_is_shown_as_it_was_written(run, tmp_path, dom, pdf_pages):
    copy = copied(run.folder, tmp_path)
    words = ("--to", "html,pdf", "--set", f"report.title={json.dumps(TITLE)}")
    assert made_again(call(smoke(tmp_path, *words))) == {"report"}
    path = copy / "report" / "model_risk.html"
    for shown in (path.read_text(encoding="utf-8"), dom(path)):
        page = Page(shown)
        assert page.texts_of("script") == []
        assert page.texts_of("title") == [TITLE]
        assert TITLE in page.texts_of("h1")
    assert TITLE in pdf_pages(copy / "report" / "model_risk.pdf")[0]


def test_the_same_run_reported_again_has_the_same_bytes(run, tmp_path):
    copy = copied(run.folder, tmp_path)
    before = {path.name: path.read_bytes() for path in (copy / "report").glob("model_risk.*")}
    assert before
    for name in before:
        (copy / "report" / name).unlink()
    assert made_again(call(smoke(tmp_path, "--to", "html,pdf"))) == {"report"}
    assert {path.name: path.read_bytes() for path in (copy / "report").glob("model_risk.*")} == before
