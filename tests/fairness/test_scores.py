import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ks_2samp, norm, wasserstein_distance

from workbench.errors import DataError
from workbench.fairness.scores import (
    score_distances,
    score_distribution,
    standardized_mean_difference,
)
from workbench.statistics.proportions import wilson


def smd(samples, **changes):
    """Return the rows by group; the first sample is the reference."""
    names = "rst"[: len(samples)]
    score, group = np.concatenate(samples), np.repeat(list(names), [len(sample) for sample in samples])
    arguments = {"reference_group": "r", "min_applicants": 2} | changes
    frame = standardized_mean_difference(score, group, **arguments)
    return {row["group"]: row for row in frame.iter_rows(named=True)}


def test_below_zero_means_the_group_scores_lower():
    found = smd([[600, 620, 640], [580, 600, 620]])["s"]
    assert found["value"] == pytest.approx(-20 / 20)


def test_the_reference_is_equal_to_itself():
    found = smd([[1, 2, 3], [2, 3, 5]])["r"]
    assert (found["value"], found["low"], found["high"]) == (0.0, 0.0, 0.0)


@given(st.floats(-100, 100), st.floats(0.1, 10))
def test_moving_and_stretching_the_score_changes_nothing(shift, scale):
    reference, sample = np.array([1.0, 2, 4, 7]), np.array([2.0, 3, 3, 9, 1])
    plain, moved = (
        smd([reference, sample])["s"],
        smd([shift + scale * reference, shift + scale * sample])["s"],
    )
    assert moved["value"] == pytest.approx(plain["value"], abs=1e-9)
    assert moved["high"] == pytest.approx(plain["high"], abs=1e-9)


def test_exchanging_the_groups_changes_the_sign():
    first, second = [1, 2, 4, 7], [2, 3, 3, 9, 1]
    there, back = smd([first, second])["s"], smd([second, first])["s"]
    assert there["value"] == pytest.approx(-back["value"])
    assert there["low"] == pytest.approx(-back["high"])


def test_the_interval_is_hedges_and_olkins_for_normal_scores():
    generator = np.random.default_rng(1)
    found = smd([generator.normal(0, 1, 40_000), generator.normal(0.8, 1, 20_000)])["s"]
    variance = 60_000 / (40_000 * 20_000) + found["value"] ** 2 / (2 * 60_000)
    assert found["high"] - found["low"] == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.01)


@pytest.mark.parametrize("draw", ["normal", "skewed with unequal spread"])
def test_the_interval_covers(draw):
    generator, runs, hits = np.random.default_rng(2), 1000, 0
    weights = (399 * 1 + 149 * 4) / 548
    truth = 0.5 if draw == "normal" else (2 - 1) / np.sqrt(weights)
    for _ in range(runs):
        if draw == "normal":
            samples = generator.normal(0, 1, 400), generator.normal(0.5, 1, 150)
        else:
            samples = generator.exponential(1, 400), generator.exponential(2, 150)
        found = smd(samples)["s"]
        hits += found["low"] <= truth <= found["high"]
    assert hits / runs == pytest.approx(0.95, abs=3.5 * np.sqrt(0.95 * 0.05 / runs))


def test_small_groups_are_shown_and_not_judged():
    found = smd([range(30), range(9)], min_applicants=10)["s"]
    assert found["value"] is not None
    assert (found["judged"], found["note"]) == (False, "fewer than 10 applicants")


@pytest.mark.parametrize("samples", [[[5, 5], [5, 5]], [[1, 2], [3]]], ids=["constant", "single"])
def test_without_variation_it_is_undefined(samples):
    found = smd(samples, min_applicants=1)["s"]
    assert (found["value"], found["judged"]) == (None, False)
    assert "undefined" in found["note"]


def test_faults_come_at_once_and_without_values():
    with pytest.raises(DataError) as caught:
        standardized_mean_difference([612.5, np.nan], ["a", None, "b"], reference_group="a", min_applicants=1)
    assert len(caught.value.faults) == 3
    assert "612.5" not in str(caught.value)


def test_a_reference_that_is_absent_or_small_is_refused():
    with pytest.raises(DataError, match="the groups are 'r', 's'"):
        smd([[1, 2], [3, 4]], reference_group="q")
    with pytest.raises(DataError, match="fewer than 3 applicants"):
        smd([[1, 2], [3, 4, 5]], min_applicants=3)


def test_the_distribution_has_every_bin_for_every_group():
    found = score_distribution([1, 2, 3, 9], ["a", "a", "b", "a"], edges=[1, 2, 5])
    assert found["bin"].to_list() == [1, 2, 3, 4] * 2
    assert found["applicants"].to_list() == [1, 1, 0, 1, 0, 0, 1, 0]
    assert found["share"].to_list() == pytest.approx([1 / 3, 1 / 3, 0, 1 / 3, 0, 0, 1, 0])
    assert found["score_above"].to_list()[:4] == [None, 1.0, 2.0, 5.0]


def test_edges_that_do_not_rise_are_refused():
    with pytest.raises(DataError, match="do not rise"):
        score_distribution([1, 2], ["a", "b"], edges=[2, 2])


def test_the_chart_has_intervals_and_the_share_up_to_each_bin():
    found = score_distribution([1, 2, 3, 9], ["a", "a", "b", "a"], edges=[1, 2, 5])
    assert found["cumulative_share"].to_list() == pytest.approx([1 / 3, 2 / 3, 2 / 3, 1, 0, 0, 1, 1])
    row = found.row(0, named=True)
    expected = wilson(1, 3)
    assert (row["low"], row["high"], row["level"]) == (expected.low, expected.high, 0.95)


# Distances


def distances(samples, **changes):
    """Return the rows by metric and group; the first sample is the reference."""
    names = "rst"[: len(samples)]
    score, group = np.concatenate(samples), np.repeat(list(names), [len(sample) for sample in samples])
    arguments = {"reference_group": "r", "min_applicants": 2, "replicates": 200, "seed": 1} | changes
    frame = score_distances(score, group, **arguments)
    return {(row["metric"], row["group"]): row for row in frame.iter_rows(named=True)}


def test_the_distances_are_scipys():
    generator = np.random.default_rng(1)
    reference, sample = generator.normal(600, 50, 900), generator.normal(620, 70, 400)
    found = distances([reference, sample])
    assert found["ks_distance", "s"]["value"] == pytest.approx(ks_2samp(sample, reference).statistic)
    area = wasserstein_distance(sample, reference)
    assert found["wasserstein_distance", "s"]["value"] == pytest.approx(area)
    for metric in ("ks_distance", "wasserstein_distance"):
        row = found[metric, "s"]
        assert 0 < row["low"] < row["value"] < row["high"]
        assert [found[metric, "r"][end] for end in ("value", "low", "high")] == [0, 0, 0]


@given(st.floats(-100, 100), st.floats(0.1, 10))
def test_only_the_area_has_the_unit_of_the_score(shift, scale):
    reference, sample = np.array([1.0, 2, 4, 7, 8]), np.array([2.0, 3, 3, 9, 1])
    plain = distances([reference, sample])
    moved = distances([shift + scale * reference, shift + scale * sample])
    for metric, unit in (("ks_distance", 1), ("wasserstein_distance", scale)):
        for end in ("value", "low", "high"):
            assert moved[metric, "s"][end] == pytest.approx(unit * plain[metric, "s"][end], abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_the_distances_cover_where_groups_are_equal_and_where_not(shift):
    generator, runs = np.random.default_rng(4), 80
    truth = {"ks_distance": 2 * norm.cdf(shift / 2) - 1, "wasserstein_distance": shift}
    hits = dict.fromkeys(truth, 0)
    for seed in range(runs):
        found = distances([generator.normal(0, 1, 300), generator.normal(shift, 1, 150)], seed=seed)
        for metric, value in truth.items():
            hits[metric] += found[metric, "s"]["low"] <= value <= found[metric, "s"]["high"]
    assert min(hits.values()) / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_scores_that_do_not_vary_have_a_distance_without_interval():
    found = distances([[5.0, 5.0], [7.0, 7.0]])
    assert found["ks_distance", "s"]["value"] == 1.0
    assert found["wasserstein_distance", "s"]["value"] == 2.0
    assert found["wasserstein_distance", "s"]["low"] is None
    assert not found["wasserstein_distance", "s"]["judged"]


def test_distances_of_small_groups_are_not_judged_and_a_small_reference_is_refused():
    found = distances([range(30), range(9), range(10)], min_applicants=10)
    assert [found["ks_distance", group]["judged"] for group in "rst"] == [True, False, True]
    with pytest.raises(DataError, match="fewer than 31 applicants"):
        distances([range(30), range(40)], min_applicants=31)


def test_the_seed_decides_the_noise():
    samples = [np.arange(50.0), np.arange(20.0) ** 1.2]
    assert distances(samples) == distances(samples)
    assert distances(samples) != distances(samples, seed=2)
