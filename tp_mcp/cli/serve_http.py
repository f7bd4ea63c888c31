"""`tp-mcp serve --http`: one server for many clients."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import anyio

from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import config_file
from tp_mcp.composition.http_access import authentication_of
from tp_mcp.composition.serve_options import HttpOptions, ServeOptions
from tp_mcp.errors import TpMcpError
from tp_mcp.server.app import TpServer
from tp_mcp.server.auth.authentication import Authentication, authenticated, names_answered_to
from tp_mcp.server.auth.rate_limit import Limiting, RateLimit
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.application import MCP_PATH, Readiness, http_app
from tp_mcp.server.http.capacity import STOP_SECONDS
from tp_mcp.server.http.serving import HttpServing, listen, settled
from tp_mcp.server.http.sessions import Sessions
from tp_mcp.server.identity import HttpIdentity, Identity, everyone
from tp_mcp.settings import load_settings

MakeServer = Callable[[Identity, Authentication | None, Limiting], TpServer]

CUT_OFF_BEFORE_SECONDS = 0.2


def serve_http(options: ServeOptions, backend: Backend, make: MakeServer) -> None:
    """Serve until a signal asks to end. Exits with a message if the configuration cannot be used."""
    http = options.http or HttpOptions()
    clock = SystemClock()
    try:
        settings = load_settings(config_file(), profile=options.profile)
        # Before listening: a client must not wait for a configuration error.
        authentication_of(settings, http, address=_address(http, http.port), backend=backend, clock=clock)
    except TpMcpError as error:
        sys.exit(f"tp-mcp: {error}")
    try:
        listening = listen(http.host, http.port)
    except OSError as error:
        sys.exit(f"tp-mcp: cannot listen on port {http.port} of {http.host}: {error.strerror}. Choose another --port.")
    address = _address(http, listening.getsockname()[1])
    authentication = authentication_of(settings, http, address=address, backend=backend, clock=clock)
    principal_of = everyone if authentication is None else authenticated
    identity = HttpIdentity(principal_of=principal_of, header=settings.conversation_header)
    limiting = Limiting(RateLimit(clock, per_minute=settings.requests_per_minute), identity)
    server = make(identity, authentication, limiting)
    app = Sessions(http_app(server, Readiness(backend, clock), security=names_answered_to(settings.public_url)), clock)
    backend.accompany(app.following)
    backend.accompany(settled(server))

    async def close() -> None:
        await backend.close()
        server.subscriptions.close()

    serving = HttpServing(app, listening, close=close)

    async def serve() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, serving)
            # No client waits for a quick first answer here, so everything is opened now.
            backend.answered()
            print(f"tp-mcp serves MCP on {address}", file=sys.stderr, flush=True)  # noqa: T201 -- for a person
            await serving.run()
            tasks.cancel_scope.cancel()

    anyio.run(serve)


def _address(http: HttpOptions, port: int) -> str:
    host = f"[{http.host}]" if ":" in http.host else http.host
    return f"http://{host}:{port}{MCP_PATH}"


async def _stop_on_signal(serving: HttpServing) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            # The store is consistent at any time, so a slow shutdown can be cut off.
            last = threading.Timer(STOP_SECONDS - CUT_OFF_BEFORE_SECONDS, os._exit, [0])
            last.daemon = True
            last.start()
            await serving.stop()
            return
