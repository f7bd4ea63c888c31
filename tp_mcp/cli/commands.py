"""The commands of `tp-mcp`. Each loads what it needs when it runs."""

from typing import Annotated

import typer

from tp_mcp import __version__
from tp_mcp.cli import connector
from tp_mcp.cli.serve_options import DEFAULT_SPEED, MAX_SPEED, MIN_SPEED, parse_serve_options

app = typer.Typer(
    name="tp-mcp",
    help="An MCP server for the TP test platform: upgrades, pytest runs, and watches that report back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(connector.app, name="connector")

Profile = Annotated[str | None, typer.Option(help="Which profile of the configuration file to use.")]
Speed = Annotated[
    float, typer.Option(min=MIN_SPEED, max=MAX_SPEED, help="How many times faster than real the embedded TP works.")
]


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(context: typer.Context) -> None:
    """Serve MCP to chat clients, over standard input and output or over HTTP."""
    from tp_mcp.cli.serve import serve as run

    run(parse_serve_options(context.args))


@app.command()
def demo(
    speed: Speed = DEFAULT_SPEED,
) -> None:
    """Play a whole conversation against the embedded TP, and show what the assistant reads."""
    from tp_mcp.cli.demo import run_demo

    raise typer.Exit(run_demo(speed=speed))


@app.command()
def doctor(profile: Profile = None) -> None:
    """Say what is configured, reachable and authorised, and what to do about what is not."""
    from tp_mcp.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(profile=profile))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8000,
    speed: Speed = DEFAULT_SPEED,
) -> None:
    """Serve the embedded TP on a port, to try the server against or to test with."""
    from tp_mcp.cli.simulate import run_simulator

    run_simulator(host=host, port=port, speed=speed)


@app.command()
def tools(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the README's table.")] = False,
) -> None:
    """List the tools, with what their listing costs a model."""
    from tp_mcp.cli.tools import print_tools

    print_tools(markdown=markdown)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
