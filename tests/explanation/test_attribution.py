from itertools import combinations
from math import factorial

import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.explanation.attribution import (
    dependence_table,
    importance_table,
    interventional_values,
    shap_values,
)
from workbench.scorer import Calibration, Scorer, ScoreScale

# shap 0.51 calls matplotlib functions that are on their way out, while it is being imported
pytestmark = pytest.mark.filterwarnings("ignore:The set_(bad|over|under) function:PendingDeprecationWarning")
NAMES = ("a", "b", "c")


def table(size: int, seed: int, gaps: float = 0.0) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=size) for name in NAMES}
    frame = pl.DataFrame({"applicant_id": range(1, size + 1), **columns})
    holes = {
        name: pl.when(pl.Series(generator.random(size) >= gaps)).then(pl.col(name)).alias(name)
        for name in NAMES
    }
    return frame.with_columns(*holes.values())


def train(frame: pl.DataFrame, rounds: int = 20, depth: int = 3) -> Scorer:
    """A booster of three features that work together, so that no attribution is a plain difference."""
    values = frame.select(NAMES).fill_null(0).to_numpy()
    log_odds = values[:, 0] - values[:, 1] * values[:, 2]
    default = np.random.default_rng(1).random(frame.height) < 1 / (1 + np.exp(-log_odds))
    matrix = xgboost.DMatrix(frame.select(NAMES).cast(pl.Float64).fill_null(np.nan).to_numpy(), default)
    settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "seed": 1}
    booster = xgboost.train(settings, matrix, num_boost_round=rounds)
    return Scorer(NAMES, booster, Calibration(0.2, 0.9), ScoreScale(600, 50, 20), 512.0)


FRAME = table(1_000, seed=1, gaps=0.1)
SCORER = train(FRAME)
FEW, BACKGROUND = FRAME.head(6), FRAME.tail(5)


def brute_force(row: np.ndarray, background: np.ndarray) -> list[float]:
    """Shapley values from their definition: every coalition, the others from each background row."""

    def worth(coalition: tuple[int, ...]) -> float:
        mixed = background.copy()
        mixed[:, list(coalition)] = row[list(coalition)]
        matrix = xgboost.DMatrix(mixed)
        return float(SCORER.booster.predict(matrix, output_margin=True).astype(float).mean())

    values = []
    for feature in range(3):
        others = [other for other in range(3) if other != feature]
        total = 0.0
        for size in range(3):
            weight = factorial(size) * factorial(2 - size) / factorial(3)
            for coalition in combinations(others, size):
                total += weight * (worth((*coalition, feature)) - worth(coalition))
        values.append(total)
    return values


def test_shap_values_equal_shap_s_tree_explainer():
    import shap

    values, expected = shap_values(SCORER, FRAME)
    explainer = shap.TreeExplainer(SCORER.booster, feature_perturbation="tree_path_dependent")
    matrix = FRAME.select(NAMES).cast(pl.Float64).fill_null(np.nan).to_numpy()
    assert values == pytest.approx(explainer.shap_values(matrix), abs=1e-4)
    assert expected == pytest.approx(float(explainer.expected_value), abs=1e-4)


def test_shap_values_add_up_to_the_margin():
    values, expected = shap_values(SCORER, FRAME)
    assert values.shape == (1_000, 3)
    assert values.sum(axis=1) + expected == pytest.approx(SCORER.margin(FRAME), abs=1e-4)


def test_above_zero_raises_the_pd():
    values, _ = shap_values(SCORER, FRAME)
    known = FRAME["a"].fill_null(0).to_numpy()
    assert values[known > 1, 0].mean() > 0.3
    assert values[known < -1, 0].mean() < -0.3


def test_interventional_values_equal_brute_force_shapley():
    values, _ = interventional_values(SCORER, FEW, BACKGROUND)
    rows, background = (
        frame.select(NAMES).cast(pl.Float64).fill_null(np.nan).to_numpy() for frame in (FEW, BACKGROUND)
    )
    assert values == pytest.approx(np.array([brute_force(row, background) for row in rows]), abs=1e-4)


def test_interventional_values_add_up_from_the_background_s_mean_margin():
    values, expected = interventional_values(SCORER, FRAME, BACKGROUND)
    assert expected == pytest.approx(SCORER.margin(BACKGROUND).mean())
    assert values.sum(axis=1) + expected == pytest.approx(SCORER.margin(FRAME), abs=1e-4)


def test_interventional_values_differ_from_path_dependent_ones():
    assert (
        np.abs(interventional_values(SCORER, FEW, BACKGROUND)[0] - shap_values(SCORER, FEW)[0]).max() > 0.05
    )


def test_someone_compared_with_oneself_owes_nothing():
    alone = FRAME.head(1)
    values, expected = interventional_values(SCORER, alone, alone)
    assert values == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert expected == pytest.approx(SCORER.margin(alone)[0])


def test_every_background_row_counts_beyond_shap_s_hundred():
    """Rows after the hundredth are unlike the first: leaving them out would show."""
    unlike = FRAME.with_columns(a=pl.when(pl.int_range(pl.len()) < 100).then(-3.0).otherwise(3.0)).head(400)
    values, expected = interventional_values(SCORER, FEW, unlike)
    assert values.sum(axis=1) + expected == pytest.approx(SCORER.margin(FEW), abs=1e-4)


def test_the_order_of_columns_does_not_matter():
    shuffled = FRAME.select("c", "applicant_id", "a", "b")
    assert (shap_values(SCORER, shuffled)[0] == shap_values(SCORER, FRAME)[0]).all()


def test_values_that_miss_the_margin_are_refused():
    class Crossed(Scorer):
        """A scorer whose margin is not its booster's."""

        def margin(self, features):
            return super().margin(features) * 1.1

    crossed = Crossed(NAMES, SCORER.booster, SCORER.calibration, SCORER.scale, SCORER.cutoff)
    with pytest.raises(DataError, match="SHAP values miss the margin"):
        shap_values(crossed, FRAME)
    with pytest.raises(DataError, match="SHAP values miss the margin"):
        interventional_values(crossed, FRAME, BACKGROUND)


def test_importance_is_the_mean_size_sorted_with_its_interval():
    values = np.array([[1.0, -4.0, 0.5], [-3.0, 2.0, 0.5]])
    importance = importance_table(values, NAMES, level=0.95)
    assert importance["feature"].to_list() == ["b", "a", "c"]
    assert importance["importance"].to_list() == [3.0, 2.0, 0.5]
    assert importance["share"].to_list() == pytest.approx([3 / 5.5, 2 / 5.5, 0.5 / 5.5])
    half = 1.959964 * np.sqrt(2) / np.sqrt(2)
    assert importance["low"].to_list() == pytest.approx([3 - half, 2 - half, 0.5], abs=1e-5)
    assert importance["high"].to_list() == pytest.approx([3 + half, 2 + half, 0.5], abs=1e-5)


def test_an_importance_interval_holds_its_mean_and_is_wider_for_a_higher_level():
    values, _ = shap_values(SCORER, FRAME)
    narrow, wide = (importance_table(values, NAMES, level=level) for level in (0.8, 0.99))
    for importance in (narrow, wide):
        assert (importance["low"] <= importance["importance"]).all()
        assert (importance["importance"] <= importance["high"]).all()
        assert (importance["low"] >= 0).all()
        assert importance["share"].sum() == pytest.approx(1)
        assert importance["importance"].is_sorted(descending=True)
    assert ((wide["high"] - wide["low"]) > (narrow["high"] - narrow["low"])).all()


def test_equal_importances_are_sorted_by_name():
    assert importance_table(np.ones((3, 3)), ("z", "x", "y"), level=0.9)["feature"].to_list() == [
        "x",
        "y",
        "z",
    ]


def test_dependence_counts_everyone_with_a_value_once():
    values, _ = shap_values(SCORER, FRAME)
    dependence = dependence_table(FRAME, values, NAMES, shown=["a", "c"], bins=8)
    assert dependence["feature"].unique(maintain_order=True).to_list() == ["a", "c"]
    for name in ("a", "c"):
        rows = dependence.filter(pl.col("feature") == name)
        assert rows["applicants"].sum() == FRAME[name].drop_nulls().len()
        assert rows["bin"].to_list() == list(range(1, 9))
        assert rows["middle"].is_sorted()
        assert (rows["low"] <= rows["high"]).all()


def test_dependence_means_are_those_of_the_named_feature():
    frame = pl.DataFrame({"a": [1.0, 2.0, 3.0, 4.0], "b": [0.0] * 4})
    values = np.array([[9.0, 1.0], [9.0, 2.0], [9.0, 3.0], [9.0, 5.0]])
    dependence = dependence_table(frame.select(b="a"), values, ["a", "b"], shown=["b"], bins=2)
    assert dependence["mean"].to_list() == [1.5, 4.0]
    assert dependence["middle"].to_list() == [1.5, 3.5]


def test_dependence_of_a_constant_feature_is_one_bin():
    frame = pl.DataFrame({"a": [2.0, 2.0, 2.0]})
    dependence = dependence_table(frame, np.array([[1.0], [2.0], [3.0]]), ["a"], shown=["a"])
    assert dependence["applicants"].to_list() == [3]
    assert dependence["mean"].to_list() == [2.0]
