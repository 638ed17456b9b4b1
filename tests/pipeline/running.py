"""The workbench as its users start it, and one finished smoke run that every test file shares.

Run folders are copied, never changed: a copy keeps its manifest and its fingerprints, so that nothing in
it runs again.
"""

import contextlib
import functools
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock

from workbench.cli import main
from workbench.params import ROOT, STAGES
from workbench.run import Run

SCRIPTS = Path(sys.executable).parent
PARAMS = ROOT / "params" / "smoke.yaml"
_FEW = (
    "training.trials=1",
    "training.max_rounds=30",
    "training.challengers=[logistic]",
    "training.minimisation_sizes=[10]",
)
SMALL = tuple(word for setting in _FEW for word in ("--set", setting))
STATE = re.compile(r"^(\w+): (started|unchanged|complete|failed)")
REPEATABLE = ("rows", "tables", "models", "facts")


def command(*words: object) -> list[str]:
    return [str(SCRIPTS / "workbench"), *map(str, words)]


def smoke(runs: Path, *words: object) -> list[str]:
    """The command that runs the small smoke study in a folder of runs, its report in HTML alone."""
    return command("run", PARAMS, "--runs", runs, *SMALL, "--to", "html", *words)


def call(words: list[str], *, temporary: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = os.environ | ({"TMPDIR": str(temporary)} if temporary else {})
    return subprocess.run(
        words, capture_output=True, text=True, timeout=400, cwd=ROOT, env=environment, check=False
    )


def call_here(words: list[str]) -> subprocess.CompletedProcess[str]:
    """Call the command in this process: for mistakes that are refused before anything is started."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        contextlib.chdir(ROOT),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "argv", ["workbench", *words[1:]])
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
    return subprocess.CompletedProcess(words, code, out.getvalue(), err.getvalue())


@functools.cache
def finished_run(base: Path) -> Path:
    """Make the shared run once; `base` is the session's temporary folder.

    Sessions side by side share it in the folder that WORKBENCH_TEST_RUNS names, as `make test` does.
    """
    runs = Path(os.environ.get("WORKBENCH_TEST_RUNS", base)) / "finished"
    run = runs / "smoke"
    with FileLock(f"{runs}.lock"):
        if not (run / "report" / "model_risk.pdf").is_file():
            done = call(smoke(runs, "--to", "html,pdf"))
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stderr == ""
    return run


def shared_run(factory: pytest.TempPathFactory) -> Path:
    return finished_run(factory.getbasetemp())


def copied(run: Path, runs: Path) -> Path:
    """Copy the shared run into another folder of runs."""
    return Path(shutil.copytree(run, runs / "smoke"))


def states(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """The last state that was printed of each stage."""
    found = (STATE.match(line) for line in done.stdout.splitlines())
    return {match[1]: match[2] for match in found if match}


def made_again(done: subprocess.CompletedProcess[str]) -> set[str]:
    assert done.returncode == 0, done.stdout + done.stderr
    return {stage for stage, state in states(done).items() if state != "unchanged"}


def hashes(run: Path) -> dict[str, str]:
    """SHA-256 of every artifact that must be the same in every run of the study."""
    entries = Run.open(run).manifest["artifacts"]
    return {name: entry["sha256"] for name, entry in entries.items() if entry["kind"] in REPEATABLE}


def stage_states(run: Path) -> dict[str, str]:
    stages = Run.open(run).manifest["stages"]
    return {stage: stages.get(stage, {}).get("state", "not run") for stage in STAGES}


def is_open(run: Path, stage: str) -> bool:
    """Whether a stage has begun and not closed."""
    path = run / "manifest.json"
    return path.is_file() and json.loads(path.read_text())["stages"].get(stage, {}).get("state") == "open"


def refused(done: subprocess.CompletedProcess[str], *words: str) -> None:
    """The command ended as for a mistake of the user: exit code 1, the words on stderr, no traceback."""
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    said = " ".join(done.stderr.split())
    for word in words:
        assert word in said, said


class Started:
    """A command that is running, and every process that it has started."""

    def __init__(self, words: list[str], log: Path) -> None:
        self.log = log
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                words, cwd=ROOT, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.main = psutil.Process(self.process.pid)

    def running(self) -> set[str]:
        """The stages that have started and not ended."""
        found = [match for line in self.log.read_text().splitlines() if (match := STATE.match(line))]
        return {m[1] for m in found if m[2] == "started"} - {m[1] for m in found if m[2] != "started"}

    def until(self, reached: Callable[[], bool], timeout: float = 120) -> None:
        end = time.monotonic() + timeout
        while not reached():
            assert self.process.poll() is None, f"it ended too early: {self.log.read_text()}"
            assert time.monotonic() < end, "the moment never came"
            time.sleep(0.02)

    def kill(self, *, group: bool) -> list[psutil.Process]:
        """Kill it without warning, alone or with its process group; returns the children it had."""
        children = self.main.children(recursive=True)
        if group:
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        self.process.wait(10)
        return children


def all_gone(processes: list[psutil.Process], seconds: float = 40) -> bool:
    """Whether all of these processes end by themselves within some seconds."""
    alive = psutil.wait_procs(processes, timeout=seconds)[1]
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
