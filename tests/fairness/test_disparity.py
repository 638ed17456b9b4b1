from itertools import permutations
from math import erf, sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.disparity import disparity_table


def people(groups, values, cutoff):
    """Applicants who are approved up to a sum of values."""
    approved = np.asarray(values).sum(axis=1) <= cutoff
    return pl.DataFrame({"g": groups, "approved": approved.astype(int)}, schema_overrides={"g": pl.String})


def carried(frame, values, **changes):
    values = np.asarray(values, dtype=float)
    names = [f"f{place}" for place in range(values.shape[1])]
    arguments = {"reference_groups": {"g": "r"}, "min_applicants": 2, "level": 0.95, "seed": 1} | changes
    return disparity_table(frame, values, names, ["g"], **arguments)


def parts(table, of):
    return dict(table.filter(of=of).select("feature", "contribution").iter_rows())


def approval_gap(frame, group="s"):
    share = dict(frame.group_by("g").agg(pl.col("approved").mean()).iter_rows())
    return share[group] - share["r"]


@given(st.integers(2, 40), st.integers(2, 40), st.integers(1, 5), st.integers(0, 99), st.integers(0, 1))
def test_the_parts_add_up_to_the_differences(members, references, features, seed, digits):
    """Few digits make many margins equal."""
    values = np.random.default_rng(seed).normal(size=(members + references, features)).round(digits)
    frame = people(["s"] * members + ["r"] * references, values, 0.3)
    table = carried(frame, values, rounds=1 + seed % 3)
    margin = values[:members].sum(axis=1).mean() - values[members:].sum(axis=1).mean()
    assert sum(parts(table, "margin").values()) == pytest.approx(margin, abs=1e-9)
    assert sum(parts(table, "selection").values()) == pytest.approx(approval_gap(frame), abs=1e-9)


def test_an_approval_that_takes_two_features_is_shared_between_them():
    values = [[1.0, 1.0]] * 2 + [[0.0, 0.0]] * 2
    table = carried(people(["s"] * 2 + ["r"] * 2, values, 1.0), values)
    assert parts(table, "margin") == {"f0": 1.0, "f1": 1.0}
    assert parts(table, "selection") == {"f0": -0.5, "f1": -0.5}
    assert table["low"].null_count() == 4, "all members are alike"


def shapley(members, references, cutoff):
    """The Shapley value of the decision over all pairs and all orders, by counting."""
    total = np.zeros(members.shape[1])
    orders = list(permutations(range(members.shape[1])))
    for own in members:
        for other in references:
            for order in orders:
                mixed = other.copy()
                for feature in order:
                    before = mixed.sum() <= cutoff
                    mixed[feature] = own[feature]
                    total[feature] += (mixed.sum() <= cutoff) - float(before)
    return total / (len(orders) * len(members) * len(references))


def test_with_many_rounds_it_is_the_shapley_value_of_the_decision():
    values = np.random.default_rng(2).normal(size=(11, 3))
    frame = people(["s"] * 4 + ["r"] * 7, values, 0.2)
    found = parts(carried(frame, values, rounds=600), "selection")
    expected = dict(zip(("f0", "f1", "f2"), shapley(values[:4], values[4:], 0.2), strict=True))
    assert found == pytest.approx(expected, abs=0.02)


def shifted(size, seed, *, shifts=(0.7, 0.0), cutoff=0.8):
    """Independent normal SHAP values, some of them higher in the group s."""
    generator = np.random.default_rng(seed)
    member = generator.random(size) < 0.4
    values = generator.normal(size=(size, len(shifts))) + member[:, None] * np.array(shifts)
    return people(np.where(member, "s", "r"), values, cutoff), values


def test_what_is_alike_in_both_groups_carries_nothing():
    """Sharing each decline out would blame it too: it is as large as the other for all who are declined."""
    table = carried(*shifted(20_000, 3))
    for of, sign in (("margin", 1), ("selection", -1)):
        first, second = (table.filter(of=of, feature=name).row(0, named=True) for name in ("f0", "f1"))
        assert sign * first["contribution"] > 0
        assert first["share"] > 0.9
        assert second["low"] < 0 < second["high"]
        assert abs(second["share"]) < 0.1
    assert table["feature"].to_list() == ["f0", "f1"] * 2


def test_a_feature_that_the_model_does_not_use_carries_nothing_and_has_no_interval():
    frame, values = shifted(500, 4)
    table = carried(frame, np.column_stack([values, np.zeros(500)])).filter(feature="f2")
    assert table["contribution"].to_list() == [0.0, 0.0]
    assert table["low"].null_count() == 2
    assert table["method"].str.starts_with("no interval").all()


def test_features_of_opposite_effect_cancel_and_both_are_seen():
    table = carried(*shifted(20_000, 5, shifts=(0.7, -0.7)))
    found = parts(table, "selection")
    assert found["f0"] < -0.1
    assert found["f1"] > 0.1


def test_the_intervals_cover():
    """Two features alike carry half of the difference each, and the shares approved are known."""
    shift, cutoff, runs, hits = 0.4, 0.5, 120, {"margin": 0, "selection": 0}
    below = [0.5 * (1 + erf((cutoff - moved) / 2)) for moved in (2 * shift, 0.0)]
    truth = {"margin": shift, "selection": (below[0] - below[1]) / 2}
    for seed in range(runs):
        frame, values = shifted(300, seed, shifts=(shift, shift), cutoff=cutoff)
        for row in carried(frame, values, rounds=2, seed=seed).filter(feature="f0").iter_rows(named=True):
            hits[row["of"]] += row["low"] <= truth[row["of"]] <= row["high"]
    assert min(hits.values()) / runs >= 0.95 - 3.5 * sqrt(0.95 * 0.05 / runs)


def test_an_approval_of_all_is_carried_by_nothing():
    frame, values = shifted(100, 6, cutoff=100.0)
    table = carried(frame, values).filter(of="selection")
    assert table["contribution"].to_list() == [0.0, 0.0]
    assert table["share"].null_count() == 2


def test_the_same_seed_gives_the_same_table():
    frame, values = shifted(200, 7)
    assert carried(frame, values).equals(carried(frame, values))
    assert not carried(frame, values).equals(carried(frame, values, seed=2))


@pytest.mark.parametrize(("size", "rows"), [(9, 0), (10, 4)])
def test_small_and_unknown_groups_are_left_out(size, rows):
    values = shifted(200, 8)[1]
    groups = ["s"] * size + [None] * 40 + ["r"] * (160 - size)
    told = carried(people(groups, values, 0.8), values, min_applicants=10)
    assert told.height == rows
    assert set(told["applicants"]) <= {size}


def test_a_decision_that_rounding_put_on_the_wrong_side_is_counted_as_it_was_taken():
    """The safest declined of one group and the riskiest approved of the other change places."""
    frame, values = shifted(4_000, 9)
    margin, approved = values.sum(axis=1), frame["approved"].to_numpy() == 1
    member = (frame["g"] == "s").to_numpy()
    riskiest = int(np.argmax(np.where(approved & member, margin, -np.inf)))
    safest = int(np.argmin(np.where(~approved & ~member, margin, np.inf)))
    swapped = frame.with_columns(approved=frame["approved"].clone().scatter([riskiest, safest], [0, 1]))
    found = parts(carried(swapped, values), "selection")
    assert approval_gap(swapped) != pytest.approx(approval_gap(frame), abs=1e-9)
    assert sum(found.values()) == pytest.approx(approval_gap(swapped), abs=1e-9)


def test_decisions_by_another_rule_are_refused():
    frame, values = shifted(1_000, 10)
    other = frame.with_columns(approved=pl.Series(values[:, 0] <= 0.3).cast(pl.Int64))
    with pytest.raises(DataError) as raised:
        carried(other, values)
    assert "another rule decided" in raised.value.faults[0]


def test_all_faults_are_told_together():
    frame, values = shifted(50, 11)
    values[0, 0] = np.nan
    with pytest.raises(DataError) as raised:
        carried(frame.with_columns(approved=pl.lit(2)), values, reference_groups={"g": "S"})
    told = "\n".join(raised.value.faults)
    assert "neither 0 nor 1 in 50 of 50 rows" in told
    assert "missing or infinite in 1 of 50 rows" in told
    assert "no reference group 'S'" in told


@pytest.mark.parametrize(("least", "refused"), [(20, False), (21, True)])
def test_a_small_reference_group_is_refused(least, refused):
    values = shifted(60, 12)[1]
    named = people(["r"] * 20 + ["s"] * 40, values, 0.8)
    if refused:
        with pytest.raises(DataError, match="reference"):
            carried(named, values, min_applicants=least)
    else:
        assert carried(named, values, min_applicants=least).height == 4


def test_values_of_another_size_are_refused():
    frame, values = shifted(50, 13)
    with pytest.raises(DataError) as raised:
        carried(frame, values[:49])
    assert "(49, 2)" in raised.value.faults[0]
