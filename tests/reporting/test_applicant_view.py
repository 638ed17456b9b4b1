"""What is gathered of one applicant: it adds up, has an interval or says why not, and names whom it lacks."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.errors import DataError
from workbench.explanation.shapley import path_dependent
from workbench.reporting.applicant_view import Explained, applicant_view
from workbench.scorer import Calibration, Scorer, ScoreScale
from workbench.validation.uncertainty import applicant_uncertainty

NAMES = ("bills_late", "balance", "calls")
CATALOGUE = pl.DataFrame(
    {
        "feature": NAMES,
        "family": ["bills", "cash", "cash"],
        "definition": ["bills paid late", "mean balance", "calls a week"],
        "source": ["electricity", "wallet", "phone"],
        "data_category": ["utility", "mobile_money", "telecom_usage"],
        "unit": ["count", "KES", "count"],
        "monotone": [1, -1, 0],
    }
)
REASONS = pl.DataFrame(
    {
        "rank": [1],
        "reason_code": ["bills"],
        "reason_text": ["3 late"],
        "points_lost": [9.0],
        "kind": ["model"],
    }
)
CHANGES = pl.DataFrame(
    {"found": [True], "feature": ["bills_late"], "from": [3.0], "to": [1.0], "score_after": [512.5]}
)


@pytest.fixture(scope="module")
def frame():
    generator = np.random.default_rng(1)
    columns = {name: generator.normal(size=300) for name in NAMES}
    table = pl.DataFrame({"applicant_id": range(1, 301), **columns})
    whole = pl.when(pl.col("applicant_id") > 1)
    return table.with_columns(whole.then(pl.col(name)).alias(name) for name in NAMES)


@pytest.fixture(scope="module")
def scorer(frame):
    values = frame.select(NAMES).cast(pl.Float64).fill_null(np.nan).to_numpy()
    default = np.random.default_rng(2).random(300) < 1 / (1 + np.exp(2 - np.nan_to_num(values[:, 0])))
    booster = xgboost.train({"max_depth": 2, "seed": 1}, xgboost.DMatrix(values, default), 10)
    beta = Calibration(0.1, 0.9, slope_risky=0.7)  # not a line, so that points rest on the secant
    return Scorer(NAMES, booster, beta, ScoreScale(600, 50, 20), 500.0)


@pytest.fixture(scope="module")
def scores(frame, scorer):
    sample = pl.when(pl.col("applicant_id") > 250).then(pl.lit("holdout")).otherwise(pl.lit("development"))
    return scorer.score(frame).with_columns(sample=sample)


@pytest.fixture(scope="module")
def margins(scores):
    judged = scores.filter(sample="holdout").select("applicant_id", "margin")
    drawn = [(pl.col("margin") + step).alias(f"resample_{n}") for n, step in enumerate((0.1, -0.2, 0.3))]
    return judged.with_columns(*drawn, seed_1=pl.col("margin") + 9).drop("margin")


@pytest.fixture
def view(frame, scorer, scores, margins):
    """Makes the view of an applicant; arguments of `applicant_view` and `Explained` may be changed."""

    def make(applicant_id, *, changed=None, **arguments):
        one = frame.filter(pl.col("applicant_id") == min(applicant_id, 300))
        found = path_dependent(scorer, one, seed=1)
        explained = Explained(found.values[0], found.expected, REASONS, CHANGES)
        given = {"scorer": scorer, "features": frame, "scores": scores, "margins": margins}
        given |= {"catalogue": CATALOGUE, "weights": {"bills_late": 2.0, "balance": 1.0, "calls": 0.0}}
        given |= {"level": 0.9, "run_id": "a-run", "notice": "A notice"}
        return applicant_view(applicant_id, replace(explained, **(changed or {})), **(given | arguments))

    return make


@pytest.mark.parametrize("applicant_id", [1, 2, 260, 300])
def test_points_add_up_to_the_score(view, applicant_id):
    made = view(applicant_id)
    assert made.families["points"].sum() == pytest.approx(made.score - made.base_score, abs=1e-4)
    assert made.data["points"].sum() == pytest.approx(made.families["points"].sum())
    assert sorted(made.families["family"]) == ["bills", "cash"]


def test_the_score_and_decision_are_those_of_the_run(view, scores, scorer):
    own = scores.row(by_predicate=pl.col("applicant_id") == 260, named=True)
    made = view(260)
    assert (made.score, made.sample, made.applicant) == (own["score"], "holdout", "260")
    assert made.approved == bool(own["approved"])
    assert made.prob_default.value == own["prob_default"]
    assert scorer.scale.score(np.array([made.cutoff_prob_default]))[0] == pytest.approx(scorer.cutoff)


def test_the_interval_is_that_of_the_resampled_models(view, scores, scorer):
    base = scores.filter(applicant_id=260)["margin"].to_list()
    own = np.array([[base[0] + step] for step in (0.1, -0.2, 0.3)])
    told = applicant_uncertainty(base, own, prob_of=scorer.calibration.prob_default, level=0.9)
    made = view(260).prob_default
    assert (made.low, made.high) == (pytest.approx(told["prob_low"][0]), pytest.approx(told["prob_high"][0]))
    assert made.low < made.value < made.high
    assert "(3)" in made.method


def test_whoever_served_to_fit_has_no_interval_and_a_reason(view):
    made = view(2).prob_default
    assert (made.low, made.high) == (None, None)
    assert made.method.startswith("no interval: the applicant's own data")


def test_one_resampled_model_makes_no_interval(view, margins):
    assert view(260, margins=margins.select("applicant_id", "resample_0")).prob_default.low is None


def test_neighbours_are_told_by_label_and_without_an_id(view):
    made = view(260)
    assert set(made.neighbours.columns) == {"label", "group", "score", "distance"}
    assert "applicant_id" not in made.differences.columns
    assert set(made.differences["label"]) <= set(made.neighbours["label"])
    assert set(made.differences["definition"]) <= {"bills paid late", "mean balance"}


def test_changes_get_their_definition_and_unit(view):
    made = view(260)
    assert made.changes.rows() == [("bills_late", 3.0, 1.0, "bills paid late", "count")]
    assert made.changed_score == 512.5


@pytest.mark.parametrize("changes", [None, CHANGES.clear()])
def test_whoever_was_not_looked_at_has_no_answer(view, changes):
    made = view(260, changed={"changes": changes})
    assert (made.changes, made.changed_score) == (None, None)


def test_no_answer_tells_the_best_that_was_tried(view):
    none = CHANGES.with_columns(found=pl.lit(False), feature=pl.lit(None, pl.String))
    made = view(260, changed={"changes": none})
    assert made.changes.height == 0
    assert made.changed_score == 512.5


def test_an_applicant_with_everything_missing_is_explained(view):
    made = view(1)
    assert made.data["value"].null_count() == 3
    assert made.neighbours.height > 0


def test_an_applicant_who_is_not_in_the_run_is_told_without_the_id(view):
    with pytest.raises(DataError) as caught:
        view(987654321)
    assert caught.value.faults == (
        "the applicant is not among the 300 of the scores",
        "the applicant is not among the 300 of the features",
    )
    assert "987654321" not in str(caught.value)


def test_a_model_that_does_not_fit_the_catalogue_is_refused_with_all_faults(view, frame):
    with pytest.raises(DataError) as caught:
        view(
            260,
            catalogue=CATALOGUE.head(1),
            features=frame.drop("calls"),
            changed={"values": np.zeros(2)},
        )
    assert caught.value.faults == (
        "balance is not in the catalogue",
        "calls is not in the catalogue",
        "calls is not in the features",
        "there are 2 SHAP values for 3 features",
    )
