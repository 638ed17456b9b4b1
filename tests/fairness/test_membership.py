import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, RATES, outcome_counts
from workbench.fairness.membership import expected_counts, membership_metrics
from workbench.fairness.metrics import COMPARISONS, group_metrics

RULES = {"reference_group": "r", "min_applicants": 1, "min_defaults": 1}
PEOPLE = 800


def value_of(metrics, metric, group="g"):
    return metrics.row(by_predicate=(pl.col("metric") == metric) & (pl.col("group") == group), named=True)


def world(generator, size, direct=0.0):
    """Probabilities, true membership, default and approval; `direct`: what membership itself costs."""
    likely = generator.beta(1.2, 1.2, size)
    member = generator.random(size) < likely
    default = generator.random(size) < 0.15 + 0.2 * likely
    approved = generator.random(size) < 0.85 - 0.3 * likely - 0.2 * default - direct * member
    return pl.DataFrame({"g": likely, "r": 1 - likely}), member, default.astype(int), approved.astype(int)


def test_certain_membership_is_a_label():
    generator = np.random.default_rng(1)
    _, member, default, approved = world(generator, 400)
    certain = pl.DataFrame({"g": member.astype(float), "r": 1.0 - member})
    labels = np.where(member, "g", "r")
    assert (
        expected_counts(certain, default, approved).rows() == outcome_counts(labels, default, approved).rows()
    )
    ours = membership_metrics(certain, default, approved, **RULES, replicates=100, seed=1)
    theirs = group_metrics(outcome_counts(labels, default, approved), **RULES, replicates=100, seed=1)
    columns = ["group", "metric", "value", "low", "high", "applicants", "judged"]
    assert ours.select(columns).equals(theirs.select(columns))


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=50))
def test_expected_counts_are_sums_of_probabilities(rows):
    likely, default, approved = (np.array(column) for column in zip(*rows, strict=True))
    counts = expected_counts(pl.DataFrame({"g": likely, "r": 1 - likely}), default, approved)
    assert counts["applicants"].sum() == pytest.approx(len(rows))
    for name, bad, yes in zip(CELLS, (0, 0, 1, 1), (1, 0, 1, 0), strict=True):
        expected = likely[(default == bad) & (approved == yes)].sum()
        assert counts[name][0] == pytest.approx(expected, abs=1e-9)


def test_rates_are_weighted_by_probability():
    generator = np.random.default_rng(2)
    probabilities, _, default, approved = world(generator, 500)
    found = membership_metrics(probabilities, default, approved, **RULES, seed=1)
    weight = {name: probabilities[name].to_numpy() for name in "gr"}
    rate = {name: (w * approved).sum() / w.sum() for name, w in weight.items()}
    goods = {name: w * (default == 0) for name, w in weight.items()}
    assert value_of(found, "selection_rate")["value"] == pytest.approx(rate["g"], abs=1e-12)
    assert value_of(found, "adverse_impact_ratio")["value"] == pytest.approx(rate["g"] / rate["r"], abs=1e-12)
    true = {name: (w * approved).sum() / w.sum() for name, w in goods.items()}
    difference = value_of(found, "true_positive_rate_difference")["value"]
    assert difference == pytest.approx(true["g"] - true["r"], abs=1e-12)
    assert set(found["metric"]) == {*RATES, *COMPARISONS}


def test_every_row_says_that_membership_is_estimated_and_what_that_assumes():
    found = membership_metrics(*(world(np.random.default_rng(3), 500)[i] for i in (0, 2, 3)), **RULES, seed=1)
    assert found["note"].str.contains("membership is estimated: unbiased only if").all()
    told = found.filter(pl.col("method") != "by definition")["method"]
    assert told.str.starts_with("weighted by membership probabilities, membership drawn; ").all()
    few = membership_metrics(
        *(world(np.random.default_rng(3), 500)[i] for i in (0, 2, 3)),
        **RULES | {"min_applicants": 240},
        seed=1,
    )
    group = few.filter(~pl.col("judged"))["note"].unique().to_list()
    assert all(note.startswith("fewer than 240 applicants; membership is estimated") for note in group)


def test_probabilities_that_cannot_be_used_are_refused_all_at_once():
    table = pl.DataFrame({"g": [0.5, 1.2, None, 0.3], "r": [0.5, -0.2, 0.5, 0.6]})
    with pytest.raises(DataError) as caught:
        expected_counts(table, [0, 1, 0, 1], [1, 0, 1, 0])
    assert caught.value.faults == (
        "g is missing in 1 of 4 rows",
        "g is outside [0, 1] in 1 of 4 rows",
        "r is outside [0, 1] in 1 of 4 rows",
        "the groups do not add up to 1 within 1e-06 in 1 of 4 rows",
    )
    with pytest.raises(DataError, match="1 columns of probabilities; at least 2"):
        expected_counts(pl.DataFrame({"g": [1.0]}), [0], [1])
    with pytest.raises(DataError, match="lengths differ"):
        expected_counts(pl.DataFrame({"g": [1.0], "r": [0.0]}), [0, 1], [1, 0])


@pytest.mark.parametrize(("off", "refused"), [(9e-7, False), (1.1e-6, True)])
def test_a_millionth_is_the_boundary(off, refused):
    table = pl.DataFrame({"g": [0.5, 0.25], "r": [0.5, 0.75 + off]})
    if refused:
        with pytest.raises(DataError, match="in 1 of 2 rows"):
            expected_counts(table, [0, 1], [1, 0])
    else:
        assert expected_counts(table, [0, 1], [1, 0])["applicants"].sum() == pytest.approx(2)


def test_a_reference_that_cannot_be_compared_with_is_refused():
    probabilities, _, default, approved = world(np.random.default_rng(4), 100)
    with pytest.raises(DataError, match=r"received 'x'; the groups are 'g', 'r'"):
        membership_metrics(probabilities, default, approved, **RULES | {"reference_group": "x"}, seed=1)
    with pytest.raises(DataError, match="fewer than 90 applicants"):
        membership_metrics(probabilities, default, approved, **RULES | {"min_applicants": 90}, seed=1)


def trials(runs, direct=0.0):
    """Value, low and high of each run, [runs, metrics], and the same metrics of the true members."""
    names = ["selection_rate", "true_positive_rate", "adverse_impact_ratio", "selection_rate_difference"]
    generator, found, true = np.random.default_rng(6), [], []
    for seed in range(runs):
        probabilities, member, default, approved = world(generator, PEOPLE, direct)
        metrics = membership_metrics(probabilities, default, approved, **RULES, replicates=200, seed=seed)
        found.append([[value_of(metrics, name)[end] for name in names] for end in ("value", "low", "high")])
        counts = outcome_counts(np.where(member, "g", "r"), default, approved)
        actual = group_metrics(counts, **RULES, replicates=1, seed=1)
        true.append([value_of(actual, name)["value"] for name in names])
    return np.moveaxis(np.array(found), 1, 0), np.array(true)


def test_intervals_cover_the_population_and_these_applicants():
    runs = 100
    (_, low, high), actual = trials(runs)
    _, member, default, approved = world(np.random.default_rng(9), 500_000)
    members = pl.DataFrame({"g": member.astype(float), "r": 1.0 - member})
    exact = group_metrics(expected_counts(members, default, approved), **RULES, replicates=1, seed=1)
    names = ["selection_rate", "true_positive_rate", "adverse_impact_ratio", "selection_rate_difference"]
    population = np.array([value_of(exact, name)["value"] for name in names])
    least = 0.95 - 4 * np.sqrt(0.95 * 0.05 / runs)
    for truth in (population, actual):
        assert (((low <= truth) & (truth <= high)).mean(axis=0) >= least).all()


def test_the_gap_is_understated_where_membership_itself_counts():
    (value, _, _), actual = trials(30, direct=0.2)
    gap, true = value[:, 3].mean(), actual[:, 3].mean()
    assert true < gap - 0.05 < gap < 0
