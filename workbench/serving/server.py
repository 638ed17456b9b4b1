"""The process around the service: sockets, TLS, signals, and connections that only pretend to speak."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
from asyncio import Transport
from asyncio.events import TimerHandle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from workbench.errors import ParamsError
from workbench.serving.app import Limits, make_app
from workbench.serving.service import Service, print_line

LOOPBACK = ("127.0.0.1", "::1", "localhost")
REQUEST_SECONDS = 10.0
MOST_BYTES = 128 * 1024
MOST_CONNECTIONS = 1_000
SWITCH_SECONDS = 2e-4
"""Between threads: Python's own 5 ms would let a reload, and the log, hold up every decision."""


@dataclass(frozen=True)
class Door:
    """Where the service listens and who may enter: a bearer token, TLS, and a client's certificate."""

    host: str = "127.0.0.1"
    port: int = 8000
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None
    client_authority: Path | None = None

    def check(self) -> None:
        """Raise ParamsError with everything that would leave the door open or that cannot be read."""
        faults = [f"{path}: no such file" for path in self._files() if not path.is_file()]
        if bool(self.certificate) != bool(self.key):
            faults.append("TLS needs --certificate and --key, both")
        if self.client_authority and not self.certificate:
            faults.append("--client-authority needs --certificate and --key")
        if self.host not in LOOPBACK and not (self.certificate and (self.token or self.client_authority)):
            faults.append(
                f"--host {self.host}: beyond this machine, TLS and a token or client certificates are needed"
            )
        if self.token and len(self.token) < 16:
            faults.append("the token has fewer than 16 characters")
        if faults:
            raise ParamsError(f"{len(faults)} fault(s) in how the service would listen", faults)

    def _files(self) -> list[Path]:
        return [path for path in (self.certificate, self.key, self.client_authority) if path]


class PatientProtocol(HttpToolsProtocol):
    """HTTP that waits for a request of at most so many bytes for so many seconds, and then hangs up."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._timer: TimerHandle | None = None
        self._bytes = 0

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Start to wait."""
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        """Count what came; more than a request may have ends the connection."""
        self._bytes += len(data)
        if self._bytes > MOST_BYTES:
            self.transport.abort()
            return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Wait for the rest of a request."""
        super().on_message_begin()
        self._wait()

    def on_message_complete(self) -> None:
        """Stop to wait: the request is whole."""
        self._stop()
        self._bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait: nobody is there."""
        self._stop()
        super().connection_lost(exc)

    def _wait(self) -> None:
        self._stop()
        self._timer = self.loop.call_later(REQUEST_SECONDS, self._hang_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class TellingServer(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell the address: the port may have been chosen by the system."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            scheme = "https" if self.config.is_ssl else "http"
            print_line({"event": "listening", "at": f"{scheme}://{host}:{port}"})


def serve(service_of: Any, door: Door, *, limits: Limits | None = None) -> None:
    """Serve until SIGTERM or SIGINT, which let what was begun end; SIGHUP reloads the bundles.

    `service_of` makes the service inside the event loop.
    """
    door.check()
    sys.setswitchinterval(SWITCH_SECONDS)
    asyncio.run(_serve(service_of, door, limits or Limits()))


async def _serve(service_of: Any, door: Door, limits: Limits) -> None:
    service: Service = service_of()
    app = make_app(service, token=door.token, limits=limits)
    config = uvicorn.Config(
        app,
        host=door.host,
        port=door.port,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=30,
        ssl_certfile=door.certificate,
        ssl_keyfile=door.key,
        ssl_ca_certs=str(door.client_authority) if door.client_authority else None,
        ssl_cert_reqs=ssl.CERT_REQUIRED if door.client_authority else ssl.CERT_NONE,
    )
    server = TellingServer(config)
    loop, reloading = asyncio.get_running_loop(), set()

    def reload() -> None:
        task = loop.create_task(service.reload())
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    loop.add_signal_handler(signal.SIGHUP, reload)
    await server.serve()
