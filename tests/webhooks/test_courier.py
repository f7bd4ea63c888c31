"""Events are sent until they arrive: with back-off, in bounds, across failures of the endpoint and of the store."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from tests.support.clock import FakeClock
from tests.support.patience import PATIENCE_SECONDS
from tests.webhooks.conftest import NOW, Receiver
from tp_mcp.errors import StoreError
from tp_mcp.redaction import Redactor
from tp_mcp.settings import Webhook
from tp_mcp.storage.opening import Storage, open_storage
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.delivery_log import Deliveries
from tp_mcp.watch.delivery.outbox import EventKind, Outgoing
from tp_mcp.watch.model.reading import Counts, Reading, Verdict
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.webhooks.courier import (
    MAX_AGE_SECONDS,
    PROGRESS_MAX_AGE_SECONDS,
    PROGRESS_SECONDS,
    Attempt,
    Courier,
    Sender,
    backoff,
)
from tp_mcp.webhooks.events import Events

pytestmark = pytest.mark.slow

MakeEvent = Callable[..., Outgoing]
MakeWebhook = Callable[..., Webhook]
MakeWatch = Callable[..., Watch]


class FailingOutbox:
    """The real outbox, some of whose methods fail as often as a test says."""

    def __init__(self, real: Any, **failures: int) -> None:
        self._real = real
        self.failures = failures

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.failures.get(name, 0) > 0:
                self.failures[name] -= 1
                raise StoreError("The disk is gone.")
            return await getattr(self._real, name)(*args, **kwargs)

        return call


@dataclass
class World:
    """One process that sends."""

    store: Storage
    clock: FakeClock
    feed: ChangeFeed
    polled: set[str] = field(default_factory=set)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Let time pass until something is so."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                self.clock.move(1.0)
                await asyncio.sleep(0.005)

    async def emptied(self) -> None:
        """Let time pass until no event waits."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.waiting():
                await self.pass_time(1)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(int(seconds)):
            self.clock.move(1.0)
            await asyncio.sleep(0.002)

    async def waiting(self) -> int:
        def count(db: Any) -> int:
            found: int = db.execute("SELECT count(*) FROM outgoing").fetchone()[0]
            return found

        return await self.store.outbox._database.run(count)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    store = await open_storage(tmp_path / "state")
    clock = FakeClock()
    # The courier listens only to its own process, so the feed starts no task.
    yield World(store, clock, ChangeFeed(store=store.watches, clock=clock, task_group=cast("Any", None)))
    await store.close()


@asynccontextmanager
async def sending(world: World, outbox: Any = None, **endpoints: Webhook) -> AsyncIterator[None]:
    events = Events(endpoints, Redactor(), world.clock)
    courier = Courier(
        endpoints=endpoints,
        events=events,
        outbox=outbox or world.store.outbox,
        deliveries=Deliveries(store=world.store.watches, clock=world.clock),
        clock=world.clock,
        rng=random.Random(0),
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(courier.run, world.feed, world.polled.__contains__)
        await asyncio.sleep(0.02)
        yield
        tasks.cancel_scope.cancel()


async def test_an_event_that_waits_arrives_and_is_dropped(
    world: World, receiver: Receiver, make_event: MakeEvent, make_webhook: MakeWebhook
) -> None:
    await world.store.outbox.queue([make_event()])
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.emptied()
        await world.pass_time(10)
    assert len(receiver.received) == 1


async def test_an_event_is_tried_again_under_its_id_until_it_arrives(
    world: World,
    receiver: Receiver,
    make_event: MakeEvent,
    make_watch: MakeWatch,
    make_webhook: MakeWebhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await world.store.watches.add(make_watch())
    receiver.answer(*["HTTP/1.1 500 Oops\nContent-Length: 0\n\n"] * 3, "HTTP/1.1 200 OK\nContent-Length: 0\n\n")
    await world.store.outbox.queue([make_event()])
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.emptied()
        await world.pass_time(10)
    assert len(receiver.received) == 4
    assert {received.headers["webhook-id"] for received in receiver.received} == {"evt_1"}
    assert {received.body for received in receiver.received} == {'{"text":"ä"}'}
    assert len({received.headers["webhook-timestamp"] for received in receiver.received}) > 1
    assert all(received.is_signed_with(b"a-secret-of-enough-letters") for received in receiver.received)
    assert await world.waiting() == 0
    (delivery,) = await world.store.watches.deliveries(["w_00000001"])
    assert (delivery.channel, delivery.outcome, delivery.times) == ("webhook", "chat: arrived", 4)
    # Logged once when it begins and once when it ends.
    assert [record.getMessage().partition(": ")[0] for record in caplog.records] == [
        "evt_1 did not arrive at chat and is tried again",
        "evt_1 has arrived at chat, after 3 failures.",
    ]
    assert "127.0.0.1" not in caplog.text


def test_back_off_is_full_jitter_that_doubles_up_to_a_limit() -> None:
    rng = random.Random(0)
    for failures, longest in ((0, 4.0), (1, 8.0), (5, 128.0), (50, 900.0)):
        waits = [backoff(failures, rng) for _ in range(500)]
        assert all(0 <= wait <= longest for wait in waits)
        assert max(waits) > longest * 0.9
        assert min(waits) < longest * 0.1


async def test_an_endpoint_that_asks_to_be_left_alone_is(
    world: World, receiver: Receiver, make_event: MakeEvent, make_webhook: MakeWebhook
) -> None:
    receiver.answer(
        "HTTP/1.1 429 Slow\nRetry-After: 300\nContent-Length: 0\n\n", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"
    )
    await world.store.outbox.queue([make_event()])
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.until(lambda: len(receiver.received) == 1)
        began = world.clock.time
        await world.until(lambda: len(receiver.received) == 2)
        assert world.clock.time - began >= 290


@pytest.mark.parametrize(
    ("kind", "age"), [(EventKind.END, MAX_AGE_SECONDS), (EventKind.PROGRESS, PROGRESS_MAX_AGE_SECONDS)]
)
async def test_what_does_not_arrive_for_too_long_is_given_up(
    world: World,
    receiver: Receiver,
    make_event: MakeEvent,
    make_webhook: MakeWebhook,
    caplog: pytest.LogCaptureFixture,
    kind: EventKind,
    age: float,
) -> None:
    receiver.answer("HTTP/1.1 500 Oops\nContent-Length: 0\n\n")
    await world.store.outbox.queue([make_event(kind=kind, created_at=NOW - age)])
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.until(lambda: "is given up: HTTP 500" in caplog.text)
        await world.emptied()
        await world.pass_time(20)
    assert len(receiver.received) == 1


async def test_an_endpoint_that_hangs_holds_up_no_other(
    world: World, receiver: Receiver, make_event: MakeEvent, make_webhook: MakeWebhook
) -> None:
    class Hanging:
        async def send(self, _event: Outgoing, **_now: float) -> Attempt:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

        async def close(self) -> None:
            pass

    await world.store.outbox.queue([make_event(id="evt_1", endpoint="hangs"), make_event(id="evt_2")])
    endpoints = {"hangs": make_webhook("https://hangs.example/"), "chat": make_webhook(receiver.url())}
    courier = Courier(
        endpoints=endpoints,
        events=Events(endpoints, Redactor(), world.clock),
        outbox=world.store.outbox,
        deliveries=Deliveries(store=world.store.watches, clock=world.clock),
        clock=world.clock,
        make_sender=lambda webhook: Hanging() if "hangs" in webhook.url else Sender(webhook),  # type: ignore[arg-type, return-value]
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(courier.run, world.feed, world.polled.__contains__)
        await world.until(lambda: [received.headers["webhook-id"] for received in receiver.received] == ["evt_2"])
        tasks.cancel_scope.cancel()


async def test_an_end_wakes_the_courier(
    world: World, receiver: Receiver, make_event: MakeEvent, make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.store.outbox.queue([make_event()])
        world.feed.publish(make_watch(state=WatchState.DONE, ended_at=NOW))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not receiver.received:
                await asyncio.sleep(0.005)
    assert world.clock.time == NOW


def going_on(watch: Watch, passed: int) -> Watch:
    return replace(watch, reading=Reading(Verdict.UNDERWAY, "Running", counts=Counts(passed=passed)))


async def test_progress_is_told_by_the_process_that_polls_paced_and_only_to_who_asked(
    world: World, receiver: Receiver, make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    mine, others = make_watch(), make_watch(id="w_00000002")
    world.polled.add(mine.id)
    both = make_webhook(receiver.url("127.0.0.1", "/both"), events=["end", "progress"])
    ends = make_webhook(receiver.url("127.0.0.1", "/ends"))
    async with sending(world, both=both, ends=ends):
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(receiver.received) < 3:
                passed = int(world.clock.time - NOW)
                world.feed.publish(going_on(mine, passed))
                world.feed.publish(going_on(others, passed))
                await world.pass_time(1)
    assert {received.path for received in receiver.received} == {"/both"}
    assert len(receiver.received) <= (world.clock.time - NOW) / PROGRESS_SECONDS + 1
    assert {received.json["data"]["watch_id"] for received in receiver.received} == {mine.id}
    assert await world.store.watches.deliveries([mine.id]) == ()


async def test_where_nobody_asked_for_progress_none_is_queued(
    world: World, receiver: Receiver, make_watch: MakeWatch, make_webhook: MakeWebhook
) -> None:
    world.polled.add("w_00000001")
    async with sending(world, ends=make_webhook(receiver.url())):
        world.feed.publish(going_on(make_watch(), 1))
        await world.pass_time(40)
    assert receiver.received == []


async def test_a_store_that_fails_delays_and_loses_nothing(
    world: World,
    receiver: Receiver,
    make_event: MakeEvent,
    make_watch: MakeWatch,
    make_webhook: MakeWebhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    await world.store.outbox.queue([make_event()])
    outbox = FailingOutbox(world.store.outbox, drop_forgotten=1, claim=1, arrived=1, queue=1)
    world.polled.add("w_00000001")
    async with sending(world, outbox, chat=make_webhook(receiver.url(), events=["end", "progress"])):
        world.feed.publish(going_on(make_watch(), 1))
        await world.emptied()
        said = ("could not be dropped", "could not be read", "could not be written", "was not queued for")
        await world.until(lambda: all(each in caplog.text for each in said))
    # Its claim had to run out, because that it arrived could not be written.
    assert [received.headers["webhook-id"] for received in receiver.received] == ["evt_1", "evt_1"]


async def test_events_for_endpoints_that_are_no_more_are_dropped_at_the_start(
    world: World,
    receiver: Receiver,
    make_event: MakeEvent,
    make_webhook: MakeWebhook,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = NOW - MAX_AGE_SECONDS - 1
    await world.store.outbox.queue([make_event(endpoint="gone", created_at=old), make_event(id="evt_2")])
    async with sending(world, chat=make_webhook(receiver.url())):
        await world.emptied()
    assert len(receiver.received) == 1
    assert "1 events for endpoints that are no longer configured were dropped." in caplog.text
