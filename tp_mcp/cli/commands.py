"""The commands of `tp-mcp` and their options. Each command loads its implementation when it runs."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue

from tp_mcp import __version__
from tp_mcp.cli import connector
from tp_mcp.cli.script_terms import MEANING, ReportFormat
from tp_mcp.composition.serve_options import DEFAULT_SPEED, MAX_SPEED, MIN_SPEED, parse_serve_options

DETACHING = "^C stops the waiting and not the job; the output names the command that continues to wait."
"""Part of the help of all commands that follow a job."""

app = typer.Typer(
    name="tp-mcp",
    help="An MCP server for the TP test platform: upgrades, pytest runs, and watches that report back.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
token = typer.Typer(help="Access tokens of the HTTP server.", no_args_is_help=True)
credentials = typer.Typer(help="TP logins that the HTTP server stores for its users.", no_args_is_help=True)
app.add_typer(connector.app, name="connector")
app.add_typer(credentials, name="credentials")
app.add_typer(token, name="token")

Profile = Annotated[str | None, typer.Option(help="Profile of the configuration file to use.")]
Speed = Annotated[
    float, typer.Option(min=MIN_SPEED, max=MAX_SPEED, help="How many times faster than real time the embedded TP runs.")
]
MaxWait = Annotated[
    float | None,
    typer.Option(min=0, help="Seconds to wait; after that the job goes on, and the exit code is 2."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Confirm the plan if it needs a confirmation.")]
Confirm = Annotated[str | None, typer.Option(help="Code of a plan that was shown before.")]
User = Annotated[str, typer.Option(help="The user: alice, as in tp-mcp token add, or oidc:alice with a provider.")]


@app.command(add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def serve(context: typer.Context) -> None:
    """Serve MCP to chat clients, over standard input and output or over HTTP."""
    from tp_mcp.cli.serve import serve as run_server

    run_server(parse_serve_options(context.args))


@app.command()
def demo(speed: Speed = DEFAULT_SPEED) -> None:
    """Play a whole conversation against the embedded TP, and show the calls and results of the assistant."""
    from tp_mcp.cli.demo import run_demo

    raise typer.Exit(run_demo(speed=speed))


@app.command()
def doctor(profile: Profile = None) -> None:
    """Check the configuration, the connection and the login, and suggest fixes."""
    from tp_mcp.cli.doctor import run_doctor

    raise typer.Exit(run_doctor(profile=profile))


@app.command()
def simulate(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8000,
    speed: Speed = DEFAULT_SPEED,
) -> None:
    """Serve the embedded TP on a port, for trials and tests."""
    from tp_mcp.cli.serve import serve_embedded_tp

    serve_embedded_tp(host=host, port=port, speed=speed)


@app.command()
def tools(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the documentation's table.")] = False,
) -> None:
    """List the tools, and the size of their listing in a model's context."""
    from tp_mcp.cli.tools import print_tools

    print_tools(markdown=markdown)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


@app.command(epilog=f"{MEANING} {DETACHING}")
def upgrade(
    testbed: Annotated[str, typer.Argument(help="Name of the testbed (lab).")],
    build: Annotated[str | None, typer.Option(help="Build number, with its leading zeros.")] = None,
    ga: Annotated[str | None, typer.Option(help="Version whose newest GA build to install, e.g. 7.6.5.")] = None,
    yes: Yes = False,
    confirm: Confirm = None,
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Upgrade a testbed, and wait for the upgrade to finish."""
    from tp_mcp.cli.jobs import UPGRADE, Following, start

    if (build is None) == (ga is None):
        raise typer.BadParameter("give either --build or --ga")
    image: dict[str, JsonValue] = (
        {"mode": "build", "build_number": build} if ga is None else {"mode": "ga", "version": ga}
    )
    arguments: dict[str, JsonValue] = {"testbed": testbed, **image}
    raise typer.Exit(start(UPGRADE, arguments, Following(profile, max_wait), yes=yes, confirm=confirm))


@app.command(epilog=f"{MEANING} {DETACHING}")
def run(
    lab: Annotated[str, typer.Argument(help="Name of the lab (testbed).")],
    testcase: Annotated[list[str], typer.Argument(help="Pytest ids: directories, files, file::Class::test.")],
    argument: Annotated[str, typer.Option(help="Pytest arguments, e.g. \"-k 'radius and not flaky'\".")] = "",
    yes: Yes = False,
    confirm: Confirm = None,
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Run pytest on a lab, and wait for the run to finish."""
    from tp_mcp.cli.jobs import RUN, Following, start

    arguments: dict[str, JsonValue] = {"lab": lab, "testcase": [*testcase], "argument": argument}
    raise typer.Exit(start(RUN, arguments, Following(profile, max_wait), yes=yes, confirm=confirm))


@app.command(epilog=f"{MEANING} {DETACHING}")
def wait(
    job: Annotated[str, typer.Argument(help="Id of a watch (w_...) or of an execution (446).")],
    max_wait: MaxWait = None,
    profile: Profile = None,
) -> None:
    """Wait for a watch or an execution to end, regardless of who started it."""
    from tp_mcp.cli.jobs import Following
    from tp_mcp.cli.jobs import wait as wait_for

    raise typer.Exit(wait_for(job, Following(profile, max_wait)))


@app.command(epilog=MEANING)
def report(
    exec_id: Annotated[int, typer.Argument(min=1, help="Id of the execution.")],
    form: Annotated[ReportFormat, typer.Option("--format", help="Output format.")] = ReportFormat.TABLE,
    output: Annotated[Path | None, typer.Option(help="File to write to instead of standard output.")] = None,
    profile: Profile = None,
) -> None:
    """Write the test results of an ended run."""
    from tp_mcp.cli.report import run_report

    raise typer.Exit(run_report(exec_id, form, output=output, profile=profile))


@app.command()
def approve(code: Annotated[str, typer.Argument(help="The code that the assistant shows.")]) -> None:
    """Show a planned change of a protected testbed, and approve it."""
    from tp_mcp.cli.administration import approve_change

    raise typer.Exit(approve_change(code))


@app.command()
def audit(
    hours: Annotated[float, typer.Option(min=0, help="Hours to look back.")] = 24.0,
    testbed: Annotated[str | None, typer.Option(help="Only entries of this testbed.")] = None,
    principal: Annotated[str | None, typer.Option(help="Only entries of this principal, e.g. local:alice.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Number of entries to show, the newest ones.")] = 200,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
) -> None:
    """Show who asked for which change, how it was decided, and its outcome."""
    from tp_mcp.cli.administration import print_audit_log

    raise typer.Exit(print_audit_log(hours, testbed=testbed, principal=principal, limit=limit, as_json=as_json))


@token.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Name of the token, e.g. alice-laptop.")],
    user: Annotated[str, typer.Option(help="Owner of the token; all tokens of a user share their watches.")],
    days: Annotated[float | None, typer.Option(help="Days until the token expires; it never does by default.")] = None,
) -> None:
    """Create a token. It is printed once, alone on standard output."""
    from tp_mcp.cli.administration import add_token

    add_token(name, user, days)


@token.command("list")
def token_list() -> None:
    """List the tokens with their owners, and whether they are valid."""
    from tp_mcp.cli.administration import list_tokens

    list_tokens()


@token.command("revoke")
def token_revoke(name: Annotated[str, typer.Argument(help="Name of the token.")]) -> None:
    """Revoke a token."""
    from tp_mcp.cli.administration import revoke_token

    revoke_token(name)


@credentials.command("set")
def set_credential(
    user: User,
    tp_user: Annotated[
        str | None, typer.Option(help="User name on TP, for a login with a password; a TP token is read without it.")
    ] = None,
    profile: Profile = None,
) -> None:
    """Store a user's TP login, encrypted. Asks for the password or token, or reads it from standard input."""
    from tp_mcp.cli.administration import store_login

    store_login(user, tp_user, profile)


@credentials.command("list")
def list_credentials(profile: Profile = None) -> None:
    """List the users with a stored login, their names on TP, and whether the key decrypts it. Shows no secrets."""
    from tp_mcp.cli.administration import list_logins

    list_logins(profile)


@credentials.command("remove")
def remove_credential(user: User, profile: Profile = None) -> None:
    """Remove a user's stored TP login."""
    from tp_mcp.cli.administration import remove_login

    remove_login(user, profile)
