"""`tp-mcp serve`: the MCP server for a chat client."""

from __future__ import annotations

import logging
import os
import signal
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import process_identity
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager

    from tp_mcp.clock import Clock
    from tp_mcp.composition.serve_options import ServeOptions
    from tp_mcp.server.auth.authentication import Authentication
    from tp_mcp.server.auth.rate_limit import Limiting
    from tp_mcp.server.identity import Identity
    from tp_mcp.server.listing import Tools
    from tp_mcp.tools.framework.definition import ToolDefinition
    from tp_mcp.tools.framework.services import Services

    Opening = Callable[[ServeOptions, Clock], AbstractAsyncContextManager[Services]]

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""One line for each entry on standard error, which chat clients write to a file."""


def serve(options: ServeOptions) -> None:
    """Serve MCP until a signal asks to end or, over standard input and output, the client closes them."""
    prepare(options)()


def prepare(options: ServeOptions) -> Callable[[], None]:
    """Return a function that serves like `serve`, once all that the first answer needs is imported and made."""
    if options.http is None:
        logging.basicConfig(level=logging.WARNING, format=LOG_FORMAT)
        server, backend = _server(options, process_identity())
        return lambda: anyio.run(_serve_stdio, server, backend)
    from tp_mcp.cli.serve_http import serve_http

    backend, clock = _backend(options), SystemClock()

    def make(identity: Identity, authentication: Authentication | None, limiting: Limiting) -> TpServer:
        return TpServer(
            backend,
            identity,
            clock,
            lambda: load_tools(options),
            lambda: list_tools(options),
            authentication=authentication,
            limiting=limiting,
        )

    return lambda: serve_http(options, backend, make)


def _server(options: ServeOptions, identity: Identity) -> tuple[TpServer, Backend]:
    backend = _backend(options)
    server = TpServer(backend, identity, SystemClock(), lambda: load_tools(options), lambda: list_tools(options))
    return server, backend


def _backend(options: ServeOptions) -> Backend:
    clock = SystemClock()

    @asynccontextmanager
    async def open_when_needed() -> AsyncIterator[Services]:
        # On a thread, so that importing what is behind the tools does not hold up an answer.
        opening = await anyio.to_thread.run_sync(_load_opening)
        async with opening(options, clock) as services:
            yield services

    return Backend(open_when_needed, clock)


async def _serve_stdio(server: TpServer, backend: Backend) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, backend)
        with _gone_clients_aside():
            await server.run_stdio_async()
        tasks.cancel_scope.cancel()


@contextmanager
def _gone_clients_aside() -> Iterator[None]:
    """Take the end of a client that was killed, to whom nothing can be written any more, for what it is: the end."""
    try:
        yield
    except* (BrokenPipeError, anyio.BrokenResourceError):
        pass


async def _end_on_signal(backend: Backend) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            await backend.close()
            # A thread waits for standard input, and nothing can wake it: ending in order would wait for the client.
            os._exit(0)


def _load_opening() -> Opening:
    from tp_mcp.composition.opening import open_configured

    return open_configured


def list_tools(options: ServeOptions) -> Tools:
    """Return the tools to offer, as they are listed."""
    from tp_mcp.cli.toolsets import offered_tools

    return offered_tools(options)


def load_tools(options: ServeOptions) -> tuple[ToolDefinition[Any], ...]:
    """Return the definitions of the tools to offer."""
    from tp_mcp.server.toolset import ALL_TOOLS

    definitions = {definition.name: definition for definition in ALL_TOOLS}
    return tuple(definitions[tool.name] for tool in list_tools(options))
