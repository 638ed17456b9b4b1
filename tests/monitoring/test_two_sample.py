"""The classifier two-sample test: valid when nothing differs, and sees what no single feature shows."""

import numpy as np
import polars as pl
import pytest

from workbench.errors import DataError
from workbench.monitoring.two_sample import LEAST_ROWS, MOST_ROWS, two_sample_test

NAMES = ["a", "b", "c"]


def people(count, seed, together=0.0):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=count)
    b = together * a + np.sqrt(1 - together**2) * generator.normal(size=count)
    return pl.DataFrame({"a": a, "b": b, "c": generator.normal(size=count)})


def compared(baseline, batch, seed=1):
    return two_sample_test(baseline, batch, NAMES, level=0.95, seed=seed)


def test_p_values_are_valid_when_nothing_differs():
    p_values = np.array(
        [compared(people(400, seed), people(300, 500 + seed), seed).p_value for seed in range(150)]
    )
    for bound in (0.05, 0.2, 0.5):
        assert np.mean(p_values <= bound) <= bound + 3 * np.sqrt(bound * (1 - bound) / 150)


def test_a_changed_relation_is_found_that_no_feature_shows():
    found = compared(people(4000, 1), people(4000, 2, together=0.9))
    assert found.p_value < 1e-6
    assert found.low > 0.6
    assert set(found.leading["name"].head(2)) == {"a", "b"}


def test_ties_are_counted():
    generator = np.random.default_rng(1)
    same = [pl.DataFrame({name: generator.integers(0, 2, 600) for name in NAMES}) for _ in range(2)]
    found = compared(*same)
    assert 0.001 < found.p_value <= 1


def test_missing_values_can_tell():
    batch = people(2000, 2).with_columns(a=pl.when(pl.col("b") > 0).then("a"))
    assert compared(people(2000, 1), batch).p_value < 1e-10


def test_the_same_seed_gives_the_same_result():
    first, second = (compared(people(900, 1), people(900, 2)) for _ in range(2))
    assert (first.auc, first.p_value) == (second.auc, second.p_value)
    assert first.leading.equals(second.leading)


def test_at_most_so_many_are_drawn():
    assert compared(people(MOST_ROWS + 500, 1), people(MOST_ROWS + 100, 2)).rows == MOST_ROWS


@pytest.mark.parametrize("count", [0, LEAST_ROWS - 1])
def test_too_few_are_refused(count):
    with pytest.raises(DataError, match=f"{count} applicants on one side"):
        compared(people(500, 1), people(count, 2))
    assert compared(people(500, 1), people(LEAST_ROWS, 2)).rows == LEAST_ROWS
