"""Errors a user can cause. Each says what was wrong, what was received and what would be right.

WorkbenchError
|-- ParamsError      a study's parameters
|-- DataError        a source file, a table or a sample that breaks its contract
|-- EngineError      an engine that is not available here
|-- RunError         a run folder that is missing, in use, edited or truncated
|   `-- StageError   a stage whose notebook raised
|-- RenderError      a report source that cannot be rendered
`-- RolloutError     a registry, a change of stage or a deployment that cannot be
    `-- GateError    evidence that does not carry a change of stage
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class WorkbenchError(Exception):
    """A fault that the user can mend, with everything that was found in `faults`."""

    def __init__(self, summary: str, faults: Iterable[str] = ()) -> None:
        self.summary = summary
        self.faults = tuple(faults)
        super().__init__("\n".join([summary, *(f"  - {fault}" for fault in self.faults)]))


class ParamsError(WorkbenchError):
    """The study's parameters cannot be used."""


class DataError(WorkbenchError):
    """A source, table or sample breaks its contract; never quotes a row."""


class EngineError(WorkbenchError):
    """The engine asked for is not available on this machine."""


class RunError(WorkbenchError):
    """The run folder cannot be used as it is."""


class StageError(RunError):
    """A stage's notebook raised; the executed notebook is kept."""

    def __init__(self, stage: str, cell: int, cause: str, notebook: str) -> None:
        self.stage, self.cell, self.cause, self.notebook = stage, cell, cause, notebook
        where = f"cell {cell}" if cell else "its start"
        super().__init__(
            f"Stage {stage} stopped at {where}: {cause}",
            [f"the executed notebook is kept: {notebook}", "mend the cause and run the same command again"],
        )


class RenderError(WorkbenchError):
    """The report's sources cannot be rendered."""


class RolloutError(WorkbenchError):
    """A registry, a change of stage or a deployment that cannot be as it is asked for."""


class GateError(RolloutError):
    """The evidence of a run does not carry a change of stage; `faults` tells every gate that failed."""


def near_name(name: str, known: Iterable[str]) -> str:
    """Return ' (did you mean x?)' for the nearest known name, or an empty string."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]}?)" if close else ""
