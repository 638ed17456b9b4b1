"""How the report prints what could break the model and what its decisions bring (stage validation)."""

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
    with_goods,
)

RESILIENCE_TABLES: Mapping[str, Table] = {
    "validation_noise": Table(
        "validation/noise",
        [
            percent("noise", "Noise"),
            number("auc_change", "Change of the AUC", 4),
            between("auc_change"),
            percent("flip_share", "Decided otherwise"),
            between("flip_share", share=True),
            number("margin_change", "Mean change (log-odds)"),
        ],
    ),
    "validation_missing_sources": Table(
        "validation/missing_sources",
        [
            text("group", "Source that fails"),
            percent("known", "Known of"),
            number("auc_change", "Change of the AUC", 4),
            between("auc_change"),
            percent("approval_change", "Change of approvals"),
            percent("flip_share", "Decided otherwise"),
            between("flip_share", share=True),
        ],
    ),
    "validation_worst_case": Table(
        "validation/worst_case",
        [
            text("feature", "Feature"),
            number("mean_rise", "Mean rise (log-odds)"),
            interval("Interval"),
            number("p95_rise", "95th percentile"),
            percent("flip_share", "Approved who could be declined"),
            interval("Interval", "flip_low", "flip_high", share=True),
        ],
        whole="Every feature at its worst plausible value, the worst first",
        longest=10,
        brief=lambda frame: frame.head(10),
    ),
    "validation_boundary": Table(
        "validation/boundary",
        [
            number("points", "Within points", 0),
            count("below", "Declined"),
            count("above", "Approved"),
            percent("value", "Share of all"),
            interval("Interval", share=True),
        ],
        counts=["below", "above"],
    ),
    "validation_stress": Table(
        "validation/stress",
        [
            text("scenario", "Scenario"),
            text("measure", "Measure"),
            text("unit", "Unit"),
            in_unit("before", "Before"),
            in_unit("after", "After"),
            in_unit("value", "Change"),
            interval_in_unit("Interval"),
            percent("outside", "Beyond development"),
        ],
        empty="the study names no scenario",
    ),
    "validation_extrapolation": Table(
        "validation/extrapolation",
        [
            text("rule", "Rule"),
            text("part", "Applicants"),
            percent("share", "Share"),
            percent("default_rate", "Default rate"),
            percent("mean_pd", "Mean PD"),
            percent("in_the_large", "Observed minus expected"),
            between("in_the_large", share=True),
            number("auc", "AUC"),
            between("auc"),
        ],
        counts=OUTCOME_COUNTS,
        within=["rule"],
        prepare=with_goods,
    ),
    "validation_outcomes": Table(
        "validation/outcomes",
        [
            text("measure", "Measure"),
            text("unit", "Unit"),
            in_unit("value", "Value"),
            interval_in_unit("Interval"),
        ],
    ),
    "validation_swap": Table(
        "validation/swap",
        [
            text("segment", "Applicants"),
            text("part", "Decided by"),
            count("applicants", "Number"),
            percent("share", "Share"),
            percent("value", "Default rate"),
            interval("Interval", share=True),
        ],
        counts=OUTCOME_COUNTS,
        within=(),
        prepare=lambda frame: with_goods(frame.filter(by="all")),
    ),
    "validation_targets": Table(
        "validation/targets",
        [
            text("outcome", "Definition of default"),
            percent("default_rate", "Default rate"),
            number("auc", "AUC"),
            between("auc"),
            number("kappa", "Agreement (kappa)"),
            percent("in_the_large", "Rate minus mean PD"),
        ],
        counts=OUTCOME_COUNTS,
        prepare=with_goods,
    ),
    "validation_coverage": Table(
        "validation/coverage",
        [
            text("class", "Class"),
            text("measure", "Measure"),
            percent("value", "Share"),
            interval("Interval", share=True),
            percent("target", "Wanted"),
            percent("least", "Least by chance"),
        ],
        counts=["count"],
    ),
    "validation_review": Table(
        "validation/review",
        [
            text("decision", "Decision"),
            count("applicants", "Applicants"),
            percent("share", "Share"),
            percent("default_rate", "Default rate"),
            interval("Interval", share=True),
        ],
        counts=OUTCOME_COUNTS,
        within=(),
        prepare=with_goods,
    ),
    "validation_uncertainty": Table(
        "validation/uncertainty",
        [
            text("part", "Applicants"),
            text("measure", "Measure"),
            number("value", "Value"),
            interval("Interval"),
        ],
    ),
}
