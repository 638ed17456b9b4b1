import numpy as np
import polars as pl
import pytest

from workbench.features.build import catalogue_of
from workbench.features.catalogue import SourceView, select_features
from workbench.features.description import describe_features
from workbench.statistics.bins import (
    count_bins,
    information_value,
    population_stability_index,
    psi_null_quantile,
    quantile_edges,
)

NAMES = ["late_count", "paid_mean", "utilisation_mean", "payment_ratio_mean"]
CARD = SourceView("statements", "statements", "payment_history")
CATALOGUE = catalogue_of([CARD], windows=[30], observation_days=183)
FEATURES = select_features(NAMES, CATALOGUE)
SETTINGS = {"bins": 5, "level": 0.9, "replicates": 200, "seed": 11}


def sample(seed: int, size: int = 3_000) -> pl.DataFrame:
    """Applicants whose default follows late_count (more, riskier) and paid_mean (more, safer) alone."""
    generator = np.random.default_rng(seed)
    late, paid = generator.poisson(1, size), generator.lognormal(8, 1, size)
    log_odds = -1.2 + 0.8 * late - 0.5 * (np.log(paid) - 8)
    ratio = pl.Series(generator.uniform(size=size))
    missing = pl.Series(generator.random(size) < 0.1)
    return pl.DataFrame(
        {
            "late_count": late.astype(float),
            "paid_mean": paid,
            "utilisation_mean": generator.normal(size=size),
            "payment_ratio_mean": pl.select(pl.when(~missing).then(ratio)).to_series(),
            "default": (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(int),
        }
    )


DEVELOPMENT, HOLDOUT = sample(1), sample(2, size=1_500)
DESCRIBED = describe_features(DEVELOPMENT, HOLDOUT, FEATURES, **SETTINGS)


def described(name: str, holdout: pl.DataFrame = HOLDOUT, development: pl.DataFrame = DEVELOPMENT) -> dict:
    table = describe_features(development, holdout, FEATURES, **SETTINGS)
    return table.row(by_predicate=pl.col("feature") == name, named=True)


def numbers(frame: pl.DataFrame, name: str) -> np.ndarray:
    return frame[name].fill_null(np.nan).to_numpy()


@pytest.mark.parametrize("name", NAMES)
def test_information_value_is_the_direct_call_s(name):
    values, default = numbers(DEVELOPMENT, name), DEVELOPMENT["default"].to_numpy()
    edges = quantile_edges(values, 5)
    goods, bads = (count_bins(values[default == outcome], edges) for outcome in (0, 1))
    used = goods + bads > 0
    direct = information_value(goods[used], bads[used], level=0.9, replicates=200, seed=11)
    row = described(name)
    assert row["information_value"] == pytest.approx(direct.value, abs=1e-12)
    assert (row["iv_low"], row["iv_high"]) == pytest.approx((direct.low, direct.high), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_stability_is_the_direct_call_s_on_development_edges(name):
    edges = quantile_edges(numbers(DEVELOPMENT, name), 5)
    before, after = (count_bins(numbers(frame, name), edges) for frame in (DEVELOPMENT, HOLDOUT))
    seen = before + after > 0
    direct = population_stability_index(before[seen], after[seen], level=0.9, replicates=200, seed=11)
    noise = psi_null_quantile(before[before > 0], 1_500, level=0.95, replicates=200, seed=11)
    row = described(name)
    assert row["stability"] == pytest.approx(direct.value, abs=1e-12)
    assert row["stability_noise"] == pytest.approx(noise, abs=1e-12)


def test_information_value_as_computed_by_hand():
    values = [0.0] * 50 + [1.0] * 50
    default = [1] * 10 + [0] * 40 + [1] * 30 + [0] * 20
    frame = pl.DataFrame({"late_count": values, "default": default})
    table = describe_features(frame, frame, select_features(["late_count"], CATALOGUE), **SETTINGS)
    wanted = (40 / 60 - 10 / 40) * np.log((40 / 60) / (10 / 40))
    wanted += (20 / 60 - 30 / 40) * np.log((20 / 60) / (30 / 40))
    assert table["information_value"][0] == pytest.approx(wanted)
    assert table["stability"][0] == 0


def test_the_strongest_comes_first():
    assert DESCRIBED["feature"].to_list()[:2] == ["late_count", "paid_mean"]
    assert DESCRIBED["information_value"].is_sorted(descending=True)


def test_directions_are_of_the_default_and_beside_the_expected_ones():
    late, paid, used = (described(name) for name in NAMES[:3])
    assert late["direction"] > 0.1
    assert late["expected"] == 1
    assert paid["direction"] < -0.1
    assert paid["expected"] == -1
    assert abs(used["direction"]) < 0.06
    assert used["expected"] == 0


def test_missing_values_are_a_share_and_a_bin_of_their_own():
    known = DEVELOPMENT["payment_ratio_mean"].is_null().mean()
    assert described("payment_ratio_mean")["missing_share"] == pytest.approx(known)
    assert described("late_count")["missing_share"] == 0
    gone = HOLDOUT.with_columns(payment_ratio_mean=pl.lit(None, dtype=pl.Float64))
    assert described("payment_ratio_mean", gone)["stability"] > 1


def test_values_that_first_go_missing_in_the_holdout_count_as_a_shift():
    tenth = pl.when(pl.int_range(pl.len()) % 10 > 0).then(pl.col("late_count"))
    row = described("late_count", HOLDOUT.with_columns(late_count=tenth))
    assert row["stability"] > described("late_count")["stability"] + 0.1


def test_a_shifted_feature_shows_above_noise_and_the_others_do_not():
    moved = HOLDOUT.with_columns(pl.col("utilisation_mean") + 0.3)
    row = described("utilisation_mean", moved)
    assert row["stability"] > row["stability_noise"]
    still = described("utilisation_mean")
    assert still["stability"] < still["stability_noise"]


def test_noise_is_exceeded_by_about_5_in_100_unshifted_holdouts():
    feature = select_features(["utilisation_mean"], CATALOGUE)
    above = 0
    for seed in range(100):
        holdout = sample(seed + 100, size=400)
        row = describe_features(DEVELOPMENT, holdout, feature, **SETTINGS).row(0, named=True)
        above += row["stability"] > row["stability_noise"]
    assert 0 < above <= 13  # 13 or more would happen in 1 of 1,000 at 5 in 100


def test_more_missing_than_known_is_still_described():
    sparse = DEVELOPMENT.with_columns(
        late_count=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit(1.0)).otherwise(None)
    )
    row = described("late_count", development=sparse)
    assert row["direction"] == 0
    assert row["missing_share"] == pytest.approx(2_998 / 3_000)


def test_a_constant_feature_has_no_strength_and_no_direction():
    constant = DEVELOPMENT.with_columns(late_count=pl.lit(2.0))
    row = described("late_count", HOLDOUT.with_columns(late_count=pl.lit(2.0)), constant)
    assert row["information_value"] == pytest.approx(0, abs=1e-12)
    assert row["direction"] == 0
    assert row["stability"] == pytest.approx(0, abs=1e-12)


def test_the_seed_alone_decides():
    again = describe_features(DEVELOPMENT, HOLDOUT, FEATURES, **SETTINGS)
    assert again.equals(DESCRIBED)
    other = describe_features(DEVELOPMENT, HOLDOUT, FEATURES, **SETTINGS | {"seed": 12})
    assert not other["iv_low"].equals(DESCRIBED["iv_low"])
    assert other["information_value"].equals(DESCRIBED["information_value"])
