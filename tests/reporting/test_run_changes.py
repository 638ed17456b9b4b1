"""What changed between two runs: every kind of change, people as counts alone, and one page that says so."""

import json

import polars as pl
import pytest
import yaml

from tests.pipeline.running import call_here, command, copied, refused, shared_run
from tests.reporting.test_report import Page
from workbench.errors import RunError
from workbench.reporting.run_changes import change_pages
from workbench.run import PARAMS, Run, sha256_of, size_of
from workbench.store import digest


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture
def two(shared, tmp_path):
    """Two copies of one run."""
    return [Run.open(copied(shared.folder, tmp_path / name)) for name in ("before", "after")]


def put(run, artifact, content):
    """Write other content in the place of an artifact, as a run would have."""
    entry = run.entry(artifact)
    path = run.folder / entry["path"]
    if isinstance(content, pl.DataFrame):
        content.write_parquet(path)
    else:
        path.write_text(content, encoding="utf-8")
    known = {"sha256": sha256_of(path), "bytes": size_of(path)}
    run.update(lambda manifest: manifest["artifacts"][artifact].update(known))


def rows(page):
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in page.splitlines()[2:]]


def test_two_copies_of_a_run_differ_in_nothing(two, tmp_path):
    done = call_here(command("compare", two[0].folder, two[1].folder, "-o", tmp_path / "change.html"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("differ: nothing")
    pages = change_pages(*two)
    for name in (
        "sources",
        "parameters",
        "packages",
        "facts",
        "lines",
        "features",
        "requirements",
        "documents",
    ):
        assert rows(pages[name])[0][0] == "none", name
    flows = {row[0]: row[1] for row in rows(pages["decisions"])}
    assert (flows["approved, then declined"], flows["declined, then approved"]) == ("0", "0")


def test_each_change_is_told(two):
    before, after = two
    values = yaml.safe_load((after.folder / PARAMS).read_text(encoding="utf-8"))
    values["training"]["trials"] += 1
    (after.folder / PARAMS).write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    after.update(lambda manifest: manifest.update(params_sha256=digest(values)))
    facts = json.loads((after.folder / after.entry("validation/facts")["path"]).read_text(encoding="utf-8"))
    auc = next(fact for fact in facts if fact["id"] == "validation.auc")
    was = auc["value"]
    auc |= {"value": was - 0.2, "low": auc["low"] - 0.2, "high": auc["high"] - 0.2, "met": "no"}
    facts.append(auc | {"id": "validation.new", "about": "New | one", "met": ""})
    put(after, "validation/facts", json.dumps(facts))
    importance = pl.read_parquet(after.checked_path("explanation/importance"))
    put(after, "explanation/importance", importance.with_columns(feature=pl.col("feature").reverse()))
    after.update(lambda manifest: manifest["packages"].update(xgboost="99.0"))
    pages = change_pages(before, after)
    assert [row[0] for row in rows(pages["parameters"])] == ["training.trials"]
    assert rows(pages["packages"])[0][2] == "99.0"
    told = {row[0]: row for row in rows(pages["facts"])}
    (auc_row,) = [row for name, row in told.items() if name.endswith("(validation.auc)")]
    assert auc_row[3:] == ["−0.200", "apart"]
    assert any(row[3] == "new" for row in told.values())
    assert rows(pages["lines"])[0][2].startswith("**not held**")
    assert len(rows(pages["features"])) == 10


def test_swapped_decisions_are_counts_and_small_ones_are_not_told(two):
    decisions = pl.read_parquet(two[1].checked_path("scoring/decisions"))
    approved = decisions.filter(approved=1)["applicant_id"]
    few, many = approved.head(5).implode(), approved.slice(5, 400).implode()
    swapped = pl.when(pl.col("applicant_id").is_in(many)).then(0).otherwise("approved")
    put(two[1], "scoring/decisions", decisions.with_columns(approved=swapped.cast(pl.Int64)))
    flows = {row[0]: row for row in rows(change_pages(*two)["decisions"])}
    assert flows["approved, then declined"][1] == "400"
    assert flows["approved, then declined"][3].endswith("%")
    swapped = pl.when(pl.col("applicant_id").is_in(few)).then(0).otherwise("approved")
    put(two[1], "scoring/decisions", decisions.with_columns(approved=swapped.cast(pl.Int64)))
    flows = {row[0]: row for row in rows(change_pages(*two)["decisions"])}
    assert flows.pop("approved, then declined")[1:] == ["fewer than 10", "hidden", "hidden", "hidden"]
    assert all(row[1:] == ["hidden"] * 4 for row in flows.values()), (
        "a count from which the small one follows"
    )


def test_runs_that_are_not_there_are_told_at_once(tmp_path):
    done = call_here(command("compare", tmp_path / "one", tmp_path / "other"))
    refused(done, "two runs are needed", "one: no run here", "other: no run here")


def test_other_keys_join_nobody(two, tmp_path):
    two[1].update(lambda manifest: manifest.update(pseudonym_key_check="other"))
    done = call_here(command("compare", two[0].folder, two[1].folder, "-o", tmp_path / "change.html"))
    assert done.returncode == 0, done.stderr
    assert "different keys of pseudonyms" in (tmp_path / "change.html").read_text(encoding="utf-8")


def test_a_document_that_differs_is_told_with_its_chapters(two):
    path = two[1].folder / "report" / "model_card.html"
    page = path.read_text(encoding="utf-8")
    put(two[1], "report/model_card.html", page.replace("Sources left out", "Sources that are left out"))
    assert "What goes in" in rows(change_pages(*two)["documents"])[0][1]


def test_the_page_is_one_file_that_shows_hostile_names_as_text(two, tmp_path, dom):
    two[1].update(lambda manifest: manifest["packages"].update({"<script>alert(1)</script>": "1"}))
    done = call_here(command("compare", two[0].folder, two[1].folder, "-o", tmp_path / "change.html"))
    assert done.returncode == 0, done.stderr
    page = Page(dom(tmp_path / "change.html"))
    assert page.texts_of("script") == []
    assert page.texts_of("h1")[0].startswith("Change report")


def test_what_cannot_be_compared_is_told_at_once_and_nothing_is_written(two, tmp_path):
    for run in two:
        (run.folder / run.entry("validation/gains")["path"]).unlink()
    words = command("compare", two[0].folder, two[1].folder, "-o", tmp_path / "change.html")
    done = call_here(words)
    refused(done, "only complete runs can be compared", "validation/gains is missing")
    assert done.stderr.count("validation/gains is missing") == 2
    assert not (tmp_path / "change.html").exists()


def test_the_same_run_twice_is_refused(shared):
    with pytest.raises(RunError, match="the same run twice"):
        change_pages(shared, shared)
