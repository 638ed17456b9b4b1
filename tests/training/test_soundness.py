import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import log_loss, roc_auc_score

from workbench.errors import DataError
from workbench.training.soundness import overfitting, soundness_table


def predictions(size=2_000, seed=1):
    """Outcomes with the PD of a model that saw them and of one that did not."""
    draw = np.random.default_rng(seed)
    true = -1.5 + draw.normal(size=size)
    default = (draw.random(size) < 1 / (1 + np.exp(-true))).astype(float)
    seen = true + 0.8 * (default - 0.5)
    return default, 1 / (1 + np.exp(-seen)), 1 / (1 + np.exp(-(true + 0.2 * draw.normal(size=size))))


DEFAULT, FITTED, UNSEEN = predictions()


def gaps(default=DEFAULT, fitted=FITTED, unseen=UNSEEN):
    table = overfitting(default, fitted, unseen, level=0.95)
    return {row["sample"]: row for row in table.iter_rows(named=True)}


def test_each_sample_is_measured_as_scikit_learn_does():
    found = gaps()
    assert list(found) == ["fitted", "out_of_fold", "gap"]
    for name, prob in (("fitted", FITTED), ("out_of_fold", UNSEEN)):
        assert found[name]["auc"] == pytest.approx(roc_auc_score(DEFAULT, prob))
        assert found[name]["log_loss"] == pytest.approx(log_loss(DEFAULT, prob))
        assert found[name]["log_loss_low"] < found[name]["log_loss"] < found[name]["log_loss_high"]


def test_what_was_learnt_by_heart_is_the_gap():
    found = gaps()
    assert found["gap"]["auc"] == pytest.approx(found["fitted"]["auc"] - found["out_of_fold"]["auc"])
    assert found["gap"]["auc_low"] > 0.05
    assert found["gap"]["log_loss_high"] < 0
    turned = gaps(fitted=UNSEEN, unseen=FITTED)
    assert turned["gap"]["auc"] == pytest.approx(-found["gap"]["auc"])


def test_a_model_that_remembers_nothing_has_no_gap():
    found = gaps(fitted=UNSEEN)
    assert found["gap"]["auc"] == 0
    assert found["gap"]["log_loss"] == 0
    assert found["gap"]["auc_low"] is None


def test_rows_that_no_fold_judged_are_left_out_of_both():
    half = np.where(np.arange(DEFAULT.size) < 1_000, np.nan, UNSEEN)
    assert gaps(unseen=half) == gaps(DEFAULT[1_000:], FITTED[1_000:], UNSEEN[1_000:])
    assert gaps(unseen=half)["gap"]["applicants"] == 1_000


def test_certain_predictions_have_a_finite_loss():
    found = gaps(fitted=DEFAULT)
    assert found["fitted"]["auc"] == 1
    assert found["fitted"]["log_loss"] == pytest.approx(0, abs=1e-12)
    assert np.isfinite(gaps(fitted=1 - DEFAULT)["fitted"]["log_loss"])


def test_the_interval_of_the_loss_covers_its_truth():
    """The expected loss of known PDs is their entropy."""
    runs, covered = 300, 0
    for seed in range(runs):
        draw = np.random.default_rng(seed)
        prob = draw.beta(2, 6, size=400)
        default = (draw.random(400) < prob).astype(float)
        row = gaps(default, prob, prob)["fitted"]
        grid = (np.arange(2_000) + 0.5) / 2_000
        density = 42 * grid * (1 - grid) ** 5
        entropy = -(density * (grid * np.log(grid) + (1 - grid) * np.log(1 - grid))).mean()
        covered += row["log_loss_low"] <= entropy <= row["log_loss_high"]
    assert abs(covered / runs - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / runs)


def test_a_sample_of_one_class_is_refused():
    with pytest.raises(DataError, match="at least one of each"):
        gaps(np.zeros(2_000))


# Everything in one table


def permuted(areas, p_value=0.01, width=0.02):
    rows = [
        {"permutation": at, "auc": area, "low": area - width, "high": area + width}
        for at, area in enumerate(areas)
    ]
    told = {"p_value": pl.Series([p_value, *[None] * (len(areas) - 1)])}
    return pl.DataFrame(rows).with_columns(**told, level=0.95, method=pl.lit("DeLong within folds"))


def alone(area=0.3, missing=0.5, line=0.9):
    strength = 0.5 + max(abs(area - 0.5), abs(missing - 0.5))
    row = {
        "feature": "a",
        "auc": area,
        "low": area - 0.05,
        "high": area + 0.02,
        "missing_auc": missing,
        "strength": strength,
        "line": line,
        "suspicious": strength > line,
        "level": 0.95,
        "method": "DeLong on log-odds",
    }
    return pl.DataFrame([row])


def memory(identifier=0.5, row_order=0.5):
    rows = [
        {"read_from": name, "auc": area, "low": area - 0.01, "high": area + 0.01}
        for name, area in (("identifier", identifier), ("row_order", row_order))
    ]
    return pl.DataFrame(rows).with_columns(level=0.95, method=pl.lit("DeLong within folds"))


def duplicates(count=0):
    return pl.DataFrame({"applicants": [60, 40], "nothing_known": [10, 0], "duplicated": [0, count]})


def checked(**changes):
    tables = {
        "permuted": permuted([0.8, *[0.5] * 99]),
        "alone": alone(),
        "memory": memory(),
        "duplicates": duplicates(),
        "fit": overfitting(DEFAULT, FITTED, UNSEEN, level=0.95),
        "gap_line": 0.5,
    }
    table = soundness_table(**tables | changes)
    return {row["check"]: row for row in table.iter_rows(named=True)}


def test_a_sound_model_passes_every_check():
    found = checked()
    assert list(found) == [
        *("permuted_target", "real_target", "future_feature", "identifier", "row_order", "duplicated_rows"),
        "overfitting",
    ]
    assert all(row["passed"] for row in found.values())
    assert all(row["meaning"] and row["method"] for row in found.values())


def test_permuted_outcomes_pass_unless_their_whole_interval_is_above_a_half():
    row = checked(permuted=permuted([0.8, 0.54, 0.56, 0.54, 0.56]))["permuted_target"]
    interval = stats.t.interval(0.95, df=3, loc=0.55, scale=stats.sem([0.54, 0.56, 0.54, 0.56]))
    assert row["value"] == pytest.approx(0.55)
    assert (row["low"], row["high"]) == pytest.approx(interval)
    assert row["passed"] is False
    assert checked(permuted=permuted([0.8, 0.4, 0.62, 0.52]))["permuted_target"]["passed"] is True
    assert checked(permuted=permuted([0.8, 0.4, 0.41]))["permuted_target"]["passed"] is True
    lone = checked(permuted=permuted([0.8, 0.52]))["permuted_target"]
    assert (lone["low"], lone["passed"]) == (None, False)


def test_too_few_permutations_cannot_show_a_relation():
    assert checked(permuted=permuted([0.8, *[0.5] * 18], p_value=1 / 19))["real_target"]["passed"] is None
    assert checked(permuted=permuted([0.8, *[0.5] * 19], p_value=1 / 20))["real_target"]["passed"] is True
    assert checked(permuted=permuted([0.5] * 20, p_value=2 / 20))["real_target"]["passed"] is False


def test_the_strongest_feature_is_turned_above_a_half_with_its_interval():
    row = checked(alone=alone(0.3))["future_feature"]
    assert (row["value"], row["low"], row["high"]) == pytest.approx((0.7, 0.68, 0.75))
    assert checked(alone=alone(0.7))["future_feature"]["high"] == pytest.approx(0.72)
    assert checked(alone=alone(0.95))["future_feature"]["passed"] is False
    by_absence = checked(alone=alone(0.6, missing=1.0))["future_feature"]
    assert (by_absence["value"], by_absence["low"], by_absence["passed"]) == (1.0, None, False)


def test_identifiers_and_repeated_rows_fail_when_they_tell_something():
    found = checked(memory=memory(identifier=0.6), duplicates=duplicates(3))
    assert found["identifier"]["passed"] is False
    assert found["row_order"]["passed"] is True
    assert found["duplicated_rows"]["value"] == 3 / 90
    assert found["duplicated_rows"]["passed"] is False


def test_the_gap_is_held_against_its_line_if_there_is_one():
    gap = gaps()["gap"]["auc"]
    assert checked(gap_line=gap)["overfitting"]["passed"] is True
    assert checked(gap_line=gap - 1e-9)["overfitting"]["passed"] is False
    open_ = checked(gap_line=None)["overfitting"]
    assert open_["passed"] is None
    assert open_["bound"] is None
