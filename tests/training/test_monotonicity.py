import itertools

import numpy as np
import pytest
import xgboost

from workbench.errors import DataError
from workbench.training.boosting import booster_settings, train_champion
from workbench.training.monotonicity import verify_booster, verify_monotone

NAMES = ["rising", "falling", "free"]
LEARN = {"max_depth": 4, "learning_rate": 0.3, "min_child_weight": 1.0, "nthread": 1}


def world(size=3_000, seed=1):
    """The first raises the PD except for a dip in its middle, the second lowers it; some are missing."""
    draw = np.random.default_rng(seed)
    features = draw.uniform(-2, 2, size=(size, 3))
    dip = 2.5 * ((features[:, 0] > 0) & (features[:, 0] < 0.8))
    risk = -0.5 + 1.2 * features[:, 0] - dip - features[:, 1]
    default = (draw.random(size) < 1 / (1 + np.exp(-risk))).astype(float)
    return np.where(draw.random(features.shape) < 0.05, np.nan, features), default


FEATURES, DEFAULT = world()


def champion(monotone, rounds=25, **changes):
    settings = booster_settings(monotone, seed=1) | LEARN | changes
    return train_champion(FEATURES, DEFAULT, settings=settings, rounds=rounds, names=NAMES)


def verified(booster, monotone=(1, -1, 0), rows=60, **changes):
    options = {"names": NAMES, "monotone": monotone, "rows": rows, "seed": 1, **changes}
    table = verify_booster(booster, FEATURES, **options)
    return {row["feature"]: row for row in table.iter_rows(named=True)}


CONSTRAINED, FREE = champion([1, -1, 0]), champion([0, 0, 0])


def test_a_constrained_booster_holds_and_every_tree_is_proved():
    found = verified(CONSTRAINED)
    assert list(found) == ["rising", "falling"]
    for row in found.values():
        assert row["holds"]
        assert row["proved"]
        assert (row["violations"], row["rows"]) == (0, 60)
        assert row["worst"] <= 1e-5
        assert row["points"] > 20
    assert (found["rising"]["constraint"], found["falling"]["constraint"]) == (1, -1)


def test_a_planted_dip_is_caught_where_nothing_constrains():
    row = verified(FREE)["rising"]
    assert not row["holds"]
    assert not row["proved"]
    assert row["violations"] > 60
    assert row["worst"] > 1


def test_the_wrong_direction_is_caught_in_a_constrained_booster():
    row = verified(CONSTRAINED, monotone=(-1, -1, 0))["rising"]
    assert not row["holds"]
    assert not row["proved"]
    assert row["constraint"] == -1


def test_one_bad_tree_after_many_good_ones_is_caught():
    """Training goes on without the constraint, as a careless refit would."""
    more = xgboost.train(
        booster_settings([0, 0, 0], seed=1) | LEARN,
        xgboost.QuantileDMatrix(FEATURES, DEFAULT),
        num_boost_round=1,
        xgb_model=CONSTRAINED,
    )
    assert not verified(more)["rising"]["holds"]


def test_the_sweep_visits_every_piece_of_the_booster():
    """Once as many thresholds as trees_to_dataframe shows, and one point below the first."""
    splits = FREE.trees_to_dataframe().query("Feature == 'f0'")["Split"].nunique()
    assert verified(FREE)["rising"]["points"] == splits + 1


def test_the_largest_fall_is_that_of_a_fine_grid():
    found = verified(FREE, rows=20)["rising"]
    rows = np.random.default_rng(1).choice(FEATURES.shape[0], 20, replace=False)
    fine = np.linspace(-2.1, 2.1, 4_001)
    worst = 0.0
    for row in FEATURES[rows]:
        swept = np.tile(row, (fine.size, 1))
        swept[:, 0] = fine
        margins = FREE.predict(xgboost.DMatrix(swept), output_margin=True)
        worst = max(worst, float((np.maximum.accumulate(margins) - margins).max()))
    assert found["worst"] == pytest.approx(worst, abs=1e-5)


@pytest.mark.parametrize("constrained", [0, 1])
def test_a_single_tree_is_proved_exactly_when_it_is_monotone_everywhere(constrained):
    """Every combination of pieces and of missing values, for a hundred small trees on little data."""
    every = np.array(list(itertools.product([np.nan, -9, 0, 1, 2, 3, 9], repeat=3)))
    settings = booster_settings([constrained, 0, 0], seed=1) | LEARN | {"min_child_weight": 0}
    directions, outcomes = (1, 1, -1), []
    for seed in range(100):
        draw = np.random.default_rng(seed)
        features = np.where(draw.random((50, 3)) < 0.4, np.nan, draw.integers(0, 4, size=(50, 3)))
        default = (draw.random(50) < 0.4).astype(float)
        booster = xgboost.train(settings, xgboost.QuantileDMatrix(features, default), num_boost_round=1)
        table = verify_booster(booster, features, names=NAMES, monotone=directions, rows=5, seed=1)
        margins = booster.predict(xgboost.DMatrix(every), output_margin=True).reshape(7, 7, 7)
        steps = [np.diff(np.moveaxis(margins, at, 0)[1:], axis=0) for at in range(3)]
        truth = [bool((d * step >= 0).all()) for d, step in zip(directions, steps, strict=True)]
        assert table["proved"].to_list() == truth
        outcomes += truth
    assert 10 < sum(outcomes) < 290


def test_a_missing_value_has_no_place_in_the_order():
    """Those of whom it is missing may be riskier or safer than everyone: no violation."""
    draw = np.random.default_rng(3)
    value = np.where(draw.random(2_000) < 0.3, np.nan, draw.uniform(size=2_000))
    risk = np.where(np.isnan(value), 0.9, 0.1 + 0.4 * np.nan_to_num(value))
    default = (draw.random(2_000) < risk).astype(float)
    settings = booster_settings([1], seed=1) | LEARN
    booster = train_champion(value[:, None], default, settings=settings, rounds=10, names=["a"])
    row = verify_booster(booster, value[:, None], names=["a"], monotone=[1], rows=5, seed=1).row(
        0, named=True
    )
    assert row["holds"]
    assert row["proved"]


def test_a_feature_without_a_split_holds():
    unused = np.column_stack([FEATURES, np.zeros(DEFAULT.size)])
    settings = booster_settings([1, -1, 0, 1], seed=1) | LEARN
    booster = train_champion(unused, DEFAULT, settings=settings, rounds=5, names=[*NAMES, "constant"])
    table = verify_booster(
        booster, unused, names=[*NAMES, "constant"], monotone=(1, -1, 0, 1), rows=9, seed=1
    )
    row = table.row(-1, named=True)
    assert (row["feature"], row["points"], row["violations"], row["holds"], row["proved"]) == (
        *("constant", 0, 0),
        *(True, True),
    )


def test_nothing_constrained_is_an_empty_table_of_the_same_columns():
    table = verify_booster(FREE, FEATURES, names=NAMES, monotone=(0, 0, 0), rows=9, seed=1)
    assert table.height == 0
    assert table.columns == [
        *("feature", "constraint", "rows", "points", "violations", "worst", "holds", "proved"),
    ]


def test_a_booster_with_names_of_its_own_is_taken():
    matrix = xgboost.QuantileDMatrix(FEATURES, DEFAULT, feature_names=NAMES)
    settings = booster_settings([1, -1, 0], seed=1) | LEARN
    assert verified(xgboost.train(settings, matrix, num_boost_round=5))["rising"]["proved"]


def test_the_same_seed_sweeps_the_same_applicants_and_more_see_at_least_as_much():
    assert verified(FREE) == verified(FREE)
    assert verified(FREE, rows=500)["rising"]["worst"] >= verified(FREE, rows=5)["rising"]["worst"] - 0.5
    assert verified(FREE, rows=10**6)["rising"]["rows"] == FEATURES.shape[0]


# Any model that predicts


def swept(predict, points=50, monotone=(1, 0, 0), features=FEATURES, **changes):
    options = {"names": NAMES, "monotone": monotone, "rows": 20, "points": points, "seed": 1, **changes}
    return verify_monotone(predict, features, **options).row(0, named=True)


def test_a_function_is_swept_over_quantiles_of_the_known_values():
    held = swept(lambda rows: 2 * rows[:, 0])
    assert held["holds"]
    assert (held["points"], held["worst"]) == (50, 0)
    broken = swept(lambda rows: np.where(rows[:, 0] > 0, rows[:, 0] - 1, rows[:, 0]))
    assert broken["violations"] == 20
    assert broken["worst"] == pytest.approx(1, abs=0.2)
    assert not broken["holds"]


def test_a_fall_in_many_steps_is_one_fall():
    sine = swept(lambda rows: np.sin(rows[:, 0] * np.pi), points=400)
    assert sine["worst"] == pytest.approx(2, abs=0.01)


@pytest.mark.parametrize(("fall", "holds"), [(0.9e-5, True), (1.1e-5, False)])
def test_rounding_is_no_violation(fall, holds):
    row = swept(lambda rows: np.where(rows[:, 0] > 0, -fall, 0.0))
    assert row["holds"] is holds
    assert bool(row["violations"]) is not holds


def test_a_feature_that_nobody_has_is_not_swept():
    unknown = np.full((30, 3), np.nan)
    row = swept(lambda rows: np.zeros(len(rows)), features=unknown)
    assert (row["points"], row["holds"]) == (0, True)


def test_every_fault_is_told_at_once():
    with pytest.raises(DataError, match="Monotonicity cannot be verified") as caught:
        swept(lambda rows: rows[:, 0], monotone=(1,), rows=0, points=1)
    assert caught.value.faults == (
        "1 constraints for 3 features",
        "0 of 3000 applicants would be swept; at least 1 is needed",
        "points is 1; a step needs at least 2",
    )
    with pytest.raises(DataError, match="2 names for 3 features"):
        verified(FREE, names=NAMES[:2])
