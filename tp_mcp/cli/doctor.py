"""`tp-mcp doctor`: checks the configuration, the connection and the login, and suggests fixes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import anyio
from rich.console import Console

from tp_mcp.api.auth import IssuedToken, NoLogin
from tp_mcp.api.client import TpClient
from tp_mcp.cli.terminal import PLAIN
from tp_mcp.clock import Clock, SystemClock
from tp_mcp.composition.environment import config_file, default_state_dir
from tp_mcp.composition.tp_access import TpAccess, tp_access, vault_of
from tp_mcp.connectors.loader import load_builtin_manifest, load_manifest
from tp_mcp.errors import TpMcpError, TpNotFoundError, TpNotJsonError, TpServerFaultError
from tp_mcp.redaction import Redactor
from tp_mcp.results.text import count_of
from tp_mcp.server.listing import read_listing
from tp_mcp.settings import Settings, load_settings
from tp_mcp.storage.opening import open_storage
from tp_mcp.tools.framework.tp_identities import TP_TOKEN_HEADER


class Mark(Enum):
    """The result of a check."""

    OK = "ok"
    WARNING = "warn"
    FAILED = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check with its result.

    Attributes:
        mark: the result.
        what: the subject of the check and its result, for a person.
        remedy: the suggested fix; empty if nothing is wrong.
    """

    mark: Mark
    what: str
    remedy: str = ""


async def login_finding(settings: Settings, state_dir: Path, access: TpAccess, clock: Clock) -> Finding:
    """Check how many logins are stored, whether the key decrypts them, and whose login polls."""
    try:
        async with await open_storage(state_dir) as storage:
            vault = vault_of(settings, storage, server=access.base_url, clock=clock)
            kept = await vault.all()
    except TpMcpError as error:
        return Finding(Mark.FAILED, f"Logins: {error.message}", error.remedy)
    lost = [each.principal for each in kept if not vault.opens(each)]
    if lost:
        return Finding(
            Mark.FAILED,
            f"Logins: {len(kept)} stored; TP_MCP_ENCRYPTION_KEY does not decrypt {len(lost)}: {', '.join(lost)}.",
            "Set TP_MCP_ENCRYPTION_KEY to the key that encrypted them, or store them again: tp-mcp credentials set.",
        )
    service_account = not isinstance(access.credentials, NoLogin)
    polls = (
        "the configured login only polls, for all users"
        if service_account
        else f"no service account, so calls with only a token in {TP_TOKEN_HEADER} cannot start watched jobs"
    )
    what = f"Logins: each user of the HTTP server acts on TP with their own; {len(kept)} stored; {polls}."
    if not kept and not vault.has_key and not service_account:
        return Finding(
            Mark.WARNING, what, "Set TP_MCP_ENCRYPTION_KEY and store logins with tp-mcp credentials set --user NAME."
        )
    return Finding(Mark.OK, what)


READABLE_BY_OTHERS = 0o077


def run_doctor(*, profile: str | None) -> int:
    """Run the checks, print them, and return the exit code: 0 if the server can work, otherwise 1."""
    console = Console(highlight=False, soft_wrap=True)

    async def check() -> int:
        failed = 0
        async with aclosing(findings(config_file(), default_state_dir(), SystemClock(), profile=profile)) as found:
            async for finding in found:
                failed += finding.mark is Mark.FAILED
                console.print(PLAIN.safe(f"{finding.mark.value:>4}  {finding.what}"), markup=False)
                if finding.remedy:
                    console.print(PLAIN.safe(f"      -> {finding.remedy}"), markup=False)
        console.print("The server can work." if not failed else "The server cannot work yet.")
        return 1 if failed else 0

    return anyio.run(check)


async def findings(
    configuration: Path, state_dir: Path, clock: Clock, *, profile: str | None = None
) -> AsyncGenerator[Finding, None]:
    """Run one check after the other; a failed check skips those that depend on it."""
    try:
        settings = load_settings(configuration, profile=profile)
    except TpMcpError as error:
        yield _failed("Settings", error)
        return
    for finding in _settings_findings(configuration, settings):
        yield finding
    yield _manifest_finding(settings)
    for finding in _webhook_findings(settings):
        yield finding
    yield _toolsets_finding(settings)
    yield await _store_finding(settings.state_dir or state_dir)
    try:
        access = tp_access(settings, own_logins=settings.auth is not None)
    except TpMcpError as error:
        yield _failed("TP", error)
        return
    if settings.auth is not None:
        yield await login_finding(settings, settings.state_dir or state_dir, access, clock)
    if isinstance(access.credentials, NoLogin):
        return
    async for finding in _tp_findings(access, clock):
        yield finding


def _settings_findings(configuration: Path, settings: Settings) -> list[Finding]:
    if not configuration.is_file():
        return [Finding(Mark.OK, f"Configuration: the environment alone; there is no {configuration}.")]
    found = [Finding(Mark.OK, f"Configuration: the environment and {configuration}, {_profile_words(settings)}.")]
    if configuration.stat().st_mode & READABLE_BY_OTHERS:
        found.append(
            Finding(
                Mark.WARNING,
                f"{configuration} can be read by other users.",
                f"chmod 600 {configuration}; it holds logins.",
            )
        )
    return found


def _profile_words(settings: Settings) -> str:
    return "default profile" if settings.profile is None else f"profile {settings.profile}"


def _webhook_findings(settings: Settings) -> list[Finding]:
    found = []
    for name, webhook in sorted(settings.webhooks.items()):
        private = ", private addresses allowed" if webhook.allow_private_addresses else ""
        target = f"{webhook.origin}, receives {' and '.join(sorted(webhook.events))} as {webhook.format}{private}"
        if webhook.ca_file is not None and not webhook.ca_file.is_file():
            remedy = f"Name a PEM file as ca_file of webhooks.{name}; until then nothing is delivered to it."
            found.append(Finding(Mark.WARNING, f"Webhook {name}: {target}, but {webhook.ca_file} is no file.", remedy))
        else:
            found.append(Finding(Mark.OK, f"Webhook {name}: {target}."))
    return found


def _manifest_finding(settings: Settings) -> Finding:
    try:
        loaded = load_builtin_manifest() if settings.connector is None else load_manifest(settings.connector)
    except TpMcpError as error:
        return _failed("Connector", error)
    source = "the one that comes with tp-mcp" if settings.connector is None else str(settings.connector)
    if loaded.warnings:
        return Finding(Mark.WARNING, f"Connector: {source}, with warnings.", "; ".join(map(str, loaded.warnings)))
    return Finding(Mark.OK, f"Connector: {source}.")


def _toolsets_finding(settings: Settings) -> Finding:
    listing = read_listing()
    try:
        tools = listing.with_toolsets(settings.toolsets)
    except TpMcpError as error:
        return _failed("Tools", error)
    named = ", ".join(f"{name}{' (offered)' if name in settings.toolsets else ''}" for name in listing.toolsets)
    return Finding(Mark.OK, f"Tools: {len(tools)} offered. Toolsets that can be named: {named}.")


async def _store_finding(state_dir: Path) -> Finding:
    try:
        async with await open_storage(state_dir) as storage:
            watches = await storage.watches.unended(None)
    except TpMcpError as error:
        return _failed("Store", error)
    return Finding(Mark.OK, f"Store: {state_dir}, {count_of(len(watches), 'watch', 'watches')} active.")


async def _tp_findings(access: TpAccess, clock: Clock) -> AsyncIterator[Finding]:
    redactor = Redactor(access.secrets)
    try:
        async with TpClient.at(
            base_url=access.base_url, credentials=access.credentials, clock=clock, verify=access.verify
        ) as client:
            how = (
                "a token issued elsewhere" if isinstance(access.credentials, IssuedToken) else "user name and password"
            )
            user = await client.username()
            labs = await client.list_labs()
            yield Finding(Mark.OK, f"TP: {access.base_url} answers, and accepts {how}.")
            yield Finding(Mark.OK, f"User: {user} may use {len(labs)} labs.")
            if not labs:
                yield Finding(Mark.WARNING, "The user may use no lab.", "Ask the owner of a lab to add the user to it.")
    except (TpNotFoundError, TpNotJsonError, TpServerFaultError) as error:
        yield _failed(f"TP: {access.base_url} answers, but not as expected", error, redactor)
    except TpMcpError as error:
        yield _failed(f"TP: {access.base_url}", error, redactor)


def _failed(what: str, error: TpMcpError, redactor: Redactor = PLAIN) -> Finding:
    return Finding(Mark.FAILED, redactor.safe(f"{what}: {error.message}"), redactor.safe(error.remedy))
