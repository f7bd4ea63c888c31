"""Serving the HTTP application on a port until it is asked to stop, with bounded connections."""

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from h11 import IDLE
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tp_mcp.server.app import TpServer
from tp_mcp.server.http.capacity import (
    ANSWER_SECONDS,
    HEADERS_SECONDS,
    KEEP_ALIVE_SECONDS,
    MAX_CONNECTIONS,
    SEND_BUFFER_BYTES,
)
from tp_mcp.server.http.exchanges import DROP_EXTENSION, Exchanges
from tp_mcp.tools.framework.services import Services

logger = logging.getLogger(__name__)

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
