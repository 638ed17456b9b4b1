import json

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from sklearn.metrics import roc_auc_score

from workbench.fairness.proxies import LEAST_MEMBERS, conditional_table, proxy_table
from workbench.world.plan import FEATURES
from workbench.world.write import write_world


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


def test_of_two_groups_that_are_told_alike_the_first_is_shown():
    noise = np.random.default_rng(9).normal(size=(2_000, 30))
    people = frame().with_columns(**{f"x{place}": noise[:, place] for place in range(30)})
    told = proxy_table(people, ["community"], [f"x{place}" for place in range(30)], level=0.95)
    assert set(told["group"]) == {"north"}


# Given the outcome, and what the feature is good for


def drawn(size, seed, *, carries):
    """A group that defaults more often, and a feature that is higher in it or among those who default."""
    generator = np.random.default_rng(seed)
    south = generator.random(size) < 0.3
    default = generator.random(size) < np.where(south, 0.6, 0.2)
    x = generator.normal(size=size) + 1.5 * (south if carries == "group" else default)
    return pl.DataFrame({"g": np.where(south, "south", "north"), "default": default.astype(int), "x": x})


def conditional(people, features=("x",)):
    return conditional_table(proxy_table(people, ["g"], list(features), level=0.95), people, level=0.95)


def test_a_driver_of_risk_tells_the_group_only_by_the_outcome():
    row = conditional(drawn(4_000, 1, carries="outcome")).row(0, named=True)
    assert row["low"] > 0.6
    assert row["given_outcome_low"] < 0.5 < row["given_outcome_high"]
    assert row["for_default_low"] > 0.8
    assert (row["default_direction"], row["note"]) == (1, "")


def test_a_feature_that_stands_in_tells_the_group_whatever_the_outcome():
    row = conditional(drawn(4_000, 1, carries="group")).row(0, named=True)
    assert min(row["given_outcome_low"], row["among_goods"], row["among_bads"]) > 0.8
    assert row["for_default_low"] < 0.52


def test_strata_are_joined_by_van_elteren():
    people = drawn(600, 2, carries="group").with_columns(pl.col("x").round(0))
    row = conditional(people).row(0, named=True)
    areas, weights = [], []
    for bad in (0, 1):
        part = people.filter(default=bad)
        member = (part["g"] == row["group"]).to_numpy()
        area = roc_auc_score(member, part["x"].to_numpy())
        areas.append(max(area, 1 - area))
        weights.append(member.sum() * (~member).sum() / (part.height + 1))
    assert [row["among_goods"], row["among_bads"]] == pytest.approx(areas)
    assert row["given_outcome"] == pytest.approx(np.average(areas, weights=weights))


def test_one_stratum_has_the_interval_of_delong():
    people = drawn(500, 3, carries="group").with_columns(default=pl.lit(0))
    row = conditional(people).row(0, named=True)
    assert (row["given_outcome"], row["among_bads"]) == (pytest.approx(row["strength"]), None)
    assert row["given_outcome_low"] == pytest.approx(row["low"])
    assert row["for_default"] is None
    assert row["default_direction"] is None
    assert row["note"] == "for default undefined: fewer than 20 on a side"


def test_twice_the_applicants_in_two_strata_have_an_interval_shorter_by_the_root():
    one = drawn(500, 3, carries="group").with_columns(default=pl.lit(0))
    single = conditional(one).row(0, named=True)
    both = conditional(pl.concat([one, one.with_columns(default=pl.lit(1))])).row(0, named=True)
    lengths = [
        np.subtract(
            *(np.log(row[end] / (1 - row[end])) for end in ("given_outcome_high", "given_outcome_low"))
        )
        for row in (single, both)
    ]
    assert lengths[1] == pytest.approx(lengths[0] / np.sqrt(2))


def test_a_direction_that_turns_round_given_the_outcome_is_below_one_half():
    """The group defaults more, and so has higher values; at the same outcome it has lower ones."""
    people = drawn(4_000, 4, carries="outcome")
    people = people.with_columns(x=3 * pl.col("x") - 1.2 * (pl.col("g") == "south"))
    row = conditional(people).row(0, named=True)
    assert row["low"] > 0.5 > row["given_outcome_high"]


def test_applicants_without_an_outcome_or_a_group_are_left_out_given_the_outcome():
    people = drawn(1_000, 5, carries="group")
    more = people.with_columns(x=-pl.col("x"), default=pl.lit(None, pl.Int64))
    strange = people.with_columns(x=-pl.col("x"), g=pl.lit(None, pl.String))
    told = proxy_table(people, ["g"], ["x"], level=0.95)
    whole = conditional_table(told, pl.concat([people, more, strange]), level=0.95)
    assert_frame_equal(whole, conditional_table(told, people, level=0.95))


@pytest.mark.parametrize(("bads", "known"), [(LEAST_MEMBERS - 1, False), (LEAST_MEMBERS, True)])
def test_small_strata_count_nothing(bads, known):
    people = pl.DataFrame({"g": ["a", "b"] * 200, "x": np.arange(400.0) % 7})
    people = people.with_columns(default=(pl.int_range(pl.len()) < 2 * bads).cast(pl.Int64))
    row = conditional(people).row(0, named=True)
    assert (row["among_bads"] is not None) == known


def test_the_interval_given_the_outcome_covers():
    """Within each outcome the feature says nothing: the truth is 0.5."""
    runs, hits = 150, 0
    for seed in range(runs):
        row = conditional(drawn(300, seed, carries="outcome")).row(0, named=True)
        hits += row["given_outcome_low"] <= 0.5 <= row["given_outcome_high"]
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_without_proxies_nothing_is_conditional():
    assert conditional(frame().with_columns(g=pl.col("community"), default=pl.lit(0)), []).height == 0


# The world whose proxy was planted


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return write_world(tmp_path_factory.mktemp("worlds") / "world", applicants=2_000, seed=7, jobs=1)


@pytest.fixture(scope="module")
def planted(world):
    """The attributes, what is true of the applicants, and the planted column beside the true drivers."""
    truth = pl.read_parquet(world / "truth.parquet").drop("approved_before")
    people = pl.read_parquet(world / "applicants" / "*.parquet").drop("default")
    return people.join(truth, on="customer_id")


def test_the_planted_proxy_is_found_first(world, planted):
    proxy = json.loads((world / "truth.json").read_text())["proxy"]
    names = [*FEATURES, proxy["column"], "declared_income"]
    told = proxy_table(planted, [proxy["group"]], names, level=0.95)
    assert told["feature"][0] == proxy["column"]
    assert told["low"][0] > told["high"][1]
    assert told["low"][0] < proxy["auc"] < told["high"][0]


def test_the_planted_proxy_stands_in_and_drives_no_risk(world, planted):
    proxy = json.loads((world / "truth.json").read_text())["proxy"]
    told = proxy_table(planted, [proxy["group"]], [proxy["column"], FEATURES[0]], level=0.95)
    table = conditional_table(told, planted, level=0.95)
    column, driver = (
        table.filter(feature=name).row(0, named=True) for name in (proxy["column"], FEATURES[0])
    )
    assert column["given_outcome_low"] > 0.75
    assert column["for_default_low"] < 0.52
    assert driver["for_default_low"] > 0.6 > driver["given_outcome_high"]
