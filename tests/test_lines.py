import pytest

from workbench.lines import declared_lines, register_lines
from workbench.params import ROOT
from workbench.study import load_study

AT, LATER = "2026-11-01T08:00:00Z", "2026-11-02T08:00:00Z"


def study(*overrides):
    return load_study(ROOT / "params" / "smoke.yaml", overrides)


def test_every_line_of_the_study_is_declared():
    lines = declared_lines(study())
    assert lines["fairness.air_line"] == 0.8
    assert lines["validation.calibration_slope_lines"] == [0.9, 1.1]
    assert {"validation.auc_line", "monitoring.stability_lines", "scoring.tolerance"} <= set(lines)
    assert not [name for name in lines if name.startswith("report.")]


def test_at_first_all_are_declared_before_any_result():
    register = register_lines([], study("report.owner=O. Wner"), {}, AT)
    assert [entry["line"] for entry in register] == list(declared_lines(study()))
    assert {(entry["at"], entry["author"], entry["after_results"]) for entry in register} == {
        (AT, "O. Wner", False)
    }


def test_the_same_lines_again_add_nothing():
    register = register_lines([], study(), {}, AT)
    assert register_lines(register, study(), {"fairness": {"state": "complete"}}, LATER) == register


@pytest.mark.parametrize(("state", "after"), [("complete", True), ("open", False), ("failed", False)])
def test_a_changed_line_is_added_and_tells_whether_its_results_were_there(state, after):
    register = register_lines([], study(), {}, AT)
    stages = {"fairness": {"state": state}, "validation": {"state": "complete"}}
    changed = register_lines(register, study("fairness.air_line=0.85"), stages, LATER)
    assert changed[:-1] == register
    assert changed[-1] == {
        "line": "fairness.air_line",
        "value": 0.85,
        "author": "",
        "at": LATER,
        "after_results": after,
    }


def test_a_line_that_goes_back_is_added_again():
    register = register_lines([], study(), {}, AT)
    changed = register_lines(register, study("fairness.air_line=0.85"), {}, LATER)
    back = register_lines(changed, study(), {}, LATER)
    assert [entry["value"] for entry in back if entry["line"] == "fairness.air_line"] == [0.8, 0.85, 0.8]
