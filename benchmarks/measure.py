"""Time and peak memory of a case, in a process of its own."""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

Work = Callable[[], object]
"""What is timed; one that returns a float tells its own seconds, such as another process's."""
REPEATS = 3


@dataclass(frozen=True)
class Measured:
    """Best wall seconds of the repeats, and the process's peak memory."""

    seconds: float
    peak_mib: int


def measure(prepare: Callable[[], Work]) -> Measured:
    """Prepare (imports, data) and time the work that `prepare` returns."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_timed, args=(prepare, sender))
    process.start()
    sender.close()
    measured: Measured = receiver.recv()
    process.join()
    return measured


def _timed(prepare: Callable[[], Work], sender: Connection) -> None:
    work = prepare()
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        own = work()
        seconds.append(own if isinstance(own, float) else time.perf_counter() - begun)
    sender.send(Measured(min(seconds), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
