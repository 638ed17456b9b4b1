import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.validation.robustness import (
    boundary_distance,
    logistic,
    missing_sources,
    noise_table,
    worst_case,
)

NAMES = ["income", "late", "age"]
CUTOFF = 0.2


def margin(features):
    """A model that knows income and late payments, reads nothing of age, and takes missing for average."""
    income = features["income"].cast(pl.Float64).fill_null(0.0).fill_nan(0.0).to_numpy()
    late = features["late"].cast(pl.Float64).fill_null(1.0).fill_nan(1.0).to_numpy()
    return -2.0 - income + 0.6 * late


def sample(size=3000, seed=1):
    generator = np.random.default_rng(seed)
    frame = pl.DataFrame(
        {
            "income": generator.normal(size=size),
            "late": generator.poisson(1.0, size),
            "age": generator.integers(18, 80, size),
        }
    )
    default = (generator.random(size) < logistic(margin(frame))).astype(int)
    missing = pl.Series(generator.random(size) < 0.1)
    return frame.with_columns(income=pl.when(~missing).then("income")), default


FEATURES, DEFAULT = sample()


class Counting:
    def __init__(self):
        self.calls, self.seen = 0, []

    def __call__(self, features):
        self.calls += 1
        self.seen.append(features)
        return margin(features)


# Noise


def test_noise_costs_auc_and_more_noise_costs_more():
    table = noise_table(margin, FEATURES, DEFAULT, names=NAMES, levels=[0.0, 0.2, 1.0], cutoff=CUTOFF, seed=1)
    assert table["auc_change"].to_list()[0] == 0
    assert table["flip_share"].to_list()[0] == table["margin_change"].to_list()[0] == 0
    assert table["auc_change"].is_sorted(descending=True)
    assert table["flip_share"].is_sorted()
    assert table["auc_change_high"].to_list()[2] < 0
    assert table["margin_change_low"].to_list()[2] > table["margin_change_high"].to_list()[1]


def test_noise_is_as_large_as_asked_and_leaves_the_missing():
    model, frame = Counting(), FEATURES.select(income="income", age=pl.lit(30.5), late="late")
    noise_table(model, frame, DEFAULT, names=["income", "age"], levels=[0.1], cutoff=CUTOFF, seed=1)
    before, after = model.seen
    assert after["income"].is_null().equals(before["income"].is_null())
    change = (after["income"] - before["income"]).drop_nulls()
    spread = before["income"].quantile(0.75) - before["income"].quantile(0.25)
    assert change.std() == pytest.approx(0.1 * spread, rel=0.05)
    assert abs(change.mean()) < 0.01
    assert after["age"].to_list() == [30.5] * 3000
    assert after["late"].equals(before["late"])


def test_whole_numbers_stay_whole_and_in_range():
    model = Counting()
    noise_table(model, FEATURES, DEFAULT, names=["late", "age"], levels=[0.3], cutoff=CUTOFF, seed=1)
    before, after = model.seen
    for name in ("late", "age"):
        assert after[name].to_numpy() == pytest.approx(np.round(after[name].to_numpy()))
        assert before[name].min() <= after[name].min() <= after[name].max() <= before[name].max()
    assert 0 < (after["late"] != before["late"]).mean() < 0.5
    assert (after["age"] - before["age"]).mean() == pytest.approx(0, abs=0.8)


def test_small_noise_moves_few_whole_numbers_and_not_none():
    model = Counting()
    noise_table(model, FEATURES, DEFAULT, names=["late"], levels=[0.05], cutoff=CUTOFF, seed=1)
    before, after = (frame["late"] for frame in model.seen)
    assert 0.03 < (before != after).mean() < 0.08


def test_effects_are_the_direct_calls():
    model = Counting()
    table = noise_table(model, FEATURES, DEFAULT, names=NAMES, levels=[0.5], cutoff=CUTOFF, seed=1)
    before, after = (margin(frame) for frame in model.seen)
    row = table.row(0, named=True)
    gap = roc_auc_score(DEFAULT, after) - roc_auc_score(DEFAULT, before)
    assert row["auc_change"] == pytest.approx(gap)
    flips = int(np.sum((logistic(before) <= CUTOFF) != (logistic(after) <= CUTOFF)))
    assert (row["flip_share_low"], row["flip_share_high"]) == pytest.approx(
        proportion_confint(flips, 3000, method="wilson")
    )
    change = (logistic(after) <= CUTOFF).mean() - (logistic(before) <= CUTOFF).mean()
    assert row["approval_change"] == pytest.approx(change)
    assert row["margin_change"] == pytest.approx(np.abs(after - before).mean())


def test_the_auc_change_is_covered():
    levels, runs = [0.5], 150
    wide, outcome = sample(60_000, seed=99)
    settings = {"names": NAMES, "levels": levels, "cutoff": CUTOFF, "seed": 5}
    truth = noise_table(margin, wide, outcome, **settings)["auc_change"][0]
    hits = 0
    for seed in range(runs):
        features, default = sample(800, seed=1000 + seed)
        row = noise_table(margin, features, default, **settings | {"seed": seed}).row(0, named=True)
        hits += row["auc_change_low"] <= truth <= row["auc_change_high"]
    assert hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_the_seed_alone_decides():
    settings = {"names": NAMES, "levels": [0.1], "cutoff": CUTOFF}
    one, two, other = (noise_table(margin, FEATURES, DEFAULT, seed=seed, **settings) for seed in (1, 1, 2))
    assert one.equals(two)
    assert not one.equals(other)


# Missing sources


def test_a_missing_source_costs_what_the_model_takes_from_it():
    model = Counting()
    groups = {"bank": ["income"], "bureau": ["late"], "form": ["age"], "all": NAMES}
    table = missing_sources(model, FEATURES, DEFAULT, groups=groups, cutoff=CUTOFF)
    assert model.calls == 5
    assert table["group"].to_list() == list(groups)
    assert table["features"].to_list() == [1, 1, 1, 3]
    assert table["known"].to_list() == pytest.approx([1 - FEATURES["income"].null_count() / 3000, 1, 1, 1])
    assert table["auc_change_high"].to_list()[0] < 0
    form, everything = table.row(2, named=True), table.row(3, named=True)
    assert (form["auc_change"], form["flip_share"], form["margin_change"]) == (0, 0, 0)
    without = margin(FEATURES.with_columns(pl.lit(None, pl.Float64).alias(name) for name in NAMES))
    assert everything["auc_change"] == pytest.approx(0.5 - roc_auc_score(DEFAULT, margin(FEATURES)))
    approved = logistic(margin(FEATURES)) <= CUTOFF
    assert everything["approval_change"] == pytest.approx(
        (logistic(without) <= CUTOFF).mean() - approved.mean()
    )


def test_known_counts_nan_as_missing():
    frame = FEATURES.with_columns(income=pl.lit(float("nan")), late=pl.lit(None, pl.Int64))
    table = missing_sources(margin, frame, DEFAULT, groups={"a": ["income", "late"]}, cutoff=CUTOFF)
    assert table["known"][0] == 0


def test_the_calibration_decides_and_ranks_nothing():
    plain = missing_sources(margin, FEATURES, DEFAULT, groups={"a": ["late"]}, cutoff=CUTOFF)
    half = missing_sources(
        margin,
        FEATURES,
        DEFAULT,
        groups={"a": ["late"]},
        cutoff=CUTOFF / 2,
        prob_of=lambda m: logistic(m) / 2,
    )
    assert plain.equals(half)


# Worst case


def test_the_worst_case_by_hand():
    table = worst_case(
        margin, FEATURES, names=NAMES, cutoff=CUTOFF, limits=(0.1, 0.9), applicants=9999, seed=1
    )
    assert table["feature"].to_list()[-1] == "age"
    known = FEATURES["income"].drop_nulls().to_numpy()
    worst = np.quantile(known, 0.1, method="inverted_cdf")
    rise = np.maximum(known - worst, 0)
    row = table.row(by_predicate=pl.col("feature") == "income", named=True)
    assert row["applicants"] == known.size
    assert row["mean_rise"] == pytest.approx(rise.mean())
    assert row["p95_rise"] == pytest.approx(np.quantile(rise, 0.95, method="inverted_cdf"))
    assert row["p95_low"] <= row["p95_rise"] <= row["p95_high"]
    base = margin(FEATURES.drop_nulls())
    approved = logistic(base) <= CUTOFF
    flips = (logistic(base + rise) > CUTOFF) & approved
    assert row["approved"] == approved.sum()
    assert row["flip_share"] == pytest.approx(flips.sum() / approved.sum())


def test_a_feature_that_the_model_does_not_read_cannot_hurt():
    table = worst_case(margin, FEATURES, names=["age"], cutoff=CUTOFF, seed=1)
    assert (table["mean_rise"][0], table["p95_rise"][0], table["flip_share"][0]) == (0, 0, 0)


def test_wider_limits_are_never_better_and_the_sample_is_bounded():
    model = Counting()
    narrow, wide = (
        worst_case(model, FEATURES, names=NAMES, cutoff=CUTOFF, limits=limits, applicants=200, seed=1)
        for limits in ((0.4, 0.6), (0.0, 1.0))
    )
    joined = narrow.join(wide, on="feature")
    assert (joined["mean_rise"] <= joined["mean_rise_right"]).all()
    assert max(frame.height for frame in model.seen) == 1000
    assert model.calls == 8
    assert narrow["applicants"].max() == 200


def test_a_feature_that_nobody_has_is_not_judged():
    frame = FEATURES.with_columns(void=pl.lit(None, pl.Float64))
    row = worst_case(margin, frame, names=["void"], cutoff=CUTOFF, seed=1).row(0, named=True)
    assert (row["applicants"], row["mean_rise"], row["flip_share"]) == (0, None, None)


# Faults


def test_names_that_are_not_there_are_refused():
    with pytest.raises(DataError, match="no feature incme \\(did you mean income\\?\\)"):
        noise_table(margin, FEATURES, DEFAULT, names=["incme"], levels=[0.1], cutoff=CUTOFF, seed=1)
    with pytest.raises(DataError, match="no feature lat"):
        missing_sources(margin, FEATURES, DEFAULT, groups={"a": ["lat"]}, cutoff=CUTOFF)
    with pytest.raises(DataError, match="there are no rows"):
        worst_case(margin, FEATURES.clear(), names=NAMES, cutoff=CUTOFF, seed=1)
    with pytest.raises(DataError, match="no feature to change"):
        worst_case(margin, FEATURES, names=[], cutoff=CUTOFF, seed=1)


def test_limits_and_rows_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="limits"):
        worst_case(margin, FEATURES, names=NAMES, cutoff=CUTOFF, limits=(0.9, 0.1), seed=1)
    with pytest.raises(DataError, match="lengths differ"):
        missing_sources(margin, FEATURES, DEFAULT[:10], groups={"a": ["age"]}, cutoff=CUTOFF)
    with pytest.raises(DataError, match="0 bads"):
        missing_sources(margin, FEATURES, DEFAULT * 0, groups={"a": ["age"]}, cutoff=CUTOFF)


# Boundary


def test_distances_by_hand():
    table = boundary_distance([590, 594.9, 595, 600, 605, 605.1, 700], cutoff=600, widths=[5, 10])
    assert table["below"].to_list() == [1, 3]
    assert table["above"].to_list() == [2, 3]
    assert table["value"].to_list() == pytest.approx([3 / 7, 6 / 7])
    assert (table["low"][0], table["high"][0]) == pytest.approx(proportion_confint(3, 7, method="wilson"))


@given(st.lists(st.integers(500, 700), min_size=1, max_size=50))
def test_wider_holds_more(scores):
    table = boundary_distance(scores, cutoff=600, widths=[5, 10, 20, 200])
    assert table["value"].is_sorted()
    assert table["value"].to_list()[-1] == 1


def test_scores_that_are_missing_are_refused():
    with pytest.raises(DataError, match="missing or infinite in 2 of 3"):
        boundary_distance([600.5, np.nan, np.inf], cutoff=600)
    with pytest.raises(DataError, match="no rows"):
        boundary_distance([], cutoff=600)
