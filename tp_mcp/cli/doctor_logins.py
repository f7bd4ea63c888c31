"""Whether the users of a server over HTTP can act on TP, each with a login of their own."""

from pathlib import Path

from tp_mcp.api.auth import NoLogin
from tp_mcp.cli.composition import vault_of
from tp_mcp.cli.configuration import TpAccess
from tp_mcp.cli.finding import Finding, Mark
from tp_mcp.clock import Clock
from tp_mcp.errors import TpMcpError
from tp_mcp.settings import Settings
from tp_mcp.tools.principals import TP_TOKEN_HEADER
from tp_mcp.watch.sqlite.store import SqliteStore


async def login_finding(settings: Settings, state_dir: Path, access: TpAccess, clock: Clock) -> Finding:
    """Return how many logins are kept, whether the key decrypts them, and who polls."""
    try:
        store = await SqliteStore.open(state_dir)
        try:
            vault = vault_of(settings, store, server=access.base_url, clock=clock)
            kept = await vault.all()
        finally:
            await store.close()
    except TpMcpError as error:
        return Finding(Mark.FAILED, f"Logins: {error.message}", error.remedy)
    lost = [each.principal for each in kept if not vault.opens(each)]
    if lost:
        return Finding(
            Mark.FAILED,
            f"Logins: {len(kept)} kept; TP_MCP_ENCRYPTION_KEY does not decrypt {len(lost)}: {', '.join(lost)}.",
            "Set TP_MCP_ENCRYPTION_KEY to the key they were kept with, or keep them anew: tp-mcp credentials set.",
        )
    service_account = not isinstance(access.credentials, NoLogin)
    polls = (
        "the configured login only polls, for everybody"
        if service_account
        else f"no service account, so tokens in {TP_TOKEN_HEADER} alone start nothing that is watched"
    )
    what = f"Logins: each user of the HTTP server acts on TP with their own; {len(kept)} kept; {polls}."
    if not kept and not vault.has_key and not service_account:
        return Finding(
            Mark.WARNING, what, "Set TP_MCP_ENCRYPTION_KEY and keep logins with tp-mcp credentials set --user NAME."
        )
    return Finding(Mark.OK, what)
