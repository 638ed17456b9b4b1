"""Engines: where tables live and on which device models are trained. Only this module knows which."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import narwhals as nw

from workbench.errors import EngineError


@dataclass(frozen=True)
class Engine:
    """An engine that is available here, and why it was taken."""

    name: Literal["cpu", "gpu"]
    device: Literal["cpu", "cuda"]
    why: str

    def scan(self, path: Path) -> nw.LazyFrame[Any]:
        """Open a Parquet table as a Narwhals frame: lazy Polars, or cuDF on the GPU."""
        if self.name == "gpu":
            import cudf

            table = cudf.read_parquet(path)
        else:
            import polars as pl

            table = pl.scan_parquet(path)
        frame: nw.LazyFrame[Any] = nw.from_native(table).lazy()
        return frame


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


def choose_engine(asked: str) -> Engine:
    """Return the engine to use; raises EngineError when the one asked for is not available."""
    if asked == "cpu":
        return CPU_BY_CHOICE
    missing = missing_for_gpu()
    if asked == "gpu" and missing:
        raise EngineError("engine gpu is not available here; use engine cpu or auto", missing)
    if missing:
        return Engine("cpu", "cpu", f"auto: {missing[0]}")
    why = "the study asks for it" if asked == "gpu" else "auto: a GPU and RAPIDS are here"
    return Engine("gpu", "cuda", why)
