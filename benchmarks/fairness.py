"""All group metrics of a portfolio with their intervals, against Fairlearn's MetricFrame with n_boot."""

from __future__ import annotations

import numpy as np
import polars as pl

from benchmarks.measure import Work

ROWS, REPLICATES, METRICS = 1_000_000, 1_000, 20
LEVELS = {"sex": 2, "age_band": 6, "education": 5, "marital_status": 4, "region": 8}
CROSSINGS = len(LEVELS) * (len(LEVELS) - 1) // 2
MIN_APPLICANTS, MIN_DEFAULTS = 100, 20
BOOTED, BOOTED_ROWS, BOOTED_BY = 1, 100_000, "region"
"""What is bearable: one replicate, a tenth of the rows and one of the 15 ways to group them, 25 seconds."""
SCALE = (1 + REPLICATES) / (1 + BOOTED) * ROWS / BOOTED_ROWS * (len(LEVELS) + CROSSINGS)
"""MetricFrame evaluates its metrics once for the sample and once for each replicate. Crossings have more
groups than what is measured, and 300,000 rows took 4.7 times as long as 100,000: the scale is cautious."""


def _world(rows: int) -> pl.DataFrame:
    generator = np.random.default_rng(1)
    groups = {
        name: generator.choice([f"{name} {level}" for level in range(levels)], rows)
        for name, levels in LEVELS.items()
    }
    default = (generator.random(rows) < 0.2).astype(int)
    approved = (generator.random(rows) < 0.8 - 0.3 * default).astype(int)
    return pl.DataFrame(groups | {"default": default, "approved": approved})


def metrics_ours() -> Work:
    """Prepare everything from rows to the table of metrics: grouping, crossing and counting are timed too."""
    from workbench.fairness.assessment import assess_counts, assess_power, assess_spreads
    from workbench.fairness.counts import attribute_counts
    from workbench.fairness.groups import group_columns, resolve_references

    frame, attributes = _world(ROWS), list(LEVELS)
    least = {"min_applicants": MIN_APPLICANTS, "min_defaults": MIN_DEFAULTS}
    resampled = {"level": 0.95, "replicates": REPLICATES, "seed": 1}

    def work() -> object:
        labels = group_columns(frame, attributes, depth=2)
        counts = attribute_counts(frame.drop(attributes).hstack(labels), labels.columns)
        references = resolve_references(counts, dict.fromkeys(attributes, "largest"), **least)
        metrics = assess_counts(counts, references, **least, **resampled)
        spreads = assess_spreads(counts, metrics, **resampled)
        return metrics, spreads, assess_power(counts, references, level=0.95)

    return work


def metrics_fairlearn() -> Work:
    """Prepare the ten rates; MetricFrame makes their differences and ratios, with intervals, of itself."""
    from fairlearn.metrics import (
        MetricFrame,
        false_negative_rate,
        false_positive_rate,
        selection_rate,
        true_negative_rate,
        true_positive_rate,
    )

    frame = _world(BOOTED_ROWS)
    good, approved = 1 - frame["default"].to_numpy(), frame["approved"].to_numpy()
    rates = {
        "selection": selection_rate,
        "true_positive": true_positive_rate,
        "false_negative": false_negative_rate,
        "false_positive": false_positive_rate,
        "true_negative": true_negative_rate,
        "default_among_approved": lambda good, approved: 1 - good[approved == 1].mean(),
        "good_among_declined": lambda good, approved: good[approved == 0].mean(),
        "accuracy": lambda good, approved: (good == approved).mean(),
        "default": lambda good, approved: 1 - good.mean(),  # noqa: ARG005
        "error_cost": lambda good, approved: (good != approved).mean(),
    }
    groups = frame[BOOTED_BY].to_numpy()

    def work() -> object:
        each = MetricFrame(
            metrics=rates,
            y_true=good,
            y_pred=approved,
            sensitive_features=groups,
            n_boot=BOOTED,
            ci_quantiles=[0.025, 0.975],
            random_state=1,
        )
        return each.by_group_ci, each.difference_ci(), each.ratio_ci()

    return work
