"""Engines: where tables live, who works on their parts, on which device models are trained.

Only this module knows which.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, TypeVar

import narwhals as nw

from workbench.errors import EngineError

SCHEDULER_SECONDS = 15
WORKER_DEATHS = 10  # so many workers may die of one item before it is given up
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Engine:
    """An engine that is available here, and why it was taken."""

    name: Literal["cpu", "gpu", "dask"]
    device: Literal["cpu", "cuda"]
    why: str
    scheduler: str = ""

    def scan(self, path: Path, reading: Mapping[str, Any] | None = None) -> nw.LazyFrame[Any]:
        """Open a Parquet table as a Narwhals frame: lazy Polars, or cuDF on the GPU.

        `reading` holds what Polars needs to read an encrypted table; cuDF reads none.
        """
        if self.name == "gpu":
            import cudf

            if reading:
                raise EngineError("engine gpu: cuDF reads no encrypted Parquet", ["use engine cpu or dask"])
            table = cudf.read_parquet(path)
        else:
            import polars as pl

            table = pl.scan_parquet(path, glob=False, **(reading or {}))
        frame: nw.LazyFrame[Any] = nw.from_native(table).lazy()
        return frame

    def put(self, table: Any) -> nw.LazyFrame[Any]:
        """Bring a small Polars table to where the engine's tables live."""
        if self.name == "gpu":
            import cudf

            table = cudf.DataFrame.from_arrow(table.to_arrow())
        frame: nw.LazyFrame[Any] = nw.from_native(table).lazy()
        return frame

    def accelerate(self) -> None:
        """Let cuML do scikit-learn's work on the GPU; must run before scikit-learn is imported."""
        if self.name == "gpu":
            import cuml.accel

            cuml.accel.install()

    def client(self) -> AbstractContextManager[Any]:
        """Connect to Dask's scheduler, or to a cluster of processes here; for engine dask alone."""
        return _client(self.scheduler)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return function(item) of every item in order: one after the other, or by Dask's workers.

        A Dask worker that dies loses only the items it had in hand; others do them again. Raises EngineError
        when the scheduler cannot be reached or one item ends worker after worker, and whatever the function
        raises.
        """
        if self.name != "dask":
            return [function(item) for item in items]
        from distributed import KilledWorker

        with _client(self.scheduler) as client:
            futures = client.map(function, items, pure=False, retries=2)
            try:
                results: list[Result] = client.gather(futures)
            except KilledWorker:
                right = ["it may need more memory than a worker has: start fewer workers, or larger ones"]
                raise EngineError("engine dask: one part ended every worker that tried it", right) from None
        return results


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    """Connect to a scheduler, or start a cluster of processes on this machine for the time being."""
    import dask
    from distributed import Client, LocalCluster

    with tempfile.TemporaryDirectory() as spill, ExitStack() as closing:
        closing.enter_context(dask.config.set({"distributed.scheduler.allowed-failures": WORKER_DEATHS}))
        address: Any = scheduler
        if not scheduler:
            workers = max(1, os.cpu_count() or 1)
            threads = {"POLARS_MAX_THREADS": "1"}
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address="127.0.0.1:0",  # its HTTP server starts in any case, else at 8787 for all
                local_directory=spill,
                env=threads,
            )
            address = closing.enter_context(cluster)
        try:
            client = Client(address, timeout=SCHEDULER_SECONDS)  # type: ignore[no-untyped-call]
        except (OSError, TimeoutError, ValueError) as error:
            right = "an address is such as tcp://host:8786; left empty, a cluster on this machine is started"
            raise EngineError(
                f"scheduler {scheduler}: not reachable ({type(error).__name__})", [right]
            ) from None
        yield closing.enter_context(client)


CPU_BY_CHOICE = Engine("cpu", "cpu", "the study asks for it")


def missing_for_gpu() -> list[str]:
    """Return what the `gpu` engine lacks on this machine, each with how to get it."""
    faults = []
    if shutil.which("nvidia-smi") is None:
        faults.append("no NVIDIA driver (nvidia-smi is not on the PATH)")
    faults += [
        f"package {name} is not installed; environment.yml or the extra [gpu] brings it"
        for name in ("cudf", "cuml")
        if find_spec(name) is None
    ]
    return faults


def choose_engine(asked: str, scheduler: str = "") -> Engine:
    """Return the engine to use; raises EngineError when the one asked for is not available."""
    if asked == "dask":
        where = (
            f"the study asks for it, at {scheduler}"
            if scheduler
            else "the study asks for it, on this machine"
        )
        return Engine("dask", "cpu", where, scheduler)
    if asked == "cpu":
        return CPU_BY_CHOICE
    missing = missing_for_gpu()
    if asked == "gpu" and missing:
        raise EngineError("engine gpu is not available here; use engine cpu or auto", missing)
    if missing:
        return Engine("cpu", "cpu", f"auto: {missing[0]}")
    why = "the study asks for it" if asked == "gpu" else "auto: a GPU and RAPIDS are here"
    return Engine("gpu", "cuda", why)
