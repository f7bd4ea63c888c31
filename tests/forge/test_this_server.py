"""This server beside Forge: what a chat session started ends in that session, as a turn; progress is its status."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import RequestParamsMeta

from tests.forge.double import Forge, Session
from tests.server.conftest import IDENTITY, text_of
from tests.support.patience import PATIENCE_SECONDS
from tests.webhooks.conftest import SECRET, Received
from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import open_configured
from tp_mcp.composition.serve_options import ServeOptions
from tp_mcp.server.app import TpServer
from tp_mcp.server.auth.authentication import names_answered_to
from tp_mcp.server.backend import Backend
from tp_mcp.server.http.application import MCP_PATH, Readiness, http_app
from tp_mcp.server.http.serving import HttpServing, listen
from tp_mcp.server.identity import HttpIdentity, Identity
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services

pytestmark = pytest.mark.slow


HEADER = "X-Forge-Session"
OPTIONS = ServeOptions(simulator=True, speed=200.0)
# Long enough for progress to be told, however busy the machine is.
RUN = {"lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"]}

Call = Callable[[str, str, dict[str, Any]], Awaitable[str]]
"""Calls a tool for a session of Forge: session, tool, arguments."""


class Hooks:
    """Forge's own end of a webhook: it believes what is signed, takes each event once, and feeds it to its session."""

    def __init__(self, forge: Forge) -> None:
        self._forge = forge
        self._taken: set[str] = set()
        self.turned = asyncio.Event()
        self.port = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n"))}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        received = Received("/", headers, body)
        taken = received.is_signed_with(SECRET.encode())
        writer.write(
            f"HTTP/1.1 {'204 No Content' if taken else '401 Unauthorized'}\r\nConnection: close\r\n\r\n".encode()
        )
        await writer.drain()
        writer.close()
        if taken and received.json["id"] not in self._taken:
            self._taken.add(received.json["id"])
            await self._feed(received.json)

    async def _feed(self, event: dict[str, Any]) -> None:
        session = self._forge.session(event["session"])
        if event["kind"] == "status":
            session.statuses.append(event["text"])
            return
        await self._forge.feed(session, event["text"])
        self.turned.set()


@asynccontextmanager
async def hooked(forge: Forge, monkeypatch: pytest.MonkeyPatch, state_dir: Path) -> AsyncIterator[Hooks]:
    hooks = Hooks(forge)
    listening = await asyncio.start_server(hooks.handle, "127.0.0.1", 0)
    hooks.port = listening.sockets[0].getsockname()[1]
    endpoint = {
        "url": f"http://127.0.0.1:{hooks.port}/api/hooks/tp",
        "secret": SECRET,
        "format": "forge",
        "events": ["end", "progress"],
        "allow_private_addresses": True,
    }
    monkeypatch.setenv("TP_MCP_WEBHOOKS", json.dumps({"forge": endpoint}))
    monkeypatch.setenv("TP_MCP_STATE_DIR", str(state_dir))
    async with listening:
        yield hooks


def _server(identity: Identity) -> tuple[TpServer, Backend]:
    clock = SystemClock()

    @asynccontextmanager
    async def opening() -> AsyncIterator[Services]:
        async with open_configured(OPTIONS, clock) as services:
            yield services

    backend = Backend(opening, clock)
    return TpServer(backend, identity, clock, lambda: DEFAULT_TOOLS), backend


@asynccontextmanager
async def named_in_meta() -> AsyncIterator[Call]:
    """One connection for all chats, as a client has over stdio; each request names its chat."""
    server, _ = _server(IDENTITY)
    async with Client(server) as client:

        async def call(session: str, tool: str, arguments: dict[str, Any]) -> str:
            meta = cast(RequestParamsMeta, {"sessionId": session})
            return text_of(await client.call_tool(tool, arguments, meta=meta))

        yield call


@asynccontextmanager
async def named_in_a_header() -> AsyncIterator[Call]:
    """A server over HTTP; each chat has a connection with a header of its own."""
    server, backend = _server(HttpIdentity(header=HEADER))
    listening = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.getsockname()[1]}{MCP_PATH}"
    readiness = Readiness(backend, SystemClock())
    serving = HttpServing(http_app(server, readiness, security=names_answered_to(None)), listening, close=backend.close)
    running = asyncio.create_task(serving.run())

    async def call(session: str, tool: str, arguments: dict[str, Any]) -> str:
        async with (
            httpx2.AsyncClient(headers={HEADER: session}) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            return text_of(await client.call_tool(tool, arguments))

    try:
        yield call
    finally:
        await serving.stop()
        await running


@pytest.mark.parametrize("naming", [named_in_meta, named_in_a_header])
async def test_what_a_chat_session_started_ends_in_that_session_as_a_turn(
    naming: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reacted: list[str] = []

    async def assistant(_forge: Forge, session: Session, turn: str) -> None:
        # By itself, as a model does that reads how its run ended.
        match = re.search(r"execution (\d+)", turn)
        assert match is not None, turn
        reacted.append(await call(session.name, "get_execution", {"exec_id": int(match[1])}))

    forge = Forge({}, SystemClock(), assistant)
    async with hooked(forge, monkeypatch, tmp_path) as hooks, naming() as call:
        started = await call("chat-7", "run_pytest", RUN)
        watch_id = started[1:].partition("]")[0]
        await call("chat-8", "list_labs", {})
        async with asyncio.timeout(PATIENCE_SECONDS):
            await hooks.turned.wait()
        asked = forge.session("chat-7")
        (turn,) = asked.turns
        assert turn.startswith(f"[{watch_id}] run of Tests_CLI on AT16_Combined_FSW")
        assert re.search(r"\d+ passed", turn)
        assert "AT16_Combined_FSW" in asked.status
        assert set(asked.statuses).isdisjoint(asked.turns)
        assert reacted[0].startswith("Execution ")
        assert " is Done: " in reacted[0]
        assert (forge.session("chat-8").turns, forge.session("chat-8").statuses) == ([], [])
        assert watch_id not in await call("chat-8", "list_watches", {})
