"""Opening what is behind the tools, for the configured TP or the embedded one."""

import logging
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2

from tp_mcp.cli.composition import open_services
from tp_mcp.cli.configuration import SIMULATOR_LOGIN, TpAccess, tp_access
from tp_mcp.cli.environment import config_file, default_state_dir
from tp_mcp.clock import Clock
from tp_mcp.redaction import RedactingFilter, Redactor
from tp_mcp.settings import Settings, load_settings
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.tools.services import Services

SIMULATOR_DIRECTORY = "simulator"


@asynccontextmanager
async def open_configured(
    *, profile: str | None, simulator: bool, speed: float, clock: Clock
) -> AsyncIterator[Services]:
    """Open the services of the configured TP, or of the embedded one.

    Args:
        profile: which profile of the configuration file; None for the configured or the default one.
        simulator: use the embedded TP.
        speed: how many times faster than real the embedded TP works; polls are as much faster.
        clock: the time.

    Raises:
        TpMcpError: something is configured wrongly, or cannot be opened.

    """
    settings = load_settings(config_file(), profile=profile)
    state_dir = settings.state_dir or default_state_dir()
    if not simulator:
        access = tp_access(settings)
        log_to_stderr(settings, access)
        async with open_services(
            settings, access, state_dir=state_dir, clock=clock, interval_factor=settings.interval_factor
        ) as services:
            yield services
        return
    # The embedded TP lives in this process and forgets everything with it, so each one is a TP of its own.
    access = TpAccess(f"http://simulator-{os.getpid()}.invalid", SIMULATOR_LOGIN)
    log_to_stderr(settings, access)
    options = SimulatorOptions(speed=speed, first_exec_id=int(time.time()) % 1_000_000)
    async with (
        Simulator(options) as embedded,
        open_services(
            settings,
            access,
            state_dir=state_dir / SIMULATOR_DIRECTORY,
            clock=clock,
            transport=httpx2.ASGITransport(app=embedded.app),
            interval_factor=settings.interval_factor / speed,
        ) as services,
    ):
        yield services


def log_to_stderr(settings: Settings, access: TpAccess) -> None:
    """Send the log to standard error, at the configured level, without secrets."""
    logging.getLogger().setLevel(settings.log_level)
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactingFilter(Redactor(access.secrets)))


def simulator_state_dir(state_dir: Path) -> Path:
    """Return where the watches of an embedded TP are kept, apart from those of a real one."""
    return state_dir / SIMULATOR_DIRECTORY
