"""What a regulator gets: everything that was printed, no row, no small count, and a list that holds."""

import csv
import io
import json
import re
import subprocess
import sys
import zipfile

import polars as pl
import pytest

from tests.pipeline.running import call_here, command, copied, refused, shared_run
from tests.test_verify_bundle import changed
from workbench.errors import RunError
from workbench.reporting.bundle import write_bundle
from workbench.reporting.documents import DOCUMENTS
from workbench.reporting.markdown import escape_markdown, plain_cell, table_cells
from workbench.run import Run
from workbench.verify_bundle import bundle_faults

COUNTS = re.compile(r"Applicants|Defaults|Goods|Bads|Rows|Count|Left out|holdout", re.IGNORECASE)


def keys(folder):
    private, public = folder / "key.pem", folder / "key.pub"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return private, public


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.open(shared_run(tmp_path_factory))


@pytest.fixture(scope="module")
def bundle(run, tmp_path_factory):
    """A signed bundle and the public key."""
    folder = tmp_path_factory.mktemp("bundle")
    private, public = keys(folder)
    done = call_here(command("bundle", run.folder, "-o", folder / "smoke.zip", "--key", private))
    assert done.returncode == 0, done.stderr
    return folder / "smoke.zip", public


@pytest.fixture(scope="module")
def files(bundle):
    with zipfile.ZipFile(bundle[0]) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rows_of(text):
    return list(csv.reader(io.StringIO(text.decode("utf-8"))))


def test_the_bundle_holds_and_its_own_verifier_says_so(bundle, files, tmp_path):
    assert bundle_faults(*bundle) == []
    (tmp_path / "verify_bundle.py").write_bytes(files["verify_bundle.py"])
    words = [sys.executable, "-I", "-S", tmp_path / "verify_bundle.py", bundle[0], "--key", bundle[1]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "smoke.zip: 0 fault(s), signature checked\n")


@pytest.mark.parametrize(
    "change", [{"facts.json": b"[]"}, {"documents/model_card.html": None}, {"more.txt": b"x"}]
)
def test_a_change_is_told(bundle, tmp_path, change):
    path = tmp_path / "smoke.zip"
    path.write_bytes(bundle[0].read_bytes())
    (fault,) = bundle_faults(changed(path, **change), bundle[1])
    assert fault.startswith(next(iter(change)))


def test_another_key_is_told(bundle, tmp_path):
    _, other = keys(tmp_path)
    assert "not signed by this key" in bundle_faults(bundle[0], other)[0]


def test_it_has_the_documents_facts_and_printed_tables(run, files):
    for document in DOCUMENTS:
        path = run.folder / "report" / f"{document}.html"
        assert files[f"documents/{document}.html"] == path.read_bytes()
    assert len(json.loads(files["facts.json"])) == len(run.facts())
    gains = rows_of(files["tables/validation_gains.csv"])
    assert len(gains) - 1 == pl.read_parquet(run.checked_path("validation/gains")).height
    assert files["manifest.json"] == (run.folder / "manifest.json").read_bytes()
    assert len(rows_of(files["artifacts.csv"])) - 1 == len(run.manifest["artifacts"])
    listed = json.loads(files["bundle.json"])["files"]
    assert set(listed) == set(files) - {"bundle.json", "bundle.sig.json"}


def test_a_long_table_is_whole(run, files):
    features = pl.read_parquet(run.checked_path("features/description")).height
    assert len(rows_of(files["tables/features_description.csv"])) - 1 == features


def test_no_row_no_model_and_no_output_is_in_it(run, files):
    assert not [name for name in files if name.endswith((".parquet", ".ubj", ".onnx", ".journal"))]
    for name, text in files.items():
        if name.endswith(".ipynb"):
            assert all(not cell.get("outputs") for cell in json.loads(text)["cells"])
    people = pl.read_parquet(run.checked_path("data/samples"))["applicant_id"]
    assert people.len() > 1_000
    text = b"\n".join(files.values()).decode("utf-8", "ignore")
    assert not [one for one in people if one > 10**9 and str(one) in text]
    by_name = {row[0]: row[-1] for row in rows_of(files["artifacts.csv"])[1:]}
    assert by_name["data/applicants"] == "no: row-level"
    assert by_name["training/champion"] == "no"


def test_no_small_count_is_in_it(run, files):
    below = run.study.report.suppress_below
    looked = 0
    for name, text in files.items():
        if not name.startswith("tables/") or name == "tables/artifacts.csv":  # rows of tables, not people
            continue
        head, *rows = rows_of(text)
        places = [index for index, title in enumerate(head) if COUNTS.fullmatch(title)]
        for row in rows:
            counts = [int(row[place]) for place in places if row[place].isdigit()]
            looked += len(counts)
            assert not [count for count in counts if 0 < count < below], (name, row)
    assert looked > 100
    for fact in json.loads(files["facts.json"]):
        if fact["unit"] in ("applicants", "defaults", "rows") and fact["value"]:
            assert fact["value"] >= below


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    for name in ("a.zip", "b.zip"):
        write_bundle(run, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_bundle_does_not_go_into_its_run(run, tmp_path):
    for target in (run.folder / "x.zip", tmp_path):
        with pytest.raises(RunError, match="no place for a bundle"):
            write_bundle(run, target)


def test_what_may_not_leave_is_refused_and_nothing_is_written(run, tmp_path):
    copy = Run.open(copied(run.folder, tmp_path))
    (copy.folder / "report" / "source" / "model_card" / "_variables.yml").write_text("a: 1\n")
    entry = copy.entry("validation/gains")
    path = copy.folder / entry["path"]
    pl.read_parquet(path).with_columns(applicant_id=pl.lit(1)).write_parquet(path)
    refused(call_here(command("bundle", copy.folder, "-o", tmp_path / "x.zip")), "cannot be bundled", "gains")
    assert not (tmp_path / "x.zip").exists()


def test_a_run_without_documents_is_refused(run, tmp_path):
    copy = Run.open(copied(run.folder, tmp_path))

    def without(manifest):
        kept = {name: one for name, one in manifest["artifacts"].items() if one["kind"] != "document"}
        manifest["artifacts"] = kept

    copy.update(without)
    for path in (copy.folder / "report").glob("*.*"):
        if path.stem in DOCUMENTS:
            path.unlink()
    with pytest.raises(RunError, match="cannot be bundled") as caught:
        write_bundle(copy, tmp_path / "x.zip")
    assert caught.value.faults == ("no document is there: render them with workbench report",)


@pytest.mark.parametrize("text", ["a|b", "[x](#y) {.z}", "**not** bold_", "1 < 2 & $3", "\\", "=1+1", "50%"])
def test_a_cell_is_what_was_escaped(text):
    assert plain_cell(escape_markdown(text)) == text


def test_cells_of_a_page():
    page = "| A | B |\n| :--- | ---: |\n| x \\| y | [1](#z) |\n"
    assert list(table_cells("one", page)) == [("one", [["A", "B"], ["x \\| y", "[1](#z)"]])]
    assert list(table_cells("one", "no table\n")) == []
