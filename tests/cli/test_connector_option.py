"""A user's own copy of the connector: its intervals, limits and messages are the ones that watches have."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from mcp import Client

from tests.server.conftest import IDENTITY, text_of
from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import open_configured
from tp_mcp.composition.serve_options import ServeOptions, parse_serve_options
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner

pytestmark = pytest.mark.slow


TP_YAML = Path(__file__).parents[2] / "connectors" / "tp.yaml"
RUN = {"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI/test_system.py"]}
OWN: dict[str, Any] = {
    "interval_sec": 7,
    "timeout_sec": 700,
    "max_polls": 100,
    "stalled_after_sec": 70,
    "not_started_after_sec": 77,
    "on_done": {"mode": "chat", "message": "Mine: {poll.pass_count} fine on {args.lab}, see {poll.report_file_path}"},
    "on_fail": {"mode": "chat", "message": "Mine: not fine on {args.lab}"},
}


def copy_of(directory: Path, tool: str, own: dict[str, Any]) -> Path:
    document = yaml.safe_load(TP_YAML.read_text(encoding="utf-8"))
    document["tools"][tool]["async"] |= own
    path = directory / "my-tp.yaml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


@asynccontextmanager
async def connected(options: ServeOptions) -> AsyncIterator[tuple[Client, list[Services]]]:
    opened: list[Services] = []
    clock = SystemClock()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Services]:
        async with open_configured(options, clock) as services:
            opened.append(services)
            yield services

    async with Client(TpServer(Backend(opening, clock), IDENTITY, clock, lambda: DEFAULT_TOOLS)) as client:
        yield client, opened


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(tmp_path / "state"))


def test_the_option_names_the_file() -> None:
    assert parse_serve_options(["--connector", "my-tp.yaml"]).connector == Path("my-tp.yaml")
    assert parse_serve_options([]).connector is None


@pytest.mark.parametrize("how", ["option", "setting"])
async def test_a_watch_has_the_intervals_limits_and_messages_of_the_copy_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    path = copy_of(tmp_path, "run_pytest", OWN)
    options = ServeOptions(simulator=True, speed=200, connector=path if how == "option" else None)
    if how == "setting":
        monkeypatch.setenv("TP_MCP_CONNECTOR", str(path))
    async with connected(options) as (client, opened):
        started = text_of(await client.call_tool("run_pytest", RUN))
        watch_id = started[1:].partition("]")[0]
        owner = Owner(IDENTITY.principal, f"environment:{IDENTITY.conversation}", exact=True)
        spec = (await opened[0].watches.registry.get(watch_id, owner)).spec
        assert (spec.interval_seconds, spec.timeout_seconds, spec.max_polls) == (7, 700, 100)
        assert (spec.stalled_after_seconds, spec.not_started_after_seconds) == (70, 77)
        told = text_of(await client.call_tool("wait_for_watch", {"watch_id": watch_id, "max_wait_seconds": 30}))
    assert "Mine: " in told
    assert "fine on AT16_Combined_FSW, see data/AutomationTest/test_" in told


async def test_the_option_outranks_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TP_MCP_CONNECTOR", str(tmp_path / "missing.yaml"))
    path = copy_of(tmp_path, "start_upgrade", {"interval_sec": 9})
    async with open_configured(ServeOptions(simulator=True, connector=path), SystemClock()) as services:
        block = services.starts.manifest.tools["start_upgrade"].async_block
        assert block is not None
        assert block.interval_sec == 9


async def test_a_copy_that_cannot_be_used_is_told_with_its_line_by_every_call(tmp_path: Path) -> None:
    path = copy_of(tmp_path, "run_pytest", {"interval_sec": 0})
    line = path.read_text(encoding="utf-8").splitlines().index("      interval_sec: 0") + 1
    async with connected(ServeOptions(simulator=True, connector=path)) as (client, _):
        result = await client.call_tool("list_labs", {})
    assert result.is_error
    text = text_of(result)
    assert f"{path}:{line}: tools.run_pytest.async.interval_sec: must be greater than 0" in text
