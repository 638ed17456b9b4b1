import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, precision_score, recall_score

from workbench.errors import DataError
from workbench.statistics.proportions import wilson
from workbench.validation.precision import average_precision, cutoff_precision, precision_recall_table

SAMPLES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda tenth: tenth / 12)), min_size=2, max_size=40
).filter(lambda rows: len({bad for bad, _ in rows}) == 2)


def columns(rows):
    default, prob = zip(*rows, strict=True)
    return np.array(default, dtype=int), np.array(prob)


def simulated(generator, size, centre=-1.5, spread=1.0):
    log_odds = generator.normal(centre, spread, size)
    return (generator.random(size) < expit(log_odds)).astype(int), expit(log_odds)


@given(SAMPLES)
def test_average_precision_equals_scikit_learn_with_ties(rows):
    default, prob = columns(rows)
    estimate = average_precision(default, prob, replicates=2, seed=1)
    assert estimate.value == pytest.approx(average_precision_score(default, prob), abs=1e-12)


def test_a_constant_is_worth_the_default_rate_and_has_no_more():
    assert average_precision([1, 0, 0, 0], [0.5] * 4, replicates=50, seed=1).value == 0.25


def test_a_perfect_ranking_is_one_without_an_interval():
    estimate = average_precision([1, 1, 0, 0], [0.9, 0.8, 0.2, 0.1], seed=1)
    assert (estimate.value, estimate.low) == (1, None)
    assert "no interval" in estimate.method


@given(SAMPLES)
def test_every_point_is_what_scikit_learn_finds_at_its_threshold(rows):
    default, prob = columns(rows)
    table = precision_recall_table(default, prob, points=7)
    assert table["chance"].to_list() == [np.mean(default)] * table.height
    assert table["recall"][-1] == 1
    for row in table.iter_rows(named=True):
        flagged = prob >= row["threshold"]
        assert (row["flagged"], row["defaults"]) == (flagged.sum(), default[flagged].sum())
        assert row["precision"] == pytest.approx(precision_score(default, flagged))
        assert row["recall"] == pytest.approx(recall_score(default, flagged))


def test_the_points_are_even_steps_of_recall_with_wilson_intervals():
    default, prob = simulated(np.random.default_rng(1), 4000)
    table = precision_recall_table(default, prob, points=20, level=0.9)
    assert table["recall"].to_list() == pytest.approx(np.arange(1, 21) / 20, abs=1 / default.sum())
    assert table["threshold"].is_sorted(descending=True)
    last = table.row(9, named=True)
    precision = wilson(last["defaults"], last["flagged"], level=0.9)
    recall = wilson(last["defaults"], int(default.sum()), level=0.9)
    assert (last["low"], last["high"]) == pytest.approx((precision.low, precision.high))
    assert (last["recall_low"], last["recall_high"]) == pytest.approx((recall.low, recall.high))


def test_few_bads_and_ties_give_fewer_points():
    assert precision_recall_table([1, 0, 1, 0], [0.6, 0.6, 0.2, 0.1]).height == 2
    assert precision_recall_table([1, 0, 1, 0], [0.3] * 4).row(0)[:4] == (0.3, 4, 2, 1.0)


def test_the_spread_is_that_of_resampled_rows_whatever_the_cells(monkeypatch):
    generator = np.random.default_rng(2)
    default, prob = simulated(generator, 3000)
    drawn = [generator.integers(0, 3000, 3000) for _ in range(400)]
    areas = np.array([average_precision_score(default[rows], prob[rows]) for rows in drawn])
    spread = np.std(np.log(areas / (1 - areas)))
    for cells in (10_000, 100):
        monkeypatch.setattr("workbench.validation.precision.CELLS", cells)
        estimate = average_precision(default, prob, seed=1)
        width = np.log(estimate.high / (1 - estimate.high)) - np.log(estimate.value / (1 - estimate.value))
        assert width / 1.96 == pytest.approx(spread, rel=0.15)


def test_the_seed_decides():
    sample = simulated(np.random.default_rng(3), 300)
    assert average_precision(*sample, seed=1) == average_precision(*sample, seed=1)
    assert average_precision(*sample, seed=1) != average_precision(*sample, seed=2)


@pytest.mark.parametrize(("size", "centre"), [(400, -1.5), (1500, -3.0)])
def test_average_precision_interval_covers_and_is_not_much_wider_than_needed(size, centre):
    generator, runs = np.random.default_rng(4), 300
    truth = average_precision_score(*simulated(generator, 1_000_000, centre))
    estimates = [
        average_precision(*simulated(generator, size, centre), replicates=100, seed=seed)
        for seed in range(runs)
    ]
    assert np.mean([one.low <= truth <= one.high for one in estimates]) >= 0.95 - 0.03
    width = np.mean([one.high - one.low for one in estimates])
    assert width < 1.3 * 3.92 * np.std([one.value for one in estimates])


def test_the_cutoff_itself_is_approved():
    table = cutoff_precision([1, 1, 0, 0, 1], [400, 450, 450, 500, 500], cutoff=500, level=0.9)
    rows = {row["measure"]: row for row in table.iter_rows(named=True)}
    counts = {name: (row["count"], row["of"]) for name, row in rows.items()}
    assert counts == {"precision": (2, 3), "recall": (2, 3), "false_alarm": (1, 2)}
    expected = wilson(2, 3, level=0.9)
    for measure in ("precision", "recall"):
        found = tuple(rows[measure][key] for key in ("value", "low", "high", "level", "method"))
        assert found == (expected.value, expected.low, expected.high, 0.9, expected.method)
    beyond = cutoff_precision([1, 1, 0, 0, 1], [400, 450, 450, 500, 500], cutoff=500.5)
    assert beyond["count"].to_list() == [3, 3, 2]


def test_a_cutoff_that_declines_no_one_has_no_precision_and_says_so():
    table = cutoff_precision([1, 0], [500, 510], cutoff=400)
    assert table["value"].to_list() == [None, 0, 0]
    assert "0 trials" in table["method"][0]


@pytest.mark.parametrize(
    "measure",
    [
        precision_recall_table,
        lambda d, p: average_precision(d, p, seed=1),
        lambda d, p: cutoff_precision(d, p, cutoff=0.5),
    ],
)
def test_a_sample_that_cannot_be_measured_is_refused(measure):
    with pytest.raises(DataError, match="2 goods and 0 bads"):
        measure([0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match="missing"):
        measure([0, 1], [0.1, np.nan])
    with pytest.raises(DataError, match="lengths differ"):
        measure([0, 1, 1], [0.1, 0.2])
