from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from scipy.stats import norm

from workbench.errors import DataError
from workbench.statistics.multiplicity import holm
from workbench.validation.calibration import brier_score, calibration_line
from workbench.validation.discrimination import auc, ks
from workbench.validation.segments import segment_table

PUBLISHED = Path(__file__).parents[1] / "published" / "hanley_mcneil_1982_ratings.csv"


def simulated(generator, size=4000, slopes=(1.0, 1.0, 1.0)):
    """Applicants of three regions whose log-odds of default are the region's slope x the model's."""
    log_odds, region = generator.normal(-1.2, 1, size), generator.integers(0, 3, size)
    bad = generator.random(size) < expit(np.array(slopes)[region] * log_odds)
    return pl.DataFrame(
        {
            "default": bad.astype(int),
            "prob_default": expit(log_odds),
            "region": np.array(["east", "north", "west"])[region],
            "vintage": generator.integers(2024, 2026, size),
        }
    )


def part(frame, **where):
    ((column, value),) = where.items()
    chosen = frame.filter(pl.col(column) == value)
    return chosen["default"].to_numpy(), chosen["prob_default"].to_numpy()


def test_every_measure_is_the_segments_own():
    frame = simulated(np.random.default_rng(1))
    table = segment_table(frame, by=["region", "vintage"], level=0.9, replicates=30, seed=5)
    assert table.select("by", "segment").rows() == [
        ("region", "east"),
        ("region", "north"),
        ("region", "west"),
        ("vintage", "2024"),
        ("vintage", "2025"),
    ]
    row = table.row(1, named=True)
    default, prob = part(frame, region="north")
    line = calibration_line(default, prob, level=0.9)
    expected = {
        "auc": auc(default, prob, level=0.9),
        "ks": ks(default, prob, level=0.9, replicates=30, seed=5),
        "intercept": line.intercept_slope_one,
        "slope": line.slope,
        "brier": brier_score(default, prob, level=0.9),
    }
    for name, estimate in expected.items():
        found = [row[name + end] for end in ("", "_low", "_high")]
        assert found == pytest.approx([estimate.value, estimate.low, estimate.high], abs=1e-6), name
    assert (row["applicants"], row["defaults"]) == (default.size, default.sum())
    assert row["default_rate"] == default.mean()
    assert row["mean_pd"] == pytest.approx(prob.mean())
    assert row["reason"] is None


def test_the_gap_is_delongs_for_two_independent_samples():
    frame = simulated(np.random.default_rng(2), size=600)
    row = segment_table(frame, by=["region"], seed=1).row(0, named=True)
    areas, variance = [], 0.0
    for inside in (True, False):
        chosen = frame.filter((pl.col("region") == "east") == inside)
        bads, goods = (chosen.filter(default=value)["prob_default"].to_numpy() for value in (1, 0))
        kernel = (bads[:, None] > goods) + 0.5 * (bads[:, None] == goods)
        variance += kernel.mean(axis=1).var(ddof=1) / bads.size + kernel.mean(axis=0).var(ddof=1) / goods.size
        areas.append(kernel.mean())
    gap, error = areas[0] - areas[1], np.sqrt(variance)
    assert row["auc_gap"] == pytest.approx(gap)
    assert row["auc_gap_low"] == pytest.approx(gap - 1.959964 * error)
    assert row["p_value"] == pytest.approx(2 * norm.sf(abs(gap) / error))


def test_p_values_are_adjusted_over_the_whole_table():
    table = segment_table(simulated(np.random.default_rng(3)), by=["region", "vintage"], seed=1)
    assert table["p_adjusted"].to_list() == pytest.approx(holm(table["p_value"]))


def test_a_segment_that_ranks_worse_is_found_and_one_that_does_not_is_not():
    frame = simulated(np.random.default_rng(4), size=20_000, slopes=(1.0, 0.3, 1.0))
    rows = {row["segment"]: row for row in segment_table(frame, by=["region"], seed=1).iter_rows(named=True)}
    assert rows["north"]["auc_gap_high"] < 0
    assert rows["north"]["p_adjusted"] < 0.001
    assert rows["north"]["slope_high"] < 1
    assert rows["east"]["slope_low"] < 1 < rows["east"]["slope_high"]


def test_segments_without_enough_stay_with_a_reason_instead_of_numbers():
    frame = simulated(np.random.default_rng(5)).with_columns(
        place=pl.when(pl.int_range(pl.len()) < 40).then(pl.lit("small")).otherwise(pl.lit("rest")),
        default=pl.when(pl.int_range(pl.len()) < 40).then(0).otherwise("default"),
    )
    rows = {row["segment"]: row for row in segment_table(frame, by=["place"], seed=1).iter_rows(named=True)}
    small = rows["small"]
    assert small["reason"] == "0 defaults and 40 goods; at least 20 of each are needed"
    assert (small["applicants"], small["default_rate"]) == (40, 0)
    assert [small[name] for name in ("auc", "ks", "slope", "brier", "auc_gap", "p_value", "p_adjusted")] == [
        None
    ] * 7
    assert rows["rest"]["auc"] is not None
    assert rows["rest"]["p_value"] is None
    assert "the others are 0 defaults" in rows["rest"]["reason"]


def test_both_sides_of_the_least_defaults():
    frame = simulated(np.random.default_rng(6), size=300)
    bads = frame.filter(region="east", default=1).height
    for least, known in ((bads, True), (bads + 1, False)):
        table = segment_table(frame, by=["region"], least_defaults=least, seed=1)
        assert (table["auc"][0] is not None) == known


def test_even_without_a_least_one_class_is_not_measured():
    frame = pl.DataFrame(
        {"default": [0, 0, 1, 1], "prob_default": [0.1, 0.2, 0.3, 0.4], "place": list("aabb")}
    )
    table = segment_table(frame, by=["place"], least_defaults=0, seed=1)
    assert table["reason"].to_list()[0].startswith("0 defaults and 2 goods")


def test_everyone_in_one_segment_has_no_others():
    frame = simulated(np.random.default_rng(7)).with_columns(all=pl.lit("yes"))
    row = segment_table(frame, by=["all"], seed=1).row(0, named=True)
    assert row["auc"] is not None
    assert "the others are 0 defaults and 0 goods" in row["reason"]


def test_separated_classes_say_so_and_do_not_stop_the_table():
    frame = simulated(np.random.default_rng(8)).with_columns(place=pl.lit("rest"))
    odd = pl.DataFrame({"default": [0, 1] * 30, "prob_default": [0.1, 0.9] * 30, "place": ["odd"] * 60})
    table = segment_table(pl.concat([frame, odd], how="diagonal"), by=["place"], seed=1)
    row = table.row(0, named=True)
    assert (row["auc"], row["auc_low"], row["slope"]) == (1, None, None)
    assert "separated" in row["reason"]
    assert "DeLong finds no variation" in row["reason"]


def test_a_missing_segment_is_one_of_its_own():
    frame = simulated(np.random.default_rng(9)).with_columns(
        band=pl.Series([1.5, None, float("nan"), 2.5] * 1000), flag=pl.Series([True, None] * 2000)
    )
    table = segment_table(frame, by=["band", "flag"], seed=1)
    assert table["segment"].to_list() == ["1.5", "2.5", "missing", "missing", "true"]
    assert table["applicants"].to_list() == [1000, 1000, 2000, 2000, 2000]


def test_an_identifier_is_no_segment():
    frame = simulated(np.random.default_rng(10), size=500)
    most = frame.with_columns(place=pl.int_range(pl.len()) % 100)
    assert segment_table(most, by=["place"], seed=1).height == 100
    with pytest.raises(DataError, match="place has 101 segments"):
        segment_table(most.with_columns(place=pl.int_range(pl.len()) % 101), by=["place"], seed=1)


def test_columns_that_are_not_there_are_all_named():
    with pytest.raises(DataError, match="no column vintage") as caught:
        segment_table(
            pl.DataFrame({"default": [0, 1], "region": ["a", "b"]}), by=["region", "vintage"], seed=1
        )
    assert "no column prob_default" in str(caught.value)
    assert segment_table(simulated(np.random.default_rng(1), size=9), by=[], seed=1).is_empty()


def test_a_default_that_is_missing_is_refused():
    frame = simulated(np.random.default_rng(1), size=9).with_columns(default=pl.lit(None, dtype=pl.Int64))
    with pytest.raises(DataError, match="neither 0 nor 1 in 9 of 9"):
        segment_table(frame, by=["region"], seed=1)


def test_the_auc_of_a_segment_as_published():
    counts = pl.read_csv(PUBLISHED, comment_prefix="#").unpivot(index="rating")
    rows = counts.select(pl.all().repeat_by("value").explode())
    frame = rows.select(
        default=(pl.col("variable") == "abnormal").cast(int),
        prob_default=pl.col("rating") / 5,
        clinic=pl.lit("all"),
    )
    assert segment_table(frame, by=["clinic"], seed=1)["auc"].round(3).item() == 0.893


def test_the_gap_test_rejects_as_often_as_it_says_and_its_interval_covers():
    generator, runs, rejected, hits = np.random.default_rng(11), 400, 0, 0
    for _ in range(runs):
        frame = simulated(generator, size=900)
        row = segment_table(frame, by=["region"], replicates=2, seed=1).row(0, named=True)
        rejected += row["p_value"] < 0.05
        hits += row["auc_gap_low"] <= 0 <= row["auc_gap_high"]
    assert rejected / runs == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / runs))
    assert hits / runs >= 0.92
