"""Serving the HTTP application on a port until it is asked to stop."""

import contextlib
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from tp_mcp.server.app import TpServer
from tp_mcp.server.http.capacity import ANSWER_SECONDS, KEEP_ALIVE_SECONDS, SEND_BUFFER_BYTES
from tp_mcp.server.http.exchanges import Exchanges
from tp_mcp.server.http.protocol import BoundedProtocol
from tp_mcp.tools.framework.services import Services

BACKLOG = 512


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the port cannot be listened on.

    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because only of a socket that is known to be TCP does asyncio send small parts without delay.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits it: a client that never reads costs no more than this.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


class HttpServing:
    """One application on one listening socket."""

    def __init__(self, app: ASGIApp, listening: socket.socket, *, close: Callable[[], Awaitable[None]]) -> None:
        """Prepare.

        Args:
            app: what answers.
            listening: where; closed at the end.
            close: closes what is behind the application, so that what waits for it is answered.

        """
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
        """Answer what is under way as well as it can be, end every stream, and let `run` return."""
        await self._close()
        await self._exchanges.end(within=ANSWER_SECONDS)
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves the signals to whoever runs it."""

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
        # What is garbage by now would otherwise never be found.
        gc.collect()
        gc.freeze()
        yield

    return companion
