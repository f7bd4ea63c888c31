"""The composition root: opens TP and the store, joins the parts on them, and closes it all in order."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2

from tp_mcp.access.credentials import Vault, keys_in
from tp_mcp.api.auth import NoLogin
from tp_mcp.api.client import TpClient
from tp_mcp.clock import Clock
from tp_mcp.composition.tp_access import TpAccess
from tp_mcp.composition.wiring import Ground, assemble
from tp_mcp.connectors.loader import load_builtin_manifest, load_manifest
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import Redactor, Secrets
from tp_mcp.settings import Settings
from tp_mcp.storage.opening import Storage, open_storage
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.framework.tp_identities import Principals
from tp_mcp.watch.model.lease import HEARTBEAT_SECONDS
from tp_mcp.watch.polling.timer import ApschedulerTimer
from tp_mcp.watch.registry import end_abandoned
from tp_mcp.webhooks.courier import CLAIM_SECONDS, Courier
from tp_mcp.webhooks.events import Events

TP_IS_GONE = "The embedded TP ended with the server process that ran it, and its jobs with it."


@asynccontextmanager
async def open_services(
    settings: Settings,
    access: TpAccess,
    *,
    state_dir: Path,
    clock: Clock,
    learnt: Secrets | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    interval_factor: float = 1.0,
    is_gone: Callable[[str], bool] | None = None,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
    webhook_claim_seconds: float = CLAIM_SECONDS,
) -> AsyncIterator[Services]:
    """Open everything behind the tools, take up the watches that were left, and close it all at the end.

    Args:
        settings: what is configured.
        access: the TP to speak to.
        state_dir: where watches are kept.
        clock: the time.
        learnt: told the secrets of users; with it each of them acts on TP with a login of their own, and the
            configured one, where there is one, only reads in the background. None where it serves everybody.
        transport: what carries requests to TP; the network by default.
        interval_factor: multiplies every poll interval.
        is_gone: whether the TP of a base URL is gone for good, so that its watches are lost; None where none can be.
        heartbeat_seconds: how often this process shows the others on its store that it lives.
        webhook_claim_seconds: how long an event for an endpoint is one process's to send.

    Raises:
        ConfigurationError: a setting cannot be used.
        ManifestError: the connector manifest cannot be used.
        StoreError: the store cannot be opened.

    """
    manifest = _manifest(settings.connector)
    endpoint_secrets = tuple(webhook.secret for webhook in settings.webhooks.values())
    redactor = Redactor(access.secrets).knowing(endpoint_secrets, learnt or ())

    async with (
        _one_error_as_itself(),
        TpClient(
            base_url=access.base_url,
            credentials=access.credentials,
            clock=clock,
            transport=transport,
            verify=access.verify,
        ) as client,
        await open_storage(
            state_dir,
            events_of_end=(events := Events(settings.webhooks, redactor.knowing(client.secrets), clock)).of_end,
            clock=clock,
        ) as storage,
        anyio.create_task_group() as tasks,
    ):
        principals = None if learnt is None else _principals(settings, access, client, storage, clock, learnt)
        ground = Ground(
            client=client if principals is None else client.only_reading(),
            server=access.base_url,
            storage=storage,
            manifest=manifest,
            clock=clock,
            timer=ApschedulerTimer(),
            tasks=tasks,
            polls=tasks,
            secrets=redactor.secrets,
            interval_factor=interval_factor,
            principals=principals,
            heartbeat_seconds=heartbeat_seconds,
        )
        assembly = assemble(settings, ground)
        registry = assembly.services.registry
        if is_gone is not None:
            await end_abandoned(storage.watches, is_gone, reason=TP_IS_GONE, now=clock.now())
        await registry.resume()
        assembly.poller.start()
        try:
            tasks.start_soon(assembly.chains.keep_looking)
            tasks.start_soon(registry.keep_purging)
            if settings.webhooks:
                courier = Courier(
                    endpoints=settings.webhooks,
                    events=events,
                    outbox=storage.outbox,
                    deliveries=assembly.services.deliveries,
                    clock=clock,
                    claim_seconds=webhook_claim_seconds,
                )
                tasks.start_soon(courier.run, assembly.services.feed, assembly.poller.polls)
            tasks.start_soon(assembly.recorder.keep_looking)
            yield assembly.services
        finally:
            assembly.poller.stop()
            with anyio.CancelScope(shield=True):
                await registry.drain()
                await assembly.poller.close()
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


def _principals(
    settings: Settings, access: TpAccess, client: TpClient, storage: Storage, clock: Clock, learnt: Secrets
) -> Principals:
    vault = vault_of(settings, storage, server=access.base_url, clock=clock)
    return Principals(client, vault, service_account=not isinstance(access.credentials, NoLogin), learnt=learnt)


def vault_of(settings: Settings, storage: Storage, *, server: str, clock: Clock) -> Vault:
    """Return the logins to one TP that are kept in a storage.

    Raises:
        ConfigurationError: the encryption key is not usable.

    """
    return Vault(storage.credentials, keys_in(settings.encryption_key), server=server, clock=clock)


def _manifest(connector: Path | None) -> Manifest:
    loaded = load_builtin_manifest() if connector is None else load_manifest(connector)
    return loaded.manifest
