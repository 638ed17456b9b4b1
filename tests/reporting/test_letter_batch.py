"""From tables to letters: every declined applicant has one, with their own reasons in order."""

from datetime import date

import polars as pl
import pytest

from workbench.errors import DataError
from workbench.reporting.letter_batch import change_texts, data_texts, letters_of

REASONS = pl.DataFrame(
    {
        "applicant_id": [2, 1, 1],
        "rank": [1, 2, 1],
        "reason_text": ["a rule", "second", "first"],
        "kind": ["rule", "model", "model"],
    }
)
CATALOGUE = pl.DataFrame(
    {
        "feature": ["late", "balance", "share"],
        "definition": ["late bills", "mean balance", "share paid late"],
        "source": ["electricity", "mobile_money", "electricity"],
        "data_category": ["utility", "mobile_money", "utility"],
        "unit": ["count", "KES", "share"],
    }
)
CHANGES = pl.DataFrame(
    {
        "applicant_id": [1, 1, 2],
        "change": [2, 1, 0],
        "found": [True, True, False],
        "feature": ["balance", "share", None],
        "from": [10.5, 0.5, None],
        "to": [2000.0, 0.25, None],
    }
)


def letters(people=(1, 2), decision="declined", reasons=REASONS, **options):
    about = {"decided_on": date(2026, 11, 25), "data_used": ("electricity",), "automated": True}
    return letters_of(reasons, decided=dict.fromkeys(people, decision), **(about | options))


def test_each_declined_applicant_has_a_letter_with_reasons_in_order():
    first, second = letters()
    assert (first.applicant, first.reasons, first.basis) == ("1", ("first", "second"), "score")
    assert (second.applicant, second.reasons, second.basis) == ("2", ("a rule",), "rule")
    assert {letter.counterfactual for letter in (first, second)} == {None}
    assert [letter.applicant for letter in letters((2, 1))] == ["2", "1"]


def test_changes_found_none_and_not_looked_for_are_kept_apart():
    changes = change_texts(CHANGES, CATALOGUE)
    assert changes == {
        1: ("share paid late: from 50.0% to 25.0%", "mean balance: from 10.50 KES to 2,000 KES"),
        2: (),
    }
    assert [letter.counterfactual for letter in letters(changes=changes)] == [changes[1], ()]
    assert [letter.counterfactual for letter in letters(changes={})] == [None, None]


def test_declined_without_reasons_and_reasons_without_a_decline_are_counted():
    with pytest.raises(DataError) as caught:
        letters((1, 3, 4))
    assert caught.value.faults == (
        "2 of 3 not approved have no reason",
        "1 applicants have reasons and are not among them",
    )


def test_nobody_declined_gives_no_letters():
    assert letters((), reasons=REASONS.clear()) == []


def test_the_letter_says_what_was_decided():
    assert {letter.decision for letter in letters()} == {"declined"}
    assert {letter.decision for letter in letters(decision="counter_offered")} == {"counter_offered"}


def test_sources_are_told_once_with_their_category():
    assert data_texts(CATALOGUE) == ("electricity (utility)", "mobile money (mobile money)")
