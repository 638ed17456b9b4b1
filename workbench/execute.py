"""One notebook through Papermill: parameters in, executed notebook and timings out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from workbench.errors import StageError
from workbench.params import ROOT

OnCell = Callable[[int, int], None]
_ENGINE = "workbench"
_KERNEL_ENVIRONMENT = {
    "OMP_WAIT_POLICY": "PASSIVE",  # stages side by side: threads that wait must not spin on the other's core
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
_PLUMBING_TAGS = {"parameters", "injected-parameters", "setup"}


@dataclass(frozen=True)
class Timing:
    """Seconds of one execution: all of it, and what its own cells (setup and parameters left out) took."""

    seconds: float
    work_seconds: float
    cells: int


def execute(
    stage: str, notebook: Path, output: Path, parameters: Mapping[str, Any], *, on_cell: OnCell
) -> Timing:
    """Execute a notebook; `on_cell(done, total)` is told of every cell that ends.

    The executed notebook is at `output` whatever happens. Raises StageError naming cell and cause.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    _register_engine()
    for name, value in _KERNEL_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        executed = papermill.execute_notebook(
            str(notebook),
            str(output),
            parameters=dict(parameters),
            engine_name=_ENGINE,
            kernel_name="python3",
            progress_bar=False,
            cwd=str(ROOT),
            on_cell=on_cell,
        )
    except PapermillExecutionError as error:
        raise StageError(stage, error.exec_count or 0, _cause(error), str(output)) from None
    except Exception as error:
        cause = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no text'}"
        raise StageError(stage, 0, cause, str(output)) from error
    return _timing(executed)


def _cause(error: Any) -> str:
    """Return the whole text of our own errors, and the first line of any other."""
    from workbench import errors

    if hasattr(errors, error.ename):
        return str(error.evalue)
    first = str(error.evalue).splitlines()[0][:200] if error.evalue else ""
    return f"{error.ename}: {first}"


def _timing(executed: Any) -> Timing:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    work = [cell for cell in code if not _PLUMBING_TAGS & set(cell.metadata.get("tags", []))]
    return Timing(
        seconds=float(executed.metadata.papermill["duration"]),
        work_seconds=sum(float(cell.metadata.papermill["duration"] or 0) for cell in work),
        cells=len(code),
    )


def _register_engine() -> None:
    from papermill.engines import NBClientEngine, papermill_engines
    from traitlets.config import Config

    class ProgressEngine(NBClientEngine):  # type: ignore[misc]
        """Papermill's own engine, which also tells how many cells are done."""

        @classmethod
        def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
            on_cell: OnCell = kwargs.pop("on_cell")
            complete, total, done = nb_man.cell_complete, len(nb_man.nb.cells), [0]

            def cell_complete(cell: Any, **details: Any) -> None:
                complete(cell, **details)
                done[0] += 1
                on_cell(done[0], total)

            nb_man.cell_complete = cell_complete
            # sockets as files in a folder of their own: no port that others could reach
            with TemporaryDirectory(prefix="workbench-") as folder:
                connection = {"transport": "ipc", "connection_file": f"{folder}/kernel.json"}
                config = Config({"KernelManager": connection})
                return super().execute_managed_notebook(nb_man, kernel_name, config=config, **kwargs)

    papermill_engines.register(_ENGINE, ProgressEngine)
