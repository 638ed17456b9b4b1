import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.monitoring.stability import baseline_bins, score_bands, stability_table
from workbench.statistics.bins import population_stability_index, psi_null_quantile

NAMES = ["score", "late", "paid"]
SETTINGS = {"level": 0.9, "replicates": 200, "seed": 3}


def sample(seed: int, size: int = 2_000, shift: float = 0.0, gaps: float = 0.1) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    paid = pl.Series(generator.lognormal(size=size))
    known = pl.Series(generator.random(size) >= gaps)
    return pl.DataFrame(
        {
            "score": generator.normal(560 + shift, 30, size),
            "late": generator.poisson(0.6, size).astype(float),
            "paid": pl.select(pl.when(known).then(paid)).to_series(),
        }
    )


DEVELOPMENT = sample(1)
BASELINE = baseline_bins(DEVELOPMENT, NAMES, bands=10)


def bins_of(name: str) -> pl.DataFrame:
    return BASELINE.filter(pl.col("name") == name)


def counted(name: str, frame: pl.DataFrame) -> list[int]:
    """Applicants of each bin, counted one by one from the bins' upper edges."""
    edges = bins_of(name)["upper"].drop_nulls().to_list()
    counts = [0] * (len(edges) + 2)
    for value in frame[name]:
        counts[-1 if value is None else sum(edge < value for edge in edges)] += 1
    return counts


def stability(name: str, batch: pl.DataFrame) -> dict:
    table = stability_table(BASELINE, batch, **SETTINGS)
    return table.row(by_predicate=pl.col("name") == name, named=True)


def test_the_baseline_has_every_name_and_counts_everyone_once():
    assert BASELINE.columns == ["name", "bin", "upper", "applicants", "share"]
    assert BASELINE["name"].unique(maintain_order=True).to_list() == NAMES
    for name in NAMES:
        bins = bins_of(name)
        assert bins["bin"].to_list() == list(range(1, bins.height + 1))
        assert bins["applicants"].sum() == 2_000
        assert bins["share"].to_list() == pytest.approx((bins["applicants"] / 2_000).to_list())
        assert bins["applicants"].to_list() == counted(name, DEVELOPMENT)


def test_quantile_bins_hold_about_equal_shares():
    assert bins_of("score")["share"].to_list() == pytest.approx([0.1] * 10 + [0.0], abs=0.001)
    assert bins_of("score").height == 11


def test_the_last_bin_holds_the_missing_and_the_one_before_is_open():
    bins = bins_of("paid")
    assert bins["upper"].is_null().to_list() == [False] * (bins.height - 2) + [True, True]
    assert bins["applicants"][-1] == DEVELOPMENT["paid"].null_count() > 0


def test_ties_make_fewer_bins():
    assert bins_of("late").height < 11


def test_the_development_sample_is_stable_against_itself():
    table = stability_table(BASELINE, DEVELOPMENT, **SETTINGS)
    assert table["stability"].to_list() == pytest.approx([0, 0, 0], abs=1e-12)
    assert table["applicants"].to_list() == [2_000] * 3


@pytest.mark.parametrize("name", NAMES)
def test_stability_is_the_direct_call_s(name):
    batch = sample(2, size=900, shift=-10)
    expected, actual = counted(name, DEVELOPMENT), counted(name, batch)
    pairs = [(e, a) for e, a in zip(expected, actual, strict=True) if e or a]
    direct = population_stability_index(*zip(*pairs, strict=True), **SETTINGS)
    noise = psi_null_quantile([e for e in expected if e], 900, **SETTINGS)
    row = stability(name, batch)
    assert (row["stability"], row["low"], row["high"]) == pytest.approx(
        (direct.value, direct.low, direct.high), abs=1e-12
    )
    assert row["noise"] == pytest.approx(noise, abs=1e-12)
    assert row["applicants"] == 900


def test_the_least_stable_comes_first():
    table = stability_table(BASELINE, sample(2, shift=-40), **SETTINGS)
    assert table["name"][0] == "score"
    assert table["stability"].is_sorted(descending=True)


def test_a_shift_is_above_noise_and_none_is_not():
    assert stability("score", sample(2, shift=-15))["stability"] > stability("score", sample(2))["noise"]
    for name in NAMES:
        row = stability(name, sample(3))
        assert row["stability"] < row["noise"]


@given(st.integers(1, 40))
def test_further_away_is_less_stable(shift):
    batch = sample(2)
    near, far = (batch.with_columns(pl.col("score") + step) for step in (100 + shift, 103 + shift))
    closer, further = stability("score", near), stability("score", far)
    assert closer["stability"] <= further["stability"] + 1e-12
    assert closer["stability"] > 1


def test_values_that_first_go_missing_count_as_a_shift():
    batch = sample(2).with_columns(score=pl.when(pl.int_range(pl.len()) % 5 > 0).then("score"))
    assert stability("score", batch)["stability"] > 0.5


def test_values_beyond_the_baseline_are_counted_in_its_outer_bins():
    batch = sample(2).with_columns(score=pl.Series([-1e9, 1e9] * 1_000))
    bands = score_bands(BASELINE, batch)
    assert bands["batch"].to_list() == [0.5] + [0.0] * 8 + [0.5]


def test_score_bands_are_shares_without_the_missing_bin():
    batch = sample(2, size=500)
    bands = score_bands(BASELINE, batch)
    assert bands.columns == ["bin", "upper", "development", "batch"]
    assert bands["bin"].to_list() == list(range(1, 11))
    assert bands["development"].to_list() == bins_of("score")["share"].head(-1).to_list()
    assert bands["batch"].to_list() == [count / 500 for count in counted("score", batch)[:-1]]
    assert bands["batch"].sum() == pytest.approx(1)


def test_a_value_on_an_edge_belongs_to_the_bin_below_it():
    edge = bins_of("score")["upper"][0]
    on, above = (
        score_bands(BASELINE, pl.DataFrame({"score": [value]}))["batch"].to_list()
        for value in (edge, np.nextafter(edge, np.inf))
    )
    assert on[:2] == [1, 0]
    assert above[:2] == [0, 1]


def test_the_seed_alone_decides():
    batch = sample(2)
    assert stability_table(BASELINE, batch, **SETTINGS).equals(stability_table(BASELINE, batch, **SETTINGS))
    other = stability_table(BASELINE, batch, **SETTINGS | {"seed": 4})
    assert not other["noise"].equals(stability_table(BASELINE, batch, **SETTINGS)["noise"])
