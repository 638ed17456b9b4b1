"""A client that asks at a steady rate; latency is measured from when each request was due."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came back: status counts and seconds from due to answered."""

    statuses: dict[int, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    answers: list[dict] = field(default_factory=list)

    def quantile(self, share: float) -> float:
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


async def ask(reader, writer, body: bytes, token: str = "") -> tuple[int, bytes]:
    """Send one request over an open connection and read its answer."""
    extra = f"authorization: Bearer {token}\r\n" if token else ""
    head = f"POST /v1/decisions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{extra}"
    writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
    await writer.drain()
    lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length"))
    return int(lines[0].split()[1]), await reader.readexactly(length)


async def _worker(port: int, due: asyncio.Queue, load: Load, keep: bool) -> None:
    reader = writer = None
    while (item := await due.get()) is not None:
        at, body = item
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            status, answer = await ask(reader, writer, body)
        except (OSError, asyncio.IncompleteReadError):
            load.failed += 1
            if writer is not None:
                writer.close()
            writer = None
            continue
        load.seconds.append(time.perf_counter() - at)
        load.statuses[status] = load.statuses.get(status, 0) + 1
        if keep and status == 200:
            load.answers.append(json.loads(answer))
    if writer is not None:
        writer.close()


async def steady(
    port: int, bodies: list[bytes], *, rate: float, seconds: float, connections: int = 16, keep=False
) -> Load:
    """Ask `rate` times a second, each request due at its own moment."""
    load, due = Load(), asyncio.Queue()
    workers = [asyncio.create_task(_worker(port, due, load, keep)) for _ in range(connections)]
    begun = time.perf_counter()
    for number in range(int(rate * seconds)):
        at = begun + number / rate
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        due.put_nowait((at, bodies[number % len(bodies)]))
    for _ in workers:
        due.put_nowait(None)
    await asyncio.gather(*workers)
    return load
