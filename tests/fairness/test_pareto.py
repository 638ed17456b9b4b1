import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.fairness.pareto import disparity, pareto_front, recommended

DIFFERENCE, RATIO = "selection_rate_difference", "adverse_impact_ratio"
POINTS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12)


def test_disparity_is_the_worst_groups_and_0_where_all_are_approved_alike():
    approved, applicants = [60, 40, 25], [100, 50, 50]
    assert disparity(approved, applicants, reference=0, measure=DIFFERENCE) == pytest.approx(0.2)
    assert disparity(approved, applicants, reference=0, measure=RATIO) == pytest.approx(1 - 0.5 / 0.6)
    for measure in (DIFFERENCE, RATIO):
        assert disparity([60, 30], [100, 50], reference=0, measure=measure) == 0


def test_a_group_approved_more_often_counts_for_the_difference_and_not_for_the_ratio():
    assert disparity([50, 90], [100, 100], reference=0, measure=DIFFERENCE) == pytest.approx(0.4)
    assert disparity([50, 90], [100, 100], reference=0, measure=RATIO) == 0


def test_disparity_is_undefined_without_applicants_or_without_approvals_to_divide_by():
    assert np.isnan(disparity([5, 0], [10, 0], reference=0, measure=DIFFERENCE))
    assert np.isnan(disparity([0, 0], [10, 10], reference=0, measure=RATIO))
    assert disparity([0, 0], [10, 10], reference=0, measure=DIFFERENCE) == 0


def test_disparity_of_many_samples_is_that_of_each():
    approved = np.array([[60, 40], [50, 10]])
    found = disparity(approved, [100, 50], reference=0, measure=DIFFERENCE)
    assert found == pytest.approx([0.2, 0.3])


@given(POINTS)
def test_the_front_has_whom_no_other_beats(points):
    loss, unequal = zip(*points, strict=True)
    front = pareto_front(loss, unequal)
    for inside, (a, b) in zip(front, points, strict=True):
        beaten = any(x <= a and y <= b and (x, y) != (a, b) for x, y in points)
        assert inside != beaten


@given(POINTS)
def test_everyone_off_the_front_is_beaten_by_one_on_it(points):
    front = pareto_front(*zip(*points, strict=True))
    members = [point for point, inside in zip(points, front, strict=True) if inside]
    assert members
    assert all(any(x <= a and y <= b for x, y in members) for a, b in points)


def candidates(**changes):
    columns = {
        "candidate": [0, 1, 2, 3],
        "search_loss": [0.20, 0.21, 0.22, 0.23],
        "search_loss_change_high": [0.0, 0.015, 0.025, 0.035],
        "search_disparity": [0.10, 0.08, 0.06, 0.04],
        "on_front": [True, True, True, True],
    }
    return pl.DataFrame(columns | changes)


@pytest.mark.parametrize(("line", "number"), [(0.0149, None), (0.015, 1), (0.0349, 2), (0.035, 3)])
def test_least_disparity_within_loss_takes_the_line_itself(line, number):
    assert recommended(candidates(), rule="least_disparity_within_loss", line=line)[0] == number


@pytest.mark.parametrize(("line", "number"), [(0.0399, None), (0.04, 3), (0.06, 2), (0.2, 1)])
def test_least_loss_within_disparity_takes_the_line_itself(line, number):
    assert recommended(candidates(), rule="least_loss_within_disparity", line=line)[0] == number


def test_off_the_front_nobody_is_recommended():
    found = candidates(on_front=[True, True, False, False])
    assert recommended(found, rule="least_disparity_within_loss", line=1)[0] == 1


@pytest.mark.parametrize("rule", ["least_disparity_within_loss", "least_loss_within_disparity"])
def test_an_alternative_as_unequal_as_the_champion_is_none(rule):
    found = candidates(search_disparity=[0.04, 0.08, 0.06, 0.04])
    number, why = recommended(found, rule=rule, line=1)
    assert number is None
    assert "0 of the 0 on the front with less disparity than the champion" in why


def test_the_reason_counts_who_qualified():
    why = recommended(candidates(), rule="least_disparity_within_loss", line=0.025)[1]
    assert why.startswith("least disparity within loss: 2 of the 3 on the front")
    assert why.endswith("of at most 0.025")
