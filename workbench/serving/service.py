"""The service behind the HTTP interface: the bundles in use, the decision log, and what is counted."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.serving.deciding import decide_one, shadow_rows
from workbench.serving.decision_log import DecisionLog, LogUnavailableError
from workbench.serving.deployment import Deployment
from workbench.serving.metrics import Metrics
from workbench.serving.requests import parse_request, request_model

UNKNOWN_CLIENT = 401
Telling = Callable[[dict[str, Any]], None]


def print_line(event: dict[str, Any]) -> None:
    """Print an event as one line of JSON."""
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


class Service:
    """Decides one request after another; a decision is told only when the log has it on the disk.

    `opening` gives the deployment anew for `reload`; `tell` takes events for the operator, in which no
    applicant is named.
    """

    def __init__(
        self, opening: Callable[[], Deployment], log: DecisionLog, *, tell: Telling = print_line
    ) -> None:
        self.log, self.metrics = log, Metrics()
        self._opening, self._tell, self._reloading = opening, tell, asyncio.Lock()
        self._latest = ""
        self.in_flight = 0
        self.metrics.in_flight.set_function(lambda: self.in_flight)
        self._shadowing: set[asyncio.Task[None]] = set()
        self._use(_warm(opening()))

    @property
    def deployment(self) -> Deployment:
        """The bundles in use."""
        return self._deployment

    @property
    def is_ready(self) -> bool:
        """Whether a decision could be told now."""
        return self.log.is_writable

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Count a request while it is being read and decided."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    async def decide(self, body: bytes, begun: float) -> dict[str, Any]:
        """Return the answer to a request that came at `begun` (time.perf_counter).

        Raises BadRequestError for a request that cannot be decided, LogUnavailableError when the log takes
        nothing: then nobody is told a decision.
        """
        deployment, model = (
            self._deployment,
            self._model,
        )  # those of the moment, whatever is reloaded meanwhile
        applicant_id, features = parse_request(body, model)
        at = self._time()
        told, row = decide_one(deployment, applicant_id, features, begun=begun, at=at)
        try:
            number = await asyncio.wrap_future(self.log.append("decisions", row))
        except LogUnavailableError as error:
            self._refuse_to_decide(error)
            raise
        self.metrics.log_writable.set(1)
        self._count(row, told)
        if deployment.shadows:
            task = asyncio.create_task(self._shadow(deployment, applicant_id, features, at))
            self._shadowing.add(task)
            task.add_done_callback(self._shadowing.discard)
        return told | {"log_number": number, "decided_at": at}

    def answered(self, status: int, begun: float) -> None:
        """Count an answer; what is no decision goes into the log's table of requests, strangers apart."""
        seconds = time.perf_counter() - begun
        self.metrics.requests.labels(str(status)).inc()
        self.metrics.seconds.observe(seconds)
        if status not in (200, UNKNOWN_CLIENT):  # strangers must not be able to fill the log
            row = {"at": self._time(), "status": status, "milliseconds": round(1e3 * seconds, 3)}
            self.log.append("requests", row).add_done_callback(lambda done: done.exception())
            self._tell({"event": "not decided", **row})

    async def reload(self) -> bool:
        """Take the bundles anew, while the old ones go on deciding; a fault keeps the old ones and is
        told."""
        async with self._reloading:
            try:
                found = await asyncio.to_thread(lambda: _warm(self._opening()))
            except (WorkbenchError, OSError) as error:
                self.metrics.reloads.labels("refused").inc()
                self._tell({"event": "reload refused", "at": self.log.now(), "why": str(error)})
                return False
            self._use(found)
            self.metrics.reloads.labels("done").inc()
            self._tell({"event": "reloaded", "at": self.log.now(), "champion": found.champion.sha256})
            return True

    async def close(self) -> None:
        """Let the shadows end and close the log."""
        if self._shadowing:
            await asyncio.wait(self._shadowing, timeout=10)
        await asyncio.to_thread(self.log.close)

    def _use(self, deployment: Deployment) -> None:
        self._deployment, self._model = deployment, request_model(deployment.fields)
        self.metrics.deployed(deployment)

    async def _shadow(
        self, deployment: Deployment, applicant_id: str, features: dict[str, Any], at: str
    ) -> None:
        rows = await asyncio.to_thread(shadow_rows, deployment, applicant_id, features, at=at)
        for row in rows:
            try:
                await asyncio.wrap_future(self.log.append("decisions", row))
            except LogUnavailableError as error:
                self._refuse_to_decide(error)
            else:
                self.metrics.decisions.labels(row["role"], row["decision"]).inc()

    def _time(self) -> str:
        """Return the time of the clock, counting when it went back: order is the log's number, not the
        time."""
        at = self.log.now()
        if at < self._latest:
            self.metrics.clock_back.inc()
            self._tell({"event": "the clock went back", "at": at, "was": self._latest})
        self._latest = at
        return at

    def _count(self, row: dict[str, Any], told: dict[str, Any]) -> None:
        self.metrics.decisions.labels(row["role"], row["decision"]).inc()
        if told["review"]:
            self.metrics.reviews.inc()
        for flag in told["flags"]:
            self.metrics.flags.labels(flag).inc()

    def _refuse_to_decide(self, error: LogUnavailableError) -> None:
        self.metrics.log_writable.set(0)
        self._tell({"event": "decision log not writable", "at": self.log.now(), "why": str(error)})


def _warm(deployment: Deployment) -> Deployment:
    """Let every bundle decide once, so that the first applicant does not wait for tables and compilers."""
    for opened in deployment.everyone:
        frozen = opened.frozen
        frozen.decide(np.full((1, len(frozen.contract.fields)), np.nan))
        frozen.decide(np.zeros((1, len(frozen.contract.fields))))
    return deployment
