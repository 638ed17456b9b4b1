"""What judges one attribute, for every attribute of a study: one table each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import polars as pl
from numpy.typing import ArrayLike

from workbench.fairness.accuracy import group_accuracy, group_calibration
from workbench.fairness.conditional import conditional_comparison
from workbench.fairness.cutoffs import cutoff_metrics
from workbench.fairness.groups import NOT_KNOWN, Reference
from workbench.fairness.individual import CONSISTENCY_SCHEMA, MATCHED_SCHEMA, consistency, matched_pairs
from workbench.fairness.label_bias import mislabelling_bounds, mislabelling_tipping_points
from workbench.fairness.over_time import segment_metrics, trend_over_vintages
from workbench.fairness.scores import score_distances, score_distribution
from workbench.fairness.selection_bias import (
    BOUNDS_SCHEMA,
    TIPPING_SCHEMA,
    unseen_outcome_bounds,
    unseen_tipping_points,
)
from workbench.statistics.samples import FloatArray

References = Mapping[str, Reference]
Judge = Callable[[pl.DataFrame, pl.Series, str], pl.DataFrame]
_NAMED: dict[str, Any] = {"attribute": pl.String}


def score_metrics(
    frame: pl.DataFrame,
    references: References,
    *,
    min_applicants: int,
    min_defaults: int,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the rows of `group_accuracy` and of `score_distances`, with attribute in front.

    `frame`, here and below, has one row per applicant: default, approved, score, prob_default and the group
    of each attribute, as `group_columns` makes it; applicants whose group is not known are left out.
    """

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        common: dict[str, Any] = {"min_applicants": min_applicants, "level": level}
        bad, prob = rows["default"], rows["prob_default"]
        return pl.concat(
            [
                group_accuracy(
                    bad, prob, group, reference_group=reference, min_defaults=min_defaults, **common
                ),
                score_distances(
                    rows["score"],
                    group,
                    reference_group=reference,
                    replicates=replicates,
                    seed=seed,
                    **common,
                ),
            ]
        )

    return _each(frame, references, judge)


def score_distributions(frame: pl.DataFrame, references: References, *, edges: FloatArray) -> pl.DataFrame:
    """Return the rows of `score_distribution`, with attribute in front, for a chart."""
    return _each(
        frame, references, lambda rows, group, _: score_distribution(rows["score"], group, edges=edges)
    )


def calibrations(
    frame: pl.DataFrame,
    references: References,
    *,
    edges: FloatArray,
    min_applicants: int,
    level: float,
) -> pl.DataFrame:
    """Return the rows of `group_calibration`, with attribute in front, for a chart."""
    options: dict[str, Any] = {"edges": edges, "min_applicants": min_applicants, "level": level}
    return _each(
        frame,
        references,
        lambda rows, group, _: group_calibration(rows["default"], rows["prob_default"], group, **options),
    )


def over_cutoffs(
    frame: pl.DataFrame,
    references: References,
    *,
    development_score: ArrayLike,
    approval_rates: Sequence[float],
    min_applicants: int,
    min_defaults: int,
    level: float,
    replicates: int,
    seed: int,
) -> pl.DataFrame:
    """Return the rows of `cutoff_metrics`, with attribute in front."""

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        return cutoff_metrics(
            rows["default"],
            rows["score"],
            group,
            development_score=development_score,
            approval_rates=approval_rates,
            reference_group=reference,
            min_applicants=min_applicants,
            min_defaults=min_defaults,
            level=level,
            replicates=replicates,
            seed=seed,
        )

    return _each(frame, references, judge)


def given_strata(
    frame: pl.DataFrame, references: References, *, min_applicants: int, level: float
) -> pl.DataFrame:
    """Return the rows of `conditional_comparison`, with attribute in front; `frame` has stratum as well."""

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        common: dict[str, Any] = {"min_applicants": min_applicants, "level": level}
        return conditional_comparison(
            rows["approved"], group, rows["stratum"], reference_group=reference, **common
        )

    return _each(frame, references, judge)


def by_segment(
    frame: pl.DataFrame, references: References, segments: Sequence[str], *, min_applicants: int, level: float
) -> pl.DataFrame:
    """Return the rows of `segment_metrics` for each column in `segments`, with attribute and by in front.

    Applicants whose segment is missing are left out of that column's rows.
    """

    def judge(name: str) -> Judge:
        return lambda rows, group, reference: segment_metrics(
            rows["approved"],
            group,
            rows[name],
            reference_group=reference,
            min_applicants=min_applicants,
            level=level,
        ).select(pl.lit(name).alias("by"), pl.all())

    return pl.concat(_each(frame.drop_nulls(name), references, judge(name)) for name in segments)


def trends(frame: pl.DataFrame, references: References, *, min_applicants: int, level: float) -> pl.DataFrame:
    """Return the rows of `trend_over_vintages`, with attribute in front; `frame` has vintage as well."""

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        common: dict[str, Any] = {"min_applicants": min_applicants, "level": level}
        return trend_over_vintages(
            rows["approved"], group, rows["vintage"], reference_group=reference, **common
        )

    return _each(frame, references, judge)


def unseen_bounds(
    frame: pl.DataFrame,
    references: References,
    *,
    odds_ratios: Sequence[float],
    min_applicants: int,
    level: float,
) -> pl.DataFrame:
    """Return the rows of `unseen_outcome_bounds`, with attribute in front; none where every outcome was seen.

    `frame` has those whose outcome was never seen as well: their default is null.
    """
    if not frame["default"].null_count():
        return pl.DataFrame(schema=_NAMED | BOUNDS_SCHEMA)

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        return unseen_outcome_bounds(
            rows["default"].cast(pl.Float64).fill_null(float("nan")),
            rows["prob_default"],
            rows["approved"],
            group,
            odds_ratios=odds_ratios,
            reference_group=reference,
            min_applicants=min_applicants,
            level=level,
        )

    return _each(frame, references, judge)


def mislabelled_bounds(
    counts: pl.DataFrame,
    references: References,
    *,
    shares: Sequence[float],
    min_applicants: int,
    min_defaults: int,
    level: float,
) -> pl.DataFrame:
    """Return the rows of `mislabelling_bounds`, with attribute in front; `counts`: of `attribute_counts`."""
    tables = []
    for name, (reference, _) in references.items():
        own = counts.filter(pl.col("attribute") == name, pl.col("group") != NOT_KNOWN).drop("attribute")
        found = mislabelling_bounds(
            own,
            shares=shares,
            reference_group=reference,
            min_applicants=min_applicants,
            min_defaults=min_defaults,
            level=level,
        )
        tables.append(found.select(pl.lit(name).alias("attribute"), pl.all()))
    return pl.concat(tables)


def tipping_points(frame: pl.DataFrame, counts: pl.DataFrame, references: References) -> pl.DataFrame:
    """Return what undoes the sign of each difference: the rows of both tipping points, attribute in front.

    `frame` as for `unseen_bounds`, `counts` as for `mislabelled_bounds`.
    """
    tables = [pl.DataFrame(schema=_NAMED | TIPPING_SCHEMA)]
    if frame["default"].null_count():
        tables.append(
            _each(
                frame,
                references,
                lambda rows, group, reference: unseen_tipping_points(
                    rows["default"].cast(pl.Float64).fill_null(float("nan")),
                    rows["prob_default"],
                    rows["approved"],
                    group,
                    reference_group=reference,
                ),
            )
        )
    for name, (reference, _) in references.items():
        own = counts.filter(pl.col("attribute") == name, pl.col("group") != NOT_KNOWN).drop("attribute")
        found = mislabelling_tipping_points(own, reference_group=reference)
        tables.append(found.select(pl.lit(name).alias("attribute"), pl.all()))
    return pl.concat(tables)


def alike_applicants(
    frame: pl.DataFrame,
    points: FloatArray,
    references: References,
    *,
    neighbours: int,
    caliper: float,
    min_applicants: int,
    level: float,
    seed: int,
) -> pl.DataFrame:
    """Return the rows of `consistency` of the decision and of `matched_pairs` of the PD, attribute in front.

    `points` [applicants, columns] are those of `standardized_features`, in the order of `frame`.
    """
    placed = frame.with_row_index("place")

    def judge(rows: pl.DataFrame, group: pl.Series, reference: str) -> pl.DataFrame:
        own = points[rows["place"].to_numpy()]
        least: dict[str, Any] = {"min_applicants": min_applicants, "level": level}
        near = consistency(rows["approved"], own, group, neighbours=neighbours, seed=seed, **least)
        pairs = matched_pairs(
            rows["prob_default"],
            own,
            group,
            reference_group=reference,
            caliper=caliper,
            seed=seed,
            **least,
        )
        return pl.concat([near, pairs], how="diagonal")

    found = _each(placed, references, judge)
    return found.select([*_NAMED, *dict.fromkeys([*CONSISTENCY_SCHEMA, *MATCHED_SCHEMA])])


def _each(frame: pl.DataFrame, references: References, judge: Judge) -> pl.DataFrame:
    tables = []
    for name, (reference, _) in references.items():
        group = pl.col(name).cast(pl.String)
        rows = frame.filter(group != NOT_KNOWN)
        found = judge(rows, rows.select(group).to_series(), reference)
        tables.append(found.select(pl.lit(name).alias("attribute"), pl.all()))
    return pl.concat(tables)
