import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from workbench.fairness.proxies import LEAST_MEMBERS, proxy_table


def frame(size=2_000, seed=1):
    generator = np.random.default_rng(seed)
    group = generator.choice(["north", "south"], size, p=[0.7, 0.3])
    south = group == "south"
    return pl.DataFrame(
        {
            "community": group,
            "tier": generator.integers(1, 5, size) - 2 * south,
            "nothing": generator.normal(size=size),
            "gap": np.where(south & (generator.random(size) < 0.5), np.nan, 1.0),
        }
    )


def test_strength_is_the_auc_for_membership_and_the_strongest_comes_first():
    people = frame()
    told = proxy_table(people, ["community"], ["nothing", "tier"], level=0.95)
    assert told["feature"].to_list() == ["tier", "nothing"]
    member = (people["community"] == told["group"][0]).to_numpy()
    area = roc_auc_score(member, people["tier"].to_numpy())
    assert told["strength"][0] == pytest.approx(max(area, 1 - area))
    assert told["direction"][0] == (1 if area > 0.5 else -1)
    assert told["low"][0] < told["strength"][0] < told["high"][0]


def test_a_feature_that_says_nothing_has_a_strength_near_one_half():
    told = proxy_table(frame(), ["community"], ["nothing"], level=0.95)
    assert 0.5 <= told["strength"][0] < 0.55


def test_missing_values_can_tell_a_group():
    told = proxy_table(frame(), ["community"], ["gap"], level=0.95)
    assert told["strength"][0] > 0.7


@pytest.mark.parametrize(("members", "rows"), [(LEAST_MEMBERS - 1, 0), (LEAST_MEMBERS, 1)])
def test_small_groups_are_left_out(members, rows):
    people = pl.DataFrame({"g": ["a"] * members + ["b"] * 500, "x": np.arange(members + 500.0)})
    assert proxy_table(people, ["g"], ["x"], level=0.95).height == rows


def test_applicants_of_unknown_group_are_no_members_of_the_others():
    """Unknown rows that look like the group would make the feature tell nothing."""
    people = pl.DataFrame(
        {"g": ["a"] * 100 + ["b"] * 100 + [None] * 800, "x": [1.0] * 100 + [0.0] * 100 + [1.0] * 800}
    )
    told = proxy_table(people, ["g"], ["x"], level=0.95)
    assert told.drop("low", "high").rows() == [("g", "x", "a", 1.0, 1, 100)]


def test_each_attribute_leaves_out_its_own_unknown():
    people = frame().with_columns(
        other=pl.when(pl.int_range(pl.len()) % 2 == 0).then("community"), empty=pl.lit(None, pl.String)
    )
    told = proxy_table(people, ["community", "other", "empty"], ["tier"], level=0.95)
    half = proxy_table(people.drop_nulls("other"), ["other"], ["tier"], level=0.95)
    assert told.filter(attribute="other").equals(half)
    assert told.filter(attribute="community").equals(proxy_table(people, ["community"], ["tier"], level=0.95))
    assert told.height == 2


@pytest.mark.parametrize(("others", "rows"), [(LEAST_MEMBERS - 1, 0), (LEAST_MEMBERS, 1)])
def test_others_of_unknown_group_are_not_counted(others, rows):
    people = pl.DataFrame({"g": ["a"] * 500 + ["b"] * others + [None] * 500})
    people = people.with_columns(x=pl.int_range(pl.len()).cast(pl.Float64))
    assert proxy_table(people, ["g"], ["x"], level=0.95).height == rows


def test_the_group_that_is_told_best_is_shown():
    people = pl.DataFrame({"g": ["a", "b", "c"] * 100, "x": [0.0, 1.0, 5.0] * 100})
    told = proxy_table(people, ["g"], ["x"], level=0.95)
    assert told["strength"][0] == pytest.approx(1.0)
    assert told["group"][0] in ("a", "c")


def test_without_features_there_is_an_empty_table():
    assert proxy_table(frame(), ["community"], [], level=0.95).height == 0
