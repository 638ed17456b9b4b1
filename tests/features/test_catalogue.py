import re
from fnmatch import fnmatchcase

import narwhals as nw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParamsError
from workbench.features.build import FAMILIES, catalogue_of
from workbench.features.catalogue import (
    DeclaredFeature,
    SourceView,
    catalogue_table,
    feature_of,
    select_features,
)
from workbench.features.windows import Value

SOURCES = [
    SourceView(
        "applicants", "applicants", "income", declared=(DeclaredFeature("income", "i", "u", -1, "income"),)
    ),
    SourceView("electricity", "bills", "utility"),
    SourceView("airtime", "topups", "telecom_usage"),
    SourceView("mobile_money", "transactions", "mobile_money", columns=("balance",)),
    SourceView("posts", "posts", "social_media", needs_consent=True),
    SourceView("card", "statements", "payment_history"),
    SourceView("bureau", "bureau", "bureau", declared=(DeclaredFeature("enquiries", "e", "u", 1, "bureau"),)),
]
CATALOGUE = catalogue_of(SOURCES, windows=[30, 90, 365], observation_days=365, topics=3)
NAMES = [feature.name for feature in CATALOGUE]


def names(patterns):
    return [feature.name for feature in select_features(patterns, CATALOGUE)]


def test_every_kind_of_source_has_its_families():
    assert {view.kind for view in SOURCES} == set(FAMILIES)
    assert {feature.source for feature in CATALOGUE} == {view.name for view in SOURCES}


@pytest.mark.parametrize("feature", CATALOGUE, ids=NAMES)
def test_a_feature_says_what_a_reader_must_know(feature):
    assert re.fullmatch(r"[a-z][a-z0-9_]*", feature.name)
    assert feature.monotone in (-1, 0, 1)
    assert all(
        text.strip() for text in (feature.family, feature.unit, feature.definition, feature.data_category)
    )


def test_names_and_definitions_are_of_one_feature_each():
    assert len(set(NAMES)) == len({feature.definition for feature in CATALOGUE}) == len(CATALOGUE)


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("electricity_late_share_365", 1),
        ("electricity_days_since_late", -1),
        ("mobile_money_inflow_mean_30", -1),
        ("mobile_money_inflow_cv_365", 1),
        ("airtime_tenure_days", -1),
        ("paid_mean", -1),
    ],
)
def test_directions_are_written_as_higher_value_higher_pd(name, direction):
    assert select_features([name], CATALOGUE)[0].monotone == direction


@given(st.lists(st.sampled_from(NAMES), unique=True))
def test_features_come_in_the_order_asked_for(asked):
    assert names(asked) == asked


def test_a_star_is_everything_in_the_catalogue_s_order():
    assert names(["*"]) == NAMES


@given(st.lists(st.sampled_from(["*_365", "electricity_*", "posts_topic_?", "late_*", "income"]), min_size=1))
def test_a_pattern_names_what_it_matches_each_once(patterns):
    found = names(patterns)
    assert len(set(found)) == len(found)
    assert set(found) == {name for name in NAMES if any(fnmatchcase(name, pattern) for pattern in patterns)}
    first = [name for name in NAMES if fnmatchcase(name, patterns[0])]
    assert found[: len(first)] == first


def test_an_unknown_name_gets_its_near_name():
    with pytest.raises(ParamsError, match="1 unknown feature") as caught:
        select_features(["late_count", "late_counts"], CATALOGUE)
    assert caught.value.faults[0] == (
        "features.selected: 'late_counts' is not in the catalogue (did you mean late_count?)"
    )
    assert caught.value.faults[1].startswith("known: income, electricity_count_30, ")


def test_every_pattern_without_a_match_is_told_at_once():
    with pytest.raises(ParamsError, match="2 unknown feature") as caught:
        select_features(["zzzz_*", "paid_men", "*"], CATALOGUE)
    first, second, _ = caught.value.faults
    assert first == "features.selected: 'zzzz_*' is not in the catalogue"
    assert second.endswith("(did you mean paid_mean?)")


def test_withheld_consent_leaves_a_value_missing():
    made = {
        consent: feature_of(
            SourceView("s", "posts", "social_media", needs_consent=consent),
            *("count", "writing", "posts", "count", 0, Value(nw.lit(1), ())),
            absent=0,
        )
        for consent in (False, True)
    }
    assert (made[False].absent, made[True].absent) == (0, None)


def test_a_name_that_two_sources_make_is_refused():
    twice = [SourceView("late", "bills", "utility"), SourceView("card", "statements", "payment_history")]
    declared = DeclaredFeature("late_count_30", "d", "u", 0, "income")
    applicants = SourceView("applicants", "applicants", "income", declared=(declared,))
    with pytest.raises(ParamsError, match="1 feature name") as caught:
        catalogue_of([applicants, *twice], windows=[30], observation_days=365)
    assert caught.value.faults == ("late_count_30: made twice; rename a source or a declared column",)


def test_the_ledger_s_entry_for_the_credit_limit_is_kept():
    limit = DeclaredFeature("credit_limit", "limit as stated", "u", 0, "income")
    applicants = SourceView("applicants", "applicants", "income", declared=(limit,))
    made = catalogue_of([applicants, SOURCES[-2]], windows=[30], observation_days=365)
    assert [f.definition for f in made if f.name == "credit_limit"] == ["credit limit granted"]
    assert catalogue_of([applicants], windows=[30], observation_days=365)[0].definition == "limit as stated"


def test_the_table_has_one_row_per_feature_in_order():
    table = catalogue_table(CATALOGUE)
    columns = ["feature", "family", "definition", "source", "data_category", "unit", "monotone"]
    assert table.columns == columns
    assert table["feature"].to_list() == NAMES
    assert table.row(-2) == ("bureau_enquiries", "e", "e", "bureau", "bureau", "u", 1)
