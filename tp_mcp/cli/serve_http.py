"""`tp-mcp serve --http`: one server for many clients of this machine."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import anyio

from tp_mcp.cli.environment import config_file
from tp_mcp.cli.serve_options import HttpOptions, ServeOptions
from tp_mcp.clock import SystemClock
from tp_mcp.errors import TpMcpError
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.conversations import HttpIdentity, Identity
from tp_mcp.server.http.application import MCP_PATH, http_app
from tp_mcp.server.http.limits import STOP_SECONDS
from tp_mcp.server.http.readiness import Readiness
from tp_mcp.server.http.serving import HttpServing, listen
from tp_mcp.server.http.sessions import Sessions
from tp_mcp.settings import load_settings

CUT_OFF_BEFORE_SECONDS = 0.2


def serve_http(options: ServeOptions, make: Callable[[Identity], tuple[TpServer, Backend]]) -> None:
    """Serve until a signal asks to end. Exits with words where what is configured cannot be used."""
    http = options.http or HttpOptions()
    try:
        header = load_settings(config_file(), profile=options.profile).conversation_header
    except TpMcpError as error:
        sys.exit(f"tp-mcp: {error}")
    server, backend = make(HttpIdentity(header=header))
    try:
        listening = listen(http.host, http.port)
    except OSError as error:
        sys.exit(f"tp-mcp: cannot listen on port {http.port} of {http.host}: {error.strerror}. Choose another --port.")
    host = f"[{http.host}]" if ":" in http.host else http.host
    address = f"http://{host}:{listening.getsockname()[1]}{MCP_PATH}"
    clock = SystemClock()
    app = Sessions(http_app(server, Readiness(backend, clock), host=http.host), clock)
    backend.accompany(app.following)

    async def close() -> None:
        await backend.close()
        server.subscriptions.close()

    serving = HttpServing(app, listening, close=close)

    async def serve() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_stop_on_signal, serving)
            # There is no first answer to be quick with: whoever connects finds everything open.
            backend.answered()
            print(f"tp-mcp serves MCP on {address}", file=sys.stderr, flush=True)  # noqa: T201 -- for a person
            await serving.run()
            tasks.cancel_scope.cancel()

    anyio.run(serve)


async def _stop_on_signal(serving: HttpServing) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            # The store is whole at any time, so what does not end in order may be cut off.
            last = threading.Timer(STOP_SECONDS - CUT_OFF_BEFORE_SECONDS, os._exit, [0])
            last.daemon = True
            last.start()
            await serving.stop()
            return
