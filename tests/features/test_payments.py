from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

BILL = st.fixed_dictionaries(
    {
        "age_days": st.integers(0, 364),
        "paid_age": st.none() | st.integers(0, 380),
        "amount_due": st.integers(0, 50_000).map(lambda tenths: tenths * 10),
        "amount_paid": st.integers(0, 500_000),
    }
)


def bill(age, paid_age, due=1_000, paid=1_000):
    return {"age_days": age, "paid_age": paid_age, "amount_due": due, "amount_paid": paid}


def reference(bills, days):
    """The features of one window in plain Python."""
    seen = [b for b in bills if b["age_days"] < days]
    late = [max(b["age_days"] - (b["paid_age"] or 0), 0) for b in seen]
    unpaid = [b for b in seen if b["paid_age"] is None and b["age_days"] > 0]
    return {
        f"count_{days}": len(seen),
        f"late_share_{days}": sum(d > 0 for d in late) / len(seen) if seen else None,
        f"late_30_share_{days}": sum(d >= 30 for d in late) / len(seen) if seen else None,
        f"days_late_mean_{days}": fmean(late) if seen else None,
        f"days_late_max_{days}": max(late, default=None),
        f"unpaid_share_{days}": len(unpaid) / len(seen) if seen else None,
    }


def test_a_bill_is_late_from_the_day_after_it_was_due(measure):
    rows = [bill(100, 100), bill(100, 99)]
    assert measure("bills", rows[:1])["late_share_365"] == 0
    assert measure("bills", rows)["late_share_365"] == 0.5
    assert measure("bills", rows)["days_late_mean_365"] == 0.5


def test_an_unpaid_bill_is_late_from_the_day_after_it_was_due(measure):
    due_today, due_yesterday = bill(0, None), bill(1, None)
    assert measure("bills", [due_today])["late_share_365"] == 0
    assert measure("bills", [due_today])["unpaid_share_365"] == 0
    assert measure("bills", [due_yesterday])["late_share_365"] == 1
    assert measure("bills", [due_yesterday])["unpaid_share_365"] == 1


def test_thirty_days_late_is_deep_and_29_is_not(measure):
    rows = [bill(100, 71), bill(100, 70)]
    assert measure("bills", rows[:1])["late_30_share_365"] == 0
    assert measure("bills", rows)["late_30_share_365"] == 0.5
    assert measure("bills", rows)["days_late_max_365"] == 30


def test_paid_early_counts_as_no_days_late(measure):
    assert measure("bills", [bill(100, 105), bill(100, 90)])["days_late_mean_365"] == 5


@pytest.mark.parametrize(("age", "inside"), [(29, 1), (30, 0)])
def test_a_window_ends_where_its_days_do(measure, age, inside):
    values = measure("bills", [bill(age, age)])
    assert (values["count_30"], values["count_90"]) == (inside, 1)
    assert (values["late_share_30"] is None) == (inside == 0)


def test_days_since_late_is_of_the_latest_late_bill(measure):
    rows = [bill(200, 150), bill(90, 80), bill(10, 10)]
    assert measure("bills", rows)["days_since_late"] == 90
    assert measure("bills", [bill(10, 10)])["days_since_late"] is None


def test_arrears_are_in_bills(measure):
    rows = [
        bill(60, None, 3_000, 0),
        bill(30, 20, 1_000, 400),
        bill(0, None, 2_000, 0),
        bill(90, 90, 2_000, 2_500),
    ]
    assert measure("bills", rows)["arrears_ratio"] == pytest.approx((3_000 + 600) / 2_000)


def test_a_payment_after_the_application_does_not_settle_a_bill(measure):
    assert measure("bills", [bill(10, None, 1_000, 1_000)])["arrears_ratio"] == 1


def test_the_trend_rises_when_the_late_bills_are_the_recent_ones(measure):
    rows = [bill(300, 300), bill(240, 240), bill(120, 110), bill(60, 50)]
    ages, late = [300, 240, 120, 60], [0, 0, 1, 1]
    slope = sum((a - 180) * y for a, y in zip(ages, late, strict=True)) / sum((a - 180) ** 2 for a in ages)
    assert measure("bills", rows)["late_trend"] == pytest.approx(-30 * slope)
    assert measure("bills", [bill(60, 50), bill(60, 60)])["late_trend"] is None


def test_the_variation_of_bills(measure):
    amounts = [1_000, 1_500, 2_900]
    values = measure("bills", [bill(10 * i, 10 * i, due) for i, due in enumerate(amounts, 1)])
    assert values["amount_cv"] == pytest.approx(stdev(amounts) / fmean(amounts), rel=1e-12)
    assert measure("bills", [bill(1, 1), bill(2, 2)])["amount_cv"] == 0
    assert measure("bills", [bill(1, 1)])["amount_cv"] is None
    assert measure("bills", [bill(1, 1, 0), bill(2, 2, 0)])["amount_cv"] is None


@settings(max_examples=25)
@given(st.lists(BILL, min_size=1, max_size=8), st.sampled_from(["polars", "pandas"]))
def test_any_bills_give_what_the_reference_gives(measure, close, rows, engine):
    values = measure("bills", rows, engine=engine)
    for days in (30, 90, 365):
        wanted = reference(rows, days)
        assert close(values, wanted, rel=1e-12)


@settings(max_examples=20)
@given(st.lists(BILL, min_size=1, max_size=8), st.sampled_from([2, 10, 1_000]))
def test_ratios_do_not_depend_on_the_unit_of_money(measure, close, rows, times):
    scaled = [row | {name: row[name] * times for name in ("amount_due", "amount_paid")} for row in rows]
    assert close(measure("bills", scaled), measure("bills", rows), rel=1e-9, abs=1e-7)
