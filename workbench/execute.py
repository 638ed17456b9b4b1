"""One notebook through Papermill: parameters in, executed notebook and timings out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from workbench.errors import StageError
from workbench.kernels import Kernel

OnCell = Callable[[int, int], None]
_ENGINE = "workbench"
_PLUMBING_TAGS = {"parameters", "injected-parameters", "setup"}


@dataclass(frozen=True)
class Timing:
    """When a notebook's own cells were at work; setup and parameters are plumbing and left out."""

    work: tuple[tuple[float, float], ...]
    cells: int

    @property
    def work_seconds(self) -> float:
        """Seconds of the notebook's own cells."""
        return sum(end - start for start, end in self.work)


def execute(
    stage: str,
    notebook: Path,
    output: Path,
    parameters: Mapping[str, Any],
    *,
    draft: Path,
    kernel: Kernel,
    on_cell: OnCell,
) -> Timing:
    """Execute a notebook in a kernel, which ends with it; `on_cell(done, total)` is told of every cell.

    The notebook is at `draft` while it executes, and then at `output`, also when a cell raised; who is killed
    leaves what was at `output` as it was. Raises StageError naming cell and cause.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    _register_engine()
    for path in (output, draft):
        path.parent.mkdir(parents=True, exist_ok=True)
    try:
        executed = papermill.execute_notebook(
            str(notebook),
            str(draft),
            parameters=dict(parameters),
            engine_name=_ENGINE,
            kernel_name="python3",
            progress_bar=False,
            km=kernel.manager,
            on_cell=on_cell,
        )
    except PapermillExecutionError as error:
        raise StageError(stage, error.exec_count or 0, _cause(error), str(output)) from None
    except Exception as error:
        cause = f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else 'no text'}"
        raise StageError(stage, 0, cause, str(output)) from error
    finally:
        kernel.close()
        if draft.is_file():
            draft.replace(output)
    return _timing(executed)


def _cause(error: Any) -> str:
    """Return the whole text of our own errors, and of any other the name alone: its text can quote data."""
    from workbench import errors

    if hasattr(errors, error.ename):
        return str(error.evalue)
    return f"{error.ename} (what it says can quote data: it is in the executed notebook only)"


def _timing(executed: Any) -> Timing:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    work = [cell for cell in code if not _PLUMBING_TAGS & set(cell.metadata.get("tags", []))]
    return Timing(work=tuple(_span(cell.metadata.papermill) for cell in work), cells=len(code))


def _span(times: Mapping[str, Any]) -> tuple[float, float]:
    start, end = (datetime.fromisoformat(times[name]).timestamp() for name in ("start_time", "end_time"))
    return start, end


def _register_engine() -> None:
    from papermill.engines import NBClientEngine, papermill_engines

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
            return super().execute_managed_notebook(nb_man, kernel_name, **kwargs)

    papermill_engines.register(_ENGINE, ProgressEngine)
