"""Boosters: their fixed settings, what constrains them, and their training in blocks of rounds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import polars as pl

from workbench.errors import near_name
from workbench.scorer import Floats
from workbench.statistics.samples import raise_faults
from workbench.training.checkpoints import Checkpoints
from workbench.training.matrices import in_core_matrix

Within = Literal["free", "data_category", "source", "alone"]


@dataclass(frozen=True)
class Trained:
    """A booster, the round its training was resumed from (0: none), and the checkpoints it had to refuse."""

    booster: Any
    resumed_from: int
    refused: tuple[str, ...]


def booster_settings(
    monotone: Sequence[int], *, seed: int, device: str = "cpu", interactions: Sequence[Sequence[int]] = ()
) -> dict[str, Any]:
    """Return the settings that no trial varies.

    `monotone` holds +1, -1 or 0 for each feature; `interactions` are sets of positions of features that may
    meet on a path of a tree (`interaction_groups`), and without any all features may.
    """
    settings: dict[str, Any] = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "tree_method": "hist",
        "device": device,
        "monotone_constraints": tuple(monotone),
        "seed": seed,
    }
    if interactions:
        settings["interaction_constraints"] = json.dumps([list(group) for group in interactions])
    return settings


def interaction_groups(
    catalogue: pl.DataFrame, *, names: Sequence[str], within: Within
) -> tuple[tuple[int, ...], ...]:
    """Return which features may interact, as positions in `names`, for `booster_settings`.

    free: all, so there are no groups; data_category and source: those with the same value in the feature
    catalogue (columns feature, data_category and source); alone: none with another, an additive model.
    Features meet on a path of a tree only within a group; every feature is in exactly one.
    Reference: XGBoost documentation, "Feature Interaction Constraints".

    Raises:
        DataError: a feature that the catalogue lacks or has no value for, or another `within`.
    """
    raise_faults("Interactions cannot be constrained", _group_faults(catalogue, names, within))
    if within == "free":
        return ()
    if within == "alone":
        return tuple((place,) for place in range(len(names)))
    group_of = dict(catalogue.select("feature", within).iter_rows())
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(group_of[name], []).append(place)
    return tuple(tuple(places) for places in groups.values())


def train_booster(
    matrix: Any,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    block_rounds: int,
    checkpoints: Checkpoints | None = None,
) -> Trained:
    """Train `rounds` rounds on a matrix in blocks of `block_rounds`, each of them kept as a checkpoint.

    The booster is the one of `xgboost.train(settings | {"seed": seed + done}, matrix, block_rounds,
    xgb_model=<bytes of the block before>)`, block after block: rows and columns are drawn anew from the
    block's own seed. So it does not matter whether, how often and after which block training was killed
    or the matrix built again: the bytes are the same. They differ with `block_rounds`; a single block is
    plain `xgboost.train`. The booster comes without feature names: the scorer keeps them and their order.

    Raises:
        DataError: fewer than one round, or than one in a block.
    """
    raise_faults("The booster cannot be trained", round_faults(rounds, block_rounds))
    done, model = (checkpoints.latest() if checkpoints else None) or (0, None)
    resumed, seed = done, int(settings.get("seed", 0))
    booster = _booster(settings, matrix, model)
    while done < rounds:
        last = min(done + block_rounds, rounds)
        if done > resumed:
            booster = _anew(booster, settings, matrix)
        booster.set_param({"seed": seed + done})
        for number in range(done, last):
            booster.update(matrix, iteration=number)
        done = last
        if checkpoints:
            checkpoints.save(done, bytes(booster.save_raw("ubj")))
    booster.reset()  # what training kept of the matrix
    booster.feature_names = None
    return Trained(booster, resumed, checkpoints.refused if checkpoints else ())


def train_champion(
    features: Floats, default: Floats, *, settings: Mapping[str, Any], rounds: int, names: Sequence[str]
) -> Any:
    """Return the booster trained on all rows given, for a fixed number of rounds."""
    matrix = in_core_matrix(features, default, names=names)
    return train_booster(matrix, settings=settings, rounds=rounds, block_rounds=rounds).booster


def _booster(settings: Mapping[str, Any], matrix: Any, model: bytes | bytearray | None) -> Any:
    from xgboost import Booster

    return Booster(dict(settings), [matrix], model_file=None if model is None else bytearray(model))


def _anew(booster: Any, settings: Mapping[str, Any], matrix: Any) -> Any:
    """Return the booster as its bytes would give it, for the next block.

    Its own configuration, loaded again, makes anew what grows trees and draws rows and columns, as loading
    its bytes does, but the margins of the trees so far stay. On the CPU they were added up tree by tree,
    as a loaded booster adds them up: the same bits, and no time lost in predicting again. A GPU adds
    them up in another order.
    """
    if str(settings.get("device", "cpu")) != "cpu":
        return _booster(settings, matrix, booster.save_raw("ubj"))
    booster.load_config(booster.save_config())
    return booster


def round_faults(rounds: int, block_rounds: int) -> list[str]:
    """Tell what is wrong with the rounds of a training."""
    named = {"rounds": rounds, "block_rounds": block_rounds}
    return [f"{name} is {value}; at least 1 is needed" for name, value in named.items() if value < 1]


def _group_faults(catalogue: pl.DataFrame, names: Sequence[str], within: str) -> list[str]:
    if within not in get_args(Within):
        return [f"{within} is none of {', '.join(get_args(Within))}{near_name(within, get_args(Within))}"]
    if within in ("free", "alone"):
        return []
    if missing := [name for name in ("feature", within) if name not in catalogue.columns]:
        return [f"the catalogue has no column {', '.join(missing)}"]
    known = dict(catalogue.select("feature", within).iter_rows())
    unknown = [name for name in names if name not in known]
    return [
        *(f"{name} is not in the feature catalogue{near_name(name, known)}" for name in unknown),
        *(f"{name} has no {within}" for name in names if name in known and known[name] is None),
    ]
