import json

import numpy as np
import polars as pl
import pytest
import xgboost

from workbench.engine import missing_for_gpu
from workbench.errors import DataError
from workbench.training.boosting import booster_settings, interaction_groups, train_booster, train_champion
from workbench.training.checkpoints import Checkpoints
from workbench.training.matrices import in_core_matrix

NAMES = ["wage", "rent", "calls", "texts", "top_ups", "bills"]
CATALOGUE = pl.DataFrame(
    {
        "feature": NAMES,
        "source": ["bank", "bank", "phone", "phone", "phone", "utility"],
        "data_category": ["money", "money", "phone", "phone", "money", "money"],
    }
)
DRAWN = {"max_depth": 4, "learning_rate": 0.2, "subsample": 0.7, "colsample_bytree": 0.5}


CHOICES = [
    {},
    {"colsample_bynode": 0.5, "colsample_bylevel": 0.7},
    {"subsample": 1},
    {"monotone_constraints": (1, 1, 0, -1, 0, 0), "reg_lambda": 30.0, "min_child_weight": 20},
    {"interaction_constraints": "[[0, 1], [2, 3, 4], [5]]", "gamma": 2.0, "max_bin": 256},
]


def people(size=3_000, seed=1):
    """Features that interact across sources, some of them missing, and the outcome."""
    draw = np.random.default_rng(seed)
    features = draw.normal(size=(size, len(NAMES)))
    logit = -1 + features[:, 0] * features[:, 2] + features[:, 4] * features[:, 5] + features[:, 1]
    default = (draw.random(size) < 1 / (1 + np.exp(-logit))).astype(float)
    features[draw.random(features.shape) < 0.1] = np.nan
    return features, default


def matrix_of(size=3_000, seed=1):
    return in_core_matrix(*people(size, seed), names=NAMES)


def settings_of(**more):
    return booster_settings([0] * len(NAMES), seed=5) | DRAWN | more


def bytes_of(booster):
    return bytes(booster.save_raw("ubj"))


def chained(matrix, settings, blocks):
    """The reference: plain trainings, each from the bytes of the one before and with a seed of its own."""
    model, done = None, 0
    for rounds in blocks:
        seeded = settings | {"seed": settings["seed"] + done}
        model = xgboost.train(seeded, matrix, rounds, xgb_model=model).save_raw("ubj")
        done += rounds
    booster = xgboost.Booster(model_file=model)
    booster.feature_names = None
    return bytes_of(booster)


def met_on_paths(booster):
    """The pairs of features that meet on a path of a tree."""
    table = booster.trees_to_dataframe()
    pairs = set()
    for _, tree in table.groupby("Tree"):
        nodes = tree.set_index("ID").to_dict("index")
        paths = [(f"{tree['Tree'].iloc[0]}-0", frozenset())]
        while paths:
            at, above = paths.pop()
            node = nodes[at]
            if node["Feature"] == "Leaf":
                continue
            feature = int(node["Feature"].removeprefix("f"))
            pairs |= {frozenset((feature, other)) for other in above if other != feature}
            paths += [(node[way], above | {feature}) for way in ("Yes", "No")]
    return pairs


# Constraints


def test_without_interactions_the_settings_are_those_every_trial_shares():
    assert booster_settings([1, -1, 0], seed=3) == {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "device": "cpu",
        "monotone_constraints": (1, -1, 0),
        "seed": 3,
    }


@pytest.mark.parametrize(
    ("within", "groups"),
    [
        ("free", ()),
        ("data_category", ((0, 1, 4, 5), (2, 3))),
        ("source", ((0, 1), (2, 3, 4), (5,))),
        ("alone", ((0,), (1,), (2,), (3,), (4,), (5,))),
    ],
)
def test_groups_of_the_catalogue(within, groups):
    assert interaction_groups(CATALOGUE, names=NAMES, within=within) == groups


def test_positions_are_those_of_the_names_asked_for():
    found = interaction_groups(CATALOGUE.reverse(), names=["bills", "calls", "wage"], within="data_category")
    assert found == ((0, 2), (1,))


def test_features_that_the_catalogue_lacks_are_all_named():
    with pytest.raises(DataError) as caught:
        interaction_groups(CATALOGUE, names=["wages", "rent", "shoe_size"], within="source")
    assert caught.value.faults == (
        "wages is not in the feature catalogue (did you mean wage?)",
        "shoe_size is not in the feature catalogue",
    )


def test_a_catalogue_without_groups():
    with pytest.raises(DataError, match="the catalogue has no column source"):
        interaction_groups(CATALOGUE.drop("source"), names=NAMES, within="source")
    unknown = CATALOGUE.with_columns(source=pl.when(pl.col("feature") != "rent").then("source"))
    with pytest.raises(DataError, match="rent has no source"):
        interaction_groups(unknown, names=NAMES, within="source")


def test_another_grouping_is_refused():
    with pytest.raises(DataError, match=r"sources is none of free, .* \(did you mean source\?\)"):
        interaction_groups(CATALOGUE, names=NAMES, within="sources")


@pytest.mark.parametrize("within", ["data_category", "source", "alone"])
def test_features_of_two_groups_never_meet_on_a_path(within):
    groups = interaction_groups(CATALOGUE, names=NAMES, within=within)
    settings = booster_settings([0] * len(NAMES), seed=5, interactions=groups) | DRAWN
    assert json.loads(settings["interaction_constraints"]) == [list(group) for group in groups]
    met = met_on_paths(train_booster(matrix_of(), settings=settings, rounds=40, block_rounds=10).booster)
    assert all(any(pair <= set(group) for group in groups) for pair in met)
    assert bool(met) == any(len(group) > 1 for group in groups)


def test_without_groups_they_do_meet():
    met = met_on_paths(train_booster(matrix_of(), settings=settings_of(), rounds=40, block_rounds=10).booster)
    assert len(met) == len(NAMES) * (len(NAMES) - 1) // 2


# Blocks


@pytest.mark.parametrize(("rounds", "block_rounds", "blocks"), [(12, 5, (5, 5, 2)), (6, 1, (1,) * 6)])
@pytest.mark.parametrize("more", CHOICES)
def test_blocks_are_plain_trainings_from_the_bytes_of_the_block_before(rounds, block_rounds, blocks, more):
    settings, matrix = settings_of(**more), matrix_of()
    trained = train_booster(matrix, settings=settings, rounds=rounds, block_rounds=block_rounds)
    assert bytes_of(trained.booster) == chained(matrix, settings, blocks)
    assert (trained.resumed_from, trained.refused) == (0, ())


@pytest.mark.parametrize("block_rounds", [10, 11, 1_000])
def test_one_block_is_plain_training(block_rounds):
    settings, matrix = settings_of(), matrix_of()
    trained = train_booster(matrix, settings=settings, rounds=10, block_rounds=block_rounds)
    plain = xgboost.train(settings, matrix, 10)
    plain.feature_names = None
    assert bytes_of(trained.booster) == bytes_of(plain)


def test_the_champion_is_plain_training_without_names():
    features, default = people()
    champion = train_champion(features, default, settings=settings_of(), rounds=8, names=NAMES)
    plain = xgboost.train(settings_of(), xgboost.QuantileDMatrix(features, default, feature_names=NAMES), 8)
    assert champion.feature_names is None
    plain.feature_names = None
    assert bytes_of(champion) == bytes_of(plain)


@pytest.mark.parametrize(("rounds", "block_rounds"), [(0, 5), (5, 0), (-1, -1)])
def test_rounds_that_are_none(rounds, block_rounds):
    with pytest.raises(DataError) as caught:
        train_booster(matrix_of(), settings=settings_of(), rounds=rounds, block_rounds=block_rounds)
    assert len(caught.value.faults) == (rounds < 1) + (block_rounds < 1)


# Killed and resumed


class Killed(Checkpoints):
    """Checkpoints of a training that is killed after some of them."""

    left = 0

    def save(self, rounds, model):
        super().save(rounds, model)
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def killed(folder, blocks, size=3_000, **more):
    checkpoints = Killed(folder, "key")
    checkpoints.left = blocks
    with pytest.raises(KeyboardInterrupt):
        train_booster(
            matrix_of(size), settings=settings_of(**more), rounds=22, block_rounds=5, checkpoints=checkpoints
        )


@pytest.mark.parametrize("size", [30, 3_000])
@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 5])
def test_killed_after_any_block_it_ends_with_the_same_bytes(tmp_path, blocks, size):
    undisturbed = train_booster(matrix_of(size), settings=settings_of(), rounds=22, block_rounds=5)
    killed(tmp_path, blocks, size)
    trained = train_booster(
        matrix_of(size),
        settings=settings_of(),
        rounds=22,
        block_rounds=5,
        checkpoints=Checkpoints(tmp_path, "key"),
    )
    assert trained.resumed_from == min(5 * blocks, 22)
    assert bytes_of(trained.booster) == bytes_of(undisturbed.booster)


def test_killed_in_every_block_it_ends_with_the_same_bytes(tmp_path):
    undisturbed = train_booster(matrix_of(), settings=settings_of(), rounds=22, block_rounds=5)
    for _ in range(5):
        killed(tmp_path, 1)
    resumed = Checkpoints(tmp_path, "key").latest()
    assert resumed is not None
    assert resumed[0] == 22
    trained = train_booster(
        matrix_of(),
        settings=settings_of(),
        rounds=22,
        block_rounds=5,
        checkpoints=Checkpoints(tmp_path, "key"),
    )
    assert bytes_of(trained.booster) == bytes_of(undisturbed.booster)


def test_a_checkpoint_of_another_training_is_refused_and_training_starts_clean(tmp_path):
    undisturbed = train_booster(matrix_of(), settings=settings_of(), rounds=10, block_rounds=5)
    killed(tmp_path, 1, learning_rate=0.05)
    trained = train_booster(
        matrix_of(),
        settings=settings_of(),
        rounds=10,
        block_rounds=5,
        checkpoints=Checkpoints(tmp_path, "another key"),
    )
    assert trained.resumed_from == 0
    assert [fault.split(" is of another training")[0] for fault in trained.refused] == ["checkpoint 5.ubj"]
    assert bytes_of(trained.booster) == bytes_of(undisturbed.booster)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10.json", "10.ubj"]


@pytest.mark.gpu
@pytest.mark.skipif(bool(missing_for_gpu()), reason="no GPU with RAPIDS here")
def test_on_a_gpu_too(tmp_path):
    settings = settings_of(device="cuda")
    undisturbed = train_booster(matrix_of(), settings=settings, rounds=22, block_rounds=5)
    killed(tmp_path, 2, device="cuda")
    checkpoints = Checkpoints(tmp_path, "key")
    trained = train_booster(
        matrix_of(), settings=settings, rounds=22, block_rounds=5, checkpoints=checkpoints
    )
    assert trained.resumed_from == 10
    assert bytes_of(trained.booster) == bytes_of(undisturbed.booster)
