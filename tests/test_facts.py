import json

import numpy as np
import pytest

from workbench.facts import make_fact
from workbench.statistics.estimate import Estimate


def met(value, **lines):
    return make_fact("x.y", value, about="A number", **lines).met


def interval(low, high):
    return Estimate(value=(low + high) / 2, low=low, high=high, level=0.95, method="bootstrap")


@pytest.mark.parametrize(
    ("value", "answer"), [(0.8, "yes"), (np.nextafter(0.8, 0), "no"), (0.81, "yes"), (0.79, "no")]
)
def test_a_plain_number_at_least_a_line(value, answer):
    assert met(value, at_least=0.8) == answer


@pytest.mark.parametrize(
    ("value", "answer"), [(0.1, "yes"), (np.nextafter(0.1, 1), "no"), (0.09, "yes"), (0.11, "no")]
)
def test_a_plain_number_at_most_a_line(value, answer):
    assert met(value, at_most=0.1) == answer


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.80, 0.90, "yes"),
        (0.79, 0.90, "unknown"),
        (0.70, 0.80, "unknown"),
        (0.70, 0.79, "no"),
    ],
)
def test_the_whole_interval_at_least_a_line(low, high, answer):
    assert met(interval(low, high), at_least=0.8) == answer


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [(0.1, 0.2, "yes"), (0.1, 0.21, "unknown"), (0.2, 0.3, "unknown"), (0.21, 0.3, "no")],
)
def test_the_whole_interval_at_most_a_line(low, high, answer):
    assert met(interval(low, high), at_most=0.2) == answer


@pytest.mark.parametrize(
    ("low", "high", "answer"),
    [
        (0.9, 1.1, "yes"),
        (0.89, 1.1, "unknown"),
        (0.9, 1.11, "unknown"),
        (0.8, 1.2, "unknown"),
        (0.7, 0.89, "no"),
        (1.11, 1.2, "no"),
    ],
)
def test_a_range_has_two_lines(low, high, answer):
    assert met(interval(low, high), at_least=0.9, at_most=1.1) == answer


@pytest.mark.parametrize("value", [0.9, 1.0, 1.1])
def test_both_ends_of_a_range_are_inside(value):
    assert met(value, at_least=0.9, at_most=1.1) == "yes"


@pytest.mark.parametrize("value", [np.nextafter(0.9, 0), np.nextafter(1.1, 2)])
def test_just_outside_a_range_is_not_met(value):
    assert met(value, at_least=0.9, at_most=1.1) == "no"


def test_a_line_of_zero_is_a_line():
    assert met(0.0, at_least=0.0) == "yes"
    assert met(-0.1, at_least=0.0) == "no"
    assert met(0.1, at_most=0.0) == "no"


def test_without_a_line_there_is_nothing_to_meet():
    assert met(0.8) is None
    assert met(interval(0.1, 0.2)) is None
    assert met("text") is None


def test_an_undefined_value_is_unknown():
    assert met(None, at_least=0.8) == "unknown"
    assert met(Estimate(None, None, None, 0.95, "undefined: nobody"), at_least=0.8) == "unknown"


def test_an_estimate_without_interval_is_decided_by_its_value():
    assert met(Estimate(0.9, None, None, 0.95, "no interval"), at_least=0.8) == "yes"
    assert met(Estimate(0.7, None, None, 0.95, "no interval"), at_least=0.8) == "no"


def test_a_fact_carries_its_interval_unit_and_line():
    fact = make_fact(
        "fairness.sex.adverse_impact_ratio",
        interval(0.84, 0.90),
        about="Ratio of approval rates",
        unit="ratio",
        at_least=0.8,
        line_source="params",
    )
    assert fact.as_dict() == {
        "id": "fairness.sex.adverse_impact_ratio",
        "value": pytest.approx(0.87),
        "about": "Ratio of approval rates",
        "unit": "ratio",
        "low": 0.84,
        "high": 0.90,
        "level": 0.95,
        "method": "bootstrap",
        "at_least": 0.8,
        "at_most": None,
        "line_source": "params",
        "met": "yes",
    }


def test_a_fact_without_interval_claims_no_level():
    fact = make_fact("data.applicants", 2_000, about="Applicants")
    assert (fact.value, fact.low, fact.high, fact.level, fact.method) == (2_000, None, None, None, "")


@pytest.mark.parametrize(
    ("value", "kind"),
    [(np.float64(0.5), float), (np.int64(3), int), (3, int), ("x", str), (None, type(None))],
)
def test_a_fact_is_plain_json(value, kind):
    fact = make_fact("a.b", value, about="x")
    assert type(fact.value) is kind
    assert json.loads(json.dumps(fact.as_dict(), allow_nan=False)) == fact.as_dict()


def test_a_fact_is_never_nan():
    with pytest.raises(ValueError, match="never NaN"):
        make_fact("a.b", float("nan"), about="x")
