import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.statistics.ranking import auc, compare_auc


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
