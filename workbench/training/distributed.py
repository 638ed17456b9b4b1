"""Training by Dask's workers: blocks of rounds, each tried again with the workers left when one is lost."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from threading import Thread
from time import monotonic, sleep
from typing import Any

import numpy as np

from workbench.engine import WORKER_DEATHS
from workbench.errors import EngineError
from workbench.scorer import Floats
from workbench.statistics.samples import raise_faults
from workbench.training.boosting import Trained, round_faults
from workbench.training.checkpoints import Checkpoints
from workbench.training.matrices import Batch, passes

PART_BYTES = 64 * 2**20  # of features, sent to a worker at once
LOOK_SECONDS = 1  # between two looks at who is there
PATIENCE = 3  # looks in which XGBoost says that a worker is lost, and the scheduler notices it
WORKER_SECONDS = 60  # in which a worker that died is there again
OWN_BYTES = 250 * 2**20  # of a worker before it has rows: Python, Dask and XGBoost
OVERHEAD = 2.0  # bytes that training takes for each byte of features in single precision (measured: 1.8)
USABLE = 0.95  # of its memory limit; beyond it Dask's nanny ends a worker
MIB = 2**20


@dataclass(frozen=True)
class _Worker:
    """A worker; the limit of its memory in bytes is 0 where there is none."""

    address: str
    name: str
    limit: int


def train_distributed(
    client: Any,
    features: Floats,
    default: Floats,
    *,
    settings: Mapping[str, Any],
    rounds: int,
    block_rounds: int,
    checkpoints: Checkpoints | None = None,
    names: Sequence[str],
) -> Trained:
    """Train in blocks as `train_booster` does, on rows that lie with Dask's workers.

    `client` is a connected Dask client; each worker gets as many rows as the others, in single precision. A
    worker that dies costs time: its block is trained again from the bytes of the block before, by the
    workers left, who share the rows anew. The bytes depend on how many workers share the rows, not on the
    blocks that were done again: sums are added up in another order, and bins are found anew.

    Raises:
        DataError: fewer than one round, or than one in a block.
        EngineError: the workers' memory is too small, or workers die of one block again and again.
    """
    from xgboost import Booster

    raise_faults("The booster cannot be trained", round_faults(rounds, block_rounds))
    done, model = (checkpoints.latest() if checkpoints else None) or (0, b"")
    resumed, seed = done, int(settings.get("seed", 0))
    training = _Training(client, features, default, list(names))
    while done < rounds:
        last = min(done + block_rounds, rounds)
        model = training.block({**settings, "seed": seed + done}, last - done, model)
        done = last
        if checkpoints:
            checkpoints.save(done, model)
    booster = Booster(model_file=bytearray(model))
    booster.feature_names = None
    return Trained(booster, resumed, checkpoints.refused if checkpoints else ())


class _Training:
    """The rows of a training, here and with the workers."""

    def __init__(self, client: Any, features: Floats, default: Floats, names: list[str]) -> None:
        self.client, self.names = client, names
        self.features, self.default = features, default
        self.workers: list[_Worker] = []
        self.placed: list[list[Any]] = []

    def block(self, settings: Mapping[str, Any], rounds: int, model: bytes) -> bytes:
        """Return the model after a block of rounds, tried again while workers die of it."""
        for attempt in range(WORKER_DEATHS):
            if not self.placed:
                seconds = WORKER_SECONDS if attempt else 0
                ready = _ready_workers(self.client, 4 * self.features.size, seconds=seconds)
                self.workers = ready[: len(self.default)]  # nobody without a row
            try:
                found: bytes = self.client.sync(self._watched, settings, rounds, model)
                return found
            except Exception:
                if not self.client.sync(self._goes_on):
                    raise
                self.placed = []
        limit = f"the memory limit of a worker is {_written(self.workers)}"
        raise EngineError(
            f"engine dask: workers died {WORKER_DEATHS} times of the same {rounds} rounds",
            [f"{limit}: start fewer workers, or larger ones"],
        )

    async def _watched(self, settings: Mapping[str, Any], rounds: int, model: bytes) -> bytes:
        """Train a block; give it up when a worker is lost and XGBoost does not say so soon."""
        training = asyncio.ensure_future(self._trained(settings, rounds, model))
        missed = 0
        while not training.done() and missed < PATIENCE:
            await asyncio.wait({training}, timeout=LOOK_SECONDS)
            missed += bool(await self._lost())
        if not training.done():
            training.cancel()
            await asyncio.wait({training}, timeout=LOOK_SECONDS)
            raise EngineError("engine dask: a worker was lost")
        return await training

    async def _trained(self, settings: Mapping[str, Any], rounds: int, model: bytes) -> bytes:
        places = [worker.address for worker in self.workers]
        self.placed = self.placed or await self._sent()
        started = await self.client.run(start_tracker, len(places), workers=places[:1])
        told = {"met": started[places[0]], "settings": dict(settings), "rounds": rounds, "names": self.names}
        parts = [
            self.client.submit(train_part, rows, model, rank, told, workers=[at], pure=False)
            for rank, (at, rows) in enumerate(zip(places, self.placed, strict=True))
        ]
        models: list[bytes] = await asyncio.gather(*(part.result() for part in parts))
        return models[0]

    async def _sent(self) -> list[list[Any]]:
        """Share the rows among the workers in the order of their names, in parts of a moderate size."""
        shares = _shares(*self.features.shape, workers=len(self.workers))
        return [
            [
                await self.client.scatter(part, workers=[worker.address], hash=False)
                for part in map(self._part, share)
            ]
            for worker, share in zip(self.workers, shares, strict=True)
        ]

    def _part(self, rows: slice) -> Batch:
        features = np.ascontiguousarray(self.features[rows], dtype=np.float32)
        return features, np.ascontiguousarray(self.default[rows], dtype=np.float32)

    async def _lost(self) -> set[str]:
        there = (await self.client.scheduler.identity(n_workers=-1))["workers"]
        return {worker.address for worker in self.workers} - set(there)

    async def _goes_on(self) -> bool:
        """Whether it was a lost worker that ended a block; if so, those left are free for another one.

        The scheduler may notice a loss later than those who worked with the lost one. They are free at
        once, unless it was lost before all had met: then they would wait for minutes, and are started anew.
        """
        for _ in range(PATIENCE):
            if lost := await self._lost():
                await self._start_silent({worker.address for worker in self.workers} - lost)
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _start_silent(self, left: set[str]) -> None:
        asked = {at: self.client.submit(os.getpid, workers=[at], pure=False) for at in sorted(left)}
        answers = asyncio.gather(*(asked[at].result() for at in asked), return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(answers, timeout=PATIENCE * LOOK_SECONDS)
        silent = [at for at, answer in asked.items() if answer.status == "pending"]
        with suppress(ValueError):  # without a nanny, they are free when XGBoost's own patience is over
            await self.client.restart_workers(silent, raise_for_error=False)


def start_tracker(workers: int, dask_worker: Any = None) -> dict[str, Any]:
    """Let the workers of a block meet in this worker's process; return where.

    `xgboost.dask` starts the tracker in the scheduler's process, with a local cluster the notebook's own, and
    a tracker that talks to a worker who was just killed ends its process (seen with XGBoost 3.2). Here it
    ends a worker, which costs time.
    """
    from distributed.comm.addressing import get_address_host
    from xgboost.tracker import RabitTracker

    tracker = RabitTracker(workers, host_ip=get_address_host(dask_worker.address), sortby="task")
    tracker.start()
    Thread(target=tracker.wait_for, daemon=True).start()
    told: dict[str, Any] = tracker.worker_args()
    return told


def train_part(rows: Sequence[Batch], model: bytes, rank: int, told: Mapping[str, Any]) -> bytes:
    """Train a block on this worker's rows, with all others; every worker ends with the same model."""
    from distributed import get_worker
    from xgboost import QuantileDMatrix, collective, train

    threads = get_worker().state.nthreads
    before = bytearray(model) if model else None
    with collective.CommunicatorContext(**told["met"], dmlc_task_id=f"{rank:06}"):
        matrix = QuantileDMatrix(passes(rows, names=told["names"]), nthread=threads)
        settings = {**told["settings"], "nthread": threads}
        booster = train(settings, matrix, num_boost_round=told["rounds"], xgb_model=before)
        return bytes(booster.save_raw("ubj"))


def _shares(rows: int, width: int, *, workers: int) -> list[list[slice]]:
    """Return the rows of each worker, as many as those of the others, in parts that are not too large."""
    most = max(1, PART_BYTES // (4 * width))
    ends = [rows * place // workers for place in range(workers + 1)]
    return [
        [slice(first, min(first + most, stop)) for first in range(start, stop, most)]
        for start, stop in pairwise(ends)
    ]


def _ready_workers(client: Any, needed: int, *, seconds: float) -> list[_Worker]:
    """Return the workers in the order of their names, once their memory holds the rows."""
    until = monotonic() + seconds
    while True:
        workers = _workers(client)
        faults = _memory_faults(workers, needed)
        if workers and not faults:
            return workers
        if monotonic() >= until:
            break
        sleep(0.2)
    if not workers:
        raise EngineError("engine dask: there is no worker", ["start workers, or larger ones if they died"])
    raise EngineError("engine dask: the memory of the workers is too small", faults)


def _workers(client: Any) -> list[_Worker]:
    told = client.scheduler_info(n_workers=-1)["workers"]
    found = [_Worker(at, str(about["name"]), about["memory_limit"] or 0) for at, about in told.items()]
    return sorted(found, key=lambda worker: (len(worker.name), worker.name))


def _memory_faults(workers: Sequence[_Worker], needed: int) -> list[str]:
    """Tell how many workers have a limit below what their share of the rows takes in training."""
    share = OWN_BYTES + OVERHEAD * needed / max(1, len(workers))
    small = [worker for worker in workers if worker.limit and share > USABLE * worker.limit]
    if not small:
        return []
    return [
        f"{len(small)} of {len(workers)} workers need about {share / USABLE / MIB:,.0f} MiB each; "
        f"their memory limit is {_written(small)}",
        "start fewer workers with more memory each, or more machines, or set training.memory to external",
    ]


def _written(workers: Sequence[_Worker]) -> str:
    limit = min((worker.limit for worker in workers), default=0)
    return f"{limit / MIB:,.0f} MiB" if limit else "not set"
