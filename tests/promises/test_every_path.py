"""An end reaches the conversation that asked: over each transport, on each protocol era, by each path.

One body for every cell, over real server processes with the embedded TP.
"""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, ResourceUpdatedNotification, TextContent, TextResourceContents

from tests.server.tasks.client import CreatedTask, TasksClient, TaskTaker
from tests.support.patience import PATIENCE_SECONDS

pytestmark = pytest.mark.slow


LAB = "AT16_Combined_FSW"
UPGRADE = {"testbed": LAB, "mode": "build", "build_number": "6957"}
SERVE = [sys.executable, "-m", "tp_mcp", "serve", "--simulator", "--speed", "300"]
INBOX = "--- Ended since you last looked"
FASTMCP = Path(__file__).parent / "fastmcp_client.py"


def environment(state: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TP_MCP_", "CLAUDE_"))}
    return kept | {
        "TP_MCP_STATE_DIR": str(state),
        "TP_MCP_CONFIG_FILE": os.devnull,
        "TP_MCP_CONFIRM": "nothing",
    }


@asynccontextmanager
async def over_stdio(state: Path) -> AsyncIterator[StdioServerParameters]:
    command, *arguments = SERVE
    yield StdioServerParameters(command=command, args=arguments, env=environment(state))


@asynccontextmanager
async def over_http(state: Path) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        *SERVE, "--http", "--no-auth", "--port", "0", stderr=asyncio.subprocess.PIPE, env=environment(state)
    )
    assert process.stderr is not None
    try:
        said = await asyncio.wait_for(process.stderr.readline(), PATIENCE_SECONDS)
        yield said.decode().split()[-1]
    finally:
        process.kill()
        await process.wait()


@dataclass
class Chat:
    """One client, and what it was told without asking."""

    client: Client
    mode: str
    taker: TaskTaker
    updated: dict[str, anyio.Event] = field(default_factory=dict)

    async def call(self, tool: str, **arguments: Any) -> str:
        return told(await self.client.call_tool(tool, arguments))

    async def read(self, uri: str) -> str:
        [content] = (await self.client.read_resource(uri)).contents
        assert isinstance(content, TextResourceContents)
        return content.text


def told(result: CallToolResult) -> str:
    assert not result.is_error, result
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def watch_id_in(text: str) -> str:
    found = re.search(r"w_\w{8}", text)
    assert found is not None, text
    return found[0]


# Each path returns the text in which the end was told, and the watch's id. --------------------------------------------


async def by_inbox(chat: Chat) -> tuple[str, str]:
    watch_id = watch_id_in(await chat.call("start_upgrade", **UPGRADE))
    while INBOX not in (text := await chat.call("list_labs")):
        await anyio.sleep(0.1)
    return text, watch_id


async def by_wait(chat: Chat) -> tuple[str, str]:
    watch_id = watch_id_in(await chat.call("start_upgrade", **UPGRADE))
    return await chat.call("wait_for_watch", watch_id=watch_id), watch_id


async def by_task(chat: Chat) -> tuple[str, str]:
    started = await chat.client.session.call_tool("start_upgrade", UPGRADE, allow_claimed=True)
    if chat.mode == "legacy":
        # There are no tasks on this era: the plain result comes instead, and its end by the inbox.
        assert isinstance(started, CallToolResult)
        watch_id = watch_id_in(told(started))
        return await chat.call("wait_for_watch", watch_id=watch_id), watch_id
    assert isinstance(started, CreatedTask)
    created = started.model_dump(by_alias=True)
    done = await chat.taker.until(created["taskId"], "completed")
    return told(CallToolResult.model_validate(done["result"])), watch_id_in(created["statusMessage"])


async def by_subscription(chat: Chat) -> tuple[str, str]:
    watch_id = watch_id_in(await chat.call("start_upgrade", **UPGRADE))
    uri = f"tp://watches/{watch_id}"
    ended = "is done"
    if chat.mode == "legacy":
        news = chat.updated[uri] = anyio.Event()
        await chat.client.subscribe_resource(uri)
        while ended not in (text := await chat.read(uri)):
            await news.wait()
            news = chat.updated[uri] = anyio.Event()
        return text, watch_id
    async with chat.client.listen(resource_subscriptions=[uri]) as stream:
        while ended not in (text := await chat.read(uri)):
            await anext(stream)
        return text, watch_id


PATHS: dict[str, Callable[[Chat], Awaitable[tuple[str, str]]]] = {
    "inbox": by_inbox,
    "wait": by_wait,
    "task": by_task,
    "subscription": by_subscription,
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("mode", ["legacy", "auto"], ids=["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("transport", [over_stdio, over_http], ids=["stdio", "http"])
@pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")
async def test_an_end_reaches_the_conversation_that_asked(
    tmp_path: Path, transport: Callable[[Path], Any], mode: str, path: str
) -> None:
    extension = TasksClient()
    updated: dict[str, anyio.Event] = {}

    async def hear(message: object) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            updated[str(message.params.uri)].set()

    extensions = [extension] if path == "task" else []
    async with (
        transport(tmp_path / "state") as server,
        Client(server, mode=mode, extensions=extensions, message_handler=hear) as client,
    ):
        chat = Chat(client, mode, TaskTaker(client, extension), updated)
        with anyio.fail_after(PATIENCE_SECONDS):
            text, watch_id = await PATHS[path](chat)
    assert f"[{watch_id}] upgrade of {LAB} to build 6957 is done, after " in text


@pytest.mark.timeout(150)
def test_the_fastmcp_client_gets_the_result_of_a_task_by_itself(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(FASTMCP), *SERVE],
        env=environment(tmp_path / "state"),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS * 2,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    task_status, transparent, explicit = ran.stdout.split("\n===\n")
    assert re.match(r"working \[w_\w{8}\] upgrade of ", task_status)
    assert f"upgrade of {LAB} to build 6957 is done, after " in transparent
    assert f"upgrade of {LAB} to build 6957 is done, after " in explicit
