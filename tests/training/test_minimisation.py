import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from workbench.errors import DataError
from workbench.training.boosting import booster_settings
from workbench.training.folds import boosted_out_of_fold, make_folds
from workbench.training.minimisation import minimisation_curve, smallest_sufficient, surviving_features

WIDTH, ROUNDS = 10, 25
NAMES = [f"feature_{at}" for at in range(WIDTH)]
TELLING = ["feature_3", "feature_7", "feature_0"]  # strongest first
SETTINGS = booster_settings([0] * WIDTH, seed=3) | {"max_depth": 3, "learning_rate": 0.15, "nthread": 1}


def world(size=2_500, seed=1):
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, WIDTH))
    risk = -1.2 + 1.5 * features[:, 3] + features[:, 7] + 0.6 * features[:, 0]
    return features, (draw.random(size) < 1 / (1 + np.exp(-risk))).astype(float)


def folds_of(default, forward=False):
    months = [f"2025-{month + 1:02}" for month in np.arange(default.size) % 4]
    rows = pl.DataFrame({"applicant_id": np.arange(default.size), "default": default, "vintage": months})
    return make_folds(rows, folds=3, forward=forward, seed=1)


FEATURES, DEFAULT = world()
FOLDS = folds_of(DEFAULT)


def curve(sizes, features=FEATURES, default=DEFAULT, folds=FOLDS, **changes):
    options = {"names": NAMES, "settings": SETTINGS, "rounds": ROUNDS, "level": 0.95, **changes}
    return minimisation_curve(features, default, folds, sizes=sizes, **options)


CURVE = curve([1, 2, 3, 5])


def test_the_curve_rises_to_the_number_of_telling_features_and_stays():
    assert CURVE["features"].to_list() == [1, 2, 3, 5, WIDTH]
    areas = CURVE["auc"].to_list()
    assert areas[0] < areas[1] - 0.02 < areas[2] - 0.03
    assert CURVE["difference_high"][1] < 0
    assert abs(CURVE["difference"][2]) < 0.01
    assert CURVE["low"][2] < CURVE["auc"][2] < CURVE["high"][2]


def test_every_difference_is_to_all_features():
    assert CURVE["difference"].to_list() == pytest.approx((CURVE["auc"] - CURVE["auc"][-1]).to_list())
    last = CURVE.row(-1, named=True)
    assert (last["difference"], last["difference_low"], last["difference_high"]) == (0, None, None)
    assert last["method"].startswith("none: ")
    assert set(CURVE["method"][:-1]) == {"paired DeLong"}


def test_aucs_are_those_of_models_trained_by_hand():
    def area(columns):
        settings = SETTINGS | {"monotone_constraints": (0,) * len(columns)}
        kept = FEATURES[:, columns]
        return roc_auc_score(
            DEFAULT, boosted_out_of_fold(kept, DEFAULT, FOLDS, settings=settings, rounds=ROUNDS)
        )

    assert CURVE["auc"][-1] == pytest.approx(area(list(range(WIDTH))))
    assert CURVE["auc"][2] == pytest.approx(area([0, 3, 7]))
    assert CURVE["auc"][0] == pytest.approx(area([3]))


def test_the_rows_that_judge_have_no_part_in_the_choice():
    """Of 300 columns of noise the strongest on all rows look telling to those rows; nested, they do not."""
    draw = np.random.default_rng(2)
    noise, default = draw.normal(size=(400, 300)), (draw.random(400) < 0.3).astype(float)
    folds, plan = folds_of(default), {"settings": SETTINGS | {"monotone_constraints": ()}, "rounds": 10}
    names = [str(at) for at in range(300)]
    nested = curve([5], noise, default, folds, names=names, **plan)["auc"][0]
    ranked = surviving_features(noise, default, folds, names=names, keep=5, **plan)
    strongest = noise[:, [int(name) for name in ranked["feature"][:5]]]
    peeked = roc_auc_score(default, boosted_out_of_fold(strongest, default, folds, **plan))
    assert peeked > 0.57
    assert abs(nested - 0.5) < 0.06


def test_constraints_stay_with_their_features():
    """A feature held to the wrong direction is worth nothing, so another is the strongest."""
    against = tuple(-1 if name == "feature_3" else 0 for name in NAMES)
    crossed = curve([1, 2], settings=SETTINGS | {"monotone_constraints": against})
    assert crossed["auc"][0] < CURVE["auc"][0] - 0.05
    agreed = tuple(1 if name == "feature_3" else 0 for name in NAMES)
    alone = SETTINGS | {"monotone_constraints": agreed, "interaction_constraints": "[[3, 7], [0]]"}
    assert curve([1], settings=alone)["auc"][0] > CURVE["auc"][0] - 0.01


def test_sizes_may_come_in_any_order_and_beyond_all_features():
    assert curve([5, 2, 2, WIDTH, 99])["features"].to_list() == [2, 5, WIDTH]
    assert curve([5])["auc"].to_list() == CURVE["auc"][3:].to_list()
    assert curve([])["features"].to_list() == [WIDTH]


def test_forward_in_time_the_oldest_rows_do_not_judge():
    folds = folds_of(DEFAULT, forward=True)
    found = curve([3], folds=folds)
    prob = boosted_out_of_fold(FEATURES, DEFAULT, folds, settings=SETTINGS, rounds=ROUNDS)
    assert found["auc"][-1] == pytest.approx(roc_auc_score(DEFAULT[folds.judged], prob[folds.judged]))


def test_the_fewest_that_suffice_are_those_whose_whole_interval_is_above_the_tolerance():
    shown = pl.DataFrame(
        {"features": [1, 2, 3, 9], "difference_low": [-0.2, -0.05, -0.01, None]},
    )
    assert smallest_sufficient(shown, tolerance=0.0500001) == 2
    assert smallest_sufficient(shown, tolerance=0.05) == 3
    assert smallest_sufficient(shown, tolerance=0.01) == 9
    assert smallest_sufficient(shown, tolerance=0) == 9
    assert smallest_sufficient(CURVE, tolerance=0.01) == 3


def surviving(keep=3, **changes):
    options = {"names": NAMES, "keep": keep, "settings": SETTINGS, "rounds": ROUNDS, **changes}
    return surviving_features(FEATURES, DEFAULT, FOLDS, **options)


def test_the_telling_features_survive_in_every_fold():
    table = surviving()
    assert table["rank"].to_list() == list(range(1, WIDTH + 1))
    assert table["feature"][:3].to_list() == TELLING
    assert sorted(table["feature"]) == sorted(NAMES)
    assert table["kept"].to_list() == [True] * 3 + [False] * (WIDTH - 3)
    assert table["folds_kept"].to_list() == [1.0] * 3 + [0.0] * (WIDTH - 3)
    assert table["gain_share"].sum() == pytest.approx(1)
    assert table["gain_share"].is_sorted(descending=True)


def test_among_features_of_noise_the_choice_depends_on_the_fold():
    table = surviving(keep=5)
    assert table["folds_kept"].sum() == pytest.approx(5)
    assert table["folds_kept"].is_between(0, 1, closed="none").any()


def test_a_booster_that_never_splits_ranks_the_features_as_they_stand():
    table = surviving(settings=SETTINGS | {"min_child_weight": 1e6})
    assert table["feature"].to_list() == NAMES
    assert table["gain_share"].to_list() == [0.0] * WIDTH


def test_the_same_input_gives_the_same_tables():
    assert curve([1, 2, 3, 5]).equals(CURVE)
    assert surviving().equals(surviving())


@pytest.mark.parametrize("size", [0, -1])
def test_fewer_than_one_feature_is_refused(size):
    with pytest.raises(DataError, match="cannot be minimised"):
        curve([3, size])
    with pytest.raises(DataError, match="cannot be ranked"):
        surviving(keep=size)


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="9 names for 10 features"):
        curve([2], names=NAMES[:-1])
