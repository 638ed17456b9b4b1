"""How the report prints ranking, calibration and stability (stage validation)."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.reporting.tables import (
    OUTCOME_COUNTS,
    Table,
    between,
    count,
    in_unit,
    interval,
    interval_in_unit,
    number,
    percent,
    text,
    unbroken,
    verbatim,
    with_goods,
    yes,
)

VALIDATION_TABLES: Mapping[str, Table] = {
    "validation_calibration": Table(
        "validation/calibration",
        [
            count("band", "Band"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            percent("expected_default_rate", "Expected"),
            percent("observed_default_rate", "Observed"),
            interval("Interval", share=True),
        ],
        counts=["applicants", "defaults"],
    ),
    "validation_gains": Table(
        "validation/gains",
        [
            count("band", "Band"),
            count("applicants", "Applicants"),
            count("defaults", "Defaults"),
            percent("default_rate", "Default rate"),
            interval("Interval", share=True),
            percent("cumulative_bads_share", "Bads found so far"),
            number("lift", "Lift", 2),
        ],
        counts=["applicants", "defaults"],
    ),
    "validation_cutoffs": Table(
        "validation/cutoffs",
        [
            number("cutoff", "Cutoff (points)", 0),
            percent("approval_rate", "Approval rate"),
            percent("default_rate", "Default rate of the approved"),
            interval("Interval", share=True),
            percent("bads_declined", "Bads declined"),
            percent("goods_declined", "Goods declined"),
        ],
    ),
    "validation_rivals": Table(
        "validation/rivals",
        [
            text("model", "Challenger"),
            number("auc", "AUC"),
            between("auc"),
            number("gain", "Champion's gain", 4),
            between("gain"),
            number("p_adjusted", "p-value, adjusted"),
        ],
    ),
    "validation_segments": Table(
        "validation/segments",
        [
            text("by", "By"),
            text("segment", "Segment"),
            count("applicants", "Applicants"),
            percent("default_rate", "Default rate"),
            number("auc", "AUC"),
            between("auc"),
            number("intercept", "Intercept", 2),
            between("intercept"),
            number("slope", "Slope", 2),
            number("p_adjusted", "p-value, adjusted"),
        ],
        counts=OUTCOME_COUNTS,
        within="by",
        prepare=with_goods,
        whole="Ranking and calibration of every segment",
        empty="the study has one segment only",
    ),
    "validation_weak_spots": Table(
        "validation/weak_spots",
        [
            text("measure", "Measure"),
            verbatim("place", "Place"),
            count("applicants", "Applicants"),
            percent("default_rate", "Default rate"),
            percent("mean_pd", "Mean PD"),
            number("excess", "Excess"),
            interval("Interval"),
            number("p_adjusted", "p-value, adjusted"),
            yes("confirmed", "Confirmed"),
        ],
        counts=OUTCOME_COUNTS,
        prepare=with_goods,
        empty="the holdout sample is too small to search",
    ),
    "validation_reliability": Table(
        "validation/reliability",
        [
            text("statistic", "Statistic"),
            number("value", "Value", 4),
            interval("Interval"),
            number("p_value", "p-value"),
        ],
    ),
    "validation_shifts": Table(
        "validation/shifts",
        [
            text("feature", "Score or feature"),
            number("psi", "PSI"),
            interval("Interval"),
            number("critical", "Chance alone"),
            number("p_adjusted", "p-value, adjusted"),
            text("customary", "By custom"),
        ],
        whole="Shift of the score and of every feature, the furthest first",
        longest=10,
        brief=lambda frame: frame.head(10),
    ),
    "validation_decay": Table(
        "validation/decay",
        [
            unbroken("vintage", "Month"),
            count("applicants", "Applicants"),
            percent("default_rate", "Default rate"),
            percent("mean_pd", "Mean PD"),
            number("auc", "AUC"),
            between("auc"),
            percent("in_the_large", "Observed minus expected"),
            between("in_the_large", share=True),
        ],
        counts=OUTCOME_COUNTS,
        prepare=with_goods,
    ),
    "validation_flips": Table(
        "validation/flips",
        [
            text("kind", "Drawn anew"),
            text("measure", "Measure"),
            text("unit", "Unit"),
            count("models", "Models"),
            in_unit("value", "Value"),
            interval_in_unit("Interval"),
        ],
    ),
}
