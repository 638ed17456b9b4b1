"""Every table of one attribute is there for each, and those whose group is not known are left out."""

import numpy as np
import polars as pl
import pytest

from workbench.fairness import every_attribute as every
from workbench.fairness.accuracy import group_accuracy
from workbench.fairness.conditional import conditional_comparison
from workbench.fairness.counts import attribute_counts
from workbench.fairness.cutoffs import cutoff_metrics
from workbench.fairness.groups import group_columns, resolve_references
from workbench.fairness.over_time import segment_metrics, trend_over_vintages

SIZE = 1_200
LEAST = {"min_applicants": 30, "min_defaults": 5}
DRAWING = {"level": 0.95, "replicates": 100, "seed": 1}


def applicants(size=SIZE):
    generator = np.random.default_rng(2)
    score = generator.normal(500, 40, size)
    prob = 1 / (1 + np.exp((score - 460) / 30))
    sex = generator.choice(["female", "male", None], size, p=[0.45, 0.45, 0.1])
    return pl.DataFrame(
        {
            "score": score,
            "prob_default": prob,
            "default": (generator.random(size) < prob).astype(int),
            "approved": (score >= 480).astype(int),
            "sex": pl.Series(sex.tolist()),
            "region": generator.choice(["north", "south"], size),
            "tier": pl.Series(generator.choice(["a", "b", None], size).tolist()),
            "stratum": generator.integers(0, 3, size),
            "vintage": pl.Series([f"2025-0{1 + at % 4}-01" for at in range(size)]).str.to_date(),
        }
    )


KNOWN = applicants()
LABELS = group_columns(KNOWN, ["sex", "region"])
FRAME = KNOWN.drop("sex", "region").hstack(LABELS)
COUNTS = attribute_counts(FRAME, LABELS.columns)
REFERENCES = resolve_references(COUNTS, {"sex": "male", "region": "largest"}, **LEAST)
MEN = KNOWN.drop_nulls("sex")
COMMON = {"reference_group": "male", "min_applicants": 30, "level": 0.95}
RATES = {"development_score": KNOWN["score"], "approval_rates": [0.5, 0.8]}


def tables():
    few = {"min_applicants": 30, "level": 0.95}
    yield "scores", every.score_metrics(FRAME, REFERENCES, **LEAST, **DRAWING)
    yield "distributions", every.score_distributions(FRAME, REFERENCES, edges=np.array([450.0, 500.0]))
    bands = np.array([0.1, 0.2])
    yield "calibrations", every.calibrations(FRAME, REFERENCES, edges=bands, **few)
    yield "cutoffs", every.over_cutoffs(FRAME, REFERENCES, **RATES, **LEAST, **DRAWING)
    yield "strata", every.given_strata(FRAME, REFERENCES, **few)
    yield "segments", every.by_segment(FRAME, REFERENCES, ["tier"], **few)
    yield "trends", every.trends(FRAME, REFERENCES, **few)
    yield "mislabelled", every.mislabelled_bounds(COUNTS, REFERENCES, shares=[0.1], **LEAST, level=0.95)
    points = KNOWN.select(pl.col("score") / 40).to_numpy()
    yield (
        "alike",
        every.alike_applicants(
            FRAME, points, REFERENCES, neighbours=3, caliper=0.5, min_applicants=30, level=0.95, seed=1
        ),
    )


FOUND = dict(tables())


@pytest.mark.parametrize("name", FOUND)
def test_both_attributes_are_there_and_nobody_of_no_known_group(name):
    table = FOUND[name]
    assert table.columns[0] == "attribute"
    assert table["attribute"].unique(maintain_order=True).to_list() == ["sex", "region"]
    assert set(table.filter(attribute="sex")["group"]) <= {"female", "male", "everyone"}


def own(name, **rows):
    return FOUND[name].filter(attribute="sex", **rows).drop("attribute")


def test_an_attribute_s_rows_are_those_of_its_own_function():
    accuracy = group_accuracy(MEN["default"], MEN["prob_default"], MEN["sex"], min_defaults=5, **COMMON)
    assert own("scores").head(accuracy.height).equals(accuracy)
    over = cutoff_metrics(
        MEN["default"], MEN["score"], MEN["sex"], **RATES, **LEAST, **DRAWING, reference_group="male"
    )
    assert own("cutoffs").equals(over)
    assert own("strata").equals(conditional_comparison(MEN["approved"], MEN["sex"], MEN["stratum"], **COMMON))
    assert own("trends").equals(trend_over_vintages(MEN["approved"], MEN["sex"], MEN["vintage"], **COMMON))
    tiered = MEN.drop_nulls("tier")
    assert (
        own("segments", by="tier")
        .drop("by")
        .equals(segment_metrics(tiered["approved"], tiered["sex"], tiered["tier"], **COMMON))
    )


def test_bounds_are_empty_where_every_outcome_was_seen_and_wide_where_none_of_some_was():
    options = {"odds_ratios": [1.0, 2.0], "min_applicants": 30, "level": 0.95}
    assert every.unseen_bounds(FRAME, REFERENCES, **options).height == 0
    hidden = FRAME.with_columns(
        default=pl.when(pl.int_range(pl.len()) % 5 == 0).then(None).otherwise("default")
    )
    bounds = every.unseen_bounds(hidden, REFERENCES, **options)
    assert bounds["attribute"].unique(maintain_order=True).to_list() == ["sex", "region"]
    width = bounds.with_columns(width=pl.col("upper") - pl.col("lower"))
    assert width.filter(strength=1.0)["width"].max() == pytest.approx(0, abs=1e-9)
    assert width.filter(strength=2.0)["width"].min() > 0
    assert bounds.columns == every.unseen_bounds(FRAME, REFERENCES, **options).columns
    told = every.tipping_points(hidden, COUNTS, REFERENCES)["assumption"].unique().to_list()
    assert sorted(told) == ["mislabelled bads", "mislabelled goods", "unseen outcomes"]
    assert "unseen outcomes" not in every.tipping_points(FRAME, COUNTS, REFERENCES)["assumption"]
