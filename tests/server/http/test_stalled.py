"""Clients that never read or never ask, on real sockets: nobody else waits for them, and they are dropped."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest
from starlette.types import Receive, Scope, Send

from tp_mcp.server.http.serving import DROP_EXTENSION, Exchanges, HttpServing, listen

pytestmark = pytest.mark.slow

HOST = "127.0.0.1"
CHUNK = b"x" * 65_536
CHUNKS = 200
SEND_SECONDS = 0.5
HEADERS_SECONDS = 0.3
WITHOUT_END = (b"GET /small HTTP/1.1\r\nHost: ", *[b"x"] * 200)
IN_TIME = 20.0


class Application:
    """Answers `/large` with much, `/small` with little, `/slow` late, and counts what has ended.

    `/full` ends its answer as soon as a part of it waits outside the system, in `waiting`.
    """

    def __init__(self) -> None:
        self.ended = 0
        self.whole = 0
        self.waiting: asyncio.WriteTransport | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        try:
            if scope["path"] == "/slow":
                await asyncio.sleep(3 * HEADERS_SECONDS)
            await send({"type": "http.response.start", "status": 200, "headers": []})
            if scope["path"] == "/full":
                self.waiting = scope["extensions"][DROP_EXTENSION].__self__
                while not self.waiting.get_write_buffer_size():
                    await send({"type": "http.response.body", "body": CHUNK[:4_096], "more_body": True})
            for _ in range({"/large": CHUNKS, "/full": 0}.get(scope["path"], 1)):
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
    monkeypatch.setattr("tp_mcp.server.http.serving.HEADERS_SECONDS", HEADERS_SECONDS)
    monkeypatch.setattr("tp_mcp.server.http.serving.KEEP_ALIVE_SECONDS", 1)
    listening = listen(HOST, 0)

    async def nothing_to_close() -> None:
        pass

    serving = HttpServing(application, listening, close=nothing_to_close)
    running = asyncio.create_task(serving.run())
    yield listening.getsockname()[1]
    await serving.stop()
    await running


@contextmanager
def stalled(port: int, count: int, path: str = "/large") -> Iterator[None]:
    """Ask for much, many times, and read nothing of it."""
    sockets = []
    for _ in range(count):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.connect((HOST, port))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
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


async def parts_until_dropped(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes) -> int:
    """Send parts, one in 50 ms, and return how many could be sent before the server ended the connection."""
    sent = 0
    async with asyncio.timeout(IN_TIME):
        with contextlib.suppress(ConnectionError):
            while sent < len(parts) and not reader.at_eof():
                writer.write(parts[sent])
                await writer.drain()
                sent += 1
                await asyncio.sleep(0.05)
            assert await reader.read() == b""
    writer.close()
    return sent


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


async def test_who_leaves_the_rest_of_a_complete_answer_unread_is_dropped(application: Application, port: int) -> None:
    with stalled(port, 1, "/full"):
        await until_ended(application, 1)
        assert application.whole == 1
        assert application.waiting is not None
        async with asyncio.timeout(IN_TIME):
            while application.waiting.get_write_buffer_size():
                await asyncio.sleep(0.02)


async def test_who_sends_nothing_is_dropped(application: Application, port: int) -> None:
    await parts_until_dropped(*await asyncio.open_connection(HOST, port))
    assert application.ended == 0


async def test_who_sends_headers_without_end_is_dropped(application: Application, port: int) -> None:
    assert await parts_until_dropped(*await asyncio.open_connection(HOST, port), *WITHOUT_END) < len(WITHOUT_END)
    assert application.ended == 0


async def test_who_sends_headers_without_end_after_an_answer_is_dropped(application: Application, port: int) -> None:
    reader, writer = await asyncio.open_connection(HOST, port, limit=2 * len(CHUNK))
    writer.write(b"GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b"\r\n0\r\n\r\n")
    assert await parts_until_dropped(reader, writer, *WITHOUT_END) < len(WITHOUT_END)
    assert application.ended == 1


async def test_who_has_sent_its_headers_is_answered_however_long_that_takes(
    application: Application, port: int
) -> None:
    assert await fetched(port, "/slow") > len(CHUNK)
    assert application.whole == 1


async def test_a_connection_too_many_is_closed_and_the_rest_goes_on(
    application: Application, port: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("tp_mcp.server.http.serving.MAX_CONNECTIONS", 0)
        await parts_until_dropped(*await asyncio.open_connection(HOST, port))
    assert await fetched(port, "/small") > len(CHUNK)
    assert [record.name for record in caplog.records] == ["tp_mcp.server.http.serving"]
