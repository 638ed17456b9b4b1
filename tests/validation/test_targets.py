import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from workbench.errors import DataError
from workbench.statistics.ranking import auc
from workbench.validation.calibration import calibration_in_the_large
from workbench.validation.targets import target_sensitivity


def simulated(generator, size=2000, noise=0.1, later=0.5):
    """Applicants with the study's default, a `noisy` copy and an `earlier` one that misses some defaults."""
    log_odds = generator.normal(-1.2, 1, size)
    bad = generator.random(size) < expit(log_odds)
    return pl.DataFrame(
        {
            "default": bad.astype(int),
            "prob_default": expit(log_odds),
            "noisy": np.where(generator.random(size) < noise, ~bad, bad).astype(int),
            "earlier": (bad & (generator.random(size) < later)).astype(int),
        }
    )


def row(frame, outcome, **options):
    table = target_sensitivity(frame, outcomes=[outcome], **options)
    return table.row(-1, named=True)


def test_the_first_row_is_the_studys_own_and_agrees_with_itself():
    frame = simulated(np.random.default_rng(1))
    table = target_sensitivity(frame, outcomes=["noisy", "default"])
    assert table["outcome"].to_list() == ["default", "noisy"]
    own = table.row(0, named=True)
    assert (own["auc_gap"], own["kappa"], own["p_value"]) == (0, 1, None)
    assert own["auc"] == auc(frame["default"], frame["prob_default"]).value


def test_each_measure_equals_its_reference():
    frame = simulated(np.random.default_rng(2))
    found = row(frame, "noisy", level=0.9)
    default, noisy, prob = (frame[name].to_numpy() for name in ("default", "noisy", "prob_default"))
    area, large = auc(noisy, prob, level=0.9), calibration_in_the_large(noisy, prob, level=0.9)
    assert (found["auc"], found["auc_low"], found["auc_high"]) == (area.value, area.low, area.high)
    assert (found["in_the_large"], found["in_the_large_low"]) == (large.value, large.low)
    assert found["kappa"] == pytest.approx(cohen_kappa_score(default, noisy))
    gap = roc_auc_score(noisy, prob) - roc_auc_score(default, prob)
    assert found["auc_gap"] == pytest.approx(gap)
    assert (found["applicants"], found["defaults"], found["default_rate"]) == (
        2000,
        noisy.sum(),
        noisy.mean(),
    )


def test_kappa_by_hand():
    frame = pl.DataFrame({"default": [1] * 25 + [0] * 25, "other": [1] * 20 + [0] * 5 + [1] * 10 + [0] * 15})
    found = row(frame.with_columns(prob_default=pl.int_range(pl.len()) / 50), "other")
    assert found["kappa"] == pytest.approx(0.4)  # observed 0.7, by chance 0.5
    assert found["kappa_low"] < 0.4 < found["kappa_high"]


def test_ties_are_counted_as_scikit_learn_does():
    frame = simulated(np.random.default_rng(3), size=300).with_columns(pl.col("prob_default").round(1))
    gap = roc_auc_score(frame["noisy"], frame["prob_default"]) - roc_auc_score(
        frame["default"], frame["prob_default"]
    )
    assert row(frame, "noisy")["auc_gap"] == pytest.approx(gap)


def test_the_gaps_interval_is_that_of_resampled_applicants():
    generator = np.random.default_rng(4)
    frame = simulated(generator, size=1500)
    columns = frame.select("default", "noisy", "prob_default").to_numpy()
    drawn = [columns[generator.integers(0, 1500, 1500)].T for _ in range(500)]
    gaps = [roc_auc_score(noisy, prob) - roc_auc_score(default, prob) for default, noisy, prob in drawn]
    found = row(frame, "noisy")
    assert (found["auc_gap_high"] - found["auc_gap_low"]) / 3.92 == pytest.approx(np.std(gaps), rel=0.12)


def test_the_areas_own_error_is_delongs_when_the_other_outcome_is_pure_chance():
    generator = np.random.default_rng(5)
    frame = simulated(generator, size=3000).with_columns(chance=pl.Series(generator.integers(0, 2, 3000)))
    found = row(frame, "chance")
    errors = [
        (one.high - one.low) / 3.92
        for one in (auc(frame[name], frame["prob_default"]) for name in ("default", "chance"))
    ]
    assert (found["auc_gap_high"] - found["auc_gap_low"]) / 3.92 == pytest.approx(np.hypot(*errors), rel=0.05)
    assert found["kappa_low"] < 0 < found["kappa_high"]


def test_a_narrower_definition_is_missed_by_the_level_and_not_by_the_rank():
    found = row(simulated(np.random.default_rng(6), size=5000), "earlier")
    assert found["in_the_large_high"] < 0
    assert found["auc_gap_low"] < 0.02
    assert 0.3 < found["kappa"] < 0.9


def test_only_applicants_with_both_outcomes_are_compared():
    frame = simulated(np.random.default_rng(7)).with_columns(
        noisy=pl.when(pl.int_range(pl.len()) < 500).then("noisy"),
        default=pl.when(pl.int_range(pl.len()) >= 100).then("default"),
    )
    table = target_sensitivity(frame, outcomes=["noisy"])
    assert table["applicants"].to_list() == [1900, 400]
    both = frame.slice(100, 400)
    assert table["auc"][1] == auc(both["noisy"], both["prob_default"]).value


def test_an_outcome_of_one_class_or_of_no_one_says_why_and_stops_nothing():
    frame = simulated(np.random.default_rng(8)).with_columns(never=pl.lit(0), unknown=pl.lit(None))
    table = target_sensitivity(frame, outcomes=["never", "unknown", "noisy"])
    never, unknown, noisy = table.rows(named=True)[1:]
    assert (never["default_rate"], never["auc"], never["kappa"]) == (0, None, None)
    assert "auc undefined: one class only" in never["reason"]
    assert never["in_the_large_high"] < 0
    assert (unknown["applicants"], unknown["default_rate"]) == (0, None)
    assert "no applicant has both" in unknown["reason"]
    assert noisy["reason"] is None


def test_faults_are_all_named():
    frame = simulated(np.random.default_rng(9))
    with pytest.raises(DataError, match="no column late") as caught:
        target_sensitivity(frame, outcomes=["late"], prob_default="risk")
    assert "no column risk" in str(caught.value)
    assert target_sensitivity(frame, outcomes=[])["outcome"].to_list() == ["default"]
    with pytest.raises(DataError, match="neither 0 nor 1"):
        target_sensitivity(frame.with_columns(noisy=pl.lit(2)), outcomes=["noisy"])
    with pytest.raises(DataError, match="outside"):
        target_sensitivity(frame.with_columns(prob_default=pl.lit(2)), outcomes=["noisy"])


def test_other_names_of_the_studys_columns():
    frame = simulated(np.random.default_rng(10)).rename({"default": "bad", "prob_default": "risk"})
    table = target_sensitivity(frame, outcomes=["noisy"], default="bad", prob_default="risk")
    assert table["outcome"].to_list() == ["bad", "noisy"]


def test_intervals_cover_and_are_not_much_wider_than_needed():
    generator, runs = np.random.default_rng(11), 250
    truth = row(simulated(generator, size=500_000), "noisy")
    rows = [row(simulated(generator, size=600), "noisy") for _ in range(runs)]
    for name in ("auc_gap", "kappa", "auc"):
        low, high = (np.array([one[name + end] for one in rows]) for end in ("_low", "_high"))
        assert np.mean((low <= truth[name]) & (truth[name] <= high)) >= 0.95 - 0.03, name
        assert np.mean(high - low) < 1.3 * 3.92 * np.std([one[name] for one in rows]), name
    unlike = np.mean([one["p_value"] < 0.05 for one in rows])
    assert unlike > 0.5  # noise in the outcome costs rank
