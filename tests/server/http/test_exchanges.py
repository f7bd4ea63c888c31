"""A request cannot hold up another, nor the stop: every part of it has its time, and what is open is bounded."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from tp_mcp.server.http.serving import DROP_EXTENSION, STOPPING, Exchanges

IN_TIME = 5.0
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Wire:
    """A client's end of one request."""

    def __init__(self, *, reads: bool = True, body: tuple[Message, ...] | None = None) -> None:
        self.sent: list[Message] = []
        self.dropped = asyncio.Event()
        self._reads = reads
        self._incoming = list(body if body is not None else ({"type": "http.request", "body": b""},))

    @property
    def scope(self) -> Scope:
        return {
            "type": "http",
            "method": "POST",
            "path": "/mcp",
            "headers": [],
            "extensions": {DROP_EXTENSION: self.dropped.set},
        }

    async def receive(self) -> Message:
        if self._incoming:
            return self._incoming.pop(0)
        await self.dropped.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if not self._reads and message["type"] == "http.response.body":
            await asyncio.Event().wait()
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    @property
    def complete(self) -> bool:
        return self.sent[-1]["type"] == "http.response.body" and not self.sent[-1].get("more_body", False)


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with a stream that has no end."""
    await send(START)
    await send({"type": "http.response.body", "body": b"first", "more_body": True})
    await asyncio.Event().wait()


async def silent(scope: Scope, receive: Receive, send: Send) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the whole body, then answer."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send(START)
    await send({"type": "http.response.body", "body": body})


async def settled(task: "asyncio.Task[Any]") -> None:
    async with asyncio.timeout(IN_TIME):
        await task


async def begun(exchanges: Exchanges, wire: Wire) -> "asyncio.Task[None]":
    task = asyncio.create_task(exchanges(wire.scope, wire.receive, wire.send))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def test_a_request_is_answered_as_the_application_does() -> None:
    parts: tuple[Message, ...] = (
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "body": b"b"},
    )
    wire = Wire(body=parts)
    await Exchanges(echo)(wire.scope, wire.receive, wire.send)
    assert (wire.status, wire.body, wire.complete) == (200, b"ab", True)
    assert not wire.dropped.is_set()


async def test_a_client_that_does_not_read_is_dropped_and_its_request_ends() -> None:
    wire = Wire(reads=False)
    await settled(await begun(Exchanges(stream, send_seconds=0.05), wire))
    assert wire.dropped.is_set()


async def test_a_body_that_never_arrives_ends_the_request() -> None:
    wire = Wire(body=({"type": "http.request", "body": b"a", "more_body": True},))
    await settled(await begun(Exchanges(echo, body_seconds=0.05), wire))
    assert wire.dropped.is_set()
    assert wire.sent == []


async def test_a_body_that_arrives_bit_by_bit_has_no_more_time_than_any_other() -> None:
    class Dribbling(Wire):
        async def receive(self) -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b"a", "more_body": not self.dropped.is_set()}

    wire = Dribbling()
    await settled(await begun(Exchanges(echo, body_seconds=0.05), wire))
    assert wire.dropped.is_set()
    assert wire.sent == []


async def test_after_its_body_a_request_may_be_as_long_as_it_likes() -> None:
    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.1)
        assert not waiting.done()
        waiting.cancel()
        await send(START)
        await send({"type": "http.response.body", "body": b"late"})

    wire = Wire()
    await Exchanges(waits, body_seconds=0.01)(wire.scope, wire.receive, wire.send)
    assert wire.body == b"late"


async def test_one_request_too_many_is_refused_in_words_and_the_others_go_on() -> None:
    exchanges = Exchanges(stream, max_requests=1)
    first, second = Wire(), Wire()
    task = await begun(exchanges, first)
    await exchanges(second.scope, second.receive, second.send)
    assert second.status == 503
    assert b"at one time" in second.body
    assert not task.done()
    await exchanges.end(within=0)
    await settled(task)


async def test_the_end_lets_a_request_that_is_nearly_done_finish() -> None:
    go = asyncio.Event()

    async def soon(scope: Scope, receive: Receive, send: Send) -> None:
        await go.wait()
        await send(START)
        await send({"type": "http.response.body", "body": b"done"})

    wire, exchanges = Wire(), Exchanges(soon)
    task = await begun(exchanges, wire)
    ending = asyncio.create_task(exchanges.end(within=IN_TIME))
    await asyncio.sleep(0)
    go.set()
    await settled(ending)
    await settled(task)
    assert wire.body == b"done"


@pytest.mark.parametrize(("app", "body"), [(stream, b"first"), (silent, STOPPING.encode())])
async def test_the_end_gives_an_open_request_a_whole_answer(app: Any, body: bytes) -> None:
    wire, exchanges = Wire(), Exchanges(app)
    task = await begun(exchanges, wire)
    await exchanges.end(within=0)
    await settled(task)
    assert wire.complete
    assert wire.body == body
    assert not wire.dropped.is_set()


async def test_the_end_drops_who_does_not_read_the_last_part() -> None:
    wire, exchanges = Wire(reads=False), Exchanges(stream)
    task = await begun(exchanges, wire)
    async with asyncio.timeout(IN_TIME):
        await exchanges.end(within=0)
    assert wire.dropped.is_set()
    task.cancel()


async def test_a_connection_that_cannot_be_dropped_ends_all_the_same() -> None:
    wire = Wire(reads=False)
    scope = {**wire.scope, "extensions": {}}
    async with asyncio.timeout(IN_TIME):
        await Exchanges(stream, send_seconds=0.05)(scope, wire.receive, wire.send)


async def test_what_is_no_request_is_left_to_the_application() -> None:
    seen: list[str] = []

    async def lifespan(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["type"])

    wire = Wire()
    await Exchanges(lifespan)({"type": "lifespan"}, wire.receive, wire.send)
    assert seen == ["lifespan"]
