import numpy as np
import polars as pl
import pytest
import xgboost
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError, ParamsError
from workbench.training.boosting import booster_settings
from workbench.training.checks import SEARCHABLE, check_space, check_training_data

BASE = booster_settings([0, 0], seed=1)
SPACE = {"max_depth": [2, 6], "learning_rate": [0.05, 0.3]}


def sample(size: int = 200, **columns) -> pl.DataFrame:
    """Two features that overlap between goods and defaults, and whatever else is given."""
    generator = np.random.default_rng(3)
    default = (np.arange(size) % 4 == 0).astype(int)
    first, second = generator.normal(size=(2, size))
    frame = {"applicant_id": np.arange(size), "default": default, "first": first + default, "second": second}
    return pl.DataFrame({**frame, **columns})


DEFAULT = sample()["default"]


def data_faults(frame: pl.DataFrame, names=("first", "second"), monotone=None) -> tuple[str, ...]:
    try:
        check_training_data(frame, names=names, monotone=[0] * len(names) if monotone is None else monotone)
    except DataError as error:
        return error.faults
    return ()


def faults_with(column, size: int = 200) -> tuple[str, ...]:
    return data_faults(sample(size, extra=column), ["first", "extra"])


def space_faults(space, base=BASE) -> tuple[str, ...]:
    try:
        check_space(space, base)
    except ParamsError as error:
        return error.faults
    return ()


# Data


def test_a_sound_sample_passes():
    assert data_faults(sample(), monotone=[1, -1]) == ()


def test_a_constant_feature_is_refused_and_one_that_is_also_missing_is_not():
    assert faults_with(np.full(200, 3.0)) == ("extra is constant: no row differs from another",)
    assert faults_with(np.where(np.arange(200) % 3 == 0, np.nan, 3.0)) == ()
    assert faults_with(np.where(np.arange(200) == 7, 2.0, 3.0)) == ()


def test_a_feature_that_differs_only_beyond_single_precision_is_constant():
    assert "constant" in faults_with(2.0**24 + (np.arange(200) % 2))[0]


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_an_infinite_value_is_counted(value):
    column = np.where(np.arange(200) < 3, value, np.arange(200) % 7)
    assert faults_with(column) == ("extra is infinite in 3 rows, or too large for single precision",)


def test_the_largest_number_of_single_precision_is_no_fault():
    assert faults_with(np.where(np.arange(200) < 3, 3e38, np.arange(200) % 7)) == ()


@pytest.mark.parametrize("missing", [None, np.nan])
def test_a_feature_that_is_missing_in_all_rows_is_refused(missing):
    assert faults_with(pl.Series([missing] * 200, dtype=pl.Float64)) == ("extra is missing in all rows",)


@pytest.mark.parametrize(
    "copy", [DEFAULT, 1 - DEFAULT, DEFAULT * 1000.0 - 5, DEFAULT.cast(pl.Boolean), DEFAULT.cast(pl.Float32)]
)
def test_a_copy_of_the_outcome_is_refused(copy):
    assert faults_with(copy) == ("extra is the outcome itself, or a copy of it",)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_feature_that_separates_is_refused_and_one_mistake_is_not(sign):
    spread = np.random.default_rng(1).uniform(0, 0.99, 200)
    leak = sign * (DEFAULT.to_numpy() + spread)
    fault = ("extra parts goods and defaults without a mistake: it holds the outcome",)
    assert faults_with(leak) == fault
    leak[0] = -leak[0]
    assert faults_with(leak) == ()


def test_that_a_value_is_missing_may_hold_the_outcome():
    days_late = np.where(DEFAULT == 1, np.random.default_rng(1).uniform(90, 400, 200), np.nan)
    assert "parts goods and defaults" in faults_with(days_late)[0]
    days_late[1] = 120  # a good
    assert faults_with(days_late) == ()


def test_missing_values_of_one_class_do_not_hide_a_separation():
    leak = np.where(np.arange(200) % 8 == 0, np.nan, DEFAULT + 0.5 * np.random.default_rng(1).random(200))
    assert "parts goods and defaults" in faults_with(leak)[0]
    leak[1] = np.nan  # a good
    assert faults_with(leak) == ()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(-3, 3)), min_size=4, max_size=12))
def test_a_leak_is_exactly_an_auc_of_0_or_1(rows):
    default, values = (np.array(column) for column in zip(*rows, strict=True))
    if len(set(default)) < 2:
        return
    frame = pl.DataFrame({"default": default, "extra": values})
    leaks = [fault for fault in data_faults(frame, ["extra"]) if "outcome" in fault]
    assert bool(leaks) == (roc_auc_score(default, values) in (0.0, 1.0))


@pytest.mark.parametrize(("outcome", "missing"), [(0, "default"), (1, "good")])
def test_both_outcomes_are_needed(outcome, missing):
    frame = sample().with_columns(default=pl.lit(outcome))
    assert data_faults(frame) == (f"there is no {missing}: nothing can be learned without at least one",)


def test_one_default_is_enough():
    assert (
        data_faults(sample(default=(np.arange(200) == np.argsort(sample()["first"])[100]).astype(int))) == ()
    )


@pytest.mark.parametrize(
    ("frame", "fault"),
    [
        (sample().drop("default"), "there is no column default"),
        (sample().clear(), "there are no rows"),
        (sample(default=["no", "yes"] * 100), "default holds String; it is 0 (good) or 1 (bad)"),
        (sample(default=[2, *DEFAULT[1:]]), "default is missing or neither 0 nor 1 in 1 of 200 rows"),
        (sample(default=[None, None, *DEFAULT[2:]]), "default is missing in 2 rows"),
    ],
)
def test_an_outcome_that_is_none(frame, fault):
    assert fault in data_faults(frame)


@pytest.mark.parametrize(
    ("names", "monotone", "fault"),
    [
        ([], [], "there are no features"),
        (["first"], [1, 0], "there are 2 directions for 1 features; each needs +1, -1 or 0"),
        (["first", "second"], [1, 2], "second: a direction is +1, -1 or 0"),
        (["first", "first"], [0, 0], "first is there twice"),
        (["frist"], [0], "frist is not in the sample (did you mean first?)"),
        (["first", "default"], [0, 0], "default is no feature: it is the outcome, an identifier or a date"),
        (["applicant_id"], [0], "applicant_id is no feature: it is the outcome, an identifier or a date"),
    ],
)
def test_names_and_directions_that_do_not_fit(names, monotone, fault):
    assert data_faults(sample(), names, monotone) == (fault,)


def test_a_text_is_no_feature():
    assert faults_with(["a", "b"] * 100) == ("extra holds String; a feature is a number",)


def test_all_faults_of_a_sample_come_together_and_no_row_is_quoted():
    frame = sample(flat=np.full(200, 8.25), leak=DEFAULT * 77.5, void=[None] * 200, far=[np.inf, *range(199)])
    with pytest.raises(DataError) as raised:
        check_training_data(frame, names=["flat", "leak", "void", "far", "gone"], monotone=[0] * 4)
    text = str(raised.value)
    for word in (
        "flat is constant",
        "leak is the outcome",
        "void holds Null",
        "far is infinite",
        "gone is not",
    ):
        assert word in text
    assert "4 directions for 5 features" in text
    assert "8.25" not in text
    assert "77.5" not in text


# Search space


def test_a_sound_space_passes_and_so_does_one_point():
    assert space_faults(SPACE) == ()
    assert space_faults({name: [1, 1] for name in SEARCHABLE}) == ()


def trained_with(space) -> None:
    settings = {**BASE, "monotone_constraints": (0,), "validate_parameters": True, **space}
    xgboost.train(settings, xgboost.QuantileDMatrix(np.arange(8.0)[:, None], np.arange(8) % 2), 1)


def test_every_searchable_setting_is_one_that_xgboost_knows():
    for end in (0, 1):  # the most of each is allowed, and so is the least where a range is closed
        trained_with({n: r[end] or 1e-3 for n, r in SEARCHABLE.items()})
    with pytest.warns(UserWarning, match="not used"):
        trained_with({"subsampel": 1})


def test_an_empty_space_is_refused():
    assert space_faults({}) == ("it is empty: name at least one setting with its low and high",)


@pytest.mark.parametrize(
    "name",
    ["monotone_constraints", "interaction_constraints", "objective", "seed", "tree_method", "eval_metric"],
)
@pytest.mark.parametrize("base", [BASE, {}])
def test_what_is_fixed_may_not_be_searched(name, base):
    assert space_faults({name: [0, 1]}, base)[0].startswith(f"{name} may not be searched: ")


def test_a_setting_is_searched_or_fixed_and_not_both():
    assert space_faults(SPACE, {**BASE, "max_depth": 3}) == (
        "max_depth is fixed already: search it, or fix it, not both",
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("learning_rat", "learning_rate"),
        ("eta", "learning_rate"),
        ("lambda", "reg_lambda"),
        ("subsampel", "subsample"),
    ],
)
def test_an_unknown_setting_gets_a_near_name(name, near):
    assert f"(did you mean {near}?)" in space_faults({name: [0.1, 0.2]})[0]


@pytest.mark.parametrize(
    ("name", "limits", "fault"),
    [
        ("max_depth", [6, 2], "max_depth runs from 6 down to 2; low comes first"),
        ("max_depth", [0, 3], "max_depth is [0, 3]; it lies within [1, 16]"),
        ("max_depth", [3, 17], "max_depth is [3, 17]; it lies within [1, 16]"),
        ("max_depth", [2, 3.5], "max_depth is [2, 3.5]; it takes whole numbers"),
        ("subsample", [0, 1], "subsample is [0, 1]; it lies within (0, 1]"),
        ("subsample", [0.5, 1.1], "subsample is [0.5, 1.1]; it lies within (0, 1]"),
        ("colsample_bytree", [-0.1, 1], "colsample_bytree is [-0.1, 1]; it lies within (0, 1]"),
        ("learning_rate", [0, 0.1], "learning_rate is [0, 0.1]; it lies within (0, 1]"),
        ("gamma", [-1, 1], "gamma is [-1, 1]; it lies within [0, 1e+06]"),
        ("subsample", [0.5], "subsample is [0.5]; a range is two numbers, low and high"),
        ("subsample", 0.5, "subsample is 0.5; a range is two numbers, low and high"),
        ("subsample", "ab", "subsample is 'ab'; a range is two numbers, low and high"),
        ("subsample", [0.5, None], "subsample is [0.5, None]; a range is two numbers, low and high"),
        ("subsample", [True, True], "subsample is [True, True]; a range is two numbers, low and high"),
        ("subsample", [0.5, float("nan")], "subsample is [0.5, nan]; a range is two numbers, low and high"),
    ],
)
def test_a_range_that_is_none(name, limits, fault):
    assert space_faults({name: limits}) == (fault,)


@pytest.mark.parametrize(
    ("name", "limits"),
    [("max_depth", [1, 16]), ("max_depth", (2.0, 4.0)), ("subsample", [1e-9, 1]), ("gamma", [0, 0])],
)
def test_the_limits_themselves_are_allowed(name, limits):
    assert space_faults({name: limits}) == ()


def test_all_faults_of_a_space_come_together():
    space = {"max_depth": [0, -1], "seed": [1, 2], "subsmple": [0.1, 1], "subsample": [0, 1]}
    faults = space_faults(space)
    assert len(faults) == 5
    assert [fault.split()[0] for fault in faults] == [
        "max_depth",
        "max_depth",
        "seed",
        "subsmple",
        "subsample",
    ]
