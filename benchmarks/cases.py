"""What is measured: each case is prepared outside the clock and returns the work to time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks import alternatives, explanation, fairness, model, reasons, serving
from benchmarks.features import APPLICANTS, EVENTS, features_pandas, features_polars
from benchmarks.measure import Work

ROWS, REPLICATES, FAIRLEARN_REPLICATES, LOOPED = 100_000, 1_000, 3, 20


@dataclass(frozen=True)
class Case:
    """Ours against another way; `scale` multiplies the other's time where only a part of it is bearable."""

    name: str
    ours_name: str
    ours: Callable[[], Work]
    instead_name: str
    instead: Callable[[], Work]
    scale: float = 1.0


def _groups() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    group = generator.choice(["a", "b", "c"], ROWS)
    default = generator.integers(0, 2, ROWS)
    return group, default, (generator.random(ROWS) < 0.7).astype(int)


def fairness_counts() -> Work:
    from workbench.fairness.counts import outcome_counts
    from workbench.fairness.metrics import group_metrics

    group, default, approved = _groups()
    return lambda: group_metrics(
        outcome_counts(group, default, approved),
        reference_group="a",
        min_applicants=100,
        min_defaults=10,
        replicates=REPLICATES,
        seed=1,
    )


def fairness_fairlearn() -> Work:
    from fairlearn.metrics import MetricFrame, false_positive_rate, selection_rate, true_positive_rate

    group, default, approved = _groups()
    metrics = {"selection": selection_rate, "tpr": true_positive_rate, "fpr": false_positive_rate}
    return lambda: MetricFrame(
        metrics=metrics,
        y_true=1 - default,
        y_pred=approved,
        sensitive_features=group,
        n_boot=FAIRLEARN_REPLICATES,
        ci_quantiles=[0.025, 0.975],
        random_state=1,
    )


def _scores() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    default = (generator.random(ROWS) < 0.2).astype(int)
    return default, np.clip(generator.beta(2, 6, ROWS) + 0.15 * default, 0.001, 0.999)


def auc_delong() -> Work:
    from workbench.validation.discrimination import auc

    default, prob_default = _scores()
    return lambda: auc(default, prob_default)


def auc_bootstrap() -> Work:
    from sklearn.metrics import roc_auc_score

    default, prob_default = _scores()
    draws = [np.random.default_rng(seed).integers(0, ROWS, ROWS) for seed in range(LOOPED)]
    return lambda: [roc_auc_score(default[draw], prob_default[draw]) for draw in draws]


def _model() -> tuple[Any, np.ndarray]:
    import xgboost

    generator = np.random.default_rng(1)
    features = generator.normal(size=(2_000, 29)).astype(np.float32)
    default = (features[:, 0] + generator.normal(size=2_000) > 1).astype(int)
    settings = {"max_depth": 4, "objective": "binary:logistic"}
    return xgboost.train(settings, xgboost.DMatrix(features, default), 125), features


def shap_xgboost() -> Work:
    import xgboost

    booster, features = _model()
    matrix = xgboost.DMatrix(features)
    return lambda: booster.predict(matrix, pred_contribs=True)


def shap_library() -> Work:
    import shap

    booster, features = _model()
    explainer = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    return lambda: explainer.shap_values(features)


CASES = (
    Case(
        f"features of {APPLICANTS:,} applicants, {sum(EVENTS.values()) * APPLICANTS / 1e6:.0f} M events",
        "Polars",
        features_polars,
        "pandas, same code",
        features_pandas,
    ),
    Case(
        f"group metrics, {ROWS:,} rows, {REPLICATES:,} replicates",
        "multinomial counts",
        fairness_counts,
        f"MetricFrame ({FAIRLEARN_REPLICATES} replicates, scaled)",
        fairness_fairlearn,
        REPLICATES / FAIRLEARN_REPLICATES,
    ),
    Case(
        f"AUC with interval, {ROWS:,} rows",
        "DeLong",
        auc_delong,
        f"scikit-learn in a loop ({LOOPED} of {REPLICATES:,} replicates, scaled)",
        auc_bootstrap,
        REPLICATES / LOOPED,
    ),
    Case(
        "path-dependent SHAP, 2,000 rows", "XGBoost's own", shap_xgboost, "shap.TreeExplainer", shap_library
    ),
    Case(
        f"path-dependent SHAP, {explanation.ROWS:,} x {explanation.FEATURES}, {explanation.ROUNDS} trees",
        "woodelf, compared with XGBoost",
        explanation.path_dependent_ours,
        f"shap.TreeExplainer ({explanation.LIBRARY_ROWS:,} rows, scaled)",
        explanation.path_dependent_library,
        explanation.ROWS / explanation.LIBRARY_ROWS,
    ),
    Case(
        f"interventional SHAP, the same, {explanation.BACKGROUND:,} in the background",
        "woodelf",
        explanation.interventional_ours,
        "path-dependent, as above",
        explanation.path_dependent_ours,
    ),
    Case(
        f"reason codes with texts, {reasons.DECLINED:,} declined",
        "Polars",
        reasons.reason_cases,
        f"plain loop ({reasons.LOOPED:,}, scaled)",
        reasons.reason_loop,
        reasons.DECLINED / reasons.LOOPED,
    ),
    Case(
        f"{fairness.METRICS} group metrics, {fairness.ROWS:,} rows, 5 attributes crossed",
        "multinomial counts",
        fairness.metrics_ours,
        f"MetricFrame (1 replicate, {fairness.BOOTED_ROWS:,} rows, 1 of 15 groupings, scaled)",
        fairness.metrics_fairlearn,
        fairness.SCALE,
    ),
    Case(
        f"{alternatives.CANDIDATES} alternatives, {alternatives.FITTED:,} + {alternatives.JUDGED:,} rows",
        "searched and judged",
        alternatives.search_ours,
        f"Fairlearn's GridSearch, not judged ({alternatives.GRID} of {alternatives.CANDIDATES}, scaled)",
        alternatives.search_fairlearn,
        alternatives.CANDIDATES / alternatives.GRID,
    ),
    Case(
        f"training, {model.TRAINED:,} x {model.FEATURES}, {model.ROUNDS} rounds",
        f"blocks of {model.BLOCK} rounds, checkpointed",
        model.training_ours,
        "xgboost.train on the same matrix",
        model.training_plain,
    ),
    Case(
        f"all of validation, {model.HOLDOUT:,} rows, {model.REPLICATES:,} replicates",
        "every table of notebook 04",
        model.validation_ours,
        f"5 statistics in a loop ({model.LOOPED} of {model.REPLICATES:,} replicates, scaled)",
        model.validation_looped,
        model.REPLICATES / model.LOOPED,
    ),
    Case(
        f"PD of one applicant, {serving.SINGLES:,} times",
        "the frozen scorer (ONNX Runtime)",
        serving.one_pd,
        "XGBoost's inplace_predict",
        serving.one_pd_xgboost,
    ),
    Case(
        f"decision and reasons of one applicant, {serving.SINGLES:,} times",
        "the frozen scorer",
        serving.one_decision,
        f"shap, interventional ({serving.EXPLAINED // 10} of {serving.SINGLES:,}, scaled)",
        serving.one_decision_shap,
        serving.SINGLES / (serving.EXPLAINED // 10),
    ),
    Case(
        f"decisions of {serving.MANY:,} applicants, no reasons",
        "the frozen scorer",
        serving.many_scores,
        "pandas into XGBoost's DMatrix, PDs alone",
        serving.many_scores_pandas,
    ),
    Case(
        f"decisions of {serving.REASONED:,} applicants with reasons",
        "the frozen scorer",
        serving.many_reasons,
        f"shap, interventional ({serving.EXPLAINED} rows, scaled)",
        serving.many_reasons_shap,
        serving.REASONED / serving.EXPLAINED,
    ),
    Case(
        f"drift of {serving.BATCH_ROWS:,} x {serving.WATCHED} against as many",
        "every index and the two-sample test",
        serving.monitored,
        f"Evidently's data drift preset ({serving.EVIDENTLY_ROWS:,} rows, scaled)",
        serving.monitored_evidently,
        serving.BATCH_ROWS / serving.EVIDENTLY_ROWS,
    ),
)
