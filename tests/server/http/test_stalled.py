"""Clients that never read, on real sockets: nobody else waits for them, and they are dropped."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from tp_mcp.server.http.exchanges import Exchanges
from tp_mcp.server.http.serving import HttpServing, listen

HOST = "127.0.0.1"
CHUNK = b"x" * 65_536
CHUNKS = 200
SEND_SECONDS = 0.5
IN_TIME = 20.0


class Application:
    """Answers `/large` with much, `/small` with little, and counts what has ended."""

    def __init__(self) -> None:
        self.ended = 0
        self.whole = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(CHUNKS if scope["path"] == "/large" else 1):
                await send({"type": "http.response.body", "body": CHUNK, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            self.whole += 1
        finally:
            self.ended += 1


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def port(application: Application, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr("tp_mcp.server.http.serving.Exchanges", lambda app: Exchanges(app, send_seconds=SEND_SECONDS))
    listening = listen(HOST, 0)

    async def nothing_to_close() -> None:
        pass

    serving = HttpServing(application, listening, close=nothing_to_close)
    running = asyncio.create_task(serving.run())
    yield listening.getsockname()[1]
    await serving.stop()
    await running


@contextmanager
def stalled(port: int, count: int) -> Iterator[None]:
    """Ask for much, many times, and read nothing of it."""
    sockets = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((HOST, port))
        client.sendall(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sockets.append(client)
    try:
        yield
    finally:
        for client in sockets:
            client.close()


async def fetched(port: int, path: str) -> int:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    read = len(await reader.read())
    writer.close()
    return read


async def until_ended(application: Application, count: int) -> None:
    async with asyncio.timeout(IN_TIME):
        while application.ended < count:
            await asyncio.sleep(0.02)


async def test_others_are_answered_while_some_do_not_read_and_those_are_dropped(
    application: Application, port: int
) -> None:
    with stalled(port, 10):
        for _ in range(5):
            assert await fetched(port, "/small") > len(CHUNK)
        await until_ended(application, 15)
    assert application.whole == 5


async def test_who_reads_slowly_gets_everything(application: Application, port: int) -> None:
    assert await fetched(port, "/large") > CHUNKS * len(CHUNK)
    assert application.whole == 1
