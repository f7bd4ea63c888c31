"""`tp-mcp serve` over standard input and output, the choice of its tools, and `tp-mcp simulate`."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread

from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import any_variable_is_set, config_file, process_identity
from tp_mcp.errors import ConfigurationError
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.listing import changes_tp, read_listing

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

logger = logging.getLogger(__name__)

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
"""One line for each entry on standard error, which chat clients write to a file."""

TOOL_SETTINGS = ("TP_MCP_TOOLSETS", "TP_MCP_DISABLED_TOOLS", "TP_MCP_READ_ONLY")
"""The variables that decide which tools are offered."""

CANNOT_LISTEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


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
        # On a thread, so that the imports do not delay an answer.
        opening = await anyio.to_thread.run_sync(_load_opening)
        async with opening(options, clock) as services:
            yield services

    return Backend(open_when_needed, clock)


async def _serve_stdio(server: TpServer, backend: Backend) -> None:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, backend)
        with _ignore_killed_client():
            await server.run_stdio_async()
        tasks.cancel_scope.cancel()


@contextmanager
def _ignore_killed_client() -> Iterator[None]:
    """Treat a client that was killed, so that nothing can be written to it, like one that closed the connection."""
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
    from tp_mcp.composition.open_services import open_configured

    return open_configured


def list_tools(options: ServeOptions) -> Tools:
    """Return the default tools and the toolsets that the option names or, without the option, the setting.

    Disabled tools are left out and, on a read-only server, all tools that change TP.

    If a toolset does not exist, or another setting is wrong, the log says so and the default tools are offered: a chat
    with most of its tools serves its user better than one without any, and each call explains the wrong setting.
    """
    listing = read_listing()
    if options.toolsets is None and not any_variable_is_set(TOOL_SETTINGS):
        return listing.default
    # Loading the settings takes longer than everything else that answers a client, so it happens only if they matter.
    from tp_mcp.settings import load_settings

    try:
        settings = load_settings(config_file(), profile=options.profile)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        return listing.default
    known = {tool.name for tools in (listing.default, *listing.toolsets.values()) for tool in tools}
    if unknown := settings.disabled_tools - known:
        logger.warning("TP_MCP_DISABLED_TOOLS names unknown tools: %s", ", ".join(sorted(unknown)))
    try:
        tools = listing.with_toolsets(settings.toolsets if options.toolsets is None else options.toolsets)
    except ConfigurationError as error:
        logger.warning("Only the default tools are offered: %s", error)
        tools = listing.default
    return tuple(
        tool
        for tool in tools
        if tool.name not in settings.disabled_tools and not (settings.read_only and changes_tp(tool))
    )


def load_tools(options: ServeOptions) -> tuple[ToolDefinition[Any], ...]:
    """Return the definitions of the tools to offer."""
    from tp_mcp.server.toolset import ALL_TOOLS

    definitions = {definition.name: definition for definition in ALL_TOOLS}
    return tuple(definitions[tool.name] for tool in list_tools(options))


def serve_embedded_tp(*, host: str, port: int, speed: float) -> None:
    """Serve the embedded TP on a port until a signal asks to end."""
    import typer

    from tp_mcp.simulator import SimulatorOptions, serve_simulator

    def ready(address: str) -> None:
        typer.echo(f"The embedded TP listens on {address}")
        login = "TP_MCP_USERNAME=demo TP_MCP_PASSWORD=demo-password"
        typer.echo(f"To use it: TP_MCP_BASE_URL={address} {login} tp-mcp doctor")

    async def run() -> None:
        await serve_simulator(SimulatorOptions(speed=speed), host=host, port=port, on_ready=ready)

    try:
        anyio.run(run)
    except OSError as error:
        if error.errno not in CANNOT_LISTEN:
            raise
        sys.exit(f"tp-mcp: cannot listen on port {port} of {host}: {os.strerror(error.errno)}. Choose another --port.")
