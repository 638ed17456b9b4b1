import numpy as np
import polars as pl
import pytest
import xgboost
from sklearn.metrics import log_loss, roc_auc_score

from workbench.errors import ParamsError
from workbench.training.boosting import booster_settings, train_champion
from workbench.training.folds import Folds, make_folds
from workbench.training.search import is_behind, search_champion, winning_trial

SPACE = {
    "max_depth": [1, 3],
    "learning_rate": [0.1, 0.4],
    "min_child_weight": [1.0, 20.0],
    "subsample": [0.7, 1.0],
    "colsample_bytree": [0.7, 1.0],
    "reg_lambda": [0.5, 5.0],
}
WIDE = {**SPACE, "learning_rate": [0.005, 0.5]}  # in 30 rounds the slow learners fall far behind
PLAN = {
    "trials": 4,
    "max_rounds": 30,
    "early_stopping_rounds": 5,
    "pruning": False,
    "winner": "best",
    "seed": 3,
}
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


ROWS = pl.DataFrame(
    {"applicant_id": np.arange(DEFAULT.size), "default": DEFAULT.astype(int), "vintage": "2025-01"}
)
FOLDS = make_folds(ROWS, folds=3, forward=False, seed=1)


def search(monotone=(1, -1, 0), features=FEATURES, default=DEFAULT, folds=FOLDS, **changes):
    base = booster_settings(monotone, seed=1)
    return search_champion(features, default, folds, **{"space": SPACE, "base": base, **PLAN, **changes})


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
PRUNED = search(trials=12, pruning=True, space=WIDE)


def same(found, other) -> bool:
    return found.trials.equals(other.trials) and (found.settings, found.rounds) == (
        other.settings,
        other.rounds,
    )


def test_the_same_seed_gives_the_same_search():
    assert same(search(), FOUND)


def test_another_seed_tries_other_settings():
    assert not search(seed=2).trials.equals(FOUND.trials)


def test_the_order_of_the_space_changes_no_trial():
    turned = search(space=dict(reversed(SPACE.items())))
    assert turned.trials.select(FOUND.trials.columns).equals(FOUND.trials)


def test_a_longer_search_begins_as_a_shorter_one():
    longer = search(trials=6).trials
    assert longer.head(4).drop("chosen").equals(FOUND.trials.drop("chosen"))


def test_the_best_trial_is_the_lowest_log_loss():
    best = FOUND.trials.sort("log_loss").row(0, named=True)
    assert best["chosen"]
    assert FOUND.settings == {name: best[name] for name in SPACE}
    assert FOUND.rounds == best["rounds"]
    assert FOUND.trials["log_loss"].n_unique() == 4


def test_every_trial_is_in_the_table_within_its_space():
    table = FOUND.trials
    assert table.columns == ["trial", "status", *SPACE, "rounds", "log_loss", "log_loss_sd", "auc", "chosen"]
    assert table["trial"].to_list() == [1, 2, 3, 4]
    assert table["status"].to_list() == ["finished"] * 4
    assert table["chosen"].sum() == 1
    for name, (low, high) in SPACE.items():
        assert table[name].is_between(low, high).all()
        assert table[name].n_unique() > 1
    assert table["max_depth"].dtype == pl.Int64
    assert table["rounds"].is_between(1, 30).all()
    assert (table["log_loss_sd"] > 0).all()
    assert (FOUND.resumed, FOUND.notes) == (0, ())


def test_one_trial_is_enough():
    assert search(trials=1, winner="one_standard_error").trials.height == 1


def test_a_space_of_one_point_is_that_point():
    point = {name: [low, low] for name, (low, _) in SPACE.items()}
    found = search(trials=2, space=point)
    assert found.settings == {name: low for name, (low, _) in SPACE.items()}
    assert found.trials["chosen"].to_list() == [True, False]


def test_the_search_beats_the_naive_rate():
    naive = log_loss(DEFAULT, np.full(DEFAULT.size, DEFAULT.mean()))
    assert FOUND.trials["log_loss"].min() < naive - 0.05
    assert FOUND.trials["auc"].min() > 0.7


def judged_again(settings, folds) -> pl.DataFrame:
    """Train a trial's fold boosters again, with scikit-learn's measures for the judges."""
    rows = []
    for fitted, judged in folds:
        train = xgboost.QuantileDMatrix(FEATURES[fitted], DEFAULT[fitted])
        test = xgboost.QuantileDMatrix(FEATURES[judged], DEFAULT[judged], ref=train)
        booster = xgboost.train(
            booster_settings([1, -1, 0], seed=1) | settings,
            train,
            num_boost_round=30,
            evals=[(test, "judged")],
            early_stopping_rounds=5,
            verbose_eval=False,
        )
        prob = booster.predict(test, iteration_range=(0, booster.best_iteration + 1))
        measures = log_loss(DEFAULT[judged], prob), roc_auc_score(DEFAULT[judged], prob)
        rows.append((booster.best_iteration + 1, *measures))
    return pl.DataFrame(rows, schema=["rounds", "log_loss", "auc"], orient="row")


def test_losses_and_aucs_are_those_of_the_folds():
    best = FOUND.trials.filter("chosen").row(0, named=True)
    again = judged_again(FOUND.settings, FOLDS.pairs)
    assert best["log_loss"] == pytest.approx(again["log_loss"].mean(), abs=1e-5)
    assert best["log_loss_sd"] == pytest.approx(again["log_loss"].std(), abs=1e-5)
    assert best["auc"] == pytest.approx(again["auc"].mean(), abs=1e-6)
    assert best["rounds"] == round(again["rounds"].mean())


def test_folds_forward_in_time_are_taken_as_they_are():
    pairs = ((np.arange(800), np.arange(800, 1400)), (np.arange(1400), np.arange(1400, 2000)))
    found = search(folds=Folds(pairs), trials=1)
    again = judged_again(found.settings, pairs)
    assert found.trials["log_loss"][0] == pytest.approx(again["log_loss"].mean(), abs=1e-5)


def test_a_space_that_contradicts_the_constraints_is_refused():
    with pytest.raises(ParamsError) as raised:
        search(space={"monotone_constraints": [0, 1], "max_depth": [3, 2]})
    assert len(raised.value.faults) == 2


def test_time_ends_the_search_after_a_trial_and_says_so():
    found = search(trials=50, seconds=1e-6)
    assert found.trials.height == 1
    assert found.trials["chosen"].to_list() == [True]
    assert found.notes == ("the 1e-06 seconds ended the search after 1 of 50 trials",)
    assert same(search(seconds=1_000), FOUND)


# Pruning


def test_the_pruned_stay_in_the_table_and_cannot_win():
    table = PRUNED.trials
    assert table.height == 12
    assert set(table["status"]) == {"finished", "pruned"}
    assert table["status"].head(5).to_list() == ["finished"] * 5
    assert table.filter("chosen")["status"].to_list() == ["finished"]
    finished = table.filter(status="finished")
    assert PRUNED.settings["learning_rate"] == finished.sort("log_loss")["learning_rate"][0]
    assert same(search(trials=12, pruning=True, space=WIDE), PRUNED)


def test_a_pruned_trial_was_behind_on_the_folds_that_judged_it():
    """Judge all again up to the first pruned trial, by scikit-learn's measures."""
    first = PRUNED.trials.filter(status="pruned").row(0, named=True)
    losses = [
        judged_again({name: trial[name] for name in SPACE}, FOLDS.pairs)["log_loss"].to_list()
        for trial in PRUNED.trials.head(first["trial"]).iter_rows(named=True)
    ]
    seen = 1 if first["log_loss_sd"] is None else 2
    own = np.mean(losses[-1][:seen])
    assert first["log_loss"] == pytest.approx(own, abs=1e-5)
    assert own > np.median([np.mean(other[:seen]) for other in losses[:-1]])
    best = min(losses[:-1], key=np.mean)
    assert own > np.mean(best[:seen]) + np.std(best, ddof=1) / np.sqrt(3)


def test_nothing_is_pruned_unless_asked():
    assert set(search(trials=12).trials["status"]) == {"finished"}


OTHERS = [
    [loss, loss] for loss in (0.1, 0.2, 0.3, 0.4, 0.5)
]  # the best has no spread: only the median counts


def test_the_median_rule_at_its_boundary():
    assert not is_behind([0.3], OTHERS)
    assert is_behind([0.3000001], OTHERS)
    assert not is_behind([0.9], OTHERS[:4]), "too few to compare with"


def test_what_one_standard_error_could_choose_is_not_behind():
    """The best trial, 0.1 and 0.3, has a mean of 0.2 and a standard error of 0.1; the median is below 0.3."""
    others = [[0.1, 0.3], *[[0.22, 0.22]] * 4]
    assert not is_behind([0.2999, 0.2999], others)
    assert is_behind([0.3001, 0.3001], others)
    assert not is_behind([0.2199], others)
    assert is_behind([0.2201], others), "after one fold the best stood at 0.1, and 0.22 is the median"


def test_the_same_folds_are_compared():
    """The first fold is easy for all: a mean over more folds is held against means over as many."""
    others = [[0.1, 0.7]] * 5
    assert not is_behind([0.1, 0.7], others)
    assert not is_behind([0.39], others)
    assert is_behind([0.41], others), "0.1 and a standard error of 0.3"
    assert is_behind([0.1, 1.31], others)


# The winner


def trials_of(*rows) -> pl.DataFrame:
    names = ["status", "max_depth", "rounds", "log_loss", "log_loss_sd"]
    return pl.DataFrame(rows, schema=names, orient="row").with_row_index("trial", offset=1)


TRIALS = trials_of(
    ("finished", 6, 100, 0.400, 0.02),  # the best; one standard error is 0.02 / sqrt(4) = 0.01
    ("finished", 3, 100, 0.410, 0.90),  # exactly on the line
    ("finished", 2, 100, 0.411, 0.01),  # simpler, and beyond it
    ("pruned", 1, 10, 0.300, None),
    ("finished", 4, 50, 0.405, 0.01),  # as many leaves as trial 2: 50 x 16 = 100 x 8
)


def test_the_rules_choose_as_they_say():
    assert winning_trial(TRIALS, winner="best", folds=4) == 1
    assert winning_trial(TRIALS, winner="one_standard_error", folds=4) == 5
    assert winning_trial(TRIALS.head(4), winner="one_standard_error", folds=4) == 2
    assert winning_trial(TRIALS.head(4), winner="one_standard_error", folds=5) == 1
    assert winning_trial(TRIALS, winner="one_standard_error", folds=3) == 3


def test_without_a_searched_depth_the_fewest_rounds_are_the_simplest():
    table = TRIALS.drop("max_depth")
    assert winning_trial(table, winner="one_standard_error", folds=4, max_depth=3) == 5


def test_equal_trials_give_the_first():
    table = trials_of(*[("finished", 3, 10, 0.4, 0.1)] * 3)
    assert {winning_trial(table, winner=winner, folds=4) for winner in ("best", "one_standard_error")} == {1}


def test_the_simplest_within_one_standard_error_is_chosen_in_a_search():
    found = search(trials=12, winner="one_standard_error")
    best, chosen = (found.trials.sort(by).row(-1, named=True) for by in (-pl.col("log_loss"), "chosen"))
    assert chosen["log_loss"] <= best["log_loss"] + best["log_loss_sd"] / np.sqrt(3)
    assert chosen["rounds"] * 2 ** chosen["max_depth"] < best["rounds"] * 2 ** best["max_depth"]
    assert found.settings == {name: chosen[name] for name in SPACE}
    assert found.trials.drop("chosen").equals(search(trials=12).trials.drop("chosen"))


# The champion


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
