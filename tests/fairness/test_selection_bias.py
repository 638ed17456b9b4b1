import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from workbench.errors import DataError
from workbench.fairness.selection_bias import DIFFERENCES, unseen_outcome_bounds, unseen_tipping_points
from workbench.world.write import write_world


def population(size=4000, odds=3.0, seed=1):
    """The declined of the past are riskier than their score says, if they are of s.

    Returns prob_default as the seen have it, the true PD, the outcome, who was seen, decision and group.
    """
    draw = np.random.default_rng(seed)
    group = draw.choice(["r", "s"], size, p=[0.6, 0.4])
    prob = expit(draw.normal(-1.2, 1, size) + 0.3 * (group == "s"))
    seen = draw.random(size) < np.where(prob < 0.3, 0.9, 0.4)
    hidden = np.where(group == "s", odds, 1.0)
    true = np.where(seen, prob, expit(logit(prob) + np.log(hidden)))
    default = (draw.random(size) < true).astype(float)
    return prob, true, default, seen, (prob < 0.25).astype(int), group


def measured(chance, approved, group):
    """The three differences, s minus r, of outcomes or chances of default."""

    def rates(who):
        inside = group == who
        bad, taken = chance[inside], approved[inside]
        good = 1 - bad
        return np.array([bad.mean(), (good * taken).sum() / good.sum(), (bad * taken).sum() / bad.sum()])

    return dict(zip(DIFFERENCES, rates("s") - rates("r"), strict=True))


def bounds(prob, default, seen, approved, group, odds_ratios=(1, 3), **changes):
    arguments = {"reference_group": "r", "min_applicants": 1, "odds_ratios": odds_ratios} | changes
    return unseen_outcome_bounds(np.where(seen, default, np.nan), prob, approved, group, **arguments)


def row(frame, metric, strength, group="s"):
    same = pl.col("strength").eq_missing(pl.lit(strength, dtype=pl.Float64))
    return frame.row(
        by_predicate=same & (pl.col("metric") == metric) & (pl.col("group") == group), named=True
    )


def test_the_truth_is_inside_the_bounds_and_silence_would_miss_it():
    runs, hits, misses = 100, np.zeros(3), np.zeros(3)
    true = measured(*[population(400_000)[at] for at in (1, 4, 5)])
    for seed in range(runs):
        prob, _, default, seen, approved, group = population(seed=seed)
        found = bounds(prob, default, seen, approved, group)
        for at, metric in enumerate(DIFFERENCES):
            ends, silent = row(found, metric, 3), row(found, metric, 1)
            hits[at] += ends["low"] <= true[metric] <= ends["high"]
            misses[at] += not silent["low"] <= true[metric] <= silent["high"]
    assert hits.min() / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)
    assert misses[0] / runs > 0.5


@given(st.integers(0, 1000), st.floats(0.05, 0.95))
def test_whatever_the_unseen_did_the_worst_case_holds_it(seed, unseen_bad):
    prob, _, default, seen, approved, group = population(300, seed=seed)
    draw = np.random.default_rng(seed)
    default = np.where(seen, default, draw.random(300) < unseen_bad)
    found, true = bounds(prob, default, seen, approved, group), measured(default, approved, group)
    for metric in DIFFERENCES:
        ends = row(found, metric, None)
        assert ends["lower"] - 1e-9 <= true[metric] <= ends["upper"] + 1e-9


@given(st.integers(0, 1000), st.floats(1, 20))
def test_chances_within_the_odds_ratio_are_inside_its_bounds(seed, odds):
    prob, _, default, seen, approved, group = population(300, seed=seed)
    within = np.random.default_rng(seed).uniform(0, np.log(odds), 300)
    chance = np.where(seen, default, expit(logit(prob) + within))
    found = bounds(prob, default, seen, approved, group, odds_ratios=[odds])
    for metric, true in measured(chance, approved, group).items():
        ends = row(found, metric, odds)
        assert ends["lower"] - 1e-9 <= true <= ends["upper"] + 1e-9


def test_stronger_assumptions_widen_the_bounds_up_to_the_worst_case():
    prob, _, default, seen, approved, group = population()
    found = bounds(prob, default, seen, approved, group, odds_ratios=[1, 2, 4])
    for metric in DIFFERENCES:
        widths = [row(found, metric, g)["upper"] - row(found, metric, g)["lower"] for g in (1, 2, 4, None)]
        assert widths[0] == 0
        assert np.all(np.diff(widths) > 0)
        assert row(found, metric, 2)["low"] < row(found, metric, 2)["lower"]


def test_with_everyone_seen_there_is_nothing_in_doubt():
    prob, _, default, seen, approved, group = population()
    found = bounds(prob, default, np.ones_like(seen), approved, group)
    for metric, value in measured(default, approved, group).items():
        ends = row(found, metric, None)
        assert (ends["lower"], ends["upper"]) == pytest.approx((value, value))
        assert ends["in_doubt"] == 0
    error = np.sqrt(sum(default[group == who].var() / (group == who).sum() for who in "rs"))
    ends = row(found, "default_rate_difference", None)
    assert ends["high"] - ends["upper"] == pytest.approx(1.959964 * error)


def test_the_reference_group_has_only_its_own_rate():
    found = bounds(*[population()[at] for at in (0, 2, 3, 4, 5)])
    assert set(found.filter(group="r")["metric"]) == {"default_rate"}
    ends = row(found, "default_rate", 3, "r")
    assert 0 <= ends["low"] < ends["lower"] < ends["upper"] < ends["high"] <= 1


def test_at_the_tipping_point_the_bounds_reach_0_and_before_they_do_not():
    prob, _, default, seen, approved, group = population()
    hidden = np.where(seen, default, np.nan)
    points = unseen_tipping_points(hidden, prob, approved, group, reference_group="r")
    assert set(points["metric"]) == set(DIFFERENCES)
    for point in points.drop_nulls("strength").iter_rows(named=True):
        odds = [1, max(point["strength"] * 0.999, 1), point["strength"] * 1.001]
        found = bounds(prob, default, seen, approved, group, odds_ratios=odds)
        none, before, after = (row(found, point["metric"], of) for of in odds)
        assert none["lower"] == pytest.approx(point["value"])
        assert before["lower"] > 0 or before["upper"] < 0
        assert after["lower"] <= 0 <= after["upper"]
    assert points["strength"].drop_nulls().len() >= 2


def test_a_difference_of_0_has_no_sign_to_lose():
    prob, _, default, _, approved, _ = population(200)
    twice = [np.tile(of, 2) for of in (default, prob, approved)]
    points = unseen_tipping_points(*twice, np.repeat(["r", "s"], 200), reference_group="r")
    assert points.select("value", "strength").rows() == [(0.0, 1.0)] * 3


def test_a_difference_that_nothing_can_undo_has_no_tipping_point():
    prob, _, default, seen, _, group = population()
    seen = seen | (np.arange(seen.size) % 50 > 0)
    approved = (group == "r").astype(int)
    points = unseen_tipping_points(
        np.where(seen, default, np.nan), prob, approved, group, reference_group="r"
    )
    point = points.filter(metric="true_positive_rate_difference").row(0, named=True)
    assert (point["value"], point["strength"]) == (-1, None)
    assert point["note"] == "no odds ratio changes the sign"


def test_without_goods_or_bads_a_rate_is_undefined():
    prob, _, default, seen, approved, group = population()
    default = np.where(group == "s", 1, default)
    found = bounds(prob, default, np.ones_like(seen), approved, group)
    ends = row(found, "true_positive_rate_difference", 1)
    assert (ends["lower"], ends["low"], ends["judged"]) == (None, None, False)
    assert ends["note"] == "undefined: nobody to divide by"
    points = unseen_tipping_points(default, prob, approved, group, reference_group="r")
    point = points.filter(metric="true_positive_rate_difference").row(0, named=True)
    assert (point["value"], point["note"]) == (None, "undefined: nobody to divide by")


def test_judged_at_the_boundary_and_not_below():
    prob, _, default, seen, approved, group = population()
    size = int((group == "s").sum())
    for least, judged in ((size, True), (size + 1, False)):
        found = bounds(prob, default, seen, approved, group, min_applicants=least)
        assert row(found, DIFFERENCES[0], 1)["judged"] is judged
    assert row(found, DIFFERENCES[0], 1)["note"] == f"fewer than {size + 1} applicants"


def test_all_faults_come_at_once_and_without_values():
    with pytest.raises(DataError) as caught:
        bounds(np.array([0.25, 1.0]), np.array([2.0, 0]), np.array([True, True]), [1, 3], ["r", None])
    assert len(caught.value.faults) == 4
    assert "0.25" not in str(caught.value)
    with pytest.raises(DataError, match="1 odds ratios are below 1"):
        bounds(*[population()[at] for at in (0, 2, 3, 4, 5)], odds_ratios=[0.5, 1])


def test_the_bounds_hold_the_truth_of_a_made_world(tmp_path):
    folder = write_world(tmp_path / "world", applicants=5_000, seed=7, jobs=1, clean=True)
    truth = pl.read_parquet(folder / "truth.parquet")
    known = pl.read_parquet(folder / "applicants" / "*.parquet").select("customer_id", "community", "default")
    frame = known.rename({"default": "seen"}).join(truth, on="customer_id")
    features = frame.select(pl.col(truth.columns[4:]).fill_null(strategy="mean").log1p()).to_numpy()
    seen = frame["seen"].is_not_null().to_numpy()
    assert 0.1 < (~seen).mean() < 0.4
    model = LogisticRegression(max_iter=500).fit(features[seen], frame["seen"].drop_nulls())
    prob, group = model.predict_proba(features)[:, 1], frame["community"].to_numpy()
    approved = (prob < np.median(prob)).astype(int)
    group = np.where(group == "south", "s", "r")
    found = bounds(prob, frame["default"].to_numpy(), seen, approved, group, odds_ratios=[2])
    for metric, true in measured(frame["default"].to_numpy(), approved, group).items():
        for strength in (2, None):
            ends = row(found, metric, strength)
            assert ends["low"] <= true <= ends["high"]
