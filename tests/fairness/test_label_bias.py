import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS
from workbench.fairness.label_bias import RATES, mislabelling_bounds, mislabelling_tipping_points
from workbench.statistics.proportions import newcombe_difference

REFERENCE = [60, 20, 20, 20]


def table(**groups):
    cells = pl.DataFrame(
        [[name, *counts] for name, counts in groups.items()], schema=["group", *CELLS], orient="row"
    )
    return cells.with_columns(applicants=pl.sum_horizontal(CELLS))


def bounds(counts, shares=(0.0, 0.1), **changes):
    arguments = {"reference_group": "r", "min_applicants": 1, "min_defaults": 1} | changes
    return mislabelling_bounds(counts, shares=shares, **arguments)


def row(frame, metric, mislabelled, share=None):
    rows = frame.filter(metric=metric, assumption=f"mislabelled {mislabelled}")
    (found,) = (rows if share is None else rows.filter(strength=share)).iter_rows(named=True)
    return found


def differences(cells):
    goods, bads = cells[:2], cells[2:]
    return {
        "true_positive_rate_difference": goods[0] / sum(goods) - 60 / 80,
        "false_positive_rate_difference": bads[0] / sum(bads) - 20 / 40,
    }


def test_nothing_mislabelled_is_the_plain_difference():
    found = bounds(table(r=REFERENCE, g=[30, 20, 10, 30]))
    for metric, value in differences([30, 20, 10, 30]).items():
        for mislabelled in ("bads", "goods"):
            one = row(found, metric, mislabelled, 0.0)
            assert (one["lower"], one["upper"]) == pytest.approx((value, value))
            assert one["in_doubt"] == 0
    plain = newcombe_difference(30, 50, 60, 80)
    one = row(found, "true_positive_rate_difference", "bads", 0.0)
    assert (one["low"], one["high"]) == (plain.low, plain.high)


def test_a_tenth_of_forty_bads_are_four():
    found = bounds(table(r=REFERENCE, g=[30, 20, 10, 30]))
    one = row(found, "true_positive_rate_difference", "bads", 0.1)
    assert (one["lower"], one["upper"]) == pytest.approx((30 / 54 - 0.75, 34 / 54 - 0.75))
    assert one["in_doubt"] == pytest.approx(4 / 90)
    one = row(found, "false_positive_rate_difference", "bads", 0.1)
    assert (one["lower"], one["upper"]) == pytest.approx((6 / 36 - 0.5, 10 / 36 - 0.5))
    one = row(found, "false_positive_rate_difference", "goods", 0.1)
    assert (one["lower"], one["upper"]) == pytest.approx((10 / 45 - 0.5, 15 / 45 - 0.5))


@given(
    st.lists(st.integers(6, 60), min_size=4, max_size=4),
    st.floats(0, 0.4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.sampled_from(["bads", "goods"]),
)
def test_whoever_is_mislabelled_the_bounds_hold_the_truth(cells, share, part, used, mislabelled):
    """A part of at most `share` of the outcomes is wrong, spread over approved and declined in any way."""
    found = bounds(table(r=REFERENCE, g=cells), shares=[share])
    wrong, right = ((2, 3), (0, 1)) if mislabelled == "bads" else ((0, 1), (2, 3))
    moved = int(used * share * (cells[wrong[0]] + cells[wrong[1]]))
    approved = min(int(part * moved), cells[wrong[0]])
    declined = min(moved - approved, cells[wrong[1]])
    true = list(cells)
    for place, count in enumerate((approved, declined)):
        true[wrong[place]] -= count
        true[right[place]] += count
    for metric, value in differences(true).items():
        one = row(found, metric, mislabelled, share)
        assert one["lower"] - 1e-9 <= value <= one["upper"] + 1e-9
        assert one["low"] <= one["lower"] <= one["upper"] <= one["high"]


def test_the_truth_is_covered_when_labels_are_wrong_and_is_missed_in_silence():
    draw, runs, hits, misses = np.random.default_rng(1), 300, 0, 0
    for _ in range(runs):  # the true difference is 0; some of the group's approved goods are recorded as bads
        cells = draw.multinomial(600, np.array([0.45, 0.15, 0.20, 0.20]))
        reference = draw.multinomial(900, np.array([0.45, 0.15, 0.20, 0.20]))
        wrong = draw.binomial(cells[0], 0.15)
        recorded = cells + np.array([-wrong, 0, wrong, 0])
        share = wrong / recorded[2:].sum()
        found = bounds(table(r=reference, g=recorded), shares=[0.0, share + 1e-9])
        silent = row(found, "true_positive_rate_difference", "bads", 0.0)
        ends = row(found, "true_positive_rate_difference", "bads", share + 1e-9)
        hits += ends["low"] <= 0 <= ends["high"]
        misses += not silent["low"] <= 0 <= silent["high"]
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)
    assert misses / runs > 0.1


def test_at_the_tipping_point_the_bounds_reach_0_and_one_applicant_before_they_do_not():
    counts = table(r=REFERENCE, g=[30, 20, 10, 30])
    points = mislabelling_tipping_points(counts, reference_group="r")
    assert points.height == 4
    for point in points.drop_nulls("strength").iter_rows(named=True):
        mislabelled = point["assumption"].removeprefix("mislabelled ")
        size = {"bads": 40, "goods": 50}[mislabelled]
        found = bounds(counts, shares=[point["strength"], point["strength"] - 1 / size])
        at, before = (
            row(found, point["metric"], mislabelled, share)
            for share in (point["strength"], point["strength"] - 1 / size)
        )
        assert at["lower"] <= 0 <= at["upper"]
        assert before["upper"] < 0
        assert point["value"] == pytest.approx(differences([30, 20, 10, 30])[point["metric"]])
    assert points["strength"].drop_nulls().len() >= 2


def test_it_may_take_all_of_them():
    points = mislabelling_tipping_points(table(r=[50, 50, 20, 20], g=[10, 20, 10, 0]), reference_group="r")
    assert row(points, "true_positive_rate_difference", "bads")["strength"] == 1  # (10 + 10) / (30 + 10)


def test_what_no_share_can_undo_says_so():
    points = mislabelling_tipping_points(table(r=[79, 1, 20, 20], g=[1, 79, 1, 3]), reference_group="r")
    point = row(points, "true_positive_rate_difference", "bads")
    assert (point["strength"], point["note"]) == (None, "no share changes the sign")


def test_without_bads_the_rate_is_undefined():
    counts = table(r=REFERENCE, g=[30, 20, 0, 0])
    one = row(bounds(counts), "false_positive_rate_difference", "bads", 0.1)
    assert (one["lower"], one["low"], one["judged"]) == (None, None, False)
    assert one["note"] == "fewer than 1 bads; undefined: nobody to divide by"
    points = mislabelling_tipping_points(counts, reference_group="r")
    point = row(points, "false_positive_rate_difference", "goods")
    assert (point["value"], point["note"]) == (None, "undefined: nobody to divide by")


def test_judged_at_the_boundary_and_not_below():
    counts = table(r=REFERENCE, g=[30, 20, 10, 30])
    assert bounds(counts, min_defaults=40)["judged"].all()
    found = bounds(counts, min_defaults=41)
    assert not found["judged"].any()
    assert set(found["note"]) == {"fewer than 41 bads"}


def test_what_cannot_be_used_is_refused():
    counts = table(r=REFERENCE, g=[30, 20, 10, 30])
    with pytest.raises(DataError, match="2 shares are outside"):
        bounds(counts, shares=[-0.1, 0.5, 1.5])
    with pytest.raises(DataError, match="the groups are 'r', 'g'"):
        bounds(counts, reference_group="q")
    with pytest.raises(DataError, match="column applicants is absent"):
        mislabelling_tipping_points(counts.drop("applicants"), reference_group="r")
    assert set(bounds(counts)["metric"]) == set(RATES)
