import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.data.samples import SAMPLES, draw_samples, group_table, sample_table
from workbench.errors import DataError

SHARES = {"development": 0.60, "calibration": 0.15, "holdout": 0.25}


def applicants(defaults: int, goods: int) -> pl.DataFrame:
    outcome = [1] * defaults + [0] * goods
    return pl.DataFrame({"applicant_id": range(1, len(outcome) + 1), "default": outcome})


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


def test_groups_are_counted_in_all_and_in_the_holdout():
    protected = pl.DataFrame(
        {
            "applicant_id": [1, 2, 3],
            "age": [20, 40, 70],
            "sex": ["male", "female", "male"],
            "education": ["other"] * 3,
            "marital_status": ["single", "married", "married"],
            "age_band": ["under 62", "under 62", "62 and over"],
        }
    )
    drawn = pl.DataFrame({"applicant_id": [1, 2, 3], "sample": ["holdout", "development", "holdout"]})
    assert group_table(protected, drawn).rows() == [
        ("sex", "female", 1, 0),
        ("sex", "male", 2, 2),
        ("age_band", "62 and over", 1, 1),
        ("age_band", "under 62", 2, 1),
        ("education", "other", 3, 2),
        ("marital_status", "married", 2, 1),
        ("marital_status", "single", 1, 1),
    ]
