"""The composition root: opens TP and the storage, joins the parts on them, and closes it all in order."""

import logging
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx2

from tp_mcp.api.auth import NoLogin
from tp_mcp.api.client import TpClient
from tp_mcp.clock import Clock
from tp_mcp.composition.environment import config_file, default_state_dir
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.composition.tp_access import SIMULATOR_LOGIN, TpAccess, tp_access, vault_of
from tp_mcp.composition.wiring import Ground, assemble
from tp_mcp.connectors.loader import load_builtin_manifest, load_manifest
from tp_mcp.connectors.manifest import Manifest
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import RedactingFilter, Redactor, Secrets
from tp_mcp.settings import Settings, load_settings
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.storage.opening import Storage, open_storage
from tp_mcp.tools.framework.services import Services
from tp_mcp.tools.framework.tp_identities import Principals
from tp_mcp.watch.model.lease import HEARTBEAT_SECONDS
from tp_mcp.watch.polling.timer import ApschedulerTimer
from tp_mcp.watch.registry import end_abandoned
from tp_mcp.webhooks.courier import CLAIM_SECONDS, Courier
from tp_mcp.webhooks.events import Events

SIMULATOR_DIRECTORY = "simulator"
EXEC_ID_RANGE = 1_000_000
MARK_BYTES = 3
TP_IS_GONE = "The embedded TP ended with the server process that ran it, and its jobs with it."


@asynccontextmanager
async def open_configured(options: ServeOptions, clock: Clock) -> AsyncIterator[Services]:
    """Open the services of the configured TP, or of the embedded one.

    Raises:
        TpMcpError: the configuration is wrong, or something cannot be opened.
    """
    settings = load_settings(config_file(), profile=options.profile)
    if options.connector is not None:
        settings = settings.model_copy(update={"connector": options.connector})
    state_dir = settings.state_dir or default_state_dir()
    opened = (
        _with_embedded_tp(settings, state_dir / SIMULATOR_DIRECTORY, options.speed, clock)
        if options.simulator
        else _with_configured_tp(settings, state_dir, clock, own_logins=has_own_logins(options))
    )
    async with opened as services:
        # From now on the log also knows every secret that is learnt.
        log_to_stderr(settings.log_level, services.tp.redactor)
        yield services


@asynccontextmanager
async def _with_configured_tp(
    settings: Settings, state_dir: Path, clock: Clock, *, own_logins: bool
) -> AsyncIterator[Services]:
    access = tp_access(settings, own_logins=own_logins)
    learnt = Secrets(*access.secrets) if own_logins else None
    log_to_stderr(settings.log_level, Redactor(access.secrets).knowing(learnt or ()))
    async with open_services(
        settings,
        access,
        state_dir=state_dir,
        clock=clock,
        learnt=learnt,
        interval_factor=settings.interval_factor,
    ) as services:
        yield services


@asynccontextmanager
async def _with_embedded_tp(settings: Settings, state_dir: Path, speed: float, clock: Clock) -> AsyncIterator[Services]:
    if "confirm" not in settings.model_fields_set:
        # Nothing in it is real, so nothing needs a confirmation.
        settings = settings.model_copy(update={"confirm": "nothing"})
    # It lives in this process and forgets everything with it, so each process has a TP of its own.
    access = TpAccess(embedded_url(os.getpid(), secrets.token_hex(MARK_BYTES)), SIMULATOR_LOGIN)
    log_to_stderr(settings.log_level, Redactor(access.secrets))
    first_exec_id = int(clock.now()) % EXEC_ID_RANGE
    async with (
        Simulator(SimulatorOptions(speed=speed, first_exec_id=first_exec_id)) as embedded,
        open_services(
            settings,
            access,
            state_dir=state_dir,
            clock=clock,
            transport=httpx2.ASGITransport(app=embedded.app),
            interval_factor=settings.interval_factor / speed,
            is_gone=lambda server: is_embedded_tp_of_ended_process(server, access.base_url),
        ) as services,
    ):
        yield services


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
    """Open everything behind the tools, resume the watches of an earlier process, and close it all at the end.

    Args:
        settings: the configuration.
        access: the TP, and the configured login.
        state_dir: the state directory.
        clock: the time.
        learnt: collects the secrets of users. With it each user acts on TP with a login of their own, and the
            configured login only reads in the background. None where the configured login serves everybody.
        transport: carries requests to TP; the network by default.
        interval_factor: multiplies every poll interval.
        is_gone: returns whether the TP of a base URL has ended for good, so that its watches are lost.
        heartbeat_seconds: how often this process shows the others on its store that it is alive.
        webhook_claim_seconds: how long a process that took an event for an endpoint may take to send it.

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
        TpClient.at(
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
        registry = assembly.services.watches.registry
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
                    deliveries=assembly.services.watches.deliveries,
                    clock=clock,
                    claim_seconds=webhook_claim_seconds,
                )
                tasks.start_soon(courier.run, assembly.services.watches.feed, assembly.poller.polls)
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
    """Raise an error of ours that leaves a task group by itself, not in a group of one."""
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


def _manifest(connector: Path | None) -> Manifest:
    loaded = load_builtin_manifest() if connector is None else load_manifest(connector)
    return loaded.manifest


def has_own_logins(options: ServeOptions) -> bool:
    """Return whether each user acts on TP with a login of their own: a server over HTTP with authentication."""
    return options.http is not None and not options.http.no_auth


def embedded_url(process_id: int, mark: str) -> str:
    """Return the base URL of the embedded TP of a process; nothing answers there.

    Args:
        process_id: the process's id, which an earlier process may have had.
        mark: distinguishes the embedded TP from the one of that earlier process.
    """
    return f"http://simulator-{process_id}-{mark}.invalid"


def is_embedded_tp_of_ended_process(server: str, own: str) -> bool:
    """Return whether a base URL is the embedded TP's of an ended process; `own` is the one of this process."""
    match = re.fullmatch(r"http://simulator-(\d+)-\w+\.invalid", server)
    if match is None or server == own:
        return False
    if int(match[1]) == os.getpid():
        return True
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def log_to_stderr(level: str, redactor: Redactor) -> None:
    """Send the log to standard error, from a level on, with safe texts."""
    logging.getLogger().setLevel(level)
    for handler in logging.getLogger().handlers:
        # Opening may be tried again, with other secrets.
        handler.filters = [each for each in handler.filters if not isinstance(each, RedactingFilter)]
        handler.addFilter(RedactingFilter(redactor))
