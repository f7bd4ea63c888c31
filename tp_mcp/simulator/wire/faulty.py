"""The layer in front of TP that notes every request and spoils what a fault strikes.

A dropped connection is a closed socket where there is one: the server (see `serving`) hands `DROP_EXTENSION` in with
the request. In process there is none, so the error is raised that a client sees then: `ReadError` of the HTTP client
library that is loaded, which is `httpx2` or `httpx`, else `ConnectionResetError`.
"""

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse
from starlette.routing import Match, Route

from tp_mcp.simulator.faults import Fault
from tp_mcp.simulator.requests import SeenRequest
from tp_mcp.simulator.wire.answers import BAD_GATEWAY_PAGE, EXPIRED, error, login_page, login_redirect, unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tp_mcp.simulator.simulator import Simulator

CONTROL_PREFIX = "/_sim/"
DROP_EXTENSION = "tp_simulator.drop"
_CLIENT_LIBRARIES = ("httpx2", "httpx")


class FaultLayer:
    """The outermost ASGI layer; the control plane is never struck and never noted."""

    def __init__(self, app: "ASGIApp", simulator: "Simulator", tp_routes: list[Route]) -> None:
        self._app = app
        self._simulator = simulator
        self._routes = tp_routes

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        state = self._simulator.state
        endpoint = self._endpoint(scope)
        now = state.clock.now()
        state.requests.add(SeenRequest(scope["method"], scope["path"], endpoint, now))
        fault = state.faults.take(endpoint, now)
        if fault is None:
            await self._app(scope, receive, send)
            return
        if fault.when == "after" or fault.kind == "delay":
            await self._spoil_after(fault, scope, receive, send)
        else:
            await _spoil(fault, scope, receive, send)

    async def _spoil_after(self, fault: Fault, scope: "Scope", receive: "Receive", send: "Send") -> None:
        answer: list[Message] = []

        async def keep(message: "Message") -> None:
            answer.append(message)

        if fault.kind == "delay" and fault.when == "before":
            await asyncio.sleep(fault.delay_seconds)
        await self._app(scope, receive, keep)
        if fault.kind != "delay":
            await _spoil(fault, scope, receive, send)
            return
        if fault.when == "after":
            await asyncio.sleep(fault.delay_seconds)
        for message in answer:
            await send(message)

    def _endpoint(self, scope: "Scope") -> str:
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return route.name
        return ""


async def _spoil(fault: Fault, scope: "Scope", receive: "Receive", send: "Send") -> None:
    if fault.kind == "drop":
        await _drop(scope)
    else:
        await _answer(fault, scope["path"])(scope, receive, send)


def _answer(fault: Fault, path: str) -> "Response":
    match fault.kind:
        case "html":
            return login_page()
        case "redirect":
            return login_redirect(path)
        case "expired_token":
            return unauthorized(EXPIRED)
        case "away":
            return HTMLResponse(BAD_GATEWAY_PAGE, 502)
        case _:
            headers = None if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return error(fault.status, f"simulated fault {fault.status}", headers)


async def _drop(scope: "Scope") -> None:
    drop: Callable[[], Any] | None = scope.get("extensions", {}).get(DROP_EXTENSION)
    if drop is None:
        raise _transport_error()
    drop()
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def _transport_error() -> Exception:
    for library in _CLIENT_LIBRARIES:
        if library in sys.modules:
            failure: Exception = sys.modules[library].ReadError("the simulated TP dropped the connection")
            return failure
    return ConnectionResetError("the simulated TP dropped the connection")
