"""`tp-mcp simulate`: the embedded TP on a port."""

import anyio
import typer

from tp_mcp.simulator import SimulatorOptions, serve_simulator


def run_simulator(*, host: str, port: int, speed: float) -> None:
    """Serve the embedded TP until a signal asks to end."""

    def ready(address: str) -> None:
        typer.echo(f"The embedded TP listens on {address}")
        login = "TP_MCP_USERNAME=demo TP_MCP_PASSWORD=demo-password"
        typer.echo(f"Use it: TP_MCP_BASE_URL={address} {login} tp-mcp doctor")

    async def serve() -> None:
        await serve_simulator(SimulatorOptions(speed=speed), host=host, port=port, on_ready=ready)

    anyio.run(serve)
