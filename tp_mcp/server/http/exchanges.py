"""Every request of the HTTP server from its beginning to its end, so that none holds up another or the stop.

A client that stops reading leaves its connection full: what is sent to it then waits, and everything that hangs on it
would wait too. So each part of an answer has `SEND_SECONDS` to go out, and then the connection is dropped, which ends
the request as if the client had gone.
"""

import logging
from collections.abc import Callable, MutableMapping
from typing import Any

import anyio
import anyio.lowlevel
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tp_mcp.server.http.capacity import BODY_SECONDS, LAST_PART_SECONDS, MAX_REQUESTS, SEND_SECONDS

logger = logging.getLogger(__name__)

DROP_EXTENSION = "tp_mcp.drop"
"""Where the means to drop a request's connection is in its scope."""

OVERLOADED = f"This server answers {MAX_REQUESTS} requests at one time, open streams included. Try again later."
STOPPING = "This server is stopping. Try again once it runs again."


class Exchanges:
    """An ASGI application around another: bounds what is open, and can end all of it."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        max_requests: int = MAX_REQUESTS,
        send_seconds: float = SEND_SECONDS,
        body_seconds: float = BODY_SECONDS,
    ) -> None:
        """Wrap `app`; the limits are those of `tp_mcp.server.http.capacity`."""
        self._app = app
        self._max_requests = max_requests
        self._send_seconds = send_seconds
        self._body_seconds = body_seconds
        self._open: set[_Exchange] = set()
        self._empty = anyio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if len(self._open) >= self._max_requests:
            logger.warning("Refusing a request: %d are open already", len(self._open))
            await PlainTextResponse(OVERLOADED, status_code=503, headers={"Retry-After": "5"})(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send, send_seconds=self._send_seconds, body_seconds=self._body_seconds)
        self._open.add(exchange)
        try:
            await exchange.run(self._app)
        finally:
            self._open.discard(exchange)
            if not self._open:
                self._empty.set()

    async def end(self, *, within: float) -> None:
        """Wait some seconds for open requests to end; then end the rest, and drop clients that do not read."""
        await self._emptied(within)
        for exchange in self._open:
            exchange.end()
        await self._emptied(LAST_PART_SECONDS)
        for exchange in self._open:
            exchange.drop()

    async def _emptied(self, seconds: float) -> None:
        if self._open:
            self._empty = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._empty.wait()


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, send_seconds: float, body_seconds: float) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._send_seconds = send_seconds
        self._body_seconds = body_seconds
        self._cancel_scope = anyio.CancelScope()
        self._body_arrived = False
        self._body_until: float | None = None
        self._started = False
        self._complete = False
        self._stalled = False

    async def run(self, app: ASGIApp) -> None:
        """Answer it with `app`."""
        with self._cancel_scope:
            await app(self._scope, self._receive_in_time, self._send_in_time)
        if self._cancel_scope.cancelled_caught and not self._stalled:
            await self._finish()

    def end(self) -> None:
        """End it now, with a whole answer as far as one can still be given."""
        self._cancel_scope.cancel()

    async def _finish(self) -> None:
        if not self._started:
            await PlainTextResponse(STOPPING, status_code=503)(self._scope, self._receive, self._send)
        elif not self._complete:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _receive_in_time(self) -> Message:
        if self._body_arrived:
            return await self._receive()
        if self._body_until is None:
            self._body_until = anyio.current_time() + self._body_seconds
        with anyio.CancelScope(deadline=self._body_until):
            message = await self._receive()
            self._body_arrived = not message.get("more_body", False)
            return message
        await self._give_up("its body did not arrive")
        return {"type": "http.disconnect"}

    async def _send_in_time(self, message: MutableMapping[str, Any]) -> None:
        with anyio.move_on_after(self._send_seconds) as patience:
            await self._send(message)
        if patience.cancelled_caught:
            await self._give_up("its answer was not read")
        self._started = True
        self._complete = message["type"] == "http.response.body" and not message.get("more_body", False)

    async def _give_up(self, why: str) -> None:
        logger.info("Dropping a connection: %s", why)
        self._stalled = True
        self.drop()
        self._cancel_scope.cancel()
        await anyio.lowlevel.checkpoint()

    def drop(self) -> None:
        """Drop its connection."""
        drop: Callable[[], None] | None = self._scope.get("extensions", {}).get(DROP_EXTENSION)
        if drop is not None:
            drop()
