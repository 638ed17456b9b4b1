import numpy as np
import polars as pl

from workbench.training.boosting import booster_settings
from workbench.training.folds import make_folds
from workbench.training.withheld import withheld_gain


def world(strength, size=2_000, seed=1):
    generator = np.random.default_rng(seed)
    known, barred = generator.normal(size=(2, size))
    default = (known + strength * barred + generator.normal(size=size) > 1).astype(int)
    ids = np.arange(size)
    development = pl.DataFrame(
        {"applicant_id": ids, "default": default, "known": known, "vintage": "2025-01"}
    )
    return development, pl.DataFrame({"applicant_id": ids, "barred": barred})


def gain(development, withheld, seed=3):
    settings = booster_settings([1], seed=seed) | {"max_depth": 3, "learning_rate": 0.1}
    folds = make_folds(development, folds=3, forward=False, seed=seed)
    plan = {"names": ["known"], "monotone": [1], "settings": settings, "rounds": 40, "folds": folds}
    return withheld_gain(development, withheld, **plan, level=0.95)


def test_a_source_that_matters_costs_auc():
    found = gain(*world(1.0))
    assert found.low > 0.05


def test_a_source_that_says_nothing_costs_nothing():
    found = gain(*world(0.0))
    assert found.value < 0.01
    assert found.low < 0.005


def test_nothing_withheld_is_no_estimate():
    development, withheld = world(1.0)
    assert gain(development, withheld.select("applicant_id")) is None


def test_applicants_without_the_source_count_as_missing():
    development, withheld = world(1.0)
    part = gain(development, withheld.head(500))
    whole = gain(development, withheld)
    assert part.value < whole.value


def test_the_same_seed_gives_the_same_estimate():
    assert gain(*world(0.5)) == gain(*world(0.5))
