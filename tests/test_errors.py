import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench import errors
from workbench.errors import DataError, RunError, StageError, WorkbenchError, near_name


def test_the_tree_of_errors_is_the_one_drawn():
    tree = {
        kind.__name__: kind.__base__.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert tree == {
        "WorkbenchError": "Exception",
        "ParamsError": "WorkbenchError",
        "DataError": "WorkbenchError",
        "EngineError": "WorkbenchError",
        "RunError": "WorkbenchError",
        "StageError": "RunError",
        "RenderError": "WorkbenchError",
        "RolloutError": "WorkbenchError",
        "GateError": "RolloutError",
    }
    assert all(name in errors.__doc__ for name in tree)


def test_an_error_prints_its_summary_and_every_fault():
    error = DataError("two things are wrong", ["first", "second"])
    assert str(error) == "two things are wrong\n  - first\n  - second"
    assert error.summary == "two things are wrong"
    assert error.faults == ("first", "second")


def test_an_error_without_faults_is_its_summary():
    assert str(WorkbenchError("alone")) == "alone"
    assert WorkbenchError("alone").faults == ()


def test_faults_may_come_from_a_generator():
    assert DataError("some", (str(number) for number in range(2))).faults == ("0", "1")


def test_a_stage_error_carries_where_it_stopped():
    error = StageError("training", 7, "DataError: too small", "runs/x/training.ipynb")
    assert (error.stage, error.cell, error.cause, error.notebook) == (
        "training",
        7,
        "DataError: too small",
        "runs/x/training.ipynb",
    )
    assert error.summary == "Stage training stopped at cell 7: DataError: too small"
    assert "the executed notebook is kept: runs/x/training.ipynb" in error.faults
    with pytest.raises(RunError):
        raise error


def test_a_stage_that_never_reached_a_cell_stopped_at_its_start():
    assert StageError("data", 0, "no kernel", "x").summary == "Stage data stopped at its start: no kernel"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("late_counts", " (did you mean late_count?)"),
        ("paid_men", " (did you mean paid_mean?)"),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_near_names(name, text):
    assert near_name(name, ["late_count", "paid_mean"]) == text


def test_nothing_is_near_an_empty_list():
    assert near_name("anything", []) == ""


@given(st.text(min_size=1), st.lists(st.text(), max_size=5))
def test_a_near_name_is_always_a_known_one(name, known):
    text = near_name(name, known)
    assert text == "" or text.removeprefix(" (did you mean ").removesuffix("?)") in known
