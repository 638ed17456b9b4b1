"""Which artifacts of stage training the model-risk report prints as tables, and how."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from workbench.reporting.tables import (
    OUTCOME_COUNTS,
    Column,
    Table,
    between,
    count,
    interval,
    number,
    percent,
    text,
    verbatim,
    with_goods,
    with_outcomes,
    yes,
)

_BRIEF = 8  # characteristics of a long scorecard that its chapter shows


def _widest(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the characteristics whose points differ most between their attributes."""
    spans = frame.group_by("characteristic", maintain_order=True).agg(
        span=pl.col("points").max() - pl.col("points").min()
    )
    widest = spans.sort("span", descending=True, maintain_order=True).head(_BRIEF)
    return frame.filter(pl.col("characteristic").is_in(widest["characteristic"].to_list()))


_DIRECTIONS = {1: "higher value, higher PD", -1: "higher value, lower PD"}

TRAINING_TABLES: Mapping[str, Table] = {
    "training_trials": Table(
        "training/trials",
        [
            count("trial", "Trial"),
            text("status", "Status"),
            count("max_depth", "Depth"),
            number("learning_rate", "Learning rate"),
            number("min_child_weight", "Least weight", 1),
            number("subsample", "Row share", 2),
            number("colsample_bytree", "Feature share", 2),
            number("reg_lambda", "L2", 2),
            count("rounds", "Rounds"),
            number("log_loss", "Log loss", 4),
            number("auc", "AUC", 4),
            yes("chosen", "Chosen"),
        ],
        prepare=lambda frame: frame.sort(
            "chosen", "status", "log_loss", "trial", descending=[True, False, False, False]
        ),
    ),
    "training_scorecard": Table(
        "training/scorecard",
        [
            text("characteristic", "Characteristic"),
            verbatim("attribute", "Attribute"),
            count("applicants", "Applicants"),
            percent("default_rate", "Default rate"),
            number("weight_of_evidence", "WoE"),
            number("points", "Points", 1),
        ],
        counts=OUTCOME_COUNTS,
        within=["characteristic"],
        prepare=with_outcomes,
        whole="Points of the whole scorecard",
        longest=120,
        brief=_widest,
    ),
    "training_left_out": Table(
        "training/left_out",
        [text("characteristic", "Characteristic"), text("reason", "Reason")],
        whole="Every characteristic that is not in the scorecard, and why",
    ),
    "training_candidates": Table(
        "training/candidates",
        [
            text("candidate", "Candidate"),
            text("family", "Family"),
            number("auc", "AUC", 4),
            between("auc"),
            number("difference", "Against the champion", 4),
            between("difference"),
            number("p_value", "p-value"),
            number("log_loss", "Log loss", 4),
            number("brier_score", "Brier score", 4),
        ],
    ),
    "training_monotonicity": Table(
        "training/monotonicity",
        [
            text("feature", "Feature"),
            Column("Direction held", lambda row: _DIRECTIONS[row["constraint"]], is_text=True),
            count("points", "Points swept"),
            count("violations", "Violations"),
            number("worst", "Worst (log-odds)", 4),
            yes("holds", "Holds"),
            yes("proved", "Proved on the trees"),
        ],
        prepare=lambda frame: frame.sort("violations", "points", descending=True, maintain_order=True),
        whole="Monotonicity of every constrained feature, verified on the model",
        empty="no feature is constrained",
    ),
    "training_ablation": Table(
        "training/ablation",
        [
            text("category", "Data category"),
            text("part", "Applicants"),
            count("features", "Features"),
            number("auc_with", "AUC with", 4),
            number("auc_gain", "Gain", 4),
            between("auc_gain"),
            number("auc_alone", "AUC alone", 4),
            percent("approvals_with", "Approved with"),
            percent("approvals_gain", "More approved"),
            between("approvals_gain", share=True),
        ],
        counts=OUTCOME_COUNTS,
        prepare=with_goods,
        whole="What each data category buys, for everyone and by what a bureau knows",
    ),
    "training_minimisation": Table(
        "training/minimisation",
        [
            count("features", "Features"),
            number("auc", "AUC", 4),
            interval("Interval"),
            number("difference", "Against all features", 4),
            between("difference"),
        ],
    ),
    "training_survivors": Table(
        "training/survivors",
        [
            count("rank", "Rank"),
            text("feature", "Feature"),
            percent("gain_share", "Share of the gain"),
            yes("kept", "Kept"),
            percent("folds_kept", "Kept in folds"),
        ],
        whole="Every feature by its share of the gain, the strongest first",
    ),
    "training_soundness": Table(
        "training/soundness",
        [
            text("check", "Looked for"),
            number("value", "Found"),
            interval("Interval"),
            number("bound", "Bound"),
            yes("passed", "Passed"),
            verbatim("meaning", "What it means"),
        ],
    ),
    "training_calibrations": Table(
        "training/calibrations",
        [
            text("calibration", "Calibration"),
            number("log_loss", "Log loss", 4),
            number("difference", "Against the best", 5),
            between("difference"),
            number("brier_score", "Brier score", 4),
            number("slope", "Slope"),
            number("intercept", "Intercept"),
            yes("chosen", "Chosen"),
        ],
    ),
    "training_rejects": Table(
        "training/rejects",
        [
            text("inference", "Inference"),
            number("prudence", "Prudence", 2),
            percent("declined_bad_rate", "Bad among the declined"),
            number("auc", "AUC, approved", 4),
            number("difference", "Against none", 4),
            between("difference"),
            number("rank_correlation", "Rank correlation"),
            percent("flipped", "Decided otherwise"),
            between("flipped", share=True),
        ],
        empty="no declined applicant is in the study",
    ),
    "training_rejects_truth": Table(
        "training/rejects",
        [
            text("inference", "Inference"),
            number("prudence", "Prudence", 2),
            number("log_odds_bias", "Bias (log-odds)"),
            between("log_odds_bias"),
            percent("absolute_error", "Mean error of the PD"),
            between("absolute_error", share=True),
            percent("error_change", "Against none"),
            between("error_change", share=True),
        ],
        prepare=lambda frame: frame.filter(pl.col("log_odds_bias").is_not_null()) if frame.height else frame,
        empty="no declined applicant whose true PD is known is in the study",
    ),
}
