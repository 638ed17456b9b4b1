import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.training.boosting import booster_settings
from workbench.training.folds import boosted_out_of_fold, make_folds, out_of_fold


def people(size=600, months=8, seed=1, repeat=1):
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "applicant_id": np.arange(size) // repeat,
            "default": (draw.random(size) < 0.2).astype(int),
            "vintage": [f"2025-{m + 1:02}" for m in draw.integers(0, months, size)],
        }
    )


@given(folds=st.integers(2, 10), seed=st.integers(0, 1_000))
def test_at_random_every_row_judges_once_and_never_its_own_model(folds, seed):
    rows = people()
    made = make_folds(rows, folds=folds, forward=False, seed=seed)
    assert len(made.pairs) == folds
    assert np.array_equal(np.sort(np.concatenate([j for _, j in made.pairs])), np.arange(rows.height))
    for fitted, judged in made.pairs:
        assert np.array_equal(np.sort(np.concatenate([fitted, judged])), np.arange(rows.height))


def test_defaults_are_spread_evenly():
    rows = people()
    counts = [
        rows[judged]["default"].sum() for _, judged in make_folds(rows, folds=5, forward=False, seed=3).pairs
    ]
    assert max(counts) - min(counts) <= 1


def test_rows_of_one_applicant_stay_together():
    rows = people(repeat=3)
    for fitted, judged in make_folds(rows, folds=4, forward=False, seed=1).pairs:
        assert not set(rows[fitted]["applicant_id"]) & set(rows[judged]["applicant_id"])


def test_the_order_of_the_rows_does_not_matter():
    rows = people()
    shuffled = rows.sample(fraction=1, shuffle=True, seed=2)
    plain, other = (make_folds(r, folds=4, forward=False, seed=1) for r in (rows, shuffled))
    for (_, a), (_, b) in zip(plain.pairs, other.pairs, strict=True):
        assert set(rows[a]["applicant_id"]) == set(shuffled[b]["applicant_id"])


def test_another_seed_draws_other_folds():
    rows = people()
    one, two = (make_folds(rows, folds=4, forward=False, seed=s).pairs[0][1] for s in (1, 2))
    assert not np.array_equal(one, two)


@given(folds=st.integers(2, 7))
def test_forward_in_time_only_the_past_is_fitted_on(folds):
    rows = people()
    made = make_folds(rows, folds=folds, forward=True, seed=1)
    assert len(made.pairs) == folds
    for fitted, judged in made.pairs:
        assert rows[fitted]["vintage"].max() < rows[judged]["vintage"].min()
    assert rows[made.judged]["vintage"].max() == rows["vintage"].max()
    assert rows[made.judged]["vintage"].min() > rows["vintage"].min()


def test_forward_needs_a_month_more_than_folds():
    make_folds(people(months=4), folds=3, forward=True, seed=1)
    with pytest.raises(DataError, match="3 folds forward in time need 4 months; development has 3"):
        make_folds(people(months=3), folds=3, forward=True, seed=1)


def test_a_fold_without_a_default_is_refused_with_every_fault():
    rows = people(size=40).with_columns(default=pl.Series([1, 1] + [0] * 38))
    with pytest.raises(DataError, match="too small for its folds") as caught:
        make_folds(rows, folds=4, forward=False, seed=1)
    assert len(caught.value.faults) == 3


def test_what_no_fold_judges_has_no_prediction():
    rows = people()
    made = make_folds(rows, folds=3, forward=True, seed=1)
    predicted = out_of_fold(made, rows.height, lambda fitted, judged: np.full(judged.size, fitted.size))
    assert np.array_equal(np.flatnonzero(~np.isnan(predicted)), made.judged)


def test_a_booster_learns_nothing_of_the_rows_it_judges():
    """A column that numbers the rows separates them perfectly in the fit, and tells nothing of others."""
    rows = people(size=2_000)
    noise = np.random.default_rng(5).random((2_000, 1))
    settings = booster_settings([0], seed=1) | {"max_depth": 8, "min_child_weight": 0.01}
    made = make_folds(rows, folds=4, forward=False, seed=1)
    default = rows["default"].to_numpy().astype(float)
    judged = boosted_out_of_fold(noise, default, made, settings=settings, rounds=60)
    assert abs(roc_auc_score(default, judged) - 0.5) < 0.06
