from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

MOVE = st.fixed_dictionaries(
    {
        "age_days": st.integers(0, 364),
        "amount": st.integers(0, 10**9),
        "direction": st.sampled_from(["in", "out"]),
        "balance": st.none() | st.integers(-(10**9), 10**9),
    }
)


def move(age, direction, amount, balance=None):
    return {"age_days": age, "direction": direction, "amount": amount, "balance": balance}


def by_period(rows, direction):
    """Sums of the twelve whole 30-day periods, latest first."""
    sums = [0] * 12
    for row in rows:
        if row["direction"] == direction and row["age_days"] < 360:
            sums[row["age_days"] // 30] += row["amount"]
    return sums


def test_flows_are_per_30_days(measure):
    rows = [move(10, "in", 900), move(50, "in", 300), move(20, "out", 600)]
    values = measure("transactions", rows)
    assert (values["inflow_mean_30"], values["inflow_mean_90"]) == (900, 400)
    assert values["inflow_mean_365"] == pytest.approx(1_200 * 30 / 365)
    assert (values["outflow_mean_30"], values["outflow_ratio_90"]) == (600, 0.5)


def test_no_event_in_a_window_is_no_flow_and_no_ratio(measure):
    values = measure("transactions", [move(30, "in", 900)])
    assert (values["inflow_mean_30"], values["outflow_ratio_30"], values["balance_min_30"]) == (0, None, None)
    assert values["outflow_ratio_90"] == 0


def test_the_first_period_ends_after_30_days(measure):
    apart = measure("transactions", [move(29, "in", 5), move(30, "in", 5)])
    together = measure("transactions", [move(28, "in", 5), move(29, "in", 5)])
    assert apart["inflow_periods_share_365"] == pytest.approx(2 / 12)
    assert together["inflow_periods_share_365"] == pytest.approx(1 / 12)


def test_days_beyond_the_last_whole_period_are_in_the_window_alone(measure):
    inside, beyond = (measure("transactions", [move(age, "in", 365)]) for age in (359, 360))
    assert inside["inflow_mean_365"] == beyond["inflow_mean_365"] == 30
    assert (inside["inflow_periods_share_365"], beyond["inflow_periods_share_365"]) == (1 / 12, 0)
    assert (inside["inflow_cv_365"] is None, beyond["inflow_cv_365"] is None) == (False, True)


def test_an_equal_income_each_period_neither_varies_nor_rises(measure):
    values = measure("transactions", [move(30 * i + 3, "in", 777) for i in range(12)])
    assert (values["inflow_cv_365"], values["inflow_trend"], values["inflow_periods_share_365"]) == (0, 0, 1)


def test_a_rising_income_has_a_positive_trend(measure):
    values = measure("transactions", [move(30 * i, "in", 100 * (12 - i)) for i in range(12)])
    assert values["inflow_trend"] == pytest.approx(100 / 650)


def test_balances(measure):
    rows = [move(1, "out", 100, 100), move(2, "out", 100, 99), move(3, "in", 100, 50), move(4, "out", 100)]
    values = measure("transactions", rows)
    assert values["balance_mean_30"] == 83
    assert values["balance_min_30"] == 50
    assert values["low_balance_share_30"] == 0.5


def test_a_source_without_balances_has_no_features_of_them():
    from workbench.features.build import catalogue_of
    from workbench.features.catalogue import SourceView

    made = catalogue_of(
        [SourceView("s", "transactions", "mobile_money")], windows=[30, 90], observation_days=365
    )
    assert not [feature.name for feature in made if "balance" in feature.name]
    assert "s_inflow_cv_90" in {feature.name for feature in made}


@settings(max_examples=25)
@given(st.lists(MOVE, min_size=1, max_size=30), st.sampled_from(["polars", "pandas"]))
def test_any_transactions_give_what_the_reference_gives(measure, rows, engine):
    values = measure("transactions", rows, engine=engine)
    inflow, outflow = by_period(rows, "in"), by_period(rows, "out")
    assert values["inflow_periods_share_365"] == pytest.approx(sum(s > 0 for s in inflow) / 12)
    for name, sums in (("inflow_cv_365", inflow), ("outflow_cv_365", outflow)):
        wanted = stdev(sums) / fmean(sums) if sum(sums) else None
        assert values[name] == (None if wanted is None else pytest.approx(wanted, rel=1e-9))
    for days in (30, 90, 365):
        money = sum(row["amount"] for row in rows if row["direction"] == "in" and row["age_days"] < days)
        assert values[f"inflow_mean_{days}"] == pytest.approx(money * 30 / days)
        known = [r["balance"] for r in rows if r["age_days"] < days and r["balance"] is not None]
        assert values[f"balance_min_{days}"] == min(known, default=None)


@settings(max_examples=20)
@given(st.lists(MOVE, min_size=1, max_size=20), st.sampled_from([2, 100]))
def test_money_in_another_unit_scales_means_and_leaves_ratios(measure, close, rows, times):
    money = ("amount", "balance")
    scaled = [row | {n: row[n] and row[n] * times for n in money} for row in rows]
    before, after = measure("transactions", rows), measure("transactions", scaled)
    grows = ("inflow_mean", "outflow_mean", "balance_m")
    wanted = {n: value and value * (times if n.startswith(grows) else 1) for n, value in before.items()}
    assert close(after, wanted, rel=1e-9, abs=1e-9)
