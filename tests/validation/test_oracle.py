import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.validation.oracle import oracle_table


def world(size=3000, noise=0.0, bias=0.0, seed=1):
    draw = np.random.default_rng(seed)
    true = expit(draw.normal(-1, 1, size))
    default = (draw.random(size) < true).astype(int)
    return default, expit(logit(true) + bias + noise * draw.normal(size=size)), true


def by_measure(table):
    return {row["measure"]: row for row in table.iter_rows(named=True)}


def test_the_oracle_itself_leaves_nothing_to_find():
    default, prob, true = world()
    found = by_measure(oracle_table(default, prob, true))
    assert found["oracle_auc"]["value"] == pytest.approx(roc_auc_score(default, true))
    assert found["auc_gap"]["value"] == 0
    assert found["rank_correlation"]["value"] == pytest.approx(1)
    assert found["absolute_error"]["value"] == pytest.approx(0, abs=1e-12)


def test_a_worse_model_is_told_as_one():
    default, prob, true = world(noise=1.0, bias=0.5)
    found = by_measure(oracle_table(default, prob, true))
    gap = roc_auc_score(default, prob) - roc_auc_score(default, true)
    assert found["auc_gap"]["value"] == pytest.approx(gap)
    assert found["auc_gap"]["high"] < 0
    assert found["log_odds_bias"]["low"] < 0.5 < found["log_odds_bias"]["high"]
    assert found["rank_correlation"]["value"] == pytest.approx(spearmanr(prob, true).statistic)
    assert found["absolute_error"]["unit"] == "share"


def test_without_a_truth_there_are_no_rows():
    default, prob, true = world(size=50)
    nothing, something = oracle_table(default, prob, None), oracle_table(default, prob, true)
    assert nothing.height == 0
    assert nothing.schema == something.schema


def test_a_truth_that_is_none_is_refused():
    default, prob, _ = world(size=50)
    with pytest.raises(DataError, match="cannot be measured"):
        oracle_table(default, prob, np.full(49, 1.5))
    assert isinstance(oracle_table(default, prob, prob), pl.DataFrame)
