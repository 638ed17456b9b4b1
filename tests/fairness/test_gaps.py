import polars as pl

from workbench.fairness.counts import CELLS
from workbench.fairness.gaps import largest_gaps
from workbench.fairness.metrics import COMPARISONS, group_metrics


def metrics(**groups):
    cells = pl.DataFrame(
        [[name, *counts] for name, counts in groups.items()], schema=["group", *CELLS], orient="row"
    )
    counts = cells.with_columns(applicants=pl.sum_horizontal(CELLS))
    return group_metrics(
        counts, reference_group="r", min_applicants=100, min_defaults=30, replicates=50, seed=1
    )


REFERENCE, BETTER, WORSE, TINY = [60, 20, 20, 20], [78, 2, 38, 2], [50, 30, 16, 24], [1, 30, 1, 20]


def test_the_worst_judged_group_of_each_comparison_is_picked():
    gaps = largest_gaps(metrics(r=REFERENCE, better=BETTER, worse=WORSE, tiny=TINY), reference_group="r")
    assert gaps["metric"].to_list() == list(COMPARISONS)
    chosen = dict(zip(gaps["metric"], gaps["group"], strict=True))
    assert chosen["adverse_impact_ratio"] == "worse"  # the lowest ratio, though `better` is further from 1
    assert chosen["selection_rate_difference"] == "better"  # the largest absolute difference
    assert gaps["judged_groups"].to_list() == [2] * 5


def test_the_note_says_that_picking_is_a_selection():
    gaps = largest_gaps(metrics(r=REFERENCE, worse=WORSE), reference_group="r")
    assert gaps["note"][0].startswith("worst of 1 judged groups; picking it is itself a selection")


def test_the_reference_is_never_the_worst():
    gaps = largest_gaps(metrics(r=REFERENCE, better=BETTER), reference_group="r")
    assert gaps["group"].unique().to_list() == ["better"]


def test_without_a_judged_group_there_is_no_headline():
    gaps = largest_gaps(metrics(r=REFERENCE, tiny=TINY), reference_group="r")
    assert gaps.height == 0
    assert gaps.columns[:3] == ["metric", "group", "value"]
