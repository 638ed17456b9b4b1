"""Many indices looked at together: few false alarms when nothing moves, and every shift found."""

import numpy as np
import polars as pl
import pytest

from workbench.monitoring.indices import ACT, NOISE, STABLE, WATCH, drifted, index_table, share_of
from workbench.monitoring.stability import baseline_bins
from workbench.monitoring.two_sample import two_sample_test

NAMES = ["score", *(f"f{number}" for number in range(12))]
FALSE_ALARMS = 0.02  # as the studies have it


def people(count, seed, **moved):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=count)
    columns = {name: generator.normal(size=count) + 0.7 * common for name in NAMES}
    columns["f0"] = generator.poisson(2, count).astype(float)
    columns["f1"][generator.random(count) < 0.1] = np.nan
    for name, shift in moved.items():
        columns[name] = columns[name] + shift
    return pl.DataFrame(columns)


def judged(baseline, batch, false_alarms=FALSE_ALARMS):
    bins = baseline_bins(baseline, NAMES, bands=10)
    return index_table(bins, batch, false_alarms=false_alarms, lines=(0.1, 0.25), replicates=300, seed=1)


def test_false_alarms_of_stable_batches_stay_within_the_bound():
    """Whatever the family, over 200 batches; the two-sample test counts as well."""
    alarms = 0
    for seed in range(200):
        baseline, batch = people(3000, seed), people(800, 10_000 + seed)
        indices = judged(baseline, batch)
        together = two_sample_test(baseline, batch, NAMES[1:], level=0.95, seed=seed)
        alarms += drifted(indices, together.p_value, false_alarms=FALSE_ALARMS)
    assert alarms <= 10  # 5 percent of 200


def test_a_shift_of_the_score_is_found():
    indices = judged(people(3000, 1), people(800, 2, score=0.5))
    found = indices.row(0, named=True)
    assert (found["name"], found["state"]) == ("score", WATCH)
    assert indices.filter(pl.col("name") != "score")["state"].unique().to_list() == [STABLE]


@pytest.mark.parametrize(("shift", "state"), [(0.0, STABLE), (0.25, NOISE), (0.5, WATCH), (1.0, ACT)])
def test_states_go_by_chance_first_and_then_by_the_lines(shift, state):
    indices = judged(people(20_000, 1), people(3000, 2, f5=shift))
    assert indices.filter(name="f5")["state"].item() == state


def test_what_is_missing_more_often_is_told():
    batch = people(800, 2).with_columns(f2=pl.when(pl.int_range(pl.len()) % 5 > 0).then("f2"))
    found = judged(people(3000, 1), batch).row(0, named=True)
    assert (found["name"], found["missing_before"], found["missing_now"]) == ("f2", 0.0, 0.2)


def test_p_values_of_the_features_are_adjusted_and_that_of_the_score_is_not():
    indices = judged(people(3000, 3), people(800, 4))
    assert indices.filter(pl.col("adjusted") < pl.col("p_value")).height == 0
    score = indices.filter(name="score").row(0, named=True)
    assert score["adjusted"] == score["p_value"]


def test_a_constant_feature_is_stable():
    still = people(500, 1).with_columns(f3=pl.lit(1.0))
    found = judged(still, still.head(200)).filter(name="f3").row(0, named=True)
    assert (found["state"], found["p_value"]) == (STABLE, None)


def test_each_family_has_a_third():
    assert share_of(0.06) == pytest.approx(0.02)
    indices = judged(people(3000, 3), people(800, 4))
    assert not drifted(indices, None, false_alarms=FALSE_ALARMS)
    assert not drifted(indices, 0.007, false_alarms=FALSE_ALARMS)
    assert drifted(indices, 0.006, false_alarms=FALSE_ALARMS)
