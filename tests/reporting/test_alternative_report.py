"""The report of a study of many sources, as its reader has it."""

import html as markup
import json
import re
from datetime import date

import polars as pl
import pytest

from tests.pipeline.world import finished_study
from workbench.packs import load_packs
from workbench.reporting.content import TABLES
from workbench.reporting.requirement_matrix import STATES
from workbench.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(finished_study(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="module")
def generated(run):
    folder = run.folder / "report" / "source" / "model_risk" / "_generated"
    return {path.stem: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}


def rows_of(text):
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines()[2:]]


def table(run, name):
    return pl.read_parquet(run.checked_path(name))


def test_nothing_is_left_unresolved(run):
    page = (run.folder / "report" / "model_risk.html").read_text(encoding="utf-8")
    assert "{{<" not in page
    assert "?@" not in page
    assert ">None<" not in page


def test_every_source_is_in_the_chapter_on_data(run, generated):
    names = [name.replace("_", "\\_") for name in run.study.data.sources]
    assert [row[0] for row in rows_of(generated["data_inventory"])] == names
    assert [row[0] for row in rows_of(generated["data_ledger"])] == names[1:]
    assert [row[0] for row in rows_of(generated["sources"])] == names
    assert "none" not in generated["sources"]


@pytest.fixture(scope="module")
def findings(run):
    path = run.folder / "report" / "findings.json"
    return json.loads(path.read_text(encoding="utf-8"))["findings"]


def test_what_is_allowed_on_a_condition_is_a_finding(run, findings):
    verdicts = table(run, "data/permission")
    owed = verdicts.filter(verdict="conditional")
    assert owed.height > 0
    raised = [one for one in findings if one["id"] == "F17"]
    assert {one["subject"].split(" / ")[0] for one in raised} == set(owed["source"])
    assert {one["owner"] for one in raised} == set(owed["role"])
    assert all(one["state"] == "open" for one in raised)


def test_later_applications_are_told_and_not_missed(run, generated):
    later = table(run, "data/samples_table").filter(sample="out_of_time")["applicants"].item()
    assert f"{later:,} applicants" in generated["out_of_time"]
    assert "callout" not in generated["out_of_time"]


@pytest.mark.parametrize("name", [name for name, shown in TABLES.items() if shown.whole])
def test_a_long_table_has_all_rows_in_the_appendix(run, generated, name):
    shown = TABLES[name]
    rows = shown.rows(table(run, shown.artifact), suppress_below=run.study.report.suppress_below)
    own = f"#tbl-all-{name.replace('_', '-')}}}"
    if not shown.is_long(rows):
        assert own not in generated["all_rows"]
        assert len(rows_of(generated[name])) == rows.height
        return
    whole = generated["all_rows"].split(own)[1].split(":::")[0].strip()
    assert len([line for line in whole.splitlines() if line.startswith("|")]) == rows.height + 2
    assert len(rows_of(generated[name])) < rows.height


def test_the_strongest_features_are_in_the_chapter(run, generated):
    strongest = table(run, "features/description")["feature"].head(30).str.replace_all("_", " ").to_list()
    assert [row[0] for row in rows_of(generated["features_description"])] == strongest


def test_topics_are_words_that_enough_people_used(run, generated):
    words = table(run, "features/topics").filter(pl.col("applicants") >= run.study.report.suppress_below)
    shown = {word for row in rows_of(generated["features_topics"]) for word in row[1].split(", ")}
    assert shown == set(words["term"])


def test_the_pdf_has_the_last_row_of_every_long_table(run, pdf_pages):
    text = " ".join(pdf_pages(run.folder / "report" / "model_risk.pdf"))
    last = table(run, "features/description")["feature"].str.replace_all("_", " ")[-1]
    assert last in text
    assert "Long tables, all rows" in text


def cells_of(page, number):
    """The cells of the table with this id in a page, by row."""
    body = page.split(f'id="{number}"')[1].split("</table>")[0].split("<tbody>")[1]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.DOTALL) for row in body.split("</tr>")]
    plain = [
        [" ".join(markup.unescape(re.sub(r"<[^>]+>", "", cell)).split()) for cell in row] for row in rows
    ]
    return [row for row in plain if row]


def test_the_page_has_every_requirement_with_its_state(run):
    page = (run.folder / "report" / "model_risk.html").read_text(encoding="utf-8")
    (pack,) = load_packs(run.study.data.packs)
    asked = pack.in_force(date.fromisoformat(run.study.data.judged_on))
    matrix = {row[0].split()[0]: row for row in cells_of(page, "tbl-requirements")}
    assert {one.id for one in asked} <= set(matrix)
    assert len(asked) > 20
    for one in asked:
        state = next(state for state in STATES if matrix[one.id][1].startswith(state))
        owed = [said.text for said in one.statements if said.text in matrix[one.id][2]]
        assert bool(owed) == (state != "evidenced" and bool(one.statements) and state != "not applicable"), (
            one.id
        )
        assert set(one.evidence) <= set(matrix[one.id][1].split())
    assert re.search(r"below the line|no evidence|not settled|open statement", matrix["US-09"][1])


def test_the_validation_lists_what_the_validator_owes(run):
    page = (run.folder / "report" / "validation.html").read_text(encoding="utf-8")
    owed = {row[0].split()[0]: row for row in cells_of(page, "tbl-owed-validator")}
    assert owed["US-09"][1:] == ["validator", "Identity, independence, opinion and findings", "not provided"]
    points = [row[0].split()[0] for row in cells_of(page, "tbl-outline")]
    assert points == [str(number) for number in range(1, 12)]
