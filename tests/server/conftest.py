"""The real server with a real MCP client, in process, before the simulator."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import stamina
from mcp import Client
from mcp.types import CallToolResult, TextContent
from pydantic import JsonValue

from tests.support.process import hosted
from tests.support.world import World, collected_tree, open_world
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.definition import ToolDefinition
from tp_mcp.tools.framework.services import Services

IDENTITY = ProcessIdentity(principal="local:alice", conversation="chat-1", project="/home/alice/project")


def text_of(result: CallToolResult) -> str:
    """Return a result's text; there must be nothing else in it."""
    assert result.structured_content is None
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@dataclass
class Chat:
    """One client connected to the server."""

    world: World
    client: Client

    async def call(self, name: str, **arguments: Any) -> str:
        result = await self.client.call_tool(name, arguments)
        assert not result.is_error, text_of(result)
        return text_of(result)

    async def refused(self, name: str, **arguments: Any) -> str:
        result = await self.client.call_tool(name, arguments)
        assert result.is_error, text_of(result)
        return text_of(result)


Connect = Callable[..., AbstractAsyncContextManager[Chat]]


@pytest.fixture(scope="session")
def tree() -> JsonValue:
    return collected_tree()


@pytest.fixture
async def world(tmp_path: Path, tree: JsonValue) -> AsyncIterator[World]:
    async with hosted(open_world(tmp_path, tree=tree)) as opened:
        yield opened


@pytest.fixture
def connect(world: World) -> Connect:
    """Connect a client to a server of its own before the one world."""

    @asynccontextmanager
    async def connected(
        *,
        mode: str = "auto",
        identity: ProcessIdentity = IDENTITY,
        tools: tuple[ToolDefinition[Any], ...] = DEFAULT_TOOLS,
        **options: Any,
    ) -> AsyncIterator[Chat]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            yield world.services

        server = TpServer(Backend(opened, world.services.clock), identity, world.services.clock, lambda: tools)
        async with Client(server, mode=mode, **options) as client:
            yield Chat(world, client)

    return connected


@pytest.fixture(params=["legacy", "auto"])
async def chat(request: pytest.FixtureRequest, connect: Connect) -> AsyncIterator[Chat]:
    """A client of each protocol era."""
    async with hosted(connect(mode=request.param)) as connected:
        yield connected


@pytest.fixture(autouse=True)
def no_waiting() -> Iterator[None]:
    """Retries keep their number but do not wait."""
    with stamina.set_testing(True, attempts=10, cap=True):
        yield
