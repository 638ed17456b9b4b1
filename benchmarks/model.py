"""Training and validation as the notebooks do them, against plain XGBoost and scikit-learn in a loop."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.measure import Work

TRAINED, FEATURES, ROUNDS, BLOCK = 100_000, 40, 300, 50
HOLDOUT, REPLICATES, LOOPED, RESAMPLES, LEVEL = 200_000, 1_000, 3, 10, 0.95
NAMES = [f"feature_{number}" for number in range(FEATURES)]
ECONOMICS = {
    "amount": 1_000.0,
    "currency": "units",
    "loss_given_default": 0.6,
    "income": 0.1,
    "application_cost": 0.0,
}


def _world(rows: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    features = generator.normal(size=(rows, FEATURES))
    risk = features[:, :5].sum(axis=1) + generator.normal(size=rows)
    return features, (risk > 2.5).astype(float)


def _settings() -> dict[str, Any]:
    from workbench.training.boosting import booster_settings

    return booster_settings([0] * FEATURES, seed=1) | {"max_depth": 4, "subsample": 0.8, "learning_rate": 0.1}


def training_ours() -> Work:
    from workbench.training.boosting import train_booster
    from workbench.training.checkpoints import Checkpoints
    from workbench.training.matrices import in_core_matrix

    matrix, settings = in_core_matrix(*_world(TRAINED), names=NAMES), _settings()

    def work() -> object:
        with tempfile.TemporaryDirectory() as folder:
            kept = Checkpoints(Path(folder), "bench")
            return train_booster(
                matrix, settings=settings, rounds=ROUNDS, block_rounds=BLOCK, checkpoints=kept
            )

    return work


def training_plain() -> Work:
    import xgboost

    matrix, settings = xgboost.QuantileDMatrix(*_world(TRAINED)), _settings()
    return lambda: xgboost.train(settings, matrix, ROUNDS)


def _judged() -> tuple[Any, pl.DataFrame, pl.DataFrame]:
    """Return a scorer, and the features of development and holdout with outcome, PD, score and segments."""
    from workbench.scorer import Calibration, Scorer, ScoreScale
    from workbench.training.boosting import train_champion

    features, default = _world(TRAINED + HOLDOUT)
    booster = train_champion(
        features[:TRAINED], default[:TRAINED], settings=_settings(), rounds=150, names=NAMES
    )
    scorer = Scorer(tuple(NAMES), booster, Calibration(), ScoreScale(600, 50, 20), 512)
    rows = pl.DataFrame(dict(zip(NAMES, features.T, strict=True))).with_row_index("applicant_id")
    scored = pl.concat([rows, scorer.score(rows).drop("applicant_id")], how="horizontal")
    frame = scored.with_columns(
        default=pl.Series(default.astype(np.int64)),
        region=pl.Series(np.arange(rows.height) % 5).cast(pl.String),
        vintage=pl.format("2025-{}", (pl.col("applicant_id") % 12 + 1).cast(pl.String).str.zfill(2)),
        prob_default_scorecard=(0.8 * pl.col("prob_default") + 0.02),
    )
    return scorer, frame.head(TRAINED), frame.tail(HOLDOUT)


def validation_ours() -> Work:
    from workbench.validation import (
        calibration,
        decay,
        discrimination,
        extrapolation,
        gains,
        outcomes,
        precision,
        reliability,
        robustness,
        segments,
        stability,
        stress,
        swap,
        targets,
        uncertainty,
        weak_spots,
    )

    scorer, development, holdout = _judged()
    default, prob = holdout["default"].to_numpy(), holdout["prob_default"].to_numpy()
    benchmark, score = holdout["prob_default_scorecard"].to_numpy(), holdout["score"].to_numpy()
    noise = np.random.default_rng(2).normal(0, 0.1, (RESAMPLES, HOLDOUT))
    redrawn = {"resample": holdout["margin"].to_numpy() + noise, "seed": holdout["margin"].to_numpy() - noise}
    cutoff = scorer.scale.prob_default(scorer.cutoff)
    drawing = {"level": LEVEL, "replicates": REPLICATES, "seed": 1}
    trying = {"cutoff": cutoff, "prob_of": scorer.calibration.prob_default, "level": LEVEL}
    groups = {"first": NAMES[:20], "second": NAMES[20:]}
    scenarios = {"downturn": {NAMES[0]: {"plus": 1.0}, NAMES[1]: {"times": 1.2}}}
    people, columns = holdout.select("applicant_id", *NAMES), ["region", "vintage"]

    def work() -> object:
        rate = float(holdout["approved"].mean())  # type: ignore[arg-type]
        band = uncertainty.fit_review_band(development["default"], development["prob_default"], error=0.1)
        unsure = uncertainty.applicant_uncertainty(holdout["margin"], redrawn["resample"], level=LEVEL)
        return [
            discrimination.auc(default, prob),
            discrimination.gini(default, prob),
            discrimination.ks(default, prob, **drawing),
            precision.average_precision(default, prob, **drawing),
            calibration.compare_losses(default, benchmark, prob, level=LEVEL),
            discrimination.rival_table(default, prob, dict.fromkeys("abc", benchmark)),
            discrimination.roc_table(default, prob),
            segments.segment_table(holdout, by=columns, level=LEVEL, seed=1),
            weak_spots.find_weak_spots(people, default, prob, names=NAMES, depth=2, seed=1),
            calibration.calibration_line(default, prob, level=LEVEL),
            calibration.calibration_in_the_large(default, prob, level=LEVEL),
            reliability.reliability_table(default, prob, **drawing),
            calibration.calibration_table(default, prob, bands=10, level=LEVEL),
            calibration.brier_score(default, prob, level=LEVEL),
            calibration.log_loss(default, prob, level=LEVEL),
            calibration.brier_skill(default, prob, naive_rate=0.2, level=LEVEL),
            stability.shift_table(development, holdout, names=["score", *NAMES], **drawing),
            decay.decay(holdout, level=LEVEL),
            stability.decision_flips(holdout["margin"], redrawn, approval_rate=rate, score_of=scorer.points),
            robustness.noise_table(
                scorer.margin, people, default, names=NAMES, levels=[0.05, 0.1, 0.2], seed=1, **trying
            ),
            robustness.missing_sources(scorer.margin, people, default, groups=groups, **trying),
            robustness.worst_case(scorer.margin, people, names=NAMES, seed=1, **trying),
            robustness.boundary_distance(score, cutoff=scorer.cutoff),
            stress.stress(
                scorer.margin, people, names=NAMES, scenarios=scenarios, economics=ECONOMICS, **trying
            ),
            extrapolation.extrapolation_table(development, people, default, prob, names=NAMES),
            extrapolation.range_table(development, people, names=NAMES),
            gains.gains_table(default, score, bands=10, level=LEVEL),
            gains.cutoff_table(default, score, level=LEVEL),
            outcomes.outcome_table(
                default, score, prob, cutoff=scorer.cutoff, economics=ECONOMICS, **drawing
            ),
            outcomes.cutoff_curve(default, score, prob, economics=ECONOMICS, **drawing),
            swap.swap_table(holdout, approval_rate=rate, by=columns),
            targets.target_sensitivity(holdout, outcomes=[]),
            uncertainty.coverage_table(band, default, prob),
            uncertainty.review_table(default, band.decide(prob)),
            uncertainty.uncertainty_table(unsure, cutoff=cutoff),
        ]

    return work


def validation_looped() -> Work:
    """Only the five statistics that everybody bootstraps, by scikit-learn and SciPy."""
    from scipy.stats import ks_2samp
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    _, _, holdout = _judged()
    default, prob = holdout["default"].to_numpy(), holdout["prob_default"].to_numpy()
    draws = [np.random.default_rng(seed).integers(0, HOLDOUT, HOLDOUT) for seed in range(LOOPED)]

    def statistics(rows: np.ndarray) -> list[float]:
        bad, own = default[rows], prob[rows]
        scores = [f(bad, own) for f in (roc_auc_score, average_precision_score, brier_score_loss, log_loss)]
        return [*scores, ks_2samp(own[bad == 1], own[bad == 0], method="asymp").statistic]

    return lambda: [statistics(draw) for draw in draws]
