"""Opening what is behind the tools, for the configured TP or the embedded one."""

import logging
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tp_mcp.clock import Clock
from tp_mcp.composition.environment import config_file, default_state_dir
from tp_mcp.composition.open_services import open_services
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.composition.tp_access import SIMULATOR_LOGIN, TpAccess, tp_access
from tp_mcp.redaction import RedactingFilter, Redactor, Secrets
from tp_mcp.settings import Settings, load_settings
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.tools.framework.services import Services

SIMULATOR_DIRECTORY = "simulator"
EXEC_ID_RANGE = 1_000_000
MARK_BYTES = 3


@asynccontextmanager
async def open_configured(options: ServeOptions, clock: Clock) -> AsyncIterator[Services]:
    """Open the services of the configured TP, or of the embedded one.

    Raises:
        TpMcpError: something is configured wrongly, or cannot be opened.

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
        log_to_stderr(settings.log_level, services.redactor)
        yield services


@asynccontextmanager
async def _with_embedded_tp(settings: Settings, state_dir: Path, speed: float, clock: Clock) -> AsyncIterator[Services]:
    if "confirm" not in settings.model_fields_set:
        # Nothing of it is real, so there is nothing to be asked about.
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


def has_own_logins(options: ServeOptions) -> bool:
    """Return whether each user acts on TP with a login of their own: those whom a server over HTTP knows."""
    return options.http is not None and not options.http.no_auth


def embedded_url(process_id: int, mark: str) -> str:
    """Return the base URL that stands for the embedded TP of a process.

    Args:
        process_id: the process's id, which another process may have had before.
        mark: what tells the embedded TP from those of that other process.

    """
    return f"http://simulator-{process_id}-{mark}.invalid"


def is_embedded_tp_of_ended_process(server: str, own: str) -> bool:
    """Return whether a base URL stands for an embedded TP that is no more; `own` is the one of this process."""
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
