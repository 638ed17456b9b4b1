import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.samples import (
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
    assert caught.value.summary == f"data.out_of_time_from {first}: {later:,} of 1,600 applications"
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


def test_groups_are_counted_in_all_and_in_the_holdout():
    protected = pl.DataFrame(
        {
            "applicant_id": [1, 2, 3],
            "sex": ["male", "female", "male"],
            "age_band": ["under 62", None, "62 and over"],
        }
    )
    drawn = pl.DataFrame({"applicant_id": [1, 2, 3], "sample": ["holdout", "development", "holdout"]})
    assert group_table(protected, drawn).rows() == [
        ("sex", "female", 1, 0),
        ("sex", "male", 2, 2),
        ("age_band", "62 and over", 1, 1),
        ("age_band", "not known", 1, 0),
        ("age_band", "under 62", 1, 1),
    ]
    assert group_table(protected.select("applicant_id"), drawn).height == 0


GROUPS = pl.DataFrame(
    {
        "attribute": ["sex", "sex", "sex", "region"],
        "group": ["female", "male", "not known", "north"],
        "applicants": [30, 60, 10, 100],
        "holdout": [0, 0, 0, 0],
    }
)
REFERENCE = pl.DataFrame(
    {"attribute": ["sex", "sex", "tribe"], "group": ["female", "male", "x"], "share": [0.5, 0.5, 1.0]}
)


def test_the_shares_of_groups_against_a_reference():
    table = representativeness_table(GROUPS, REFERENCE, level=0.95)
    rows = table.select("attribute", "group", "applicants", "share", "reference", "difference").rows()
    assert rows == [
        ("sex", "female", 30, pytest.approx(1 / 3), 0.5, pytest.approx(-1 / 6)),
        ("sex", "male", 60, pytest.approx(2 / 3), 0.5, pytest.approx(1 / 6)),
    ]
    for row in table.iter_rows(named=True):
        assert 0 < row["low"] < row["share"] < row["high"] < 1
    assert table["low"][0] == pytest.approx(0.2446, abs=1e-4)  # Wilson, 30 of 90


def test_without_a_reference_there_is_nothing_to_compare():
    empty = representativeness_table(GROUPS, None, level=0.95)
    assert empty.height == 0
    assert empty.columns == representativeness_table(GROUPS, REFERENCE, level=0.95).columns


def test_what_a_reference_lacks_is_named():
    with pytest.raises(DataError) as caught:
        representativeness_table(GROUPS, pl.DataFrame({"group": ["x"]}), level=0.95)
    assert caught.value.faults == ("no column 'attribute'", "no column 'share'")
