from itertools import combinations
from math import factorial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from workbench.engine import missing_for_gpu
from workbench.errors import DataError
from workbench.explanation.shapley import aggregated, cross_checked, interventional, path_dependent
from workbench.explanation.tree_shap import single_matrix
from workbench.scorer import Calibration, Scorer, ScoreScale

# shap 0.51 calls matplotlib functions that are on their way out, while it is being imported
pytestmark = pytest.mark.filterwarnings("ignore:The set_(bad|over|under) function:PendingDeprecationWarning")
NAMES = ("a", "b", "c")


def table(size: int, seed: int, names: tuple[str, ...] = NAMES) -> pl.DataFrame:
    generator = np.random.default_rng(seed)
    columns = {name: generator.normal(size=size) for name in names}
    holes = [
        pl.when(pl.Series(generator.random(size) >= 0.1)).then(pl.col(name)).alias(name) for name in names
    ]
    return pl.DataFrame({"applicant_id": range(1, size + 1), **columns}).with_columns(holes)


def train(frame: pl.DataFrame, names=NAMES, rounds: int = 20, depth: int = 3) -> Scorer:
    """A booster of features that work together, so that no attribution is a plain difference."""
    values = frame.select(names).fill_null(0).to_numpy()
    log_odds = values[:, 0] - values[:, 1] * values[:, 2]
    default = np.random.default_rng(1).random(frame.height) < 1 / (1 + np.exp(-log_odds))
    settings = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.3, "seed": 1}
    matrix = xgboost.DMatrix(single_matrix(frame, names), default)
    booster = xgboost.train(settings, matrix, num_boost_round=rounds)
    return Scorer(tuple(names), booster, Calibration(0.2, 0.9), ScoreScale(600, 50, 20), 512.0)


FRAME = table(3_000, seed=1)
SCORER = train(FRAME.head(1_000))
FEW, BACKGROUND = FRAME.head(6), FRAME.tail(5)


def own(frame: pl.DataFrame, scorer: Scorer = SCORER) -> np.ndarray:
    """XGBoost's contributions [rows, features and expected]."""
    matrix = xgboost.DMatrix(single_matrix(frame, scorer.features))
    return scorer.booster.predict(matrix, pred_contribs=True).astype(float)


def thresholds(scorer: Scorer = SCORER) -> dict[int, np.ndarray]:
    nodes = scorer.booster.trees_to_dataframe().query("Feature != 'Leaf'")
    return {
        at: np.unique(nodes.query(f"Feature == 'f{at}'")["Split"].to_numpy(dtype=np.float32))
        for at in range(len(scorer.features))
    }


def on_the_edge(step: float, size: int = 3_000) -> pl.DataFrame:
    """Every value is a threshold (step 0), the float32 just below one (-1) or just above (1)."""
    generator = np.random.default_rng(3)
    columns = {}
    for at, splits in thresholds().items():
        moved = np.nextafter(splits, np.float32(step * np.inf)) if step else splits
        columns[NAMES[at]] = generator.choice(moved, size).astype(float)
    return pl.DataFrame({"applicant_id": range(size), **columns})


def not_nudged(frame: pl.DataFrame) -> np.ndarray:
    """What woodelf gives for the values as they are."""
    from woodelf import WoodelfExplainer

    values = pd.DataFrame(single_matrix(frame, NAMES))
    return WoodelfExplainer(SCORER.booster).shap_values(values, verbose=False).astype(float)


def checked(frame: pl.DataFrame, values: np.ndarray, rows: int, seed: int = 1):
    matrix = single_matrix(frame, NAMES)
    return cross_checked(SCORER.booster, matrix, values, SCORER.margin(frame), rows=rows, seed=seed)


# path-dependent


def test_path_dependent_values_are_xgboost_s():
    found = path_dependent(SCORER, FRAME, seed=1)
    assert found.values == pytest.approx(own(FRAME)[:, :-1], abs=1e-5)
    assert found.expected == pytest.approx(own(FRAME)[0, -1], abs=1e-6)
    assert found.values.shape == (3_000, 3)
    assert found.values.dtype == float


def test_path_dependent_values_are_shap_s():
    import shap

    explainer = shap.TreeExplainer(SCORER.booster, feature_perturbation="tree_path_dependent")
    found = path_dependent(SCORER, FRAME, seed=1)
    assert found.values == pytest.approx(explainer.shap_values(single_matrix(FRAME, NAMES)), abs=1e-5)
    assert found.expected == pytest.approx(float(explainer.expected_value), abs=1e-5)


def test_path_dependent_values_add_up_to_the_margin():
    found = path_dependent(SCORER, FRAME, seed=1)
    sums = found.values.sum(axis=1) + found.expected
    assert sums == pytest.approx(SCORER.margin(FRAME), abs=1e-5)
    assert found.largest_gap == pytest.approx(np.abs(sums - SCORER.margin(FRAME)).max())


def test_above_zero_raises_the_pd():
    values = path_dependent(SCORER, FRAME, seed=1).values
    known = FRAME["a"].fill_null(0).to_numpy()
    assert values[known > 1, 0].mean() > 0.3
    assert values[known < -1, 0].mean() < -0.3


@pytest.mark.parametrize("step", [-1, 0, 1])
def test_values_that_touch_a_split_need_nothing_from_xgboost(step):
    frame = on_the_edge(step)
    found = path_dependent(SCORER, frame, seed=1)
    assert found.values == pytest.approx(own(frame)[:, :-1], abs=1e-5)
    assert found.rows_from_xgboost == 0
    assert found.largest_difference < 1e-5
    assert (found.rows_compared > 1_000) == (step < 1)


def test_up_to_two_thousand_rows_are_xgboost_s_own():
    few, more = (path_dependent(SCORER, FRAME.head(size), seed=1) for size in (2_000, 2_001))
    assert (few.method, few.rows_from_xgboost, few.rows_compared) == ("XGBoost on cpu", 2_000, 0)
    assert more.method == "woodelf, compared with XGBoost"
    assert more.rows_from_xgboost == 0
    assert more.rows_compared >= 1_000
    assert few.values == pytest.approx(more.values[:2_000], abs=1e-5)
    assert few.expected == more.expected


def test_values_repeat_to_the_byte_and_do_not_hang_on_the_other_rows():
    whole, again, part = (
        path_dependent(SCORER, frame, seed=1) for frame in (FRAME, FRAME, FRAME.head(2_500))
    )
    assert whole.values.tobytes() == again.values.tobytes()
    assert whole.values[:2_500].tobytes() == part.values.tobytes()


def test_the_order_of_columns_does_not_matter():
    shuffled = FRAME.select("c", "applicant_id", "a", "b")
    assert (
        path_dependent(SCORER, shuffled, seed=1).values == path_dependent(SCORER, FRAME, seed=1).values
    ).all()


def test_whole_numbers_and_applicants_without_any_value():
    frame = FRAME.with_columns(pl.col(NAMES).round(0).cast(pl.Int64)).with_columns(
        pl.when(pl.col("applicant_id") > 10).then(pl.col(NAMES))
    )
    scorer = train(frame)
    found = path_dependent(scorer, frame, seed=1)
    assert found.values == pytest.approx(own(frame, scorer)[:, :-1], abs=1e-5)


@pytest.mark.parametrize(("depth", "rounds"), [(1, 5), (2, 5), (6, 5), (11, 3)])
def test_stumps_and_deep_trees(depth, rounds):
    names = tuple("abcdefghijkl")
    frame = table(2_100, seed=2, names=names)
    scorer = train(frame, names, rounds, depth)
    found = path_dependent(scorer, frame, seed=1)
    assert found.values == pytest.approx(own(frame, scorer)[:, :-1], abs=1e-5)


def test_a_booster_that_never_splits_owes_nothing_to_anything():
    frame = FRAME.with_columns(pl.lit(1.0).alias(name) for name in NAMES)
    found = path_dependent(train(frame), frame, seed=1)
    assert (found.values == 0).all()
    assert found.largest_difference == 0


def test_one_applicant_costs_no_portfolio():
    found = path_dependent(SCORER, FRAME.head(1), seed=1)
    assert found.values == pytest.approx(own(FRAME)[:1, :-1], abs=1e-6)
    assert found.expected == pytest.approx(own(FRAME)[0, -1], abs=1e-6)


def test_nobody_is_neither_explained_nor_a_background():
    with pytest.raises(DataError, match="nobody to explain"):
        path_dependent(SCORER, FEW.head(0), seed=1)
    with pytest.raises(DataError, match="nobody to explain"):
        interventional(SCORER, FEW.head(0), BACKGROUND)
    with pytest.raises(DataError, match="nobody to compare with"):
        interventional(SCORER, FEW, BACKGROUND.head(0))


def test_missing_features_are_named():
    with pytest.raises(DataError, match="b is missing"):
        path_dependent(SCORER, FRAME.drop("b"), seed=1)
    with pytest.raises(DataError, match="b is missing"):
        interventional(SCORER, FEW, BACKGROUND.drop("b"))


class Crossed(Scorer):
    """A scorer whose margin is not its booster's."""

    def margin(self, features):
        return super().margin(features) * 1.1


def test_values_that_miss_the_margin_are_refused():
    crossed = Crossed(NAMES, SCORER.booster, SCORER.calibration, SCORER.scale, SCORER.cutoff)
    for frame in (FRAME, FEW):
        with pytest.raises(DataError, match="SHAP values miss the margin"):
            path_dependent(crossed, frame, seed=1)
    with pytest.raises(DataError, match="SHAP values miss the margin"):
        interventional(crossed, FEW, BACKGROUND)


# the check


def test_where_woodelf_takes_another_branch_xgboost_s_values_are_taken():
    frame = pl.concat([FRAME.select("applicant_id", *NAMES), on_the_edge(-1).head(40)])
    values = not_nudged(frame)
    assert np.abs(values - own(frame)[:, :-1])[-40:].max() > 0.05
    found = checked(frame, values, rows=0)
    assert found.largest_difference > 0.05
    assert found.values == pytest.approx(own(frame)[:, :-1], abs=1e-4)
    assert 20 <= found.rows_from_xgboost <= 200
    kept = (found.values == values).all(axis=1)
    assert kept[:-40].mean() > 0.9


def test_all_rows_that_touch_the_split_are_taken_not_only_those_compared():
    frame = pl.concat([on_the_edge(-1).head(1)] * 500)
    found = checked(frame, not_nudged(frame), rows=0)
    assert found.rows_compared == 3
    assert found.rows_from_xgboost == 500
    assert found.values == pytest.approx(own(frame)[:, :-1], abs=1e-6)


@pytest.mark.parametrize(("shift", "refused"), [(0.5e-4, False), (2e-4, True)])
def test_a_difference_that_no_split_explains_is_refused(shift, refused):
    frame = FRAME.filter(pl.all_horizontal(pl.col(NAMES).is_null() | (pl.col(NAMES).abs() > 0))).tail(1_000)
    values = own(frame)[:, :-1]
    values[7, 0] += shift
    values[7, 1] -= shift
    if refused:
        with pytest.raises(DataError, match="in 1 of 1000 rows compared, which touch no split"):
            checked(frame, values, rows=1_000)
    else:
        found = checked(frame, values, rows=1_000)
        assert found.largest_difference == pytest.approx(shift, rel=1e-3)
        assert (found.values == values).all()


@pytest.mark.parametrize(("shift", "taken"), [(0.9e-3, 0), (1.1e-3, 1)])
def test_a_row_that_misses_the_margin_is_taken_from_xgboost_without_being_compared(shift, taken):
    values = own(FRAME)[:, :-1]
    values[2_900, 0] += shift
    found = checked(FRAME.tail(1_000), values[2_000:], rows=0)
    assert found.rows_from_xgboost == taken
    assert (found.values[900, 0] == own(FRAME)[2_900, 0]) == bool(taken)


@pytest.mark.parametrize("rows", [0, 1_000])
def test_a_value_that_is_no_number_is_taken_from_xgboost(rows):
    values = own(FRAME.tail(1_000))[:, :-1]
    values[900, 1] = np.nan
    found = checked(FRAME.tail(1_000), values, rows=rows)
    assert found.rows_from_xgboost == 1
    assert found.values == pytest.approx(own(FRAME.tail(1_000))[:, :-1])


def test_the_seed_draws_the_rows_that_are_compared():
    frame = FRAME.tail(1_000)
    values = own(frame)[:, :-1] + np.linspace(0, 0.9e-4, 1_000)[:, np.newaxis]
    found = [checked(frame, values, rows=5, seed=seed) for seed in (1, 1, 2)]
    assert found[0].largest_difference == found[1].largest_difference != found[2].largest_difference


def test_the_check_leaves_the_values_it_was_given_alone():
    values = own(FRAME)[:, :-1]
    values[5] += 1
    given_to = values.copy()
    checked(FRAME, values, rows=10)
    assert (values == given_to).all()


# interventional


def brute_force(row: np.ndarray, background: np.ndarray) -> list[float]:
    """Shapley values from their definition: every coalition, the others from each background row."""

    def worth(coalition: tuple[int, ...]) -> float:
        mixed = background.copy()
        mixed[:, list(coalition)] = row[list(coalition)]
        return float(SCORER.booster.predict(xgboost.DMatrix(mixed), output_margin=True).astype(float).mean())

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


@pytest.mark.parametrize(
    ("few", "background"),
    [(FEW, BACKGROUND), (on_the_edge(-1).head(6), on_the_edge(0).tail(5)), (FEW, on_the_edge(-1).tail(5))],
    ids=["plain", "rows and background on the edge", "background on the edge"],
)
def test_interventional_values_equal_brute_force_shapley(few, background):
    found = interventional(SCORER, few, background)
    rows, reference = single_matrix(few, NAMES), single_matrix(background, NAMES)
    assert found.values == pytest.approx(np.array([brute_force(row, reference) for row in rows]), abs=1e-5)


def test_interventional_values_are_shap_s():
    import shap

    reference = single_matrix(BACKGROUND, NAMES)
    explainer = shap.TreeExplainer(SCORER.booster, reference, feature_perturbation="interventional")
    found = interventional(SCORER, FEW, BACKGROUND)
    assert found.values == pytest.approx(explainer.shap_values(single_matrix(FEW, NAMES)), abs=1e-5)


def test_interventional_values_add_up_from_the_background_s_mean_margin():
    found = interventional(SCORER, FRAME, BACKGROUND)
    assert found.expected == pytest.approx(SCORER.margin(BACKGROUND).mean())
    assert found.values.sum(axis=1) + found.expected == pytest.approx(SCORER.margin(FRAME), abs=1e-5)
    assert found.largest_gap < 1e-5


def test_every_background_row_counts_with_the_same_weight():
    """Against two halves together: the mean of the values against each."""
    first, second = (interventional(SCORER, FEW, part) for part in (FRAME.head(700), FRAME[700:1_400]))
    both = interventional(SCORER, FEW, FRAME.head(1_400))
    assert both.values == pytest.approx((first.values + second.values) / 2, abs=1e-6)
    assert np.abs(first.values - second.values).max() > 1e-3


def test_someone_compared_with_oneself_owes_nothing():
    alone = FRAME.head(1)
    found = interventional(SCORER, alone, alone)
    assert found.values == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert found.expected == pytest.approx(SCORER.margin(alone)[0])


def test_interventional_values_differ_from_path_dependent_ones():
    against = interventional(SCORER, FEW, BACKGROUND).values
    assert np.abs(against - path_dependent(SCORER, FEW, seed=1).values).max() > 0.05


def test_interventional_values_repeat_to_the_byte():
    first, second = (interventional(SCORER, FRAME, FRAME).values.tobytes() for _ in range(2))
    assert first == second


# aggregated


def test_components_are_summed_in_the_order_of_their_first_feature():
    values = np.array([[1.0, 2.0, 4.0, 8.0], [-1.0, 0.5, 0.0, 3.0]])
    groups = {"trade_food": "trade", "trade_wood": "trade", "not_in_the_model": "trade"}
    found, names = aggregated(values, ["age", "trade_food", "income", "trade_wood"], groups)
    assert names == ("age", "trade", "income")
    assert found.tolist() == [[1.0, 10.0, 4.0], [-1.0, 3.5, 0.0]]


def test_a_feature_joins_the_group_of_its_own_name():
    found, names = aggregated(np.array([[1.0, 2.0]]), ["income", "income_trend"], {"income_trend": "income"})
    assert (names, found.tolist()) == (("income",), [[3.0]])


@given(st.lists(st.sampled_from(["x", "y", "z", None]), min_size=1, max_size=8), st.integers(0, 5))
def test_aggregation_keeps_the_sum_of_every_row(chosen, rows):
    names = [f"feature_{at}" for at in range(len(chosen))]
    groups = {name: group for name, group in zip(names, chosen, strict=True) if group}
    values = np.random.default_rng(rows).normal(size=(rows, len(names)))
    found, found_names = aggregated(values, names, groups)
    assert found.sum(axis=1) == pytest.approx(values.sum(axis=1))
    assert found.shape == (rows, len(found_names))
    assert len(found_names) == len({groups.get(name, name) for name in names})


def test_names_that_are_not_the_values_are_refused():
    with pytest.raises(DataError, match="3 columns of SHAP values for 2 features"):
        aggregated(np.zeros((2, 3)), ["a", "b"], {})


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_on_a_gpu_too():
    found = path_dependent(SCORER, FRAME, device="cuda", seed=1)
    assert found.method == "XGBoost on cuda"
    assert found.values == pytest.approx(own(FRAME)[:, :-1], abs=1e-4)
