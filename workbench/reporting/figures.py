"""Which artifacts the model-risk report draws, and how; and all that it reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from workbench.params import Study
from workbench.reporting import charts, explanation_charts, fairness_charts, importance_charts, model_charts
from workbench.reporting.charts import Chart
from workbench.reporting.content import TABLES
from workbench.reporting.disclosure import TOLD
from workbench.reporting.fairness_content import of_metric


@dataclass(frozen=True)
class Figure:
    """A figure of the report: an aggregate artifact and the chart drawn from it."""

    artifact: str
    draw: Callable[[pl.DataFrame, Study], Chart]


FIGURES: Mapping[str, Figure] = {
    "feature_strength": Figure("features/description", lambda table, _: charts.feature_strength(table)),
    "search": Figure("training/trials", lambda table, _: model_charts.search(table)),
    "candidates": Figure("training/candidates", lambda table, _: model_charts.candidates(table)),
    "minimisation": Figure("training/minimisation", lambda table, _: model_charts.minimisation(table)),
    "segments": Figure("validation/segments", lambda table, _: model_charts.segments(table)),
    "profit": Figure(
        "validation/profit", lambda table, study: model_charts.profit(table, cutoff=study.training.cutoff)
    ),
    "roc": Figure("validation/roc", lambda table, _: charts.roc(table)),
    "precision_recall": Figure(
        "validation/precision_recall", lambda table, _: model_charts.precision_recall(table)
    ),
    "calibration": Figure("validation/calibration", lambda table, _: charts.calibration(table)),
    "gains": Figure("validation/gains", lambda table, _: charts.gains(table)),
    "cutoffs": Figure(
        "validation/cutoffs", lambda table, study: charts.cutoffs(table, cutoff=study.training.cutoff)
    ),
    "importance": Figure("explanation/importance", lambda table, _: importance_charts.importance(table)),
    "beeswarm": Figure("explanation/beeswarm", lambda table, _: explanation_charts.beeswarm(table)),
    "dependence": Figure("explanation/dependence", lambda table, _: explanation_charts.dependence(table)),
    "effects": Figure("explanation/effects", lambda table, _: explanation_charts.effects(table)),
    "interactions": Figure(
        "explanation/interactions", lambda table, _: importance_charts.interactions(table)
    ),
    "scorecard_shares": Figure(
        "explanation/scorecard", lambda table, _: importance_charts.scorecard_shares(table)
    ),
    "steadiness": Figure("explanation/steadiness", lambda table, _: importance_charts.steadiness(table)),
    "examples": Figure("explanation/examples", lambda table, _: charts.examples(table)),
    "reasons": Figure("explanation/reasons_table", lambda table, _: charts.reasons(table)),
    "ratios": Figure(
        "fairness/metrics",
        lambda table, study: charts.ratios(
            of_metric("adverse_impact_ratio")(table).filter(
                pl.col("applicants") >= study.report.suppress_below,
                pl.col(TOLD) == "whole",
                pl.col("attribute").is_in(study.fairness.attributes),
            ),
            line=study.fairness.air_line,
        ),
    ),
    "fairness_cutoffs": Figure(
        "fairness/cutoffs",
        lambda table, study: fairness_charts.cutoffs(table, line=study.fairness.air_line),
    ),
    "fairness_scores": Figure(
        "fairness/distributions",
        lambda table, study: fairness_charts.distributions(table, below=study.report.suppress_below),
    ),
    "fairness_calibration": Figure(
        "fairness/calibration",
        lambda table, study: fairness_charts.calibration(table, below=study.report.suppress_below),
    ),
    "fairness_carried": Figure(
        "fairness/disparity", lambda table, _: fairness_charts.carried(table.filter(pl.col(TOLD) == "whole"))
    ),
    "fairness_proxies": Figure("fairness/given_outcome", lambda table, _: fairness_charts.stand_ins(table)),
    "fairness_alternatives": Figure(
        "fairness/candidates", lambda table, _: fairness_charts.alternatives(table)
    ),
    "stability": Figure(
        "monitoring/shifts",
        lambda table, study: charts.stability(table, lines=study.monitoring.stability_lines),
    ),
    "score_shift": Figure("monitoring/score_shares", lambda table, _: charts.score_shift(table)),
}


def reads() -> list[str]:
    """Return the artifacts that the report reads, without repeats."""
    tables = {table.artifact for table in TABLES.values()}
    return sorted(tables | {figure.artifact for figure in FIGURES.values()})
