"""One connection of the HTTP server: it is refused where there are too many, and never kept without end."""

import asyncio
import logging

from h11 import IDLE
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tp_mcp.server.http.capacity import HEADERS_SECONDS, MAX_CONNECTIONS
from tp_mcp.server.http.exchanges import DROP_EXTENSION

logger = logging.getLogger(__name__)


class BoundedProtocol(H11Protocol):
    """Refuses connections beyond the limit, hands every request the means to drop its own, and drops dead ones.

    uvicorn bounds only how long a connection rests after an answer. Whoever sends no headers, or sends them without
    end, or has not read an answer that was complete long ago, would hold its connection for good.
    """

    _late_headers: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Begin to wait for its first request."""
        if len(self.connections) >= MAX_CONNECTIONS:
            logger.warning("Closing a new connection: %d are open already", len(self.connections))
            # Its loss is told to uvicorn, which closes what it knows.
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
        """Take in a part of a request."""
        super().data_received(data)
        self._bound_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._headers_are_there()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        """End it after its rest, also where its client never read what it was sent."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            # Closing waits for what is unsent, which only its reader could end.
            logger.info("Dropping a connection: its last answer was not read")
            self.transport.abort()

    def _bound_headers(self) -> None:
        if self.conn.their_state is not IDLE:
            self._headers_are_there()
        elif self._late_headers is None:
            # Not begun anew by a further part: one byte a second would keep the connection for good.
            self._late_headers = self.loop.call_later(HEADERS_SECONDS, self._drop_for_headers)

    def _headers_are_there(self) -> None:
        if self._late_headers is not None:
            self._late_headers.cancel()
            self._late_headers = None

    def _drop_for_headers(self) -> None:
        logger.info("Dropping a connection: its request's headers did not arrive")
        self.transport.abort()
