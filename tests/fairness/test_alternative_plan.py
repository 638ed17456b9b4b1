from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError, ParamsError
from workbench.fairness.alternative_plan import Candidate, Plan, inner_split, judged_groups, prepare_search

NAMES = ["income", "proxy", "noise"]
PLAN = Plan(
    names=NAMES,
    monotone=[1, 0, 0],
    constrained=False,
    base={"nthread": 1, "seed": 1, "max_depth": 2},
    rounds=8,
    space={"max_depth": [1, 3], "learning_rate": [0.1, 0.6]},
    orders={"proxy_strength": ["proxy", "income", "noise"]},
    most_left_out=2,
    attribute="group",
    reference_group="a",
    min_applicants=20,
    min_defaults=5,
)


def applicants(size=600, seed=1):
    """Applicants of group b (40%) have as much risk as others; a proxy, however, seems to say otherwise."""
    generator = np.random.default_rng(seed)
    group = np.where(generator.random(size) < 0.4, "b", "a")
    features = generator.normal(size=(size, 3))
    features[:, 1] += 1.5 * (group == "b")
    prob = 1 / (1 + np.exp(0.8 - 1.2 * features[:, 0] - 0.5 * features[:, 1]))
    frame = pl.DataFrame(dict(zip(NAMES, features.T, strict=True)))
    return frame.with_columns(
        applicant_id=pl.Series(np.arange(size)),
        default=pl.Series((generator.random(size) < prob).astype(int)),
        group=pl.Series(group),
        prob_default=pl.Series(prob),
        approved=pl.Series((prob <= np.quantile(prob, 0.7)).astype(int)),
    )


def prepared(plan=PLAN, frame=None):
    rows = applicants() if frame is None else frame
    return prepare_search(rows[:400], rows[400:], plan)


def splits(model):
    """The features that the trees split on, by position in the plan."""
    trees = "".join(model.classifier.get_booster().get_dump(dump_format="json"))
    return {int(model.seen[int(part.split('"')[0])]) for part in trees.split('"split": "f')[1:]}


def test_the_champions_candidate_keeps_its_approval_rate_with_one_cutoff():
    problem = prepared()
    approved = problem.champion.risk(problem.judging) <= 0
    assert approved.mean() == pytest.approx(problem.approval_rate, abs=3e-2)  # shallow trees tie
    assert len(set(problem.champion.cutoffs.values())) == 1
    assert problem.decided.mean() == pytest.approx(problem.approval_rate, abs=3e-2)


def test_features_left_out_are_not_seen():
    problem = prepared()
    assert 1 in splits(problem.champion)
    found = problem.fit(Candidate(order="proxy_strength", left_out=2))
    assert splits(found) == {2}
    assert problem.disparity(found) < problem.disparity(problem.champion)


@pytest.mark.parametrize(("direction", "slope"), [(1, 1), (-1, -1)])
def test_a_direction_is_that_of_the_pd(direction, slope):
    problem = prepared(replace(PLAN, monotone=[0, 0, direction]))
    found = problem.fit(Candidate(monotone=True, settings={"max_depth": 3}))
    features = np.zeros((50, 3))
    features[:, 2] = np.linspace(-3, 3, 50)
    rows = replace(problem.judging, features=features, group=np.repeat("a", 50))
    steps = np.diff(found.margin(rows)) * slope
    assert (steps >= -1e-6).all()


def test_only_group_cutoffs_differ_between_groups():
    problem = prepared()
    for method, number in (("reweighing", 1), ("equalized_odds", 1), ("group_thresholds", 2)):
        found = problem.fit(Candidate(method, strength=0.9))
        assert len(set(found.cutoffs.values())) == number, method
    assert problem.disparity(found) < problem.disparity(problem.champion)


def test_a_reference_group_without_approvals_is_as_unequal_as_can_be():
    """The ratio is undefined; a candidate that cannot be judged must not win."""
    rows = applicants().with_columns(income=pl.when(group="a").then(9.0).otherwise("income"))
    rows = rows.with_columns(default=pl.when(group="a").then(pl.int_range(600) % 10 > 0).otherwise("default"))
    rows = rows.with_columns(pl.col("default").cast(pl.Int64), approved=pl.Series([1, 0, 0, 0] * 150))
    problem = prepared(replace(PLAN, measure="adverse_impact_ratio"), rows)
    assert not (problem.champion.risk(problem.judging) <= 0)[problem.judging.group == "a"].any()
    assert problem.disparity(problem.champion) == 1


def test_words_say_what_distinguishes_a_candidate():
    plain = Candidate(settings={"max_depth": 2})
    assert plain.words == "all features, free, max_depth 2"
    left = Candidate("reweighing", 0.5, "proxy_strength", 3, True)
    assert left.words == "strength 0.50, without the first 3 by proxy strength, monotone"


def test_a_small_group_is_not_judged_and_an_unknown_one_is_no_fault():
    few = pl.Series(["c"] * 30 + [None] * 10 + ["b", "a"] * 280)
    problem = prepared(frame=applicants().with_columns(group=few))
    assert problem.groups == ("a", "b")  # nobody of c is in the judging part
    assert problem.fitting.judged.sum() == 360
    assert set(problem.champion.cutoffs) == {"a", "b"}


def test_groups_that_are_not_judged_have_no_part_in_disparity():
    """Nobody of group x is approved; counted with the reference group they would hide its advantage."""
    rows = applicants()
    others = rows.with_columns(group=pl.lit("x"), income=pl.lit(9.0))[:10]
    problem = prepare_search(rows[:400], pl.concat([rows[400:], others]), PLAN)
    assert problem.groups == ("a", "b")
    assert problem.judging.judged.sum() == 200
    counted = replace(problem, judging=replace(problem.judging, judged=np.ones(210, dtype=bool)))
    assert counted.disparity(problem.champion) < problem.disparity(problem.champion) - 0.03


@pytest.mark.parametrize(("least", "groups"), [(40, ("a", "b")), (41, None)])
def test_a_group_of_the_least_number_is_judged(least, groups):
    rows = pl.DataFrame({"group": ["a"] * 60 + ["b"] * 40, "default": [0, 1] * 50})
    plan = replace(PLAN, min_applicants=least)
    if groups:
        assert judged_groups((rows,), plan) == groups
    else:
        with pytest.raises(DataError, match="no group but 'a' is large enough"):
            judged_groups((rows,), plan)


@pytest.mark.parametrize(("least", "enough"), [(20, True), (21, False)])
def test_a_group_needs_goods_and_bads(least, enough):
    rows = pl.DataFrame({"group": ["a"] * 60 + ["b"] * 40, "default": [0, 1] * 50})
    found = rows if enough else rows.with_columns(default=1 - pl.col("default"))
    plan = replace(PLAN, min_defaults=least)
    if enough:
        assert judged_groups((found,), plan) == ("a", "b")
    else:
        with pytest.raises(DataError):
            judged_groups((found,), plan)


def test_a_reference_group_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(DataError, match="received 'x'; the groups are 'a', 'b'"):
        prepared(replace(PLAN, reference_group="x"))


def test_an_attribute_with_one_value_has_no_disparity():
    with pytest.raises(DataError, match="There is no disparity to lessen"):
        prepared(frame=applicants().with_columns(group=pl.lit("a")))


@pytest.mark.parametrize("decision", [0, 1])
def test_a_champion_that_approves_all_or_none_cannot_be_matched(decision):
    with pytest.raises(DataError, match=f"approves {200 * decision} of 200"):
        prepared(frame=applicants().with_columns(approved=pl.lit(decision)))


def test_all_faults_of_a_plan_are_told_at_once():
    plan = replace(
        PLAN,
        monotone=[1],
        base={"monotone_constraints": (1, 0, 0)},
        orders={"proxy_strength": ["proxi", "noise"]},
        most_left_out=3,
        min_applicants=1,
        space={"max_depth": [3, 1]},
    )
    with pytest.raises(DataError) as error:
        prepared(plan, applicants().drop("income"))
    assert error.value.faults == (
        "fitting: there is no column income",
        "judging: there is no column income",
        "base holds monotone_constraints, which are of all features; candidates leave features out",
        "min_applicants is 1 and min_defaults 5; "
        "a group needs 2 applicants, one for each half, a good and a default",
        "space: max_depth goes from 3 to 1; the low end comes first",
        "1 directions for 3 features; one for each is needed",
        "order proxy_strength: 1 features are not the champion's",
        "order proxy_strength has 2 features: 3 cannot be left out",
    )


@pytest.mark.parametrize(("most", "allowed"), [(2, True), (3, False)])
def test_one_feature_stays(most, allowed):
    plan = replace(PLAN, most_left_out=most)
    if allowed:
        assert prepared(plan).plan is plan
    else:
        with pytest.raises(DataError, match="3 cannot be left out"):
            prepared(plan)


def test_other_faults_of_plan_and_data():
    with pytest.raises(DataError, match="group is judged and may not be a feature"):
        prepared(replace(PLAN, names=["income", "proxy", "group"]))
    with pytest.raises(DataError, match="there is no order"):
        prepared(replace(PLAN, orders={}))
    with pytest.raises(DataError, match="judging: default is missing or neither 0 nor 1 in 200 of 200 rows"):
        prepared(frame=applicants().with_columns(default=pl.lit(2)))
    with pytest.raises(ParamsError, match="The methods to forbid are among"):
        prepared(replace(PLAN, forbidden=("group_threshold",)))


def test_the_inner_split_keeps_applicants_together_and_repeats():
    rows = pl.concat([applicants(300), applicants(300, seed=2)])
    fitting, judging = inner_split(rows, judged_share=0.3, seed=4)
    assert (fitting.height, judging.height) == (420, 180)
    assert not set(fitting["applicant_id"]) & set(judging["applicant_id"])
    again = inner_split(rows.reverse(), judged_share=0.3, seed=4)[1]
    assert set(again["applicant_id"]) == set(judging["applicant_id"])
    assert set(inner_split(rows, judged_share=0.3, seed=5)[1]["applicant_id"]) != set(again["applicant_id"])
