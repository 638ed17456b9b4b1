import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from workbench.errors import DataError
from workbench.fairness.individual import (
    EVERYONE,
    attribute_flip,
    consistency,
    matched_pairs,
    standardized_features,
)


def world(size=400, seed=1, columns=2):
    """Points, groups (s is a quarter) and the chance of approval, which rises with the first column."""
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(size, columns))
    return points, draw.choice(["r", "s"], size, p=[0.75, 0.25]), expit(2 * points[:, 0])


def rows(frame):
    return {
        (row["group"], row["metric"].removeprefix("consistency_")): row for row in frame.iter_rows(named=True)
    }


def consistent(outcome, points, group, **changes):
    return rows(consistency(outcome, points, group, **{"min_applicants": 1, "seed": 1} | changes))


def matched(outcome, points, group, **changes):
    arguments = {"reference_group": "r", "caliper": 9.0, "min_applicants": 1, "seed": 1} | changes
    return matched_pairs(outcome, points, group, **arguments).row(0, named=True)


# Distances


def test_a_distance_of_1_is_one_standard_deviation_in_every_feature():
    development = pl.DataFrame({"a": [0.0, 2.0], "b": [10, 30], "c": [5, 5]})  # c never varies
    points = standardized_features(development.head(1).vstack(development), development)
    steps = np.sqrt(2) * np.sqrt(2 / 3)  # two of three features, each sqrt(2) standard deviations apart
    assert np.linalg.norm(points[0] - points[2]) == pytest.approx(steps)
    assert np.linalg.norm(points[0] - points[1]) == 0


def test_the_scale_is_the_development_samples():
    development, sample = pl.DataFrame({"a": [0.0, 2.0]}), pl.DataFrame({"a": [1.0, 101.0]})
    points = standardized_features(sample, development)
    assert points[:, 0].tolist() == pytest.approx([0, 100 / np.sqrt(2)])


def test_missing_lies_at_the_mean_and_is_told_by_a_column_of_its_own():
    development = pl.DataFrame({"a": [0.0, 2.0, None], "b": [1.0, 2.0, float("nan")]})
    points = standardized_features(development.tail(1), development)
    assert points.shape == (1, 4)
    assert points[0].tolist() == pytest.approx([0, 1 / np.sqrt(2)] * 2)


def test_features_without_a_scale_are_refused():
    with pytest.raises(DataError, match="b is missing in development"):
        standardized_features(pl.DataFrame({"a": [1], "b": [2]}), pl.DataFrame({"a": [1]}))
    with pytest.raises(DataError, match="no feature varies"):
        standardized_features(pl.DataFrame({"a": [1]}), pl.DataFrame({"a": [1, 1]}))


# Consistency


def test_consistency_is_zemels_by_a_plain_search():
    points, group, chance = world(120)
    found = consistent(chance, points, group, neighbours=3)
    distance = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(distance, np.inf)
    for key, same in (
        ((EVERYONE, "consistency"), None),
        (("s", "within_group"), True),
        (("s", "across_groups"), False),
    ):
        who = np.arange(120) if same is None else np.flatnonzero(group == "s")
        allowed = np.ones(120, bool) if same is None else (group == "s") == same
        near = np.argsort(np.where(allowed, distance, np.inf), axis=1)[who, :3]
        value = 1 - np.abs(chance[who] - chance[near].mean(axis=1)).mean()
        assert found[key]["value"] == pytest.approx(value)
        assert found[key]["mean_distance"] == pytest.approx(distance[who[:, None], near].mean())
        assert found[key]["applicants"] == who.size
    assert found.keys() == {
        (EVERYONE, "consistency"), (EVERYONE, "shuffled"),
        *((name, side) for name in "rs" for side in ("within_group", "across_groups")),
    }  # fmt: skip


def test_alike_for_alike_is_near_1_and_shuffled_is_not():
    points, group, chance = world()
    found = consistent(chance, points, group)
    assert found[EVERYONE, "consistency"]["low"] > 0.97
    assert found[EVERYONE, "shuffled"]["high"] < 0.8
    everyone = consistent(np.ones(400), points, group)[EVERYONE, "consistency"]
    assert (everyone["value"], everyone["low"], everyone["judged"]) == (1, None, False)


def test_a_decision_by_group_shows_across_groups_and_not_within():
    points, group, _ = world()
    found = consistent((group == "r").astype(int), points, group)
    for name in "rs":
        assert found[name, "within_group"]["value"] == 1
        assert found[name, "across_groups"]["value"] == 0


def test_twins_do_not_count_themselves():
    points = np.repeat(np.arange(5.0)[:, None], 4, axis=0)
    outcome = np.tile([0, 1, 0, 1], 5)
    found = consistent(outcome, points, np.repeat("r", 20), neighbours=3)[EVERYONE, "consistency"]
    assert found["value"] == pytest.approx(1 / 3)
    assert found["mean_distance"] == 0


@pytest.mark.parametrize("kind", ["pd", "decision", "noise"])
def test_the_interval_covers_though_neighbours_are_shared(kind):
    found = []
    for seed in range(150):
        points, group, chance = world(300, seed=seed)
        decided = (np.random.default_rng(seed).random(300) < chance).astype(float)
        outcome = {"pd": chance, "decision": (chance > 0.5).astype(float), "noise": decided}[kind]
        row = consistent(outcome, points, group)[EVERYONE, "consistency"]
        found.append((row["value"], row["low"], row["high"]))
    value, low, high = np.array(found).T
    covered = ((low <= value.mean()) & (value.mean() <= high)).mean()
    assert covered >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 150)
    assert (high - low).mean() < 2 * 3.92 * value.std()


def test_so_many_are_drawn_and_the_seed_decides_who():
    points, group, chance = world()
    first, same, other = (consistent(chance, points, group, most=50, seed=seed) for seed in (1, 1, 2))
    assert first == same != other
    assert first[EVERYONE, "consistency"]["applicants"] == 50
    assert first["s", "within_group"]["applicants"] == 50


def test_small_groups_are_not_judged_and_one_without_others_is_undefined():
    points, group, chance = world()
    size = int((group == "s").sum())
    assert consistent(chance, points, group, min_applicants=size)["s", "within_group"]["judged"]
    small = consistent(chance, points, group, min_applicants=size + 1)["s", "within_group"]
    assert (small["judged"], small["note"]) == (False, f"fewer than {size + 1} applicants")
    alone = consistent(chance, points, np.repeat("r", 400))["r", "across_groups"]
    assert (alone["value"], alone["mean_distance"]) == (None, None)
    assert alone["note"] == "undefined: there are no neighbours"


# Matched pairs


def test_a_group_that_is_treated_otherwise_is_found_and_one_that_is_not_is_not():
    points, group, chance = world(2000)
    plain, lower = (matched(chance - step * (group == "s"), points, group) for step in (0, 0.1))
    assert plain["low"] < 0 < plain["high"]
    assert lower["high"] < 0
    assert lower["value"] == pytest.approx(plain["value"] - 0.1)


def test_the_matched_interval_covers():
    hits, runs = 0, 200
    for seed in range(runs):
        points, group, chance = world(400, seed=seed, columns=1)
        decided = np.random.default_rng(seed + 1000).random(400) < chance - 0.1 * (group == "s") * chance
        truth = -0.1 * chance[group == "s"].mean()
        row = matched(decided.astype(int), points, group)
        hits += row["low"] <= truth <= row["high"]
    assert hits / runs == pytest.approx(0.95, abs=3.5 * np.sqrt(0.95 * 0.05 / runs))


@given(st.floats(0.05, 1.0))
def test_no_match_is_further_than_the_caliper(caliper):
    points, group, chance = world(200)
    found = matched(chance, points, group, caliper=caliper)
    inside = group == "s"
    nearest = np.linalg.norm(points[inside][:, None] - points[~inside], axis=2).min(axis=1)
    assert found["applicants"] == (nearest <= caliper).sum()
    assert found["share_matched"] == pytest.approx((nearest <= caliper).mean())
    assert found["mean_distance"] is None or found["mean_distance"] <= caliper


def test_without_matches_nothing_is_said():
    points, group, chance = world(100)
    found = matched(chance, points + 50 * (group == "s")[:, None], group, caliper=1.0)
    assert (found["value"], found["share_matched"], found["judged"]) == (None, 0, False)
    assert "no applicant has a match within the caliper" in found["note"]


def test_a_single_reference_applicant_judges_nobody():
    points, group, chance = world(100)
    one = np.where(np.arange(100) == np.argmax(group == "r"), "r", "s")
    found = matched(chance, points, one, min_applicants=2)
    assert (found["judged"], found["note"]) == (False, "fewer than 2 applicants")


def test_an_absent_reference_and_missing_outcomes_are_refused():
    points, group, chance = world(100)
    with pytest.raises(DataError, match="the groups are 'r', 's'"):
        matched(chance, points, group, reference_group="q")
    with pytest.raises(DataError) as caught:
        consistent([0.125, np.nan], points[:2], ["r", None])
    assert len(caught.value.faults) == 2
    assert "0.125" not in str(caught.value)


# Flips

PROTECTED = pl.DataFrame({"sex": ["male", "female", "male", None], "region": ["a", "a", "b", "b"]})


def score(features):
    prob = 0.2 + 0.3 * features["female"]
    return pl.DataFrame({"prob_default": prob, "approved": (prob < 0.4).cast(pl.Int64)})


def features_of(protected):
    return protected.select(female=(pl.col("sex") == "female").fill_null(False).cast(pl.Float64))


def test_a_flip_through_a_feature_that_derives_from_the_attribute_is_seen():
    found = attribute_flip(PROTECTED, ["sex", "region"], features_of=features_of, score=score)
    values = {(r["group"], r["metric"]): (r["value"], r["applicants"]) for r in found.iter_rows(named=True)}
    assert values["female", "flip_prob_default"] == (pytest.approx(0.3), 3)
    assert values["female", "flip_decision"] == (1.0, 3)
    assert values["male", "flip_prob_default"] == (pytest.approx(-0.15), 2)
    assert values["male", "flip_decision"] == (0.5, 2)
    assert values["a", "flip_prob_default"] == (0.0, 2)
    assert values["b", "flip_decision"] == (0.0, 2)
    assert found["attribute"].unique(maintain_order=True).to_list() == ["sex", "region"]


def test_where_nothing_derives_from_the_attribute_nothing_is_claimed():
    found = attribute_flip(PROTECTED, ["sex"], features_of=None, score=score)
    assert found["value"].null_count() == found.height == 4
    assert not found["judged"].any()
    assert found["note"].str.contains("there is nothing to flip").all()
