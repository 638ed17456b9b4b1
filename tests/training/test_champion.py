"""The champion's training as a stage calls it: wherever its rows lie, and after it was stopped."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from workbench.engine import CPU_BY_CHOICE
from workbench.training.boosting import booster_settings
from workbench.training.champion import Plan, train_champion
from workbench.training.rejects import Augmented

NAMES = ["one", "two", "three"]
SETTINGS = booster_settings([1, 0, 0], seed=3) | {"max_depth": 3, "subsample": 0.7, "nthread": 1}


@pytest.fixture(scope="module")
def rows():
    generator = np.random.default_rng(5)
    columns = generator.normal(size=(4_000, 3))
    default = (columns[:, 0] - columns[:, 1] + generator.normal(size=4_000) > 1.2).astype(int)
    return pl.DataFrame({**dict(zip(NAMES, columns.T, strict=True)), "default": default})


def trained(rows, folder, *, rounds=30, memory="in_core", data="rows", **options):
    plan = Plan(rounds, 10, memory, 1_000, folder / "pages")
    return train_champion(
        rows.lazy(),
        names=NAMES,
        settings=SETTINGS,
        plan=plan,
        folder=folder / "champion",
        data_sha256=data,
        engine=CPU_BY_CHOICE,
        **options,
    )


def raw(found):
    return bytes(found.booster.save_raw("ubj"))


def ranking(found, rows):
    from xgboost import DMatrix

    return roc_auc_score(rows["default"], found.booster.predict(DMatrix(rows.select(NAMES).to_numpy())))


def test_started_again_it_goes_on_from_what_is_done_and_ends_the_same(rows, tmp_path):
    first = trained(rows, tmp_path)
    again = trained(rows, tmp_path)
    assert (first.resumed_from, again.resumed_from) == (0, 30)
    assert raw(again) == raw(first)
    assert again.refused == ()


def test_of_other_data_it_starts_clean_and_names_what_it_refused(rows, tmp_path):
    first = trained(rows, tmp_path)
    other = trained(rows, tmp_path, data="other rows")
    assert other.resumed_from == 0
    assert raw(other) == raw(first)  # the rows were the same after all
    (refused,) = other.refused
    assert refused.startswith("checkpoint 30.ubj is of another training")


def test_external_memory_ranks_as_well(rows, tmp_path):
    inside = trained(rows, tmp_path / "inside")
    outside = trained(rows, tmp_path / "outside", memory="external")
    assert ranking(outside, rows) == pytest.approx(ranking(inside, rows), abs=0.002)
    assert (tmp_path / "outside" / "pages").is_dir(), "no page was written"


def test_a_checkpoint_of_the_other_memory_is_refused(rows, tmp_path):
    trained(rows, tmp_path)
    outside = trained(rows, tmp_path, memory="external")
    assert outside.resumed_from == 0
    assert len(outside.refused) == 1


def test_inferred_rows_are_trained_on_with_their_weights(rows, tmp_path):
    features, default = rows.select(NAMES).to_numpy(), rows["default"].to_numpy().astype(float)
    same = Augmented(features, default, np.ones(default.size), None)
    assert raw(trained(rows, tmp_path / "same", inferred=same)) == raw(trained(rows, tmp_path / "plain"))
    turned = Augmented(
        np.concatenate([features, features]),
        np.concatenate([default, 1 - default]),
        np.concatenate([np.ones(default.size), np.full(default.size, 5.0)]),
        None,
    )
    assert ranking(trained(rows, tmp_path / "turned", inferred=turned), rows) < 0.5
