import numpy as np
import polars as pl
import pytest
from scipy.special import expit

from workbench.errors import DataError
from workbench.fairness.accuracy import group_accuracy, group_calibration
from workbench.statistics.proportions import newcombe_difference, wilson
from workbench.statistics.ranking import auc

PLAIN = {"reference_group": "r", "min_applicants": 1, "min_defaults": 1}


def world(sizes=(900, 400), shift=0.0, seed=1):
    """Defaults by a PD that is right for r, and for s too low by `shift` in log-odds."""
    draw = np.random.default_rng(seed)
    group = np.repeat(["r", "s"], sizes)
    log_odds = draw.normal(-1, 1, group.size)
    default = (draw.random(group.size) < expit(log_odds + shift * (group == "s"))).astype(int)
    return default, expit(log_odds), group


def rows(frame):
    return {(row["metric"], row["group"]): row for row in frame.iter_rows(named=True)}


def test_each_group_is_measured_as_if_it_were_alone():
    default, prob, group = world()
    found = rows(group_accuracy(default, prob, group, **PLAIN))
    for name in "rs":
        inside = group == name
        alone = auc(default[inside], prob[inside])
        assert [found["auc", name][end] for end in ("value", "low", "high")] == [
            alone.value, alone.low, alone.high,
        ]  # fmt: skip
        rate, expected = wilson(int(default[inside].sum()), int(inside.sum())), prob[inside].mean()
        gap, ratio = found["observed_minus_expected", name], found["observed_to_expected", name]
        assert gap["low"] == pytest.approx(rate.low - expected)
        assert gap["value"] == pytest.approx(rate.value - expected)
        assert ratio["high"] == pytest.approx(rate.high / expected)


def test_above_0_means_more_defaults_than_predicted():
    found = rows(group_accuracy(*world(shift=1.0), **PLAIN))
    assert found["observed_minus_expected", "s"]["low"] > 0
    assert found["observed_to_expected", "s"]["low"] > 1
    assert found["observed_minus_expected_difference", "s"]["low"] > 0


def test_differences_are_from_the_limits_of_both():
    default, prob, group = world(shift=0.5)
    found = rows(group_accuracy(default, prob, group, **PLAIN))
    one, other, gap = (found[key] for key in (("auc", "s"), ("auc", "r"), ("auc_difference", "s")))
    assert gap["value"] == pytest.approx(one["value"] - other["value"])
    low = np.hypot(one["value"] - one["low"], other["high"] - other["value"])
    assert gap["value"] - gap["low"] == pytest.approx(low)
    counts = [int(of) for name in "sr" for of in (default[group == name].sum(), (group == name).sum())]
    plain, gap = newcombe_difference(*counts), found["observed_minus_expected_difference", "s"]
    assert gap["high"] - gap["low"] == pytest.approx(plain.high - plain.low)
    for metric in ("auc_difference", "observed_minus_expected_difference"):
        assert [found[metric, "r"][end] for end in ("value", "low", "high")] == [0, 0, 0]


def test_the_intervals_of_the_differences_cover():
    runs, hits = 300, np.zeros(2)
    for seed in range(runs):
        found = rows(group_accuracy(*world((300, 200), seed=seed), **PLAIN))
        ends = [found[m, "s"] for m in ("auc_difference", "observed_minus_expected_difference")]
        hits += [row["low"] <= 0 <= row["high"] for row in ends]
    assert hits.min() / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_a_group_without_defaults_has_no_auc_and_still_a_default_rate():
    default, prob, group = world()
    default[group == "s"] = 0
    found = rows(group_accuracy(default, prob, group, **PLAIN))
    for metric in ("auc", "auc_difference"):
        assert (found[metric, "s"]["value"], found[metric, "s"]["judged"]) == (None, False)
        assert "goods and bads are both needed" in found[metric, "s"]["note"]
    assert found["observed_to_expected", "s"]["value"] == 0
    assert found["observed_to_expected", "s"]["high"] > 0
    assert found["observed_to_expected", "s"]["note"] == "fewer than 1 bads"


def test_a_ranking_without_interval_has_a_difference_without_interval():
    default, prob, group = world()
    inside = group == "s"
    prob[inside] = 0.2 + 0.6 * default[inside]
    found = rows(group_accuracy(default, prob, group, **PLAIN))
    assert found["auc", "s"]["value"] == 1
    assert found["auc_difference", "s"]["value"] == pytest.approx(1 - found["auc", "r"]["value"])
    assert found["auc_difference", "s"]["low"] is None


def test_nothing_expected_is_no_ratio():
    default, prob, group = world()
    prob[group == "s"] = 0
    found = rows(group_accuracy(default, prob, group, **PLAIN))["observed_to_expected", "s"]
    assert (found["value"], found["note"]) == (None, "undefined: no default is expected")


def test_a_group_is_judged_at_the_boundary_and_not_below():
    default, prob, group = world()
    bads = int(default[group == "s"].sum())
    at = rows(group_accuracy(default, prob, group, **PLAIN | {"min_defaults": bads}))["auc", "s"]
    below = rows(group_accuracy(default, prob, group, **PLAIN | {"min_defaults": bads + 1}))["auc", "s"]
    assert at["judged"]
    assert (below["judged"], below["note"]) == (False, f"fewer than {bads + 1} bads")
    with pytest.raises(DataError, match="fewer than 901 applicants"):
        group_accuracy(default, prob, group, **PLAIN | {"min_applicants": 901})


def test_the_bands_add_up_and_a_right_model_is_inside_them():
    default, prob, group = world((20_000, 10_000))
    table = group_calibration(default, prob, group, edges=[0.1, 0.3, 0.5], min_applicants=1)
    for name in "rs":
        part = table.filter(group=name)
        weights = part["applicants"]
        assert weights.sum() == (group == name).sum()
        mean = (part["observed_default_rate"] * weights).sum() / weights.sum()
        assert mean == pytest.approx(default[group == name].mean())
    inside = pl.col("expected_default_rate").is_between("low", "high")
    assert table.filter(inside).height >= table.height - 1
    assert table["band"].to_list() == [1, 2, 3, 4] * 2


def test_small_cells_hide_their_numbers_and_empty_ones_have_no_row():
    default, prob, group = np.array([0, 1, 0, 0]), np.array([0.1, 0.1, 0.9, 0.1]), ["a", "a", "a", "b"]
    table = group_calibration(default, prob, group, edges=[0.2, 0.5], min_applicants=2)
    assert table.select("group", "band", "applicants", "observed_default_rate").rows() == [
        ("a", 1, 2, 0.5),
        ("a", 3, None, None),
        ("b", 1, None, None),
    ]
    assert table["note"].to_list() == ["", "fewer than 2 applicants", "fewer than 2 applicants"]


def test_faults_come_without_values():
    with pytest.raises(DataError) as caught:
        group_accuracy([0, 2], [0.5, 1.5], ["r", "s"], **PLAIN)
    assert len(caught.value.faults) == 2
    with pytest.raises(DataError, match="group is missing in 1 of 2"):
        group_accuracy([0, 1], [0.5, 0.5], ["r", None], **PLAIN)
