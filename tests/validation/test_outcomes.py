import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.validation.outcomes import cutoff_curve, outcome_table

ECONOMICS = {
    "loss_given_default": 0.6,
    "income": 0.12,
    "application_cost": 0.002,
    "amount": 10_000.0,
    "currency": "TWD",
}
TEN = ([1, 1, 0, 1, 0, 0, 0, 0, 0, 1], list(range(10)), [0.5] * 10)
ROWS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 9)), min_size=2, max_size=40)


def sample(size=3000, seed=1):
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(-2, 1, size)
    prob = 1 / (1 + np.exp(-log_odds))
    return (generator.random(size) < prob).astype(int), 500 - 30 * log_odds, prob


def measures(*columns, **options):
    table = outcome_table(*columns, **{"economics": ECONOMICS, "replicates": 200, "seed": 1} | options)
    return {row["measure"]: row for row in table.iter_rows(named=True)}


def test_outcomes_by_hand():
    found = measures(*TEN, cutoff=5)
    assert found["approval_rate"]["value"] == 0.5
    assert found["approved_default_rate"]["value"] == 0.2
    assert found["declined_default_rate"]["value"] == pytest.approx(0.6)
    assert found["expected_loss"]["value"] == pytest.approx(3000)
    assert found["realised_loss"]["value"] == pytest.approx(1200)
    assert found["loss_gap"]["value"] == pytest.approx(-1800)
    assert found["profit"]["value"] == pytest.approx((4 * 1200 - 6000) / 10 - 20)
    everyone = (6 * 1200 - 4 * 6000) / 10 - 20
    assert found["profit_gain"]["value"] == pytest.approx(found["profit"]["value"] - everyone)


def test_units_and_whom_it_is_about_are_told():
    found = measures(*TEN, cutoff=7)
    assert {name: row["unit"] for name, row in found.items()} == {
        **dict.fromkeys(("approval_rate", "approved_default_rate", "declined_default_rate"), "share"),
        **dict.fromkeys(("expected_loss", "realised_loss", "loss_gap"), "TWD per loan"),
        **dict.fromkeys(("profit", "profit_gain"), "TWD per applicant"),
    }
    about = {name: row["applicants"] for name, row in found.items()}
    assert (about["profit"], about["expected_loss"], about["declined_default_rate"]) == (10, 3, 7)


def test_what_is_linear_in_a_rate_has_wilson_s_interval():
    default, score, prob = sample()
    found = measures(default, score, prob, cutoff=560)
    approved = score >= 560
    low, high = proportion_confint(default[approved].sum(), approved.sum(), method="wilson")
    row = found["realised_loss"]
    assert (row["low"], row["high"]) == pytest.approx((6000 * low, 6000 * high))
    gap = found["loss_gap"]
    assert gap["low"] == pytest.approx(6000 * (low - prob[approved].mean()))
    assert gap["low"] < 0 < gap["high"]


def test_the_profit_interval_is_near_that_of_a_mean():
    default, score, prob = sample()
    row = measures(default, score, prob, cutoff=560, replicates=4000)["profit"]
    each = np.where(score >= 560, np.where(default == 1, -6000, 1200), 0) - 20
    margin = 1.96 * each.std(ddof=1) / np.sqrt(each.size)
    assert row["value"] == pytest.approx(each.mean())
    assert (row["low"], row["high"]) == pytest.approx((each.mean() - margin, each.mean() + margin), rel=0.06)


def test_profit_and_gain_are_covered():
    wide = measures(*sample(400_000, seed=99), cutoff=560)
    runs, hits = 400, dict.fromkeys(("profit", "profit_gain", "realised_loss", "loss_gap"), 0)
    for seed in range(runs):
        found = measures(*sample(400, seed=1000 + seed), cutoff=560, seed=seed)
        for name in hits:
            truth = 0.0 if name == "loss_gap" else wide[name]["value"]
            hits[name] += found[name]["low"] <= truth <= found[name]["high"]
    for name, hit in hits.items():
        assert hit / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs), name


@pytest.mark.parametrize(("cutoff", "none"), [(99, "approved_default_rate"), (0, "declined_default_rate")])
def test_nobody_approved_or_declined(cutoff, none):
    found = measures(*TEN, cutoff=cutoff)
    assert found[none]["value"] is None
    if cutoff:
        assert found["expected_loss"]["value"] is found["loss_gap"]["value"] is None
        assert (found["approval_rate"]["value"], found["profit"]["value"]) == (0, -20)
    else:
        assert found["profit_gain"]["value"] == 0


@given(ROWS, st.integers(0, 10))
def test_the_curve_is_the_table_at_every_cutoff(rows, cutoff):
    default, score = zip(*rows, strict=True)
    prob = np.linspace(0.1, 0.5, len(rows))
    settings = {"economics": ECONOMICS, "replicates": 20, "seed": 1}
    found = measures(default, score, prob, cutoff=cutoff, replicates=20)
    curve = cutoff_curve(default, score, prob, cutoffs=[cutoff, 3, 11], **settings)
    row = curve.filter(cutoff=cutoff).row(0, named=True)
    pairs = {"default_rate": "approved_default_rate"}
    for name in ("approval_rate", "default_rate", "expected_loss", "realised_loss", "profit"):
        assert row[name] == pytest.approx(found[pairs.get(name, name)]["value"]), name
    assert curve["cutoff"].is_sorted()
    assert curve["approval_rate"].is_sorted(descending=True)


def test_the_curve_by_approval_rates():
    default, score, prob = sample()
    curve = cutoff_curve(default, score, prob, economics=ECONOMICS, approval_rates=[0.2, 0.5, 1.0], seed=1)
    assert curve["approval_rate"].to_list() == pytest.approx([1.0, 0.5, 0.2])
    assert curve["default_rate"].is_sorted(descending=True)
    assert curve["profit_low"].to_list()[1] < curve["profit"].to_list()[1] < curve["profit_high"].to_list()[1]
    assert curve["currency"].unique().to_list() == ["TWD"]
    plain = cutoff_curve(default, score, prob, economics=ECONOMICS, seed=1)
    assert plain.height == 19


def test_ties_stay_together():
    curve = cutoff_curve(*([0, 1] * 50, [600] * 100, [0.5] * 100), economics=ECONOMICS, seed=1)
    assert curve.height == 1
    assert curve["approval_rate"][0] == 1


def test_the_curve_s_replicates_move_with_the_counts():
    default, score, prob = sample()
    wide = cutoff_curve(default, score, prob, economics=ECONOMICS, cutoffs=[560], replicates=4000, seed=1)
    one = measures(default, score, prob, cutoff=560, replicates=4000)["profit"]
    assert wide["profit_low"][0] == pytest.approx(one["low"], rel=0.03)
    assert wide["profit_high"][0] == pytest.approx(one["high"], rel=0.03)


def test_nobody_above_the_highest_cutoff():
    curve = cutoff_curve(*TEN, economics=ECONOMICS, cutoffs=[99], seed=1)
    assert (curve["approved"][0], curve["default_rate"][0], curve["expected_loss"][0]) == (0, None, None)
    assert curve["profit"][0] == -20
    assert curve.schema["default_rate_low"] == pl.Float64


def test_money_that_is_missing_or_negative_is_refused():
    with pytest.raises(DataError) as caught:
        outcome_table(*TEN, cutoff=5, economics={"income": -0.1, "amount": 1.0}, seed=1)
    text = str(caught.value)
    assert "loss_given_default is missing" in text
    assert "currency is missing" in text
    assert "income is negative" in text


@pytest.mark.parametrize("rate", [0.0, 1.1])
def test_rates_and_scores_that_cannot_be_used_are_refused(rate):
    with pytest.raises(DataError, match="1 approval rates"):
        cutoff_curve(*TEN, economics=ECONOMICS, approval_rates=[0.5, rate], seed=1)
    with pytest.raises(DataError, match="score is missing or infinite in 1 of 2"):
        outcome_table([0, 1], [600, np.nan], [0.1, 0.2], cutoff=5, economics=ECONOMICS, seed=1)
