"""What the verdicts of jurisdictions do to the sources of a study."""

from datetime import date

import polars as pl
import pytest

from tests.data.making import source
from workbench.data.permission import categories, permit
from workbench.errors import DataError
from workbench.packs import judge_sources

DAY = date(2026, 11, 23)
RULE = """
  - kind: data
    id: {id}
    categories: [{category}]
    effect: {effect}
    role: {role}
    instrument: Test Act
    clause: s 1
    applies_from: 2020-01-01
    applies_until: null
    source: https://example.org/act
    status: P
    checked_on: 2026-01-01
    text: A rule of a test.
"""


@pytest.fixture
def judge(tmp_path):
    """Verdicts on sources under rules (category, effect)."""

    def judged(sources, *rules):
        text = "pack: here\ntitle: Here\nchecked_on: 2026-01-01\nrules:"
        for number, (category, effect) in enumerate(rules, 1):
            role = "model owner" if effect == "conditional" else "null"
            text += RULE.format(id=f"HE-{number:02}", category=category, effect=effect, role=role)
        (tmp_path / "here.yaml").write_text(text)
        return judge_sources(categories(sources), ["here"], DAY, folder=tmp_path)

    return judged


def study(**consent):
    feature = {"definition": "x", "unit": "y"}
    return {
        "applicants": source(
            "applicants",
            data_category="credit_terms",
            types={"income": "money", "tier": "integer"},
            features={"income": feature | {"data_category": "income"}, "tier": feature},
        ),
        "posts": source("posts", data_category="social_media", **consent),
        "power": source("bills", data_category="utility"),
    }


def test_a_column_with_a_category_of_its_own_is_judged_by_itself():
    assert categories(study(consent="agreed")) == {
        "applicants": ("credit_terms", False),
        "posts": ("social_media", True),
        "power": ("utility", False),
        "applicants.income": ("income", False),
    }


@pytest.mark.parametrize("action", ["stop", "drop", "drop_unread"])
@pytest.mark.parametrize("rules", [[("health", "prohibited")], [("utility", "conditional")]])
def test_what_is_allowed_is_used(judge, action, rules):
    used = permit(study(), judge(study(), *rules), on_prohibited=action)
    assert (used.sources, used.cost_only, used.dropped) == (study(), (), ())


def test_a_prohibited_source_stops_a_study_with_the_clause(judge):
    verdicts = judge(study(), ("social_media", "prohibited"), ("income", "prohibited"))
    with pytest.raises(DataError) as caught:
        permit(study(), verdicts, on_prohibited="stop")
    said = str(caught.value)
    assert "permission: 2 source(s) may not be used" in said
    assert "posts: social_media is prohibited under here: Test Act s 1, since 2020-01-01 (HE-01, P)" in said
    assert "applicants.income: income is prohibited under here" in said


def test_a_source_that_two_jurisdictions_prohibit_counts_once(judge):
    verdicts = judge(study(), ("social_media", "prohibited"))
    there = verdicts.with_columns(pack=pl.lit("there"))
    with pytest.raises(DataError, match=r"permission: 1 source\(s\) may not be used") as caught:
        permit(study(), pl.concat([verdicts, there]), on_prohibited="stop")
    assert "under here" in str(caught.value)
    assert "under there" in str(caught.value)


def test_a_prohibited_source_is_dropped_and_its_cost_measured(judge):
    verdicts = judge(study(), ("social_media", "prohibited"))
    used = permit(study(), verdicts, on_prohibited="drop")
    assert (used.cost_only, used.dropped) == (("posts",), ("posts",))
    assert set(used.sources) == {"applicants", "posts", "power"}


def test_a_prohibited_source_is_dropped_without_being_read(judge):
    verdicts = judge(study(), ("social_media", "prohibited"))
    used = permit(study(), verdicts, on_prohibited="drop_unread")
    assert (used.cost_only, used.dropped) == ((), ("posts",))
    assert set(used.sources) == {"applicants", "power"}


@pytest.mark.parametrize("action", ["drop", "drop_unread"])
def test_a_prohibited_column_is_no_feature_any_more(judge, action):
    used = permit(study(), judge(study(), ("income", "prohibited")), on_prohibited=action)
    assert list(used.sources["applicants"].features) == ["tier"]
    assert (used.cost_only, used.dropped) == ((), ("applicants.income",))


@pytest.mark.parametrize("action", ["stop", "drop", "drop_unread"])
def test_without_its_applicants_there_is_no_study(judge, action):
    with pytest.raises(DataError, match="applicants"):
        permit(study(), judge(study(), ("credit_terms", "prohibited")), on_prohibited=action)


@pytest.mark.parametrize("action", ["stop", "drop", "drop_unread"])
def test_consent_that_is_needed_has_a_column(judge, action):
    rules = [("social_media", "consent")]
    agreed = study(consent="agreed")
    used = permit(agreed, judge(agreed, *rules), on_prohibited=action)
    assert set(used.sources) == set(agreed)
    with pytest.raises(DataError, match="posts: social_media needs recorded consent under here"):
        permit(study(), judge(study(), *rules), on_prohibited=action)
