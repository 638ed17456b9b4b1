import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.explanation.examples import example_applicants, example_table
from workbench.scorer import Calibration, Scorer, ScoreScale

NAMES = ["late_now", "late_before", "paid", "limit"]
SCALE = ScoreScale(600, 50, 20)


def scores(*points: float) -> pl.DataFrame:
    return pl.DataFrame({"applicant_id": range(1, len(points) + 1), "score": points})


def test_three_examples_from_safe_to_risky():
    table = example_applicants(scores(*range(600, 400, -1)), cutoff=512)
    assert table.rows() == [
        ("safe applicant", 26, 575),
        ("just declined", 90, 511),
        ("risky applicant", 190, 411),
    ]


def test_at_exactly_the_cutoff_nobody_is_declined():
    with pytest.raises(DataError, match="nobody is declined"):
        example_applicants(scores(512, 513, 600), cutoff=512)


def test_one_declined_applicant_is_enough():
    table = example_applicants(scores(600.0, np.nextafter(512, 0)), cutoff=512)
    assert dict(table.select("example", "applicant_id").iter_rows())["just declined"] == 2


def test_everybody_declined_still_has_examples():
    assert example_applicants(scores(400), cutoff=512)["applicant_id"].to_list() == [1, 1, 1]


RAW = {"late_now": 7_301.25, "late_before": 7_302.25, "paid": 7_303.25, "limit": 7_304.25}
VALUES = np.array([[0.1, -0.5, 0.3, 0.0], [0.2, 0.0, -0.1, 0.9], [0.0, 0.1, 0.2, 0.3], [1.0, 2.0, 3.0, 4.0]])


def features() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "applicant_id": [11, 12, 13, 14],
            **{name: [value - 10, value, value + 10, None] for name, value in RAW.items()},
        }
    )


def explained(examples: list[tuple[str, int]], shown: int = 8) -> pl.DataFrame:
    scorer = Scorer(tuple(NAMES), None, Calibration(0.3, 0.5), SCALE, 512)
    table = pl.DataFrame(examples, schema=["example", "applicant_id"], orient="row")
    return example_table(scorer, features(), VALUES, table, shown=shown)


def test_an_example_s_points_are_the_calibrated_score_of_its_values():
    table = explained([("one", 12)])
    assert table["feature"].to_list() == ["limit", "late_now", "paid", "late_before"]
    wanted = -SCALE.factor * 0.5 * np.array([0.9, 0.2, -0.1, 0.0])
    assert table["points"].to_list() == pytest.approx(wanted.tolist())


def test_the_largest_contributions_come_first_up_to_the_number_shown():
    assert explained([("one", 11)], shown=2)["feature"].to_list() == ["late_before", "paid"]


def test_an_example_holds_no_raw_value():
    table = explained([("one", 11), ("two", 12), ("three", 14)])
    text = str(table.rows())
    assert not any(str(value + step) in text for value in RAW.values() for step in (-10, 0, 10))
    assert "applicant_id" not in table.columns
    assert set(table["value_band"]) <= {
        "lowest quarter",
        "second quarter",
        "third quarter",
        "highest quarter",
        "missing",
    }


def test_value_bands_are_quarters_of_the_known_values():
    bands = [explained([("x", number)], shown=1)["value_band"][0] for number in (11, 12, 13, 14)]
    assert bands == ["lowest quarter", "third quarter", "highest quarter", "missing"]


def test_an_example_who_is_not_in_the_table_is_refused():
    """Explaining somebody else's decline instead would be worse than no explanation."""
    with pytest.raises(DataError):
        explained([("stranger", 99)])
