"""Pushing: a reader that takes nothing costs nobody else anything; updates are paced; streams end in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from operator import eq
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server.context import ServerRequestContext
from mcp.server.session import ServerSession
from mcp.types import SubscriptionsListenRequestParams

from tests.server.conftest import IDENTITY, Connect
from tests.support.clock import FakeClock
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE as OF_WORLD
from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.redaction import SafeText
from tp_mcp.server.app import TpServer
from tp_mcp.server.notifications import handshake_sessions as sessions_module
from tp_mcp.server.notifications import listen_streams as streams_module
from tp_mcp.server.notifications import publisher as pushes_module
from tp_mcp.server.notifications.handshake_sessions import HandshakeSessions
from tp_mcp.server.notifications.listen_streams import ListenStreams
from tp_mcp.server.notifications.publisher import Pushes
from tp_mcp.watch.delivery.change_feed import Throttle
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner

ALICE = Owner("local:alice", "chat-1", exact=True)


@dataclass(eq=False)
class Reader:
    """A connection of the handshake era whose reader takes what it is told, or does not."""

    stuck: bool = False
    broken: bool = False
    taken: list[str] = field(default_factory=list)
    levels: list[str] = field(default_factory=list)
    tried: int = 0
    exit_stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def ask(self, version: str = "2025-11-25") -> ServerRequestContext[Any, Any]:
        context = SimpleNamespace(protocol_version=version, session=SimpleNamespace(_connection=self))
        return cast("ServerRequestContext[Any, Any]", context)

    async def notify(self, _method: str, params: dict[str, str]) -> None:
        self.levels.append(params["level"])
        await self._take(params["data"])

    async def send_resource_updated(self, uri: str) -> None:
        await self._take(uri)

    async def _take(self, what: str) -> None:
        self.tried += 1
        if self.stuck:
            await asyncio.Event().wait()
        if self.broken:
            raise RuntimeError("unforeseen")
        self.taken.append(what)


def anyone(_: Owner) -> bool:
    return True


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(0.002)


@asynccontextmanager
async def group() -> AsyncIterator[TaskGroup]:
    async with anyio.create_task_group() as tasks:
        yield tasks
        tasks.cancel_scope.cancel()


async def test_a_stalled_reader_holds_up_nobody_and_is_told_nothing_until_it_asks_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sessions_module, "PUSH_SECONDS", 0.02)
    stuck, live, sessions = Reader(stuck=True), Reader(), HandshakeSessions()
    for reader in (stuck, live):
        sessions.subscribe(reader.ask(), "tp://inbox", ALICE)
        sessions.heard(reader.ask(), ALICE)
    async with group() as tasks:
        sessions.ended(SafeText("first"), "info", anyone, tasks)
        sessions.updated("tp://inbox", anyone, tasks)
        await until(lambda: live.taken == ["first", "tp://inbox"])
        await until(lambda: [session.stalled for session in sessions._sessions.values()] == [True, False])
        tried = stuck.tried
        sessions.ended(SafeText("second"), "info", anyone, tasks)
        await until(lambda: "second" in live.taken)
        assert (stuck.tried, stuck.taken) == (tried, [])
        stuck.stuck = False
        sessions.heard(stuck.ask(), ALICE)
        sessions.ended(SafeText("third"), "info", anyone, tasks)
        await until(lambda: stuck.taken == ["third"])


async def test_what_waits_for_a_slow_reader_is_bounded_and_a_resource_waits_once() -> None:
    reader, sessions = Reader(stuck=True), HandshakeSessions()
    sessions.subscribe(reader.ask(), "tp://inbox", ALICE)
    sessions.heard(reader.ask(), ALICE)
    async with group() as tasks:
        for number in range(10 * sessions_module.MAX_ENDS_WAITING):
            sessions.ended(SafeText(str(number)), "info", anyone, tasks)
            sessions.updated("tp://inbox", anyone, tasks)
        (session,) = sessions._sessions.values()
        assert len(session.ends) == sessions_module.MAX_ENDS_WAITING
        assert list(session.uris) == ["tp://inbox"]


async def test_a_push_that_fails_for_an_unforeseen_reason_ends_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    broken, live, sessions = Reader(broken=True), Reader(), HandshakeSessions()
    for reader in (broken, live):
        sessions.heard(reader.ask(), ALICE)
    async with group() as tasks:
        sessions.ended(SafeText("first"), "info", anyone, tasks)
        await until(lambda: live.taken == ["first"])
        await until(lambda: not any(session.sending for session in sessions._sessions.values()))
        broken.broken = False
        sessions.ended(SafeText("second"), "info", anyone, tasks)
        await until(lambda: broken.taken == ["second"])
    assert "could not be notified" in caplog.text


async def test_a_session_that_ended_is_forgotten_and_a_newer_protocol_has_none() -> None:
    reader, sessions = Reader(), HandshakeSessions()
    sessions.heard(reader.ask("2026-07-28"), ALICE)
    assert len(sessions) == 0
    sessions.heard(reader.ask(), ALICE)
    assert len(sessions) == 1
    await reader.exit_stack.aclose()
    assert len(sessions) == 0


async def test_a_session_of_many_conversations_is_told_of_those_that_called_last() -> None:
    reader, sessions = Reader(), HandshakeSessions()
    owners = [Owner("p", str(number), exact=True) for number in range(sessions_module.MAX_CONVERSATIONS + 1)]
    for owner in [*owners[:-1], owners[0], owners[-1]]:
        sessions.heard(reader.ask(), owner)
    async with group() as tasks:
        for owner in owners:
            sessions.ended(SafeText(owner.conversation), "info", partial(eq, owner), tasks)
        await until(lambda: str(len(owners) - 1) in reader.taken)
    assert "0" in reader.taken
    assert "1" not in reader.taken


async def move(clock: FakeClock, seconds: float) -> None:
    await asyncio.sleep(0)
    clock.move(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_first_change_is_told_at_once_and_the_last_one_of_a_burst_when_its_time_has_come() -> None:
    clock, passed = FakeClock(), list[int]()
    async with group() as tasks:
        throttle = Throttle(seconds=10.0, clock=clock, tasks=tasks)
        for number in range(5):
            throttle.offer("a", number, partial(passed.append, number))
        assert passed == [0]
        throttle.offer("b", 0, lambda: passed.append(100))
        assert passed == [0, 100]
        await move(clock, 9.9)
        assert passed == [0, 100]
        await move(clock, 0.1)
        assert passed == [0, 100, 4]
        throttle.offer("a", 4, lambda: passed.append(-1))
        await move(clock, 60)
        assert passed == [0, 100, 4]


async def test_what_is_forgotten_is_passed_on_no_more() -> None:
    clock, passed = FakeClock(), list[int]()
    async with group() as tasks:
        throttle = Throttle(seconds=10.0, clock=clock, tasks=tasks)
        throttle.offer("a", 0, lambda: passed.append(0))
        throttle.offer("a", 1, lambda: passed.append(1))
        throttle.forget("a")
        await move(clock, 60)
        assert passed == [0]


async def test_a_listen_stream_whose_reader_takes_nothing_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams_module, "PUSH_SECONDS", 0.02)

    class Stuck:
        async def send_notification(self, *_: object) -> None:
            await asyncio.Event().wait()

    ctx = ServerRequestContext[Any, Any](
        session=cast("ServerSession", Stuck()),
        lifespan_context=None,
        protocol_version="2026-07-28",
        method="subscriptions/listen",
        request_id=1,
    )
    params = SubscriptionsListenRequestParams.model_validate(
        {"notifications": {"resourceSubscriptions": ["tp://inbox"]}}
    )
    streams = ListenStreams()
    async with asyncio.timeout(PATIENCE_SECONDS):
        with pytest.raises(MCPError, match="for too long"):
            await streams.serve(ctx, params, ALICE)
    assert streams.uris() == set()


async def test_streams_end_in_order_when_the_server_stops(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[TpServer] = []
    original = TpServer.__init__

    def remembered(self: TpServer, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(TpServer, "__init__", remembered)
    async with connect() as chat, chat.client.listen(resource_subscriptions=["tp://inbox"]) as stream:
        made[0].subscriptions.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert [event async for event in stream] == []


async def test_ends_that_are_noticed_again_are_told_once_and_remembered_within_limits(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushes_module, "MAX_ENDS_REMEMBERED", 2)
    async with connect() as chat:
        reader, sessions = Reader(), HandshakeSessions()
        sessions.heard(reader.ask(), IDENTITY.owner(None))
        services = chat.world.services
        pushes = Pushes(ListenStreams(), sessions, services.clock)
        async with pushes.following(services):
            build = {"testbed": "AT16_Combined_FSW", "mode": "build"}
            for number in range(3):
                await chat.call("start_upgrade", **build, build_number=str(6955 + number))
                await chat.world.advance(400)
            await until(lambda: len(reader.taken) == 3)
            (newest, *_) = await services.watches.registry.list(IDENTITY.owner(None), all_conversations=True)
            services.watches.feed.publish(newest)
            await chat.world.advance(5)
            assert len(reader.taken) == 3
            assert len(pushes._told) == 2


@pytest.mark.parametrize(
    ("outcome", "level"),
    [
        (None, "info"),
        (Outcome.PASSED, "info"),
        (Outcome.LISTING, "info"),
        (Outcome.FAILED, "warning"),
        (Outcome.NO_TEST_RAN, "warning"),
        (Outcome.UNKNOWN, "warning"),
        (Outcome.CANCELLED, "warning"),
    ],
)
async def test_an_end_that_somebody_has_to_look_at_is_logged_as_a_warning(
    world: World, outcome: Outcome | None, level: str
) -> None:
    reader, sessions, services = Reader(), HandshakeSessions(), world.services
    await world.call("start_upgrade", testbed=LAB, mode="build", build_number="6955")
    await world.advance(400)
    (watch,) = await services.watches.registry.list(OF_WORLD, all_conversations=True)
    sessions.heard(reader.ask(), OF_WORLD)
    async with Pushes(ListenStreams(), sessions, services.clock).following(services):
        services.watches.feed.publish(replace(watch, outcome=outcome))
        await until(lambda: reader.taken)
    assert reader.levels == [level]
