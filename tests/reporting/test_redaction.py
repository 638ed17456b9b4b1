"""What may not leave a run is told, and never by its value."""

import shutil
import zipfile

import polars as pl
import pytest

from tests.pipeline.running import shared_run
from workbench.reporting.redaction import redaction_faults
from workbench.run import Run

PAGE = '<html lang="en"><body><p>{}</p></body></html>'


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture
def page_of(shared, tmp_path):
    """Puts a page in the place of the model card and returns what is told of it."""
    (tmp_path / "smoke" / "report").mkdir(parents=True)
    entry = {"path": "report/card.html", "kind": "document", "sensitivity": "aggregate"}
    shutil.copy(shared.folder / "manifest.json", tmp_path / "smoke")
    run = Run.open(tmp_path / "smoke")
    run.update(lambda manifest: manifest.update(artifacts={"report/card.html": entry}))

    def faults(page):
        (tmp_path / "smoke" / "report" / "card.html").write_text(page, encoding="utf-8")
        return redaction_faults(run)

    return faults


def test_a_finished_run_has_nothing_to_hide(shared):
    assert redaction_faults(shared) == []


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ("Applicant 841965179148740211 was declined.", "a number as long as pseudonyms"),
        ("Write to jane.doe@example.org", "direct identifier: email"),
        ("Call +254 712 345 678 now", "direct identifier: phone"),
        ("Paid from GB82 WEST 1234 5698 7654 32", "direct identifier: account"),
    ],
)
def test_people_in_a_document_are_told_and_not_repeated(page_of, words, fault):
    (told,) = page_of(PAGE.format(words))
    assert fault in told
    assert told.startswith("report/card.html holds")
    assert not any(part in told for part in words.split() if any(letter.isdigit() for letter in part))


@pytest.mark.parametrize(
    "markup",
    [
        '<img src="https://example.org/a.png">',
        "<script>1</script>",
        '<link rel="stylesheet" href="a.css">',
        "<style>@import 'a.css'</style>",
        "<style>p{background:url(a.png)}</style>",
    ],
)
def test_a_page_that_loads_something_is_told(page_of, markup):
    assert page_of(PAGE.format(markup)) == ["report/card.html loads something from elsewhere"]


def test_facts_digests_and_pictures_are_no_people(page_of):
    harmless = "0.000001361 of 29,965; sha256 84196517914874ab; 2026-11-26; −0.0074 to 0.0137"
    assert (
        page_of(PAGE.format(f'{harmless}<img src="data:image/svg+xml;base64,AAAA"><a href="#x">x</a>')) == []
    )


def with_table(shared, tmp_path, change):
    """The faults of a run one of whose aggregate tables was changed."""
    entry = shared.entry("validation/gains")
    (tmp_path / "smoke").mkdir()
    shutil.copy(shared.folder / "manifest.json", tmp_path / "smoke")
    run = Run.open(tmp_path / "smoke")
    path = run.folder / entry["path"]
    path.parent.mkdir(parents=True)
    change(pl.read_parquet(shared.folder / entry["path"])).write_parquet(path)
    return redaction_faults(run)


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        ({"applicant_id": 1}, "has a column applicant_id"),
        ({"who": 10**11}, "holds a number as long as pseudonyms and accounts are"),
        ({"who": -(2**62)}, "holds a number as long as pseudonyms and accounts are"),
        ({"who": "no. 841965179148740211"}, "holds a number as long as pseudonyms and accounts are"),
    ],
)
def test_rows_that_call_themselves_aggregate_are_told(shared, tmp_path, column, fault):
    lits = {name: pl.lit(value) for name, value in column.items()}
    told = with_table(shared, tmp_path, lambda table: table.with_columns(**lits))
    assert told == [f"validation/gains calls itself aggregate and {fault}"]


def test_a_row_for_each_applicant_is_told_under_any_name(shared, tmp_path):
    people = shared.entry("training/scores")["rows"]
    rows = pl.DataFrame({"score": [600.5] * people})
    (fault,) = with_table(shared, tmp_path, lambda _: rows)
    assert fault.endswith("calls itself aggregate and has as many rows as a table of people")


def test_long_decimals_and_numbers_of_eleven_digits_are_no_people(shared, tmp_path):
    harmless = {"a": pl.lit(10**11 - 1), "b": pl.lit(1e15), "c": pl.lit("0.123456789012345")}
    assert with_table(shared, tmp_path, lambda table: table.with_columns(**harmless)) == []


LINK = '<Relationship Id="r1" Type="http://x/{}" Target="https://example.org" TargetMode="External"/>'


@pytest.mark.parametrize(
    ("words", "relationship", "told"),
    [
        ("Nobody is here", LINK.format("hyperlink"), []),
        ("Applicant 841965179148740211", "", ["holds a number as long as pseudonyms and accounts are"]),
        ("Nobody is here", LINK.format("image"), ["loads something from elsewhere"]),
    ],
)
def test_a_document_in_word_is_read_as_well(shared, tmp_path, words, relationship, told):
    (tmp_path / "smoke" / "report").mkdir(parents=True)
    shutil.copy(shared.folder / "manifest.json", tmp_path / "smoke")
    run = Run.open(tmp_path / "smoke")
    entry = {"path": "report/card.docx", "kind": "document", "sensitivity": "aggregate"}
    run.update(lambda manifest: manifest.update(artifacts={"report/card.docx": entry}))
    with zipfile.ZipFile(run.folder / "report" / "card.docx", "w") as archive:
        archive.writestr("word/document.xml", f"<w:p><w:t>{words}</w:t></w:p>")
        archive.writestr("word/_rels/document.xml.rels", relationship)
    assert redaction_faults(run) == [f"report/card.docx {fault}" for fault in told]
