import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.statistics.ranking import auc, compare_auc, rank_correlation


def sample(seed, size=300):
    generator = np.random.default_rng(seed)
    default = generator.integers(0, 2, size)
    default[:2] = (0, 1)
    return default, np.clip(generator.random(size).round(2) * 0.8 + 0.1 * default, 0, 1)


@given(seed=st.integers(0, 10_000))
def test_the_area_is_that_of_scikit_learn(seed):
    default, prob_default = sample(seed)
    assert auc(default, prob_default).value == pytest.approx(roc_auc_score(default, prob_default), abs=1e-12)


@given(seed=st.integers(0, 10_000))
def test_turning_the_ranking_around_turns_the_area_around(seed):
    default, prob_default = sample(seed)
    assert auc(default, 1 - prob_default).value == pytest.approx(
        1 - auc(default, prob_default).value, abs=1e-12
    )


@given(seed=st.integers(0, 10_000))
def test_a_model_against_itself_has_no_difference(seed):
    default, prob_default = sample(seed)
    assert compare_auc(default, prob_default, prob_default).difference.value == 0


def test_one_class_is_refused():
    with pytest.raises(DataError):
        auc([1, 1, 1], [0.1, 0.2, 0.3])


# Rank correlation


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_the_interval_of_the_rank_correlation_covers(rho):
    draw, truth, hits = np.random.default_rng(2), 6 / np.pi * np.arcsin(rho / 2), 0
    for _ in range(600):
        first = draw.normal(size=150)
        second = rho * first + np.sqrt(1 - rho**2) * draw.normal(size=150)
        found = rank_correlation(first, second, level=0.95)
        hits += found.low <= truth <= found.high
    assert hits / 600 == pytest.approx(0.95, abs=0.03)


def test_the_rank_correlation_is_scipy_s_and_ends_where_nothing_varies():
    draw = np.random.default_rng(1)
    first, second = draw.normal(size=(2, 60))
    assert rank_correlation(first, second, level=0.9).value == pytest.approx(
        spearmanr(first, second).statistic
    )
    assert rank_correlation(first, np.exp(first), level=0.9).low is None
    assert rank_correlation(first, 0 * first, level=0.9).value is None
