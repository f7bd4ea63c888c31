"""`tp-mcp credentials`: the TP logins that are kept for the users of a server over HTTP."""

from typing import Annotated

import typer

app = typer.Typer(help="The TP logins that are kept for a server's users.", no_args_is_help=True)

User = Annotated[str, typer.Option(help="Whose it is: alice, as in tp-mcp token add; oidc:alice with a provider.")]
Profile = Annotated[str | None, typer.Option(help="Which profile of the configuration file to use.")]


@app.command("set")
def set_credential(
    user: User,
    tp_user: Annotated[str | None, typer.Option(help="User name on TP, for a password; without it: a token.")] = None,
    profile: Profile = None,
) -> None:
    """Keep a user's TP login, encrypted. The password or token is asked for, or read from standard input."""
    from tp_mcp.cli.kept_logins import keep_login

    keep_login(user, tp_user, profile)


@app.command("list")
def list_credentials(profile: Profile = None) -> None:
    """List whose logins are kept, as whom they log in, and whether the key decrypts them; never the logins."""
    from tp_mcp.cli.kept_logins import list_logins

    list_logins(profile)


@app.command("remove")
def remove_credential(user: User, profile: Profile = None) -> None:
    """Keep a user's TP login no longer."""
    from tp_mcp.cli.kept_logins import remove_login

    remove_login(user, profile)
