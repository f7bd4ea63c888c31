"""`tp-mcp token`: the HTTP server's own access tokens."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import anyio
import typer

from tp_mcp.access.access_tokens import AccessToken, Tokens
from tp_mcp.clock import SystemClock
from tp_mcp.errors import TpMcpError
from tp_mcp.storage.opening import open_storage

Result = TypeVar("Result")


def add_token(state_dir: Path, name: str, user: str, days: float | None) -> None:
    """Make a token, and print it once."""
    secret = _with_tokens(state_dir, lambda tokens: tokens.add(name, user, days=days))
    typer.echo(f"Token {name} of {user}; it is not shown again:", err=True)
    typer.echo(secret.get_secret_value())


def list_tokens(state_dir: Path) -> None:
    """Print every token's name, user and state."""
    now = SystemClock().now()
    for token in _with_tokens(state_dir, lambda tokens: tokens.all()):
        typer.echo(f"{token.name}\t{token.principal}\t{_state(token, now)}")


def revoke_token(state_dir: Path, name: str) -> None:
    """Let a token be no good from now on."""
    _with_tokens(state_dir, lambda tokens: tokens.revoke(name))
    typer.echo(f"{name} is revoked.")


def _state(token: AccessToken, now: float) -> str:
    if token.revoked_at is not None:
        return f"revoked {_day(token.revoked_at)}"
    if not token.good(now):
        return "expired"
    return "good" if token.expires_at is None else f"good until {_day(token.expires_at)}"


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _with_tokens(state_dir: Path, work: Callable[[Tokens], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        async with await open_storage(state_dir) as storage:
            return await work(Tokens(storage.tokens, SystemClock()))

    try:
        return anyio.run(run)
    except TpMcpError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
