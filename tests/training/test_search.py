import numpy as np
import pytest
import xgboost
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import StratifiedKFold

from workbench.training.search import booster_settings, search_champion, train_champion

SPACE = {
    "max_depth": [1, 3],
    "learning_rate": [0.1, 0.4],
    "min_child_weight": [1.0, 20.0],
    "subsample": [0.7, 1.0],
    "colsample_bytree": [0.7, 1.0],
    "reg_lambda": [0.5, 5.0],
}
ROUNDS = {"trials": 4, "folds": 3, "max_rounds": 30, "early_stopping_rounds": 5}
DEEP = {"max_depth": 5, "learning_rate": 0.3, "min_child_weight": 1.0}


def sample(size: int = 2_000) -> tuple[np.ndarray, np.ndarray]:
    """Three features: the first raises the PD except for a dip in its middle, the second lowers it."""
    generator = np.random.default_rng(4)
    features = generator.uniform(-2, 2, size=(size, 3))
    dip = 2.5 * ((features[:, 0] > 0) & (features[:, 0] < 0.8))
    log_odds = -0.5 + 1.2 * features[:, 0] - dip - features[:, 1]
    return features, (generator.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)


FEATURES, DEFAULT = sample()
FEATURES_WITH_GAPS = np.where(np.random.default_rng(5).random(FEATURES.shape) < 0.05, np.nan, FEATURES)


def search(seed: int = 1, **changes):
    settings = {"space": SPACE, "monotone": [1, -1, 0], "seed": seed, **ROUNDS, **changes}
    return search_champion(FEATURES, DEFAULT, **settings)


def champion(monotone: list[int], features: np.ndarray = FEATURES):
    settings = booster_settings(monotone, seed=1) | DEEP
    return train_champion(features, DEFAULT, settings=settings, rounds=30, names=["a", "b", "c"])


def sweeps(booster, feature: int) -> np.ndarray:
    """Margins [applicants, steps] as one feature rises and each applicant's others stay as they are."""
    steps = np.linspace(-2.5, 2.5, 60)
    rows = np.repeat(FEATURES[:100], steps.size, axis=0)
    rows[:, feature] = np.tile(steps, 100)
    return booster.predict(xgboost.DMatrix(rows), output_margin=True).reshape(100, steps.size)


FOUND = search()


def test_the_same_seed_gives_the_same_search():
    again = search()
    assert again.trials.equals(FOUND.trials)
    assert again.settings == FOUND.settings
    assert again.rounds == FOUND.rounds


def test_another_seed_tries_other_settings():
    assert not search(seed=2).trials.equals(FOUND.trials)


def test_the_best_trial_is_the_lowest_log_loss():
    best = FOUND.trials.sort("log_loss").row(0, named=True)
    assert FOUND.settings == {name: best[name] for name in SPACE}
    assert FOUND.rounds == best["rounds"]
    assert FOUND.trials["log_loss"].n_unique() > 1


def test_every_trial_is_in_the_table_within_its_space():
    table = FOUND.trials
    assert table.columns == ["trial", *SPACE, "rounds", "log_loss", "log_loss_sd", "auc"]
    assert table["trial"].to_list() == [1, 2, 3, 4]
    for name, (low, high) in SPACE.items():
        assert table[name].is_between(low, high).all()
    assert table["max_depth"].dtype.is_integer()
    assert table["rounds"].is_between(1, 30).all()
    assert (table["log_loss_sd"] > 0).all()


def test_one_trial_is_enough():
    assert search(trials=1).trials.height == 1


def test_a_space_of_one_point_is_that_point():
    point = {name: [low, low] for name, (low, _) in SPACE.items()}
    found = search(trials=2, space=point)
    assert found.settings == {name: low for name, (low, _) in SPACE.items()}


def test_the_search_beats_the_naive_rate():
    naive = log_loss(DEFAULT, np.full(DEFAULT.size, DEFAULT.mean()))
    assert FOUND.trials["log_loss"].min() < naive - 0.05
    assert FOUND.trials["auc"].min() > 0.7


def test_losses_and_aucs_are_those_of_the_folds():
    """Train the best trial's fold boosters again, with scikit-learn's measures for the judges."""
    best = FOUND.trials.sort("log_loss").row(0, named=True)
    losses, aucs, rounds = [], [], []
    splits = StratifiedKFold(3, shuffle=True, random_state=1).split(FEATURES, DEFAULT)
    for fitted, judged in splits:
        train = xgboost.QuantileDMatrix(FEATURES[fitted], DEFAULT[fitted])
        test = xgboost.QuantileDMatrix(FEATURES[judged], DEFAULT[judged], ref=train)
        booster = xgboost.train(
            booster_settings([1, -1, 0], seed=1) | FOUND.settings,
            train,
            num_boost_round=30,
            evals=[(test, "judged")],
            early_stopping_rounds=5,
            verbose_eval=False,
        )
        rounds.append(booster.best_iteration + 1)
        prob = booster.predict(test, iteration_range=(0, rounds[-1]))
        losses.append(log_loss(DEFAULT[judged], prob))
        aucs.append(roc_auc_score(DEFAULT[judged], prob))
    assert best["log_loss"] == pytest.approx(np.mean(losses), abs=1e-5)
    assert best["log_loss_sd"] == pytest.approx(np.std(losses, ddof=1), abs=1e-5)
    assert best["auc"] == pytest.approx(np.mean(aucs), abs=1e-6)
    assert best["rounds"] == round(np.mean(rounds))


@pytest.mark.parametrize(("feature", "direction"), [(0, 1), (1, -1)])
def test_a_monotone_champion_never_moves_against_the_direction(feature, direction):
    moves = direction * np.diff(sweeps(champion([1, -1, 0]), feature), axis=1)
    assert moves.min() >= -1e-6
    assert moves.max() > 0.1


def test_without_the_constraint_the_same_data_tempt_the_champion():
    assert np.diff(sweeps(champion([0, 0, 0]), 0), axis=1).min() < -0.5


def test_a_constraint_against_the_data_leaves_a_flat_feature():
    assert np.diff(sweeps(champion([0, 1, 0]), 1), axis=1).min() >= -1e-6


def test_the_searched_boosters_hold_the_constraint_too():
    found = search(monotone=[-1, 1, 0], trials=1)
    assert found.trials["auc"][0] < FOUND.trials["auc"].min() - 0.1


def test_the_champion_is_deterministic_and_has_the_rounds_asked_for():
    first, second = champion([1, -1, 0]), champion([1, -1, 0])
    assert bytes(first.save_raw("ubj")) == bytes(second.save_raw("ubj"))
    assert first.num_boosted_rounds() == 30


def test_the_champion_takes_missing_values():
    booster = champion([1, -1, 0], FEATURES_WITH_GAPS)
    assert np.isfinite(booster.predict(xgboost.DMatrix(FEATURES_WITH_GAPS))).all()


def test_the_champion_keeps_no_feature_names():
    assert champion([0, 0, 0]).feature_names is None


def test_fixed_settings_name_the_device_and_the_constraints():
    settings = booster_settings([1, 0, -1], seed=9, device="cuda")
    assert settings["device"] == "cuda"
    assert settings["monotone_constraints"] == (1, 0, -1)
    assert settings["seed"] == 9
    assert booster_settings([0], seed=9)["device"] == "cpu"
