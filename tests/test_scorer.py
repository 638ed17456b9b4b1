import json

import numpy as np
import polars as pl
import pytest
import xgboost
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.explanation.examples import example_table
from workbench.explanation.reasons import points_per_value, reason_codes
from workbench.scorer import Calibration, Scorer, ScoreScale, load_calibration, load_scorer, model_matrix

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


# Calibrations that are no line

KNOTS = ((-2.5, -3.0), (-1.0, -1.4), (-0.2, -1.4), (0.5, 0.3))
BENT = {
    "none": Calibration(),
    "platt": Calibration(0.1, 0.9),
    "beta": Calibration(0.1, 0.7, 1.6),
    "isotonic": Calibration(knots=KNOTS),
}
MARGINS = st.floats(-12, 12)
EACH = pytest.mark.parametrize("name", BENT)


def one(function, *margins):
    return float(function(*(np.array([margin]) for margin in margins))[0])


@EACH
def test_a_calibration_knows_its_method_and_how_many_numbers_it_fits(name):
    assert BENT[name].method == name
    assert BENT[name].parameters == {"none": 0, "platt": 2, "beta": 3, "isotonic": 8}[name]


@given(MARGINS, st.floats(-3, 3), st.floats(0, 3), st.floats(0, 3))
def test_beta_is_a_line_in_the_logarithms_of_both_probabilities(margin, intercept, safe, risky):
    prob = 1 / (1 + np.exp(-margin))
    wanted = intercept + safe * np.log(prob) - risky * np.log1p(-prob)
    assert one(Calibration(intercept, safe, risky).log_odds, margin) == pytest.approx(wanted, abs=1e-8)


@given(MARGINS, st.floats(-3, 3), st.floats(0, 3))
def test_beta_with_equal_slopes_is_platt(margin, intercept, slope):
    beta, platt = Calibration(intercept, slope, slope), Calibration(intercept, slope)
    assert one(beta.log_odds, margin) == pytest.approx(one(platt.log_odds, margin), abs=1e-9)


def test_isotonic_is_straight_between_its_knots_and_level_beyond():
    margins = np.array([-9, -2.5, -1.75, -1.0, -0.5, 0.15, 0.5, 9])
    wanted = [-3.0, -3.0, -2.2, -1.4, -1.4, -0.55, 0.3, 0.3]
    assert BENT["isotonic"].log_odds(margins) == pytest.approx(wanted)


@EACH
@given(low=MARGINS, step=st.floats(0, 5))
def test_no_calibration_turns_the_order_of_two_applicants(name, low, step):
    calibration = BENT[name]
    assert one(calibration.log_odds, low + step) >= one(calibration.log_odds, low) - 1e-12


@EACH
@given(margin=st.floats(-30, 30))
def test_the_pd_is_that_of_the_log_odds(name, margin):
    prob, log_odds = (one(f, margin) for f in (BENT[name].prob_default, BENT[name].log_odds))
    assert prob == pytest.approx(1 / (1 + np.exp(-log_odds)))


@pytest.mark.parametrize("margin", [-1e6, 1e6])
def test_no_margin_is_so_extreme_that_isotonic_gives_a_pd_of_0_or_1(margin):
    assert 0.01 < one(BENT["isotonic"].prob_default, margin) < 0.99


@EACH
@given(margin=MARGINS, reference=MARGINS)
def test_contributions_times_the_secant_add_up_to_the_calibrated_difference(name, margin, reference):
    calibration = BENT[name]
    gap = one(calibration.log_odds, margin) - one(calibration.log_odds, reference)
    secant = one(calibration.secant, margin, reference)
    assert secant >= 0
    assert secant * (margin - reference) == pytest.approx(gap, abs=3e-6)


@EACH
@given(margin=MARGINS, nudge=st.floats(-1e-6, 1e-6))
def test_where_nothing_differs_the_secant_is_the_slope_there(name, margin, nudge):
    calibration, step = BENT[name], 1e-4
    around = one(calibration.log_odds, margin + step) - one(calibration.log_odds, margin - step)
    slopes = [one(calibration.secant, margin + side, margin) for side in (-2 * step, 2 * step)]
    secant = one(calibration.secant, margin + nudge, margin)
    assert min(*slopes, around / 2 / step) - 1e-3 <= secant <= max(*slopes, around / 2 / step) + 1e-3


def test_a_line_s_secant_is_its_slope_to_the_last_bit():
    assert (BENT["platt"].secant(np.array([0.3, 0.3, -7.0]), np.array([0.3, 5.0, 5.0])) == 0.9).all()
    assert BENT["platt"].secant(np.zeros(3), 1.0).shape == (3,)


@EACH
def test_every_calibration_comes_back_from_json(name):
    scorer = make_scorer(calibration=BENT[name])
    about = json.loads(json.dumps(scorer.as_dict()))
    loaded = load_scorer(bytes(scorer.booster.save_raw("ubj")), about)
    assert loaded.calibration == BENT[name]
    assert loaded.score(FEATURES).equals(scorer.score(FEATURES))


def test_json_holds_the_numbers_of_the_method_alone():
    assert [list(BENT[name].as_dict()) for name in ("platt", "beta", "isotonic")] == [
        ["intercept", "slope"],
        ["intercept", "slope", "slope_risky"],
        ["knots"],
    ]


def test_a_scorer_saved_with_intercept_and_slope_alone_still_loads():
    assert load_calibration({"intercept": 0.1, "slope": 0.9}) == Calibration(0.1, 0.9)


@EACH
def test_one_row_scores_as_it_does_among_others(name):
    scorer = make_scorer(calibration=BENT[name])
    assert scorer.score(FEATURES.slice(7, 1)).equals(scorer.score(FEATURES).slice(7, 1))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"slope": -0.1}, "slope is -0.1; at least 0 is right"),
        ({"slope": float("nan")}, "slope is nan; at least 0 is right"),
        ({"slope_risky": -1.0}, "slope_risky is -1; at least 0 is right"),
        ({"knots": ((0.0, 1.0), (0.0, 2.0))}, "knots: margins must rise"),
        ({"knots": ((0.0, 1.0), (1.0, 0.9))}, "knots: margins must rise"),
        ({"knots": ((0.0, 1.0), (1.0, float("inf")))}, "knots: margins must rise"),
    ],
)
def test_a_calibration_that_would_turn_the_order_is_refused(values, said):
    with pytest.raises(DataError, match="keep the order") as caught:
        Calibration(**values)
    assert caught.value.faults[0].startswith(said)


def test_slopes_of_0_and_level_knots_are_kept():
    assert Calibration(slope=0.0, slope_risky=0.0).slope == 0
    assert Calibration(knots=((0.0, 1.0), (1.0, 1.0))).parameters == 4


@EACH
def test_explained_points_add_up_to_the_difference_in_score(name):
    """Attributions of the margin, put on the scale of the score, by every calibration."""
    scorer = make_scorer(calibration=BENT[name])
    matrix = xgboost.DMatrix(model_matrix(FEATURES, NAMES))
    values = scorer.booster.predict(matrix, pred_contribs=True).astype(float)
    lost = points_per_value(scorer, FEATURES, values[:, :-1]) * values[:, :-1]
    reference = SCALE.score(scorer.calibration.prob_default(values[:, -1]))
    wanted = reference - scorer.score(FEATURES)["score"].to_numpy()
    assert lost.sum(axis=1) == pytest.approx(wanted, abs=1e-3)
    assert (np.sign(lost) == np.sign(values[:, :-1]))[np.abs(lost) > 1e-9].all()


@EACH
def test_examples_and_reason_codes_take_the_points_of_any_calibration(name):
    scorer = make_scorer(calibration=BENT[name])
    matrix = xgboost.DMatrix(model_matrix(FEATURES, NAMES))
    values = scorer.booster.predict(matrix, pred_contribs=True).astype(float)[:, :-1]
    points = points_per_value(scorer, FEATURES, values)
    shown = pl.DataFrame({"example": ["one"], "applicant_id": [FEATURES["applicant_id"][4]]})
    table = example_table(scorer, FEATURES, values, shown)
    assert sorted(table["points"]) == pytest.approx(sorted((-points * values)[4]))
    families, ids = dict(zip(NAMES, NAMES, strict=True)), FEATURES["applicant_id"]
    codes = reason_codes(
        values, ids, families=families, names=NAMES, points_per_log_odds=points, reasons_shown=2
    )
    lost = codes.filter(applicant_id=ids[4]).sort("reason_code")["points_lost"].to_list()
    assert lost == pytest.approx([value for value in (points * values)[4] if value > 0])
