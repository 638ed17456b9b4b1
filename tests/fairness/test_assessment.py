import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate

from workbench.fairness.assessment import (
    assess_counts,
    assess_power,
    assess_spreads,
    headlines,
    score_differences,
)
from workbench.fairness.counts import RATES, attribute_counts
from workbench.fairness.groups import CROSS, NOT_KNOWN, group_columns, resolve_references
from workbench.fairness.metrics import COMPARISONS
from workbench.fairness.scores import SMD
from workbench.statistics.multiplicity import holm

LEAST = {"min_applicants": 60, "min_defaults": 15}
RESAMPLED = {"level": 0.95, "replicates": 100, "seed": 1}


def world(size=3_000):
    generator = np.random.default_rng(7)
    region = generator.choice(["east", "north", "south", "west"], size, p=[0.5, 0.3, 0.18, 0.02])
    score = generator.normal(600, 50, size) - 15 * (region == "south")
    default = (generator.random(size) < 1 / (1 + np.exp((score - 520) / 40))).astype(int)
    frame = pl.DataFrame({"default": default, "approved": (score > 570).astype(int), "score": score})
    sex = pl.Series(generator.choice(["f", "m"], size)).set(pl.Series(np.arange(size) < 200), None)
    return frame.with_columns(sex=sex, region=pl.Series(region))


@pytest.fixture(scope="module")
def judged():
    frame = world()
    labels = group_columns(frame, ["sex", "region"], depth=2)
    frame = frame.drop("sex", "region").hstack(labels)
    counts = attribute_counts(frame, labels.columns)
    references = resolve_references(counts, {"sex": "m", "region": "largest"}, **LEAST)
    return frame, counts, references, assess_counts(counts, references, **LEAST, **RESAMPLED)


def test_every_attribute_and_crossing_has_every_metric_of_every_group(judged):
    _, counts, _, metrics = judged
    assert metrics["attribute"].unique(maintain_order=True).to_list() == ["sex", "region", "sex x region"]
    assert metrics["metric"].unique(maintain_order=True).to_list() == [*RATES, *COMPARISONS]
    assert metrics.height == counts.height * 20
    assert metrics.columns[:3] == ["attribute", "group", "metric"]
    assert metrics.columns[-3:] == ["p_value", "p_adjusted", "test"]


def test_a_crossing_equals_fairlearns_of_both_columns(judged):
    frame, _, _, metrics = judged
    known = frame.filter(pl.col("sex").cast(pl.String) != NOT_KNOWN)
    theirs = MetricFrame(
        metrics={"selection_rate": selection_rate, "true_positive_rate": true_positive_rate},
        y_true=1 - known["default"].to_numpy(),
        y_pred=known["approved"].to_numpy(),
        sensitive_features={name: known[name].cast(pl.String).to_numpy() for name in ("sex", "region")},
    ).by_group
    ours = metrics.filter(pl.col("attribute") == "sex x region", pl.col("group") != NOT_KNOWN)
    for (sex, region), row in theirs.iterrows():
        for metric, value in row.items():
            found = ours.filter(group=f"{sex}{CROSS}{region}", metric=metric)["value"].item()
            assert found == pytest.approx(value, abs=1e-12)


def test_who_is_not_known_is_shown_and_not_judged(judged):
    metrics = judged[-1]
    unknown = metrics.filter(pl.col("group") == NOT_KNOWN)
    assert set(unknown["attribute"]) == {"sex", "sex x region"}
    assert not unknown["judged"].any()
    assert unknown["note"].str.contains("the attribute is not known").all()


def test_p_values_are_of_judged_comparisons_and_adjusted_within_the_attribute(judged):
    _, _, references, metrics = judged
    reference = pl.col("attribute").replace_strict({name: ref.group for name, ref in references.items()})
    compared = pl.col("metric").is_in([*COMPARISONS]) & pl.col("judged") & (pl.col("group") != reference)
    assert metrics.filter(~compared)["p_value"].is_null().all()
    for _, rows in metrics.filter(compared).group_by("attribute", "metric"):
        assert rows["p_adjusted"].to_list() == holm(rows["p_value"])
    south = metrics.filter(attribute="region", group="south", metric="adverse_impact_ratio").row(
        0, named=True
    )
    assert south["value"] < 1
    assert south["p_adjusted"] < 0.05


def test_how_a_reference_was_chosen_is_told(judged):
    metrics = judged[-1]
    note = metrics.filter(attribute="region", group="north", metric="accuracy_difference")["note"].item()
    assert note == "the reference is the largest of 3 judged groups"


def test_a_crossing_with_a_small_or_empty_reference_is_shown_and_not_judged(judged):
    frame, _, _, _ = judged
    frame = frame.filter(~((pl.col("sex") == "m") & (pl.col("region") == "east")))
    for kept in (0, 40):
        part = pl.concat([frame, judged[0].filter(pl.col("sex x region") == "m x east").head(kept)])
        counts = attribute_counts(part, ["sex", "region", "sex x region"])
        references = resolve_references(counts, {"sex": "m", "region": "east"}, **LEAST)
        metrics = assess_counts(counts, references, **LEAST, **RESAMPLED).filter(attribute="sex x region")
        compared = metrics.filter(pl.col("metric").is_in([*COMPARISONS]), pl.col("group") != "m x east")
        assert not compared["judged"].any()
        assert compared["note"].str.contains("the reference group has fewer than 60 applicants").all()
        assert metrics.filter(group="f x east", metric="selection_rate")["judged"].item()
        assert (compared["value"].null_count() == compared.height) == (kept == 0)
        scores = score_differences(part, references, min_applicants=60, level=0.95)
        crossed = scores.filter(attribute="sex x region")
        assert crossed.select("value", "low", "high").null_count().row(0) == (crossed.height,) * 3
        assert crossed.filter(pl.col("group") != NOT_KNOWN)["note"].unique().to_list() == [
            "undefined: the reference group has fewer than 60 applicants"
        ]
        power = assess_power(counts, references, level=0.95).filter(attribute="sex x region")
        assert power["detectable_ratio"].is_null().all() == (kept == 0)


def test_scores_of_every_attribute(judged):
    frame, counts, references, metrics = judged
    scores = score_differences(frame, references, min_applicants=60, level=0.95)
    assert scores["metric"].unique().to_list() == [SMD]
    assert (
        scores.select("attribute", "group")
        .sort("attribute", "group")
        .equals(counts.select("attribute", "group").sort("attribute", "group"))
    )
    unknown = scores.filter(pl.col("group") == NOT_KNOWN)
    assert (unknown["judged"].any(), unknown["note"][0]) == (False, "the attribute is not known")
    worst = headlines(pl.concat([metrics, scores], how="diagonal"))
    assert worst.filter(attribute="region", metric=SMD)["group"].to_list() == ["south"]
    assert worst.filter(attribute="region", metric="adverse_impact_ratio")["group"].to_list() == ["south"]
    assert worst.group_by("attribute", maintain_order=True).len()["len"].to_list() == [11, 11, 11]


def test_spreads_are_of_the_judged_groups_alone(judged):
    _, counts, _, metrics = judged
    found = assess_spreads(counts, metrics, **RESAMPLED)
    assert found.height == 3 * 4
    judged_groups = dict(found.select("attribute", "judged_groups").iter_rows())
    assert judged_groups["sex"] == 2
    assert judged_groups["region"] == 3  # west is too small
    rates = metrics.filter("judged", attribute="region", metric="selection_rate")["value"]
    gap = found.filter(attribute="region", metric="demographic_parity_difference")["value"].item()
    assert gap == pytest.approx(rates.max() - rates.min())


def test_power_is_told_of_every_known_group_but_the_reference(judged):
    _, counts, references, _ = judged
    found = assess_power(counts, references, level=0.95)
    assert found.filter(attribute="sex")["group"].to_list() == ["f"]
    assert found.filter(attribute="region")["group"].to_list() == ["north", "south", "west"]
    north, _, west = found.filter(attribute="region")["detectable_ratio"]
    assert west < north < 1
