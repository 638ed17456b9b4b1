import numpy as np
import polars as pl
import pytest

from workbench.monitoring.drift import LEAST_APPLICANTS, drift_month, drift_table, month_table
from workbench.monitoring.stability import baseline_bins


def months(count, shift_from=None, size=600, seed=1):
    """Applicants of so many months; from the month `shift_from` on scores are half a deviation lower."""
    generator = np.random.default_rng(seed)
    frames = []
    for index in range(count):
        lower = 0.5 if shift_from is not None and index >= shift_from else 0.0
        score = generator.normal(size=size) - lower
        noise = generator.normal(size=size)
        frames.append(pl.DataFrame({"vintage": f"2024-{index + 1:02}", "score": score, "noise": noise}))
    return pl.concat(frames)


def found(frame, months_of_baseline=6):
    first = frame.filter(pl.col("vintage") <= f"2024-{months_of_baseline:02}")
    return drift_table(month_table(baseline_bins(first, ["score", "noise"], bands=10), frame, level=0.95))


def test_the_month_in_which_scores_move_is_found():
    drift = found(months(12, shift_from=8))
    assert drift_month(drift) == "2024-09"
    assert drift.filter(pl.col("score_beyond"))["vintage"].to_list() == [f"2024-{m:02}" for m in range(9, 13)]
    assert drift["furthest"].to_list()[-1] == "noise"


def test_noise_is_rarely_exceeded_when_nothing_moves():
    alarms = sum(drift_month(found(months(12, seed=seed))) != "none" for seed in range(40))
    assert alarms <= 3


@pytest.mark.parametrize(
    ("beyond", "expected"),
    [
        ([False, False, False], "none"),
        ([False, True, False], "none"),
        ([False, True, True], "2024-02"),
        ([False, False, True], "2024-03"),
        ([True, False, True], "2024-03"),
    ],
)
def test_a_month_has_to_be_confirmed_by_the_next(beyond, expected):
    drift = pl.DataFrame({"vintage": ["2024-01", "2024-02", "2024-03"], "score_beyond": beyond})
    assert drift_month(drift) == expected


@pytest.mark.parametrize(
    ("size", "judged", "month"), [(LEAST_APPLICANTS - 1, 0, None), (LEAST_APPLICANTS, 1, "none")]
)
def test_small_months_are_not_judged(size, judged, month):
    whole = months(1)
    small = whole.head(size).with_columns(vintage=pl.lit("2024-02"))
    drift = drift_table(month_table(baseline_bins(whole, ["score"], bands=5), small, level=0.95))
    assert drift.height == judged
    assert drift_month(drift) == month


def test_applications_without_a_month_are_left_out():
    whole = months(2)
    undated = whole.with_columns(vintage=pl.lit(None, pl.String))
    assert month_table(baseline_bins(whole, ["score"], bands=5), undated, level=0.95).height == 0
