from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.fairness.alternative_judgement import holdout_risks, judge_alternatives, swap_sets
from workbench.fairness.alternative_plan import Plan, prepare_search
from workbench.fairness.alternatives import search_alternatives
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson
from workbench.statistics.ranking import auc, compare_auc

NAMES = ["income", "proxy", "noise"]
PLAN = Plan(
    names=NAMES,
    monotone=[0, 0, 0],
    constrained=False,
    base={"nthread": 1, "seed": 1, "max_depth": 2},
    rounds=12,
    space={"learning_rate": [0.1, 0.6]},
    orders={"proxy_strength": ["proxy", "income", "noise"]},
    most_left_out=2,
    attribute="group",
    reference_group="a",
    min_applicants=20,
    min_defaults=5,
)
JUDGED = {"loss_given_default": 0.5, "level": 0.95, "replicates": 400, "seed": 1}


def applicants(size, seed=1, groups="ab"):
    """Groups other than a are riskier, and a proxy says so; the champion, prob_default, makes more of it."""
    generator = np.random.default_rng(seed)
    group = generator.choice(list(groups), size)
    features = generator.normal(size=(size, 3))
    features[:, 1] += 1.5 * (group != "a")
    true, prob = (1 / (1 + np.exp(0.8 - 1.2 * features[:, 0] - by * features[:, 1])) for by in (0.5, 0.6))
    return pl.DataFrame(dict(zip(NAMES, features.T, strict=True))).with_columns(
        default=pl.Series((generator.random(size) < true).astype(int)),
        group=pl.Series(group),
        prob_default=pl.Series(prob),
        approved=pl.Series((prob <= np.quantile(prob, 0.7)).astype(int)),
    )


@cache
def prepared(groups="ab"):
    rows = applicants(900, groups=groups)
    return prepare_search(rows[:600], rows[600:], PLAN)


@cache
def judged():
    """A search, its front's risks on a holdout, and the table of both."""
    found = search_alternatives(prepared(), trials=8, level=0.95, seed=1)
    risks = holdout_risks(prepared(), found, holdout())
    return found, risks, judge_alternatives(prepared(), risks, holdout(), **JUDGED)


@cache
def holdout(size=800):
    return applicants(size, seed=2)


def one(table, candidate, measure):
    wanted = (pl.col("candidate") == candidate) & (pl.col("measure") == measure)
    return table.row(by_predicate=wanted, named=True)


def same(row, estimate):
    return (row["value"], row["low"], row["high"]) == pytest.approx(
        (estimate.value, estimate.low, estimate.high)
    )


def test_the_front_is_judged_beside_the_champion():
    found, risks, table = judged()
    front = found.table.filter("on_front", pl.col("candidate") > 0)["candidate"].to_list()
    assert sorted(risks) == front
    assert table["candidate"].unique().sort().to_list() == [0, *front]
    own = ["auc", "approval_rate", "realised_loss", "adverse_impact_ratio", "selection_rate_difference"]
    assert table.filter(candidate=0)["measure"].to_list() == own
    changes = ["auc_change", "disparity_change", "realised_loss_change"]
    assert table.filter(candidate=front[0])["measure"].to_list() == own + changes
    assert table.columns == ["candidate", "measure", "value", "low", "high", "level", "method", "note"]
    assert table["low"].null_count() == 0


@pytest.mark.parametrize("number", [0, 1])
def test_levels_are_those_of_the_statistics(number):
    _, risks, table = judged()
    number = number and min(risks)
    rows, default = holdout(), holdout()["default"].to_numpy()
    prob = 1 / (1 + np.exp(-risks[number])) if number else rows["prob_default"].to_numpy()
    approved = risks[number] <= 0 if number else rows["approved"].to_numpy() == 1
    inside = [(rows["group"] == name).to_numpy() for name in "ba"]
    counts = [int(value) for part in inside for value in ((approved & part).sum(), part.sum())]
    bads = wilson(int(default[approved].sum()), int(approved.sum()))
    assert same(one(table, number, "auc"), auc(default, prob))
    assert same(one(table, number, "approval_rate"), wilson(int(approved.sum()), approved.size))
    assert same(one(table, number, "adverse_impact_ratio"), donner_zou_ratio(*counts))
    assert same(one(table, number, "selection_rate_difference"), newcombe_difference(*counts))
    assert one(table, number, "realised_loss")["value"] == pytest.approx(0.5 * bads.value)
    assert one(table, number, "realised_loss")["high"] == pytest.approx(0.5 * bads.high)


def test_changes_are_to_the_champion_on_the_same_applicants():
    _, risks, table = judged()
    number = min(risks)
    rows, default = holdout(), holdout()["default"].to_numpy()
    change = compare_auc(default, rows["prob_default"].to_numpy(), 1 / (1 + np.exp(-risks[number])))
    assert same(one(table, number, "auc_change"), change.difference)
    gaps = [abs(one(table, at, "selection_rate_difference")["value"]) for at in (number, 0)]
    assert one(table, number, "disparity_change")["value"] == pytest.approx(gaps[0] - gaps[1])
    losses = [one(table, at, "realised_loss")["value"] for at in (number, 0)]
    assert one(table, number, "realised_loss_change")["value"] == pytest.approx(losses[0] - losses[1])


def test_the_note_says_what_choosing_by_the_holdout_would_do():
    _, risks, table = judged()
    notes = table.filter(pl.col("candidate") == min(risks))["note"]
    assert notes.str.contains(f"another of the {len(risks)} members by these numbers would flatter it").all()
    assert table.filter(candidate=0, measure="auc")["note"].to_list() == [""]
    assert one(table, 0, "adverse_impact_ratio")["note"] == "b"  # the only one, so none was picked


@pytest.mark.parametrize(("rate", "lowest", "least"), [(85, "b", 50), (20, "c", 20)])
def test_the_worst_of_several_groups_is_named_as_picked(rate, lowest, least):
    """c is furthest from the reference group a; whoever is in no judged group counts for neither."""
    size, rates = 100, {"a": 60, "b": 50, "c": rate, None: 0}
    rows = pl.DataFrame(
        {
            "group": [name for name in rates for _ in range(size)],
            "approved": [int(at < rate) for rate in rates.values() for at in range(size)],
            "default": [at % 2 for at in range(4 * size)],
            "prob_default": np.linspace(0.1, 0.9, 4 * size),
        }
    )
    half = np.where(np.tile(np.arange(size) < 60, 4), -1.0, 1.0)
    table = judge_alternatives(prepared("abc"), {1: half}, rows, **JUDGED)
    picked = ", the worst of 2 judged groups; picking it exaggerates the gap"
    ratio, difference = (
        one(table, 0, name) for name in ("adverse_impact_ratio", "selection_rate_difference")
    )
    assert (ratio["note"], ratio["value"]) == (lowest + picked, pytest.approx(least / 60))
    assert (difference["note"], difference["value"]) == ("c" + picked, pytest.approx(rate / 100 - 0.6))
    assert one(table, 1, "disparity_change")["value"] == pytest.approx(-abs(rate / 100 - 0.6))


def test_the_champion_against_itself_does_not_change():
    rows = holdout()
    prob = rows["prob_default"].to_numpy()
    limit = prob[rows["approved"].to_numpy() == 1].max()
    risk = np.log(prob / (1 - prob)) - np.log(limit / (1 - limit))
    risk[rows["approved"].to_numpy() == 1] -= 1e-9
    table = judge_alternatives(prepared(), {5: risk}, rows, **JUDGED)
    for measure in ("disparity_change", "realised_loss_change"):
        row = one(table, 5, measure)
        assert (row["value"], row["low"], row["high"]) == (0, 0, 0)
    assert one(table, 5, "auc_change")["value"] == pytest.approx(0, abs=1e-12)
    assert swap_sets(rows, risk, candidate=5, attributes=["group"], level=0.95)["applicants"].sum() == 0


def test_groups_that_are_few_in_the_holdout_are_left_out_of_disparity_alone():
    rows = applicants(900, seed=3, groups="abc")
    few = rows.with_columns(
        group=pl.Series(["c"] * 19 + [None] * 5 + ["x"] * 26 + rows["group"].replace("c", "b").to_list()[50:])
    )
    table = judge_alternatives(prepared("abc"), {}, few, **JUDGED)
    assert one(table, 0, "selection_rate_difference")["note"] == "b"
    assert one(table, 0, "approval_rate")["value"] == pytest.approx(few["approved"].mean())


@pytest.mark.parametrize("measure", ["selection_rate_difference", "adverse_impact_ratio"])
def test_intervals_of_changes_cover_what_is_true(measure):
    """The alternative approves by a coin of its own for some of group b: the truth is known."""
    problem = replace(prepared(), plan=replace(PLAN, measure=measure))
    generator, covered, runs = np.random.default_rng(1), np.zeros(2), 150
    # a: 0.8 approved by both; b: 0.5 by the champion, and half of its others by the alternative: 0.75
    truth = {
        "selection_rate_difference": 0.05 - 0.3,
        "adverse_impact_ratio": (1 - 0.75 / 0.8) - (1 - 0.5 / 0.8),
    }
    # a quarter of all approved who were declined default at 0.4, all others at 0.2
    old_rate, new_rate = 0.2, (0.65 * 0.2 + 0.125 * 0.4) / 0.775
    for seed in range(runs):
        other = generator.random(600) < 0.5
        old = generator.random(600) < np.where(other, 0.5, 0.8)
        gained = other & ~old & (generator.random(600) < 0.5)
        rows = pl.DataFrame(
            {
                "group": np.where(other, "b", "a"),
                "default": (generator.random(600) < np.where(gained, 0.4, 0.2)).astype(int),
                "approved": old.astype(int),
                "prob_default": generator.random(600),
            }
        )
        risk = np.where(old | gained, -1.0, 1.0) + generator.random(600) / 2
        table = judge_alternatives(problem, {1: risk}, rows, **JUDGED | {"replicates": 200, "seed": seed})
        wanted = {"disparity_change": truth[measure], "realised_loss_change": 0.5 * (new_rate - old_rate)}
        found = [(one(table, 1, name), value) for name, value in wanted.items()]
        covered += [row["low"] <= value <= row["high"] for row, value in found]
    assert (covered / runs >= 0.90).all()
    assert (covered / runs < 1).all()


# Swap sets


def test_swap_sets_tell_who_gains_and_who_loses():
    rows = pl.DataFrame(
        {
            "sex": ["f", "f", "f", "f", "m", "m", None],
            "default": [0, 1, 0, 1, 1, 0, 0],
            "approved": [0, 0, 1, 0, 1, 1, 1],
        }
    )
    risk = np.array([-1.0, 0.0, -1.0, 1.0, 0.5, -2.0, 1.0])
    table = swap_sets(rows, risk, candidate=7, attributes=["sex"], level=0.9)
    assert table.columns[:7] == [
        *("candidate", "attribute", "group", "flow", "applicants", "share", "default_rate")
    ]
    found = table.select("group", "flow", "applicants", "share", "default_rate").rows()
    gained, lost = "declined_to_approved", "approved_to_declined"
    assert found == [
        ("f", lost, 0, 0.0, None),
        ("f", gained, 2, 0.5, 0.5),
        ("m", lost, 1, 0.5, 1.0),
        ("m", gained, 0, 0.0, None),
        ("not stated", lost, 1, 1.0, 0.0),
        ("not stated", gained, 0, 0.0, None),
    ]
    assert same(table.row(1, named=True) | {"value": 0.5}, wilson(1, 2, level=0.9))
    assert table["method"][0] == "undefined: 0 trials"


def test_gains_less_losses_are_the_change_in_approvals():
    _, risks, _ = judged()
    rows, number = holdout(), min(risks)
    table = swap_sets(rows, risks[number], candidate=number, attributes=["group"], level=0.95)
    moved = dict(table.group_by("flow").agg(pl.col("applicants").sum()).iter_rows())
    change = int((risks[number] <= 0).sum()) - int(rows["approved"].sum())
    assert moved["declined_to_approved"] - moved["approved_to_declined"] == change


# Faults


def test_absent_columns_are_named():
    found, risks, _ = judged()
    with pytest.raises(DataError, match="there is no column proxy"):
        holdout_risks(prepared(), found, holdout().drop("proxy"))
    with pytest.raises(DataError) as error:
        judge_alternatives(prepared(), risks, holdout().drop("approved", "prob_default"), **JUDGED)
    assert len(error.value.faults) == 2
    with pytest.raises(DataError, match="there is no column groups"):
        swap_sets(holdout(), risks[min(risks)], candidate=1, attributes=["groups"], level=0.95)


@pytest.mark.parametrize("wrong", [{"default": pl.lit(0)}, {"approved": pl.lit(0.5)}, {"group": pl.lit("b")}])
def test_a_holdout_that_cannot_judge_is_refused(wrong):
    with pytest.raises(DataError):
        judge_alternatives(prepared(), {}, holdout().with_columns(**wrong), **JUDGED)


def test_other_applicants_than_those_of_the_risks_are_refused():
    with pytest.raises(DataError, match="lengths differ"):
        swap_sets(holdout(), np.zeros(3), candidate=1, attributes=["group"], level=0.95)
