import json

import numpy as np
import polars as pl
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.scorer import Calibration, Scorer, ScoreScale, load_scorer, model_matrix

SCALE = ScoreScale(reference_score=600, reference_odds=50, points_to_double_odds=20)
SCALES = st.builds(ScoreScale, st.floats(100, 900), st.floats(0.5, 500), st.floats(5, 100))
NAMES = ("late_count", "paid_mean")


def score(prob_default: float, scale: ScoreScale = SCALE) -> float:
    return float(scale.score(np.array([prob_default]))[0])


def sample(size: int = 400) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    late = generator.poisson(1, size).astype(float)
    paid = pl.Series(generator.normal(size=size))
    known = pl.Series(generator.random(size) < 0.9)
    return pl.DataFrame(
        {
            "applicant_id": range(101, 101 + size),
            "paid_mean": pl.select(pl.when(known).then(paid)).to_series(),
            "late_count": late,
        }
    )


FEATURES = sample()


def make_scorer(cutoff: float = 550.0, calibration: Calibration | None = None) -> Scorer:
    late = FEATURES["late_count"].to_numpy()
    default = np.random.default_rng(2).random(late.size) < 1 / (1 + np.exp(1 - late))
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 2, "seed": 1},
        xgboost.DMatrix(model_matrix(FEATURES, NAMES), default),
        num_boost_round=8,
    )
    return Scorer(NAMES, booster, calibration or Calibration(0.1, 0.9), SCALE, cutoff)


SCORER = make_scorer()
SCORES = SCORER.score(FEATURES)


def test_fifty_to_one_is_600_points():
    assert score(1 / 51) == pytest.approx(600)


@pytest.mark.parametrize(("points", "odds"), [(620, 100), (640, 200), (580, 25), (560, 12.5)])
def test_twenty_points_double_the_odds(points, odds):
    assert score(1 / (1 + odds)) == pytest.approx(points)


@given(SCALES)
def test_the_reference_odds_have_the_reference_score(scale):
    assert score(1 / (1 + scale.reference_odds), scale) == pytest.approx(scale.reference_score)


@given(SCALES, st.floats(0.001, 0.9))
def test_points_to_double_the_odds_do_so_anywhere(scale, prob):
    odds = (1 - prob) / prob
    doubled = 1 / (1 + 2 * odds)
    assert score(doubled, scale) - score(prob, scale) == pytest.approx(scale.points_to_double_odds, rel=1e-6)


@given(SCALES, st.floats(1e-6, 1 - 1e-6))
def test_score_and_pd_are_each_other_s_inverse(scale, prob):
    assert scale.prob_default(score(prob, scale)) == pytest.approx(prob, rel=1e-9, abs=1e-12)


@given(SCALES, st.floats(1e-6, 0.999), st.floats(1e-5, 1e-3))
def test_a_higher_score_is_safer(scale, prob, step):
    assert score(prob, scale) > score(prob + step * (1 - prob), scale)


def test_the_factor_is_points_per_log_odds():
    assert SCALE.factor == pytest.approx(20 / np.log(2))


@given(st.floats(-3, 3), st.floats(0.1, 3), st.floats(-3, 3))
def test_calibration_is_a_line_in_log_odds(intercept, slope, margin):
    prob = Calibration(intercept, slope).prob_default(np.array([margin]))[0]
    assert np.log(prob / (1 - prob)) == pytest.approx(intercept + slope * margin, abs=1e-6)


def test_a_score_runs_from_margin_to_decision():
    assert SCORES.columns == ["applicant_id", "margin", "prob_default", "score", "approved"]
    assert SCORES["applicant_id"].to_list() == FEATURES["applicant_id"].to_list()
    matrix = xgboost.DMatrix(model_matrix(FEATURES, NAMES))
    margin = SCORER.booster.predict(matrix, output_margin=True).astype(float)
    assert SCORES["margin"].to_numpy() == pytest.approx(margin)
    prob = 1 / (1 + np.exp(-(0.1 + 0.9 * margin)))
    assert SCORES["prob_default"].to_numpy() == pytest.approx(prob)
    points = 600 + 20 / np.log(2) * np.log((1 - prob) / prob / 50)
    assert SCORES["score"].to_numpy() == pytest.approx(points)


def test_who_is_approved_has_at_least_the_cutoff():
    assert SCORES["approved"].to_list() == [int(points >= 550) for points in SCORES["score"]]
    assert set(SCORES["approved"]) <= {0, 1}


def test_exactly_the_cutoff_is_approved_and_a_hair_below_is_not():
    points = float(SCORES["score"].median())
    points = min(SCORES["score"], key=lambda value: abs(value - points))
    first = SCORES["score"].index_of(points)
    at, above = (
        Scorer(NAMES, SCORER.booster, SCORER.calibration, SCALE, cutoff).score(FEATURES)["approved"][first]
        for cutoff in (points, np.nextafter(points, np.inf))
    )
    assert (at, above) == (1, 0)


def test_the_order_of_columns_and_further_columns_do_not_matter():
    shuffled = FEATURES.select("late_count", "applicant_id", "paid_mean", extra=pl.lit("x"))
    assert SCORER.score(shuffled).equals(SCORES)


def test_a_row_s_score_does_not_depend_on_the_others():
    assert SCORER.score(FEATURES.slice(7, 1)).equals(SCORES.slice(7, 1))


def test_a_scorer_that_was_saved_and_loaded_scores_the_same():
    about = json.loads(json.dumps(SCORER.as_dict()))
    loaded = load_scorer(bytes(SCORER.booster.save_raw("ubj")), about)
    assert loaded.score(FEATURES).equals(SCORES)
    assert (loaded.features, loaded.calibration, loaded.scale, loaded.cutoff) == (
        SCORER.features,
        SCORER.calibration,
        SCORER.scale,
        SCORER.cutoff,
    )
    assert bytes(loaded.booster.save_raw("ubj")) == bytes(SCORER.booster.save_raw("ubj"))


def test_the_scorer_as_json_holds_everything_but_the_booster():
    assert SCORER.as_dict() == {
        "features": ["late_count", "paid_mean"],
        "calibration": {"intercept": 0.1, "slope": 0.9},
        "scale": {"reference_score": 600, "reference_odds": 50, "points_to_double_odds": 20},
        "cutoff": 550.0,
    }


def test_a_missing_feature_is_named_with_its_near_name():
    with pytest.raises(DataError, match="1 of 2 features are not in the table") as caught:
        SCORER.margin(FEATURES.rename({"paid_mean": "paid_means"}))
    assert caught.value.faults == ("paid_mean is missing (did you mean paid_means?)",)


def test_all_missing_features_are_named_at_once():
    with pytest.raises(DataError, match="2 of 2") as caught:
        SCORER.score(FEATURES.select("applicant_id"))
    assert caught.value.faults == ("late_count is missing", "paid_mean is missing")


def test_a_matrix_has_the_order_asked_for_and_nan_for_missing():
    matrix = model_matrix(pl.DataFrame({"a": [1, None], "b": [0.5, 2.0]}), ["b", "a"])
    assert matrix.dtype == np.float64
    np.testing.assert_array_equal(matrix, [[0.5, 1.0], [2.0, np.nan]])
