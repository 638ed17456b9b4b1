import pytest


def at(age, hour=12, weekday=3):
    return {"age_days": age, "hour": hour, "weekday": weekday, "amount": 100}


def test_night_ends_at_six(measure):
    values = measure("topups", [at(1, 0), at(2, 5), at(3, 6), at(40, 23)])
    assert values["night_share_30"] == pytest.approx(2 / 3)
    assert values["night_share_90"] == 0.5


def test_the_weekend_is_saturday_and_sunday(measure):
    values = measure("topups", [at(1, weekday=day) for day in (5, 6, 7, 1)])
    assert values["weekend_share_30"] == 0.5


def test_active_periods_are_counted_once_each(measure):
    values = measure("topups", [at(0), at(29), at(30), at(359), at(360)])
    assert values["active_periods_share"] == pytest.approx(3 / 12)


def test_days_since_the_last_event_and_since_the_first(measure):
    values = measure("topups", [at(17), at(40), at(364)])
    assert (values["days_since_last"], values["tenure_days"]) == (17, 364)


def test_no_event_no_rhythm(measure):
    values = measure("transactions", [])
    assert values["missing"] == 1
    assert {v for name, v in values.items() if name != "missing"} == {None}


def test_bills_have_a_tenure_and_no_rhythm(measure):
    values = measure("bills", [{"age_days": 200, "paid_age": 200}])
    assert values["tenure_days"] == 200
    assert not [name for name in values if name.startswith(("night", "weekend", "active"))]
