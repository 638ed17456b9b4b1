"""The HTTP interface: decisions, health, readiness, metrics, and the description of all of it."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, Field
from starlette.requests import ClientDisconnect

from workbench.serving.decision_log import LogUnavailableError
from workbench.serving.requests import BadRequestError, request_model
from workbench.serving.service import Service

JSON = "application/json"


@dataclass(frozen=True)
class Limits:
    """What one request, and all together, may take."""

    body_bytes: int = 64 * 1024
    body_seconds: float = 5.0
    in_flight: int = 64


class Reason(BaseModel):
    """One principal reason."""

    code: str
    text: str
    feature: str
    points_lost: float | None = Field(description="score points; null for a rule")


class Decision(BaseModel):
    """A decision that is in the log."""

    applicant_id: str
    decision: str = Field(description="approved, counter_offered or declined")
    prob_default: float = Field(description="calibrated probability of default, 0 to 1")
    score: float = Field(description="points; higher is safer")
    review: bool = Field(description="a person should decide")
    reasons: list[Reason] = Field(description="the costliest first; empty where approved")
    flags: list[str]
    bundle_sha256: str
    log_number: int
    decided_at: str = Field(description="UTC")


class Fault(BaseModel):
    """Why there is no decision."""

    error: str
    faults: list[str] = []


class _RefusedError(Exception):
    def __init__(self, status: int, error: str, faults: list[str] | None = None) -> None:
        self.status, self.error, self.faults = status, error, faults or []
        super().__init__(error)


def make_app(service: Service, *, token: str = "", limits: Limits | None = None) -> FastAPI:
    """Return the application; with a token every request but health and readiness must carry it.

    GET /health answers while the process lives, GET /ready says whether a decision could be logged, GET
    /metrics is Prometheus' text, POST /v1/decisions decides. 401 no or another token, 408 a body too slow,
    413 too large, 422 a request that breaks the contract (every fault, no value), 503 too many at once or a
    log that takes nothing.
    """
    bounds = limits or Limits()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPI(
        title="Credit model workbench: decisions",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answer while the process lives."""
        return {"status": "alive"}

    @app.get("/ready", responses={503: {"model": Fault}})
    async def ready() -> Response:
        """Say whether a decision could be told now."""
        if service.is_ready:
            return _json(200, {"status": "ready", "champion": service.deployment.champion.sha256})
        return _json(503, {"error": "the decision log takes nothing"})

    @app.get("/metrics", response_class=Response)
    async def metrics(request: Request) -> Response:
        """Return what was counted, in Prometheus' text format."""
        if not _may(request, token):
            return _json(401, {"error": "a bearer token is needed"})
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")

    @app.post("/v1/decisions", response_model=Decision, responses=_FAULTS, openapi_extra=_body(service))
    async def decide(request: Request) -> Response:
        """Decide on one applicant; the answer is in the decision log before it is told."""
        begun = time.perf_counter()
        response = await _answer(request, service, token, bounds, begun)
        service.answered(response.status_code, begun)
        return response

    return app


async def _answer(request: Request, service: Service, token: str, limits: Limits, begun: float) -> Response:
    try:
        if not _may(request, token):
            raise _RefusedError(401, "a bearer token is needed")
        if service.in_flight >= limits.in_flight:
            raise _RefusedError(503, "too many requests at once")
        with service.entered():
            body = await _body_of(request, limits)
            return _json(200, await service.decide(body, begun))
    except _RefusedError as refused:
        return _json(refused.status, {"error": refused.error, "faults": refused.faults})
    except BadRequestError as bad:
        return _json(422, {"error": "the request breaks the contract", "faults": bad.faults})
    except LogUnavailableError:
        return _json(503, {"error": "the decision log takes nothing, so that no decision is told"})
    except ClientDisconnect:
        return _json(400, {"error": "the client went away"})


async def _body_of(request: Request, limits: Limits) -> bytes:
    length = request.headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit() or int(length) > limits.body_bytes:
        raise _RefusedError(413, f"at most {limits.body_bytes:,} bytes are taken")
    if request.headers.get("content-type", JSON).split(";")[0].strip().lower() != JSON:
        raise _RefusedError(415, f"{JSON} is taken")
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                size += len(part)
                if size > limits.body_bytes:
                    raise _RefusedError(413, f"at most {limits.body_bytes:,} bytes are taken")
                parts.append(part)
    except TimeoutError:
        raise _RefusedError(408, f"the body took more than {limits.body_seconds:g} s") from None
    return b"".join(parts)


def _may(request: Request, token: str) -> bool:
    given = request.headers.get("authorization", "")
    return not token or hmac.compare_digest(given.encode(), f"Bearer {token}".encode())


def _json(status: int, values: dict[str, Any]) -> Response:
    headers = {"retry-after": "1"} if status == 503 else {}
    headers |= {"www-authenticate": "Bearer"} if status == 401 else {}
    headers |= {"connection": "close"} if status in (400, 408, 413) else {}
    return Response(json.dumps(values, ensure_ascii=False), status, headers, media_type=JSON)


_FAULTS: dict[int | str, dict[str, Any]] = {
    status: {"model": Fault, "description": about}
    for status, about in (
        (401, "no token, or another"),
        (408, "the body came too slowly"),
        (413, "the body is too large"),
        (415, "the body is no JSON"),
        (422, "the request breaks the contract; every fault, no value"),
        (503, "too many at once, or a decision log that takes nothing"),
    )
}


def _body(service: Service) -> dict[str, Any]:
    schema = request_model(service.deployment.fields).model_json_schema(
        ref_template="#/components/schemas/{model}"
    )
    schema = _inlined(schema)
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema whose one definition stands where it is used."""
    definitions = schema.pop("$defs", {})
    for name, about in schema["properties"].items():
        if "$ref" in about:
            schema["properties"][name] = definitions[about["$ref"].rsplit("/", 1)[-1]]
    return schema
