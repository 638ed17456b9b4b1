import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.fairness.groups import as_labels, label_faults, require_reference, shortage


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
    assert "missing in 2 of 3" in next(label_faults(pl.Series([None, "a", None])))


def test_a_shortage_names_the_minimum_and_not_the_small_count():
    text = shortage({"applicants": 50, "bads": 3}, {"applicants": 100, "bads": 30})
    assert text == "fewer than 100 applicants, fewer than 30 bads"
    assert shortage({"bads": 30}, {"bads": 30}) == ""


def test_an_absent_reference_is_named_with_the_nearest_group():
    with pytest.raises(
        DataError, match=r"received 'femal' \(did you mean female\?\); the groups are 'female', 'male'"
    ):
        require_reference("femal", ["female", "male"])
