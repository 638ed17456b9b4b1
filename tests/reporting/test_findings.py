"""What rules find in the rows of tables: every test of a condition, groups, words, and small counts."""

from datetime import date

import pytest

from workbench.finding_rules import FindingRules, Rule
from workbench.reporting.findings import RAISED, Judge

WORDS = {"title": "T", "criticism": [1], "criterion": "C", "source": "custom", "effect": "E"}
WORDS |= {"recommendation": "R", "severity": "high", "owner": "validator"}
ROWS = [
    {"name": "a", "value": 0.5, "low": 0.4, "high": 0.6, "month": "2020-01", "role": "counsel"},
    {"name": "b", "value": 7, "low": None, "high": None, "month": "2026-10", "role": "engineer"},
    {"name": "c", "value": None, "low": -1.0, "high": 1.0, "month": None, "role": "counsel"},
]
FACTS = [{"id": "validation.auc", "value": 0.6, "told": "0.600", "line": "at least 0.5", "outcome": "held"}]
FACTS = [fact | {"met": "yes"} for fact in FACTS]
TABLES = {"t": ROWS, "facts": FACTS, "study": [{"key": "fairness.line", "value": 0.45}], "none": []}


def judge():
    return Judge(TABLES, date(2026, 11, 1), 10)


def raised(where, **about):
    rule = Rule.model_validate(WORDS | {"rows": "t", "where": where, "found": "{name} is {value}"} | about)
    rules = FindingRules.model_construct(rules={"F01": rule})
    return judge().raise_findings(rules)


def named(where):
    frame = raised(where, per=["name"])
    return frame["subject"].to_list()


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ({"is": 0.5}, ["a"]),
        ({"is": None}, ["c"]),
        ({"is_not": None}, ["a", "b"]),
        ({"above": 0.5}, ["b"]),
        ({"below": 0.5}, []),
        ({"above": 0.49}, ["a", "b"]),
        ({"above": "fact:validation.auc"}, ["b"]),
        ({"above": "study:fairness.line"}, ["a", "b"]),
        ({"above": "column:low"}, ["a"]),
        ({"above": "fact:nothing"}, []),
        ({"holds": 0.5}, ["a", "c"]),
        ({"excludes": 0}, ["a"]),
        ({"column": "name", "like": ["[ab]"]}, ["a", "b"]),
        ({"column": "name", "unlike": ["a", "b"]}, ["c"]),
        ({"column": "month", "older": 365}, ["a"]),
        ({"column": "month", "younger": 365}, ["b"]),
        ({"column": "nowhere", "is": None}, ["a", "b", "c"]),
    ],
)
def test_each_test_of_a_condition(condition, names):
    assert named([condition]) == names


def test_conditions_hold_together():
    assert named([{"above": 0.1}, {"column": "name", "is": "b"}]) == ["b"]


def test_one_finding_words_all_its_rows():
    frame = raised([], each="{name}", found="{how_many} rows: {which}")
    assert frame.schema == RAISED
    assert frame["condition"].to_list() == ["3 rows: a; b; c"]
    assert frame["criterion"].to_list() == ["C (custom)"]


def test_small_counts_are_not_told_and_nothing_is_a_dash():
    told = raised([], per=["name"], found="{value:people}")["condition"].to_list()
    assert told[1:] == ["fewer than 10", "–"]


def test_a_rule_can_miss_a_row():
    assert raised([{"above": 100}], raises="none", found="nothing above")["condition"].to_list() == [
        "nothing above"
    ]
    assert raised([{"above": 1}], raises="none", found="nothing above").height == 0
    assert raised([], rows="none", raises="none", found="no table").height == 1


def test_the_owner_can_stand_in_the_row():
    assert raised([{"above": 0.1}], per=["name"], owner="in the row")["owner"].to_list() == [
        "counsel",
        "engineer",
    ]


def test_why_a_finding_is_gone_is_told_by_the_row_it_was_about():
    rule = Rule.model_validate(WORDS | {"rows": "facts", "where": [], "per": ["id"], "found": "x"})
    assert judge().why_not(rule, "validation.auc") == "validation.auc is 0.600, line at least 0.5: held"
    other = Rule.model_validate(WORDS | {"rows": "t", "where": [], "found": "x"})
    assert judge().why_not(other, "") == "t of this run: the rule does not hold"
