import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.explanation.fidelity import CHOICES
from workbench.explanation.reason_stability import stability_table
from workbench.explanation.reasons import rank_reasons
from workbench.explanation.shapley import interventional
from workbench.explanation.trials import every_method, fidelity_trial, losses_against, points_of_models
from workbench.scorer import Calibration, Scorer, ScoreScale

NAMES = ("late", "days", "paid", "noise")
FAMILIES = {"late": "arrears", "days": "arrears", "paid": "payments", "noise": "other"}


def train(frame, default, seed=1):
    matrix = xgboost.DMatrix(frame.select(NAMES).to_numpy(), default)
    settings = {"objective": "binary:logistic", "max_depth": 3, "eta": 0.3, "seed": seed, "subsample": 0.5}
    booster = xgboost.train(settings, matrix, num_boost_round=15)
    return Scorer(NAMES, booster, Calibration(), ScoreScale(600, 50, 20), 512.0)


def world(size=2_000):
    draw = np.random.default_rng(1)
    columns = {name: draw.normal(size=size) for name in NAMES}
    frame = pl.DataFrame({"applicant_id": range(size), **columns})
    log_odds = -1 + columns["late"] + columns["days"] - columns["paid"]
    return frame, (draw.random(size) < 1 / (1 + np.exp(-log_odds))).astype(int)


FRAME, DEFAULT = world()
SCORER = train(FRAME, DEFAULT)
SCORED = FRAME.join(SCORER.score(FRAME), on="applicant_id")
APPROVED, DECLINED = SCORED.filter(approved=1), SCORED.filter(approved=0).head(60)
NEAR = APPROVED.sort("score").head(50)
LOSSES = every_method(
    SCORER,
    DECLINED,
    near=NEAR,
    everybody=SCORED.head(80),
    approved=APPROVED,
    families=FAMILIES,
    size=100,
    seed=1,
)


def test_every_method_is_there_by_its_name_with_the_same_families():
    assert list(LOSSES) == ["near_cutoff", "all_applicants", "best_value"]
    assert {losses.codes for losses in LOSSES.values()} == {("arrears", "other", "payments")}
    assert {losses.points.shape for losses in LOSSES.values()} == {(60, 3)}


def test_points_against_a_background_add_up_to_the_difference_in_score():
    found = losses_against(SCORER, DECLINED, NEAR, families=FAMILIES)
    values = interventional(SCORER, DECLINED, NEAR)
    expected = SCORER.points(np.array([values.expected]))[0] - DECLINED["score"].to_numpy()
    assert found.points.sum(axis=1) == pytest.approx(expected, abs=0.01)
    assert np.array_equal(found.points, LOSSES["near_cutoff"].points)


def test_named_reasons_are_tested_beside_chance_and_the_same_for_everyone():
    reasons = rank_reasons(LOSSES["near_cutoff"], DECLINED["applicant_id"], reasons_shown=2)
    tested = fidelity_trial(SCORER, DECLINED, NEAR, reasons, LOSSES["near_cutoff"], families=FAMILIES, seed=1)
    assert set(tested.rows["choice"]) == set(CHOICES)
    assert tested.rows["applicant_id"].n_unique() == tested.reference_declined.size == 60
    last = tested.rows.group_by("choice", "applicant_id").agg(pl.col("score").sort_by("step").last())
    means = dict(last.group_by("choice").agg(pl.col("score").mean()).iter_rows())
    assert means["reasons"] > means["random"]


def test_other_models_and_small_noise_are_told_by_kind():
    others = {"resample_1": train(FRAME.head(1_000), DEFAULT[:1_000]), "seed_1": train(FRAME, DEFAULT, 2)}
    own, found = points_of_models(
        SCORER, others, DECLINED, NEAR, families=FAMILIES, noise=0.05, draws=2, seed=1
    )
    assert {kind: len(points) for kind, points in found.items()} == {"resample": 1, "seed": 1, "noise": 2}
    assert np.array_equal(own, LOSSES["near_cutoff"].points)
    table = stability_table(own, {"seed": found["seed"] * 2}, reasons_shown=2, level=0.95)
    assert table.filter(measure="overlap")["value"][0] > 0.5


def test_the_seed_decides_the_noise():
    options = {"families": FAMILIES, "noise": 0.1, "draws": 1}
    first, again, other = (
        points_of_models(SCORER, {}, DECLINED, NEAR, seed=seed, **options)[1]["noise"][0]
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
