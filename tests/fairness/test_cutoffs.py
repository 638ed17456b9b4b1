import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import outcome_counts
from workbench.fairness.cutoffs import approval_cutoffs, cutoff_metrics
from workbench.fairness.metrics import METRIC_SCHEMA, group_metrics
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference

RATES = [0.2, 0.5, 0.8]
METRICS = {
    "selection_rate_difference",
    "adverse_impact_ratio",
    "true_positive_rate_difference",
    "false_positive_rate_difference",
}


def sample(size=2000, shift=0.0, seed=1):
    draw = np.random.default_rng(seed)
    group = draw.choice(["r", "s"], size, p=[0.6, 0.4])
    score = draw.normal(600, 50, size) - 50 * shift * (group == "s")
    default = (draw.random(size) < np.where(score < 600, 0.4, 0.2)).astype(int)
    return default, score, group


def metrics(default, score, group, **changes):
    arguments = {"reference_group": "r", "min_applicants": 1, "min_defaults": 1, "replicates": 200}
    arguments |= {"seed": 1, "approval_rates": RATES, "development_score": score} | changes
    return cutoff_metrics(default, score, group, **arguments)


def row(frame, metric, rate):
    return frame.row(
        by_predicate=(pl.col("metric") == metric) & (pl.col("approval_rate") == rate), named=True
    )


def test_the_cutoffs_approve_the_shares_of_the_development_sample():
    score = np.random.default_rng(1).normal(600, 50, 1000)
    for rate, cutoff in zip(RATES, approval_cutoffs(score, RATES), strict=True):
        assert (score >= cutoff).mean() == pytest.approx(rate, abs=0.0011)
    assert (np.diff(approval_cutoffs(score, RATES)) < 0).all()


@pytest.mark.parametrize("rates", [[], [0.0, 0.5], [0.5, 1.0], [0.5, 0.5], [0.5, 0.2]])
def test_rates_that_are_outside_or_do_not_rise_are_refused(rates):
    with pytest.raises(DataError, match="inside \\(0, 1\\) and rise strictly"):
        approval_cutoffs([1.0, 2.0], rates)


def test_each_cutoff_is_the_plain_count_there():
    default, score, group = sample(shift=0.3)
    found = metrics(default, score, group)
    assert set(found["metric"]) == METRICS
    assert found.height == len(METRICS) * len(RATES)
    for rate, cutoff in zip(RATES, approval_cutoffs(score, RATES), strict=True):
        approved = score >= cutoff
        for name, among in (
            ("selection_rate_difference", default >= 0),
            ("true_positive_rate_difference", default == 0),
            ("false_positive_rate_difference", default == 1),
        ):
            parts = [approved[among & (group == who)] for who in "sr"]
            counts = [int(of) for part in parts for of in (part.sum(), part.size)]
            expected, one = newcombe_difference(*counts), row(found, name, rate)
            assert one["cutoff"] == cutoff
            assert (one["value"], one["low"], one["high"]) == (expected.value, expected.low, expected.high)
        counts = [int(of) for who in "sr" for of in (approved[group == who].sum(), (group == who).sum())]
        assert row(found, "adverse_impact_ratio", rate)["low"] == donner_zou_ratio(*counts).low


def test_a_score_at_the_cutoff_is_approved_as_in_the_group_metrics():
    draw = np.random.default_rng(3)
    group, score = draw.choice(["r", "s"], 500), draw.integers(1, 6, 500).astype(float)
    default = draw.integers(0, 2, 500)
    found = metrics(default, score, group, approval_rates=[0.5])
    counts = outcome_counts(group, default, (score >= found["cutoff"][0]).astype(int))
    plain = group_metrics(counts, reference_group="r", min_applicants=1, min_defaults=1, seed=1)
    for metric in METRICS:
        expected = plain.row(by_predicate=(pl.col("metric") == metric) & (pl.col("group") == "s"), named=True)
        assert row(found, metric, 0.5)["value"] == pytest.approx(expected["value"])
    assert set(METRIC_SCHEMA) <= set(found.columns)


@given(st.floats(0.1, 10), st.floats(-100, 100))
def test_a_rising_change_of_the_score_changes_nothing_but_the_cutoff(scale, shift):
    default, score, group = sample(200)
    score = np.round(score)
    plain, moved = (metrics(default, of, group, replicates=50) for of in (score, scale * score + shift))
    assert moved.drop("cutoff").equals(plain.drop("cutoff"))


def test_the_band_holds_at_all_cutoffs_together_and_one_interval_does_not():
    runs, rates = 100, (np.arange(1, 10) / 10).tolist()
    development = np.random.default_rng(99).normal(600, 50, 5000)
    hits = dict.fromkeys((("band_low", "band_high"), ("low", "high")), 0)
    for seed in range(runs):
        found = metrics(*sample(1000, seed=seed), approval_rates=rates, development_score=development)
        one = found.filter(metric="selection_rate_difference")
        for low, high in hits:
            hits[low, high] += bool(((one[low] <= 0) & (one[high] >= 0)).all())
    assert hits["band_low", "band_high"] / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)
    assert hits["low", "high"] / runs < 0.9


def test_the_band_is_never_narrower_than_the_interval():
    found = metrics(*sample(shift=0.3))
    assert found.filter(pl.col("band_low") > pl.col("low")).height == 0
    assert found.filter(pl.col("band_high") < pl.col("high")).height == 0


def test_one_cutoff_has_a_band_like_its_interval():
    one = row(metrics(*sample(), approval_rates=[0.5], replicates=20_000), "selection_rate_difference", 0.5)
    width = (one["band_high"] - one["band_low"]) / (one["high"] - one["low"])
    assert width == pytest.approx(1, abs=0.03)


def test_where_none_of_the_reference_is_approved_the_ratio_is_undefined():
    default, score, group = sample()
    score = score - 1000 * (group == "r")
    one = row(metrics(default, score, group, approval_rates=[0.2, 0.9]), "adverse_impact_ratio", 0.2)
    assert (one["value"], one["judged"], one["band_low"]) == (None, False, None)
    assert one["note"].startswith("undefined")


def test_a_group_without_bads_has_no_false_positive_rate():
    default, score, group = sample()
    default = np.where(group == "s", 0, default)
    one = row(metrics(default, score, group), "false_positive_rate_difference", 0.5)
    assert (one["value"], one["judged"]) == (None, False)
    assert one["note"] == "fewer than 1 bads; undefined: 0 trials"


def test_groups_are_judged_at_the_boundary_and_a_small_reference_is_refused():
    default, score, group = sample()
    size = int((group == "s").sum())
    assert metrics(default, score, group, min_applicants=size)["judged"].all()
    assert not metrics(default, score, group, min_applicants=size + 1)["judged"].any()
    with pytest.raises(DataError, match="fewer than 2000 applicants"):
        metrics(default, score, group, min_applicants=2000)


def test_the_seed_decides_the_band():
    assert metrics(*sample()).equals(metrics(*sample()))
    assert not metrics(*sample()).equals(metrics(*sample(), seed=2))


def test_all_faults_come_at_once_and_without_values():
    with pytest.raises(DataError) as caught:
        metrics([0, 2, 1], [612.5, np.nan, 600], ["r", None, "r"], development_score=[600.0])
    assert len(caught.value.faults) == 3
    assert "612.5" not in str(caught.value)
    with pytest.raises(DataError, match="the groups are 'r', 's'"):
        metrics(*sample(), reference_group="q")
