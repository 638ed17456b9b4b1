"""The page of one applicant: whole, readable, honest where there is nothing, and never markup from data."""

from dataclasses import replace
from html.parser import HTMLParser

import polars as pl
import pytest

from workbench.reporting.applicant_page import applicant_page
from workbench.reporting.applicant_view import ApplicantView
from workbench.statistics.estimate import Estimate

EVIL = "<script>alert(1)</script> <img src=x onerror=alert(1)> \"'&amp; $x$ `raw` \u202e"
SHOWN = EVIL.replace("\u202e", "").strip()
VIEW = ApplicantView(
    run_id="a-run",
    notice="Made-up people",
    applicant="4711",
    sample="holdout",
    approved=False,
    score=498.0,
    cutoff=512.0,
    base_score=520.0,
    prob_default=Estimate(0.4, 0.35, 0.45, 0.95, "Student's t"),
    cutoff_prob_default=0.3,
    families=pl.DataFrame({"family": ["bills", "cash_flow"], "points": [-24.0, 2.0]}),
    reasons=pl.DataFrame(
        {
            "rank": [2, 1],
            "reason_code": ["cash_flow", "bills"],
            "reason_text": ["41 days with a low balance", "3 bills paid late"],
            "points_lost": [None, 30.25],
            "kind": ["rule", "model"],
        }
    ),
    changes=pl.DataFrame(
        {"feature": ["late"], "from": [3.0], "to": [1.0], "definition": ["late bills"], "unit": ["count"]}
    ),
    changed_score=515.5,
    neighbours=pl.DataFrame(
        {"label": ["approved 1"], "group": ["approved"], "score": [520.0], "distance": [0.034]}
    ),
    differences=pl.DataFrame(
        {
            "label": ["approved 1", "approved 1"],
            "definition": ["late bills", "mean balance"],
            "unit": ["count", "KES"],
            "own": [3.0, None],
            "other": [1.0, 5.0],
            "difference": [-2.0, None],
        }
    ),
    data=pl.DataFrame(
        {
            "feature": ["late", "share", "balance"],
            "definition": ["late bills", "share paid late", "mean balance"],
            "source": ["electricity", "electricity", "wallet"],
            "data_category": ["utility", "utility", "mobile_money"],
            "unit": ["count", "share", "KES"],
            "value": [3.0, 0.25, None],
            "points": [-20.0, -4.0, 2.0],
        }
    ),
)


class Reader(HTMLParser):
    """The tags, cells and text of a page, as a browser would read them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.images, self.text, self.rows, self.headings = [], [], "", [], []
        self.inside = ""
        self.feed(page)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.inside = tag
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        if self.inside == "style":
            return
        self.text += data
        if self.inside in ("td", "th") and data.strip():
            self.rows[-1].append(data)
        if self.inside in ("h1", "h2") and data.strip():
            self.headings.append(data)


def read(**changes):
    return Reader(applicant_page(replace(VIEW, **changes)))


def row_of(page, name):
    return next(row for row in page.rows if row[0] == name)


def test_the_page_has_every_part_in_its_order():
    assert read().headings == [
        "Applicant 4711: declined",
        "What made the score",
        "Principal reasons",
        "What would have changed the decision",
        "The most similar applicants",
        "The data used",
        "How to read this page",
    ]


def test_the_decision_is_told_with_its_numbers():
    page = read()
    assert "Declined: score 498.0, 14.0 points below the cutoff of 512." in page.text
    assert row_of(page, "Probability of default (PD)")[1] == "40.0%"
    assert row_of(page, "Interval of the PD")[1] == "35.0% to 45.0% (95%, Student's t)"
    assert row_of(page, "Cutoff")[1] == "512 points, a PD of 30.0%"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "the whole interval is on the same side of the cutoff"),
        ({"cutoff_prob_default": 0.35}, "the interval holds the cutoff"),
        ({"cutoff_prob_default": 0.349}, "the whole interval"),
        ({"cutoff_prob_default": 0.449}, "the interval holds the cutoff"),
        ({"cutoff_prob_default": 0.45}, "the whole interval"),
        ({"prob_default": Estimate(0.4, None, None, 0.95, "no interval: fitted on")}, "not known"),
        ({"score": 530.0}, "decided by a rule"),
    ],
)
def test_how_sure_the_decision_is_comes_from_the_interval(changes, told):
    assert row_of(read(**changes), "How sure the decision is")[1].startswith(told)


def test_without_an_interval_the_page_says_why():
    page = read(prob_default=Estimate(0.4, None, None, 0.95, "no interval: fitted on"))
    assert row_of(page, "Interval of the PD")[1] == "none: fitted on"


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (511.94, "0.1 points below"),
        (511.96, "less than 0.1 points below"),
        (512.0, "less than 0.1 points above"),
        (512.06, "0.1 points above"),
    ],
)
def test_a_score_next_to_the_cutoff_is_never_called_no_points_away(score, told):
    assert told in read(score=score, approved=score >= 512).text


def test_the_chart_has_its_text_and_is_inside_the_page():
    (image,) = read().images
    assert image["src"].startswith("data:image/svg+xml;base64,")
    assert image["alt"].endswith("Points by family: bills −24.0, cash_flow +2.0.")


def test_reasons_come_in_order_with_what_they_come_from():
    page = read()
    rows = [row for row in page.rows if row[0] in ("1", "2")]
    assert rows == [
        ["1", "3 bills paid late", "bills", "score", "30.2"],
        ["2", "41 days with a low balance", "cash flow", "fixed rule", "–"],
    ]


def test_an_approved_applicant_has_no_reasons_and_the_page_still_says_why():
    page = read(approved=True, score=530.0, reasons=VIEW.reasons.clear(), changes=None)
    assert "None: the applicant was approved" in page.text
    assert "Not looked for: the applicant was approved" in page.text
    assert page.images
    assert row_of(page, "late bills")[-1] == "−20.0"


def test_a_declined_applicant_without_a_reason_is_not_passed_over():
    assert "No reason is recorded for this applicant" in read(reasons=VIEW.reasons.clear()).text


def test_changes_are_told_with_the_score_they_lead_to():
    page = read()
    assert ["late bills", "3", "1"] in page.rows
    assert "The score would be 515.5." in page.text
    assert "The score would be" not in read(changed_score=None).text


def test_no_change_and_not_looked_for_are_two_things():
    none = read(changes=VIEW.changes.clear(), changed_score=505.2).text
    assert "Nothing was found" in none
    assert "The best that was tried reaches 505.2." in none
    assert "Not looked for in this run" in read(changes=None).text


def test_neighbours_are_told_by_how_they_differ():
    told = "late bills: −2; mean balance: missing here, known there"
    assert row_of(read(), "approved 1") == ["approved 1", "520.0", "3.4", told]
    nobody = read(neighbours=VIEW.neighbours.clear(), differences=VIEW.differences.clear())
    assert "There are no others" in nobody.text


def test_what_a_neighbour_lacks_is_told_the_other_way_round():
    gap = VIEW.differences.tail(1).with_columns(own=pl.lit(5.0), other=pl.lit(None, pl.Float64))
    assert row_of(read(differences=gap), "approved 1")[-1] == "mean balance: known here, missing there"


def test_the_data_are_told_with_source_and_category():
    page = read()
    assert row_of(page, "share paid late") == ["share paid late", "25.0%", "electricity", "utility", "−4.0"]
    assert row_of(page, "mean balance")[1:4] == ["missing", "wallet", "mobile money"]
    assert "Missing: 1 of 3 features." in page.text


def test_an_applicant_with_everything_missing_is_told_so():
    data = VIEW.data.with_columns(value=pl.lit(None, pl.Float64))
    assert "Missing: all 3 features." in read(data=data).text
    assert "Missing:" not in read(data=VIEW.data.with_columns(value=pl.lit(1.0))).text


def test_without_families_the_page_says_so():
    page = read(families=VIEW.families.clear())
    assert "the score is the base score" in page.text
    assert page.images == []


def test_markup_in_data_is_text():
    evil = pl.lit(EVIL)
    page = applicant_page(
        replace(
            VIEW,
            run_id=EVIL,
            notice=EVIL,
            applicant=EVIL,
            sample=EVIL,
            families=VIEW.families.with_columns(family=evil),
            reasons=VIEW.reasons.with_columns(reason_text=evil, reason_code=evil),
            changes=VIEW.changes.with_columns(definition=evil, unit=evil),
            neighbours=VIEW.neighbours.with_columns(label=evil),
            differences=VIEW.differences.with_columns(label=evil, definition=evil, unit=evil),
            data=VIEW.data.with_columns(definition=evil, source=evil, data_category=evil, unit=evil),
        )
    )
    found = Reader(page)
    assert "script" not in found.tags
    assert len(found.images) == 1
    assert found.text.count(SHOWN) > 10
    assert "\u202e" not in page


def test_the_page_fetches_nothing_and_can_be_read_by_all():
    text = applicant_page(VIEW)
    page = Reader(text)
    assert not {"link", "script", "iframe", "object"} & set(page.tags)
    assert "default-src 'none'; img-src data:" in text
    assert "http" not in text.replace("http-equiv", "")
    assert '<html lang="en">' in text
    assert page.tags.count("main") == 1
    assert page.tags.count("caption") == page.tags.count("table") == 5
    assert 'scope="row"' in text
    assert applicant_page(VIEW) == text


def test_chromium_shows_the_page_without_an_error(tmp_path, dom):
    path = tmp_path / "applicant.html"
    path.write_text(applicant_page(VIEW), encoding="utf-8")
    shown = Reader(dom(path))
    assert shown.headings[0] == "Applicant 4711: declined"
    assert len(shown.images) == 1
