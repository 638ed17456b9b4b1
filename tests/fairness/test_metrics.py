from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_negative_rate,
    false_positive_rate,
    selection_rate,
    true_negative_rate,
    true_positive_rate,
)
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_score

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, RATES, Costs, outcome_counts
from workbench.fairness.metrics import COMPARISONS, group_metrics
from workbench.statistics.proportions import newcombe_difference

PUBLISHED = Path(__file__).parents[1] / "published"
SHARES = np.array([[0.36, 0.09, 0.06, 0.09], [0.18, 0.09, 0.04, 0.09]])  # reference first; groups x CELLS


def table(**groups):
    cells = pl.DataFrame(
        [[name, *counts] for name, counts in groups.items()], schema=["group", *CELLS], orient="row"
    )
    return cells.with_columns(applicants=pl.sum_horizontal(CELLS))


def metrics(counts, reference_group="r", **changes):
    arguments = {"min_applicants": 1, "min_defaults": 1, "replicates": 200, "seed": 1} | changes
    return group_metrics(counts, reference_group=reference_group, **arguments)


def row(frame, metric, group):
    return frame.row(by_predicate=(pl.col("metric") == metric) & (pl.col("group") == group), named=True)


def simulated(seed=1, size=3000):
    generator = np.random.default_rng(seed)
    group = generator.choice(["r", "s", "t"], size, p=[0.5, 0.3, 0.2])
    default = generator.integers(0, 2, size)
    approved = (generator.random(size) < 0.7 - 0.3 * default - 0.1 * (group == "t")).astype(int)
    return group, default, approved


def test_air_below_one_means_approved_less_often():
    counts = table(r=[60, 20, 20, 20], g=[30, 50, 10, 30])
    assert row(metrics(counts), "adverse_impact_ratio", "g")["value"] == pytest.approx(
        (40 / 120) / (80 / 120)
    )


def test_air_as_published():
    published = pl.read_csv(PUBLISHED / "uniform_guidelines_1979_four_fifths.csv", comment_prefix="#")
    rows = [(g, 0, int(i < s)) for g, n, s, *_ in published.rows() for i in range(n)]
    counts = outcome_counts(*zip(*rows, strict=True))
    found = metrics(counts, "White", min_defaults=0)
    for group, _, _, rate, ratio in published.rows():
        assert row(found, "selection_rate", group)["value"] == rate
        assert row(found, "adverse_impact_ratio", group)["value"] == ratio


def good_rate_among_declined(y_true, y_pred):
    return 1 - precision_score(1 - y_true, 1 - y_pred)


def default_rate_among_approved(y_true, y_pred):
    return 1 - precision_score(y_true, y_pred)


def default_rate(y_true, y_pred):
    return 1 - y_true.mean()


def error_cost(y_true, y_pred):
    return np.mean(5 * ((y_true == 0) & (y_pred == 1)) + 2 * ((y_true == 1) & (y_pred == 0)))


def test_every_metric_equals_fairlearn():
    group, default, approved = simulated()
    found = metrics(outcome_counts(group, default, approved), costs=Costs(5, 2))
    rates = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_negative_rate": false_negative_rate,
        "false_positive_rate": false_positive_rate,
        "true_negative_rate": true_negative_rate,
        "default_rate_among_approved": default_rate_among_approved,
        "good_rate_among_declined": good_rate_among_declined,
        "accuracy": accuracy_score,
        "default_rate": default_rate,
        "error_cost": error_cost,
    }
    assert list(rates) == list(RATES)
    frame = MetricFrame(metrics=rates, y_true=1 - default, y_pred=approved, sensitive_features=group).by_group
    for name in "rst":
        for metric in RATES:
            assert row(found, metric, name)["value"] == pytest.approx(frame.loc[name, metric], abs=1e-12)
        for metric, (of, kind) in COMPARISONS.items():
            mine, reference = frame.loc[name, [*of]], frame.loc["r", [*of]]
            expected = {
                "ratio": mine / reference,
                "difference": mine - reference,
                "larger difference": (mine - reference).abs(),
            }[kind].max()
            assert row(found, metric, name)["value"] == pytest.approx(expected, abs=1e-12)


def test_columns_and_order():
    found = metrics(outcome_counts(*simulated()))
    assert found.columns == (
        ["group", "metric", "value", "low", "high", "level", "method", "applicants", "judged", "note"]
    )
    assert found["metric"].unique(maintain_order=True).to_list() == [*RATES, *COMPARISONS]
    assert found.height == 3 * 20


@given(st.lists(st.integers(1, 80), min_size=8, max_size=8))
def test_the_reference_is_exactly_equal_to_itself(cells):
    found = metrics(table(r=cells[:4], g=cells[4:]), replicates=50)
    air = row(found, "adverse_impact_ratio", "r")
    assert (air["value"], air["low"], air["high"]) == (1.0, 1.0, 1.0)
    defined = found.filter(pl.col("value").is_not_null())
    for metric in list(COMPARISONS)[1:]:
        same = row(defined, metric, "r")
        assert (same["value"], same["low"], same["high"]) == (0.0, 0.0, 0.0)


def test_a_large_enough_group_is_judged_at_the_boundary_and_not_below():
    counts = table(r=[60, 20, 20, 20], g=[30, 30, 10, 20], h=[30, 30, 10, 19])
    found = metrics(counts, min_applicants=90, min_defaults=30)
    assert row(found, "selection_rate", "g")["judged"]
    small = row(found, "selection_rate", "h")
    assert (small["judged"], small["note"]) == (False, "fewer than 90 applicants, fewer than 30 bads")
    assert None not in (small["value"], small["low"], small["high"])


def test_goods_are_needed_too():
    found = metrics(table(r=[60, 20, 20, 20], g=[3, 3, 50, 50]), min_defaults=30)
    assert row(found, "selection_rate", "g")["note"] == "fewer than 30 goods"


def test_a_division_by_zero_is_neither_0_nor_1():
    found = metrics(table(r=[60, 20, 20, 20], g=[0, 40, 0, 30]))
    undefined = row(found, "default_rate_among_approved", "g")
    assert (undefined["value"], undefined["low"], undefined["judged"]) == (None, None, False)
    assert undefined["note"] == "undefined: 0 approved applicants to divide by"
    found = metrics(table(r=[60, 20, 0, 0], g=[30, 20, 10, 10]), min_defaults=0)
    difference = row(found, "false_positive_rate_difference", "g")
    assert difference["note"] == "undefined: 0 bads of the reference group to divide by"
    assert (difference["value"], difference["method"]) == (None, difference["note"])
    odds = row(found, "equalized_odds_difference", "g")
    assert (odds["value"], odds["note"]) == (None, difference["note"])


def test_a_ratio_to_nothing_is_undefined():
    found = row(metrics(table(r=[0, 40, 0, 30], g=[30, 20, 10, 10])), "adverse_impact_ratio", "g")
    assert (found["value"], found["low"], found["judged"]) == (None, None, False)
    assert "undefined: 0 selection_rate of the reference group to divide by" in found["note"]


def test_a_rate_of_exactly_0_or_1_is_not_certain():
    found = metrics(table(r=[60, 20, 20, 20], g=[40, 0, 30, 0], h=[0, 40, 0, 30]))
    everyone = row(found, "selection_rate", "g")
    assert (everyone["high"], everyone["method"]) == (1.0, "Wilson")
    assert 0.9 < everyone["low"] < 1
    none = row(found, "adverse_impact_ratio", "h")
    assert (none["value"], none["low"]) == (0.0, 0.0)
    assert 0.02 < none["high"] < 0.15
    assert row(found, "true_positive_rate_difference", "g")["method"].startswith("Newcombe")


@pytest.mark.parametrize(("hits", "resampled"), [(10, True), (9, False)])
def test_few_of_either_kind_take_the_closed_form(hits, resampled):
    for cells in ([hits, 60 - hits, 15, 15], [60 - hits, hits, 15, 15]):
        found = row(metrics(table(r=[60, 20, 20, 20], g=cells)), "true_positive_rate", "g")
        assert found["method"].startswith("percentile bootstrap" if resampled else "Wilson")
        both = row(metrics(table(r=cells, g=[60, 20, 20, 20])), "true_positive_rate_difference", "g")
        assert both["method"].startswith("percentile bootstrap" if resampled else "Newcombe")


def test_the_closed_forms_are_those_of_the_library():
    found = metrics(table(r=[60, 20, 20, 20], g=[5, 40, 2, 30]))
    mine = row(found, "selection_rate_difference", "g")
    theirs = newcombe_difference(7, 77, 80, 120)
    assert [mine["low"], mine["high"]] == pytest.approx([theirs.low, theirs.high], abs=1e-12)
    one = metrics(table(r=[60, 20, 20, 20], g=[70, 0, 3, 30]), costs=Costs(4, 9))
    cost, share = row(one, "error_cost", "g"), row(one, "default_rate_among_approved", "g")
    assert cost["value"] == pytest.approx(4 * 3 / 103)
    assert 0 < cost["low"] < cost["value"] < cost["high"]
    assert (cost["method"], share["method"]) == ("MOVER (Wilson limits)", "Wilson")


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ([5, 2, 1, 2], "fewer than 100 applicants, fewer than 30 goods, fewer than 30 bads"),
        ([90, 0, 40, 0], "all or none of its applicants approved"),
        ([0, 0, 0, 0], "fewer than 100 applicants, fewer than 30 goods, fewer than 30 bads, "
            "all or none of its applicants approved"),
    ],
)  # fmt: skip
def test_nothing_is_judged_against_a_reference_that_cannot_be_compared_with(reference, reason):
    found = metrics(table(r=reference, g=[60, 20, 20, 20]), min_applicants=100, min_defaults=30)
    assert not found.filter(pl.col("metric").is_in([*COMPARISONS]))["judged"].any()
    assert row(found, "selection_rate", "g")["judged"]
    assert f"the reference group has {reason}" in row(found, "selection_rate_difference", "g")["note"]


def test_how_the_reference_was_chosen_is_told_beside_every_comparison():
    found = metrics(table(r=[60, 20, 20, 20], g=[30, 30, 10, 20]), reference_note="by a rule")
    told = found.filter(pl.col("note") == "by a rule")
    assert set(told["metric"]) == set(COMPARISONS)
    assert set(told["group"]) == {"g"}


def test_an_absent_reference_is_refused():
    with pytest.raises(DataError, match="received 'x'; the groups are 'r'"):
        metrics(table(r=[6, 2, 2, 2]), "x")


def test_the_seed_decides():
    counts = outcome_counts(*simulated())
    assert metrics(counts).equals(metrics(counts))
    assert not metrics(counts).equals(metrics(counts, seed=2))


def covered(shares, runs, size):
    """How often each interval of group g, and of the rates, held the truth."""
    generator = np.random.default_rng(5)
    truth = metrics(table(r=(shares[0] * 1e8).astype(int), g=(shares[1] * 1e8).astype(int)), replicates=2)
    rows = (truth["group"] == "g") | truth["metric"].is_in(list(RATES))
    value, hits = truth.filter(rows)["value"].to_numpy(), 0.0
    for seed in range(runs):
        draw = generator.multinomial(size, shares.ravel() / shares.sum())
        found = metrics(table(r=draw[:4], g=draw[4:]), replicates=300, seed=seed).filter(rows)
        hits = hits + ((found["low"].to_numpy() <= value) & (value <= found["high"].to_numpy()))
    return dict(zip(truth.filter(rows).select("metric", "group").iter_rows(), hits / runs, strict=True))


def test_all_intervals_cover():
    runs = 100
    found = covered(SHARES, runs, 2000)
    assert len(found) == 30
    least = 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
    assert {key: share for key, share in found.items() if share < least} == {}
    exact = [share for (metric, _), share in found.items() if metric != "equalized_odds_difference"]
    assert np.mean(exact) == pytest.approx(0.95, abs=0.02)


def test_intervals_cover_where_groups_are_equal_and_counts_small():
    runs, equal = 80, np.array([[0.30, 0.05, 0.04, 0.06], [0.06, 0.01, 0.008, 0.012]])
    found = covered(equal, runs, 900)  # of the group: 150 applicants, 15 of them bads
    least = 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
    assert {key: share for key, share in found.items() if share < least} == {}
