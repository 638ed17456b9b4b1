"""The commands about people, on a finished run."""

import re

import polars as pl
import pytest

from tests.pipeline.running import call, call_here, command, copied, refused, shared_run, smoke
from workbench.params import ROOT
from workbench.reporting import people
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
    refused(call_here(command("explain", run, "--applicant", 10**12)), "no such applicant in this run")
    refused(call_here(command("explain", run, "--applicant", "abc")), "ids of this run are whole numbers")


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
    refused(call_here(command("letters", run, *words, "--out", tmp_path / "letters")), said)
    assert not (tmp_path / "letters").exists()


# Rules, counter-offers and a study without languages, by the whole stage


@pytest.fixture(scope="module")
def varied(run, tmp_path_factory):
    """The shared run with a knock-out rule and counter-offers, told in English with the study's own text."""
    own = tmp_path_factory.mktemp("texts")
    text = (ROOT / "params" / "reasons" / "en.yaml").read_text(encoding="utf-8")
    said = "{name: Many late months, text: '{value} late months', sample: 24, list: creditor}"
    (own / "en.yaml").write_text(
        text.replace("rules: {}", f"rules:\n  many_late: {said}\n"), encoding="utf-8"
    )
    copy = copied(run, tmp_path_factory.mktemp("varied"))
    settings = {
        "explanation.knock_out_rules": "{many_late: {feature: late_count, at_least: 5}}",
        "explanation.counter_offer_points": "8",
        "explanation.languages": "[en]",
        "explanation.reason_texts": own,
        "report.letters": "{counter_offer: 500 over 6 months}",
    }
    words = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    done = call(smoke(copy.parent, *words))
    assert done.returncode == 0, done.stdout + done.stderr
    return copy


def test_a_rule_declines_and_those_just_below_the_cutoff_are_made_an_offer(varied):
    opened = Run.open(varied)
    features = pl.read_parquet(opened.checked_path("features/features"))
    decided = pl.read_parquet(opened.checked_path("explanation/decisions")).join(features, on="applicant_id")
    decided = decided.join(pl.read_parquet(opened.checked_path("training/scores")), on="applicant_id")
    cutoff = opened.study.training.cutoff
    many = pl.col("late_count") >= 5
    assert decided.filter(many)["decision"].unique().to_list() == ["declined"]
    offered = decided.filter(decision="counter_offered")
    assert offered.height
    assert offered["score"].is_between(cutoff - 8, cutoff, closed="left").all()
    reasons = pl.read_parquet(opened.checked_path("explanation/reasons"))
    ruled = reasons.filter(kind="rule")
    assert set(ruled["applicant_id"]) == set(decided.filter(many)["applicant_id"])
    assert ruled["reason_text"].str.ends_with(" late months").all()


def test_letters_go_to_all_who_were_not_approved_and_tell_the_offer(varied, tmp_path):
    done = call(command("letters", varied, "--notice", "us", "--to", "html", "--out", tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    for decision in ("declined", "counter_offered"):
        for person in ids(varied, "explanation/decisions", decision=decision):
            letter = (tmp_path / "out" / f"{person}.html").read_text(encoding="utf-8")
            assert ("500 over 6 months" in letter) == (decision == "counter_offered")


def test_the_report_shows_sample_letters_of_many_and_of_nobody(varied):
    source = (varied / "report" / "source" / "model_risk" / "_generated" / "sample_letters.md").read_text(
        encoding="utf-8"
    )
    told = re.findall(r"Application (\S+)", source.replace("\\", ""))
    assert told
    assert all(name.startswith("sample-") for name in told)
    shown = pl.read_parquet(Run.open(varied).checked_path("explanation/sample_reasons"))
    assert shown["applicants"].min() >= Run.open(varied).study.explanation.least_applicants


def test_a_study_that_names_no_language_tells_reasons_by_their_families(run, tmp_path):
    copy = copied(run, tmp_path)
    done = call(smoke(copy.parent, "--only", "explanation", "--set", "explanation.languages=[]"))
    assert done.returncode == 0, done.stdout + done.stderr
    reasons = pl.read_parquet(Run.open(copy).checked_path("explanation/reasons"))
    assert reasons.height
    assert reasons["reason_text"].equals(reasons["reason_code"], check_names=False)
    refused(call(command("letters", copy, "--notice", "us", "--out", tmp_path / "letters")), "has no en")


def test_a_notebook_shows_the_page_of_one_applicant_or_asks_for_one(run):
    person = ids(run, "explanation/decisions", decision="declined")[0]
    page = people.shown(str(run), str(person)).data
    assert page.startswith("<div><iframe srcdoc=")
    assert "Principal reasons" in page
    assert people.shown(str(run), "").data == "Name an applicant."
