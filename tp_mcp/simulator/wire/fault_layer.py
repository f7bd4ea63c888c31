"""The layer in front of TP that logs every request and applies the faults.

A dropped connection is a closed socket where there is one: the server (see `simulator`) hands `DROP_EXTENSION` in with
the request. In process there is none, so the error is raised that a client sees then: `ReadError` of the HTTP client
library that is loaded, which is `httpx2` or `httpx`, else `ConnectionResetError`.
"""

import asyncio
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Match, Route

from tp_mcp.simulator.faults import Fault
from tp_mcp.simulator.request_log import WRITES, SeenRequest
from tp_mcp.simulator.token_issuer import BadTokenError
from tp_mcp.simulator.wire.responses import (
    BAD_GATEWAY_PAGE,
    EXPIRED,
    bearer,
    error,
    login_page,
    login_redirect,
    unauthorized,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from tp_mcp.simulator.platform import Platform

CONTROL_PREFIX = "/_sim/"
DROP_EXTENSION = "tp_simulator.drop"
_CLIENT_LIBRARIES = ("httpx2", "httpx")
_SPOILING_AN_ANSWER = frozenset({"truncated", "malformed"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as TP gave it."""

    status: int
    content: bytes
    media_type: str | None


MADE_UP_ANSWER = Answer(
    202, json.dumps({"status": "Initiating", "detail": "the request was taken"}).encode(), "application/json"
)


class FaultLayer:
    """The outermost ASGI layer; the control plane is neither logged nor struck."""

    def __init__(self, app: "ASGIApp", platform: "Platform", tp_routes: list[Route]) -> None:
        self._app = app
        self._platform = platform
        self._routes = tp_routes

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Handle one request."""
        if scope["type"] != "http" or scope["path"].startswith(CONTROL_PREFIX):
            await self._app(scope, receive, send)
            return
        state = self._platform.state
        endpoint = self._endpoint(scope)
        now = state.clock.now()
        state.requests.add(SeenRequest(scope["method"], scope["path"], endpoint, now))
        fault = state.faults.take(endpoint, scope["path"], now)
        if fault is None:
            await self._app(scope, receive, send)
        elif endpoint in WRITES and fault.when == "before" and fault.kind != "delay":
            await self._note_struck(endpoint, fault, scope, receive)
            await _spoil(fault, MADE_UP_ANSWER, scope, receive, send)
        elif fault.kind == "delay":
            await self._delay(fault, scope, receive, send)
        else:
            asked_first = fault.when == "after" or fault.kind in _SPOILING_AN_ANSWER
            answer = answer_of(await self._answered(scope, receive)) if asked_first else MADE_UP_ANSWER
            await _spoil(fault, answer, scope, receive, send)

    async def _delay(self, fault: Fault, scope: "Scope", receive: "Receive", send: "Send") -> None:
        if fault.when == "before":
            await asyncio.sleep(fault.delay_seconds)
        messages = await self._answered(scope, receive)
        if fault.when == "after":
            await asyncio.sleep(fault.delay_seconds)
        for message in messages:
            await send(message)

    async def _answered(self, scope: "Scope", receive: "Receive") -> list["Message"]:
        messages: list[Message] = []

        async def keep(message: "Message") -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        return messages

    async def _note_struck(self, endpoint: str, fault: Fault, scope: "Scope", receive: "Receive") -> None:
        request = Request(scope, receive)
        try:
            user = self._platform.tokens.username(bearer(request))
        except BadTokenError:
            user = ""
        self._platform.state.record.strike(endpoint, user, await written(request), fault.kind)

    def _endpoint(self, scope: "Scope") -> str:
        for route in self._routes:
            if route.matches(scope)[0] is Match.FULL:
                return route.name
        return ""


async def _spoil(fault: Fault, answer: Answer, scope: "Scope", receive: "Receive", send: "Send") -> None:
    if fault.kind == "drop":
        await _drop(scope)
    elif fault.kind == "truncated":
        await truncated(answer)(scope, receive, send)
    elif fault.kind == "malformed":
        await malformed(answer, fault.shape)(scope, receive, send)
    else:
        await _response(fault, scope["path"])(scope, receive, send)


def _response(fault: Fault, path: str) -> Response:
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


def answer_of(messages: Iterable["Message"]) -> Answer:
    """Join the messages of an ASGI application."""
    status, content = 500, b""
    headers: dict[bytes, bytes] = {}
    for message in messages:
        status = message.get("status", status)
        content += message.get("body", b"")
        headers |= dict(message.get("headers", ()))
    media_type = headers.get(b"content-type")
    return Answer(status, content, None if media_type is None else media_type.decode("latin-1"))


def truncated(answer: Answer) -> Response:
    """Return the first half of an answer, with the length of that half."""
    return Response(answer.content[: len(answer.content) // 2], answer.status, media_type=answer.media_type)


def malformed(answer: Answer, shape: str) -> Response:
    """Return 200 with JSON of a shape (see `faults`) that was not promised."""
    try:
        value = json.loads(answer.content)
    except ValueError:
        value = None
    return Response(json.dumps(_reshaped(value, shape)), media_type="application/json")


def _reshaped(value: object, shape: str) -> object:
    match shape, value:
        case "text", _:
            return json.dumps(value)
        case "nulls", dict():
            return dict.fromkeys(value)
        case "nulls", list():
            return [_reshaped(row, shape) for row in value]
        case "other", dict():
            return [value]
        case "other", list():
            return {"results": value}
        case _:
            return None
