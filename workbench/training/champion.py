"""The champion's own training: in memory, in pages on the disk, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import polars as pl

from workbench.engine import Engine
from workbench.scorer import Floats, model_matrix
from workbench.training.boosting import Trained, train_booster
from workbench.training.checkpoints import Checkpoints, training_key
from workbench.training.distributed import train_distributed
from workbench.training.matrices import Batches, external_matrix, in_core_matrix
from workbench.training.rejects import Augmented

Memory = Literal["in_core", "external"]


@dataclass(frozen=True)
class Plan:
    """How a champion is trained: rounds in all and between checkpoints, and where its matrix lies.

    `memory` in_core: all rows in memory; external: batches of `batch_rows` in pages on the disk, in `pages`.
    """

    rounds: int
    block_rounds: int
    memory: Memory
    batch_rows: int
    pages: Path

    @property
    def place(self) -> str:
        """What of the plan moves the limits of the bins, and so the booster."""
        return self.memory if self.memory == "in_core" else f"external {self.batch_rows}"


def train_champion(
    development: pl.LazyFrame,
    *,
    names: Sequence[str],
    settings: Mapping[str, Any],
    plan: Plan,
    folder: Path,
    data_sha256: str,
    engine: Engine,
    inferred: Augmented | None = None,
) -> Trained:
    """Return the booster of the development sample, whatever happened on the way.

    `development` holds `names` and default, in a fixed order; with external memory it is read batch by
    batch and never held. Engine dask trains on its workers. `folder` keeps the checkpoint after every block:
    one of the same data (`data_sha256`), features, settings and plan is gone on from, any other is refused by
    name. `inferred`: the rows to train on where outcomes of the declined were inferred, in memory.
    """
    key = training_key(
        settings,
        names,
        data_sha256,
        rounds=plan.rounds,
        block_rounds=plan.block_rounds,
        memory=engine.name if engine.name == "dask" else plan.place,
    )
    checkpoints = Checkpoints(folder, key)
    blocks: dict[str, Any] = {"settings": settings, "rounds": plan.rounds, "block_rounds": plan.block_rounds}
    if engine.name == "dask" and inferred is None:
        rows = _in_memory(development, names)
        with engine.client() as client:
            return train_distributed(client, *rows, **blocks, checkpoints=checkpoints, names=names)
    matrix = _matrix(development, names, plan) if inferred is None else inferred.matrix(names)
    return train_booster(matrix, **blocks, checkpoints=checkpoints)


def _matrix(development: pl.LazyFrame, names: Sequence[str], plan: Plan) -> Any:
    if plan.memory == "external":
        batches = Batches(development, names, plan.batch_rows)
        return external_matrix(batches, cache=plan.pages, names=names)
    return in_core_matrix(*_in_memory(development, names), names=names)


def _in_memory(development: pl.LazyFrame, names: Sequence[str]) -> tuple[Floats, Floats]:
    rows = development.select(*names, "default").collect()
    return model_matrix(rows, names), rows["default"].to_numpy().astype(float)
