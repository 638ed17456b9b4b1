import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from workbench.errors import DataError
from workbench.statistics.bins import count_bins, population_stability_index, quantile_edges
from workbench.validation.stability import decision_flips, shift_table

NAMES = ["score", "late", "paid"]
SETTINGS = {"names": NAMES, "replicates": 200, "seed": 3}
MEASURES = ["flip_share", "score_sd_mean", "score_sd_p95", "rank_correlation"]


def sample(seed, size=3000, shift=0.0):
    generator = np.random.default_rng(seed)
    paid = pl.Series(generator.lognormal(size=size))
    known = pl.Series(generator.random(size) >= 0.1)
    return pl.DataFrame(
        {
            "score": generator.normal(560 + shift, 30, size),
            "late": generator.poisson(0.6, size),
            "paid": pl.select(pl.when(known).then(paid)).to_series(),
        }
    )


DEVELOPMENT = sample(1)


def row_of(table, feature):
    return table.row(by_predicate=pl.col("feature") == feature, named=True)


# Shift


def test_the_index_is_the_direct_call_s():
    later = sample(2, size=900, shift=-10)
    row = row_of(shift_table(DEVELOPMENT, later, **SETTINGS), "score")
    edges = quantile_edges(DEVELOPMENT["score"], 10)
    counts = [count_bins(frame["score"], edges)[:-1] for frame in (DEVELOPMENT, later)]
    direct = population_stability_index(*counts, replicates=200, seed=3)
    assert (row["psi"], row["low"], row["high"]) == pytest.approx((direct.value, direct.low, direct.high))
    assert row["bins"] == 10


def test_p_values_are_adjusted_by_holm_and_the_furthest_comes_first():
    table = shift_table(DEVELOPMENT, sample(2, shift=-8), **SETTINGS)
    assert table.columns == [
        *("feature", "psi", "low", "high", "critical", "p_value", "p_adjusted", "customary"),
        *("bins", "level", "method"),
    ]
    assert table["psi"].is_sorted(descending=True)
    expected = multipletests(table["p_value"].to_list(), method="holm")[1]
    assert table["p_adjusted"].to_list() == pytest.approx(expected.tolist())
    assert row_of(table, "score")["p_adjusted"] < 0.001


def test_a_shift_beyond_noise_may_be_stable_by_custom_and_noise_may_reach_the_lines():
    many = row_of(shift_table(sample(1, 40_000), sample(2, 40_000, shift=3), **SETTINGS), "score")
    assert many["p_adjusted"] < 0.001
    assert many["psi"] > many["critical"]
    assert many["customary"] == "stable"
    few = row_of(shift_table(DEVELOPMENT, sample(5, 60), **SETTINGS), "score")
    assert few["psi"] < few["critical"]
    assert few["critical"] > 0.25
    assert few["p_value"] > 0.05


@pytest.mark.parametrize(
    ("lines", "customary"),
    [((0.0, 9.0), "watch"), ((8.0, 9.0), "stable"), ((0.0, 0.0), "shifted")],
)
def test_the_customary_lines_are_those_given(lines, customary):
    table = shift_table(DEVELOPMENT, sample(2), lines=lines, **SETTINGS)
    assert set(table["customary"]) == {customary}


def test_a_psi_on_the_line_has_reached_it():
    table = shift_table(DEVELOPMENT, sample(2, shift=-10), **SETTINGS)
    psi = row_of(table, "score")["psi"]
    for second, customary in ((psi, "shifted"), (np.nextafter(psi, 1), "watch")):
        found = shift_table(DEVELOPMENT, sample(2, shift=-10), lines=(0.0, second), **SETTINGS)
        assert row_of(found, "score")["customary"] == customary


def test_unchanged_features_are_found_shifted_as_often_as_promised():
    runs, wrong = 150, 0
    for seed in range(runs):
        early, later = sample(1000 + seed, 600), sample(3000 + seed, 150)
        table = shift_table(early, later, names=NAMES, replicates=100, seed=seed)
        wrong += bool((table["p_adjusted"] < 0.05).any())
    assert wrong / runs <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / runs)


def test_newly_missing_values_count_as_a_shift():
    later = sample(2).with_columns(score=pl.when(pl.int_range(pl.len()) % 5 > 0).then("score"))
    assert row_of(shift_table(DEVELOPMENT, later, **SETTINGS), "score")["customary"] == "shifted"


def test_a_constant_and_an_empty_feature_cannot_shift():
    frame = DEVELOPMENT.with_columns(flat=pl.lit(1.0), void=pl.lit(None, pl.Float64))
    table = shift_table(frame, frame, names=["flat", "void"], seed=1)
    assert table["psi"].to_list() == [0, 0]
    assert table["p_value"].to_list() == table["low"].to_list() == table["critical"].to_list() == [None, None]
    other = frame.with_columns(flat=pl.lit(2.0), void=pl.lit(1.0))
    assert shift_table(frame, other, names=["flat", "void"], seed=1)["customary"].to_list() == ["shifted"] * 2


def test_edges_of_one_s_own_are_used():
    edges = {"score": [500.0, 560.0, 600.0]}
    table = shift_table(DEVELOPMENT, sample(2), names=["score"], edges=edges, seed=1)
    assert table["bins"][0] == 4


def test_shift_faults_come_together():
    with pytest.raises(DataError) as caught:
        shift_table(DEVELOPMENT, sample(2).drop("paid"), names=["scores", "paid"], edges={}, seed=1)
    text = str(caught.value)
    assert "expected has no column scores (did you mean score?)" in text
    assert "actual has no column paid" in text
    assert "edges" in text


# Flips


def margins(models=8, size=1500, spread=0.3, seed=1, shared=0.0):
    generator = np.random.default_rng(seed)
    base = generator.normal(-2, 1, size)
    noise = spread * generator.normal(size=(models, size))
    return base, base + noise + shared * generator.normal(size=(models, 1))


def by_kind(table, kind, measure):
    return table.filter(kind=kind, measure=measure).row(0, named=True)


def test_flips_by_hand():
    base = np.array([1.0, 2.0, 3.0, 4.0])
    others = np.array([[1.0, 2.0, 3.0, 4.0], [4.0, 1.0, 2.0, 3.0]])
    found = decision_flips(base, {"seed": others}, approval_rate=0.5)
    assert found.by_model["flips"].to_list() == [0, 2]
    assert by_kind(found.by_kind, "seed", "flip_share")["value"] == 0.25
    assert found.by_kind["measure"].to_list() == MEASURES


def test_a_shift_of_all_margins_alike_flips_nobody_but_moves_the_score():
    base, _ = margins()
    moved = base + np.array([[0.5], [-0.5], [1.0], [-1.0]])
    found = decision_flips(base, {"resample": moved}, approval_rate=0.7).by_kind
    assert by_kind(found, "resample", "flip_share")["value"] == 0
    assert by_kind(found, "resample", "flip_share")["low"] is None
    assert by_kind(found, "resample", "score_sd_mean")["value"] > 0.8
    assert by_kind(found, "resample", "rank_correlation")["value"] == pytest.approx(1)


def test_models_that_are_the_champion_differ_in_nothing():
    base, _ = margins()
    found = decision_flips(base, {"seed": np.stack([base] * 3)}, approval_rate=0.7)
    assert found.by_kind["value"].to_list() == pytest.approx([0, 0, 0, 1])
    assert found.by_kind["low"].null_count() == 4
    assert found.by_kind["method"].str.starts_with("no interval").all()


def test_every_model_equals_plain_counts_and_scipy():
    base, models = margins(models=3)
    table = decision_flips(base, {"resample": models}, approval_rate=0.6).by_model
    approved = np.argsort(np.argsort(base)) < 900
    for row, model in zip(table.iter_rows(named=True), models, strict=True):
        flips = int(np.sum((np.argsort(np.argsort(model)) < 900) != approved))
        assert row["flips"] == flips
        assert (row["low"], row["high"]) == pytest.approx(proportion_confint(flips, 1500, method="wilson"))
        assert row["rank_correlation"] == pytest.approx(spearmanr(base, model).statistic)
        assert row["rank_low"] < row["rank_correlation"] < row["rank_high"]


def test_points_are_those_of_the_scale():
    base, models = margins()
    found = [
        decision_flips(base, {"seed": models}, approval_rate=0.6, score_of=score_of).by_kind
        for score_of in (None, lambda margin: 500 - 28.85 * margin)
    ]
    plain, points = (by_kind(table, "seed", "score_sd_mean") for table in found)
    assert points["value"] == pytest.approx(28.85 * plain["value"])
    assert (plain["unit"], points["unit"]) == ("log-odds", "points")


def test_more_noise_flips_more():
    quiet, loud = (margins(spread=spread) for spread in (0.1, 0.5))
    shares = [
        by_kind(decision_flips(base, {"seed": models}, approval_rate=0.7).by_kind, "seed", "flip_share")
        for base, models in (quiet, loud)
    ]
    assert shares[0]["high"] < shares[1]["low"]


@pytest.mark.parametrize(("models", "shared", "slack"), [(5, 0.0, 0.03), (12, 0.6, 0.02)])
def test_the_spread_of_scores_is_covered(models, shared, slack):
    generator, runs, size = np.random.default_rng(9), 300, 300
    deviations = generator.gamma(4, 0.1, size)
    truths = np.hypot(deviations, shared)
    wanted = {"score_sd_mean": truths.mean(), "score_sd_p95": np.quantile(truths, 0.95)}
    hits, base = dict.fromkeys(wanted, 0), np.zeros(size)
    for _ in range(runs):
        noise = deviations * generator.normal(size=(models, size))
        drawn = {"resample": noise + shared * generator.normal(size=(models, 1))}
        table = decision_flips(base + noise[0], drawn, approval_rate=0.5).by_kind
        for measure, truth in wanted.items():
            row = by_kind(table, "resample", measure)
            hits[measure] += row["low"] <= truth <= row["high"]
    for measure, hit in hits.items():
        assert hit / runs >= 0.95 - slack - 3.5 * np.sqrt(0.95 * 0.05 / runs), measure


@given(st.integers(0, 10_000))
def test_flips_are_the_same_for_any_rising_transformation(seed):
    base, models = margins(models=2, size=60, seed=seed)
    one = decision_flips(base, {"seed": models}, approval_rate=0.5).by_model
    two = decision_flips(np.exp(base), {"seed": np.exp(models)}, approval_rate=0.5).by_model
    assert one["flips"].equals(two["flips"])
    assert one["rank_correlation"].to_list() == pytest.approx(two["rank_correlation"].to_list())


def test_flip_faults_come_together():
    base, models = margins(models=2)
    with pytest.raises(DataError) as caught:
        decision_flips(
            base, {"one": models[:1], "short": models[:, :9], "seed": models + np.nan}, approval_rate=0.5
        )
    text = str(caught.value)
    assert "one has 1 models; a spread needs at least 2" in text
    assert "short has the shape (2, 9); [models, 1500] is needed" in text
    assert "seed is missing or infinite in 3000 of 3000 rows" in text
    with pytest.raises(DataError, match="no other models"):
        decision_flips(base, {}, approval_rate=0.5)
    with pytest.raises(DataError, match="approval rate"):
        decision_flips(base, {"seed": models}, approval_rate=1.0)
