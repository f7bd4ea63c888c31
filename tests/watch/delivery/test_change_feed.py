"""Changes are published here at once, and those of other processes by looking at the store they share."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from tests.watch.conftest import advance
from tp_mcp.errors import StoreError
from tp_mcp.watch.delivery.change_feed import SUBSCRIBED_SECONDS, WAITING_SECONDS
from tp_mcp.watch.model.watch import Watch, WatchState

Open = Callable[..., AbstractAsyncContextManager[Any]]
MakeWatch = Callable[..., Watch]


class Listener:
    """Listens to the news of one process, and says what it wants to know of other processes' watches."""

    def __init__(self, world: Any, *wanted: str, present: bool = True) -> None:
        self.changes: list[tuple[str, WatchState]] = []
        self.subscribed: set[str] | None = set(wanted) if present else None
        self.stop = world.feed.listen(
            lambda watch: self.changes.append((watch.id, watch.state)), lambda: self.subscribed
        )

    def ends(self) -> list[str]:
        return [watch_id for watch_id, state in self.changes if state.ended]


async def test_what_happens_here_is_told_at_once_until_nobody_listens(open_world: Open, make_watch: MakeWatch) -> None:
    async with open_world() as here:
        listener = Listener(here)
        first, second = await here.add(make_watch("1")), await here.add(make_watch("2"))
        here.reader.on("1", {"status": "done"})
        await here.advance(30)
        assert listener.ends() == [first.id]
        listener.stop()
        here.reader.on("2", {"status": "done"})
        await here.advance(30)
        assert listener.ends() == [first.id]
        assert (await here.stored(second)).state is WatchState.DONE


async def test_an_end_that_another_process_wrote_is_told_within_two_looks(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        before = await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        listener = Listener(here)
        await here.advance(5)
        watch = await there.add(make_watch("2"))
        there.reader.on("2", {"status": "done"})
        await there.advance(30)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        assert listener.ends() == [watch.id]
        assert before.id not in listener.ends()


async def test_changes_of_another_processs_watch_are_told_where_they_are_wanted(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        wanted, other = await there.add(make_watch("1")), await there.add(make_watch("2"))
        listener = Listener(here, wanted.id)
        await there.advance(40)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        told = len(listener.changes)
        assert {watch_id for watch_id, _ in listener.changes} == {wanted.id}
        await here.advance(5)
        assert len(listener.changes) == told
        await there.advance(40)
        await here.advance(2 * SUBSCRIBED_SECONDS)
        assert len(listener.changes) > told
        assert other.id not in {watch_id for watch_id, _ in listener.changes}


async def test_nothing_is_looked_at_while_nobody_wants_it_and_what_ended_then_is_no_news(
    open_world: Open, make_watch: MakeWatch
) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        listener = Listener(here, present=False)
        await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        await here.advance(5)
        assert here.store.calls == []
        listener.subscribed = set()
        await here.advance(5)
        assert listener.changes == []


async def test_a_store_that_cannot_be_looked_at_is_looked_at_again(open_world: Open, make_watch: MakeWatch) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        listener = Listener(here)
        await here.advance(2)
        here.store.fail_always("ends_after")
        watch = await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        await here.advance(5)
        assert listener.changes == []
        here.store.fail("ends_after")
        await here.advance(2)
        assert listener.ends() == [watch.id]


async def test_an_end_that_another_process_writes_is_noticed_while_somebody_waits(
    open_world: Any, make_watch: MakeWatch, alice: Any
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch())
        await two.registry.resume()
        await advance(3, one, two)
        told: list[Watch] = []

        async def report(stands: Watch) -> None:
            told.append(stands)

        waiting = asyncio.create_task(two.registry.wait(watch.id, alice, seconds=60, report=report))
        both = asyncio.create_task(two.registry.wait(watch.id, alice, seconds=60))
        await two.advance(1)
        await one.store.real.save(replace(watch, reason="other words"))
        await two.advance(0.5)
        assert [each.reason for each in told] == ["", "other words"]
        await one.registry.cancel(watch.id, alice, reason="no need")
        await two.advance(0.5)
        assert waiting.done()
        assert (await waiting).state is (await both).state is WatchState.CANCELLED
        assert two.poller.current(watch.id) is None
        two.store.calls.clear()
        await two.advance(3)
        assert two.store.calls.count("version") <= 1, "nobody waits, so only the heartbeat looks"


async def test_a_wait_goes_on_while_the_store_cannot_be_looked_at(
    open_world: Any, make_watch: MakeWatch, alice: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch())
        waiting = asyncio.create_task(two.registry.wait(watch.id, alice, seconds=60))
        await two.advance(0.3)
        two.store.fail("version", StoreError("It is held."))
        await two.advance(0.5)
        assert "could not be looked at: It is held." in caplog.text
        await one.registry.cancel(watch.id, alice, reason="no need")
        await two.advance(0.5)
        assert (await waiting).state is WatchState.CANCELLED


async def test_the_store_is_looked_at_more_often_while_a_call_waits_and_not_at_all_without_interest(
    open_world: Open, make_watch: MakeWatch, alice: Any
) -> None:
    async with open_world() as here:
        watch = await here.add(make_watch(spec={"interval_seconds": 600.0}))

        async def looks(seconds: float) -> int:
            here.store.calls.clear()
            await here.advance(seconds)
            calls: list[str] = here.store.calls
            return calls.count("version")

        assert await looks(10) == 0
        listener = Listener(here)
        assert await looks(10) == 10 / SUBSCRIBED_SECONDS
        waiting = asyncio.create_task(here.registry.wait(watch.id, alice, seconds=8))
        assert await looks(8) == pytest.approx(8 / WAITING_SECONDS, abs=1)
        assert waiting.done()
        assert await looks(10) == pytest.approx(10 / SUBSCRIBED_SECONDS, abs=1)
        listener.stop()
        assert await looks(10) == 0


async def test_two_subscribers_share_one_look(open_world: Open, make_watch: MakeWatch) -> None:
    async with open_world() as here, open_world(here.clock) as there:
        one, two = Listener(here), Listener(here)
        await here.advance(5)
        here.store.calls.clear()
        watch = await there.add(make_watch("1"))
        there.reader.on("1", {"status": "done"})
        await there.advance(30)
        await here.advance(5)
        assert one.ends() == two.ends() == [watch.id]
        assert here.store.calls.count("version") <= 36 / SUBSCRIBED_SECONDS
