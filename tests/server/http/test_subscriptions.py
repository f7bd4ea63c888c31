"""Subscriptions over a real port: both eras are told of ends, and a reader that takes nothing costs nobody anything."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from mcp import Client
from mcp.types import LoggingMessageNotification, ResourceUpdatedNotification

from tests.server.conftest import Chat
from tests.server.http.conftest import HOST, Served
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB
from tp_mcp.server.http.application import MCP_PATH

pytestmark = pytest.mark.filterwarnings("ignore::mcp.shared.exceptions.MCPDeprecationWarning")

BUILD = {"testbed": LAB, "mode": "build", "build_number": "6955"}
INBOX = "tp://inbox"


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)


async def ended(chat: Chat) -> str:
    watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
    await chat.world.advance(400)
    return watch_id


async def test_a_session_is_told_of_an_end_on_its_standing_stream(served: Served) -> None:
    told: list[Any] = []

    async def heard(message: Any) -> None:
        told.append(message)

    async with Client(served.url, mode="legacy", message_handler=heard) as client:
        await client.subscribe_resource(INBOX)
        watch_id = await ended(Chat(served.world, client))
        await until(lambda: any(isinstance(message, ResourceUpdatedNotification) for message in told))
        await until(lambda: any(isinstance(message, LoggingMessageNotification) for message in told))
    (logged,) = [message.params.data for message in told if isinstance(message, LoggingMessageNotification)]
    assert logged.startswith(f"[{watch_id}]")


async def test_a_listen_stream_is_told_of_an_end(served: Served) -> None:
    async with served.chat() as chat:
        watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
        uri = f"tp://watches/{watch_id}"
        async with chat.client.listen(resource_subscriptions=[uri, INBOX]) as stream:
            await served.world.advance(400)
            told: set[str] = set()
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for event in stream:
                    told.add(getattr(event, "uri", ""))
                    if told == {uri, INBOX}:
                        break


@asynccontextmanager
async def stalled_listener(port: int, uri: str) -> AsyncIterator[asyncio.StreamReader]:
    """Open a listen stream by hand and read no more than its head."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=2**12)
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "stalled", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"_meta": meta, "notifications": {"resourceSubscriptions": [uri]}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}).encode()
    head = (
        f"POST {MCP_PATH} HTTP/1.1\r\nHost: {HOST}:{port}\r\nContent-Type: application/json\r\n"
        "Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n"
        f"Mcp-Method: subscriptions/listen\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
    try:
        yield reader
    finally:
        writer.close()


async def test_stalled_listeners_cost_the_others_nothing(served: Served) -> None:
    async with served.chat() as chat, served.chat("legacy") as other:
        watch_id = (await chat.call("start_upgrade", **BUILD))[1:11]
        uri = f"tp://watches/{watch_id}"
        async with (
            stalled_listener(served.port, uri),
            stalled_listener(served.port, uri),
            chat.client.listen(resource_subscriptions=[uri]) as stream,
            asyncio.timeout(PATIENCE_SECONDS),
        ):
            await served.world.advance(400)
            async for event in stream:
                assert getattr(event, "uri", "") == uri
                break
            assert "labs" in await other.call("list_labs")
