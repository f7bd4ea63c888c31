"""Promises 2 and 3 with real processes: a server is killed in the middle of a watch, and its end is reported."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from tests.server.tasks.client import taking_tasks
from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.storage.opening import open_storage

pytestmark = pytest.mark.slow

LAB = "AT16_Combined_FSW"


@dataclass(frozen=True)
class Setup:
    """A TP on a port, and where the server keeps its state."""

    base_url: str
    directory: Path

    def server(self) -> StdioServerParameters:
        """Return how a client spawns the server; the server's process id is written to a file first."""
        return StdioServerParameters(
            command="/bin/sh",
            args=["-c", f'echo $$ > "{self.pid_file}"; exec "{sys.executable}" -m tp_mcp serve'],
            env={
                "TP_MCP_BASE_URL": self.base_url,
                "TP_MCP_CONFIRM": "nothing",
                "TP_MCP_USERNAME": "demo",
                "TP_MCP_PASSWORD": "demo-password",
                "TP_MCP_STATE_DIR": str(self.directory / "state"),
                "TP_MCP_CONFIG_FILE": os.devnull,
                "TP_MCP_INTERVAL_FACTOR": "0.03",
                "CLAUDE_CODE_SESSION_ID": "the-conversation",
            },
        )

    @property
    def pid_file(self) -> Path:
        return self.directory / "server.pid"

    def kill_server(self) -> None:
        """Kill the running server, which gets no chance to say anything."""
        os.kill(int(self.pid_file.read_text()), signal.SIGKILL)


@pytest.fixture
async def setup(tmp_path: Path) -> AsyncIterator[Setup]:
    simulator = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tp_mcp", "simulate", "--port", "0", "--speed", "20", stdout=asyncio.subprocess.PIPE
    )
    assert simulator.stdout is not None
    try:
        line = await asyncio.wait_for(simulator.stdout.readline(), PATIENCE_SECONDS)
        yield Setup(line.decode().split()[-1], tmp_path)
    finally:
        with contextlib.suppress(ProcessLookupError):
            simulator.terminate()
        await asyncio.wait_for(simulator.wait(), PATIENCE_SECONDS)


async def call(client: Client, tool: str, **arguments: object) -> str:
    result = await client.call_tool(tool, arguments)
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


async def start_a_run_and_kill_the_server(setup: Setup) -> str:
    """Start a run, kill the server while it is under way, and return its watch's id."""
    with contextlib.suppress(BaseExceptionGroup, Exception):
        async with Client(setup.server()) as client:
            started = await call(client, "run_pytest", lab=LAB, testcase=["Tests_CLI/test_system.py"])
            watch_id = re.search(r"w_\w{8}", started)
            assert watch_id is not None, started
            before = await call(client, "wait_for_watch", watch_id=watch_id[0], max_wait_seconds=0)
            assert "is under way" in before
            setup.kill_server()
            return watch_id[0]
    raise AssertionError("the run was not started")


async def test_the_end_of_a_run_is_reported_after_the_server_was_killed_under_one_id_until_it_was_seen(
    setup: Setup,
) -> None:
    watch_id = await start_a_run_and_kill_the_server(setup)

    async with Client(setup.server()) as client:
        with anyio.fail_after(PATIENCE_SECONDS):
            while watch_id not in (told := await call(client, "list_labs")):
                await anyio.sleep(0.5)
        assert re.search(rf"\[{watch_id}\].* is done: passed", told)
        again = await call(client, "list_labs")
        assert again.count(f"[{watch_id}]") == 1, "shown until it was seen"
        seen = await call(client, "list_labs")
        assert watch_id not in seen, "two sure showings are enough"

    store = (await open_storage(setup.directory / "state")).watches
    watch = await store.get(watch_id)
    await store.close()
    assert watch is not None
    assert watch.state == "done"


async def test_a_server_that_is_killed_before_the_end_was_seen_reports_it_again(setup: Setup) -> None:
    watch_id = await start_a_run_and_kill_the_server(setup)
    with contextlib.suppress(BaseExceptionGroup, Exception):
        async with Client(setup.server()) as client:
            with anyio.fail_after(PATIENCE_SECONDS):
                while watch_id not in await call(client, "list_labs"):
                    await anyio.sleep(0.5)
            setup.kill_server()
    async with Client(setup.server()) as client:
        assert watch_id in await call(client, "list_labs"), "its first showing may never have been read"


async def test_a_task_is_answered_by_another_process_after_the_server_was_killed_in_the_middle(setup: Setup) -> None:
    created: dict[str, Any] = {}
    with contextlib.suppress(BaseExceptionGroup, Exception):
        async with taking_tasks(setup.server()) as taker:
            created = await taker.create("run_pytest", lab=LAB, testcase=["Tests_CLI/test_system.py"])
            assert (await taker.ask("tasks/get", created["taskId"]))["status"] == "working"
            setup.kill_server()
    async with taking_tasks(setup.server()) as taker:
        with anyio.fail_after(PATIENCE_SECONDS):
            done = await taker.until(created["taskId"], "completed")
    [content] = done["result"]["content"]
    assert "is done: passed (" in content["text"]
    assert "Report: http" in content["text"]
    assert (done["createdAt"], done["ttlMs"]) == (created["createdAt"], created["ttlMs"])


async def test_a_client_that_left_in_the_middle_of_a_wait_is_told_the_end_by_a_new_process(setup: Setup) -> None:
    waits = asyncio.Event()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        waits.set()

    run = {"lab": LAB, "testcase": ["Tests_CLI/test_system.py"], "max_wait_seconds": 200}
    async with Client(setup.server()) as client:
        waiting = asyncio.create_task(client.call_tool("run_pytest", run, progress_callback=told))
        with anyio.fail_after(PATIENCE_SECONDS):
            await waits.wait()
        waiting.cancel()
    async with Client(setup.server()) as client:
        with anyio.fail_after(PATIENCE_SECONDS):
            while "--- Ended" not in (text := await call(client, "list_labs")):
                await anyio.sleep(0.5)
    assert re.search(r"\[w_\w{8}\].* is done: passed", text)
