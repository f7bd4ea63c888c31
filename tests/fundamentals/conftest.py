"""Start here: the few things that tp-mcp is for, each as one short test.

`chat` is a real MCP client connected to the real server, in process. Behind the server is the embedded TP, whose time
stands still until a test moves it with `chat.world.advance(seconds)`; the upgrades and pytest runs in it are its own.

    text = await chat.call("list_labs")                     what the assistant reads
    text = await chat.refused("run_pytest", lab="AT99")      the same, of a call that must be refused
    chat.world.written                                      what was sent to TP that could change something

Promises have suites of their own in tests/promises; the rest of tests/ mirrors the package.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client

from tests.server.conftest import IDENTITY, Chat
from tests.support.process import hosted
from tests.support.world import open_world
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chat]:
    async with hosted(_connected(tmp_path)) as connected:
        yield connected


@asynccontextmanager
async def _connected(state_dir: Path) -> AsyncIterator[Chat]:
    async with open_world(state_dir) as world:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            yield world.services

        server = TpServer(Backend(opened, world.services.clock), IDENTITY, world.services.clock, lambda: DEFAULT_TOOLS)
        async with Client(server) as client:
            yield Chat(world, client)
