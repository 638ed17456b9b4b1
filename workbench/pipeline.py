"""The sequence of stages: order, side-by-side execution, resumption, and a stage opened by hand."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from workbench.engine import choose_engine
from workbench.errors import RunError, WorkbenchError
from workbench.execute import Timing, execute
from workbench.fingerprint import (
    is_fresh,
    notebook_path,
    stage_fingerprint,
)
from workbench.kernels import WarmKernels
from workbench.own_findings import check_previous_run, load_own_findings
from workbench.packs import load_packs
from workbench.params import ROOT, STAGES, Study
from workbench.preflight import (
    about_run,
    check_features,
    check_letters,
    check_tables,
    refuse_damage,
    refuse_other_cipher,
    refuse_other_key,
)
from workbench.private import sweep
from workbench.run import UNFINISHED, Run, clear_scratch, describe_artifact, runs_folder
from workbench.stage import Stage
from workbench.statements import load_statements
from workbench.study import load_study

AFTER: Mapping[str, tuple[str, ...]] = {
    "data": (),
    "features": ("data",),
    "training": ("features",),
    "validation": ("training",),
    "explanation": ("training",),
    "fairness": ("explanation",),
    "scoring": ("validation", "explanation"),
    "monitoring": ("scoring",),
}
_BY_PIPELINE = "WORKBENCH_PIPELINE"


class Progress(Protocol):
    """Whoever wants to know how the stages get on."""

    def started(self, stage: str) -> None: ...  # noqa: D102
    def cell(self, stage: str, done: int, total: int) -> None: ...  # noqa: D102
    def noted(self, stage: str, note: str) -> None: ...  # noqa: D102
    def ended(self, stage: str, seconds: float, state: str) -> None: ...  # noqa: D102


class Silent:
    """Progress that nobody watches."""

    def started(self, stage: str) -> None:
        """Say nothing."""

    def cell(self, stage: str, done: int, total: int) -> None:
        """Say nothing."""

    def noted(self, stage: str, note: str) -> None:
        """Say nothing."""

    def ended(self, stage: str, seconds: float, state: str) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Passed:
    """A pass over the stages: the run, and when its notebooks' own cells were at work."""

    run: Run
    work: tuple[tuple[float, float], ...]


def run_stages(
    study: Study,
    folder: Path,
    *,
    stages: tuple[str, ...] = STAGES,
    force: frozenset[str] = frozenset(),
    jobs: int = 2,
    progress: Progress | None = None,
) -> Passed:
    """Run the stages that are not fresh, in order, up to `jobs` side by side; `force` runs some regardless.

    Raises ParamsError or EngineError before anything is written, RunError when the folder is in use or
    damaged, StageError when a notebook raises; what was complete stays complete.
    """
    load_packs(study.data.packs)
    check_tables(study)
    check_letters(study)
    load_statements(study)
    load_own_findings(study)
    check_previous_run(study, folder)
    check_features(study)
    about = about_run(study)
    with Run(folder).lock():
        refuse_other_key(folder, about)
        refuse_damage(folder, frozenset(stages) & force)
        refuse_other_cipher(folder, study, frozenset(stages) & force)
        run = Run.create(folder, study, about)
        clear_scratch(run)
        sweep()
        os.environ[_BY_PIPELINE] = str(run.folder)
        sequence = _Sequence(run, study, stages, force, jobs, progress or Silent())
        try:
            sequence.go()
        finally:
            clear_scratch(run)
    return Passed(run, tuple(sequence.work))


def open_stage(name: str, folder: str = "") -> Stage:
    """Open a stage for its notebook.

    With a run folder (by Papermill) the stage belongs to that run. Without one (in JupyterLab) it belongs to
    the smoke study's run, and the stages before it that have not run yet are run first. Tables show whole.
    """
    pl.Config(tbl_rows=40, tbl_cols=20, fmt_str_lengths=70, tbl_width_chars=160)
    if folder:
        run = Run.open(Path(folder))
        if os.environ.get(_BY_PIPELINE) != str(run.folder):
            run.lock().release()
        return _opened(run, name)
    study = load_study(ROOT / "params" / "smoke.yaml")
    before = STAGES[: STAGES.index(name)]
    needed = tuple(stage for stage in before if stage in stages_before(name))
    passed = run_stages(study, runs_folder() / study.study, stages=needed, progress=_Printed())
    return _opened(passed.run, name)


def _opened(run: Run, name: str) -> Stage:
    stage = Stage(run, name)
    stage.engine.accelerate()
    return stage


def stages_before(stage: str) -> set[str]:
    """Return all the stages that have to run before a stage."""
    direct = set(AFTER[stage])
    return direct.union(*(stages_before(name) for name in direct)) if direct else direct


def stages_after(stage: str) -> set[str]:
    """Return a stage and all the stages that depend on it."""
    return {stage} | {name for name in STAGES if stage in stages_before(name)}


class _Printed(Silent):
    def started(self, stage: str) -> None:
        print(f"stage {stage} has not run yet on the smoke study; running it first", flush=True)


class _Sequence:
    """One pass over the stages."""

    def __init__(
        self,
        run: Run,
        study: Study,
        stages: tuple[str, ...],
        force: frozenset[str],
        jobs: int,
        progress: Progress,
    ) -> None:
        self.run, self.study, self.stages, self.force = run, study, stages, force
        self.jobs, self.progress = jobs, progress
        self.engine = choose_engine(study.engine).name
        self.kernels = WarmKernels()
        self.work: list[tuple[float, float]] = []

    def go(self) -> None:
        """Start each stage as soon as those before it are done; after a failure start no more."""
        with ThreadPoolExecutor(self.jobs) as pool:
            try:
                failures = self._run_all(pool)
            finally:
                self.kernels.close()
        if failures:
            raise failures[0]

    def _run_all(self, pool: ThreadPoolExecutor) -> list[BaseException]:
        waiting, done = list(self.stages), set(STAGES) - set(self.stages)
        running: dict[Future[None], str] = {}
        failures: list[BaseException] = []
        while True:
            ready = [stage for stage in waiting if set(AFTER[stage]) <= done]
            for stage in ready[: self.jobs - len(running)] if not failures else []:
                waiting.remove(stage)
                running[pool.submit(self._stage, stage)] = stage
                self._warm(waiting, done, set(running.values()))
            if not running:
                return failures
            # the timeout lets an interrupt through, which another thread may have received
            for future in wait(running, timeout=0.5, return_when=FIRST_COMPLETED).done:
                stage = running.pop(future)
                error = future.exception()
                failures += [error] if error else []
                done |= set() if error else {stage}

    def _warm(self, waiting: list[str], done: set[str], running: set[str]) -> None:
        """Start the kernel of the stage that can run next, if it will have to run."""
        for stage in waiting:
            if set(AFTER[stage]) <= done | running:
                if not self._is_fresh(stage):
                    self.kernels.start(notebook_path(stage))
                return

    def _is_fresh(self, stage: str) -> bool:
        fingerprint = stage_fingerprint(stage, self.study, self.engine)
        return stage not in self.force and is_fresh(self.run, stage, fingerprint)

    def _stage(self, stage: str) -> None:
        if self._is_fresh(stage):
            self.progress.ended(stage, 0.0, "unchanged")
            return
        fingerprint = stage_fingerprint(stage, self.study, self.engine)
        self.progress.started(stage)
        begun = time.perf_counter()
        output = self.run.folder / stage / "notebook.ipynb"
        parameters = {"run": str(self.run.folder), **self.study.section(stage)}
        try:
            timing = execute(
                stage,
                notebook_path(stage),
                output,
                parameters,
                draft=self.run.folder / UNFINISHED / "notebooks" / f"{stage}.ipynb",
                kernel=self.kernels.take(notebook_path(stage)),
                on_cell=lambda done, total: self.progress.cell(stage, done, total),
            )
        except WorkbenchError:
            # its setup may have failed before it opened the stage: the notebook there is not the old one
            self.run.update(lambda manifest: manifest["artifacts"].pop(f"{stage}/notebook", None))
            self.progress.ended(stage, time.perf_counter() - begun, "failed")
            raise
        seconds = time.perf_counter() - begun
        self.run.update(
            lambda manifest: self._complete(manifest, stage, fingerprint, output, timing, seconds)
        )
        for note in self.run.manifest["stages"][stage].get("notes", []):
            self.progress.noted(stage, note)
        self.progress.ended(stage, seconds, "complete")

    def _complete(
        self,
        manifest: dict[str, Any],
        stage: str,
        fingerprint: str,
        output: Path,
        timing: Timing,
        seconds: float,
    ) -> None:
        entry = manifest["stages"][stage]
        if entry["state"] != "by hand":
            raise RunError(f"stage {stage} ended without closing: its notebook lacks the cell stage.close()")
        self.work += timing.work
        entry |= {
            "state": "complete",
            "fingerprint": fingerprint,
            "seconds": round(seconds, 2),
            "work_seconds": round(timing.work_seconds, 2),
            "code_cells": timing.cells,
        }
        about = "The stage's notebook as executed"
        manifest["artifacts"][f"{stage}/notebook"] = describe_artifact(
            output, self.run.folder, stage, "notebook", unit="notebook", key=[], about=about
        )
