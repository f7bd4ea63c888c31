"""The simulated TP with its HTTP interface, in process or on a port."""

import asyncio
import contextlib
import functools
import signal
import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tp_mcp.simulator.platform import Platform
from tp_mcp.simulator.state import SimulatorOptions

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp, Receive, Scope, Send

GRACE_SECONDS = 2
BACKLOG = 128


class Simulator(Platform):
    """A test platform that answers HTTP, as an async context manager that stops what it started."""

    @functools.cached_property
    def app(self) -> "ASGIApp":
        """The ASGI application, to serve in process or on a port."""
        from tp_mcp.simulator.wire.tp_routes import build_application  # noqa: PLC0415 - starlette loads slowly

        return build_application(self)


async def serve_simulator(options: SimulatorOptions, *, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until cancelled or until SIGTERM, then stop cleanly.

    No connection, no run and no temporary directory is left.

    Args:
        port: port to listen on; 0 for any free one.
        on_ready: called with the base URL (`http://127.0.0.1:8000`) once connections are accepted.

    Raises:
        OSError: if the port cannot be listened on.
    """
    listening = socket.create_server((host, port), backlog=BACKLOG, reuse_port=False)
    base_url = f"http://{host}:{listening.getsockname()[1]}"
    async with Simulator(options) as simulator:
        server = _server(simulator, lambda: on_ready(base_url))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            with _sigterm(lambda: setattr(server, "should_exit", True)):
                await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            listening.close()


def _server(simulator: Simulator, on_ready: Callable[[], None]) -> "uvicorn.Server":
    import uvicorn  # noqa: PLC0415 - only needed where there is a port
    from uvicorn.protocols.http.h11_impl import H11Protocol  # noqa: PLC0415

    from tp_mcp.simulator.wire.fault_layer import DROP_EXTENSION  # noqa: PLC0415

    class DroppableProtocol(H11Protocol):
        """Gives every request a way to drop its connection."""

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
            super().connection_made(transport)
            inner = self.app

            async def droppable(scope: "Scope", receive: "Receive", send: "Send") -> None:
                scope.setdefault("extensions", {})[DROP_EXTENSION] = transport.abort
                await inner(scope, receive, send)

            self.app = droppable

    class Server(uvicorn.Server):
        """Reports when it is ready, and leaves signals to the caller."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    return Server(
        uvicorn.Config(
            simulator.app,
            http=DroppableProtocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
    )


@contextlib.contextmanager
def _sigterm(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(signal.SIGTERM, stop)
    except (RuntimeError, ValueError):  # Not in the main thread: the signal is somebody else's.
        yield
        return
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
