import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, RATES, outcome_counts
from workbench.fairness.estimated_membership import estimated_metrics, expected_counts, membership_metrics
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


def study(size=600, seed=4):
    """Applicants with a known attribute, and long memberships of an estimated one."""
    generator = np.random.default_rng(seed)
    probabilities, _, default, approved = world(generator, size)
    frame = pl.DataFrame(
        {"applicant_id": range(size), "default": default, "approved": approved}
    ).with_columns(sex=pl.Series(generator.choice(["f", "m"], size), dtype=pl.Enum(["f", "m"])))
    long = (
        frame.select("applicant_id")
        .hstack(probabilities)
        .unpivot(index="applicant_id", variable_name="group", value_name="probability")
    )
    return frame, long.with_columns(attribute=pl.lit("ethnicity")), probabilities


ASKED = {"min_applicants": 20, "min_defaults": 5, "level": 0.95, "replicates": 100, "seed": 1}


def estimates(frame, memberships, attributes=(), **references):
    named = {"ethnicity": "r", "sex": "m"} | references
    return estimated_metrics(frame, memberships, attributes, references=named, **ASKED)


def test_estimated_attributes_are_judged_as_their_probabilities_are():
    frame, memberships, probabilities = study()
    found = estimates(frame, memberships)
    alone = membership_metrics(
        probabilities, frame["default"], frame["approved"], reference_group="r", **ASKED
    )
    assert found.drop("attribute").equals(alone)
    assert found["attribute"].unique().to_list() == ["ethnicity"]
    shuffled = estimates(frame, memberships.sample(fraction=1, shuffle=True, seed=2).sort("group"))
    assert shuffled.equals(found)


def test_a_crossing_weighs_only_those_whose_known_group_is_that_of_the_crossing():
    frame, memberships, probabilities = study()
    found = estimates(frame, memberships, ["sex"]).filter(attribute="sex x ethnicity")
    assert set(found["group"]) == {"f x g", "f x r", "m x g", "m x r"}
    weight = probabilities["g"].to_numpy() * (frame["sex"] == "f").to_numpy()
    rate = (weight * frame["approved"].to_numpy()).sum() / weight.sum()
    row = found.row(
        by_predicate=(pl.col("group") == "f x g") & (pl.col("metric") == "selection_rate"), named=True
    )
    assert row["value"] == pytest.approx(rate, abs=1e-12)
    sizes = found.filter(metric="selection_rate")["applicants"].sum()
    assert sizes == pytest.approx(frame.height, abs=2)
    ratios = found.filter(metric="adverse_impact_ratio", group="m x r")
    assert ratios["value"].to_list() == [1.0]


def test_who_has_no_estimate_is_left_out_and_it_is_said():
    frame, memberships, _ = study()
    found = estimates(frame, memberships.filter(pl.col("applicant_id") >= 150))
    assert found.filter(metric="selection_rate")["applicants"].sum() == pytest.approx(450, abs=1)
    ratio = found.filter(metric="adverse_impact_ratio", group="g")["note"].item()
    assert "25% of the applicants have no estimate" in ratio
    assert "no estimate" not in estimates(frame, memberships)["note"].str.join().item()


def test_who_has_no_known_group_is_in_no_crossing():
    frame, memberships, _ = study()
    sexes = pl.Enum(["f", "m", "not known"])
    unknown = frame.with_columns(
        sex=pl.when(pl.col("applicant_id") >= 100).then(pl.col("sex").cast(pl.String))
    )
    unknown = unknown.with_columns(pl.col("sex").fill_null("not known").cast(sexes))
    found = estimates(unknown, memberships, ["sex"]).filter(attribute="sex x ethnicity")
    assert set(found["group"]) == {"f x g", "f x r", "m x g", "m x r"}
    assert found.filter(metric="selection_rate")["applicants"].sum() == pytest.approx(500, abs=2)


def test_the_reference_of_an_estimated_attribute_may_be_a_rule_and_is_one_of_its_groups():
    frame, memberships, _ = study()
    largest = estimates(frame, memberships, ethnicity="most_favoured")
    assert largest.filter(metric="adverse_impact_ratio", group="r")["value"].item() == 1.0
    with pytest.raises(DataError) as caught:
        estimates(frame, memberships, ethnicity="x")
    assert caught.value.faults[-1].startswith("ethnicity: received 'x'")


def test_without_estimates_there_are_no_rows():
    frame, memberships, _ = study()
    found = estimates(frame, memberships.clear())
    assert found.height == 0
    assert found.schema == estimates(frame, memberships).schema


def test_a_reference_that_is_absent_is_refused_and_one_too_small_judges_nothing():
    probabilities, _, default, approved = world(np.random.default_rng(4), 100)
    with pytest.raises(DataError, match=r"received 'x'; the groups are 'g', 'r'"):
        membership_metrics(probabilities, default, approved, **RULES | {"reference_group": "x"}, seed=1)
    few = membership_metrics(probabilities, default, approved, **RULES | {"min_applicants": 90}, seed=1)
    assert not few["judged"].any()


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
