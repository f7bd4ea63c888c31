"""The HTTP application: MCP under `/mcp`, and whether the server is alive and ready."""

from dataclasses import dataclass

import anyio
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tp_mcp.clock import Clock
from tp_mcp.errors import TpForbiddenError, TpMcpError, TpNotAuthenticatedError, TpUnreachableError
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.capacity import LOOK_SECONDS, MAX_BODY_BYTES, MAX_SESSIONS, READY_SECONDS, SESSION_IDLE_SECONDS


@dataclass(frozen=True, slots=True)
class Found:
    """The result of a readiness check."""

    ready: bool
    store: str
    tp: str


class Readiness:
    """Checks the store and TP, at most once in `READY_SECONDS`, however many requests ask."""

    def __init__(self, backend: Backend, clock: Clock) -> None:
        self._backend = backend
        self._clock = clock
        self._looking = anyio.Lock()
        self._found: Found | None = None
        self._found_at = 0.0

    async def look(self) -> Found:
        """Return whether the server is ready."""
        async with self._looking:
            now = self._clock.now()
            if self._backend.closing:
                return Found(ready=False, store="closing", tp="not asked")
            if self._found is None or not 0 <= now - self._found_at < READY_SECONDS:
                self._found, self._found_at = await self._look(), now
            return self._found

    async def _look(self) -> Found:
        with anyio.move_on_after(LOOK_SECONDS):
            try:
                services = await self._backend.services()
            except TpMcpError:
                return Found(ready=False, store="not open; see the server's log", tp="not asked")
            if services.tp.principals is not None and not services.tp.principals.service_account:
                return Found(ready=True, store="open", tp="not asked: each user has a login of their own")
            tp = "answers"
            try:
                await services.tp.client.list_labs()
            except TpMcpError as error:
                tp = _words(error)
            return Found(ready=tp == "answers", store="open", tp=tp)
        return Found(ready=False, store="not known", tp=f"no answer within {LOOK_SECONDS:g} s")


def _words(error: TpMcpError) -> str:
    match error:
        case TpUnreachableError():
            return "not reached"
        case TpNotAuthenticatedError() | TpForbiddenError():
            return "does not let the server in"
        case _:
            return "answers, but not as expected"


MCP_PATH = "/mcp"


def http_app(server: TpServer, readiness: Readiness, *, security: TransportSecuritySettings) -> Starlette:
    """Return the application of a server that answers to the names in `security`.

    Answers are event streams, so that a wait can tell its progress. Host and Origin headers are checked: a page in a
    browser must not speak to a server on the same machine.
    """
    app = server.streamable_http_app(
        streamable_http_path=MCP_PATH,
        json_response=False,
        max_request_body_size=MAX_BODY_BYTES,
        session_idle_timeout=SESSION_IDLE_SECONDS,
        max_sessions=MAX_SESSIONS,
        transport_security=security,
    )

    async def healthz(_: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(_: Request) -> Response:
        found = await readiness.look()
        return JSONResponse(
            {"ready": found.ready, "store": found.store, "tp": found.tp}, status_code=200 if found.ready else 503
        )

    app.router.routes += [Route("/healthz", healthz, methods=["GET"]), Route("/readyz", readyz, methods=["GET"])]
    return app
