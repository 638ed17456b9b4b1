"""What the command line shows: a live line per stage, and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

import psutil
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from workbench.errors import WorkbenchError
from workbench.params import STAGES
from workbench.run import MANIFEST, Run

console = Console(highlight=False)
MAIN_FACTS = (
    "data.applicants",
    "data.default_rate",
    "validation.auc",
    "validation.scorecard.auc",
    "validation.slope",
    "explanation.declined",
    "fairness.not_judged",
    "scoring.largest_gap",
    "monitoring.score_stability",
)


class PlainProgress:
    """One line when a stage starts and one when it ends: for logs."""

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *details: object) -> None:
        return None

    def started(self, stage: str) -> None:
        """Print that a stage starts."""
        print(f"{stage}: started", flush=True)

    def cell(self, stage: str, done: int, total: int) -> None:
        """Print nothing: a log needs no cell."""

    def noted(self, stage: str, note: str) -> None:
        """Print what a stage has to say of its run."""
        print(f"{stage}: {note}", flush=True)

    def ended(self, stage: str, seconds: float, state: str) -> None:
        """Print how a stage ended."""
        print(f"{stage}: {state}" + (f" in {seconds:.1f} s" if seconds else ""), flush=True)


class LiveProgress:
    """A line per stage with its cells and time, kept up to date."""

    def __init__(self) -> None:
        columns = (
            TextColumn("{task.description:<12}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._bars = Progress(*columns, TextColumn("{task.fields[state]}"), console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> LiveProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def started(self, stage: str) -> None:
        """Add the stage's line."""
        self._tasks[stage] = self._bars.add_task(stage, total=None, state="running")

    def cell(self, stage: str, done: int, total: int) -> None:
        """Move the stage's bar."""
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def noted(self, stage: str, note: str) -> None:
        """Print what a stage has to say of its run, above the bars."""
        self._bars.console.print(f"{stage}: {note}", markup=False)

    def ended(self, stage: str, seconds: float, state: str) -> None:  # noqa: ARG002 (the line has its own clock)
        """Say how the stage ended."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=1, state=state)
        task = self._tasks[stage]
        total = next(known.total for known in self._bars.tasks if known.id == task) or 1
        self._bars.update(task, completed=None if state == "failed" else total, total=total, state=state)
        self._bars.stop_task(task)


def progress_shown() -> LiveProgress | PlainProgress:
    """Return progress as this place can show it: live in a terminal, else a line per stage."""
    return LiveProgress() if console.is_terminal else PlainProgress()


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """Show how many of a total are done: a bar on a terminal, else a line for every tenth."""
    if console.is_terminal:
        with Progress(TextColumn(what), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn()) as bar:
            task = bar.add_task(what, total=total)
            yield lambda done, of: bar.update(task, completed=done, total=of)
        return
    shown = [0]

    def line(done: int, of: int) -> None:
        if done >= of or 10 * done // of > shown[0]:
            shown[0] = 10 * done // of
            print(f"{done:,} of {of:,} {what}", flush=True)

    yield line


def facts_summary(run: Run) -> None:
    """Print the main facts of a run."""
    table = Table(title=f"Run {run.run_id}", title_justify="left")
    for name, justify in (("fact", "left"), ("value", "right"), ("interval", "right"), ("line", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    known = {fact["id"]: fact for fact in _facts(run)}
    for name in MAIN_FACTS:
        if name in known:
            table.add_row(name, *_cells(known[name]))
    console.print(table)


def times_summary(run: Run, work: Sequence[tuple[float, float]]) -> None:
    """Print the wall time of this process and the share of it in which no stage and no report was at work."""
    wall = time.time() - psutil.Process().create_time()
    outside = 100 * (1 - union_seconds(work) / wall)
    peaks = [entry.get("peak_memory_mib", 0) for entry in run.manifest["stages"].values()]
    text = f"{wall:.1f} s, of which outside stage work (kernel starts, imports, plumbing) {outside:.0f}%"
    console.print(f"{text}; peak memory of a stage {max(peaks, default=0):,} MiB", soft_wrap=True)


def union_seconds(spans: Sequence[tuple[float, float]]) -> float:
    """Return the seconds covered by spans of time that may overlap."""
    covered, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        covered += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return covered


def runs_summary(folder: Path) -> None:
    """Print one line for each run in a folder."""
    found = sorted(folder.glob(f"*/{MANIFEST}"))
    if not found:
        console.print(f"no runs in {folder}; make one with: workbench run params/taiwan.yaml", soft_wrap=True)
    for path in found:
        try:
            manifest = Run.open(path.parent).manifest
        except WorkbenchError:
            console.print(f"{path.parent.name:<20} manifest damaged", markup=False)
            continue
        complete = sum(entry.get("state") == "complete" for entry in manifest["stages"].values())
        reported = " ".join(manifest.get("report", {}).get("formats", [])) or "no report"
        line = f"{path.parent.name:<20} {manifest.get('created', '')}  {complete} of {len(STAGES)} stages"
        console.print(f"{line}  {reported}  {manifest.get('note', '')}", markup=False, soft_wrap=True)


def _facts(run: Run) -> list[dict[str, object]]:
    return run.facts()


def _cells(fact: dict[str, object]) -> tuple[str, str, str]:
    def shown(value: object) -> str:
        return (
            f"{value:.4g}"
            if isinstance(value, float)
            else f"{value:,}"
            if isinstance(value, int)
            else str(value)
        )

    low, high = fact["low"], fact["high"]
    interval = f"{shown(low)} to {shown(high)}" if low is not None else ""
    return f"{shown(fact['value'])} {fact['unit']}".strip(), interval, str(fact["met"] or "")
