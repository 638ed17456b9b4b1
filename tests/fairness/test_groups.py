import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import DataError
from workbench.fairness.counts import CELLS, attribute_counts
from workbench.fairness.groups import (
    NOT_KNOWN,
    OTHERS,
    Reference,
    as_labels,
    group_columns,
    group_shortages,
    label_faults,
    require_comparable,
    require_reference,
    resolve_references,
    shortage,
)

BANDS = pl.Enum(["under 30", "30 to 39", "40 and over"])


def people(sex, band=None, **columns):
    sizes = {"default": [0] * len(sex), "approved": [i % 2 for i in range(len(sex))]} | columns
    ages = pl.Series(band or ["30 to 39", "under 30"] * (len(sex) // 2), dtype=BANDS)
    return pl.DataFrame({"sex": sex, "age_band": ages, **sizes})


def counted(**attributes):
    """Counts by attribute: {attribute: {group: cells}}."""
    rows = [[a, g, sum(c), *c] for a, groups in attributes.items() for g, c in groups.items()]
    return pl.DataFrame(rows, schema=["attribute", "group", "applicants", *CELLS], orient="row")


def resolved(counts, references, min_applicants=1, min_defaults=0):
    return resolve_references(counts, references, min_applicants=min_applicants, min_defaults=min_defaults)


@pytest.mark.parametrize(
    ("group", "labels"),
    [
        (["a", None], ["a", None]),
        (np.array(["a", None], dtype=object), ["a", None]),
        (np.array([1, 2]), ["1", "2"]),
        (pl.Series(["b", "a"], dtype=pl.Categorical), ["b", "a"]),
        ([1.5, float("nan")], ["1.5", None]),
    ],
)
def test_labels_become_text_and_missing_ones_null(group, labels):
    assert as_labels(group).to_list() == labels


def test_missing_groups_are_counted():
    assert "group is missing in 2 of 3" in next(label_faults(pl.Series([None, "a", None])))
    assert "sex is missing in 1 of 1" in next(label_faults(pl.Series([None], dtype=pl.String), "sex"))


def test_a_shortage_names_the_minimum_and_not_the_small_count():
    text = shortage({"applicants": 50, "bads": 3}, {"applicants": 100, "bads": 30})
    assert text == "fewer than 100 applicants, fewer than 30 bads"
    assert shortage({"bads": 30}, {"bads": 30}) == ""


def test_an_absent_reference_is_named_with_the_nearest_group():
    with pytest.raises(
        DataError, match=r"received 'femal' \(did you mean female\?\); the groups are 'female', 'male'"
    ):
        require_reference("femal", ["female", "male"])


# Crossings


def test_crossings_up_to_the_depth_in_the_order_of_the_attributes():
    frame = people(["m", "f", "f", "m"]).with_columns(region=pl.Series(["x", "x", "y", "y"]))
    names = ["sex", "age_band", "region"]
    assert group_columns(frame, names).columns == names
    assert group_columns(frame, names, depth=2).columns == (
        [*names, "sex x age_band", "sex x region", "age_band x region"]
    )
    deepest = group_columns(frame, names, depth=3)
    assert deepest.columns[6:] == ["sex x age_band x region"]
    assert deepest["sex x age_band x region"][0] == "m x 30 to 39 x x"


def test_bands_stay_in_their_order_and_only_groups_that_occur_are_crossed():
    frame = people(["m", "f", "f"], ["40 and over", "under 30", "40 and over"])
    crossed = group_columns(frame, ["sex", "age_band"], depth=2)["sex x age_band"]
    assert crossed.to_list() == ["m x 40 and over", "f x under 30", "f x 40 and over"]
    assert crossed.dtype.categories.to_list() == ["f x under 30", "f x 40 and over", "m x 40 and over"]


@given(st.lists(st.tuples(st.sampled_from("mf"), st.sampled_from(["a", "b", None])), min_size=2, max_size=40))
def test_a_crossing_refines_its_attributes(rows):
    rows = [*rows, ("m", "a"), ("f", "b"), ("m", "a"), ("f", "a")] + [("m", "b")] * len(rows)
    frame = pl.DataFrame(rows, schema=["sex", "region"], orient="row").with_columns(default=0, approved=1)
    labels = group_columns(frame, ["sex", "region"], depth=2)
    for (sex, region), crossed in zip(rows, labels["sex x region"], strict=True):
        assert crossed == (NOT_KNOWN if region is None else f"{sex} x {region}")
    counts = attribute_counts(frame.drop("sex", "region").hstack(labels), labels.columns)
    assert (
        counts.group_by("attribute").agg(pl.col("applicants").sum())["applicants"].to_list()
        == [len(rows)] * 3
    )


def test_who_has_no_value_is_a_group_that_is_never_judged():
    frame = people(["m", None, "f", "f"], ["30 to 39", "under 30", None, "under 30"])
    labels = group_columns(frame, ["sex", "age_band"], depth=2)
    assert labels["sex"].to_list() == ["m", NOT_KNOWN, "f", "f"]
    assert labels["age_band"].to_list()[2] == NOT_KNOWN
    assert labels["sex x age_band"].to_list()[1:3] == [NOT_KNOWN, NOT_KNOWN]
    counts = attribute_counts(frame.drop("sex").hstack(labels.select("sex")), ["sex"])
    assert group_shortages(counts, {"applicants": 1}) == ["", "", "the attribute is not known"]


def test_attributes_that_cannot_be_judged_are_refused_all_at_once():
    frame = people(["m", None, None, None, None, "f"]).with_columns(region=pl.lit("x"))
    with pytest.raises(DataError) as caught:
        group_columns(frame, ["sex", "regoin", "region"], depth=4)
    assert caught.value.faults == (
        "sex: missing in 4 of 6 rows; at most half may be",
        "regoin: no such column (did you mean region?)",
        "region: 1 value; at least 2 groups are needed to compare",
        "depth 4 received; 1 to 3, the number of attributes, is right",
    )


def test_half_missing_is_the_boundary():
    assert group_columns(people(["m", "f", None, None]), ["sex"]).height == 4
    with pytest.raises(DataError, match="missing in 3 of 5"):
        group_columns(people(["m", "f", None, None, None], ["under 30"] * 5), ["sex"])
    with pytest.raises(DataError, match="depth 0 received"):
        group_columns(people(["m", "f"]), ["sex"], depth=0)


# Small groups


def test_small_groups_are_one_where_together_they_have_enough():
    sex = ["m"] * 10 + ["a"] * 3 + ["b"] * 2 + [None] * 4
    frame = people(sex, ["under 30"] * 19, default=[0, 1] * 9 + [0])
    rules = {"small_groups": "pool", "min_defaults": 2}
    pooled = group_columns(frame, ["sex"], min_applicants=5, **rules)["sex"]
    assert pooled.value_counts().sort("sex").rows() == [(OTHERS, 5), ("m", 10), (NOT_KNOWN, 4)]
    apart = group_columns(frame, ["sex"], min_applicants=6, **rules)["sex"]
    assert apart.to_list()[:15] == sex[:15]
    kept = group_columns(frame, ["sex"], min_applicants=5, min_defaults=2)["sex"]
    assert kept.to_list()[:15] == sex[:15]


def test_few_defaults_make_a_group_small_too():
    sex, default = ["m"] * 6 + ["f"] * 4 + ["g"] * 4, [0, 1] * 3 + [0, 1] * 4
    frame = people(sex, default=default)

    def groups(least):
        return set(group_columns(frame, ["sex"], small_groups="pool", min_defaults=least)["sex"])

    assert groups(2) == {"m", "f", "g"}
    assert groups(3) == {"m", OTHERS}  # 2 and 2 bads, together 4
    assert groups(8) == {"m", "f", "g"}  # together 7


# References

TWO = {
    "sex": {"f": [30, 10, 5, 5], "m": [50, 10, 10, 10]},
    "region": {"n": [60, 5, 10, 5], "s": [20, 15, 5, 10]},
}


def test_a_reference_by_name_or_by_rule():
    counts = counted(**TWO)
    assert resolved(counts, {"sex": "f", "region": "largest"}) == {
        "sex": Reference("f"),
        "region": Reference("n", "the reference is the largest of 2 judged groups"),
    }
    favoured = resolved(counts, {"sex": "most_favoured", "region": "s"})["sex"]
    assert favoured.group == "m"  # 60 of 80, against 35 of 50
    assert "picking it by this sample exaggerates the gaps" in favoured.note


def test_a_rule_picks_among_groups_that_are_large_enough():
    counts = counted(
        sex={"few": [9, 0, 1, 0], "f": [30, 10, 5, 5], "m": [40, 20, 10, 10], NOT_KNOWN: [99, 9, 9, 9]}
    )
    rules = {"min_applicants": 50, "min_defaults": 10}
    assert resolved(counts, {"sex": "most_favoured"}, **rules)["sex"].group == "f"
    assert resolved(counts, {"sex": "largest"}, **rules)["sex"].group == "m"
    with pytest.raises(DataError, match="none of the 4 groups is large enough"):
        resolved(counts, {"sex": "largest"}, min_applicants=1_000)


def test_a_group_goes_before_a_rule_of_its_name():
    counts = counted(size={"largest": [5, 5, 5, 5], "other": [50, 50, 50, 50]})
    assert resolved(counts, {"size": "largest"}) == {"size": Reference("largest")}


def test_the_reference_of_a_crossing_is_the_crossing_of_the_references():
    counts = counted(**TWO, **{"sex x region": {"f x n": [3, 2, 1, 1]}})
    found = resolved(counts, {"sex": "m", "region": "largest"})["sex x region"]
    assert found == Reference("m x n", "region: the reference is the largest of 2 judged groups")


def test_every_reference_that_cannot_be_used_is_told_at_once():
    counts = counted(**TWO, third={"a": [5, 0, 5, 0], "b": [5, 5, 5, 5]}, fourth={"a": [5, 5, 5, 5]})
    with pytest.raises(DataError) as caught:
        resolved(counts, {"sex": "ff", "region": "s", "third": "a"}, min_applicants=10, min_defaults=17)
    assert caught.value.summary == "groups that cannot be judged"
    assert caught.value.faults == (
        "sex: The reference group is not in the data",
        "sex: received 'ff' (did you mean f?); the groups are 'f', 'm'",
        "region: The reference group 's' cannot be compared with",
        "region: it has fewer than 17 bads; take another group or lower the minimum",
        "third: The reference group 'a' cannot be compared with",
        "third: it has fewer than 17 goods, fewer than 17 bads, all or none of its applicants approved; "
        "take another group or lower the minimum",
        "fourth: no reference group",
        "fourth: name a group or a rule: largest, most_favoured",
    )


@pytest.mark.parametrize(("cells", "approved"), [([5, 0, 5, 0], 20), ([0, 5, 0, 5], 0)])
def test_a_cutoff_that_approves_all_or_none(cells, approved):
    with pytest.raises(DataError, match=f"the cutoff approves {approved} of 20 applicants") as caught:
        resolved(counted(sex={"f": cells, "m": cells}), {"sex": "f"})
    assert len(caught.value.faults) == 1


def test_a_reference_is_large_enough_at_the_boundary_and_not_below():
    table = counted(sex={"f": [20, 10, 10, 10]}).drop("attribute")
    require_comparable(table, "f", {"applicants": 50, "goods": 30, "bads": 20})
    with pytest.raises(DataError, match="it has fewer than 21 bads"):
        require_comparable(table, "f", {"applicants": 50, "goods": 30, "bads": 21})
