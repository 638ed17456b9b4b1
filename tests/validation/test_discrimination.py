import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import ks_2samp
from sklearn.metrics import roc_auc_score, roc_curve

from workbench.errors import DataError
from workbench.validation.discrimination import auc, compare_auc, gini, ks, rival_table, roc_table

SAMPLES = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda tenth: tenth / 12)), min_size=2, max_size=40
).filter(lambda rows: len({bad for bad, _ in rows}) == 2)


def columns(rows):
    default, prob = zip(*rows, strict=True)
    return np.array(default, dtype=int), np.array(prob)


def simulated(generator, bads, goods, distance):
    scores = np.append(generator.normal(distance, 1, bads), generator.normal(0, 1, goods))
    return np.repeat([1, 0], [bads, goods]), ndtr(scores / 3)


def tolerance(runs, level=0.95):
    return 3.5 * np.sqrt(level * (1 - level) / runs)


def kernel(bads, goods):
    """DeLong's O(mn) kernel: 1 where the bad is ranked riskier, a half where tied."""
    return (bads[:, None] > goods).astype(float) + 0.5 * (bads[:, None] == goods)


def brute_force_error(default, *probs):
    """Standard error of the last AUC minus the first (or of the only one) from the structural components."""
    kernels = [kernel(prob[default == 1], prob[default == 0]) for prob in probs]
    gap = kernels[-1] - kernels[0] if len(kernels) > 1 else kernels[0]
    by_bad, by_good = gap.mean(axis=1), gap.mean(axis=0)
    return np.sqrt(by_bad.var(ddof=1) / by_bad.size + by_good.var(ddof=1) / by_good.size)


def test_a_higher_probability_for_bads_is_a_higher_auc():
    assert auc([0, 0, 1, 1], [0.1, 0.2, 0.2, 0.4]).value == 3.5 / 4


@given(SAMPLES)
def test_auc_equals_scikit_learn_with_ties(rows):
    default, prob = columns(rows)
    assert auc(default, prob).value == pytest.approx(roc_auc_score(default, prob), abs=1e-12)


@given(SAMPLES)
def test_gini_is_twice_auc_less_one_with_its_interval(rows):
    area, coefficient = auc(*columns(rows)), gini(*columns(rows))
    assert coefficient.value == 2 * area.value - 1
    assert coefficient.low == (None if area.low is None else 2 * area.low - 1)


@given(SAMPLES)
def test_auc_does_not_change_under_a_rising_transformation(rows):
    default, prob = columns(rows)
    assert auc(default, prob**3 / 2) == auc(default, prob)


@given(SAMPLES)
def test_turning_the_model_round_turns_the_auc_round(rows):
    default, prob = columns(rows)
    straight, reverse = auc(default, prob), auc(default, 1 - prob)
    assert reverse.value == pytest.approx(1 - straight.value, abs=1e-12)
    assume(straight.low is not None)
    assert reverse.low == pytest.approx(1 - straight.high, abs=1e-9)


@pytest.mark.parametrize("decimals", [1, 2, 12])
def test_delong_equals_brute_force(decimals):
    generator = np.random.default_rng(decimals)
    default, champion = simulated(generator, 80, 150, 1.0)
    champion = champion.round(decimals)
    challenger = np.clip(champion + generator.normal(0, 0.1, 230), 0, 1).round(decimals)
    area, error = auc(default, champion), brute_force_error(default, champion)
    logit = np.log(area.value / (1 - area.value))
    width = 1.959963984540054 * error / (area.value * (1 - area.value))
    assert (area.low, area.high) == pytest.approx(
        (1 / (1 + np.exp(width - logit)), 1 / (1 + np.exp(-width - logit)))
    )
    comparison = compare_auc(default, champion, challenger)
    difference = roc_auc_score(default, challenger) - roc_auc_score(default, champion)
    assert comparison.difference.value == pytest.approx(difference, abs=1e-12)
    assert comparison.z == pytest.approx(difference / brute_force_error(default, champion, challenger))


def test_the_better_challenger_is_above_zero():
    comparison = compare_auc([0, 0, 1, 1, 0], [0.5, 0.4, 0.3, 0.6, 0.1], [0.1, 0.4, 0.3, 0.6, 0.1])
    assert comparison.difference.value > 0


def test_models_that_rank_alike_have_no_p_value():
    comparison = compare_auc([0, 1, 0, 1], [0.1, 0.3, 0.4, 0.5], [0.2, 0.6, 0.8, 0.9])
    assert (comparison.difference.value, comparison.z, comparison.p_value) == (0.0, None, None)


@pytest.mark.parametrize(
    ("default", "prob", "value"),
    [
        ([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.4], 1),
        ([0, 0, 1, 1], [0.5] * 4, 0.5),
        ([0, 1, 0], [0.1, 0.3, 0.5], 0.5),
    ],
    ids=["separated", "constant", "single bad"],
)
def test_no_variation_gives_no_interval(default, prob, value):
    estimate = auc(default, prob)
    assert (estimate.value, estimate.low) == (value, None)


@pytest.mark.parametrize("measure", [auc, gini, roc_table, lambda d, p: ks(d, p, seed=1)])
@pytest.mark.parametrize(
    ("default", "prob", "fault"),
    [
        ([0, 0], [0.1, 0.2], "2 goods and 0 bads"),
        ([0, 1], [0.1, np.nan], "missing in 1 of 2"),
        ([0, 1], [0.1, 1.2], r"outside \[0, 1\] in 1 of 2"),
        ([0, 1, 1], [0.1, 0.2], "lengths differ"),
    ],
)
def test_a_sample_that_cannot_be_measured_is_refused(measure, default, prob, fault):
    with pytest.raises(DataError, match=fault):
        measure(default, prob)


@given(SAMPLES)
def test_ks_equals_scipy_with_ties(rows):
    default, prob = columns(rows)
    with np.errstate(divide="ignore"):  # its p-value of a statistic of 0
        expected = ks_2samp(prob[default == 1], prob[default == 0], method="asymp").statistic
    assert ks(default, prob, replicates=5, seed=1).value == pytest.approx(expected, abs=1e-12)


def test_ks_of_more_rows_than_cells_is_exact_and_its_interval_does_not_depend_on_the_cells(monkeypatch):
    default, prob = simulated(np.random.default_rng(8), 1000, 5000, 1.0)
    coarse = ks(default, prob, replicates=400, seed=1)
    monkeypatch.setattr("workbench.validation.discrimination.KS_CELLS", 10_000)
    fine = ks(default, prob, replicates=400, seed=1)
    assert (
        coarse.value
        == fine.value
        == pytest.approx(ks_2samp(prob[default == 1], prob[default == 0]).statistic)
    )
    assert (coarse.low, coarse.high) == pytest.approx((fine.low, fine.high), abs=2e-3)


@given(SAMPLES)
def test_the_roc_curve_rises_and_ends_at_one(rows):
    curve = roc_table(*columns(rows), points=11)
    assert curve["goods_flagged"].to_list() == pytest.approx(np.linspace(0, 1, 11))
    assert curve["bads_caught"].is_sorted()
    assert curve["bads_caught"][-1] == 1.0


def test_the_roc_curve_equals_scikit_learn():
    default, prob = simulated(np.random.default_rng(3), 300, 900, 0.7)
    false_positive, true_positive, _ = roc_curve(default, prob, drop_intermediate=False)
    curve = roc_table(default, prob, points=98)  # a grid that falls between the steps of the 900 goods
    expected = np.interp(curve["goods_flagged"], np.append(0, false_positive), np.append(0, true_positive))
    assert curve["bads_caught"].to_list() == pytest.approx(expected, abs=1e-12)
    area = np.trapezoid(curve["bads_caught"], curve["goods_flagged"])
    assert area == pytest.approx(auc(default, prob).value, abs=2e-3)


@pytest.mark.parametrize(("distance", "bads"), [(0.8, 100), (2.5, 40)])
def test_auc_interval_covers(distance, bads):
    generator, runs, truth = np.random.default_rng(1), 1000, ndtr(distance / np.sqrt(2))
    areas = [auc(*simulated(generator, bads, 4 * bads, distance)) for _ in range(runs)]
    hits = np.mean([area.low <= truth <= area.high for area in areas])
    assert hits == pytest.approx(0.95, abs=tolerance(runs))


def test_paired_test_rejects_equal_models_as_often_as_it_says():
    generator, runs, rejected = np.random.default_rng(2), 1000, 0
    for _ in range(runs):
        default, signal = simulated(generator, 80, 320, 1.0)
        noisy = [np.clip(signal + generator.normal(0, 0.05, 400), 0, 1) for _ in range(2)]
        rejected += compare_auc(default, *noisy).p_value < 0.05
    assert rejected / runs == pytest.approx(0.05, abs=tolerance(runs))


def test_ks_interval_covers():
    generator, runs, truth, hits = np.random.default_rng(4), 400, 2 * ndtr(0.4) - 1, 0
    for seed in range(runs):
        estimate = ks(*simulated(generator, 400, 1600, 0.8), replicates=50, seed=seed)
        hits += estimate.low <= truth <= estimate.high
    assert hits / runs == pytest.approx(0.95, abs=tolerance(runs))


def test_rivals_are_held_against_the_champion_in_pairs():
    generator = np.random.default_rng(4)
    truth = generator.normal(size=3_000)
    default = (truth + generator.normal(size=3_000) > 1).astype(int)
    rivals = {"weak": ndtr(truth + 4 * generator.normal(size=3_000)), "equal": ndtr(truth / 2 - 1)}
    truth = ndtr(truth)
    table = rival_table(default, truth, rivals)
    assert table["model"].to_list() == ["equal", "weak"]
    equal, weak = table.rows(named=True)
    assert (equal["gain"], equal["gain_low"], equal["p_value"]) == (0.0, None, None)
    paired = compare_auc(default, rivals["weak"], truth)
    assert weak["gain"] == paired.difference.value > 0
    assert weak["gain_low"] > 0
    assert weak["p_adjusted"] == weak["p_value"]  # a rival that never differs was not tested
    assert weak["auc"] == pytest.approx(roc_auc_score(default, rivals["weak"]))
