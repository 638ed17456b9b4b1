from pathlib import Path

import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, outcome_counts
from workbench.fairness.metrics import COMPARISONS, RATES, group_metrics

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


def mean_outcome(y_true, y_pred):
    return y_true.mean()


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


def test_every_metric_equals_fairlearn():
    group, default, approved = simulated()
    found = metrics(outcome_counts(group, default, approved))
    rates = {
        "selection_rate": selection_rate,
        "true_positive_rate": true_positive_rate,
        "false_positive_rate": false_positive_rate,
    }
    frame = MetricFrame(metrics=rates, y_true=1 - default, y_pred=approved, sensitive_features=group).by_group
    taken = approved == 1
    among = MetricFrame(
        metrics=mean_outcome, y_true=default[taken], y_pred=approved[taken],
        sensitive_features=group[taken],
    ).by_group  # fmt: skip
    frame["default_rate_among_approved"] = among
    for name in "rst":
        for metric in RATES:
            assert row(found, metric, name)["value"] == pytest.approx(frame.loc[name, metric], abs=1e-12)
        for metric, (rate, kind) in COMPARISONS.items():
            mine, reference = frame.loc[name, rate], frame.loc["r", rate]
            expected = mine / reference if kind == "ratio" else mine - reference
            assert row(found, metric, name)["value"] == pytest.approx(expected, abs=1e-12)


def test_extremes_equal_fairlearns_own_summaries():
    group, default, approved = simulated()
    arguments = {"y_true": 1 - default, "y_pred": approved, "sensitive_features": group}
    counts = outcome_counts(group, default, approved)
    rates = {name: row(metrics(counts), "selection_rate", name)["value"] for name in "rst"}
    found = metrics(counts, max(rates, key=rates.get))
    by_metric = {key[0]: part["value"] for key, part in found.partition_by("metric", as_dict=True).items()}
    assert by_metric["adverse_impact_ratio"].min() == pytest.approx(
        demographic_parity_ratio(**arguments), abs=1e-12
    )
    gap = by_metric["selection_rate_difference"].abs().max()
    assert gap == pytest.approx(demographic_parity_difference(**arguments), abs=1e-12)
    spread = by_metric["true_positive_rate"].max() - by_metric["true_positive_rate"].min()
    assert spread == pytest.approx(equal_opportunity_difference(**arguments), abs=1e-12)


def test_columns_and_order():
    found = metrics(outcome_counts(*simulated()))
    assert found.columns == (
        ["group", "metric", "value", "low", "high", "level", "method", "applicants", "judged", "note"]
    )
    assert found["metric"].unique(maintain_order=True).to_list() == [*RATES, *COMPARISONS]
    assert found.height == 3 * 9


@given(st.lists(st.integers(1, 80), min_size=8, max_size=8))
def test_the_reference_is_exactly_equal_to_itself(cells):
    found = metrics(table(r=cells[:4], g=cells[4:]), replicates=50)
    air = row(found, "adverse_impact_ratio", "r")
    assert (air["value"], air["low"], air["high"]) == (1.0, 1.0, 1.0)
    for metric in list(COMPARISONS)[1:]:
        same = row(found, metric, "r")
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
    note = row(found, "false_positive_rate_difference", "g")["note"]
    assert note == "undefined: 0 bads of the reference group to divide by"


def test_a_rate_of_exactly_0_or_1_is_not_certain():
    found = metrics(table(r=[60, 20, 20, 20], g=[40, 0, 30, 0], h=[0, 40, 0, 30]))
    everyone = row(found, "selection_rate", "g")
    assert (everyone["high"], everyone["method"]) == (1.0, "Wilson")
    assert 0.9 < everyone["low"] < 1
    none = row(found, "adverse_impact_ratio", "h")
    assert (none["value"], none["low"]) == (0.0, 0.0)
    assert 0.02 < none["high"] < 0.15
    assert row(found, "true_positive_rate_difference", "g")["method"].startswith("Newcombe")


def test_too_many_undefined_replicates_leave_the_value_unjudged():
    found = metrics(table(r=[60, 20, 20, 20], g=[1, 40, 1, 30]), replicates=1000)
    rare = row(found, "default_rate_among_approved", "g")
    assert (rare["value"], rare["low"], rare["judged"]) == (0.5, None, False)
    assert "replicates are undefined" in rare["note"]


@pytest.mark.parametrize(
    ("reference", "faults"),
    [
        ([5, 2, 1, 2], ["fewer than 100 applicants, fewer than 30 goods, fewer than 30 bads"]),
        ([90, 0, 40, 0], ["130 of its 130 applicants are approved"]),
        ([0, 9, 0, 9], ["fewer than 100 applicants", "0 of its 18 applicants are approved"]),
    ],
)
def test_a_reference_that_cannot_be_compared_with_is_refused_with_all_faults(reference, faults):
    with pytest.raises(DataError) as caught:
        metrics(table(r=reference, g=[60, 20, 20, 20]), min_applicants=100, min_defaults=30)
    assert len(caught.value.faults) == len(faults)
    assert all(fault in found for fault, found in zip(faults, caught.value.faults, strict=True))


def test_an_absent_reference_is_refused():
    with pytest.raises(DataError, match="received 'x'; the groups are 'r'"):
        metrics(table(r=[6, 2, 2, 2]), "x")


def test_the_seed_decides():
    counts = outcome_counts(*simulated())
    assert metrics(counts).equals(metrics(counts))
    assert not metrics(counts).equals(metrics(counts, seed=2))


def test_all_intervals_cover():
    generator, runs = np.random.default_rng(5), 300
    truth = metrics(table(r=(SHARES[0] * 1e8).astype(int), g=(SHARES[1] * 1e8).astype(int)), replicates=2)
    rows = (truth["group"] == "g") | truth["metric"].is_in(list(RATES))
    value = truth.filter(rows)["value"].to_numpy()
    hits = np.zeros(value.size)
    for seed in range(runs):
        draw = generator.multinomial(2000, SHARES.ravel() / SHARES.sum())
        found = metrics(table(r=draw[:4], g=draw[4:]), replicates=400, seed=seed).filter(rows)
        hits += (found["low"].to_numpy() <= value) & (value <= found["high"].to_numpy())
    assert hits / runs == pytest.approx(np.full(value.size, 0.95), abs=4 * np.sqrt(0.95 * 0.05 / runs))
