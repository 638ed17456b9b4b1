"""The commands about people, on a finished run."""

import polars as pl
import pytest

from tests.pipeline.running import call, command, refused, shared_run
from workbench.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return shared_run(tmp_path_factory)


def ids(run, artifact, **rows):
    table = pl.read_parquet(Run.open(run).checked_path(artifact))
    return table.filter(**rows)["applicant_id"].sort().to_list()


def test_a_declined_applicant_s_page_tells_reasons_and_fetches_nothing(run, tmp_path):
    person, page = ids(run, "explanation/decisions", decision="declined")[0], tmp_path / "page.html"
    before = sorted(run.rglob("*"))
    done = call(command("explain", run, "--applicant", person, "--out", page))
    assert done.returncode == 0, done.stderr
    html = page.read_text(encoding="utf-8")
    told = pl.read_parquet(Run.open(run).checked_path("explanation/reasons")).filter(applicant_id=person)
    assert told.height
    assert all(text in html for text in told["reason_text"])
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert "https://" not in html
    assert sorted(run.rglob("*")) == before  # nothing of it stays in the run


def test_one_who_was_declined_outside_of_the_holdout_sample_gets_reasons_too(run, tmp_path):
    person, page = ids(run, "training/scores", sample="development", approved=0)[0], tmp_path / "page.html"
    done = call(command("explain", run, "--applicant", person, "--out", page))
    assert done.returncode == 0, done.stderr
    reasons = page.read_text(encoding="utf-8").split("Principal reasons")[1].split("What would")[0]
    assert reasons.count("<tr>") > 1


def test_an_approved_applicant_has_a_page_without_reasons(run, tmp_path):
    person, page = ids(run, "explanation/decisions", decision="approved")[0], tmp_path / "page.html"
    assert call(command("explain", run, "--applicant", person, "--out", page)).returncode == 0
    assert "Approved" in page.read_text(encoding="utf-8")


def test_an_applicant_who_is_not_in_the_run_has_no_page(run, tmp_path):
    refused(call(command("explain", run, "--applicant", 10**12)), "no such applicant in this run")
    refused(call(command("explain", run, "--applicant", "abc")), "ids of this run are whole numbers")


def test_every_declined_applicant_gets_a_letter_in_each_format(run, tmp_path):
    declined = ids(run, "explanation/decisions", decision="declined")
    done = call(command("letters", run, "--notice", "us", "--to", "html", "--out", tmp_path / "all"))
    assert done.returncode == 0, done.stderr
    assert f"{len(declined)} letter(s)" in done.stdout
    assert {path.stem for path in (tmp_path / "all").glob("*.html")} == set(map(str, declined))
    few = tmp_path / "few"
    done = call(command("letters", run, "--notice", "kenya", "--language", "sw", "--most", 2, "--out", few))
    assert done.returncode == 0, done.stderr
    assert len(list(few.glob("*.pdf"))) == len(list(few.glob("*.html"))) == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--notice", "mars"), "notice mars.en: no such template"),
        (("--notice", "us", "--to", "doc"), "unknown format doc"),
        (("--notice", "us", "--on", "yesterday"), "YYYY-MM-DD is right"),
        (("--notice", "eu", "--language", "sw"), "notice eu.sw: no such template"),
    ],
)
def test_a_wrong_letter_is_refused_and_nothing_is_written(run, tmp_path, words, said):
    refused(call(command("letters", run, *words, "--out", tmp_path / "letters")), said)
    assert not (tmp_path / "letters").exists()
