from math import inf, nan

import pytest
from scipy.stats import norm

from workbench.statistics.estimate import (
    Estimate,
    bounded,
    met,
    normal_estimate,
    normal_quantile,
    paired_comparison,
    undefined,
)


def between(low, high, value=None):
    return Estimate((low + high) / 2 if value is None else value, low, high, 0.95, "test")


def exactly(value):
    return Estimate(value, None, None, 0.95, "test")


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.81, 0.90, "yes"),
        (0.80, 0.90, "yes"),  # starts on the line: met
        (0.79, 0.90, "unknown"),
        (0.70, 0.80, "unknown"),  # ends on the line: the line itself is good
        (0.70, 0.79, "no"),
    ],
)
def test_met_at_least_at_and_around_its_boundary(low, high, expected):
    assert met(between(low, high), at_least=0.80) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 0.09, "yes"),
        (0.02, 0.10, "yes"),  # ends on the line: met
        (0.02, 0.11, "unknown"),
        (0.10, 0.20, "unknown"),  # starts on the line
        (0.11, 0.20, "no"),
    ],
)
def test_met_at_most_at_and_around_its_boundary(low, high, expected):
    assert met(between(low, high), at_most=0.10) == expected


@pytest.mark.parametrize(
    ("low", "high", "expected"), [(0.8, 1.25, "yes"), (0.7, 1.3, "unknown"), (1.3, 2, "no")]
)
def test_met_within_two_lines(low, high, expected):
    assert met(between(low, high), at_least=0.8, at_most=1.25) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.8, "yes"), (0.79, "no")])
def test_a_value_without_interval_decides_alone(value, expected):
    assert met(exactly(value), at_least=0.8) == expected


def test_the_interval_decides_and_not_the_value():
    assert met(between(0.7, 0.9, value=0.95), at_least=0.8) == "unknown"


def test_an_undefined_value_is_unknown():
    assert met(undefined(0.95, "0 trials"), at_least=0.8) == "unknown"


def test_met_wants_a_line():
    with pytest.raises(ValueError, match="needs a line"):
        met(exactly(1))


@pytest.mark.parametrize("numbers", [(nan, None, None), (1, 0, inf), (1, 0, None), (1, 2, 0)])
def test_an_estimate_never_holds_nan_half_an_interval_or_one_upside_down(numbers):
    with pytest.raises(ValueError, match="An estimate"):
        Estimate(*numbers, 0.95, "test")


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
def test_normal_quantile_equals_scipy(level):
    assert normal_quantile(level) == pytest.approx(norm.ppf(0.5 + level / 2), abs=1e-12)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_0_and_1_is_refused(level):
    with pytest.raises(ValueError, match="between 0 and 1"):
        normal_quantile(level)


def test_paired_comparison_has_the_normal_p_value():
    comparison = paired_comparison(0.3, 0.1, level=0.95, method="test")
    assert comparison.p_value == pytest.approx(2 * norm.sf(3), rel=1e-12)
    assert comparison.z == pytest.approx(3)


@pytest.mark.parametrize("error", [0.0, nan])
def test_no_variation_is_no_interval_and_not_certainty(error):
    assert normal_estimate(0.5, error, level=0.95, method="test").low is None
    assert paired_comparison(0.0, error, level=0.95, method="test").p_value is None


def test_bounded_cuts_the_interval_and_leaves_the_value():
    assert bounded(between(-0.1, 1.1, value=0.4), least=0, most=1) == between(0, 1, value=0.4)
    assert bounded(exactly(2), least=0, most=1) == exactly(2)
