import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.engine import missing_for_gpu
from workbench.errors import DataError
from workbench.explanation.interactions import interactions
from workbench.explanation.tree_shap import single_matrix, xgboost_values
from workbench.scorer import Calibration, Scorer, ScoreScale
from workbench.statistics.means import mean_estimate

NAMES = ("a", "b", "c", "d")


def table(size: int) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    columns = {name: generator.normal(size=size) for name in NAMES}
    gaps = [
        pl.when(pl.Series(generator.random(size) >= 0.1)).then(pl.col(name)).alias(name) for name in NAMES
    ]
    return pl.DataFrame({"applicant_id": range(size), **columns}).with_columns(gaps)


def train(frame: pl.DataFrame, depth: int = 3) -> Scorer:
    """b and c raise the risk together; a does alone and d plays no part."""
    values = frame.select(NAMES).fill_null(0).to_numpy()
    log_odds = values[:, 0] + 4 * ((values[:, 1] > 0) & (values[:, 2] > 0)) - 2
    default = np.random.default_rng(1).random(frame.height) < 1 / (1 + np.exp(-log_odds))
    settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "seed": 1}
    matrix = xgboost.DMatrix(single_matrix(frame.with_columns(d=pl.lit(0.0)), NAMES), default)
    booster = xgboost.train(settings, matrix, num_boost_round=15)
    return Scorer(NAMES, booster, Calibration(), ScoreScale(600, 50, 20), 512.0)


FRAME = table(2_000)
SCORER = train(FRAME)
VALUES = xgboost_values(SCORER.booster, single_matrix(FRAME, NAMES))
OWN = SCORER.booster.predict(xgboost.DMatrix(single_matrix(FRAME, NAMES)), pred_interactions=True).astype(
    float
)


def found(top: int = 10, frame: pl.DataFrame = FRAME, values: np.ndarray = VALUES, **options):
    return interactions(SCORER, frame, values, top=top, level=0.95, **options)


def test_interactions_are_xgboost_s():
    result = found()
    assert result.values.shape == (2_000, 3)
    for at, (first, second) in enumerate(result.pairs):
        expected = OWN[:, NAMES.index(first), NAMES.index(second)]
        assert result.values[:, at] == pytest.approx(expected, abs=1e-5)
    assert result.alone == pytest.approx(np.einsum("nii->ni", OWN)[:, :-1], abs=1e-5)


def test_alone_and_both_halves_of_the_interactions_are_the_shap_value():
    result = found()
    sums = result.alone.copy()
    for at, pair in enumerate(result.pairs):
        for name in pair:
            sums[:, NAMES.index(name)] += result.values[:, at]
    assert sums == pytest.approx(VALUES, abs=1e-6)


def test_the_pair_that_works_together_comes_first():
    result = found()
    assert result.pairs[0] == ("b", "c")
    assert result.table["feature"].to_list() == [first for first, _ in result.pairs]
    assert result.table["interaction"].is_sorted(descending=True)
    assert result.table["interaction"][0] > 3 * result.table["interaction"][1]


def test_a_feature_that_plays_no_part_has_no_pair():
    result = found()
    assert {name for pair in result.pairs for name in pair} == {"a", "b", "c"}
    assert (result.alone[:, 3] == 0).all()


@pytest.mark.parametrize("top", [0, 1, 2])
def test_as_many_pairs_as_asked_for(top):
    whole, part = found(), found(top)
    assert part.pairs == whole.pairs[:top]
    assert part.values.tobytes() == whole.values[:, :top].tobytes()
    assert part.alone.tobytes() == whole.alone.tobytes()
    assert part.table.equals(whole.table)


def test_a_mean_has_the_interval_of_a_mean_over_applicants():
    result = found()
    for at, row in enumerate(result.table.iter_rows(named=True)):
        estimate = mean_estimate(np.abs(result.values[:, at]), level=0.95)
        assert row["interaction"] == pytest.approx(estimate.value)
        assert (row["low"], row["high"]) == pytest.approx((estimate.low, estimate.high))
        assert "mean over applicants" in row["method"]


def test_more_rows_than_a_batch_holds():
    frame = pl.concat([FRAME] * 11)
    result = found(2, frame, np.tile(VALUES, (11, 1)))
    assert result.values.tobytes() == np.tile(found(2).values, (11, 1)).tobytes()
    assert result.table["interaction"].to_list() == pytest.approx(found().table["interaction"].to_list())


def test_stumps_have_no_interactions():
    scorer = train(FRAME, depth=1)
    values = xgboost_values(scorer.booster, single_matrix(FRAME, NAMES))
    result = interactions(scorer, FRAME, values, top=5, level=0.95)
    assert (result.pairs, result.table.height, result.values.shape) == ((), 0, (2_000, 0))
    assert (result.alone == values).all()


def test_values_of_other_rows_are_refused():
    with pytest.raises(DataError, match=r"SHAP values \[3, 4\] are not those of \[2000, 4\]"):
        found(values=VALUES[:3])


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_on_a_gpu_too():
    result, here = found(3, device="cuda"), found(3)
    assert result.pairs == here.pairs
    assert result.values == pytest.approx(here.values, abs=1e-4)
    assert result.alone == pytest.approx(here.alone, abs=1e-4)
