"""Reasons looked up leaf by leaf are those of the reference library, for one applicant and for many."""

import numpy as np
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from tests.scoring.making import NAMES, applicants, booster, matrix_of
from workbench.errors import DataError
from workbench.explanation.tree_shap import woodelf_values
from workbench.scoring.forest import leaves_of
from workbench.scoring.reference import BLOCK_ROWS, FEW_ROWS, attributor, reference_counts

pytestmark = pytest.mark.filterwarnings("ignore:The set_(bad|over|under) function:PendingDeprecationWarning")


def singles(count):
    return matrix_of(applicants().head(count)).astype(np.float32)


def made(depth, background):
    leaves = leaves_of(booster(depth))
    return attributor(leaves, reference_counts(leaves, background), features=len(NAMES))


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_values_are_those_of_woodelf(depth):
    rows, background = singles(700), singles(3000)[-90:]
    values = made(depth, background).values(rows)
    assert np.abs(values - woodelf_values(booster(depth), rows, background)).max() < 1e-6


def test_values_are_those_of_shap():
    import shap

    rows, background = singles(50), singles(3000)[-40:]
    explainer = shap.TreeExplainer(booster(3), background, feature_perturbation="interventional")
    assert np.abs(made(3, background).values(rows) - explainer.shap_values(rows)).max() < 1e-4


@pytest.mark.parametrize("count", [1, FEW_ROWS - 1, FEW_ROWS, BLOCK_ROWS - 1, BLOCK_ROWS, BLOCK_ROWS + 1])
def test_one_by_one_and_by_the_block_give_the_same_bits(count):
    rows, explaining = singles(count), made(3, singles(60))
    alone = np.vstack([explaining.values(rows[at : at + 1]) for at in range(count)])
    assert np.array_equal(explaining.values(rows), alone)


@given(st.lists(st.sampled_from([np.nan, -1e30, 1e30, 0.0, 1.0, 0.71, 12345.0]), min_size=6, max_size=6))
def test_they_add_up_to_the_margin_whatever_the_values(values):
    row, background = np.array([values], dtype=np.float32), singles(60)
    margin, mean = (
        booster(3).predict(xgboost.DMatrix(part), output_margin=True) for part in (row, background)
    )
    total = made(3, background).values(row).sum()
    assert total == pytest.approx(float(margin[0]) - float(mean.mean()), abs=1e-5)


def test_values_at_a_threshold_go_xgboosts_way():
    leaves = leaves_of(booster(3))
    ends = np.unique(leaves.low[np.isfinite(leaves.low)])
    rows = np.repeat(singles(1), 2 * ends.size, axis=0)
    for place in range(len(NAMES)):
        of = np.unique(leaves.low[(leaves.feature == place) & np.isfinite(leaves.low)])
        rows[: of.size, place] = of
        rows[of.size : 2 * of.size, place] = np.nextafter(of, np.float32(-np.inf))
    background = singles(60)
    margin = booster(3).predict(xgboost.DMatrix(rows), output_margin=True)
    mean = booster(3).predict(xgboost.DMatrix(background), output_margin=True).mean()
    assert np.abs(made(3, background).values(rows).sum(axis=1) - (margin - mean)).max() < 1e-5


def test_against_oneself_nothing_counts():
    person = singles(1)
    assert made(3, person).values(person).tolist() == [[0.0] * len(NAMES)]


def test_counts_hold_everybody_of_the_background():
    leaves = leaves_of(booster(3))
    counts = reference_counts(leaves, singles(60))
    assert np.bincount(counts.leaf, counts.count).tolist() == [60] * leaves.value.size


def test_nobody_to_compare_with_is_refused():
    with pytest.raises(DataError, match="nobody to compare with"):
        reference_counts(leaves_of(booster(3)), singles(3)[:0])


def test_a_leaf_with_too_many_features_is_refused():
    generator = np.random.default_rng(1)
    rows = generator.normal(size=(4000, 14))
    outcome = ((rows > 0).sum(axis=1) % 2).astype(int)
    deep = xgboost.train(
        {"max_depth": 12, "objective": "binary:logistic", "min_child_weight": 0},
        xgboost.DMatrix(rows, outcome),
        3,
    )
    with pytest.raises(DataError, match="features on its way"):
        leaves_of(deep)
