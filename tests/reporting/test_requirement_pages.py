"""How the pages name what is no duty; the matrix itself is in test_requirement_matrix.py."""

from types import SimpleNamespace

import pytest

from workbench.reporting.requirement_pages import matrix_of, requirement_pages


@pytest.fixture(scope="module")
def pages():
    report = {"materiality": "high", "suppress_below": 10, "statements": [], "statements_from": ""}
    data = SimpleNamespace(packs=["india", "international"], judged_on="2026-11-26")
    study = SimpleNamespace(data=data, report=SimpleNamespace(**report))
    return requirement_pages(study, {}, [], matrix_of(study, set(), []))


def row_of(page, name):
    """The lines of a page about one requirement."""
    return page.split(f"**{name} ")[1].split("**IN-")[0].split("**XX-")[0]


def test_a_draft_reads_as_a_draft_and_asks_nothing(pages):
    told = row_of(pages["requirements"], "IN-04")
    assert "draft of 2026-06-24 (primary text)" in told
    assert "asks nothing until it is issued" in told
    assert "management body" not in told
    assert "no evidence" not in told


def test_a_voluntary_standard_says_so(pages):
    assert "voluntary, from 2013-01-09 (from memory)" in row_of(pages["requirements"], "XX-02")
    assert "; from 2025-05-08 (secondary)" in row_of(pages["requirements"], "IN-01")


def test_drafts_have_a_column_of_their_own(pages):
    head, *rest = pages["packs"].splitlines()
    assert "Draft" in pages["packs"]
    assert any("India" in line for line in (head, *rest))
