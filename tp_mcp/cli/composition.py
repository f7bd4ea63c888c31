"""The composition root: joins TP, the store, the watch and the tools."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2

from tp_mcp.api.client import TpClient
from tp_mcp.cli.configuration import TpAccess
from tp_mcp.clock import Clock
from tp_mcp.connectors.loader import load_builtin_manifest, load_manifest
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import TpMcpError
from tp_mcp.jobs.execution import EXECUTION_RULE, ExecutionRule
from tp_mcp.jobs.reader import TpReader
from tp_mcp.jobs.upgrade import UPGRADE_RULE, UpgradeRule
from tp_mcp.redaction import Redactor
from tp_mcp.server.toolset import CHAINED_TOOLS
from tp_mcp.settings import Settings
from tp_mcp.tools.catalogue import Catalogue
from tp_mcp.tools.chaining import ToolStarter
from tp_mcp.tools.services import Services
from tp_mcp.watch.abandoned import end_abandoned
from tp_mcp.watch.chains import Chains
from tp_mcp.watch.elsewhere import Elsewhere
from tp_mcp.watch.inbox import Inbox
from tp_mcp.watch.leases import HEARTBEAT_SECONDS
from tp_mcp.watch.leasing import Leases
from tp_mcp.watch.match_rule import MATCH_RULE, MatchRule
from tp_mcp.watch.poller import Poller
from tp_mcp.watch.registry import WatchRegistry
from tp_mcp.watch.sqlite.store import SqliteStore
from tp_mcp.watch.states import Watch
from tp_mcp.watch.timer import ApschedulerTimer
from tp_mcp.watch.waiting import Changes

TP_IS_GONE = "The embedded TP ended with the server process that ran it, and its jobs with it."


@asynccontextmanager
async def open_services(
    settings: Settings,
    access: TpAccess,
    *,
    state_dir: Path,
    clock: Clock,
    transport: httpx2.AsyncBaseTransport | None = None,
    interval_factor: float = 1.0,
    is_gone: Callable[[str], bool] | None = None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncIterator[Services]:
    """Open everything behind the tools, take up the watches that were left, and close it all at the end.

    Args:
        settings: what is configured.
        access: the TP to speak to.
        state_dir: where watches are kept.
        clock: the time.
        transport: what carries requests to TP; the network by default.
        interval_factor: multiplies every poll interval.
        is_gone: whether the TP of a base URL is gone for good, so that its watches are lost; None where none can be.
        heartbeat_seconds: how often this process shows the others on its store that it lives.

    Raises:
        ConfigurationError: a setting cannot be used.
        ManifestError: the connector manifest cannot be used.
        StoreError: the store cannot be opened.

    """
    manifest = _manifest(settings.connector)
    changes = Changes()
    execution_rule, upgrade_rule = ExecutionRule(access.base_url), UpgradeRule()
    async with (
        _one_error_as_itself(),
        TpClient(
            base_url=access.base_url,
            credentials=access.credentials,
            clock=clock,
            transport=transport,
            verify=access.verify,
        ) as client,
        _opened_store(state_dir) as store,
        anyio.create_task_group() as tasks,
    ):
        chains = Chains(store=store, clock=clock, server=access.base_url, task_group=tasks)

        def on_change(watch: Watch) -> None:
            changes.tell(watch)
            chains.notice(watch)

        poller = Poller(
            store=store,
            reader=TpReader(client),
            rules={EXECUTION_RULE: execution_rule, UPGRADE_RULE: upgrade_rule, MATCH_RULE: MatchRule()},
            settlers={EXECUTION_RULE: execution_rule, UPGRADE_RULE: upgrade_rule},
            clock=clock,
            timer=ApschedulerTimer(),
            task_group=tasks,
            on_change=on_change,
            interval_factor=interval_factor,
            leases=Leases(store=store, clock=clock, server=access.base_url, heartbeat_seconds=heartbeat_seconds),
        )
        registry = WatchRegistry(
            store=store,
            poller=poller,
            changes=changes,
            clock=clock,
            server=access.base_url,
            task_group=tasks,
            elsewhere=Elsewhere(
                store=store, changes=changes, clock=clock, task_group=tasks, on_written=poller.written_elsewhere
            ),
        )
        if is_gone is not None:
            await end_abandoned(store, is_gone, reason=TP_IS_GONE, now=clock.now())
        await registry.resume()
        poller.start()
        try:
            services = Services(
                client=client,
                catalogue=Catalogue(client, clock, testcases_ttl_seconds=settings.testcases_ttl_seconds),
                registry=registry,
                inbox=Inbox(store=store, clock=clock),
                manifest=manifest,
                clock=clock,
                allowed_pytest_options=settings.allowed_pytest_options,
                redactor=Redactor(access.secrets),
                starts=CHAINED_TOOLS,
            )
            chains.use(ToolStarter(services))
            tasks.start_soon(chains.keep_looking)
            yield services
        finally:
            poller.stop()
            with anyio.CancelScope(shield=True):
                await registry.drain()
                await poller.close()
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def _one_error_as_itself() -> AsyncIterator[None]:
    """Let an error of ours that leaves a task group be said as what it is, not as a group of one."""
    try:
        yield
    except ExceptionGroup as group:
        only: BaseException = group
        while isinstance(only, ExceptionGroup) and len(only.exceptions) == 1:
            only = only.exceptions[0]
        if isinstance(only, TpMcpError):
            raise only from None
        raise


@asynccontextmanager
async def _opened_store(state_dir: Path) -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open(state_dir)
    try:
        yield store
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


def _manifest(connector: Path | None) -> Manifest:
    loaded = load_builtin_manifest() if connector is None else load_manifest(connector)
    return loaded.manifest
