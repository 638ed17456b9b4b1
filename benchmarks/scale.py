"""`make scale`: synth, data and features at 100,000 and 1,000,000 applicants, and the growth between."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml
from rich.console import Console
from rich.table import Table

from workbench.params import ROOT

SIZES = (100_000, 1_000_000)
WORKBENCH = Path(sys.executable).parent / "workbench"
EVERY_SECONDS = 0.2


@dataclass(frozen=True)
class Measured:
    """Wall seconds of a command and the peak of the memory of all its processes."""

    seconds: float
    peak_mib: float


def main() -> None:
    table = Table(title="Growth from 100,000 to 1,000,000 applicants")
    for name in ("applicants", "events", "step", "s", "M events/s", "peak MiB", "time grows", "memory grows"):
        table.add_column(name, justify="left" if name == "step" else "right")
    before: dict[str, Measured] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            events, steps = _steps(size, Path(folder))
        for step, found in steps.items():
            grown = before.get(step)
            growth = (
                [f"{found.seconds / grown.seconds:.1f}", f"{found.peak_mib / grown.peak_mib:.1f}"]
                if grown
                else ["", ""]
            )
            rate = f"{events / found.seconds / 1e6:.1f}"
            table.add_row(
                f"{size:,}",
                f"{events:,}",
                step,
                f"{found.seconds:.1f}",
                rate,
                f"{found.peak_mib:,.0f}",
                *growth,
            )
        before = steps
    console = Console(width=130)
    console.print(table)
    console.print(
        "Whole commands, kernel start and imports included; memory: all processes of a command together."
    )


def _steps(size: int, folder: Path) -> tuple[int, dict[str, Measured]]:
    world, runs, study = folder / "world", folder / "runs", folder / "alternative.yaml"
    synth = _measure("synth", "--applicants", size, "--seed", 1, "--out", world)
    values = yaml.safe_load((ROOT / "params" / "alternative.yaml").read_text(encoding="utf-8"))
    for source in values["data"]["sources"].values():
        source["path"] = str(world / Path(source["path"]).relative_to("world"))
    study.write_text(yaml.safe_dump(values), encoding="utf-8")
    rows = json.loads((world / "truth.json").read_text(encoding="utf-8"))["rows"]
    steps = {"synth": synth}
    for stage in ("data", "features"):
        steps[stage] = _measure("run", study, "--runs", runs, "--only", stage)
    return sum(rows.values()) - rows["applicants"], steps


def _measure(*words: object) -> Measured:
    print("measuring:", *words[:1], *words[-1:], file=sys.stderr, flush=True)
    environment = {"WORKBENCH_KEY": "a-made-world-needs-no-secret-key"} | dict(os.environ)
    begun, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([str(WORKBENCH), *map(str, words)], env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        time.sleep(EVERY_SECONDS)
    if process.returncode:
        raise SystemExit(f"{words[0]} failed with exit code {process.returncode}")
    return Measured(time.perf_counter() - begun, peak / 2**20)


def _memory(pid: int) -> float:
    total = 0.0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.NoSuchProcess:
        pass
    return total


if __name__ == "__main__":
    main()
