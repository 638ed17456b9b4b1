import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import chi2, kstest, norm
from sklearn.metrics import brier_score_loss
from statsmodels.stats.diagnostic_gen import test_chisquare_binning as chisquare_binning

from workbench.errors import DataError
from workbench.validation.reliability import (
    expected_calibration_error,
    hosmer_lemeshow,
    reliability_table,
    spiegelhalter,
)

ROWS = st.lists(st.tuples(st.integers(0, 1), st.floats(0.001, 0.999)), min_size=2, max_size=60)
PARTS = ["brier_reliability", "brier_resolution", "brier_uncertainty", "brier_within_bands"]


def simulated(generator, size=1000, slope=1.0, shift=0.0, centre=-1.5):
    """Applicants whose log-odds of default are shift + slope x the model's."""
    log_odds = generator.normal(centre, 1, size)
    return (generator.random(size) < expit(shift + slope * log_odds)).astype(int), expit(log_odds)


def tolerance(runs, level=0.95):
    return 3.5 * np.sqrt(level * (1 - level) / runs)


def values(table, column="value"):
    return dict(zip(table["statistic"], table[column], strict=True))


def test_spiegelhalter_by_hand():
    numerator = (1 - 0.2) * 0.6 + (0 - 0.1) * 0.8
    variance = 0.36 * 0.16 + 0.64 * 0.09
    assert spiegelhalter([1, 0], [0.2, 0.1]).statistic == pytest.approx(numerator / np.sqrt(variance))


@given(ROWS)
def test_spiegelhalter_is_the_standardised_brier_score(rows):
    default, prob = map(np.array, zip(*rows, strict=True))
    expected = np.sum(prob * (1 - prob))
    variance = np.sum((1 - 2 * prob) ** 2 * prob * (1 - prob))
    test = spiegelhalter(default, prob)
    if variance > 1e-12:
        z = (np.sum((default - prob) ** 2) - expected) / np.sqrt(variance)
        assert test.statistic == pytest.approx(z, abs=1e-6, rel=1e-6)
        assert test.p_value == pytest.approx(2 * norm.sf(abs(z)), abs=1e-6, rel=1e-4)


def test_too_low_and_too_extreme_is_worse_than_it_says_and_too_timid_is_better():
    generator = np.random.default_rng(1)
    assert spiegelhalter(*simulated(generator, 5000, shift=0.5)).statistic > 3
    assert spiegelhalter(*simulated(generator, 5000, slope=0.5)).statistic > 3
    assert spiegelhalter(*simulated(generator, 5000, shift=-0.5)).statistic < -3


def test_hosmer_lemeshow_equals_statsmodels_with_no_degrees_taken_off():
    default, prob = simulated(np.random.default_rng(2), size=500)
    counts, expected = np.column_stack([1 - default, default]), np.column_stack([1 - prob, prob])
    theirs = chisquare_binning(counts, expected, sort_var=prob, bins=10, df=10)
    ours = hosmer_lemeshow(default, prob)
    assert (ours.statistic, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert "10 degrees" in ours.method


def test_hosmer_lemeshow_by_hand_with_ties_that_share_a_band():
    default, prob = [1, 0, 0, 0, 1, 1, 0, 1], [0.25] * 4 + [0.5] * 4
    default[0], ours = 0, hosmer_lemeshow([0, *default[1:]], prob, bands=4)
    chi_squared = (0 - 1) ** 2 / (4 * 0.25 * 0.75) + (3 - 2) ** 2 / (4 * 0.5 * 0.5)
    assert ours.statistic == pytest.approx(chi_squared)
    assert ours.p_value == pytest.approx(chi2.sf(chi_squared, 2))
    assert "2 bands expect fewer than 5" in ours.method


@pytest.mark.parametrize(("band", "rough"), [(9, True), (10, False)])
def test_a_band_is_rough_below_five_expected(band, rough):
    prob = np.repeat([0.5, 0.6], [band, 40])
    method = hosmer_lemeshow(np.arange(prob.size) % 2, prob, bands=2).method
    assert ("rough, 1 bands" in method) == rough


@pytest.mark.parametrize("test", [spiegelhalter, hosmer_lemeshow])
def test_p_values_are_uniform_where_the_probabilities_are_true(test):
    generator = np.random.default_rng(3)
    p_values = [test(*simulated(generator, size=1500)).p_value for _ in range(400)]
    assert kstest(p_values, "uniform").pvalue > 0.01


@pytest.mark.parametrize("test", [spiegelhalter, hosmer_lemeshow])
@pytest.mark.parametrize("change", [{"shift": 0.4}, {"slope": 0.5}])
def test_false_probabilities_are_rejected(test, change):
    assert test(*simulated(np.random.default_rng(4), size=5000, **change)).p_value < 0.001


@pytest.mark.parametrize("test", [spiegelhalter, hosmer_lemeshow])
def test_a_certainty_that_did_not_come_true_refutes_and_one_that_did_does_not(test):
    prob = np.append([0.0, 1.0], np.full(18, 0.3))
    rest = [0, 1, 0] * 6
    assert test([0, 1, *rest], prob).p_value > 0.01
    for wrong in ([1, 1, *rest], [0, 0, *rest]):
        result = test(wrong, prob)
        assert result.p_value == 0
        assert "refuted: 1 " in result.method


def test_certainties_alone_that_came_true_leave_nothing_to_test():
    assert spiegelhalter([0, 1], [0, 1]).p_value is None
    assert spiegelhalter([0, 1], [0.5, 0.5]).statistic is None
    assert hosmer_lemeshow([0, 1], [0, 1]).statistic is None


@given(ROWS)
def test_the_parts_add_up_to_the_brier_score(rows):
    default, prob = map(np.array, zip(*rows, strict=True))
    found = values(reliability_table(default, prob, bands=4, replicates=2, seed=1))
    reliability, resolution, uncertainty, within = (found[part] for part in PARTS)
    total = reliability - resolution + uncertainty + within
    assert total == pytest.approx(brier_score_loss(default, prob, labels=[0, 1]), abs=1e-12)
    assert found["brier_score"] == pytest.approx(total, abs=1e-12)


def test_the_parts_by_hand():
    table = reliability_table(
        [0, 0, 0, 1, 1, 0], [0.1, 0.1, 0.1, 0.6, 0.6, 0.6], bands=2, replicates=5, seed=1
    )
    found = values(table)
    assert found["brier_reliability"] == pytest.approx((0.1**2 + (2 / 3 - 0.6) ** 2) / 2)
    assert found["brier_resolution"] == pytest.approx(1 / 9)
    assert found["brier_uncertainty"] == pytest.approx(2 / 9)
    assert found["brier_within_bands"] == pytest.approx(0, abs=1e-12)
    assert found["scaled_brier"] == pytest.approx(1 - found["brier_score"] / (2 / 9))
    assert found["expected_calibration_error"] == pytest.approx((0.1 + 2 / 3 - 0.6) / 2)


def test_a_model_that_ranks_inside_its_bands_is_below_zero_there():
    assert (
        values(reliability_table(*simulated(np.random.default_rng(5)), bands=2, seed=1))["brier_within_bands"]
        < 0
    )


def test_the_table_holds_every_statistic_with_an_interval_or_a_p_value():
    sample = simulated(np.random.default_rng(6))
    table = reliability_table(*sample, seed=1)
    assert table.columns == ["statistic", "value", "low", "high", "level", "p_value", "method"]
    assert table["statistic"].to_list() == [
        "spiegelhalter_z",
        "hosmer_lemeshow",
        "brier_score",
        *PARTS,
        "scaled_brier",
        "expected_calibration_error",
    ]
    assert table["p_value"].is_not_null().to_list() == [True] * 2 + [False] * 7
    assert table["low"].is_not_null().to_list() == [False] * 2 + [True] * 7
    assert table.equals(reliability_table(*sample, seed=1))
    alone = expected_calibration_error(*sample, seed=1)
    assert table.row(-1)[1:4] == (alone.value, alone.low, alone.high)


def test_cells_of_probabilities_change_the_intervals_hardly(monkeypatch):
    sample = simulated(np.random.default_rng(7), size=4000)
    coarse = reliability_table(*sample, replicates=2000, seed=1)
    monkeypatch.setattr("workbench.validation.reliability.CELLS", 4000)
    fine = reliability_table(*sample, replicates=2000, seed=1)
    for end in ("low", "high"):
        width = (fine["high"] - fine["low"]).fill_null(1)
        assert ((coarse[end] - fine[end]).abs() / width).max() < 0.1


def test_one_class_and_one_probability_are_measured_as_far_as_they_go():
    found = values(reliability_table([0, 0, 0], [0.2, 0.2, 0.2], replicates=5, seed=1))
    assert found["expected_calibration_error"] == pytest.approx(0.2)
    assert found["scaled_brier"] is None
    assert expected_calibration_error([0, 0, 0], [0.2, 0.2, 0.2], replicates=5, seed=1).low is None


@pytest.mark.parametrize(
    "measure",
    [spiegelhalter, hosmer_lemeshow, lambda d, p: expected_calibration_error(d, p, seed=1)],
)
def test_probabilities_that_are_none_are_refused(measure):
    with pytest.raises(DataError, match=r"outside \[0, 1\] in 1 of 3") as caught:
        measure([0, 1, 0], [0.1, -0.5, np.nan])
    assert "missing in 1 of 3" in str(caught.value)


def test_one_band_is_refused():
    with pytest.raises(DataError, match="at least 2"):
        hosmer_lemeshow([0, 1], [0.1, 0.2], bands=1)


@pytest.mark.parametrize(
    "world",
    [{}, {"slope": 0.8, "shift": 0.1}, {"shift": 0.6}],
    ids=["true", "too extreme", "too low"],
)
def test_intervals_cover_and_are_not_much_wider_than_needed(world, monkeypatch):
    monkeypatch.setattr("workbench.validation.reliability.CELLS", 60)
    generator, runs = np.random.default_rng(8), 150
    truths = values(reliability_table(*simulated(generator, size=400_000, **world), replicates=2, seed=1))
    if not world:
        truths |= {"expected_calibration_error": 0, "brier_reliability": 0}
    tables = [
        reliability_table(*simulated(generator, **world), replicates=100, seed=seed) for seed in range(runs)
    ]
    for name in [*PARTS, "scaled_brier", "expected_calibration_error"]:
        rows = [dict(zip(table["statistic"], table.rows(), strict=True))[name] for table in tables]
        value, low, high = np.array([row[1:4] for row in rows]).T
        assert np.mean((low <= truths[name]) & (truths[name] <= high)) >= 0.95 - 0.03, name
        assert np.mean(high - low) < 2 * 3.92 * value.std(), name
