from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from scipy.special import expit
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from statsmodels.stats.weightstats import DescrStatsW

from workbench.errors import DataError
from workbench.scorer import ScoreScale, model_matrix
from workbench.statistics.estimate import Estimate
from workbench.statistics.ranking import auc, compare_auc
from workbench.training.boosting import booster_settings, train_champion
from workbench.training.challengers import ChallengerSettings, challenger_margin, fit_challengers
from workbench.training.folds import boosted_out_of_fold, make_folds
from workbench.training.selection import (
    Candidates,
    booster_candidates,
    candidate_predictions,
    choose_champion,
    compare_candidates,
    constraint_cost,
)

NAMES, DIRECTIONS = ["late", "paid", "other"], [1, -1, 0]
BOOSTERS = ["additive", "constrained", "monotone", "unconstrained"]
CHALLENGERS = ["scorecard", "logistic", "explainable_boosting"]
ASKED = ChallengerSettings(NAMES, DIRECTIONS, 4, 0.0, ScoreScale(600, 50, 20), 1)
SETTINGS = booster_settings(DIRECTIONS, seed=1) | {
    "interaction_constraints": "[[0, 1], [2]]",
    "max_depth": 4,
    "learning_rate": 0.2,
    "min_child_weight": 1,
    "nthread": 1,
}
VARIANTS = booster_candidates(SETTINGS)


def sample(size: int = 1_200, seed: int = 1) -> pl.DataFrame:
    """late and paid work together; late falls at its top, against its expected direction."""
    draw = np.random.default_rng(seed)
    late, paid, other = draw.uniform(0, 4, size), draw.normal(size=size), draw.normal(size=size)
    log_odds = -1.5 + 1.5 * np.sin(late) * (paid < 0.5) + 0.5 * other * paid
    return pl.DataFrame(
        {
            "applicant_id": np.arange(size),
            "late": late,
            "paid": pl.Series(paid).set(pl.Series(draw.random(size) < 0.05), None),
            "other": other,
            "default": (draw.random(size) < expit(log_odds)).astype(float),
            "vintage": [f"2025-{month + 1:02}" for month in draw.integers(0, 4, size)],
        }
    )


ROWS = sample()
DEFAULT = ROWS["default"].to_numpy()
FOLDS = make_folds(ROWS, folds=3, forward=False, seed=1)


def predicted(features=ROWS, default=DEFAULT, folds=FOLDS, boosters=VARIANTS, **changes):
    settings = {"rounds": 30, "challengers": ASKED} | changes
    return candidate_predictions(features, default, folds, boosters=boosters, **settings)


FOUND = predicted()


def trained(name):
    return train_champion(model_matrix(ROWS, NAMES), DEFAULT, settings=VARIANTS[name], rounds=30, names=NAMES)


def margins(booster, **fixed):
    """Margins of 200 rows, with some features set to one value."""
    import xgboost

    frame = ROWS.head(200).with_columns(**{name: pl.lit(value) for name, value in fixed.items()})
    return booster.predict(xgboost.DMatrix(model_matrix(frame, NAMES)), output_margin=True)


def steps_of(booster, feature):
    """Each row's margins while `feature` rises."""
    grid = np.linspace(-3, 5, 60)
    return np.array([margins(booster, **{feature: value}) for value in grid])


def features_by_tree(booster):
    tables = booster.trees_to_dataframe()
    split = tables[tables["Feature"] != "Leaf"]
    return {
        frozenset(group["Feature"].unique()) for _, group in split.groupby("Tree") if group["Feature"].size
    }


def made(*noises, size=4_000, seed=3, names=("constrained", "monotone", "unconstrained")):
    """Candidates that see the true risk through normal noise of these sizes."""
    draw = np.random.default_rng(seed)
    risk = draw.normal(size=size)
    default = (draw.random(size) < expit(risk - 1.5)).astype(float)
    prob = {
        name: expit(risk + noise * draw.normal(size=size) - 1.5)
        for name, noise in zip(names, noises, strict=True)
    }
    return Candidates(default, prob, "made up")


def choice_of(candidates, rule="most_constrained", tolerance=0.01):
    return choose_champion(candidates, rule=rule, tolerance=tolerance, level=0.95)


def test_each_variant_holds_what_it_says():
    boosters = {name: trained(name) for name in VARIANTS}
    rising = {
        name: all((b >= a - 1e-6).all() for a, b in pairwise(steps_of(booster, "late")))
        for name, booster in boosters.items()
    }
    assert rising == {"constrained": True, "monotone": True, "unconstrained": False, "additive": True}
    assert all(
        all((b <= a + 1e-6).all() for a, b in pairwise(steps_of(boosters[name], "paid")))
        for name in ("constrained", "monotone", "additive")
    )
    together = {name: features_by_tree(booster) for name, booster in boosters.items()}
    assert frozenset({"f0", "f1"}) in together["constrained"]
    assert not any("f2" in group and len(group) > 1 for group in together["constrained"])
    assert any("f2" in group and len(group) > 1 for group in together["monotone"])
    assert any("f2" in group and len(group) > 1 for group in together["unconstrained"])
    assert all(len(group) == 1 for group in together["additive"])


def test_the_additive_variant_adds_up():
    booster = trained("additive")
    gaps = [
        margins(booster, late=3.0, **rest) - margins(booster, late=0.5, **rest)
        for rest in ({}, {"paid": -1.0}, {"paid": 1.0, "other": -2.0})
    ]
    assert np.ptp(gaps) < 1e-5
    assert gaps[0][0] > 0.1
    together = [
        margins(trained("monotone"), late=1.6, **rest) - margins(trained("monotone"), late=0.2, **rest)
        for rest in ({"paid": -1.0}, {"paid": 1.0})
    ]
    assert np.ptp(together) > 0.1


def test_settings_are_kept_and_the_constrained_variant_is_the_champions_own():
    assert list(VARIANTS) == BOOSTERS
    assert VARIANTS["constrained"] == SETTINGS
    assert all(variant["max_depth"] == 4 and variant["seed"] == 1 for variant in VARIANTS.values())


def test_what_is_not_constrained_costs_nothing():
    free = booster_candidates(booster_settings([0, 0, 0], seed=1) | {"nthread": 1})
    few = ROWS.head(300)
    folds = make_folds(few, folds=2, forward=False, seed=1)
    found = predicted(few, few["default"].to_numpy(), folds, boosters=free)
    for name in ("monotone", "unconstrained"):
        assert (found.prob_default[name] == found.prob_default["constrained"]).all()
    cost = constraint_cost(found, level=0.95)
    assert (cost.value, cost.low) == (0.0, None)
    assert choice_of(found, tolerance=0.0).name in ("constrained", "additive")


def test_every_candidate_is_judged_on_the_same_rows():
    assert list(FOUND.prob_default) == [*BOOSTERS, *CHALLENGERS]
    assert (FOUND.boosters, FOUND.challengers) == (BOOSTERS, CHALLENGERS)
    assert (FOUND.default == DEFAULT).all()
    assert FOUND.basis == "out of fold, 3 folds"
    for prob in FOUND.prob_default.values():
        assert prob.shape == DEFAULT.shape
        assert ((prob > 0) & (prob < 1)).all()
        assert roc_auc_score(DEFAULT, prob) > 0.55


def test_predictions_are_those_of_the_folds_models():
    matrix = model_matrix(ROWS, NAMES)
    for name, settings in VARIANTS.items():
        wanted = boosted_out_of_fold(matrix, DEFAULT, FOLDS, settings=settings, rounds=30)
        assert (FOUND.prob_default[name] == wanted).all()
    fitted, judged = FOLDS.pairs[0]
    for name, model in fit_challengers(ROWS[fitted], DEFAULT[fitted], ASKED).items():
        wanted = expit(challenger_margin(model, ROWS[judged]))
        assert FOUND.prob_default[name][judged] == pytest.approx(wanted, abs=1e-12)


def test_no_row_speaks_for_itself():
    """With the outcomes of one fold turned round, nobody predicts that fold differently."""
    _, judged = FOLDS.pairs[0]
    turned = DEFAULT.copy()
    turned[judged] = 1 - turned[judged]
    other = predicted(default=turned)
    rest = np.setdiff1d(np.arange(DEFAULT.size), judged)
    for name, prob in other.prob_default.items():
        assert (prob[judged] == FOUND.prob_default[name][judged]).all()
        assert not np.allclose(prob[rest], FOUND.prob_default[name][rest])


def test_forward_in_time_the_oldest_rows_do_not_count():
    """A source that begins after the first month is left out where it is always missing."""
    begun = ROWS.with_columns(other=pl.when(pl.col("vintage") > "2025-01").then("other"))
    folds = make_folds(begun, folds=3, forward=True, seed=1)
    found = predicted(begun, folds=folds)
    oldest = int((ROWS["vintage"] == "2025-01").sum())
    assert found.default.size == DEFAULT.size - oldest == folds.judged.size
    assert (found.default == DEFAULT[folds.judged]).all()
    assert all(np.isfinite(prob).all() for prob in found.prob_default.values())
    said = f"3 folds forward in time: the oldest {oldest} of 1,200 rows judge nothing"
    assert said in found.basis
    assert said in compare_candidates(found, reference="constrained", level=0.95)["method"][0]


def test_a_sample_of_one_class_is_refused():
    with pytest.raises(DataError, match="at least one of each is needed"):
        predicted(default=np.zeros(DEFAULT.size))


TABLE = compare_candidates(FOUND, reference="constrained", level=0.9)


def test_the_table_is_scikit_learns_numbers_with_their_intervals():
    assert TABLE.columns == [
        *("candidate", "family", "auc", "auc_low", "auc_high"),
        *("difference", "difference_low", "difference_high", "p_value"),
        *("log_loss", "log_loss_low", "log_loss_high"),
        *("brier_score", "brier_score_low", "brier_score_high", "level", "method"),
    ]
    assert TABLE["auc"].is_sorted(descending=True)
    assert (TABLE["level"] == 0.9).all()
    for row in TABLE.iter_rows(named=True):
        prob = FOUND.prob_default[row["candidate"]]
        area = auc(DEFAULT, prob, level=0.9)
        assert row["auc"] == pytest.approx(roc_auc_score(DEFAULT, prob))
        assert (row["auc_low"], row["auc_high"]) == (area.low, area.high)
        assert row["log_loss"] == pytest.approx(log_loss(DEFAULT, prob))
        assert row["brier_score"] == pytest.approx(brier_score_loss(DEFAULT, prob))
        limits = DescrStatsW((prob - DEFAULT) ** 2).zconfint_mean(alpha=0.1)
        assert (row["brier_score_low"], row["brier_score_high"]) == pytest.approx(limits)
        limits = DescrStatsW(-np.log(np.where(DEFAULT == 1, prob, 1 - prob))).zconfint_mean(alpha=0.1)
        assert (row["log_loss_low"], row["log_loss_high"]) == pytest.approx(limits)


def test_differences_are_paired_with_the_reference():
    for row in TABLE.iter_rows(named=True):
        found = [row["difference"], row["difference_low"], row["difference_high"], row["p_value"]]
        if row["candidate"] == "constrained":
            assert found == [None] * 4
            continue
        gap = compare_auc(
            DEFAULT,
            FOUND.prob_default["constrained"],
            FOUND.prob_default[row["candidate"]],
            level=0.9,
        )
        assert found == [gap.difference.value, gap.difference.low, gap.difference.high, gap.p_value]


def test_families():
    families = dict(TABLE.select("candidate", "family").rows())
    assert families == dict.fromkeys(BOOSTERS, "boosting") | {
        "scorecard": "scorecard",
        "logistic": "logistic",
        "explainable_boosting": "additive",
    }


def test_a_certain_candidate_that_errs_has_a_finite_loss():
    default = np.array([0.0, 1.0, 0.0, 1.0])
    candidates = Candidates(default, {"constrained": np.array([0.0, 1.0, 1.0, 0.0])}, "made up")
    table = compare_candidates(candidates, reference="constrained", level=0.95)
    assert table["log_loss"].item() == pytest.approx(log_loss(default, [0.0, 1.0, 1.0, 0.0]))


def test_an_unknown_reference_is_named_with_its_neighbour():
    with pytest.raises(DataError, match=r"constraned is no candidate \(did you mean constrained\?\)"):
        compare_candidates(FOUND, reference="constraned", level=0.95)


def test_the_cost_of_constraints_is_what_unconstrained_ranks_better():
    candidates = made(2.0, 1.0, 0.2)
    cost = constraint_cost(candidates, level=0.95)
    areas = {name: auc(candidates.default, prob).value for name, prob in candidates.prob_default.items()}
    assert cost.value == pytest.approx(areas["unconstrained"] - areas["constrained"])
    assert cost.low > 0
    assert cost.method == "paired DeLong"
    with pytest.raises(DataError, match="unconstrained is no candidate"):
        constraint_cost(made(1.0, names=["constrained"]), level=0.95)


def test_the_most_constrained_is_chosen_when_its_whole_interval_holds_the_tolerance():
    """On the line it is chosen, a hair beyond it the next one is."""
    candidates = made(0.6, 0.4, 0.1)
    gap = candidates.difference("constrained", "unconstrained", level=0.95)
    assert gap.high < 0
    at = choice_of(candidates, tolerance=-gap.low)
    assert (at.name, at.best, at.difference) == ("constrained", "unconstrained", gap)
    assert "it is the most constrained booster within" in at.reason
    beyond = choice_of(candidates, tolerance=-gap.low - 1e-9)
    assert beyond.name == "monotone"
    assert "; not within" in beyond.reason
    assert f"AUC with its whole interval is constrained ({gap.value:+.4f} [" in beyond.reason
    assert choice_of(candidates, tolerance=0.0).name == "unconstrained"


def test_a_level_asked_for_decides_too():
    candidates = made(0.6, 0.4, 0.1)
    tolerance = -candidates.difference("constrained", "unconstrained", level=0.8).low
    for level, name in ((0.8, "constrained"), (0.99, "monotone")):
        chosen = choose_champion(candidates, rule="most_constrained", tolerance=tolerance + 1e-9, level=level)
        assert chosen.name == name


def test_the_best_rule_takes_the_highest_auc():
    candidates = made(0.6, 0.1, 0.4)
    chosen = choice_of(candidates, "best", 0.5)
    assert (chosen.name, chosen.best) == ("monotone", "monotone")
    assert chosen.difference == Estimate(
        0.0, None, None, 0.95, "no interval: paired DeLong finds no variation"
    )
    assert chosen.reason == "monotone is the champion: it has the highest AUC of the boosters."


def test_of_equals_the_more_constrained_is_best():
    alike = made(0.5, names=["constrained"])
    prob = alike.prob_default["constrained"]
    candidates = Candidates(alike.default, {"unconstrained": prob, "monotone": prob}, "made up")
    for rule in ("best", "most_constrained"):
        assert choice_of(candidates, rule, 0.0).name == "monotone"


def test_a_named_booster_is_taken_and_its_loss_is_said():
    chosen = choice_of(made(2.0, 1.0, 0.2), "constrained", 0.0)
    assert chosen.name == "constrained"
    assert "the params name it; its AUC minus that of unconstrained, the best, is -0." in chosen.reason


def test_the_first_within_reach_is_taken_from_the_most_constrained_on():
    names = ["constrained", "monotone", "unconstrained", "additive"]
    assert choice_of(made(2.0, 2.0, 2.0, 0.1, names=names)).name == "additive"
    assert choice_of(made(0.1, 2.0, 2.0, 0.1, names=names), tolerance=0.05).name == "additive"
    chosen = choice_of(made(2.0, 2.0, 0.1, 2.0, names=names))
    assert chosen.name == "unconstrained"
    said = chosen.reason.split("not within 0.01 of the best AUC with its whole interval is ")[1]
    assert [said.index(f"{name} (-0.") for name in ("additive", "constrained", "monotone")] == sorted(
        said.index(f"{name} (-0.") for name in ("additive", "constrained", "monotone")
    )


def test_a_challenger_never_becomes_champion_but_says_that_it_is_better():
    names = ["constrained", "unconstrained", "logistic", "scorecard"]
    beaten = choice_of(made(1.5, 1.5, 0.1, 3.0, names=names), "best")
    assert beaten.name in ("constrained", "unconstrained")
    assert beaten.beaten_by == ("logistic",)
    assert "Beaten by more than chance by logistic (AUC +0." in beaten.reason
    ahead = choice_of(made(0.1, 1.5, 0.6, 3.0, names=names), "best")
    assert ahead.beaten_by == ()
    assert ahead.reason.endswith("No challenger ranks better by more than chance.")


def test_a_challenger_equal_to_the_champion_does_not_beat_it():
    alike = made(0.5, names=["constrained"])
    prob = alike.prob_default["constrained"]
    twins = Candidates(alike.default, {"constrained": prob, "logistic": prob}, "made up")
    assert choice_of(twins).beaten_by == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("monotne", "monotne is no booster (did you mean monotone?)"),
        ("bst", "bst is no booster (did you mean best?)"),
        ("scorecard", "scorecard is a challenger and the scorer serves boosters only"),
        ("additive", "additive is no booster"),
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule, said):
    with pytest.raises(DataError) as caught:
        choice_of(made(1.0, 1.0, 1.0), rule)
    assert caught.value.summary == f"no champion: {said}"
    assert caught.value.faults == (
        "training.champion is one of most_constrained, best, constrained, monotone, unconstrained",
    )


def test_challengers_alone_leave_no_champion():
    with pytest.raises(DataError, match="no candidate can become champion"):
        choice_of(made(1.0, names=["logistic"]), "best")


def test_a_booster_that_loses_the_tolerance_is_rarely_chosen():
    """The truth on the line: the interval is wholly above it in 2.5 of 100 samples."""
    pair = ["constrained", "unconstrained"]
    tolerance = constraint_cost(made(1.0, 0.4, size=400_000, names=pair), level=0.95).value
    samples = [made(1.0, 0.4, size=1_500, seed=seed, names=pair) for seed in range(400)]
    chosen = [choice_of(candidates, tolerance=tolerance).name for candidates in samples]
    assert 0.005 <= chosen.count("constrained") / len(chosen) <= 0.05


def test_only_the_challengers_asked_for_are_tried():
    few = ROWS.head(300)
    folds = make_folds(few, folds=2, forward=False, seed=1)
    boosters = {"constrained": booster_settings([0, 0, 0], seed=1) | {"nthread": 1}}
    for tried in ([], ["logistic"]):
        found = predicted(few, few["default"].to_numpy(), folds, boosters=boosters, tried=tried)
        assert found.challengers == tried
