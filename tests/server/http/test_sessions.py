"""Which sessions there are, as their requests tell."""

import asyncio
from dataclasses import dataclass, field

import pytest
from starlette.types import Message, Receive, Scope, Send

from tests.support.clock import FakeClock, still_clock
from tp_mcp.errors import StoreBusyError
from tp_mcp.server.http.capacity import SESSION_GONE_SECONDS, SESSION_IDLE_SECONDS
from tp_mcp.server.http.sessions import LEAVE_AGAIN_SECONDS, Sessions
from tp_mcp.server.identity import session_key

ID = "0123"
KEY = session_key(ID)


@dataclass
class Server:
    """An application that answers when it may, and what was left."""

    clock: FakeClock = field(default_factory=still_clock)
    status: int = 200
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    left: list[str] = field(default_factory=list)
    failing: bool = False

    def __post_init__(self) -> None:
        self.sessions = Sessions(self._answer, self.clock)

    async def request(self, method: str = "POST", headers: tuple[tuple[bytes, bytes], ...] | None = None) -> None:
        scope: Scope = {
            "type": "http",
            "method": method,
            "headers": headers if headers is not None else ((b"mcp-session-id", ID.encode()),),
        }

        async def receive() -> Message:
            raise AssertionError("nothing is read")

        async def send(_: Message) -> None:
            pass

        await self.sessions(scope, receive, send)

    async def sweep(self, after: float = 0.0) -> list[str]:
        """Let some time pass and return what is left then."""
        self.clock.time += after
        self.left.clear()
        await self.sessions.sweep(self._leave)
        return list(self.left)

    async def _leave(self, prefix: str, _: frozenset[str]) -> None:
        if self.failing:
            raise StoreBusyError("The store is busy.")
        self.left.append(prefix)

    async def _answer(self, scope: Scope, _: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        if scope["method"] == "GET":
            await self.may_end.wait()
        await send({"type": "http.response.body", "body": b""})


@pytest.fixture
def server() -> Server:
    return Server()


async def streaming(server: Server) -> "asyncio.Task[None]":
    task = asyncio.create_task(server.request("GET"))
    await asyncio.sleep(0)
    return task


async def test_a_session_whose_client_ended_it_is_gone_at_once(server: Server) -> None:
    await server.request()
    await server.request("DELETE")
    assert await server.sweep() == [KEY]
    assert await server.sweep() == []


async def test_a_session_whose_stream_broke_off_is_gone_soon(server: Server) -> None:
    await server.request()
    stream = await streaming(server)
    assert await server.sweep(SESSION_IDLE_SECONDS * 2) == []
    server.may_end.set()
    await stream
    assert await server.sweep(SESSION_GONE_SECONDS / 2) == []
    assert await server.sweep(SESSION_GONE_SECONDS / 2) == [KEY]


async def test_a_session_that_never_had_a_stream_is_gone_once_it_was_idle_for_long(server: Server) -> None:
    await server.request()
    assert await server.sweep(SESSION_IDLE_SECONDS - 1) == []
    await server.request()
    assert await server.sweep(SESSION_IDLE_SECONDS - 1) == []
    assert await server.sweep(1) == [KEY]


async def test_what_was_made_while_it_went_is_left_too(server: Server) -> None:
    await server.request("DELETE")
    assert await server.sweep() == [KEY]
    assert await server.sweep(LEAVE_AGAIN_SECONDS) == [KEY]
    assert await server.sweep(LEAVE_AGAIN_SECONDS) == []


async def test_a_session_that_is_not_there_is_none(server: Server) -> None:
    server.status = 404
    await server.request("DELETE")
    assert await server.sweep(SESSION_IDLE_SECONDS) == []


async def test_a_request_without_a_session_is_none(server: Server) -> None:
    await server.request("DELETE", headers=())
    assert await server.sweep(SESSION_IDLE_SECONDS) == []


async def test_what_could_not_be_moved_is_moved_at_the_next_sweep(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    await server.request("DELETE")
    server.failing = True
    assert await server.sweep() == []
    assert "could not be moved yet" in caplog.text
    server.failing = False
    assert await server.sweep() == [KEY]
