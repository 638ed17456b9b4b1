import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.samples import (
    DECLINED,
    OUT_OF_TIME,
    SAMPLES,
    draw_samples,
    group_table,
    representativeness_table,
    sample_table,
    vintage_table,
)
from workbench.errors import DataError

SHARES = {"development": 0.60, "calibration": 0.15, "holdout": 0.25}


def applicants(defaults: int, goods: int, *vintages: str) -> pl.DataFrame:
    """Applicants, defaults first, whose months of application go round and round."""
    outcome = [1] * defaults + [0] * goods
    months = [(vintages or ("2025-06",))[i % max(len(vintages), 1)] for i in range(len(outcome))]
    return pl.DataFrame({"applicant_id": range(1, len(outcome) + 1), "default": outcome, "vintage": months})


def shares(development: int, calibration: int) -> dict[str, float]:
    rest = 100 - development - calibration
    return dict(zip(SAMPLES, (development / 100, calibration / 100, rest / 100), strict=True))


@given(
    st.integers(200, 400), st.integers(200, 900), st.integers(20, 60), st.integers(15, 25), st.integers(0, 99)
)
def test_samples_are_disjoint_complete_and_stratified(defaults, goods, development, calibration, seed):
    frame = applicants(defaults, goods)
    split = shares(development, calibration)
    drawn = draw_samples(frame, shares=split, seed=seed)
    assert drawn["applicant_id"].to_list() == frame["applicant_id"].to_list()
    assert set(drawn["sample"]) == set(SAMPLES)
    assert drawn.columns == ["applicant_id", "sample", "vintage"]
    for row in sample_table(drawn, frame).iter_rows(named=True):
        assert abs(row["defaults"] - split[row["sample"]] * defaults) <= 1
        assert abs(row["goods"] - split[row["sample"]] * goods) <= 1


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_rows_does_not_matter(seed):
    frame = applicants(300, 700)
    shuffled = frame.sample(fraction=1, shuffle=True, seed=seed)
    assert draw_samples(shuffled, shares=SHARES, seed=1).equals(draw_samples(frame, shares=SHARES, seed=1))


def test_the_seed_alone_decides():
    frame = applicants(300, 700)
    drawn = draw_samples(frame, shares=SHARES, seed=1)
    assert drawn.equals(draw_samples(frame, shares=SHARES, seed=1))
    assert not drawn.equals(draw_samples(frame, shares=SHARES, seed=2))


def test_the_draw_does_not_follow_the_order_of_applicants():
    drawn = draw_samples(applicants(300, 700), shares=SHARES, seed=1)
    numbers = drawn.filter(pl.col("sample") == "development")["applicant_id"]
    assert numbers.mean() == pytest.approx(500, abs=60)


@pytest.mark.parametrize(("defaults", "goods"), [(20, 20), (20, 500), (500, 20)])
def test_twenty_of_each_are_enough(defaults, goods):
    frame = applicants(5 * defaults, 5 * goods)
    table = sample_table(draw_samples(frame, shares=shares(60, 20), seed=1), frame)
    assert table["defaults"].min() == defaults
    assert table["goods"].min() == goods


@pytest.mark.parametrize(("defaults", "goods"), [(97, 500), (500, 97)])
def test_nineteen_of_one_are_too_few(defaults, goods):
    with pytest.raises(DataError, match="samples too small") as caught:
        draw_samples(applicants(defaults, goods), shares=shares(60, 20), seed=1)
    named = [fault.split(":")[0] for fault in caught.value.faults]
    assert "development" not in named
    assert named
    assert all("19 " in fault and "at least 20 of each" in fault for fault in caught.value.faults)


def test_every_sample_that_is_too_small_is_named():
    with pytest.raises(DataError) as caught:
        draw_samples(applicants(25, 25), shares=SHARES, seed=1)
    assert [fault.split(":")[0] for fault in caught.value.faults] == list(SAMPLES)


def test_one_class_alone_is_too_small():
    with pytest.raises(DataError, match="0 defaults"):
        draw_samples(applicants(0, 1000), shares=SHARES, seed=1)


def test_an_empty_sample_is_a_data_error():
    with pytest.raises(DataError, match="holdout: 0 defaults and 0 goods"):
        draw_samples(
            applicants(30, 30), shares={"development": 0.7, "calibration": 0.299, "holdout": 0.001}, seed=1
        )


def test_the_table_counts_each_sample_in_the_order_of_use():
    frame = applicants(2, 4)
    names = ["holdout", "development", "calibration", "development", "holdout", "holdout"]
    table = sample_table(pl.DataFrame({"applicant_id": range(1, 7), "sample": names}), frame)
    assert table.rows() == [
        ("development", 2, 1, 1, 0.5),
        ("calibration", 1, 0, 1, 0.0),
        ("holdout", 3, 1, 2, pytest.approx(1 / 3)),
    ]


# The declined


def with_declined(frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """The frame with so many declined among the others, who have no outcome."""
    shape = {"applicant_id": pl.Series(range(5001, 5001 + count)), "default": None, "vintage": "2025-07"}
    declined = pl.select(**{name: pl.lit(value) for name, value in shape.items()})
    return pl.concat([frame, declined.cast(frame.schema)]).sample(fraction=1, shuffle=True, seed=2)


@pytest.mark.parametrize("first", ["", "2025-06"])
def test_the_declined_are_a_sample_of_their_own_and_change_no_other(first):
    frame = applicants(400, 1200, "2025-05", "2025-06")
    drawn = draw_samples(with_declined(frame, 50), shares=SHARES, out_of_time_from=first, seed=1)
    assert drawn["applicant_id"].is_sorted()
    assert drawn.filter(pl.col("applicant_id") > 5000)["sample"].to_list() == [DECLINED] * 50
    alone = draw_samples(frame, shares=SHARES, out_of_time_from=first, seed=1)
    assert drawn.filter(pl.col("applicant_id") <= 5000).equals(alone)


def test_the_table_counts_the_declined_last_and_knows_no_outcome_of_them():
    frame = applicants(400, 1200)
    drawn = draw_samples(with_declined(frame, 3), shares=SHARES, seed=1)
    table = sample_table(drawn, with_declined(frame, 3))
    assert table.row(-1) == (DECLINED, 3, None, None, None)
    assert table.head(3).equals(sample_table(draw_samples(frame, shares=SHARES, seed=1), frame))
    assert table["applicants"].sum() == 1603


def test_months_count_those_with_an_outcome():
    frame = applicants(20, 60)
    assert vintage_table(with_declined(frame, 9)).equals(vintage_table(frame))


# Out of time

MONTHS = ("2025-05", "2025-06", "2025-07", "2025-08")


@pytest.mark.parametrize("first", ["2025-06", "2025-07", "2025-08"])
def test_later_applications_are_the_out_of_time_sample(first):
    frame = applicants(800, 2400, *MONTHS)
    drawn = draw_samples(frame, shares=SHARES, out_of_time_from=first, seed=1)
    assert drawn["applicant_id"].to_list() == frame["applicant_id"].to_list()
    assert (drawn["vintage"] == frame["vintage"]).all()
    late = drawn["vintage"] >= first
    assert (late == (drawn["sample"] == OUT_OF_TIME)).all()
    table = sample_table(drawn, frame)
    assert table["sample"].to_list() == [*SAMPLES, OUT_OF_TIME]
    assert table["applicants"].sum() == frame.height
    earlier = table["applicants"].head(3) / (~late).sum()
    assert earlier.to_list() == pytest.approx(list(SHARES.values()), abs=0.003)


@pytest.mark.parametrize(("first", "later"), [("2025-09", 0), ("2025-05", 1600), ("2020-01", 1600)])
def test_an_out_of_time_sample_of_nobody_or_of_everyone_is_refused(first, later):
    with pytest.raises(DataError) as caught:
        draw_samples(applicants(400, 1200, *MONTHS), shares=SHARES, out_of_time_from=first, seed=1)
    assert caught.value.summary == f"data.out_of_time_from {first}: {later:,} of 1,600 rows"
    assert caught.value.faults == ("applications are from 2025-05 to 2025-08",)


def test_an_out_of_time_sample_that_is_too_small_is_refused():
    frame = pl.concat(
        [applicants(300, 900), applicants(19, 60, "2025-09").with_columns(pl.col("applicant_id") + 5000)]
    )
    with pytest.raises(DataError, match="out_of_time: 19 defaults and 60 goods; at least 20 of each"):
        draw_samples(frame, shares=SHARES, out_of_time_from="2025-09", seed=1)


def test_months_from_the_oldest():
    assert vintage_table(applicants(2, 4, "2025-06", "2025-05")).rows() == [
        ("2025-05", 3, 1, pytest.approx(1 / 3)),
        ("2025-06", 3, 1, pytest.approx(1 / 3)),
    ]


# Groups


BANDS = pl.Enum(["under 62", "62 and over"])


def test_groups_are_counted_in_all_and_in_the_holdout_in_their_order():
    protected = pl.DataFrame(
        {
            "applicant_id": [1, 2, 3],
            "sex": ["male", "female", "male"],
            "age_band": pl.Series(["under 62", None, "62 and over"], dtype=BANDS),
        }
    )
    drawn = pl.DataFrame({"applicant_id": [1, 2, 3], "sample": ["holdout", "development", "holdout"]})
    assert group_table(protected, drawn).rows() == [
        ("sex", "female", 1, 0),
        ("sex", "male", 2, 2),
        ("age_band", "under 62", 1, 1),
        ("age_band", "62 and over", 1, 1),
        ("age_band", "not known", 1, 0),
    ]
    assert group_table(protected.select("applicant_id"), drawn).height == 0


def test_a_label_and_a_missing_value_that_both_say_not_known_are_one_group():
    protected = pl.DataFrame({"applicant_id": [1, 2, 3], "sex": ["not known", None, "male"]})
    drawn = pl.DataFrame({"applicant_id": [1, 2, 3], "sample": ["holdout"] * 3})
    assert group_table(protected, drawn).rows() == [("sex", "male", 1, 1), ("sex", "not known", 2, 2)]


GROUPS = pl.DataFrame(
    {
        "attribute": ["sex", "sex", "sex", "region"],
        "group": ["female", "male", "not known", "north"],
        "applicants": [30, 60, 10, 100],
        "holdout": [0, 0, 0, 0],
    }
)
REFERENCE = pl.DataFrame(
    {"attribute": ["sex"] * 3, "group": ["male", "female", "other"], "share": [0.5, 0.49, 0.01]}
)


def reference(**shares):
    """A reference of attributes with the shares of their groups."""
    rows = [(attribute, group, share) for attribute, of in shares.items() for group, share in of.items()]
    return pl.DataFrame(rows, schema=["attribute", "group", "share"], orient="row")


def compared(table):
    return representativeness_table(GROUPS, table, level=0.95)


def test_the_shares_of_groups_against_a_reference():
    table = compared(REFERENCE)
    rows = table.select("attribute", "group", "applicants", "share", "reference", "difference").rows()
    assert rows == [
        ("sex", "male", 60, pytest.approx(2 / 3), 0.5, pytest.approx(1 / 6)),
        ("sex", "female", 30, pytest.approx(1 / 3), 0.49, pytest.approx(1 / 3 - 0.49)),
        ("sex", "other", 0, 0.0, 0.01, -0.01),
        ("sex", "not known", 10, None, None, None),
    ]
    assert table["low"].to_list() == [pytest.approx(x, abs=1e-4) for x in (0.5642, 0.2446, 0)] + [None]
    assert table["high"].to_list()[2:] == [pytest.approx(0.0409, abs=1e-4), None]  # Wilson, 0 of 90


def test_a_group_that_the_reference_lacks_is_there_without_a_reference():
    table = compared(reference(region={"north": 0.4, "south": 0.6}, sex={"female": 1.0}))
    rows = table.select("attribute", "group", "applicants", "share", "reference").rows()
    assert rows == [
        ("region", "north", 100, 1.0, 0.4),
        ("region", "south", 0, 0.0, 0.6),
        ("sex", "female", 30, pytest.approx(1 / 3), 1.0),
        ("sex", "male", 60, pytest.approx(2 / 3), None),
        ("sex", "not known", 10, None, None),
    ]


def test_a_reference_may_know_the_share_of_those_not_known():
    table = compared(reference(sex={"female": 0.4, "male": 0.4, "not known": 0.2}))
    assert table["share"].to_list() == pytest.approx([0.3, 0.6, 0.1])


def test_groups_of_numbers_are_compared_as_text():
    groups = GROUPS.with_columns(group=pl.Series(["1", "2", "9", "x"]))
    table = representativeness_table(groups, reference(sex={1: 0.5, 2: 0.5}), level=0.95)
    assert table["applicants"].to_list() == [30, 60, 10]


@pytest.mark.parametrize(("female", "right"), [(0.489, False), (0.49, True), (0.51, True), (0.511, False)])
def test_shares_add_up_to_one(female, right):
    table = reference(sex={"male": 0.5, "female": female})
    if right:
        assert compared(table).height == 3
    else:
        with pytest.raises(DataError) as caught:
            compared(table)
        assert caught.value.faults == (f"sex: shares add up to {0.5 + female:g}; 1 is right",)


def test_every_fault_of_a_reference_is_named():
    table = reference(
        regon={"north": 1.0},
        tribe={"x": 0.5, "y": 0.4},
        sex={"Female": 0.5, "Male": 0.5},
        region={"north": 40, "south": 60},
    )
    with pytest.raises(DataError) as caught:
        compared(table)
    assert caught.value.summary == "data.reference cannot be compared with the study"
    assert caught.value.faults == (
        "2 rows without an attribute, a group or a share from 0 to 1; each needs all three",
        "regon: no protected attribute (did you mean region?); those are sex, region",
        "tribe: no protected attribute; those are sex, region",
        "tribe: shares add up to 0.9; 1 is right",
        "sex: none of its 2 groups is in the study; spell them as there, such as 'male'",
        "region: shares add up to 100; 1 is right",
    )


def test_rows_that_say_nothing_or_the_same_again_are_counted():
    rows = [
        ("sex", "male", "0.5"),
        ("sex", "male", "0.5"),
        (None, "female", "0.5"),
        ("sex", "female", "half"),
    ]
    table = pl.DataFrame(rows, schema=["attribute", "group", "share"], orient="row")
    with pytest.raises(DataError) as caught:
        compared(table)
    assert caught.value.faults == (
        "2 rows without an attribute, a group or a share from 0 to 1; each needs all three",
        "2 rows repeat an attribute and group; one row for each is right",
    )


def test_without_protected_attributes_there_is_nothing_to_compare_a_reference_with():
    with pytest.raises(DataError, match="sex: no protected attribute; there is none"):
        representativeness_table(GROUPS.clear(), REFERENCE, level=0.95)


def test_without_a_reference_there_is_nothing_to_compare():
    empty = compared(None)
    assert empty.height == 0
    assert empty.schema == compared(REFERENCE).schema


def test_what_a_reference_lacks_is_named():
    with pytest.raises(DataError) as caught:
        representativeness_table(GROUPS, pl.DataFrame({"group": ["x"]}), level=0.95)
    assert caught.value.faults == ("no column 'attribute'", "no column 'share'")
