"""Serving the HTTP application on a port until it is asked to stop, with bounded connections."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anyio
import anyio.lowlevel
import uvicorn
from h11 import IDLE
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tp_mcp.server.app import TpServer
from tp_mcp.server.http.capacity import (
    ANSWER_SECONDS,
    BODY_SECONDS,
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    LAST_PART_SECONDS,
    MAX_CONNECTIONS,
    MAX_REQUESTS,
    SEND_BUFFER_BYTES,
    SEND_SECONDS,
)
from tp_mcp.tools.framework.services import Services

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


BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise OSError if the port cannot be listened on."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because only of a socket that is known to be TCP does asyncio send small parts without delay.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted connections inherit it: a client that never reads costs no more than this.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class BoundedProtocol(H11Protocol):
    """Refuses connections beyond the limit, hands every request the means to drop its own, and drops dead ones.

    uvicorn bounds only how long a connection rests after an answer. A client that sends no headers, or sends
    them without end, or does not read a complete answer, would hold its connection for good.
    """

    _late_headers: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Start the time limit of its first request."""
        if len(self.connections) >= MAX_CONNECTIONS:
            logger.warning("Closing a new connection: %d are open already", len(self.connections))
            # uvicorn learns of the loss and closes its side.
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._bound_headers()
        inner = self.app

        async def droppable(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[DROP_EXTENSION] = transport.abort
            await inner(scope, receive, send)

        self.app = droppable

    def data_received(self, data: bytes) -> None:
        """Process received bytes."""
        super().data_received(data)
        self._bound_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the time limit."""
        self._headers_are_there()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, even if its client never read the last answer."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            # Closing waits for what is unsent, which only its reader could end.
            logger.info("Dropping a connection: its last answer was not read")
            self.transport.abort()

    def _bound_headers(self) -> None:
        if self.conn.their_state is not IDLE:
            self._headers_are_there()
        elif self._late_headers is None:
            # Not restarted by a further part: one byte a second would keep the connection for good.
            self._late_headers = self.loop.call_later(HEADERS_SECONDS, self._drop_for_headers)

    def _headers_are_there(self) -> None:
        if self._late_headers is not None:
            self._late_headers.cancel()
            self._late_headers = None

    def _drop_for_headers(self) -> None:
        logger.info("Dropping a connection: its request's headers did not arrive")
        self.transport.abort()


class HttpServing:
    """One application on one listening socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket, *, close: Callable[[], Awaitable[None]]) -> None:
        """Prepare; `close` closes what is behind the application, so that what waits for it is answered."""
        self._exchanges = Exchanges(app)
        self._listening = listening
        self._close = close
        self._server = _Server(
            uvicorn.Config(
                self._exchanges,
                http=BoundedProtocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                # By then every request has ended; this is for what the system has not closed yet.
                timeout_graceful_shutdown=1,
            )
        )

    async def run(self) -> None:
        """Serve until `stop`."""
        await self._server.serve(sockets=[self._listening])

    async def stop(self) -> None:
        """Answer open requests as far as possible, end every stream, and make `run` return."""
        await self._close()
        await self._exchanges.end(within=ANSWER_SECONDS)
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves the signals to its caller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def settled(server: TpServer) -> Callable[[Services], AbstractAsyncContextManager[None]]:
    """Return a companion of the services that loads the tools too, and exempts all there is then from collection.

    The modules and schemas of the tools are most of what a server without clients is made of. A full collection, in
    which nobody is answered, takes 40 to 60 ms with them beside 180 clients, and 23 to 32 without.
    """

    @asynccontextmanager
    async def companion(_: Services) -> AsyncIterator[None]:
        await server.list_tools()
        # Present garbage would otherwise never be found.
        gc.collect()
        gc.freeze()
        yield

    return companion
