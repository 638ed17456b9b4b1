"""What a document says of its own outline: where each point is, what is missing, and who stated what."""

import pytest

from tests.test_statements import study
from workbench.outlines import load_outlines
from workbench.reporting.outline_pages import outline_pages
from workbench.requirements import load_evidence

OPINION = {"requirement": "US-09", "role": "validator", "author": "V. <b>", "date": "2026-11-20"}
OPINION |= {"text": "Independent; approved | on conditions."}
EVIDENCE = load_evidence()


def facts_of(*codes, met="yes"):
    names = [name.replace("*", "sex") for code in codes for name in EVIDENCE[code].facts]
    return [{"id": name, "met": met} for name in names]


def artifacts_of(*codes):
    return {name for code in codes for name in EVIDENCE[code].artifacts}


def pages(*statements, facts=(), artifacts=frozenset(), packs="[us]"):
    return outline_pages(study(*statements, packs=packs), facts, artifacts)


def row(page, words):
    (found,) = [line for line in page.splitlines() if words in line]
    return [cell.strip() for cell in found.strip("|").split(" | ")]


def test_every_outline_has_its_three_pages():
    assert set(pages()) == {
        f"{page}_{name}" for name in load_outlines() for page in ("outline", "owed", "scope")
    }


@pytest.mark.parametrize(("met", "state"), [("yes", "evidenced"), ("no", "**below the line**")])
def test_a_point_is_as_good_as_its_evidence(met, state):
    facts, artifacts = facts_of("E12", "E13", "E14", "E15", met=met), artifacts_of("E12", "E13", "E14", "E15")
    point = row(pages(facts=facts, artifacts=artifacts)["outline_validation"], "**7 Explanations")
    assert point[1:3] == ["@sec-reasons", state]
    less = row(
        pages(facts=facts, artifacts=artifacts - {"explanation/fidelity"})["outline_validation"], "**7 "
    )
    assert "fidelity" in less[3]
    assert less[2] == ("**no evidence**" if met == "yes" else state)


def test_what_no_run_can_answer_is_for_people():
    point = row(pages()["outline_ai_act_annex_iv"], "**8 Declaration")
    assert point[2:] == ["for people", "–"]


def test_what_was_stated_shows_with_its_author_and_what_was_not_says_so():
    before = row(pages()["owed_validation"], "US-09")
    assert before[3] == "**not provided**"
    after = row(pages(OPINION)["owed_validation"], "US-09")
    assert after[1] == "validator"
    assert "<b>" not in after[3]
    assert after[3].startswith("Independent; approved")
    assert "2026-11-20" in after[3]


def test_only_the_roles_of_the_document_are_listed():
    page = pages()["owed_validation"]
    assert {cells[1] for line in page.splitlines()[2:] if (cells := line.strip("| ").split(" | "))} == {
        "validator"
    }
    assert "model owner" in pages()["owed_monitoring"]


def test_a_study_that_names_no_such_pack_is_owed_nothing_and_says_so():
    assert "none" in pages()["owed_ai_act_annex_iv"]
    assert "For orientation" in pages()["scope_ai_act_annex_iv"]
    with_eu = pages(packs="[us, eu]")
    assert "EU-05" in with_eu["owed_ai_act_annex_iv"]
    assert "For orientation" not in with_eu["scope_ai_act_annex_iv"]
