"""The plan, its alerts, and what they recommend: both sides of every line."""

import polars as pl
import pytest

from workbench.errors import DataError
from workbench.monitoring.alerts import ALERT_SCHEMA, alert_table
from workbench.monitoring.plan import TRIGGERS, breach, plan_table
from workbench.monitoring.retraining import KEEP, NOT_SETTLED, RECALIBRATE, RETRAIN, recommend

LINES = {
    "stability_lines": (0.1, 0.25),
    "default_rate_line": 0.2,
    "auc_line": 0.7,
    "calibration_line": 0.03,
    "impact_line": 0.8,
    "refused_line": 0.01,
    "override_line": 0.05,
    "latency_line": 15.0,
    "error_line": 0.001,
}
INDEX = {"name": pl.String, "stability": pl.Float64, "state": pl.String}
MEASURE = ("measure", "of", "value", "low", "high", "p_value")


def plan(**owners):
    return plan_table(**LINES, owners=owners)


def alerts(indices=(), measures=(), **owners):
    table = pl.DataFrame(list(indices), schema=INDEX, orient="row")
    schema = {name: pl.String if name in ("measure", "of") else pl.Float64 for name in MEASURE}
    measured = pl.DataFrame(list(measures), schema=schema, orient="row")
    return alert_table(plan(**owners), table, measured, false_alarms=0.06)


def told(*arguments, **options):
    return alerts(*arguments, **options).select("trigger", "severity", "of").rows()


def test_every_trigger_is_in_the_plan_with_its_owner():
    found = plan(auc="A. Mensah, model owner")
    assert set(found["trigger"]) == set(TRIGGERS)
    assert found.filter(trigger="auc")["owner"].item() == "A. Mensah, model owner"
    assert found.filter(pl.col("trigger") != "auc")["owner"].null_count() == found.height - 1


def test_an_owner_of_nothing_is_refused():
    with pytest.raises(DataError) as raised:
        plan(aucs="someone", x="y")
    assert raised.value.faults == ("aucs is no trigger (did you mean auc?)", "x is no trigger")


@pytest.mark.parametrize(
    ("side", "low", "high", "expected"),
    [
        ("above", 0.201, 0.3, True),
        ("above", 0.2, 0.3, False),
        ("above", 0.1, 0.3, False),
        ("below", 0.1, 0.199, True),
        ("below", 0.1, 0.2, False),
        ("below", None, None, False),
    ],
)
def test_only_a_whole_interval_beyond_the_line_is_a_breach(side, low, high, expected):
    assert breach(low, high, side=side, line=0.2) is expected


def test_indices_alert_by_their_state():
    rows = [("score", 0.02, "beyond chance"), ("a", 0.05, "beyond chance"), ("b", 0.12, "watch")]
    rows += [("c", 0.3, "act"), ("d", 0.0, "stable")]
    assert told(rows) == [
        ("feature_shift", "act", "c"),
        ("feature_shift", "watch", "b"),
        ("score_shift", "notice", "score"),
    ]
    assert told([("score", 0.3, "act")]) == [("score_shift", "act", "score")]


def test_many_features_are_one_alert():
    found = alerts([(f"f{number}", 0.9 - 0.01 * number, "act") for number in range(8)]).row(0, named=True)
    assert (found["of"], found["value"]) == ("f0, f1, f2, f3, f4 and 3 more", 0.9)


@pytest.mark.parametrize(
    ("measure", "beyond", "within", "trigger"),
    [
        ("refused", (0.011, 0.02), (0.005, 0.02), "data_quality"),
        ("auc", (0.6, 0.69), (0.6, 0.71), "auc"),
        ("estimated_auc", (0.6, 0.69), (0.6, 0.71), "estimated_auc"),
        ("calibration_gap", (0.031, 0.05), (0.02, 0.05), "calibration"),
        ("calibration_gap", (-0.05, -0.031), (-0.05, -0.02), "calibration"),
        ("approved_default_rate", (0.21, 0.3), (0.15, 0.25), "approved_defaults"),
        ("adverse_impact_ratio", (0.6, 0.79), (0.7, 0.85), "impact_ratio"),
        ("overridden", (0.06, 0.1), (0.04, 0.1), "overrides"),
        ("latency_p99", (15.1, 20.0), (14.0, 20.0), "latency"),
        ("failed_requests", (0.002, 0.01), (0.0, 0.01), "errors"),
    ],
)
def test_each_measure_has_its_trigger(measure, beyond, within, trigger):
    rows = [(measure, "all", sum(ends) / 2, *ends, None) for ends in (beyond, within)]
    assert [row[0] for row in told((), rows[:1])] == [trigger]
    assert told((), rows[1:]) == []


def test_shifts_of_the_mix_go_by_chance_and_the_line():
    assert told((), [("batch_auc", "a, b", 0.6, 0.55, 0.65, 0.02)]) == [
        ("multivariate_shift", "watch", "a, b")
    ]
    assert told((), [("batch_auc", "a, b", 0.6, 0.55, 0.65, 0.021)]) == []
    assert told((), [("first_reason_shift", "all", 0.1, None, None, 0.001)])[0][0] == "reason_shift"
    assert told((), [("first_reason_shift", "all", 0.09, None, None, 0.001)]) == []
    assert told((), [("first_reason_shift", "all", 0.1, None, None, 0.3)]) == []


def test_an_alert_carries_line_response_and_owner():
    found = alerts((), [("auc", "all", 0.65, 0.6, 0.69, None)], auc="A. Mensah").row(0, named=True)
    assert (found["line"], found["owner"]) == (0.7, "A. Mensah")
    assert found["response"] == "validate again, prepare to train anew"


def some(*triggers):
    rows = [(name, severity, "x", 0.0, None, None, None, "", None) for name, severity in triggers]
    return pl.DataFrame(rows, schema=ALERT_SCHEMA, orient="row")


BEYOND = some(("calibration", "act"))


@pytest.mark.parametrize(
    ("now", "earlier", "action"),
    [
        (some(), [], KEEP),
        (some(("latency", "watch")), [], KEEP),
        (some(("auc", "act")), [], RETRAIN),
        (BEYOND, [], NOT_SETTLED),
        (BEYOND, [some()], NOT_SETTLED),
        (BEYOND, [some(), BEYOND], NOT_SETTLED),
        (BEYOND, [BEYOND], RECALIBRATE),
        (some(("calibration", "act"), ("score_shift", "notice")), [BEYOND], RETRAIN),
        (some(("score_shift", "act")), [], NOT_SETTLED),
        (some(("score_shift", "watch"), ("estimated_auc", "watch")), [], NOT_SETTLED),
        (some(("score_shift", "act"), ("estimated_auc", "watch")), [], RETRAIN),
        (some(("multivariate_shift", "watch")), [], NOT_SETTLED),
    ],
)
def test_what_is_recommended(now, earlier, action):
    found = recommend(now, earlier, outcomes_known="auc" in now["trigger"])
    assert found.action == action
    assert found.evidence


def test_a_shift_whose_outcomes_hold_is_no_reason_to_train_anew():
    shift = some(("score_shift", "act"), ("estimated_auc", "watch"))
    assert recommend(some(("score_shift", "watch")), [], outcomes_known=True).action == KEEP
    assert recommend(some(("score_shift", "watch")), [], outcomes_known=False).action == NOT_SETTLED
    assert recommend(shift, [], outcomes_known=False).action == RETRAIN
