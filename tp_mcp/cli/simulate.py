"""`tp-mcp simulate`: the embedded TP on a port."""

import errno
import os
import sys

import anyio
import typer

from tp_mcp.simulator import SimulatorOptions, serve_simulator

CANNOT_LISTEN = frozenset({errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL})


def run_simulator(*, host: str, port: int, speed: float) -> None:
    """Serve the embedded TP until a signal asks to end."""

    def ready(address: str) -> None:
        typer.echo(f"The embedded TP listens on {address}")
        login = "TP_MCP_USERNAME=demo TP_MCP_PASSWORD=demo-password"
        typer.echo(f"Use it: TP_MCP_BASE_URL={address} {login} tp-mcp doctor")

    async def serve() -> None:
        await serve_simulator(SimulatorOptions(speed=speed), host=host, port=port, on_ready=ready)

    try:
        anyio.run(serve)
    except OSError as error:
        if error.errno not in CANNOT_LISTEN:
            raise
        sys.exit(f"tp-mcp: cannot listen on port {port} of {host}: {os.strerror(error.errno)}. Choose another --port.")
