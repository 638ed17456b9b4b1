from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from workbench.errors import DataError
from workbench.statistics.multiplicity import holm

PUBLISHED = Path(__file__).parents[1] / "published" / "benjamini_hochberg_1995.csv"
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_holm_rejects_in_a_published_example_what_bonferroni_does():
    table = pl.read_csv(PUBLISHED, comment_prefix="#")
    by_holm = [value <= 0.05 for value in holm(table["p_value"])]
    assert by_holm == table["rejected_by_bonferroni"].cast(bool).to_list()


def test_holm_by_hand():
    assert holm([0.03, 0.01, 0.04]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.02, 0.02, 0.9]) == pytest.approx([0.06, 0.06, 0.9])


@pytest.mark.parametrize("decimals", [1, 9])
def test_it_equals_statsmodels_with_ties(decimals):
    p_values = np.random.default_rng(2).beta(0.4, 1, 30).round(decimals)
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])


@given(P_VALUES)
def test_adjusting_keeps_the_order_and_raises_every_p_value(p_values):
    adjusted = holm(p_values)
    assert np.all(np.diff(np.array(adjusted)[np.argsort(p_values)]) >= 0)
    assert all(one >= before - 1e-12 for one, before in zip(adjusted, p_values, strict=True))


def test_what_was_not_tested_stays_untested_and_does_not_count():
    assert holm([None, 0.01, None, 0.2])[1::2] == holm([0.01, 0.2])
    assert holm([None, 0.01])[0] is None
    assert holm([None, None]) == [None, None]
    assert holm([]) == []


@pytest.mark.parametrize("wrong", [-1e-9, 1 + 1e-9, float("nan")])
def test_what_is_no_p_value_is_refused(wrong):
    with pytest.raises(DataError, match="1 of 2 are outside"):
        holm([0.0, wrong])
    assert holm([0.0, 1.0]) == [0.0, 1.0]


def test_holm_finds_something_false_as_seldom_as_it_says_and_rejecting_unadjusted_does_not():
    generator, runs = np.random.default_rng(1), 2000
    tests = generator.random((runs, 8))
    found = np.mean([min(holm(row)) <= 0.05 for row in tests.tolist()])
    assert found == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / runs))
    assert np.mean(tests.min(axis=1) <= 0.05) > 0.3
