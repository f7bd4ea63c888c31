"""Keeping the TP logins of a server's users, and showing whose are kept."""

import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

import anyio
import typer
from pydantic import SecretStr

from tp_mcp.access.credentials import StorableLogin, Vault
from tp_mcp.api.auth import IssuedToken, PasswordLogin
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import config_file, default_state_dir
from tp_mcp.composition.open_services import vault_of
from tp_mcp.errors import TpMcpError
from tp_mcp.settings import Settings, load_settings
from tp_mcp.storage.opening import open_storage

KINDS = ("token:", "oidc:")
"""What principals of the HTTP server begin with."""

Result = TypeVar("Result")


def keep_login(user: str, tp_user: str | None, profile: str | None) -> None:
    """Ask for a token, or for the password of `tp_user`, and keep it encrypted."""
    principal = _principal(user)
    secret = SecretStr(_asked("TP token" if tp_user is None else f"Password of {tp_user} on TP"))
    login: StorableLogin = IssuedToken(secret) if tp_user is None else PasswordLogin(tp_user, secret)
    _with_vault(profile, lambda vault: vault.put(principal, login))
    typer.echo(f"The login of {principal} is kept.")


def list_logins(profile: str | None) -> None:
    """Print whose logins are kept, as whom they log in, and whether the key decrypts them."""

    async def listed(vault: Vault) -> list[str]:
        return [
            f"{each.principal}\t{each.username}\t{each.kind}\tsince "
            f"{datetime.fromtimestamp(each.created_at, UTC).date().isoformat()}\t"
            f"{'good' if vault.opens(each) else 'cannot be decrypted'}"
            for each in await vault.all()
        ]

    for line in _with_vault(profile, listed):
        typer.echo(line)


def remove_login(user: str, profile: str | None) -> None:
    """Keep a user's login no longer."""
    principal = _principal(user)
    _with_vault(profile, lambda vault: vault.remove(principal))
    typer.echo(f"The login of {principal} is removed.")


def _principal(user: str) -> str:
    return user if user.startswith(KINDS) else f"token:{user}"


def _asked(what: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(what, hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")


def _with_vault(profile: str | None, work: Callable[[Vault], Awaitable[Result]]) -> Result:
    async def run(settings: Settings) -> Result:
        server = settings.require_base_url()
        async with await open_storage(settings.state_dir or default_state_dir()) as storage:
            return await work(vault_of(settings, storage, server=server, clock=SystemClock()))

    try:
        return anyio.run(run, load_settings(config_file(), profile=profile))
    except TpMcpError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
