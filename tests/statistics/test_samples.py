import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.statistics.samples import checked_counts, checked_sample


def test_all_faults_come_at_once_with_counts_and_without_values():
    with pytest.raises(DataError) as caught:
        checked_sample([0, 0, 7, 0], probabilities={"prob_default": [0.123, np.nan, 9.75]}, both_classes=True)
    assert caught.value.faults == (
        "lengths differ (default 4, prob_default 3); the same rows in the same order are needed",
        "default is missing or neither 0 nor 1 in 1 of 4 rows",
        "default has 3 goods and 0 bads; at least one of each is needed",
        "prob_default is missing in 1 of 3 rows",
        "prob_default is outside [0, 1] in 1 of 3 rows",
    )
    assert "9.75" not in str(caught.value)


@pytest.mark.parametrize("default", [[], [[0, 1]]])
def test_empty_or_nested_columns_are_refused(default):
    with pytest.raises(DataError, match=r"no rows|2 dimensions"):
        checked_sample(default)


def test_infinite_scores_are_refused():
    with pytest.raises(DataError, match="score is missing or infinite in 2 of 3 rows"):
        checked_sample([0, 1, 0], scores={"score": [1, np.inf, np.nan]})


def test_polars_columns_are_taken_and_their_nulls_counted():
    (default,) = checked_sample(pl.Series([0, 1, True]))
    assert default.tolist() == [0.0, 1.0, 1.0]
    with pytest.raises(DataError, match="neither 0 nor 1 in 1 of 3"):
        checked_sample(pl.Series([0, 1, None]))


@pytest.mark.parametrize(
    ("counts", "fault"), [([1, -1], "negative"), ([1, np.nan], "not a number"), ([0, 0], "adds up to 0")]
)
def test_counts_that_cannot_be_counts_are_refused(counts, fault):
    with pytest.raises(DataError, match=fault):
        checked_counts(goods=counts)
