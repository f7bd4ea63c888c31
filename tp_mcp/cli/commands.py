"""The commands of `tp-mcp`. Each loads what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from tp_mcp import __version__
from tp_mcp.cli import connector, credentials, script_commands
from tp_mcp.composition.serve_options import DEFAULT_SPEED, MAX_SPEED, MIN_SPEED, parse_serve_options

app = typer.Typer(
    name="tp-mcp",
    help="An MCP server for the TP test platform: upgrades, pytest runs, and watches that report back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(connector.app, name="connector")
app.add_typer(credentials.app, name="credentials")
script_commands.add_to(app)


def _state_dir() -> Path:
    from tp_mcp.composition.environment import config_file, default_state_dir
    from tp_mcp.errors import TpMcpError
    from tp_mcp.settings import load_settings

    try:
        return load_settings(config_file()).state_dir or default_state_dir()
    except TpMcpError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


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
def approve(code: Annotated[str, typer.Argument(help="The code that the assistant shows.")]) -> None:
    """Say yes to a change of a protected testbed; it shows the plan first."""
    from tp_mcp.cli.approve import run_approve

    raise typer.Exit(run_approve(code, _state_dir()))


@app.command()
def audit(
    hours: Annotated[float, typer.Option(min=0, help="How far back to look.")] = 24.0,
    testbed: Annotated[str | None, typer.Option(help="Of this testbed alone.")] = None,
    principal: Annotated[str | None, typer.Option(help="Of this principal alone, e.g. local:alice.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many lines, the newest.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each line.")] = False,
) -> None:
    """Show who asked for what change, how it was decided, and what came of it."""
    from tp_mcp.access.audit_log import AuditFilter
    from tp_mcp.cli.audit import run_audit
    from tp_mcp.clock import SystemClock

    since = SystemClock().now() - hours * 3600
    wanted = AuditFilter(since=since, testbed=testbed, principal=principal, limit=limit)
    raise typer.Exit(run_audit(_state_dir(), wanted, as_json=as_json))


token = typer.Typer(help="The HTTP server's own access tokens.", no_args_is_help=True)
app.add_typer(token, name="token")


@token.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="What it is called, e.g. alice-laptop.")],
    user: Annotated[str, typer.Option(help="Whose it is; a user's tokens share their watches.")],
    days: Annotated[float | None, typer.Option(help="For how many days it is good; for ever if left out.")] = None,
) -> None:
    """Make a token, and print it once, alone on standard output."""
    from tp_mcp.cli.token import add_token

    add_token(_state_dir(), name, user, days)


@token.command("list")
def token_list() -> None:
    """List the tokens, whose they are, and whether they are good."""
    from tp_mcp.cli.token import list_tokens

    list_tokens(_state_dir())


@token.command("revoke")
def token_revoke(name: Annotated[str, typer.Argument(help="What it is called.")]) -> None:
    """Let a token be no good from now on."""
    from tp_mcp.cli.token import revoke_token

    revoke_token(_state_dir(), name)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
