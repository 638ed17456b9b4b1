import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2
from statsmodels.stats.contingency_tables import StratifiedTable

from workbench.errors import DataError
from workbench.fairness.conditional import METRICS, cell_counts, conditional_comparison, stratum_labels

# Bickel, Hammel and O'Connell (1975), Science 187: 398-404, admissions to Berkeley's six largest departments:
# admitted and rejected men, admitted and rejected women. The results are R's (R Core Team, ?mantelhaen.test).
BERKELEY = {
    "A": (512, 313, 89, 19),
    "B": (353, 207, 17, 8),
    "C": (120, 205, 202, 391),
    "D": (138, 279, 131, 244),
    "E": (53, 138, 94, 299),
    "F": (22, 351, 24, 317),
}


def rows_of(tables):
    """Approved, group (g, r) and stratum of one row per applicant."""
    parts = [
        (approved, group, stratum, count)
        for stratum, counts in tables.items()
        for (group, approved), count in zip((("g", 1), ("g", 0), ("r", 1), ("r", 0)), counts, strict=True)
    ]
    *columns, counts = zip(*parts, strict=True)
    return [np.repeat(column, counts) for column in columns]


def compared(tables, **changes):
    arguments = {"reference_group": "r", "min_applicants": 1} | changes
    frame = conditional_comparison(*rows_of(tables), **arguments)
    return {row["metric"]: row for row in frame.iter_rows(named=True)}


def values(row):
    return row["value"], row["low"], row["high"]


def test_berkeley_as_published():
    found = compared(BERKELEY)
    odds = found["conditional_odds_ratio"]
    assert values(odds) == pytest.approx((0.9046968, 0.7719074, 1.0603298), abs=5e-8)
    assert odds["p_value"] == pytest.approx(chi2.sf(1.5246, 1), abs=5e-6)
    crude = compared({"all": np.sum(list(BERKELEY.values()), axis=0)})
    assert (
        crude["conditional_adverse_impact_ratio"]["low"] > 1.3
    )  # Simpson's paradox: gone within departments


def test_averages_and_tests_are_those_of_statsmodels():
    table = StratifiedTable([np.reshape(counts, (2, 2)) for counts in BERKELEY.values()])
    found = compared(BERKELEY)
    odds = found["conditional_odds_ratio"]
    assert odds["value"] == pytest.approx(table.oddsratio_pooled)
    assert found["conditional_adverse_impact_ratio"]["value"] == pytest.approx(table.riskratio_pooled)
    assert odds["homogeneity_p_value"] == pytest.approx(table.test_equal_odds(adjust=True).pvalue)


def test_one_stratum_is_the_plain_comparison():
    p, q, n, m = 40 / 100, 30 / 60, 100, 60
    found = compared({"all": (40, 60, 30, 30)})
    difference = found["conditional_selection_rate_difference"]
    error = np.sqrt(p * (1 - p) / n + q * (1 - q) / m)
    assert values(difference) == pytest.approx((p - q, p - q - 1.959964 * error, p - q + 1.959964 * error))
    ratio = found["conditional_adverse_impact_ratio"]
    error = np.sqrt((1 - p) / (n * p) + (1 - q) / (m * q))
    assert values(ratio) == pytest.approx(tuple(p / q * np.exp(z * 1.959964 * error) for z in (0, -1, 1)))
    error = np.sqrt(1 / 40 + 1 / 60 + 1 / 30 + 1 / 30)
    odds = (40 / 60) / (30 / 30)
    expected = tuple(odds * np.exp(z * 1.959964 * error) for z in (0, -1, 1))
    assert values(found["conditional_odds_ratio"]) == pytest.approx(expected)
    assert found["conditional_odds_ratio"]["homogeneity_p_value"] is None


CELLS = st.tuples(*[st.integers(1, 40)] * 4)


@given(st.lists(CELLS, min_size=2, max_size=4))
def test_exchanging_the_groups_turns_everything_around(tables):
    there = compared({str(at): counts for at, counts in enumerate(tables)})
    back = compared({str(at): (*counts[2:], *counts[:2]) for at, counts in enumerate(tables)})
    for metric in METRICS[:2]:
        value, low, high = values(back[metric])
        assert values(there[metric]) == pytest.approx((1 / value, 1 / high, 1 / low))
    value, low, high = values(back[METRICS[2]])
    assert values(there[METRICS[2]]) == pytest.approx((-value, -high, -low), abs=1e-12)
    for test in ("p_value", "homogeneity_p_value"):
        assert there[METRICS[0]][test] == pytest.approx(back[METRICS[0]][test], abs=1e-9)


def test_strata_that_agree_exactly_leave_no_doubt_about_it():
    found = compared({"a": (10, 10, 20, 20), "b": (30, 10, 60, 20)})["conditional_odds_ratio"]
    assert found["value"] == 1
    assert (found["p_value"], found["homogeneity_p_value"]) == (1.0, 1.0)


def test_strata_without_both_groups_are_counted_and_left_out():
    tables = {"a": (10, 10, 20, 10), "b": (4, 1, 0, 0), "c": (0, 0, 9, 9)}
    found, plain = compared(tables), compared({"a": tables["a"]})
    for metric in METRICS:
        assert values(found[metric]) == values(plain[metric])
    row = found[METRICS[0]]
    assert (row["strata"], row["strata_used"], row["share_used"]) == (2, 1, 20 / 25)
    assert row["applicants"] == 20


def test_without_a_common_stratum_everything_is_undefined():
    for row in compared({"a": (4, 1, 0, 0), "b": (0, 0, 9, 9)}).values():
        assert (row["value"], row["low"], row["p_value"], row["homogeneity_p_value"]) == (None,) * 4
        assert (row["judged"], row["share_used"]) == (False, 0)
        assert row["note"] == "fewer than 1 applicants; undefined: no stratum with both groups"


def test_where_all_or_none_are_approved_nothing_is_made_up():
    everyone = compared({"a": (9, 0, 8, 0), "b": (7, 0, 9, 0)})
    assert everyone["conditional_adverse_impact_ratio"]["value"] == 1
    assert everyone["conditional_adverse_impact_ratio"]["low"] is None
    assert everyone["conditional_odds_ratio"]["value"] is None
    assert everyone["conditional_odds_ratio"]["p_value"] is None
    nobody = compared({"a": (0, 9, 8, 2)})
    assert (nobody["conditional_odds_ratio"]["value"], nobody["conditional_odds_ratio"]["low"]) == (0, None)
    assert nobody["conditional_selection_rate_difference"]["value"] == pytest.approx(-0.8)


def test_a_stratum_that_approves_all_is_no_obstacle():
    found = compared({"a": (10, 10, 20, 10), "b": (7, 0, 9, 0), "c": (12, 9, 14, 7)})
    plain = compared({"a": (10, 10, 20, 10), "c": (12, 9, 14, 7)})
    for test in ("p_value", "homogeneity_p_value"):
        assert found[METRICS[0]][test] == pytest.approx(plain[METRICS[0]][test])


@pytest.mark.parametrize(("strata", "size"), [(5, 120), (120, 6)], ids=["few large", "many small"])
def test_the_intervals_cover(strata, size):
    draw, runs = np.random.default_rng(1), 200
    base = np.linspace(0.2, 0.8, strata)
    stratum, group = np.repeat(np.arange(strata), size), np.tile(["g", "r", "r"], strata * size // 3)
    hits = np.zeros(2)
    for _ in range(runs):
        chance = base[stratum] - 0.1 * (group == "g")
        approved = (draw.random(stratum.size) < chance).astype(int)
        found = conditional_comparison(approved, group, stratum, reference_group="r", min_applicants=1)
        risk = found.row(by_predicate=pl.col("metric") == METRICS[2], named=True)
        n, m = (np.bincount(stratum[group == who]) for who in "gr")
        weight = n * m / (n + m)
        ratio = (weight * (base - 0.1)).sum() / (weight * base).sum()
        share = found.row(by_predicate=pl.col("metric") == METRICS[1], named=True)
        hits += [risk["low"] <= -0.1 <= risk["high"], share["low"] <= ratio <= share["high"]]
    assert hits / runs == pytest.approx(np.full(2, 0.95), abs=3.5 * np.sqrt(0.95 * 0.05 / runs))


def test_judged_at_the_boundary_and_not_below():
    assert compared(BERKELEY, min_applicants=2691)[METRICS[0]]["judged"]
    small = compared(BERKELEY, min_applicants=2692)[METRICS[0]]
    assert (small["judged"], small["note"]) == (False, "fewer than 2692 applicants")


def test_numbers_are_cut_at_their_edges_and_missing_is_its_own_stratum():
    frame = pl.DataFrame({"income": [1.0, 2.0, 2.5, None, 2.0], "product": ["x", "x", "x", "x", None]})
    labels = stratum_labels(frame, edges={"income": [2.0]})
    assert labels[0] == labels[1]  # an edge belongs to the bin below it
    assert labels.n_unique() == 4


def test_strata_that_cannot_be_made_are_refused_with_all_faults():
    with pytest.raises(DataError) as caught:
        stratum_labels(pl.DataFrame({"income": [1.0], "product": ["x"]}), edges={"product": [1], "age": [2]})
    assert list(caught.value.faults) == [
        "income is a number and has no edges",
        "product has edges and is no number of the table",
        "age has edges and is no number of the table",
    ]
    with pytest.raises(DataError, match="no variables"):
        stratum_labels(pl.DataFrame(), edges={})


def test_faults_come_at_once():
    with pytest.raises(DataError) as caught:
        cell_counts([1, 2], ["g", None], [None, 1])
    assert len(caught.value.faults) == 3
    with pytest.raises(DataError, match="the groups are 'g', 'r'"):
        compared(BERKELEY, reference_group="q")
