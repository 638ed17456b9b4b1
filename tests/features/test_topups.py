from statistics import fmean, stdev

import pytest


def topup(age, amount=500):
    return {"age_days": age, "amount": amount}


def test_counts_and_means_of_windows(measure):
    values = measure(
        "topups", [topup(0, 100), topup(29, 300), topup(30, 800), topup(89, 800), topup(90, 1_000)]
    )
    assert [values[f"count_{days}"] for days in (30, 90, 365)] == [2, 4, 5]
    assert [values[f"amount_mean_{days}"] for days in (30, 90, 365)] == [200, 500, 600]


def test_the_gap_is_the_mean_of_days_between_neighbours(measure):
    values = measure("topups", [topup(2), topup(5), topup(20), topup(80)])
    assert (values["gap_mean_30"], values["gap_mean_90"]) == (9, 26)


def test_one_top_up_has_no_gap_and_no_variation(measure):
    values = measure("topups", [topup(2)])
    assert (values["gap_mean_365"], values["amount_cv_365"], values["count_365"]) == (None, None, 1)
    assert measure("topups", [topup(2), topup(2)])["gap_mean_365"] == 0


def test_the_variation_of_amounts(measure):
    amounts = [100, 250, 250, 990]
    values = measure("topups", [topup(7 * i, amount) for i, amount in enumerate(amounts)])
    assert values["amount_cv_365"] == pytest.approx(stdev(amounts) / fmean(amounts), rel=1e-12)


def test_the_variation_reads_whole_tenths_of_a_unit_of_currency(measure):
    values = measure("topups", [topup(1, 109), topup(2, 100)])
    assert values["amount_cv_365"] == 0


def test_amounts_beyond_ten_million_units_do_not_overflow(measure):
    values = measure("topups", [topup(i, 10**12) for i in range(300)] + [topup(1, 10)])
    capped = [10**8] * 300 + [1]
    assert values["amount_cv_365"] == pytest.approx(stdev(capped) / fmean(capped), rel=1e-6)


def test_more_top_ups_lately_is_a_positive_trend(measure):
    lately = measure("topups", [topup(1), topup(2), topup(340)])["trend"]
    weights = [5.5 - period for period in range(12)]
    assert lately == pytest.approx((2 * 5.5 - 5.5) / sum(w * w for w in weights) / 0.25)
    assert measure("topups", [topup(340), topup(341), topup(1)])["trend"] == pytest.approx(-lately)


def test_a_single_short_window_has_no_trend(measure):
    assert "trend" not in measure("topups", [topup(1)], windows=(30,))
