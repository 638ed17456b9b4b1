from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.validation.calibration import calibration_in_the_large, calibration_line
from workbench.validation.decay import decay
from workbench.validation.discrimination import auc


def frame(months=6, size=1200, fade=0.0, drift=0.0, seed=1):
    """Vintages in which the signal fades by `fade` and the log-odds rise by `drift` a month."""
    generator, parts = np.random.default_rng(seed), []
    for month in range(months):
        signal = generator.normal(size=size)
        truth = 1 / (1 + np.exp(1 - (1 - fade * month) * signal - drift * month))
        parts.append(
            pl.DataFrame(
                {
                    "default": (generator.random(size) < truth).astype(int),
                    "prob_default": 1 / (1 + np.exp(1 - signal)),
                    "vintage": f"{2023 + (month + 10) // 12}-{(month + 10) % 12 + 1:02}",
                }
            )
        )
    return pl.concat(parts)


def test_vintages_are_those_of_the_direct_calls():
    sample = frame()
    table = decay(sample.sample(fraction=1, shuffle=True, seed=1)).table
    assert table["vintage"].to_list() == ["2023-11", "2023-12", "2024-01", "2024-02", "2024-03", "2024-04"]
    assert table["month"].to_list() == list(range(6))
    part = sample.filter(vintage="2024-01")
    row = table.row(2, named=True)
    default, prob = part["default"].to_numpy(), part["prob_default"].to_numpy()
    assert row["auc"] == pytest.approx(roc_auc_score(default, prob))
    area, large = auc(default, prob), calibration_in_the_large(default, prob)
    slope = calibration_line(default, prob).slope
    assert (row["auc_low"], row["auc_high"]) == pytest.approx((area.low, area.high))
    assert (row["in_the_large"], row["in_the_large_low"]) == pytest.approx((large.value, large.low))
    assert (row["calibration_slope"], row["calibration_slope_high"]) == pytest.approx(
        (slope.value, slope.high)
    )
    assert (row["applicants"], row["defaults"]) == (1200, default.sum())
    assert row["mean_pd"] == pytest.approx(prob.mean())


def test_the_slope_is_the_weighted_regression_s():
    found = decay(frame())
    table = found.table
    logit = np.log(table["auc_high"] / (1 - table["auc_high"])) - np.log(
        table["auc_low"] / (1 - table["auc_low"])
    )
    error = (table["auc"] * (1 - table["auc"]) * logit / (2 * stats.norm.ppf(0.975))).to_numpy()
    slope, _ = np.polyfit(table["month"].to_numpy(), table["auc"].to_numpy(), 1, w=1 / error)
    assert found.auc_per_month.value == pytest.approx(slope)


def test_a_model_that_fades_is_found():
    found = decay(frame(fade=0.12))
    assert found.auc_per_month.high < 0
    assert found.gap_per_month.low < 0.01
    rising = decay(frame(drift=0.15))
    assert rising.gap_per_month.low > 0
    assert rising.auc_per_month.low < 0 < rising.auc_per_month.high


def test_a_model_that_holds_is_found_fading_as_seldom_as_promised():
    runs = 120
    hits = np.zeros(2)
    for seed in range(runs):
        found = decay(frame(months=5, size=400, seed=seed))
        trends = (found.auc_per_month, found.gap_per_month)
        hits += [trend.low <= 0 <= trend.high for trend in trends]
    assert (hits / runs >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / runs)).all()


def test_vintages_that_differ_beyond_chance_widen_the_interval():
    calm = frame(months=8, size=1000)
    month = pl.col("vintage").rank("dense")
    wild = calm.with_columns(prob_default=pl.when(month % 2 == 0).then("prob_default").otherwise(pl.lit(0.5)))
    quiet, loud = decay(calm).auc_per_month, decay(wild).auc_per_month
    assert "widened" in loud.method
    assert loud.high - loud.low > 3 * (quiet.high - quiet.low)


def test_a_thin_vintage_has_no_auc_and_a_trend_needs_three():
    sample = frame(months=3, size=200)
    last = pl.col("vintage") == "2024-01"
    thin = pl.concat([sample.filter(~last), sample.filter(last).with_columns(default=pl.lit(0, pl.Int64))])
    found = decay(thin)
    row = found.table.row(2, named=True)
    assert (row["auc"], row["calibration_slope"]) == (None, None)
    assert "0 defaults and 200 goods" in row["reason"]
    assert row["in_the_large"] < 0
    assert found.auc_per_month.value is None
    assert "2 vintages" in found.auc_per_month.method
    assert found.gap_per_month.value is not None


@pytest.mark.parametrize(("least", "known"), [(3, True), (4, False)])
def test_the_fewest_defaults(least, known):
    sample = pl.DataFrame(
        {
            "default": [1, 1, 1, 0, 0, 0, 0],
            "prob_default": [0.5, 0.2, 0.6, 0.1, 0.3, 0.4, 0.2],
            "vintage": "2024-01",
        }
    )
    assert (decay(sample, least_defaults=least).table["auc"][0] is not None) == known


def test_dates_are_months_and_gaps_between_them_count():
    sample = frame(months=3).with_columns(
        vintage=pl.col("vintage").replace_strict(
            {"2023-11": date(2023, 11, 1), "2023-12": date(2024, 1, 9), "2024-01": date(2024, 6, 30)},
            return_dtype=pl.Date,
        )
    )
    table = decay(sample).table
    assert table["month"].to_list() == [0, 2, 7]
    assert table["vintage"].to_list() == ["2023-11", "2024-01", "2024-06"]


@pytest.mark.parametrize("vintage", ["2024-13", "2024", "spring", None, "2024-1", "2024-011"])
def test_a_vintage_that_is_no_month_is_refused(vintage):
    sample = frame(months=1, size=5).with_columns(vintage=pl.lit(vintage, pl.String))
    with pytest.raises(DataError, match="no month \\(YYYY-MM\\) in 5 of 5 rows"):
        decay(sample)


def test_columns_that_are_not_there_are_named():
    with pytest.raises(DataError) as caught:
        decay(pl.DataFrame({"default": [1]}))
    assert caught.value.faults == ("there is no column prob_default", "there is no column vintage")
