from itertools import combinations, product

import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.explanation.counterfactuals import changed_features, counterfactual_table, counterfactuals
from workbench.explanation.moves import feature_moves
from workbench.scorer import Calibration, Scorer, ScoreScale, model_matrix

NAMES = ("late", "paid", "used", "share", "age")
ACTIONS = {"late": -1, "paid": 1, "used": 0, "share": -1}
MONOTONE = "(1,-1,1,1,1)"
KEY = ["applicant_id", "change"]


def table(size: int, seed: int) -> pl.DataFrame:
    """Independent features, so that no pair of values is one that nobody has."""
    generator = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "applicant_id": range(1, size + 1),
            "late": generator.integers(0, 6, size).astype(float),
            "paid": generator.integers(0, 5, size).astype(float),
            "used": generator.integers(0, 2, size).astype(float),
            "share": generator.random(size),
            "age": generator.integers(20, 70, size).astype(float),
        }
    )


def train(frame: pl.DataFrame, constraints: str = MONOTONE, rounds: int = 25) -> Scorer:
    late, paid, used, share, age = frame.select(NAMES).to_numpy().T
    log_odds = 0.7 * late - 0.6 * paid + 0.8 * used + 2 * share * used + 0.09 * age - 4
    default = np.random.default_rng(3).random(frame.height) < 1 / (1 + np.exp(-log_odds))
    settings = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "seed": 1, "max_bin": 8}
    matrix = xgboost.DMatrix(model_matrix(frame, NAMES), default)
    booster = xgboost.train(settings | {"monotone_constraints": constraints}, matrix, num_boost_round=rounds)
    return Scorer(NAMES, booster, Calibration(0.1, 0.9), ScoreScale(600, 50, 20), 515.0)


FRAME = table(3_000, seed=1)
SCORER, FREE = train(FRAME), train(FRAME, "(0,0,0,0,0)")


def declined_by(scorer: Scorer, count: int = 60) -> pl.DataFrame:
    people = table(2_000, seed=2)
    scored = people.join(scorer.score(people).select("applicant_id", "score"), on="applicant_id")
    return scored.filter(pl.col("score") < scorer.cutoff).sample(count, seed=4).sort("applicant_id")


DECLINED = declined_by(SCORER)


def answers(declined=DECLINED, scorer=SCORER, development=FRAME, **changed) -> pl.DataFrame:
    settings = {"actionable": ACTIONS, "units": {}} | changed
    return counterfactuals(scorer, declined, development, **settings)


ANSWERS = answers()


def changed_by(rows: pl.DataFrame, declined: pl.DataFrame) -> pl.DataFrame:
    """The declined with the answers put in."""
    frame = declined
    for row in rows.filter("found").iter_rows(named=True):
        hit = pl.col("applicant_id") == row["applicant_id"]
        moved = pl.when(hit).then(pl.lit(row["to"])).otherwise(pl.col(row["feature"]))
        frame = frame.with_columns(moved.alias(row["feature"]))
    return frame


def brute_force(person: dict) -> tuple[int, float] | None:
    """The fewest changes and their least cost, over all values of all sets of features."""
    seen = model_matrix(FRAME, NAMES)
    moves = {NAMES[move.column]: move for move in feature_moves(SCORER, seen, ACTIONS)}
    own = np.array([[person[name] for name in NAMES]])
    for size in (1, 2, 3):
        costs = []
        for names in combinations(moves, size):
            ways = [moves[name].options(own[:, moves[name].column])[0] for name in names]
            ways = [way[~np.isnan(way)] for way in ways]
            tried = list(product(*ways))
            if not tried:
                continue
            trials = pl.DataFrame([person] * len(tried)).with_columns(
                pl.Series(name, [values[place] for values in tried]) for place, name in enumerate(names)
            )
            cost = sum((trials[name] - person[name]).abs() / moves[name].spread for name in names)
            costs += cost.filter(SCORER.score(trials)["approved"] == 1).to_list()
        if costs:
            return size, min(costs)
    return None


def test_the_answers_are_the_least_there_are():
    """Every feature but share has fewer values than are tried, so that the search is exact."""
    told = {row["applicant_id"]: row for row in ANSWERS.sort(KEY).iter_rows(named=True)}
    for person in DECLINED.select("applicant_id", *NAMES).iter_rows(named=True):
        row, wanted = told[person["applicant_id"]], brute_force(person)
        assert row["found"] == (wanted is not None)
        if wanted:
            assert row["change"] == wanted[0]
            assert row["cost"] == pytest.approx(wanted[1])


def test_answers_of_every_kind_are_there():
    """Else the tests here would test nothing."""
    sizes = ANSWERS.group_by("applicant_id").agg(pl.col("change").max())["change"]
    assert set(sizes) == {0, 1, 2, 3}


@pytest.mark.parametrize("scorer", [SCORER, FREE], ids=["monotone", "free"])
def test_the_scorer_approves_every_answer(scorer):
    declined = declined_by(scorer)
    found = answers(declined, scorer)
    after = scorer.score(changed_by(found, declined))
    wanted = found.group_by("applicant_id").agg(pl.col("found").first(), pl.col("score_after").first())
    both = after.join(wanted, on="applicant_id")
    assert both.filter("found")["approved"].to_list() == [1] * both["found"].sum()
    assert both.filter("found")["score"].to_list() == both.filter("found")["score_after"].to_list()


@pytest.mark.parametrize("scorer", [SCORER, FREE], ids=["monotone", "free"])
def test_no_change_can_be_left_out(scorer):
    declined = declined_by(scorer)
    found = answers(declined, scorer)
    several = found.filter("found", pl.len().over("applicant_id") > 1)
    assert several.height
    for place in range(several["change"].max()):
        less = several.filter(pl.int_range(pl.len()).over("applicant_id") != place)
        hit = several.filter(pl.int_range(pl.len()).over("applicant_id") == place)["applicant_id"]
        people = declined.filter(pl.col("applicant_id").is_in(hit.implode()))
        assert scorer.score(changed_by(less, people))["approved"].sum() == 0


def test_changes_go_the_allowed_way_and_stay_in_the_range_seen():
    found = ANSWERS.filter("found")
    for row in found.iter_rows(named=True):
        assert (row["to"] - row["from"]) * ACTIONS[row["feature"]] >= 0
        assert row["to"] != row["from"]
        assert FRAME[row["feature"]].min() <= row["to"] <= FRAME[row["feature"]].max()
    assert "age" not in found["feature"].to_list()


def test_whole_numbers_stay_whole_and_shares_are_round():
    whole = ANSWERS.filter("found", pl.col("feature") != "share")["to"]
    assert (whole == whole.round()).all()
    shares = ANSWERS.filter("found", pl.col("feature") == "share")["to"]
    assert shares.len()
    assert (shares == shares.round(3)).all()


def test_from_is_the_applicant_s_own_value():
    own = DECLINED.unpivot(NAMES, index="applicant_id", variable_name="feature", value_name="own")
    both = ANSWERS.filter("found").join(own, on=["applicant_id", "feature"])
    assert both["from"].to_list() == both["own"].to_list()
    score = ANSWERS.unique("applicant_id").join(DECLINED, on="applicant_id")
    assert score["score_before"].to_list() == pytest.approx(score["score"].to_list())


def test_cost_is_the_change_in_interquartile_ranges():
    row = ANSWERS.filter("found", pl.len().over("applicant_id") == 1, pl.col("feature") == "late").row(
        0, named=True
    )
    spread = FRAME["late"].quantile(0.75) - FRAME["late"].quantile(0.25)
    assert row["cost"] == pytest.approx(abs(row["to"] - row["from"]) / spread)


def test_where_there_is_none_it_says_so_with_the_best_score():
    none = ANSWERS.filter(~pl.col("found"))
    assert none["change"].to_list() == [0] * none.height
    assert none.select("feature", "from", "to", "cost").null_count().row(0) == (none.height,) * 4
    assert ((none["score_after"] < SCORER.cutoff) & (none["score_after"] >= none["score_before"])).all()
    assert (none["score_after"] > none["score_before"] + 5).any()


def test_with_fewer_changes_allowed_only_the_others_are_lost():
    one = answers(most_changes=1)
    wanted = ANSWERS.filter(pl.col("change").max().over("applicant_id") == 1)
    assert one.filter("found").equals(wanted)
    assert one.filter("found")["change"].max() == 1
    two = answers(most_changes=2)
    assert two.filter("found").equals(ANSWERS.filter("found", pl.len().over("applicant_id") < 3))


def test_one_applicant_alone_gets_the_same_answer():
    for place in (0, 7, 19):
        person = DECLINED[place : place + 1]
        assert answers(person).equals(ANSWERS.filter(pl.col("applicant_id") == person["applicant_id"][0]))


def test_everything_missing_has_no_answer():
    empty = DECLINED.head(2).with_columns(pl.lit(None, pl.Float64).alias(name) for name in NAMES)
    high = Scorer(NAMES, SCORER.booster, SCORER.calibration, SCORER.scale, 700.0)
    found = answers(empty, high)
    assert found["found"].to_list() == [False, False]
    assert found["score_after"].to_list() == found["score_before"].to_list()


def test_what_is_missing_stays_missing():
    without = DECLINED.with_columns(paid=pl.lit(None, pl.Float64))
    without = without.filter(SCORER.score(without)["approved"] == 0)
    found = answers(without)
    assert found.filter("found").height
    assert "paid" not in found["feature"].to_list()


def test_features_that_no_tree_uses_cannot_help():
    stump = train(FRAME, rounds=1)
    never = Scorer(NAMES, stump.booster, stump.calibration, stump.scale, 1_000.0)
    found = answers(DECLINED, never, actionable={"age": -1})
    assert not found["found"].any()


def ordered(size: int, seed: int) -> pl.DataFrame:
    """late is the most of two numbers and paid the least of them, both in days."""
    frame = table(size, seed)
    return frame.with_columns(late=pl.max_horizontal("late", "paid"), paid=pl.min_horizontal("late", "paid"))


def test_an_order_that_all_keep_is_kept():
    frame = ordered(3_000, seed=1)
    scorer = train(frame, "(1,1,1,1,1)")
    people = frame.filter(scorer.score(frame)["approved"] == 0).head(40)
    limits = {"actionable": {"late": -1}, "development": frame, "most_changes": 1}
    free = answers(people, scorer, **limits, units={})
    kept = answers(people, scorer, **limits, units={"late": "days", "paid": "days"})
    after = changed_by(kept, people)
    assert (after["late"] >= after["paid"]).all()
    assert kept["found"].sum() <= free["found"].sum()
    other = answers(people, scorer, **limits, units={"late": "days", "paid": "count"})
    assert other.equals(free)


def test_a_rule_that_an_applicant_broke_before_does_not_bind_them():
    frame, units = ordered(3_000, seed=1), {"late": "days", "paid": "days"}
    scorer = train(frame, "(1,1,1,1,1)")
    people = table(3_000, seed=7).filter(pl.col("late") < pl.col("paid"))
    people = people.filter(scorer.score(people)["approved"] == 0).head(40)
    limits = {"actionable": {"late": -1}, "development": frame}
    bound = answers(people, scorer, **limits, units=units)
    assert bound["found"].any()
    assert bound.equals(answers(people, scorer, **limits, units={}))


def test_a_pair_of_values_that_nobody_has_is_not_an_answer():
    """never late, and late by some days: in development used = 1 exactly where late > 0."""
    frame = table(3_000, seed=1)
    frame = frame.with_columns(used=(pl.col("late") > 0).cast(pl.Float64))
    scorer = train(frame)
    people = frame.filter(scorer.score(frame)["approved"] == 0).head(60)
    alone = answers(people, scorer, actionable={"used": -1}, development=frame)
    assert not alone["found"].any()
    both = answers(people, scorer, actionable={"used": -1, "late": -1}, development=frame)
    after = changed_by(both, people)
    assert both["found"].any()
    assert ((after["late"] > 0) == (after["used"] == 1)).all()


def test_all_faults_are_told_at_once():
    people = FRAME.filter(SCORER.score(FRAME)["approved"] == 1).head(3)
    with pytest.raises(DataError, match="cannot be searched") as caught:
        answers(people, development=FRAME.head(0), actionable={"payd": 1, "late": 2}, most_changes=4)
    assert caught.value.faults == (
        "actionable: the model has no feature 'payd' (did you mean paid?)",
        "actionable: late has the direction 2; -1, 0 or 1 is right",
        "4 changes at most; 1 to 3 is right",
        "there are no development applicants",
        "3 of 3 applicants are approved already; give the declined",
    )


def test_no_rows_and_nothing_to_act_on_are_refused():
    with pytest.raises(DataError) as caught:
        answers(DECLINED.head(0), actionable={}, most_changes=0)
    assert caught.value.faults == (
        "actionable: there is no feature that a person can act on",
        "0 changes at most; 1 to 3 is right",
        "there are no applicants",
    )


def test_no_value_of_a_person_is_in_an_error():
    marked = (
        FRAME.filter(SCORER.score(FRAME)["approved"] == 1).head(1).with_columns(share=pl.lit(0.123456789))
    )
    with pytest.raises(DataError) as caught:
        answers(marked)
    assert "0.1234" not in str(caught.value)


def test_the_table_counts_each_applicant_once():
    found = counterfactual_table(ANSWERS, level=0.95)
    assert found["applicants"].sum() == DECLINED.height
    assert found["value"].sum() == pytest.approx(1)
    assert found["changes"].to_list() == [1, 2, 3, None]
    assert found["median_cost"].null_count() == 1
    ones = ANSWERS.filter(pl.col("change").max().over("applicant_id") == 1)
    assert found.row(0, named=True)["applicants"] == ones.height
    assert found.row(0, named=True)["median_cost"] == pytest.approx(ones["cost"].median())


def test_the_features_that_change_most_often_come_first():
    found = changed_features(ANSWERS, level=0.95)
    assert found["applicants"].to_list() == sorted(found["applicants"], reverse=True)
    late = found.row(by_predicate=pl.col("feature") == "late", named=True)
    moved = ANSWERS.filter(pl.col("feature") == "late")
    assert late["applicants"] == moved.height
    assert late["value"] == pytest.approx(moved.height / DECLINED.height)
    assert late["median_change"] == (moved["to"] - moved["from"]).median()
    assert late["low"] < late["value"] < late["high"]


def test_nobody_with_an_answer_leaves_an_empty_table():
    none = ANSWERS.filter(~pl.col("found"))
    assert changed_features(none, level=0.95).height == 0
    assert counterfactual_table(none, level=0.95).select("changes", "value").rows() == [(None, 1.0)]
