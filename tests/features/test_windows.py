from statistics import fmean, stdev

import narwhals as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.features.windows import (
    Aggregate,
    Windows,
    aggregate_events,
    amount_measures,
    amount_variation,
    plain,
    ratio,
    relative_slope,
    share_of_periods,
    slope_over_events,
    variation,
)

WINDOWS = Windows((30, 90, 365), 365)
EVENTS = st.lists(st.tuples(st.integers(0, 364), st.integers(0, 10**12)), min_size=1, max_size=30)
MEASURES = {
    "one": nw.col("age_days") * 0 + 1,
    "age": nw.col("age_days"),
    "age_square": nw.col("age_days") * nw.col("age_days"),
    "x": nw.col("x"),
    "x_age": nw.col("x") * nw.col("age_days"),
} | amount_measures("x")


def aggregated(events, *aggregates, measures=MEASURES):
    """The aggregates of one applicant's events, given as (age_days, x)."""
    frame = pl.DataFrame(events, schema={"age_days": pl.Int64, "x": pl.Int64}, orient="row")
    lazy = nw.from_native(frame.with_columns(applicant_id=1).lazy())
    return aggregate_events(lazy, measures, aggregates)


def valued(events, value):
    """A value of one applicant's events."""
    rows = aggregated(events, *value.aggregates).select(value=value.expression)
    return rows.collect("polars").to_native()["value"].to_list()[0]


def period_sums(events):
    return [sum(x for age, x in events if age // 30 == period) for period in range(12)]


@pytest.mark.parametrize(
    ("days", "age", "inside"), [(30, 29, True), (30, 30, False), (90, 89, True), (90, 90, False)]
)
def test_a_window_holds_events_younger_than_its_days(days, age, inside):
    events = [(0, 1), (age, 10)]
    assert valued(events, plain(WINDOWS.total("x", days))) == (11 if inside else 1)
    assert valued(events, plain(WINDOWS.most("x", days))) == (10 if inside else 1)
    assert valued(events, plain(WINDOWS.least("age", days))) == 0


def test_nothing_in_a_window_sums_to_zero_and_has_no_extremes():
    events = [(100, 7)]
    assert valued(events, plain(WINDOWS.total("x", 30))) == 0
    assert valued(events, plain(WINDOWS.most("x", 30))) is None
    assert valued(events, ratio(WINDOWS.total("x", 30), WINDOWS.total("one", 30))) is None


def test_periods_are_the_whole_ones_of_the_longest_window():
    assert [aggregate.first for aggregate in WINDOWS.by_period("x")] == list(range(0, 360, 30))
    assert [aggregate.last for aggregate in WINDOWS.by_period("x")] == list(range(30, 361, 30))
    assert (WINDOWS.longest, WINDOWS.periods) == (365, 12)
    assert Windows((30,), 365).periods == 1


def test_a_window_of_the_whole_observation_needs_no_mask():
    assert WINDOWS.total("x", 365).last is None
    assert Windows((30, 90), 90).by_period("x")[-1] == Aggregate("x", "sum", 60, None)
    assert valued([(10, 1), (70, 5)], plain(Windows((30, 90), 90).by_period("x")[-1])) == 5


@given(EVENTS)
def test_every_event_of_the_whole_periods_is_in_exactly_one(events):
    sums = period_sums(events)
    values = [valued(events, plain(aggregate)) for aggregate in WINDOWS.by_period("x")[:3]]
    assert values == sums[:3]
    assert valued(events, share_of_periods(WINDOWS.by_period("x"))) == pytest.approx(
        sum(s > 0 for s in sums) / 12
    )


@given(EVENTS)
def test_variation_is_the_standard_deviation_over_the_mean_of_periods(events):
    sums = period_sums(events)
    found = valued(events, variation(WINDOWS.by_period("x")))
    assert found == (pytest.approx(stdev(sums) / fmean(sums), rel=1e-9) if sum(sums) else None)


@given(EVENTS)
def test_the_slope_is_least_squares_over_periods(events):
    sums = period_sums(events)
    times = [-period for period in range(12)]
    slope = sum((t + 5.5) * s for t, s in zip(times, sums, strict=True)) / 143
    found = valued(events, relative_slope(WINDOWS.by_period("x")))
    assert found == (pytest.approx(slope / fmean(sums), rel=1e-9, abs=1e-12) if sum(sums) else None)


@given(st.lists(st.tuples(st.integers(0, 364), st.integers(0, 1)), min_size=1, max_size=20))
def test_the_slope_over_events_is_least_squares_per_30_days(events):
    found = valued(events, slope_over_events(WINDOWS, "x"))
    mean = fmean(age for age, _ in events)
    spread = sum((age - mean) ** 2 for age, _ in events)
    if len({age for age, _ in events}) == 1:
        assert found is None
    else:
        slope = -30 * sum((age - mean) * x for age, x in events) / spread
        assert found == pytest.approx(slope, rel=1e-9, abs=1e-9)


@given(st.integers(1, 10**8), st.integers(2, 400))
def test_equal_amounts_do_not_vary(tenths, count):
    events = [(day % 365, tenths * 10) for day in range(count)]
    assert valued(events, amount_variation(WINDOWS, "x")) == pytest.approx(0, abs=1e-6)


@given(EVENTS.filter(lambda events: len(events) > 1))
def test_the_variation_of_amounts_is_of_capped_whole_tenths(events):
    tenths = [min(x // 10, 10**8) for _, x in events]
    found = valued(events, amount_variation(WINDOWS, "x"))
    wanted = stdev(tenths) / fmean(tenths) if sum(tenths) else None
    assert found == (None if wanted is None else pytest.approx(wanted, rel=1e-6, abs=1e-6))


@given(EVENTS, st.permutations(range(30)))
def test_the_order_of_events_does_not_change_a_bit(events, order):
    shuffled = [events[place] for place in order if place < len(events)]
    for value in (variation(WINDOWS.by_period("x")), slope_over_events(WINDOWS, "x")):
        assert valued(shuffled, value) == valued(events, value)


@given(EVENTS, st.integers(90, 364), st.integers(0, 10**12))
def test_an_event_beyond_the_longest_window_changes_nothing(events, age, x):
    short = Windows((30, 90), 365)
    values = (
        variation(short.by_period("x")),
        relative_slope(short.by_period("x")),
        slope_over_events(short, "x"),
        amount_variation(short, "x"),
        plain(short.most("x", 90)),
    )
    for value in values:
        assert valued([*events, (age, x)], value) == valued(events, value)


def test_only_the_measures_that_are_needed_are_computed():
    broken = {"x": nw.col("x"), "unread": nw.col("no_such_column")}
    rows = aggregated([(1, 5)], WINDOWS.total("x", 30), WINDOWS.total("x", 30), measures=broken)
    assert rows.collect("polars").to_native().to_dict(as_series=False) == {
        "applicant_id": [1],
        "x_sum_0_30": [5],
    }
