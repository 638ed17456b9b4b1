"""What is known of one applicant, gathered from the tables of a run for the page about them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from workbench.errors import DataError
from workbench.explanation.neighbours import differences, nearest
from workbench.scorer import Floats, Scorer
from workbench.statistics.estimate import Estimate
from workbench.validation.uncertainty import applicant_uncertainty

NEIGHBOURS = 3
DIFFERENCES = 3
_METHOD = "Student's t over boosters on resamples of the development sample"
_NO_MARGINS = "the applicant's own data served to fit or choose the model"


@dataclass(frozen=True)
class ApplicantView:
    """What the page of one applicant shows.

    `prob_default` carries its interval, or in its method why there is none; `cutoff_prob_default` is the PD
    at the cutoff. `families`: family, points (they add up to score - base_score). `reasons`: rank,
    reason_code, reason_text, points_lost, kind; no rows for an approved applicant. `changes`: feature,
    definition, unit, from, to - the least change that would have led to approval; None where nobody looked,
    no rows where there is none. `changed_score`: the score it leads to, or the best of all tried.
    `neighbours`: label, group, score, distance. `differences`: label, definition, unit, own, other,
    difference. `data`: feature, definition, source, data_category, unit, value (null where missing), points.
    """

    run_id: str
    notice: str
    applicant: str
    sample: str
    approved: bool
    score: float
    cutoff: float
    base_score: float
    prob_default: Estimate
    cutoff_prob_default: float
    families: pl.DataFrame
    reasons: pl.DataFrame
    changes: pl.DataFrame | None
    changed_score: float | None
    neighbours: pl.DataFrame
    differences: pl.DataFrame
    data: pl.DataFrame


@dataclass(frozen=True)
class Explained:
    """What the stage explanation found for one applicant.

    `values` [features]: SHAP values in log-odds of default, which add up with `expected` to the margin.
    `reasons` as in `ApplicantView`; `changes`: the applicant's rows of `explanation.counterfactuals`, of
    which found, feature, from, to and score_after are read.
    """

    values: Floats
    expected: float
    reasons: pl.DataFrame
    changes: pl.DataFrame | None = None


def applicant_view(
    applicant_id: int,
    explained: Explained,
    *,
    scorer: Scorer,
    features: pl.DataFrame,
    scores: pl.DataFrame,
    margins: pl.DataFrame,
    catalogue: pl.DataFrame,
    weights: Mapping[str, float],
    level: float,
    run_id: str,
    notice: str,
) -> ApplicantView:
    """Return the view of one applicant.

    `features` and `scores` hold everyone who may be a neighbour, `margins` the margins of resampled models
    (`training/resampled_margins`) of those they were made for, `catalogue` one row for each feature,
    `weights` the importance of each. Raises DataError when the applicant is not in the run, or the model's
    features are not those of the catalogue.
    """
    _check(applicant_id, explained, scorer, features, scores, catalogue)
    own = scores.row(by_predicate=pl.col("applicant_id") == applicant_id, named=True)
    others = features.join(
        scores.select("applicant_id", "score", "approved"), on="applicant_id", maintain_order="left"
    )
    data = _data(applicant_id, explained, own["margin"], scorer, features, catalogue)
    neighbours, gaps = _neighbours(applicant_id, others, weights, data)
    changes, changed_score = _changes(explained.changes, catalogue)
    return ApplicantView(
        run_id=run_id,
        notice=notice,
        applicant=str(applicant_id),
        sample=own["sample"],
        approved=bool(own["approved"]),
        score=own["score"],
        cutoff=scorer.cutoff,
        base_score=float(scorer.points(explained.expected)),  # type: ignore[arg-type]  # a scalar is enough
        prob_default=_prob_default(own, scorer, margins, level),
        cutoff_prob_default=scorer.scale.prob_default(scorer.cutoff),
        families=data.group_by("family", maintain_order=True).agg(pl.col("points").sum()),
        reasons=explained.reasons,
        changes=changes,
        changed_score=changed_score,
        neighbours=neighbours,
        differences=gaps,
        data=data,
    )


def _data(
    applicant_id: int,
    explained: Explained,
    margin: float,
    scorer: Scorer,
    features: pl.DataFrame,
    catalogue: pl.DataFrame,
) -> pl.DataFrame:
    """Return the features of the model with the applicant's value and the points that each adds."""
    row = features.row(by_predicate=pl.col("applicant_id") == applicant_id, named=True)
    points = -scorer.scale.factor * scorer.calibration.secant(margin, explained.expected) * explained.values  # type: ignore[arg-type]
    told = pl.DataFrame(
        {
            "feature": scorer.features,
            "value": pl.Series([row[name] for name in scorer.features], dtype=pl.Float64).fill_nan(None),
            "points": points,
        }
    )
    return told.join(catalogue, on="feature", maintain_order="left")


def _neighbours(
    applicant_id: int, others: pl.DataFrame, weights: Mapping[str, float], data: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = nearest(others, applicant_id, approved=others["approved"], weights=weights, count=NEIGHBOURS)
    label = pl.concat_str(pl.col("group"), pl.col("rank"), separator="\N{NO-BREAK SPACE}").alias("label")
    named = found.join(others.select("applicant_id", "score"), on="applicant_id", maintain_order="left")
    named = named.with_columns(label)
    gaps = differences(
        others, applicant_id, found["applicant_id"].to_list(), weights=weights, shown=DIFFERENCES
    )
    told = gaps.join(named.select("applicant_id", "label"), on="applicant_id", maintain_order="left")
    told = told.join(data.select("feature", "definition", "unit"), on="feature", maintain_order="left")
    return named.drop("applicant_id", "rank"), told.drop("applicant_id")


def _prob_default(own: Mapping[str, Any], scorer: Scorer, margins: pl.DataFrame, level: float) -> Estimate:
    resamples = [name for name in margins.columns if name.startswith("resample_")]
    drawn = margins.filter(pl.col("applicant_id") == own["applicant_id"]).select(resamples)
    if drawn.height == 0 or len(resamples) < 2:
        return Estimate(own["prob_default"], None, None, level, f"no interval: {_NO_MARGINS}")
    told = applicant_uncertainty(
        [own["margin"]], drawn.to_numpy().T, prob_of=scorer.calibration.prob_default, level=level
    ).row(0, named=True)
    method = f"{_METHOD} ({len(resamples)})"
    return Estimate(own["prob_default"], told["prob_low"], told["prob_high"], level, method)


def _changes(rows: pl.DataFrame | None, catalogue: pl.DataFrame) -> tuple[pl.DataFrame | None, float | None]:
    if rows is None or rows.is_empty():
        return None, None
    told = catalogue.select("feature", "definition", "unit")
    found = rows.filter("found").select("feature", "from", "to")
    return found.join(told, on="feature", how="left", maintain_order="left"), rows["score_after"][0]


def _check(
    applicant_id: int,
    explained: Explained,
    scorer: Scorer,
    features: pl.DataFrame,
    scores: pl.DataFrame,
    catalogue: pl.DataFrame,
) -> None:
    tables = {"scores": scores, "features": features}
    faults = [
        f"the applicant is not among the {table.height:,} of the {name}"
        for name, table in tables.items()
        if applicant_id not in table["applicant_id"]
    ]
    known = set(catalogue["feature"])
    faults += [f"{name} is not in the catalogue" for name in scorer.features if name not in known]
    faults += [f"{name} is not in the features" for name in scorer.features if name not in features.columns]
    if len(explained.values) != len(scorer.features):
        faults.append(f"there are {len(explained.values)} SHAP values for {len(scorer.features)} features")
    if faults:
        raise DataError("the applicant cannot be explained", faults)
