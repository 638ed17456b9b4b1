import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from workbench.errors import DataError
from workbench.fairness.membership_model import MEAN, membership_table
from workbench.fairness.proxies import proxy_table


def people(size=1_500, seed=1):
    """A group that two features give away together and neither alone; a score that knows nothing of it."""
    generator = np.random.default_rng(seed)
    first, second = generator.random((2, size)) < 0.5
    told = (first == second) ^ (generator.random(size) < 0.1)
    return pl.DataFrame(
        {
            "applicant_id": np.arange(size),
            "g": np.where(told, "a", "b"),
            "first": first.astype(int) + generator.random(size) / 10,
            "second": second.astype(int) + generator.random(size) / 10,
            "score": generator.normal(600, 50, size),
        }
    )


def membership(frame, names=("first", "second"), **changes):
    arguments = {"folds": 3, "most_applicants": 50_000, "level": 0.95, "seed": 1} | changes
    return membership_table(frame, ["g"], list(names), **arguments)


def value(table, predictor, group=MEAN, column="value"):
    return table.filter(predictor=predictor, group=group)[column].item()


def test_what_features_tell_only_together_is_found():
    frame = people()
    alone = proxy_table(frame, ["g"], ["first", "second"], level=0.95)
    table = membership(frame)
    assert alone["strength"].max() < 0.55
    assert value(table, "features", column="low") > 0.8
    assert value(table, "score", column="low") < 0.5 < value(table, "score", column="high")


def test_the_score_alone_is_judged_whichever_way_it_tells_the_group():
    """A group in the middle of the scores has an AUC near 0.5 without a model."""
    frame = people().with_columns(
        score=pl.when(pl.col("g") == "a").then(600).otherwise(600 + 80 * pl.col("first").sub(0.5).sign())
    )
    frame = frame.with_columns(score=pl.col("score") + 10 * pl.col("second"))
    assert value(membership(frame), "score") > 0.9


def test_features_that_know_nothing_are_covered_at_one_half():
    hits, runs = 0, 30
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        frame = people(200, seed).with_columns(g=pl.Series(generator.choice(["a", "b"], 200)))
        table = membership(frame, ["first"], seed=seed)
        hits += value(table, "features", column="low") <= 0.5 <= value(table, "features", column="high")
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_rows_of_one_applicant_do_not_judge_a_model_that_knows_the_applicant():
    """Each applicant has a value of its own in 20 rows, which would give its group away."""
    group = np.random.default_rng(3).permutation(["a", "b"] * 20)
    rows = pl.DataFrame({"applicant_id": np.repeat(np.arange(40), 20), "g": np.repeat(group, 20)})
    rows = rows.with_columns(first=pl.col("applicant_id").cast(pl.Float64), score=pl.lit(1.0))
    apart = rows.with_columns(applicant_id=pl.int_range(pl.len()))
    assert value(membership(rows, ["first"]), "features") < 0.75
    assert value(membership(apart, ["first"]), "features") > 0.85


def test_the_mean_of_the_groups_is_the_mean_of_values_and_of_ends():
    frame = people().with_columns(
        g=pl.when(pl.col("g") == "a")
        .then(pl.lit("a"))
        .when(pl.col("score") > 600)
        .then(pl.lit("b"))
        .otherwise(pl.lit("c"))
    )
    table = membership(frame).filter(predictor="features")
    single, mean = table.filter(pl.col("group") != MEAN), table.filter(group=MEAN)
    assert single["group"].to_list() == ["a", "b", "c"]
    for column in ("value", "low", "high"):
        assert mean[column].item() == pytest.approx(single[column].mean())
    assert mean["applicants"].item() == single["applicants"].sum()
    assert table["method"].str.starts_with("3-fold XGBoost").all()


def test_two_groups_are_told_equally_well():
    table = membership(people()).filter(predictor="features")
    assert table["value"].to_list() == pytest.approx([table["value"][0]] * 3)


def test_a_group_that_is_given_away_has_no_interval():
    frame = people().with_columns(first=(pl.col("g") == "a").cast(pl.Float64))
    table = membership(frame, ["first"]).filter(predictor="features")
    assert table["value"].to_list() == pytest.approx([1.0] * 3)
    assert table["low"].null_count() == 3
    assert table["method"].str.contains("no interval").all()


@pytest.mark.parametrize(("members", "groups"), [(19, ["a", "b", MEAN]), (20, ["a", "b", "c", MEAN])])
def test_small_groups_are_not_judged(members, groups):
    frame = people(600).with_columns(
        g=pl.when(pl.int_range(pl.len()) < members).then(pl.lit("c")).otherwise("g")
    )
    assert membership(frame).filter(predictor="features")["group"].to_list() == groups


def test_an_attribute_without_groups_to_judge_has_no_rows():
    assert membership(people(200).with_columns(g=pl.lit("a"))).height == 0
    assert membership(people(200).with_columns(g=pl.lit(None, pl.String))).height == 0


def test_applicants_of_unknown_group_are_left_out():
    frame = people(500)
    more = frame.with_columns(g=pl.lit(None, pl.String), applicant_id=pl.col("applicant_id") + 500)
    assert_frame_equal(membership(pl.concat([frame, more])), membership(frame))


def test_at_most_so_many_applicants_are_used():
    table = membership(people(600), most_applicants=400)
    assert value(table, "features", column="applicants") == 400


def test_a_group_that_is_small_among_those_drawn_is_not_judged():
    rare = pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.lit("rare")).otherwise("g").alias("g")
    frame = people(2_500).with_columns(rare)
    whole, part = (membership(frame, most_applicants=most, folds=2) for most in (2_500, 500))
    assert "rare" in whole["group"].to_list()
    assert part.filter(predictor="features")["group"].to_list() == ["a", "b", MEAN]


def test_the_same_seed_gives_the_same_table():
    frame = people(400)
    assert membership(frame).equals(membership(frame))
    assert not membership(frame).equals(membership(frame, seed=2))


@pytest.mark.parametrize(("folds", "refused"), [(1, True), (2, False), (10, False), (11, True)])
def test_folds_have_a_range(folds, refused):
    if refused:
        with pytest.raises(DataError) as raised:
            membership(people(100), folds=folds)
        assert raised.value.faults == (f"{folds} folds; 2 to 10 is right",)
    else:
        assert membership(people(100), folds=folds).height == 6


@pytest.mark.parametrize(
    ("names", "fault"),
    [(["first", "g"], "'g' is a protected attribute and a feature"), ([], "there are no features")],
)
def test_features_are_wanted_and_no_protected_attribute(names, fault):
    with pytest.raises(DataError) as raised:
        membership(people(100), names)
    assert raised.value.faults == (fault,)
