"""How long a decision takes: in process, and over HTTP at 200 requests a second with reloads under way."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.load import steady
from benchmarks.serving import NAMES, frozen, matrix_of, table

RATE, SECONDS = 200, float(os.environ.get("BENCH_SECONDS", "60"))
CALLS = 20_000


def in_process() -> dict[str, np.ndarray]:
    """Milliseconds of each call, one applicant from a raw feature vector."""
    scorer, rows = frozen().on("onnx"), matrix_of(table(CALLS, 7))
    found = {}
    for name, call in (
        ("PD in process", scorer.prob_default),
        ("decision with reasons in process", scorer.decide),
    ):
        call(rows[:1])
        times = np.empty(CALLS)
        for at in range(CALLS):
            row = rows[at : at + 1]
            begun = time.perf_counter()
            call(row)
            times[at] = time.perf_counter() - begun
        found[name] = 1e3 * times
    return found


def over_http(*, reload: bool) -> tuple[np.ndarray, dict[int, int], int]:
    """Milliseconds from when each request was due, what came back, and connections that failed."""
    from workbench.scoring.bundle import pack

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "bundle.zip"
        place.write_bytes(pack(frozen(), seed=1))
        words = [str(Path(sys.executable).parent / "workbench"), "serve", str(place), "--port", "0"]
        server = subprocess.Popen(
            [*words, "--log", f"{folder}/log.sqlite"], stdout=subprocess.PIPE, text=True
        )
        port = int(json.loads(server.stdout.readline())["at"].rsplit(":", 1)[1])
        rows = table(2_000, 8).select("applicant_id", *NAMES).to_dicts()
        bodies = [
            json.dumps({"applicant_id": row.pop("applicant_id"), "features": row}).encode() for row in rows
        ]

        async def load():
            asking = asyncio.create_task(steady(port, bodies, rate=RATE, seconds=SECONDS))
            for _ in range(3 if reload else 0):
                await asyncio.sleep(SECONDS / 4)
                server.send_signal(signal.SIGHUP)
            return await asking

        found = asyncio.run(load())
        server.terminate()
        server.communicate()
    return 1e3 * np.array(found.seconds), found.statuses, found.failed


def main() -> None:
    shown = Table(title="Milliseconds for a decision (300 trees of depth 4, 29 features)")
    for name in ("what", "calls", "p50", "p99", "p99.9", "most", "errors"):
        shown.add_column(name, justify="left" if name == "what" else "right")
    rows = [(name, times, 0) for name, times in in_process().items()]
    for name, reload in (("HTTP, 200 a second", False), ("HTTP, three reloads meanwhile", True)):
        times, statuses, failed = over_http(reload=reload)
        rows.append(
            (f"{name}, {SECONDS:.0f} s", times, failed + sum(statuses.values()) - statuses.get(200, 0))
        )
    for name, times, errors in rows:
        ends = (f"{np.quantile(times, share):.3f}" for share in (0.5, 0.99, 0.999, 1))
        shown.add_row(name, f"{times.size:,}", *ends, str(errors))
    Console(width=120).print(shown)


if __name__ == "__main__":
    main()
