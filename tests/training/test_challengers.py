import json

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from interpret.glassbox import ExplainableBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from workbench.errors import DataError
from workbench.scorer import ScoreScale, model_matrix
from workbench.statistics.ranking import auc
from workbench.training import challengers
from workbench.training.challengers import (
    EXPLAINABLE_BOOSTING,
    Additive,
    ChallengerSettings,
    Linear,
    challenger_margins,
    fit_challengers,
    fit_explainable_boosting,
    fit_logistic,
)

NAMES = ["late", "paid", "age"]
SETTINGS = ChallengerSettings(NAMES, [1, -1, 0], 5, 0.02, ScoreScale(600, 50, 20), 1)


def sample(size: int = 2_000, seed: int = 1) -> tuple[pl.DataFrame, np.ndarray]:
    """late (riskier), paid (safer; missing is riskier still) and age (riskier at both ends)."""
    draw = np.random.default_rng(seed)
    late, paid = draw.poisson(1, size).astype(float), draw.gamma(2, 500, size)
    age, gap = draw.uniform(-2, 2, size), draw.random(size) < 0.15
    log_odds = -2.5 + 0.6 * late - 0.001 * paid * ~gap + 0.8 * age**2
    default = (draw.random(size) < 1 / (1 + np.exp(-log_odds))).astype(float)
    frame = pl.DataFrame({"applicant_id": np.arange(size), "late": late, "paid": paid, "age": age})
    return frame.with_columns(paid=pl.when(pl.Series(~gap)).then("paid")), default


FEATURES, DEFAULT = sample()
OTHERS, THEIRS = sample(seed=2)
LINEAR = fit_logistic(FEATURES, DEFAULT, names=NAMES)
STEPS = fit_explainable_boosting(FEATURES, DEFAULT, names=NAMES, seed=1)
FITS = {
    "logistic": lambda *data, names: fit_logistic(*data, names=names),
    "explainable_boosting": lambda *data, names: fit_explainable_boosting(*data, names=names, seed=1),
}
both = pytest.mark.parametrize("fit", FITS.values(), ids=FITS)


def test_the_logistic_regression_is_scikit_learns():
    reference = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True),
        StandardScaler(),
        LogisticRegression(C=1.0, tol=1e-10, max_iter=5_000),
    ).fit(model_matrix(FEATURES, NAMES), DEFAULT)
    wanted = reference.decision_function(model_matrix(OTHERS, NAMES))
    assert LINEAR.margin(OTHERS) == pytest.approx(wanted, abs=1e-4)


def test_without_its_penalty_it_is_maximum_likelihood(monkeypatch):
    monkeypatch.setattr(challengers, "LOGISTIC_PENALTY", 1e-9)
    free = fit_logistic(FEATURES, DEFAULT, names=NAMES)
    paid = FEATURES["paid"].to_numpy()
    columns = [FEATURES["late"], np.where(np.isnan(paid), np.nanmedian(paid), paid), FEATURES["age"]]
    design = sm.add_constant(np.column_stack([*columns, np.isnan(paid)]))
    fitted = sm.Logit(DEFAULT, design).fit(disp=False)
    assert free.margin(FEATURES) == pytest.approx(design @ fitted.params, abs=2e-3)
    late = FEATURES["late"].to_numpy().std()
    assert free.table().filter(feature="late")["coefficient"].item() == pytest.approx(
        fitted.params[1] * late, abs=1e-3
    )


def test_the_penalty_shrinks_and_hardly_moves_the_ranking(monkeypatch):
    monkeypatch.setattr(challengers, "LOGISTIC_PENALTY", 1e-9)
    free = fit_logistic(FEATURES, DEFAULT, names=NAMES)
    assert np.square(LINEAR.coefficients).sum() < np.square(free.coefficients).sum()
    assert auc(THEIRS, 1 / (1 + np.exp(-LINEAR.margin(OTHERS)))).value == pytest.approx(
        auc(THEIRS, 1 / (1 + np.exp(-free.margin(OTHERS)))).value, abs=1e-3
    )


def test_the_table_has_the_terms_that_are_in_the_model_largest_first():
    table = LINEAR.table()
    assert table.columns == ["feature", "term", "coefficient"]
    assert set(table.select("feature", "term").rows()) == {
        ("late", "value"),
        ("paid", "value"),
        ("age", "value"),
        ("paid", "missing"),
    }
    assert table["coefficient"].abs().is_sorted(descending=True)
    signs = {(row["feature"], row["term"]): row["coefficient"] > 0 for row in table.iter_rows(named=True)}
    assert signs["late", "value"]
    assert signs["paid", "missing"]
    assert not signs["paid", "value"]


def test_a_value_that_was_never_missing_before_counts_as_its_median():
    unknown = OTHERS.with_columns(late=pl.lit(None, pl.Float64))
    typical = OTHERS.with_columns(late=pl.lit(FEATURES["late"].median()))
    assert LINEAR.margin(unknown) == pytest.approx(LINEAR.margin(typical))


@settings(max_examples=10)
@given(times=st.sampled_from([1e-6, 0.3, -2.0, 1e6]), plus=st.sampled_from([0.0, -3.0, 1e4]))
def test_the_unit_of_a_feature_does_not_matter(times, plus):
    late, others = (frame.with_columns(late=pl.col("late") * times + plus) for frame in (FEATURES, OTHERS))
    assert fit_logistic(late, DEFAULT, names=NAMES).margin(others) == pytest.approx(
        LINEAR.margin(OTHERS), abs=1e-3
    )


def test_a_feature_of_one_value_may_still_tell_by_being_missing():
    frame = FEATURES.with_columns(paid=pl.when(pl.col("paid").is_not_null()).then(1.0))
    model = fit_logistic(frame, DEFAULT, names=NAMES)
    assert model.table().filter(feature="paid")["term"].to_list() == ["missing"]
    assert np.isfinite(model.margin(OTHERS)).all()


def test_the_explainable_boosting_machine_is_interprets():
    """On unseen rows, with values at and beyond the edges and missing ones in every feature."""
    model = ExplainableBoostingClassifier(
        NAMES, ["continuous"] * 3, max_rounds=300, random_state=1, **EXPLAINABLE_BOOSTING
    )
    with pytest.warns(UserWarning, match="Missing values detected"):
        model.fit(model_matrix(FEATURES, NAMES), DEFAULT.astype(int))
    edges = [
        pl.Series(name, [*edges[:20], -1e9, 1e9]) for name, edges in zip(NAMES, STEPS.edges, strict=True)
    ]
    longest = max(edge.len() for edge in edges)
    corners = pl.DataFrame([edge.extend_constant(None, longest - edge.len()) for edge in edges])
    for frame in (OTHERS, corners):
        wanted = model.decision_function(model_matrix(frame, NAMES))
        assert STEPS.margin(frame) == pytest.approx(wanted, abs=1e-9)


def test_every_feature_of_it_acts_alone():
    moved = OTHERS.with_columns(age=pl.lit(1.9))
    gap = STEPS.margin(moved.with_columns(late=pl.lit(3.0))) - STEPS.margin(moved)
    other = STEPS.margin(OTHERS.with_columns(late=pl.lit(3.0))) - STEPS.margin(OTHERS)
    assert gap == pytest.approx(other)
    assert np.ptp(other) > 0.5


def test_it_sees_what_a_straight_line_cannot():
    curved, straight = (roc_auc_score(THEIRS, model.margin(OTHERS)) for model in (STEPS, LINEAR))
    assert curved > straight + 0.05
    ages = OTHERS.head(3).with_columns(late=pl.lit(1.0), paid=pl.lit(500.0), age=pl.Series([-1.9, 0, 1.9]))
    young, middle, old = STEPS.margin(ages)
    assert min(young, old) > middle + 1


def test_missing_values_have_a_step_of_their_own():
    missing, least, most = STEPS.margin(
        OTHERS.head(3).with_columns(late=pl.lit(1.0), age=pl.lit(0.0), paid=pl.Series([None, 1.0, 5_000.0]))
    )
    assert missing > most + 0.5
    assert least > most


def test_importance_is_the_mean_absolute_contribution():
    model = fit_explainable_boosting(FEATURES, DEFAULT, names=["paid"], seed=1)
    wanted = np.abs(model.margin(FEATURES) - model.intercept).mean()
    assert model.table().rows() == [("paid", pytest.approx(wanted))]
    table = STEPS.table()
    assert table["feature"].to_list()[0] == "age"
    assert table["importance"].is_sorted(descending=True)


def test_the_seed_decides_the_machine():
    again, other = (fit_explainable_boosting(FEATURES, DEFAULT, names=NAMES, seed=s) for s in (1, 2))
    assert again == STEPS
    assert other != STEPS
    assert fit_logistic(FEATURES, DEFAULT, names=NAMES) == LINEAR


def test_fewer_rounds_fit_less():
    short = fit_explainable_boosting(FEATURES, DEFAULT, names=NAMES, seed=1, max_rounds=1)
    assert np.ptp(short.margin(OTHERS)) < np.ptp(STEPS.margin(OTHERS)) / 2


@pytest.mark.parametrize("model", [LINEAR, STEPS], ids=["linear", "additive"])
def test_a_model_comes_back_from_json(model):
    kind = Linear if isinstance(model, Linear) else Additive
    back = kind(**json.loads(json.dumps(model.as_dict(), allow_nan=False)))
    assert (back.margin(OTHERS) == model.margin(OTHERS)).all()
    assert back.table().equals(model.table())


@pytest.mark.parametrize("model", [LINEAR, STEPS], ids=["linear", "additive"])
def test_a_feature_that_is_not_there_is_named(model):
    with pytest.raises(DataError, match="1 of 3 features are not in the table") as caught:
        model.margin(OTHERS.rename({"paid": "paids"}))
    assert caught.value.faults == ("paid is missing (did you mean paids?)",)


@both
@pytest.mark.parametrize("outcome", [0.0, 1.0])
def test_an_outcome_of_one_class_is_refused(fit, outcome):
    with pytest.raises(DataError, match="at least one of each is needed"):
        fit(FEATURES, np.full(DEFAULT.size, outcome), names=NAMES)


@both
def test_all_features_that_cannot_be_used_are_named(fit):
    frame = FEATURES.with_columns(
        same=pl.lit(0.1),
        none=pl.lit(None, pl.Float64),
        infinite=pl.when(pl.col("late") > 3).then(float("inf")).otherwise("late"),
    )
    with pytest.raises(DataError, match="A challenger cannot be fitted") as caught:
        fit(frame, DEFAULT, names=[*NAMES, "same", "none", "infinite"])
    infinite = int((FEATURES["late"] > 3).sum())
    assert caught.value.faults == (
        "same has one value only; leave it out",
        "none is always missing; leave it out",
        f"infinite is infinite in {infinite} of 2,000 rows",
    )


@both
def test_outcomes_of_other_rows_are_refused(fit):
    with pytest.raises(DataError) as caught:
        fit(FEATURES, DEFAULT[:-1], names=NAMES)
    assert caught.value.faults == ("there are 1,999 outcomes for 2,000 rows of features",)


def test_every_challenger_gives_a_margin_of_everyone():
    fitted = fit_challengers(FEATURES, DEFAULT, SETTINGS)
    assert list(fitted) == ["scorecard", "logistic", "explainable_boosting"]
    table = challenger_margins(fitted, OTHERS)
    assert table.columns == ["applicant_id", *fitted]
    assert table["applicant_id"].equals(OTHERS["applicant_id"])
    assert table["logistic"].to_list() == LINEAR.margin(OTHERS).tolist()
    assert table["explainable_boosting"].to_list() == STEPS.margin(OTHERS).tolist()
    card = 1 / (1 + np.exp(-table["scorecard"].to_numpy()))
    assert card == pytest.approx(fitted["scorecard"].prob_default(OTHERS))
    assert all(roc_auc_score(THEIRS, table[name]) > 0.6 for name in fitted)


def test_only_what_varies_in_the_rows_is_kept_with_its_direction():
    frame = FEATURES.with_columns(late=pl.lit(2.0), paid=pl.when(pl.col("paid").is_not_null()).then(1.0))
    kept = SETTINGS.varying(frame)
    assert (list(kept.names), list(kept.monotone)) == (["paid", "age"], [-1, 0])
    assert SETTINGS.varying(FEATURES).names == tuple(NAMES)
