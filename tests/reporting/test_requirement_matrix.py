from datetime import date
from types import SimpleNamespace

import polars as pl
import pytest

from tests.test_requirements import asked
from workbench.report_params import Statement
from workbench.reporting.requirement_matrix import (
    BELOW,
    EVIDENCED,
    LACKING,
    MATRIX,
    NOT_ASKED,
    NOT_YET,
    OPEN,
    STATES,
    UNSETTLED,
    Case,
    answers,
    requirement_matrix,
    state_counts,
)
from workbench.requirements import DRAFT, Evidence

ON = date(2026, 3, 15)
KINDS = {
    "E06": Evidence(title="AUC", facts=["validation.auc", "fairness.*.ratio"], artifacts=["validation/roc"]),
    "E25": Evidence(title="Log", lacking=["a log"]),
}
SAID = Statement(
    requirement="ZZ-01", role="validator", author="V. Alidator", date="2026-03-01", text="Approved."
)


def fact(name, met="yes"):
    return {"id": name, "met": met}


FACTS = [fact("validation.auc"), fact("fairness.sex.ratio"), fact("fairness.age.ratio", "")]


def judged(
    *requirements, on=ON, facts=FACTS, artifacts=("validation/roc",), statements=(SAID,), tier="medium"
):
    pack = SimpleNamespace(pack="zz", requirements=requirements or (asked(),))
    case = Case(
        on=on, materiality=tier, evidence=KINDS, facts=facts, artifacts=artifacts, statements=statements
    )
    return requirement_matrix([pack], case)


def state(*requirements, **options):
    return judged(*requirements, **options)["state"].item()


def test_evidenced_is_where_facts_tables_and_statements_are_there():
    row = judged().row(0, named=True)
    assert (row["state"], row["why"], row["owed"]) == (EVIDENCED, "", "")
    assert judged().schema == MATRIX


@pytest.mark.parametrize(
    ("options", "expected", "why"),
    [
        ({"statements": ()}, OPEN, "open statement: validator"),
        ({"facts": [fact("validation.auc", "no"), *FACTS[1:]]}, BELOW, "below the line: validation.auc"),
        ({"facts": [*FACTS[:1], fact("fairness.sex.ratio", "no")]}, BELOW, "fairness.sex.ratio"),
        (
            {"facts": [fact("validation.auc", "unknown"), *FACTS[1:]]},
            UNSETTLED,
            "not settled: validation.auc",
        ),
        ({"facts": FACTS[1:]}, LACKING, "no evidence: validation.auc"),
        ({"facts": FACTS[:1]}, LACKING, "no evidence: fairness.*.ratio"),
        ({"artifacts": ()}, LACKING, "no evidence: validation/roc"),
    ],
)
def test_each_thing_that_is_missing_has_its_state(options, expected, why):
    row = judged(**options).row(0, named=True)
    assert row["state"] == expected
    assert why in row["why"]


def test_the_worst_counts_and_all_is_told():
    facts = [fact("validation.auc", "no"), fact("fairness.sex.ratio", "unknown")]
    row = judged(facts=facts, artifacts=(), statements=()).row(0, named=True)
    assert row["state"] == BELOW
    assert [part.split(":")[0] for part in row["why"].split("; ")] == [BELOW, LACKING, UNSETTLED, OPEN]
    assert row["owed"] == "validator: An opinion"


def test_what_no_run_produces_is_no_evidence():
    assert state(asked(evidence=["E25"])) == LACKING


@pytest.mark.parametrize(("day", "expected"), [("2026-02-28", NOT_YET), ("2026-03-01", EVIDENCED)])
def test_before_its_first_day_it_is_to_come(day, expected):
    assert state(on=date.fromisoformat(day)) == expected


@pytest.mark.parametrize("on", ["2026-03-01", "2026-03-31"])
def test_a_draft_asks_nothing_and_nobody_owes_a_statement(on):
    draft = asked(standing="draft")
    row = judged(draft, on=date.fromisoformat(on), facts=[], statements=()).row(0, named=True)
    assert (row["state"], row["why"], row["owed"]) == (DRAFT, "asks nothing until it is issued", "")


def test_a_draft_is_not_shown_before_it_was_made_public():
    assert judged(asked(standing="draft"), on=date(2026, 2, 28)).height == 0


def test_a_voluntary_standard_is_judged_as_any_other():
    row = judged(asked(standing="voluntary")).row(0, named=True)
    assert (row["state"], row["standing"]) == (EVIDENCED, "voluntary")


def test_what_has_ended_is_not_shown():
    assert judged(on=date(2026, 3, 31)).height == 1
    assert judged(on=date(2026, 4, 1)).height == 0


@pytest.mark.parametrize(
    ("tier", "materiality", "expected"),
    [("high", "medium", NOT_ASKED), ("medium", "medium", EVIDENCED), ("low", "high", EVIDENCED)],
)
def test_a_requirement_starts_at_a_materiality(tier, materiality, expected):
    assert state(asked(tier=tier), tier=materiality) == expected


def test_a_person_may_say_that_it_does_not_apply_and_why():
    said = SAID.model_copy(update={"not_applicable": True, "text": "No bank."})
    row = judged(statements=(said,), facts=[]).row(0, named=True)
    assert (row["state"], row["why"]) == (NOT_ASKED, "No bank. (validator, V. Alidator, 2026-03-01)")


def test_a_statement_of_another_role_or_requirement_does_not_count():
    for change in ({"role": "counsel"}, {"requirement": "ZZ-02"}):
        assert state(statements=(SAID.model_copy(update=change),)) == OPEN


def test_states_are_counted_by_pack():
    draft = asked(id="ZZ-03", standing="draft")
    counts = state_counts(judged(asked(), asked(id="ZZ-02"), draft, statements=(SAID,))).row(0, named=True)
    assert counts["requirements"] == 3
    assert (counts[EVIDENCED], counts[OPEN], counts[DRAFT]) == (1, 1, 1)
    assert set(STATES) <= set(counts)
    assert state_counts(pl.DataFrame(schema=MATRIX)).height == 0


def test_evidence_names_facts_by_pattern():
    assert [fact["id"] for fact in answers(KINDS["E06"], FACTS)] == [fact["id"] for fact in FACTS]
    assert answers(KINDS["E25"], FACTS) == []
