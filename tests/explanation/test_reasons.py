import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.explanation.reasons import (
    Losses,
    all_applicants,
    best_values,
    bureau_codes,
    key_factors,
    losses_of_values,
    losses_to_best,
    near_cutoff,
    rank_reasons,
    reason_codes,
)
from workbench.scorer import Calibration, Scorer, ScoreScale

NAMES = ["late_now", "late_before", "paid", "limit"]
FAMILIES = {"late_now": "payments late", "late_before": "payments late", "paid": "payments", "limit": "limit"}
SCALE = ScoreScale(600, 50, 20)
GRID = st.lists(
    st.lists(st.integers(-50, 50).map(lambda n: n / 10), min_size=4, max_size=4), min_size=1, max_size=6
)


def reasons(values, *, names=NAMES, families=FAMILIES, points=10.0, shown=4) -> pl.DataFrame:
    numbers = pl.Series("applicant_id", range(1, len(values) + 1))
    return reason_codes(
        np.array(values, dtype=float),
        numbers,
        families=families,
        names=names,
        points_per_log_odds=points,
        reasons_shown=shown,
    )


def scores(*points: float) -> pl.DataFrame:
    return pl.DataFrame({"applicant_id": range(1, len(points) + 1), "score": points})


def test_rule_11_families_are_summed_before_ranking():
    """Late twice at 0.3 outranks paid at 0.5; ranked one by one it would not."""
    table = reasons([[0.3, 0.3, 0.5, 0.1]])
    assert table["reason_code"].to_list() == ["payments late", "payments", "limit"]
    assert table["points_lost"].to_list() == pytest.approx([6.0, 5.0, 1.0])
    assert table["rank"].to_list() == [1, 2, 3]


def test_what_one_feature_costs_another_of_its_family_can_make_up_for():
    table = reasons([[0.9, -1.0, 0.2, 0.0]])
    assert table["reason_code"].to_list() == ["payments"]


@pytest.mark.parametrize(("value", "count"), [(1e-9, 1), (0.0, 0), (-1e-9, 0)])
def test_rule_2_only_what_costs_points_is_a_reason(value, count):
    assert reasons([[0.0, 0.0, value, 0.0]]).height == count


@pytest.mark.parametrize("shown", [1, 2, 3, 9])
def test_rule_1_at_most_as_many_reasons_as_asked_for(shown):
    table = reasons([[0.1, 0.1, 0.5, 0.3]], shown=shown)
    assert table["reason_code"].to_list() == ["payments", "limit", "payments late"][:shown]


def test_each_applicant_has_ranks_of_their_own():
    table = reasons([[0.5, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 0.4]])
    assert table.select("applicant_id", "rank", "reason_code").rows() == [
        (1, 1, "payments late"),
        (1, 2, "payments"),
        (2, 1, "limit"),
    ]


def test_rule_13_ties_are_broken_by_name_and_not_by_chance():
    assert reasons([[0.0, 0.2, 0.2, 0.2]])["reason_code"].to_list() == ["limit", "payments", "payments late"]


@given(GRID, st.integers(1, 5), st.floats(0.5, 40))
def test_reasons_are_what_plain_sums_say(values, shown, points):
    table = reasons(values, shown=shown, points=points)
    assert (table["points_lost"] > 0).all()
    for number, row in enumerate(values, start=1):
        lost = {"payments late": row[0] + row[1], "payments": row[2], "limit": row[3]}
        wanted = sorted((points * value for value in lost.values() if value > 1e-9), reverse=True)[:shown]
        mine = table.filter((pl.col("applicant_id") == number) & (pl.col("points_lost") > 1e-6))
        assert mine["points_lost"].to_list() == pytest.approx(wanted)
        assert mine["rank"].to_list() == list(range(1, len(wanted) + 1))
        for code, cost in mine.select("reason_code", "points_lost").iter_rows():
            assert cost == pytest.approx(points * lost[code])


@given(GRID, st.permutations(range(4)))
def test_the_order_of_features_does_not_change_the_reasons(values, order):
    first = reasons(values)
    second = reasons([[row[i] for i in order] for row in values], names=[NAMES[i] for i in order])
    key = ["applicant_id", "reason_code"]
    first, second = (table.filter(pl.col("points_lost") > 1e-6).sort(key) for table in (first, second))
    assert first["reason_code"].to_list() == second["reason_code"].to_list()
    assert first["points_lost"].to_list() == pytest.approx(second["points_lost"].to_list())


def test_features_without_a_family_are_all_named():
    with pytest.raises(DataError, match="features without a reason") as caught:
        reasons([[0.1] * 4], families={"paid": "payments", "late_now": "payments late"})
    assert caught.value.faults == ("late_before", "limit")


def test_nobody_declined_gives_no_reasons():
    table = reasons(np.empty((0, 4)))
    assert table.height == 0
    assert table.columns == ["applicant_id", "rank", "reason_code", "feature", "points_lost", "kind"]


def test_the_feature_of_a_reason_is_the_one_that_costs_most():
    table = reasons([[0.1, 0.3, 0.0, 0.2], [0.3, 0.1, 0.0, 0.2], [0.3, -0.1, 0.0, 0.1]])
    first = table.filter(pl.col("rank") == 1)
    assert first["feature"].to_list() == ["late_before", "late_now", "late_now"]
    assert table["kind"].unique().to_list() == ["model"]


@given(GRID)
def test_the_feature_of_a_reason_costs_points_itself(values):
    for number, _, code, feature, _, _ in reasons(values).iter_rows():
        row = dict(zip(NAMES, values[number - 1], strict=True))
        members = [row[name] for name in NAMES if FAMILIES[name] == code]
        assert row[feature] == max(members)
        assert row[feature] > 0


@pytest.mark.parametrize("code", sorted(set(FAMILIES.values())))
def test_rule_3_no_family_is_ever_left_out(code):
    values = [[0.5 if FAMILIES[name] == code else -0.1 for name in NAMES]]
    assert reasons(values)["reason_code"].to_list() == [code]


def test_points_may_be_given_for_each_applicant():
    table = reasons([[0.0, 0.0, 0.5, 0.0]] * 2, points=np.array([[10.0], [20.0]]))
    assert table["points_lost"].to_list() == [5.0, 10.0]


def test_text_and_number_ids_stay_as_they_are():
    losses = losses_of_values(np.ones((2, 4)), families=FAMILIES, names=NAMES, points_per_log_odds=1.0)
    table = rank_reasons(losses, pl.Series("applicant_id", ["b", "a"]), reasons_shown=1)
    assert table["applicant_id"].to_list() == ["b", "a"]


# The methods


def test_everybody_is_drawn_from_when_all_are_compared_with():
    many = scores(*np.linspace(300, 700, 200))
    ids = all_applicants(many, size=50, seed=1)
    assert ids.len() == 50
    assert ids.to_list() == sorted(set(ids))
    assert all_applicants(many.reverse(), size=50, seed=1).to_list() == ids.to_list()
    assert all_applicants(many, size=50, seed=2).to_list() != ids.to_list()
    assert all_applicants(many, size=500, seed=2).len() == 200


@pytest.mark.parametrize(("count", "right"), [(20, True), (19, False)])
def test_twenty_applicants_are_enough_to_compare_with(count, right):
    few = scores(*range(600, 600 + count))
    approved = few.with_columns(late_now=pl.col("score"))
    if right:
        assert all_applicants(few, size=100, seed=1).len() == 20
        assert best_values(score_of, approved, ["late_now"], size=100, seed=1)
    else:
        with pytest.raises(DataError, match="19 applicants"):
            all_applicants(few, size=100, seed=1)
        with pytest.raises(DataError, match="19 approved applicants"):
            best_values(score_of, approved, ["late_now"], size=100, seed=1)


WEIGHTS = {"late_now": -3.0, "late_before": -1.0, "paid": 2.0, "limit": 0.5}


def score_of(frame: pl.DataFrame) -> np.ndarray:
    """A score that adds up: late costs, paid and limit gain; a missing value counts as 4."""
    own = [name for name in WEIGHTS if name in frame.columns]
    each = [pl.col(name).cast(pl.Float64).fill_null(4.0) * WEIGHTS[name] for name in own]
    return frame.select(500 + pl.sum_horizontal(each)).to_series().to_numpy()


def people(**columns) -> pl.DataFrame:
    height = len(next(iter(columns.values())))
    return pl.DataFrame({"applicant_id": range(1, height + 1), **columns})


def test_the_best_value_is_the_best_decile_in_the_model_s_direction():
    values = [float(n) for n in range(1, 101)]
    approved = people(late_now=values, paid=values)
    assert best_values(score_of, approved, ["late_now", "paid"], size=30, seed=1) == {
        "late_now": 10.0,
        "paid": 90.0,
    }


@pytest.mark.parametrize(("missing", "best"), [(10, None), (9, 19.0)])
def test_missing_is_attainable_where_a_tenth_of_the_approved_have_none(missing, best):
    """Late missing counts as 4, which is better than any decile here."""
    known = [float(10 + n) for n in range(100 - missing)]
    found = best_values(
        score_of, people(late_now=[*known, *[None] * missing]), ["late_now"], size=100, seed=1
    )
    assert found == {"late_now": best}


def test_a_feature_that_nobody_has_is_best_missing():
    approved = people(late_now=pl.Series([None] * 20, dtype=pl.Float64))
    assert best_values(score_of, approved, ["late_now"], size=20, seed=1) == {"late_now": None}


def test_what_a_family_costs_is_the_distance_from_its_best_values():
    own = people(late_now=[5.0, 1.0], late_before=[2.0, 9.0], paid=[1.0, 8.0], limit=[3.0, 3.0])
    best = {"late_now": 1.0, "late_before": 1.0, "paid": 9.0, "limit": 3.0}
    losses = losses_to_best(score_of, own, best, families=FAMILIES, names=NAMES)
    table = rank_reasons(losses, own["applicant_id"], reasons_shown=4)
    assert table.select("applicant_id", "reason_code", "feature", "points_lost").rows() == [
        (1, "payments", "paid", 16.0),
        (1, "payments late", "late_now", 13.0),
        (2, "payments late", "late_before", 8.0),
        (2, "payments", "paid", 2.0),
    ]


@given(GRID)
def test_a_score_that_adds_up_costs_the_families_what_it_costs_in_all(values):
    own = people(**{name: [row[at] for row in values] for at, name in enumerate(NAMES)})
    best = dict.fromkeys(NAMES, 0.0)
    losses = losses_to_best(score_of, own, best, families=FAMILIES, names=NAMES)
    assert losses.points.sum(axis=1) == pytest.approx(500 - score_of(own))


def test_whoever_has_the_best_values_loses_nothing():
    best = dict.fromkeys(NAMES, 2.0)
    own = people(**{name: [2.0] for name in NAMES})
    losses = losses_to_best(score_of, own, best, families=FAMILIES, names=NAMES)
    assert rank_reasons(losses, own["applicant_id"], reasons_shown=4).height == 0


def test_rule_12_points_are_those_of_the_calibrated_score():
    """Set against the best with a scorer's own score, one family's points are the whole difference."""
    scorer = Scorer(("paid",), None, Calibration(0.3, 0.5), SCALE, 512)
    losses = losses_to_best(
        lambda frame: scorer.points(-frame["paid"].to_numpy()),
        people(paid=[1.0]),
        {"paid": 2.0},
        families={"paid": "payments"},
        names=["paid"],
    )
    assert losses.points[0, 0] == pytest.approx(SCALE.factor * 0.5)


# Key factors of a bureau

BUREAU = ("accounts", "age of file", "inquiries", "use", "worst", "more")


def bureau(lost: list[float], *, other: float = 99.0, **options) -> list[tuple]:
    codes = (*BUREAU, "airtime")
    points = np.array([[*lost, other]])
    losses = Losses(codes, codes, points, np.arange(7, dtype=np.int16)[np.newaxis])
    table = key_factors(losses, pl.Series("applicant_id", [7]), bureau=BUREAU, **options)
    return table.select("rank", "reason_code").rows()


def test_rule_9_key_factors_are_of_the_bureau_s_data_alone():
    assert bureau([5, 4, 0, -1, 3, 0]) == [(1, "accounts"), (2, "age of file"), (3, "worst")]


@pytest.mark.parametrize(("lost", "fifth"), [(1.0, True), (1e-9, True), (0.0, False), (-1.0, False)])
def test_rule_9_inquiries_are_a_fifth_where_they_mattered(lost, fifth):
    found = bureau([9, 8, lost, 7, 6, 5], inquiries=["inquiries"])
    assert found[:4] == [(1, "accounts"), (2, "age of file"), (3, "use"), (4, "worst")]
    assert found[4:] == ([(5, "inquiries")] if fifth else [])


def test_rule_9_inquiries_among_the_four_bring_no_fifth():
    found = bureau([9, 8, 7.5, 7, 6, 5], inquiries=["inquiries"])
    assert [code for _, code in found] == ["accounts", "age of file", "inquiries", "use"]


def test_rule_9_one_list_does_not_replace_the_other():
    codes = ("accounts", "airtime")
    losses = Losses(codes, codes, np.array([[1.0, 2.0]]), np.array([[0, 1]], dtype=np.int16))
    ids = pl.Series("applicant_id", [7])
    assert rank_reasons(losses, ids, reasons_shown=4)["reason_code"].to_list() == ["airtime", "accounts"]
    assert key_factors(losses, ids, bureau=["accounts"])["reason_code"].to_list() == ["accounts"]
    assert key_factors(losses, ids, bureau=[]).height == 0


# Rule 5: the background near the cutoff


def around(cutoff: float) -> pl.DataFrame:
    inside = [cutoff + 0.5 * i for i in range(20)]
    return scores(np.nextafter(cutoff, 0), *inside, cutoff + 10.5, 900.0, 300.0)


def drawn(frame: pl.DataFrame, size: int = 50, score_range: float = 9.5, seed: int = 1) -> list[int]:
    return near_cutoff(frame, cutoff=512, score_range=score_range, size=size, seed=seed).to_list()


def test_both_ends_of_the_range_are_near_the_cutoff():
    assert drawn(around(512)) == list(range(2, 22))


def test_just_outside_either_end_is_not_near():
    with pytest.raises(DataError, match=r"19 approved applicants within 9\.4 points"):
        drawn(around(512), score_range=9.4)
    below = around(512).with_columns(
        score=pl.when(pl.col("applicant_id") == 2).then(np.nextafter(512, 0)).otherwise("score")
    )
    with pytest.raises(DataError, match="19 approved applicants"):
        drawn(below)


def test_too_few_near_the_cutoff_say_what_to_change():
    with pytest.raises(DataError, match=r"0 approved applicants .* 20 are needed") as caught:
        drawn(scores(100.0, 900.0))
    assert "explanation.background_score_range" in caught.value.faults[0]


def test_the_background_is_a_seeded_draw():
    many = scores(*np.linspace(512, 520, 200))
    assert drawn(many, size=30) == drawn(many, size=30)
    assert drawn(many, size=30) != drawn(many, size=30, seed=2)
    assert len(set(drawn(many, size=30))) == 30
    assert drawn(many, size=30) == sorted(drawn(many, size=30))


def test_the_background_does_not_depend_on_the_order_of_rows():
    many = scores(*np.linspace(512, 520, 200))
    assert drawn(many.sample(fraction=1, shuffle=True, seed=3), size=30) == drawn(many, size=30)


def test_bureau_codes_are_those_of_its_list_and_inquiries_those_of_its_sample():
    codes = pl.DataFrame(
        {"reason_code": ["a", "b", "c"], "list": ["bureau", "creditor", "bureau"], "sample": [24, 22, 22]}
    )
    assert bureau_codes(codes) == {"bureau": ["a", "c"], "inquiries": ["c"]}
