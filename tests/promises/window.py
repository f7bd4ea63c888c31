"""One window: a process with the server's own services on a shared store, told what to do by its arguments.

Its first line says that it polls. It ends at the end of its standard input, in order; or it is killed.
"""

import os
import sys
from pathlib import Path

import anyio
import anyio.to_thread
from pydantic import SecretStr

from tp_mcp.api.auth import PasswordLogin
from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import open_services
from tp_mcp.composition.tp_access import TpAccess
from tp_mcp.settings import Settings
from tp_mcp.watch.model.watch import Owner

WAIT_SECONDS = 600.0
"""Longer than any test: a wait that returns has noticed the end."""


async def main(base_url: str, state: Path, interval_factor: float, heartbeat: float, login: str) -> None:
    """Poll until standard input ends; `wait ID` on it waits for a watch and prints how it stands."""
    access = TpAccess(base_url, PasswordLogin(login, SecretStr("demo-password")))
    owner = Owner("local:alice", "environment:one", exact=True)
    async with open_services(
        Settings(),
        access,
        state_dir=state,
        clock=SystemClock(),
        interval_factor=interval_factor,
        heartbeat_seconds=heartbeat,
    ) as services:
        sys.stdout.write(f"polls {os.getpid()}\n")
        sys.stdout.flush()
        while line := await anyio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            watch = await services.watches.registry.wait(line.strip(), owner, seconds=WAIT_SECONDS)
            sys.stdout.write(f"{watch.state}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    url, directory, factor, beat, username = sys.argv[1:]
    anyio.run(main, url, Path(directory), float(factor), float(beat), username)
