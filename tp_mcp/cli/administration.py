"""Commands on a server's stored data: `approve`, `audit`, `token` and `credentials`."""

import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TypeVar

import anyio
import typer
from pydantic import SecretStr

from tp_mcp.access.access_tokens import AccessToken, Tokens
from tp_mcp.access.audit_log import AuditEntry, AuditFilter, Event, new_call_id
from tp_mcp.access.confirmations import Confirmations
from tp_mcp.access.credentials import StorableLogin, Vault
from tp_mcp.api.auth import IssuedToken, PasswordLogin
from tp_mcp.cli.terminal import redactor_of, say
from tp_mcp.clock import SystemClock
from tp_mcp.composition.environment import config_file, default_state_dir, process_identity
from tp_mcp.composition.tp_access import vault_of
from tp_mcp.errors import TpMcpError
from tp_mcp.settings import Settings, load_settings
from tp_mcp.storage.opening import Storage, open_storage

APPROVAL = "tp-mcp approve"
HTTP_PRINCIPALS = ("token:", "oidc:")
"""Prefixes of the HTTP server's principals."""

Result = TypeVar("Result")


def approve_change(code: str) -> int:
    """Show the plan, ask for approval, and return the exit code: 0 if approved, otherwise 1."""
    if not sys.stdin.isatty():
        # An assistant that can run commands must not answer for its user.
        say("Only a person at a terminal can approve, and standard input is no terminal.", err=True)
        return 1

    async def approve(storage: Storage, settings: Settings) -> bool:
        confirmations = Confirmations(storage.confirmations, SystemClock())
        question = await confirmations.waiting(code)
        redactor = redactor_of(settings)
        say(f"{question.principal} asks, in {question.conversation}:")
        for line in question.plan:
            say(f"  {line}", redactor)
        testbed = redactor.safe_line(question.testbed)
        if typer.prompt(f"To approve, type the testbed's name ({testbed})", default="") != question.testbed:
            return False
        await confirmations.approve(code)
        await storage.audit.append(
            AuditEntry(
                at=SystemClock().now(),
                call=new_call_id(),
                principal=question.principal,
                conversation=question.conversation,
                tool=APPROVAL,
                event=Event.CONFIRMED,
                testbed=question.testbed,
                detail=f"approved at a terminal by {process_identity().principal}",
            )
        )
        return True

    approved = _with_storage(approve)
    say("Approved. The assistant can call again with the code." if approved else "Not approved.")
    return 0 if approved else 1


def print_audit_log(hours: float, *, testbed: str | None, principal: str | None, limit: int, as_json: bool) -> int:
    """Print the newest entries of the last hours, and return the exit code."""
    since = SystemClock().now() - hours * 3600
    wanted = AuditFilter(since=since, testbed=testbed, principal=principal, limit=limit)
    entries = _with_storage(lambda storage, _: storage.audit.read(wanted))
    for entry in entries:
        say(_json_line(entry) if as_json else _text_line(entry))
    if not as_json and len(entries) == limit:
        say(f"Showing the newest {limit} entries; --limit shows more.")
    return 0


def _json_line(entry: AuditEntry) -> str:
    return json.dumps({**asdict(entry), "at": _time(entry.at)}, ensure_ascii=False)


def _text_line(entry: AuditEntry) -> str:
    testbed = f" {entry.testbed}" if entry.testbed else ""
    detail = f": {entry.detail}" if entry.detail else ""
    return f"{_time(entry.at)} {entry.call} {entry.principal} {entry.tool}{testbed} {entry.event}{detail}"


def add_token(name: str, user: str, days: float | None) -> None:
    """Create an access token, and print it once."""
    secret = _with_tokens(lambda tokens: tokens.add(name, user, days=days))
    say(f"Token {name} of {user}; it is not shown again:", err=True)
    typer.echo(secret.get_secret_value())


def list_tokens() -> None:
    """Print every access token's name, user and state."""
    now = SystemClock().now()
    for token in _with_tokens(lambda tokens: tokens.all()):
        say(f"{token.name}\t{token.principal}\t{_state(token, now)}")


def revoke_token(name: str) -> None:
    """Revoke an access token."""
    _with_tokens(lambda tokens: tokens.revoke(name))
    say(f"Revoked {name}.")


def _state(token: AccessToken, now: float) -> str:
    if token.revoked_at is not None:
        return f"revoked {_day(token.revoked_at)}"
    if not token.good(now):
        return "expired"
    return "valid" if token.expires_at is None else f"valid until {_day(token.expires_at)}"


def store_login(user: str, tp_user: str | None, profile: str | None) -> None:
    """Ask for a TP token, or for the password of `tp_user`, and store it encrypted."""
    principal = _principal(user)
    secret = SecretStr(_ask("TP token" if tp_user is None else f"Password of {tp_user} on TP"))
    login: StorableLogin = IssuedToken(secret) if tp_user is None else PasswordLogin(tp_user, secret)
    _with_vault(profile, lambda vault: vault.put(principal, login))
    say(f"Stored the login of {principal}.")


def list_logins(profile: str | None) -> None:
    """Print the users with a stored login, their names on TP, and whether the key decrypts it."""

    async def lines(vault: Vault) -> list[str]:
        return [
            f"{each.principal}\t{each.username}\t{each.kind}\tsince {_day(each.created_at)}\t"
            f"{'valid' if vault.opens(each) else 'cannot be decrypted'}"
            for each in await vault.all()
        ]

    for line in _with_vault(profile, lines):
        say(line)


def remove_login(user: str, profile: str | None) -> None:
    """Remove a user's stored login."""
    principal = _principal(user)
    _with_vault(profile, lambda vault: vault.remove(principal))
    say(f"Removed the login of {principal}.")


def _principal(user: str) -> str:
    return user if user.startswith(HTTP_PRINCIPALS) else f"token:{user}"


def _ask(question: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(question, hide_input=True))
    return sys.stdin.readline().rstrip("\r\n")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _with_tokens(work: Callable[[Tokens], Awaitable[Result]]) -> Result:
    return _with_storage(lambda storage, _: work(Tokens(storage.tokens, SystemClock())))


def _with_vault(profile: str | None, work: Callable[[Vault], Awaitable[Result]]) -> Result:
    async def opened(storage: Storage, settings: Settings) -> Result:
        return await work(vault_of(settings, storage, server=settings.require_base_url(), clock=SystemClock()))

    return _with_storage(opened, profile)


def _with_storage(work: Callable[[Storage, Settings], Awaitable[Result]], profile: str | None = None) -> Result:
    async def run() -> Result:
        settings = load_settings(config_file(), profile=profile)
        async with await open_storage(settings.state_dir or default_state_dir()) as storage:
            return await work(storage, settings)

    try:
        return anyio.run(run)
    except TpMcpError as error:
        say(str(error), err=True)
        raise typer.Exit(1) from None
