"""Noise is as large as asked, the same draws at every size, and keeps what a value is."""

import numpy as np
import pytest

from workbench.statistics.noise import measurement_noise

SIZE = 4_000
DRAWN = np.random.default_rng(7)
VALUES = {
    "share": np.where(np.arange(SIZE) % 7 > 0, DRAWN.random(SIZE), np.nan),
    "count": DRAWN.integers(0, 9, SIZE).astype(float),
    "rare": (np.arange(SIZE) < SIZE // 10).astype(float),
}


def noisy(name, noise, seed=4):
    return measurement_noise(VALUES[name], np.random.default_rng(seed))(noise)


@pytest.mark.parametrize("name", VALUES)
def test_values_stay_what_they_are_and_in_the_range_seen(name):
    values, moved = VALUES[name], noisy(name, 0.4)
    assert not np.array_equal(moved, values, equal_nan=True)
    assert np.array_equal(np.isnan(moved), np.isnan(values))
    assert np.nanmin(moved) >= np.nanmin(values)
    assert np.nanmax(moved) <= np.nanmax(values)
    if name != "share":
        assert np.array_equal(moved, np.round(moved))


@pytest.mark.parametrize("name", VALUES)
def test_none_changes_nothing_and_a_seed_repeats(name):
    assert np.array_equal(noisy(name, 0.0), VALUES[name], equal_nan=True)
    assert np.array_equal(noisy(name, 0.4), noisy(name, 0.4), equal_nan=True)
    assert not np.array_equal(noisy(name, 0.4), noisy(name, 0.4, seed=5), equal_nan=True)


def test_the_size_is_in_interquartile_ranges_or_standard_deviations():
    change = noisy("share", 0.02) - VALUES["share"]
    known = VALUES["share"][~np.isnan(VALUES["share"])]
    lower, upper = np.quantile(known, [0.25, 0.75])
    assert np.nanstd(change) == pytest.approx(0.02 * (upper - lower), rel=0.05)
    moved = measurement_noise(VALUES["rare"], np.random.default_rng(1))  # its quartiles are both 0
    assert (moved(0.9) != VALUES["rare"]).any()


def test_the_draws_are_the_same_at_every_size():
    moves = measurement_noise(VALUES["share"], np.random.default_rng(2))
    small, large = (moves(noise) - VALUES["share"] for noise in (0.01, 0.02))
    inside = (moves(0.02) > np.nanmin(VALUES["share"])) & (moves(0.02) < np.nanmax(VALUES["share"]))
    assert np.allclose(2 * small[inside], large[inside])


def test_a_column_without_a_value_stays_empty():
    assert np.isnan(measurement_noise(np.full(5, np.nan), np.random.default_rng(1))(1.0)).all()
