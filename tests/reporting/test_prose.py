"""No number in the prose of a document is typed: it is a fact, a parameter, a date or a heading's number."""

import html as markup
import re

import pytest
import yaml

from tests.pipeline.running import shared_run
from workbench.params import ROOT
from workbench.reporting.documents import DOCUMENTS
from workbench.run import Run

NEUTRAL = {"0", "0.5", "1", "100%"}
"""What a measure says when there is nothing: equal, chance, the same; texts explain measures by them."""
NUMBER = re.compile(r"(?<![\w./#-])\d+(?:[.,]\d+)*%?(?![\w/])")
SOURCES = sorted(path for path in (ROOT / "reports").glob("*/*.qmd"))
FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)
NOT_PROSE = re.compile(r"\$\$.*?\$\$|\{\{<.*?>\}\}|\{[#.][^}]*\}|`[^`]*`|\]\([^)]*\)|@[\w-]+", re.DOTALL)
MARKUP = re.compile(
    r"<(style|annotation|math|table|nav|code|pre|figure|script)\b.*?</\1>|"  # with what is in them
    r'<span class="(?:header|toc)-section-number">.*?</span>|'
    r'<a href="#(?:sec|tbl|fig|ref|evidence)-[^>]*>.*?</a>',
    re.DOTALL,
)


def numbers(text):
    return NUMBER.findall(text)


def prose_of(page):
    body = page[page.index("<main") :].partition('<div id="refs"')[0]
    return markup.unescape(re.sub(r"<[^>]+>", " ", MARKUP.sub(" ", body)))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_number_is_typed_into_a_source(path):
    prose = NOT_PROSE.sub("", FRONT.sub("", path.read_text(encoding="utf-8")))
    assert set(numbers(prose)) <= NEUTRAL


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_number_in_the_prose_is_a_fact_or_a_parameter(run, document):
    source = run.folder / "report" / "source" / document
    variables = (source / "_variables.yml").read_text(encoding="utf-8")
    values = [yaml.safe_load(variables), run.study.model_dump()]
    said = yaml.safe_dump(values, allow_unicode=True, width=10**9)
    letters = (source / "_generated" / "sample_letters.md").read_text(encoding="utf-8")
    known = {*numbers(said), *numbers(letters), *NEUTRAL}  # letters: medians of an artifact
    page = (run.folder / "report" / f"{document}.html").read_text(encoding="utf-8")
    told = numbers(prose_of(page))
    assert len(told) > 5
    assert sorted(set(told) - known) == []


def test_a_typed_number_would_be_found():
    prose = "<p>AUC is 0.781, of <span>1,234 applicants</span>, see <a href='#tbl-a'>Table 3</a>.</p>"
    page = f"<main>{prose}<table><tr><td>9.9</td></tr></table></main>".replace("'", '"')
    assert numbers(prose_of(page)) == ["0.781", "1,234"]
    assert numbers("from 5 to 12%, −0.3, E16 and US-13, v2") == ["5", "12%", "0.3"]
