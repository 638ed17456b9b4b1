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


def test_the_group_that_is_told_best_is_shown():
    people = pl.DataFrame({"g": ["a", "b", "c"] * 100, "x": [0.0, 1.0, 5.0] * 100})
    told = proxy_table(people, ["g"], ["x"], level=0.95)
    assert told["strength"][0] == pytest.approx(1.0)
    assert told["group"][0] in ("a", "c")


def test_without_features_there_is_an_empty_table():
    assert proxy_table(frame(), ["community"], [], level=0.95).height == 0
