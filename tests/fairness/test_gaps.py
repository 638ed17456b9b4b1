import numpy as np
import polars as pl
import pytest
from fairlearn.metrics import (
    demographic_parity_difference,
    demographic_parity_ratio,
    equal_opportunity_difference,
    equalized_odds_difference,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, chi2_contingency, fisher_exact
from statsmodels.stats.proportion import power_proportions_2indep, proportions_ztest
from statsmodels.stats.weightstats import ttest_ind

from workbench.fairness.counts import CELLS, UNIT_COSTS, Costs, outcome_counts
from workbench.fairness.gaps import SPREADS, comparison_tests, detectable_gaps, largest_gaps, spreads
from workbench.fairness.metrics import COMPARISONS, group_metrics
from workbench.statistics.multiplicity import holm


def table(**groups):
    cells = pl.DataFrame(
        [[name, *counts] for name, counts in groups.items()], schema=["group", *CELLS], orient="row"
    )
    return cells.with_columns(applicants=pl.sum_horizontal(CELLS))


def metrics(counts, least=100):
    rules = {"min_applicants": least, "min_defaults": min(least, 30), "replicates": 50, "seed": 1}
    return group_metrics(counts, reference_group="r", **rules)


def p_values(counts, least=100, costs=UNIT_COSTS):
    return comparison_tests(counts, metrics(counts, least), reference_group="r", costs=costs)


def p_of(tests, metric, group):
    found = tests.row(by_predicate=(pl.col("metric") == metric) & (pl.col("group") == group), named=True)
    return found["p_value"], found["test"]


REFERENCE, BETTER, WORSE, TINY = [60, 20, 20, 20], [78, 2, 38, 2], [50, 30, 16, 24], [1, 30, 1, 20]


# The headline


def test_the_worst_judged_group_of_each_comparison_is_picked():
    gaps = largest_gaps(metrics(table(r=REFERENCE, better=BETTER, worse=WORSE, tiny=TINY)))
    assert gaps["metric"].to_list() == list(COMPARISONS)
    chosen = dict(zip(gaps["metric"], gaps["group"], strict=True))
    assert chosen["adverse_impact_ratio"] == "worse"  # the lowest ratio, though `better` is further from 1
    assert chosen["selection_rate_difference"] == "better"  # the largest absolute difference
    assert gaps["judged_groups"].to_list() == [2] * len(COMPARISONS)


def test_the_note_says_that_picking_is_a_selection():
    gaps = largest_gaps(metrics(table(r=REFERENCE, worse=WORSE)))
    assert gaps["note"][0].startswith("worst of 1 judged groups; picking it is itself a selection")


def test_the_reference_is_never_the_worst():
    gaps = largest_gaps(metrics(table(r=REFERENCE, better=BETTER)))
    assert gaps["group"].unique().to_list() == ["better"]


def test_without_a_judged_group_there_is_no_headline():
    gaps = largest_gaps(metrics(table(r=REFERENCE, tiny=TINY)))
    assert gaps.height == 0
    assert gaps.columns[:3] == ["metric", "group", "value"]


def test_another_difference_against_the_reference_has_its_headline_too():
    found = metrics(table(r=REFERENCE, worse=WORSE))
    other = found.filter(metric="selection_rate_difference").with_columns(metric=pl.lit("mean_difference"))
    gaps = largest_gaps(pl.concat([found, other]))
    assert gaps["metric"].to_list() == [*COMPARISONS, "mean_difference"]


# Tests


def test_p_values_are_those_of_the_libraries():
    found = p_values(table(r=REFERENCE, g=WORSE), costs=Costs(5, 2))
    _, score = proportions_ztest([66, 80], [120, 120])
    for metric in ("adverse_impact_ratio", "selection_rate_difference"):
        assert p_of(found, metric, "g") == (pytest.approx(score, abs=1e-12), "score")
    own, reference = (np.repeat([0, 2, 5, 0], cells) for cells in (WORSE, REFERENCE))
    _, welch, _ = ttest_ind(own, reference, usevar="unequal")
    assert p_of(found, "error_cost_difference", "g") == (
        pytest.approx(welch, rel=0.02),
        "normal, unequal variances",
    )


def test_few_expected_take_fishers_exact_test():
    found = p_values(table(r=[60, 2, 20, 20], g=[40, 1, 20, 1]), least=1)
    few = p_of(found, "true_positive_rate_difference", "g")
    assert few == (pytest.approx(fisher_exact([[40, 1], [60, 2]]).pvalue), "Fisher's exact")
    assert p_of(found, "false_positive_rate_difference", "g")[1] == "score"


@pytest.mark.parametrize(("declined", "test"), [(5, "score"), (4, "Fisher's exact")])
def test_five_expected_is_the_boundary(declined, test):
    counts = table(r=[95, declined, 50, 50], g=[95, declined, 50, 50])
    assert p_of(p_values(counts, least=1), "true_positive_rate_difference", "g") == (1.0, test)


def test_equalized_odds_is_found_different_where_either_rate_is():
    found = p_values(table(r=REFERENCE, g=WORSE))
    least = min(p_of(found, f"{name}_positive_rate_difference", "g")[0] for name in ("true", "false"))
    assert p_of(found, "equalized_odds_difference", "g")[0] == pytest.approx(1 - (1 - least) ** 2)


def test_p_values_are_adjusted_over_the_judged_groups_of_each_metric():
    found = p_values(table(r=REFERENCE, better=BETTER, worse=WORSE, tiny=TINY))
    assert set(found["group"]) == {"better", "worse"}
    assert found.height == 2 * len(COMPARISONS)
    for _, rows in found.group_by("metric"):
        assert rows["p_adjusted"].to_list() == holm(rows["p_value"])


def test_equal_groups_are_rarely_found_different():
    generator, runs, hits = np.random.default_rng(3), 200, 0
    for _ in range(runs):
        own, reference = generator.multinomial([150, 300], [0.6, 0.1, 0.15, 0.15])
        judged = pl.DataFrame({"group": ["g"] * 10, "metric": list(COMPARISONS), "judged": [True] * 10})
        found = comparison_tests(table(r=reference.tolist(), g=own.tolist()), judged, reference_group="r")
        hits = hits + (found["p_value"].to_numpy() < 0.05)
    assert (hits / runs < 0.05 + 4 * np.sqrt(0.05 * 0.95 / runs)).all()
    assert (hits / runs > 0.01).all()


def test_costs_that_never_differ_are_not_different():
    assert (
        p_of(p_values(table(r=[60, 0, 0, 20], g=[50, 0, 0, 30]), least=1), "error_cost_difference", "g")[0]
        == 1
    )


# Power


@pytest.mark.parametrize("power", [0.8, 0.9])
def test_the_detectable_gap_is_found_with_that_power(power):
    found = detectable_gaps(
        table(r=[600, 200, 100, 100], g=[100, 50, 25, 25]), reference_group="r", power=power
    )
    gap, ratio, rate = found.select("detectable_difference", "detectable_ratio", "reference_rate").row(0)
    assert (rate, ratio) == (0.7, pytest.approx(1 + gap / rate))
    theirs = power_proportions_2indep(gap, rate, 200, ratio=5, alpha=0.05, return_results=False)
    assert theirs == pytest.approx(power, abs=1e-3)


@given(st.integers(20, 2_000), st.integers(2, 5))
def test_more_applicants_see_smaller_gaps(size, times):
    counts = table(r=[600, 200, 100, 100], few=[size, 0, 0, 0], many=[times * size, 0, 0, 0])
    few, many = detectable_gaps(counts, reference_group="r")["detectable_difference"]
    assert few < many < 0


def test_a_group_that_is_too_small_to_show_anything_says_so():
    counts = table(r=[60, 100, 20, 20], g=[1, 1, 1, 0])
    found = detectable_gaps(counts, reference_group="r").row(0, named=True)
    assert (found["detectable_difference"], found["detectable_ratio"]) == (None, None)
    assert found["note"] == "too few: none approved would not show"
    for none_approved in ([0, 0, 0, 0], [0, 9, 0, 9]):
        empty = detectable_gaps(table(r=none_approved, g=[5, 5, 5, 5]), reference_group="r")
        assert empty.select("detectable_difference", "detectable_ratio").row(0) == (None, None)
        assert empty["note"][0] == "none of the reference group is approved"


# Spreads


def simulated(size=4_000):
    generator = np.random.default_rng(2)
    group = generator.choice(["a", "b", "c", "d"], size, p=[0.4, 0.3, 0.2, 0.1])
    default = (generator.random(size) < 0.3).astype(int)
    approved = (generator.random(size) < 0.7 - 0.3 * default - 0.1 * (group == "c")).astype(int)
    return group, default, approved


def spread(counts, judged="abcd", **arguments):
    return spreads(counts, list(judged), **{"replicates": 200, "seed": 1} | arguments)


@pytest.mark.parametrize("judged", ["abcd", "bd"])
def test_spreads_equal_fairlearns_own(judged):
    group, default, approved = simulated()
    kept = np.isin(group, list(judged))
    arguments = {
        "y_true": 1 - default[kept],
        "y_pred": approved[kept],
        "sensitive_features": group[kept],
    }
    theirs = [
        demographic_parity_difference(**arguments),
        demographic_parity_ratio(**arguments),
        equal_opportunity_difference(**arguments),
        equalized_odds_difference(**arguments),
    ]
    found = spread(outcome_counts(group, default, approved), judged)
    assert found["metric"].to_list() == list(SPREADS)
    assert found["value"].to_list() == pytest.approx(theirs, abs=1e-12)
    assert found["judged_groups"].to_list() == [len(judged)] * 4
    assert found["applicants"][0] == kept.sum()


def test_two_groups_are_tested_as_two_shares():
    found = spread(table(a=[60, 20, 20, 20], b=[50, 30, 16, 24]), "ab")
    assert found["p_value"][0] == pytest.approx(proportions_ztest([66, 80], [120, 120])[1])
    assert found["p_value"][1] == found["p_value"][0]


def test_several_groups_are_tested_at_once():
    group, default, approved = simulated()
    counts = outcome_counts(group, default, approved)
    goods, bads = counts.select(CELLS).to_numpy()[:, :2], counts.select(CELLS).to_numpy()[:, 2:]
    alike = [chi2_contingency(cells, correction=False) for cells in (goods, bads)]
    found = spread(counts)["p_value"]
    assert found[2] == pytest.approx(alike[0].pvalue)
    assert found[3] == pytest.approx(chi2.sf(alike[0].statistic + alike[1].statistic, 6))


def test_few_expected_are_not_tested():
    found = spread(table(a=[60, 1, 20, 20], b=[50, 1, 16, 24]), "ab")
    assert found["p_value"].is_null().to_list() == [False, False, True, True]


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ({"a": [60, 20, 20, 20]}, [None, None, None, None]),
        ({"a": [60, 20, 20, 20], "b": [0, 30, 0, 24]}, [0.6667, 0.0, 0.75, 0.75]),
        ({"a": [60, 20, 20, 20], "b": [60, 20, 0, 0]}, [0.0833, 0.8889, 0.0, None]),
        ({"a": [0, 20, 0, 20], "b": [0, 20, 0, 20]}, [0.0, None, 0.0, 0.0]),
    ],
)
def test_what_is_undefined_or_does_not_vary_is_said(groups, expected):
    found = spread(table(**groups), list(groups))
    assert [v if v is None else round(v, 4) for v in found["value"]] == expected
    assert found.filter(pl.col("value").is_null())["method"].str.starts_with("undefined").all()
    assert found.filter(pl.col("low").is_null())["method"].str.contains("undefined|no interval").all()


@pytest.mark.parametrize("apart", [0.0, 0.1])
def test_spreads_cover_where_groups_are_equal_and_where_not(apart):
    shares = np.array([[0.30, 0.05, 0.04, 0.06]] * 5) + np.outer([1, 0, 0, 0, 1], [-apart, apart, 0, 0])
    truth = spread(
        table(**{g: (1e9 * s).astype(int).tolist() for g, s in zip("abcde", shares, strict=True)}), "abcde"
    )
    generator, runs, hits = np.random.default_rng(4), 120, 0
    for seed in range(runs):
        draw = generator.multinomial(2_000, shares.ravel() / shares.sum()).reshape(shares.shape)
        found = spread(table(**dict(zip("abcde", draw.tolist(), strict=True))), "abcde", seed=seed)
        value = truth["value"].to_numpy()
        hits = hits + ((found["low"].to_numpy() <= value + 1e-9) & (value - 1e-9 <= found["high"].to_numpy()))
    assert (hits / runs >= 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)).all()


def test_the_seed_decides():
    counts = outcome_counts(*simulated())
    assert spread(counts).equals(spread(counts))
    assert not spread(counts).equals(spread(counts, seed=2))
