"""The search of a study: from the champion's trials to swap sets, or why nothing was searched."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from workbench.fairness.alternative_study import SETTINGS, champion_plan, find_alternatives
from workbench.fairness.alternatives import CANDIDATES_SCHEMA

NAMES = ["income", "proxy", "noise"]
TRIALS = pl.DataFrame(
    {
        "trial": [1, 2],
        "max_depth": [3, 2],
        "learning_rate": [0.1, 0.3],
        "min_child_weight": [1.0, 5.0],
        "subsample": [0.8, 1.0],
        "colsample_bytree": [1.0, 1.0],
        "reg_lambda": [1.0, 2.0],
        "rounds": [10, 12],
        "chosen": [False, True],
    }
)


def applicants(seed, size):
    generator = np.random.default_rng(seed)
    group = generator.choice(["a", "b"], size)
    features = generator.normal(size=(size, 3)) - 0.6 * (group == "b")[:, None] * [0.3, 1.0, 0.0]
    prob = 1 / (1 + np.exp(1 + 1.2 * features[:, 0] + 0.5 * features[:, 1]))
    return pl.DataFrame(dict(zip(NAMES, features.T, strict=True))).with_columns(
        default=pl.Series((generator.random(size) < prob).astype(int)),
        prob_default=pl.Series(prob),
        approved=pl.Series((prob <= 0.35).astype(int)),
        group=pl.Series(group),
    )


SAMPLES = [applicants(seed, size) for seed, size in ((1, 500), (2, 400), (3, 400))]


def plan(**changes):
    about = {"attribute": "group", "reference_group": "a", "min_applicants": 50, "min_defaults": 10}
    asked = {
        "constrained": True, "order": ["proxy", "income", "noise"], "most_left_out": 9, "device": "cpu",
        "seed": 1, "forbidden": (),
    }  # fmt: skip
    directions = {"income": -1, "proxy": 0, "noise": 0, "other": 1}
    return champion_plan(NAMES, directions, TRIALS, **asked | about | changes)


def find(made=None, **changes):
    asked = {
        "trials": 7,
        "most_loss": 0.3,
        "loss_given_default": 0.5,
        "level": 0.95,
        "replicates": 100,
        "seed": 3,
    }
    return find_alternatives(made or plan(), *SAMPLES, attributes=["group"], **asked | changes)


def test_the_plan_starts_from_the_chosen_trial_and_stays_in_what_was_tried():
    made = plan()
    assert made.rounds == 12
    assert {name: made.base[name] for name in ("max_depth", "learning_rate")} == {
        "max_depth": 2,
        "learning_rate": 0.3,
    }
    assert made.space["max_depth"] == (2, 3)
    assert set(made.space) == set(SETTINGS)
    assert made.monotone == [-1, 0, 0]
    assert made.most_left_out == 2, "one feature stays"
    assert plan(order=["proxy"]).most_left_out == 1
    assert not made.analysis_only
    assert plan(forbidden=("group_thresholds",)).analysis_only


def test_a_search_ends_with_candidates_judged_and_a_swap_set():
    found = find()
    assert found.candidates.height == 8
    assert found.candidates.schema == CANDIDATES_SCHEMA
    assert found.number in found.candidates.filter("on_front")["candidate"]
    assert set(found.judged["candidate"]) >= {0, found.number}
    assert found.swaps["candidate"].unique().to_list() == [found.number]
    assert set(found.swaps["group"]) == {"a", "b"}
    change = found.judged.row(
        by_predicate=(pl.col("candidate") == found.number) & (pl.col("measure") == "disparity_change"),
        named=True,
    )
    assert (found.gain.value, found.gain.low, found.gain.high) == tuple(
        change[c] for c in ("value", "low", "high")
    )
    methods = dict(found.candidates.select("candidate", "method").iter_rows())
    named = found.judged.select("candidate", "mitigation").unique().iter_rows()
    assert all(mitigation == methods[number] for number, mitigation in named)
    again = find()
    assert again.candidates.equals(found.candidates)
    assert again.judged.equals(found.judged)


def test_where_none_costs_as_little_none_is_recommended_and_the_front_is_still_judged():
    found = find(most_loss=-1.0)
    assert found.number is found.gain is None
    assert "0 of the" in found.why
    assert found.swaps.height == 0
    assert 0 in found.judged["candidate"]


@pytest.mark.parametrize(
    ("made", "changes", "said"),
    [
        (plan(), {"trials": 0}, "asks for no search"),
        (plan(min_applicants=10_000), {}, "reference group"),
        (replace(plan(), reference_group="c"), {}, "'c'"),
    ],
)
def test_where_nothing_can_be_searched_tables_are_empty_and_it_is_said_why(made, changes, said):
    found = find(made, **changes)
    assert said in found.why
    assert (found.number, found.candidates.height, found.judged.height, found.swaps.height) == (None, 0, 0, 0)
    whole = find()
    for name in ("candidates", "judged", "swaps"):
        assert getattr(found, name).schema == getattr(whole, name).schema, name
