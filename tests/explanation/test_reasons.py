import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.explanation.reasons import (
    example_applicants,
    example_table,
    near_cutoff,
    reason_codes,
    reason_table,
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


def test_families_are_summed_before_ranking():
    """Late twice at 0.3 outranks paid at 0.5; ranked one by one it would not."""
    table = reasons([[0.3, 0.3, 0.5, 0.1]])
    assert table["reason_code"].to_list() == ["payments late", "payments", "limit"]
    assert table["points_lost"].to_list() == pytest.approx([6.0, 5.0, 1.0])
    assert table["rank"].to_list() == [1, 2, 3]


def test_what_one_feature_costs_another_of_its_family_can_make_up_for():
    table = reasons([[0.9, -1.0, 0.2, 0.0]])
    assert table["reason_code"].to_list() == ["payments"]


@pytest.mark.parametrize(("value", "count"), [(1e-9, 1), (0.0, 0), (-1e-9, 0)])
def test_only_what_costs_points_is_a_reason(value, count):
    assert reasons([[0.0, 0.0, value, 0.0]]).height == count


@pytest.mark.parametrize("shown", [1, 2, 3, 9])
def test_at_most_as_many_reasons_as_asked_for(shown):
    table = reasons([[0.1, 0.1, 0.5, 0.3]], shown=shown)
    assert table["reason_code"].to_list() == ["payments", "limit", "payments late"][:shown]


def test_each_applicant_has_ranks_of_their_own():
    table = reasons([[0.5, 0.0, 0.1, 0.0], [0.0, 0.0, 0.0, 0.4]])
    assert table.select("applicant_id", "rank", "reason_code").rows() == [
        (1, 1, "payments late"),
        (1, 2, "payments"),
        (2, 1, "limit"),
    ]


def test_ties_are_broken_by_name_and_not_by_chance():
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
    assert table.columns == ["applicant_id", "rank", "reason_code", "points_lost"]


def test_the_reason_table_counts_shares_of_all_declined():
    found = pl.DataFrame(
        {
            "applicant_id": [1, 1, 2, 3],
            "rank": [1, 2, 1, 1],
            "reason_code": ["late", "paid", "late", "paid"],
            "points_lost": [10.0, 4.0, 20.0, 8.0],
        }
    )
    assert reason_table(found, 4).rows() == [("late", 2, 0.5, 0.5, 15.0), ("paid", 2, 0.5, 0.25, 6.0)]


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


def test_three_examples_from_safe_to_risky():
    table = example_applicants(scores(*range(600, 400, -1)), cutoff=512)
    assert table.rows() == [
        ("safe applicant", 26, 575),
        ("just declined", 90, 511),
        ("risky applicant", 190, 411),
    ]


def test_at_exactly_the_cutoff_nobody_is_declined():
    with pytest.raises(DataError, match="nobody is declined"):
        example_applicants(scores(512, 513, 600), cutoff=512)


def test_one_declined_applicant_is_enough():
    table = example_applicants(scores(600.0, np.nextafter(512, 0)), cutoff=512)
    assert dict(table.select("example", "applicant_id").iter_rows())["just declined"] == 2


def test_everybody_declined_still_has_examples():
    assert example_applicants(scores(400), cutoff=512)["applicant_id"].to_list() == [1, 1, 1]


RAW = {"late_now": 7_301.25, "late_before": 7_302.25, "paid": 7_303.25, "limit": 7_304.25}
VALUES = np.array([[0.1, -0.5, 0.3, 0.0], [0.2, 0.0, -0.1, 0.9], [0.0, 0.1, 0.2, 0.3], [1.0, 2.0, 3.0, 4.0]])


def features() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "applicant_id": [11, 12, 13, 14],
            **{name: [value - 10, value, value + 10, None] for name, value in RAW.items()},
        }
    )


def explained(examples: list[tuple[str, int]], shown: int = 8) -> pl.DataFrame:
    scorer = Scorer(tuple(NAMES), None, Calibration(0.3, 0.5), SCALE, 512)
    table = pl.DataFrame(examples, schema=["example", "applicant_id"], orient="row")
    return example_table(scorer, features(), VALUES, table, shown=shown)


def test_an_example_s_points_are_the_calibrated_score_of_its_values():
    table = explained([("one", 12)])
    assert table["feature"].to_list() == ["limit", "late_now", "paid", "late_before"]
    wanted = -SCALE.factor * 0.5 * np.array([0.9, 0.2, -0.1, 0.0])
    assert table["points"].to_list() == pytest.approx(wanted.tolist())


def test_the_largest_contributions_come_first_up_to_the_number_shown():
    assert explained([("one", 11)], shown=2)["feature"].to_list() == ["late_before", "paid"]


def test_an_example_holds_no_raw_value():
    table = explained([("one", 11), ("two", 12), ("three", 14)])
    text = str(table.rows())
    assert not any(str(value + step) in text for value in RAW.values() for step in (-10, 0, 10))
    assert "applicant_id" not in table.columns
    assert set(table["value_band"]) <= {
        "lowest quarter",
        "second quarter",
        "third quarter",
        "highest quarter",
        "missing",
    }


def test_value_bands_are_quarters_of_the_known_values():
    bands = [explained([("x", number)], shown=1)["value_band"][0] for number in (11, 12, 13, 14)]
    assert bands == ["lowest quarter", "third quarter", "highest quarter", "missing"]


def test_an_example_who_is_not_in_the_table_is_refused():
    """Explaining somebody else's decline instead would be worse than no explanation."""
    with pytest.raises(DataError):
        explained([("stranger", 99)])
