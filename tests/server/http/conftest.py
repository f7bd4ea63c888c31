"""The real server on a real port, before the one world."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.server.conftest import Chat
from tests.support.world import World
from tp_mcp.server.app import TpServer
from tp_mcp.server.auth.authentication import names_answered_to
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.application import MCP_PATH, Readiness, http_app
from tp_mcp.server.http.serving import HttpServing, listen
from tp_mcp.server.http.sessions import Sessions
from tp_mcp.server.identity import HttpIdentity
from tp_mcp.server.toolset import DEFAULT_TOOLS, Tools
from tp_mcp.tools.framework.services import Services

HOST = "127.0.0.1"


@dataclass
class Served:
    """One HTTP server."""

    world: World
    server: TpServer
    backend: Backend
    serving: HttpServing
    sessions: Sessions
    port: int

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}{MCP_PATH}"

    @asynccontextmanager
    async def chat(self, mode: str = "auto", token: str | None = None) -> AsyncIterator[Chat]:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=mode) as client,
        ):
            yield Chat(self.world, client)


@asynccontextmanager
async def served_over_http(
    world: World,
    identity: HttpIdentity,
    *,
    public_url: str | None = None,
    tools: Tools = DEFAULT_TOOLS,
    **options: Any,
) -> AsyncIterator[Served]:
    """Serve a world over HTTP, and stop in order."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        yield world.services

    clock = world.services.clock
    backend = Backend(opened, clock)
    server = TpServer(backend, identity, clock, lambda: tools, **options)
    listening = listen(HOST, 0)
    port = listening.getsockname()[1]

    async def close() -> None:
        await backend.close()
        server.subscriptions.close()

    sessions = Sessions(http_app(server, Readiness(backend, clock), security=names_answered_to(public_url)), clock)
    backend.accompany(sessions.following)
    serving = HttpServing(sessions, listening, close=close)
    running = asyncio.create_task(serving.run())
    try:
        yield Served(world, server, backend, serving, sessions, port)
    finally:
        await serving.stop()
        await running


@pytest.fixture
async def served(world: World) -> AsyncIterator[Served]:
    async with served_over_http(world, HttpIdentity()) as serving:
        yield serving
