import re
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import ParamsError
from workbench.features.catalogue import (
    BY_NAME,
    FEATURES,
    DataCategory,
    catalogue_table,
    select_features,
)
from workbench.params import PROTECTED

NAMES = [feature.name for feature in FEATURES]


def test_there_are_29_features_with_names_of_their_own():
    assert len(FEATURES) == 29
    assert len(set(NAMES)) == 29
    assert list(BY_NAME) == NAMES
    assert all(re.fullmatch(r"[a-z][a-z0-9_]*", name) for name in NAMES)


@pytest.mark.parametrize("feature", FEATURES, ids=NAMES)
def test_a_feature_says_what_a_reader_must_know(feature):
    assert feature.monotone in (-1, 0, 1)
    assert feature.data_category in get_args(DataCategory)
    assert feature.source in ("applicants", "statements")
    assert feature.family.strip()
    assert feature.unit.strip()
    assert feature.definition.strip()


def test_a_definition_belongs_to_one_feature():
    assert len({feature.definition for feature in FEATURES}) == len(FEATURES)


def test_no_protected_attribute_is_in_the_catalogue():
    assert not {*PROTECTED, "age"} & set(NAMES)


@pytest.mark.parametrize(
    ("name", "direction"),
    [("late_months_latest", 1), ("months_since_late", -1), ("paid_mean", -1), ("credit_limit", -1)],
)
def test_directions_are_written_as_higher_value_higher_pd(name, direction):
    assert BY_NAME[name].monotone == direction


@given(st.lists(st.sampled_from(NAMES), unique=True))
def test_features_come_in_the_order_asked_for(names):
    assert [feature.name for feature in select_features(names)] == names


def test_an_unknown_name_gets_its_near_name():
    with pytest.raises(ParamsError, match="1 unknown feature") as caught:
        select_features(["late_count", "late_counts"])
    assert caught.value.faults[0] == (
        "features.selected: 'late_counts' is not in the catalogue (did you mean late_count?)"
    )
    assert caught.value.faults[1].startswith("known: late_months_latest, ")


def test_every_unknown_name_is_told_at_once():
    with pytest.raises(ParamsError, match="2 unknown feature") as caught:
        select_features(["zzzz", "paid_men"])
    first, second, _ = caught.value.faults
    assert first == "features.selected: 'zzzz' is not in the catalogue"
    assert second.endswith("(did you mean paid_mean?)")


def test_the_table_has_one_row_per_feature_in_order():
    table = catalogue_table(FEATURES)
    assert table.columns == [
        "feature",
        "family",
        "definition",
        "source",
        "data_category",
        "unit",
        "monotone",
    ]
    assert table["feature"].to_list() == NAMES
    assert table.row(-1) == (
        "credit_limit",
        "credit limit",
        "credit limit granted",
        "applicants",
        "credit_terms",
        "TWD",
        -1,
    )
