import numpy as np
import polars as pl
import pytest
from fairlearn.postprocessing import ThresholdOptimizer
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from xgboost import XGBClassifier

from workbench.errors import ParamsError
from workbench.fairness.alternative_methods import (
    AT_DECISION,
    METHODS,
    Model,
    Rows,
    crossed_decisions,
    cutoff_at,
    cutoffs,
    fit_classifier,
    method_table,
    reweighing,
    rows_of,
)

IN_TRAINING = ["reweighing", "demographic_parity", "true_positive_rate_parity", "equalized_odds"]


def made(size=1500, seed=1):
    """Rows in which group b is riskier, and its proxy, the second feature, says so."""
    generator = np.random.default_rng(seed)
    group = np.where(generator.random(size) < 0.4, "b", "a")
    features = generator.normal(size=(size, 2))
    features[:, 1] += 1.2 * (group == "b")
    risk = 1 / (1 + np.exp(1 - features[:, 0] - 0.8 * features[:, 1]))
    default = (generator.random(size) < risk).astype(float)
    return Rows(features, default, group, np.ones(size, dtype=bool))


def approved(classifier, rows, rate=0.6):
    risk = -classifier.decision_function(rows.features)
    return risk <= np.quantile(risk, rate)


def gap(values, group):
    return values[group == "a"].mean() - values[group == "b"].mean()


def fitted(method, strength, rows):
    plain = LogisticRegression().fit(rows.features, 1 - rows.default)
    decided = approved(plain, rows).astype(float)
    return fit_classifier(LogisticRegression(), rows, method=method, strength=strength, decided=decided)


# Which methods there are


def test_methods_that_need_the_attribute_to_decide_are_marked():
    table = method_table(forbidden=AT_DECISION)
    assert table.filter("needs_attribute_at_decision")["method"].to_list() == ["group_thresholds"]
    assert table.filter(~pl.col("tried"))["method"].to_list() == ["group_thresholds"]
    assert not table.filter(method="features_and_settings")["needs_attribute_in_training"].item()


def test_all_faults_of_what_is_forbidden_are_told():
    with pytest.raises(ParamsError) as error:
        method_table([*METHODS, "reweighting"])
    assert error.value.faults == (
        "reweighting is no method (did you mean reweighing?)",
        "all 6 methods are forbidden; at least 1 is needed",
    )


# Weights


def test_reweighing_of_the_published_example():
    """Kamiran and Calders (2012): ten applicants, of whom 4 men and 2 women are accepted."""
    default = np.array([0, 0, 0, 0, 1, 0, 0, 1, 1, 1])
    weights = reweighing(default, np.repeat(["m", "f"], 5))
    assert weights == pytest.approx([0.75] * 4 + [2.0] + [1.5] * 2 + [2 / 3] * 3)


def test_reweighing_of_many_applicants_does_not_overflow():
    default = np.tile([0.0, 1.0], 80_000)
    assert reweighing(default, np.repeat("a", 160_000)) == pytest.approx(np.ones(160_000))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=40))
def test_reweighed_group_and_outcome_are_independent_where_all_cells_are_there(rows):
    group, default = (np.array(column) for column in zip(*rows, strict=True))
    weights = reweighing(default.astype(float), group)
    if len(set(rows)) == len(set(group)) * len(set(default)):
        for name in set(group):
            share = weights[(group == name) & default].sum() / weights[group == name].sum()
            assert share == pytest.approx(default.mean())
    assert reweighing(default, group, strength=0.0) == pytest.approx(np.ones(len(rows)))


# Training


@pytest.mark.parametrize("method", IN_TRAINING)
def test_no_strength_is_no_method(method):
    rows = made()
    plain = fitted("features_and_settings", 0.0, rows).decision_function(rows.features)
    assert fitted(method, 0.0, rows).decision_function(rows.features) == pytest.approx(plain, abs=1e-3)


@pytest.mark.parametrize("method", IN_TRAINING)
def test_the_stronger_a_method_the_less_disparity(method):
    rows = made()
    gaps = [gap(approved(fitted(method, strength, rows), rows), rows.group) for strength in (0, 0.4, 0.8)]
    assert gaps[0] > 0.2
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[0] - gaps[2] > 0.02


def test_a_reduction_without_a_violation_changes_nothing():
    rows, plain = made(), fitted("features_and_settings", 0.0, made())
    alike = np.ones(rows.default.size)
    found = fit_classifier(
        LogisticRegression(), rows, method="demographic_parity", strength=1.0, decided=alike
    )
    assert found.coef_ == pytest.approx(plain.coef_, abs=1e-3)


# Cutoffs


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_cutoffs_keep_the_approval_rate_and_draw_the_groups_together(strength):
    rows = made()
    margin = rows.features.sum(axis=1)
    limits = cutoffs(margin, rows.group, approval_rate=0.6, strength=strength)
    decided = margin <= np.array([limits[name] for name in rows.group])
    common = gap(margin <= np.quantile(margin, 0.6), rows.group)
    assert decided.mean() == pytest.approx(0.6, abs=2e-3)
    assert gap(decided, rows.group) == pytest.approx((1 - strength) * common, abs=4e-3)
    assert len(set(limits.values())) == (1 if strength == 0 else 2)


@pytest.mark.parametrize(("rate", "cutoff"), [(0.0, 1.0), (0.44, 1.0), (0.46, 2.0), (0.84, 2.0), (0.86, 3.0)])
def test_a_cutoff_approves_the_nearest_share_and_keeps_ties_together(rate, cutoff):
    margin = np.array([1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0])
    assert cutoff_at(margin, rate) == cutoff


def test_cutoffs_of_their_own_are_fairlearns_at_its_approval_rate():
    rows = made()
    good = 1 - rows.default.astype(int)
    model = LogisticRegression().fit(rows.features, good)
    theirs = ThresholdOptimizer(
        estimator=model, constraints="demographic_parity", prefit=True, predict_method="predict_proba"
    ).fit(rows.features, good, sensitive_features=rows.group)
    chance = theirs._pmf_predict(rows.features, sensitive_features=rows.group)[:, 1]
    margin = -model.decision_function(rows.features)
    limits = cutoffs(margin, rows.group, approval_rate=float(chance.mean()), strength=1.0)
    ours = margin <= np.array([limits[name] for name in rows.group])
    for name in "ab":
        assert ours[rows.group == name].mean() == pytest.approx(chance[rows.group == name].mean(), abs=4e-3)
    assert np.mean(ours != (chance >= 0.5)) < 0.03  # theirs toss a coin between two neighbouring cutoffs


def test_each_half_is_decided_by_the_cutoffs_of_the_other():
    margin, group = np.array([1.0, 5.0, 2.0, 6.0]), np.repeat("a", 4)
    found = crossed_decisions(margin, group, approval_rate=0.5, strength=0.0)
    assert found.tolist() == [True, False, True, False]  # 1 and 2 by a cutoff of 5; 5 and 6 by one of 1


def test_own_cutoffs_look_no_fairer_by_the_rows_that_set_them():
    """With few applicants the rates are exactly equal where they were set, and not where they are judged."""
    rows = made(size=120)
    margin, options = rows.features.sum(axis=1), {"approval_rate": 0.5, "strength": 1.0}
    limits = cutoffs(margin, rows.group, **options)
    flattered = margin <= np.array([limits[name] for name in rows.group])
    assert abs(gap(flattered, rows.group)) < 0.02
    assert abs(gap(crossed_decisions(margin, rows.group, **options), rows.group)) > 0.02


# Rows and models


def test_groups_that_are_not_judged_are_treated_as_the_reference_and_judge_nothing():
    frame = pl.DataFrame({"x": [1.0, None, 3.0], "default": [0, 1, 0], "sex": ["f", "x", None]})
    rows = rows_of(frame, names=["x"], attribute="sex", groups=["f", "m"], reference="m")
    assert rows.group.tolist() == ["f", "m", "m"]
    assert rows.judged.tolist() == [True, False, False]
    assert np.isnan(rows.features[1, 0])


def test_risk_is_the_log_odds_of_default_above_the_cutoff_of_the_group():
    rows = made()
    classifier = XGBClassifier(n_estimators=5, nthread=1).fit(rows.features[:, [1]], 1 - rows.default)
    model = Model(classifier, np.array([1]), 0.0, {"a": 0.5, "b": -0.5})
    prob = classifier.predict_proba(rows.features[:, [1]])[:, 0].astype(float)
    margin = np.log(prob / (1 - prob))
    assert model.margin(rows) == pytest.approx(margin, abs=1e-4)
    assert model.risk(rows) == pytest.approx(margin - np.where(rows.group == "a", 0.5, -0.5), abs=1e-4)
