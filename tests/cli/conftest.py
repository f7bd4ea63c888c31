"""A process environment without anything of this machine's configuration."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tp_mcp.settings import variable_names
from tp_mcp.simulator import SimulatorOptions, serve_simulator

START_SECONDS = 20


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (*variable_names(), "TP_MCP_CONFIG_FILE", "CLAUDE_CODE_SESSION_ID", "CLAUDE_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
async def tp_url() -> AsyncIterator[str]:
    """The embedded TP on a port, with time standing still."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve_simulator(SimulatorOptions(speed=0), host="127.0.0.1", port=0, on_ready=ready.set_result)
    )
    yield await asyncio.wait_for(ready, START_SECONDS)
    serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
