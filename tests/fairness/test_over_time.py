from datetime import date

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2
from statsmodels.regression.linear_model import WLS

from workbench.errors import DataError
from workbench.fairness.over_time import segment_metrics, trend_over_vintages
from workbench.statistics.proportions import donner_zou_ratio, newcombe_difference, wilson

MONTHS = [date(2024 + at // 12, 1 + at % 12, 1) for at in range(12)]


def sample(size=6000, slope=0.0, seed=1):
    """Approved, group and vintage: s is approved less often by `slope` more every year."""
    draw = np.random.default_rng(seed)
    place = draw.integers(0, 12, size)
    group = draw.choice(["r", "s"], size, p=[0.6, 0.4])
    chance = 0.6 - (0.1 + slope * place / 12) * (group == "s")
    return (draw.random(size) < chance).astype(int), group, pl.Series([MONTHS[at] for at in place])


def segments(approved, group, segment, **changes):
    return segment_metrics(
        approved, group, segment, **{"reference_group": "r", "min_applicants": 1} | changes
    )


def trend(approved, group, vintage, **changes):
    arguments = {"reference_group": "r", "min_applicants": 1} | changes
    return trend_over_vintages(approved, group, vintage, **arguments).row(0, named=True)


def test_every_cell_is_the_plain_comparison():
    approved, group, vintage = sample()
    found = segments(approved, group, vintage)
    assert found.height == 12 * 4
    assert found["segment"].unique(maintain_order=True).to_list() == [str(month) for month in MONTHS]
    here = (vintage == MONTHS[3]).to_numpy()
    one, two = ([int(of) for of in (part.sum(), part.size)] for part in (
        approved[here & (group == who)] for who in "sr"
    ))  # fmt: skip
    expected = {
        "selection_rate": wilson(*one),
        "adverse_impact_ratio": donner_zou_ratio(*one, *two),
        "selection_rate_difference": newcombe_difference(*one, *two),
    }
    rows = found.filter(segment=str(MONTHS[3]), group="s").iter_rows(named=True)
    assert {r["metric"]: (r["value"], r["low"], r["high"], r["applicants"]) for r in rows} == {
        metric: (e.value, e.low, e.high, one[1]) for metric, e in expected.items()
    }


def test_small_cells_are_suppressed_at_the_boundary_and_so_are_their_comparisons():
    group = np.repeat(["r", "s", "r", "s"], [10, 9, 9, 10])
    segment = np.repeat(["a", "b"], 19)
    found = segments(np.tile([0, 1], 19), group, segment, min_applicants=10)
    shown = {(r["segment"], r["group"], r["metric"]) for r in found.drop_nulls("value").iter_rows(named=True)}
    assert shown == {("a", "r", "selection_rate"), ("b", "s", "selection_rate")}
    hidden = found.filter(pl.col("value").is_null())
    assert hidden["judged"].any() is False
    assert hidden.filter(segment="a")["applicants"].null_count() == 3
    note = hidden.row(by_predicate=(pl.col("segment") == "b") & (pl.col("metric") == "adverse_impact_ratio"))
    assert note[-1] == "suppressed: reference group: fewer than 10 applicants"


def test_bands_keep_their_order_and_a_group_may_be_absent_from_a_segment():
    band = pl.Series(["young", "old", "old"], dtype=pl.Enum(["young", "old"]))
    found = segments([1, 0, 1], ["r", "r", "s"], band)
    assert found["segment"].unique(maintain_order=True).to_list() == ["young", "old"]
    absent = found.filter(segment="young", group="s", metric="selection_rate").row(0, named=True)
    assert (absent["value"], absent["note"]) == (None, "suppressed: fewer than 1 applicants")


def test_the_slope_is_that_of_weighted_least_squares():
    approved, group, vintage = sample(slope=0.1)
    found = trend(approved, group, vintage)
    gaps, weights = [], []
    for month in MONTHS:
        parts = [approved[(vintage == month).to_numpy() & (group == who)] for who in "sr"]
        gaps.append(parts[0].mean() - parts[1].mean())
        shares = [((part.sum() + 1) / (part.size + 2), part.size + 2) for part in parts]
        weights.append(1 / sum(p * (1 - p) / n for p, n in shares))
    years = np.array([month.toordinal() for month in MONTHS]) / 365.25
    fit = WLS(gaps, np.column_stack([np.ones(12), years - years[0]]), weights).fit(
        cov_type="fixed scale", use_t=False
    )
    assert found["value"] == pytest.approx(fit.params[1])
    assert (found["low"], found["high"]) == pytest.approx(tuple(fit.conf_int()[1]))
    assert found["p_value"] == pytest.approx(fit.pvalues[1])
    assert found["value"] < 0  # it moves against the group
    mean = np.average(gaps, weights=weights)
    cochran = (np.array(weights) * (gaps - mean) ** 2).sum()
    assert found["change_p_value"] == pytest.approx(chi2.sf(cochran, 11))


def test_the_tests_hold_their_level_and_the_interval_covers():
    runs = 200
    found = [trend(*sample(2000, seed=seed)) for seed in range(runs)]
    margin = 3.5 * np.sqrt(0.95 * 0.05 / runs)
    for test in ("p_value", "change_p_value"):
        assert np.mean([row[test] >= 0.05 for row in found]) == pytest.approx(0.95, abs=margin)
    covered = [
        row["low"] <= -0.12 <= row["high"] for row in (trend(*sample(slope=0.12, seed=s)) for s in range(80))
    ]
    assert np.mean(covered) >= 0.95 - 3.5 * np.sqrt(0.95 * 0.05 / 80)


def test_a_jump_that_no_line_sees_is_a_change():
    approved, group, vintage = sample()
    odd = vintage.dt.month().is_in([6, 7]).to_numpy() & (group == "s")
    found = trend(np.where(odd, 0, approved), group, vintage)
    assert found["p_value"] > 0.05
    assert found["change_p_value"] < 1e-6


@pytest.mark.parametrize(("months", "value"), [(3, True), (2, False)])
def test_three_vintages_are_needed(months, value):
    approved, group, vintage = sample()
    few = vintage.is_in(MONTHS[:months])
    found = trend(approved[few.to_numpy()], group[few.to_numpy()], vintage.filter(few))
    assert (found["value"] is not None, found["judged"], found["vintages"]) == (value, value, months)
    assert ("fewer than 3 vintages" in found["note"]) is not value


def test_small_vintages_are_left_out():
    approved, group, vintage = sample()
    last = (vintage == MONTHS[-1]).to_numpy() & (group == "s")
    kept = ~last | (np.cumsum(last) <= 5)
    found = trend(approved[kept], group[kept], vintage.filter(kept), min_applicants=6)
    assert found["vintages"] == 11


def test_faults_are_told():
    approved, group, vintage = sample(100)
    with pytest.raises(DataError, match="vintage is String; dates are needed"):
        trend(approved, group, vintage.cast(pl.String))
    with pytest.raises(DataError, match="the groups are 'r', 's'"):
        trend(approved, group, vintage, reference_group="q")
    with pytest.raises(DataError) as caught:
        segments([1, 2], ["r", None], ["a", None])
    assert len(caught.value.faults) == 3
