"""Watches found, waited for, cancelled and taken up again."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.errors import StoreBusyError, StoreError, WatchLimitError, WatchNotFoundError
from tp_mcp.watch.delivery.waiting import PROGRESS_SECONDS
from tp_mcp.watch.model.watch import Owner, Watch, WatchState
from tp_mcp.watch.registry import Intent

ALICE = Owner("local:alice", "thread:1", exact=True)
BOB = Owner("local:bob", "thread:1", exact=True)
MakeIntent = Callable[..., Intent]
MakeWatch = Callable[..., Watch]


async def leave(call: asyncio.Task[Any]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def the_watch(world: Any) -> Watch:
    [watch] = await world.registry.list(ALICE, all_conversations=True)
    assert isinstance(watch, Watch)
    return watch


# Observing ------------------------------------------------------------------------------------------------------------


async def test_an_observed_job_is_looked_at_at_once(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        world.reader.on("1", {"status": "done"})
        watch = await world.registry.observe(make_intent())
        assert (watch.state, watch.started_at) == (WatchState.ACTIVE, world.clock.time)
        await world.advance(1)
        assert await world.unseen() == [watch.id]


async def test_a_job_that_cannot_be_written_is_not_observed(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        world.store.fail("add", WatchLimitError("There are too many."))
        with pytest.raises(WatchLimitError):
            await world.registry.observe(make_intent())
        await world.advance(60)
        assert world.reader.reads == []


async def test_an_observed_job_is_polled_though_its_caller_left(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        held = world.store.hold("add")
        call = asyncio.create_task(world.registry.observe(make_intent()))
        await world.settle()
        await leave(call)
        held.set()
        await world.advance(16)
        assert (await the_watch(world)).polls >= 1


# Finding --------------------------------------------------------------------------------------------------------------


async def test_nobody_learns_of_another_principals_watch(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        for call in (
            world.registry.get(watch.id, BOB),
            world.registry.cancel(watch.id, BOB, reason="no"),
            world.registry.wait(watch.id, BOB, seconds=0),
        ):
            with pytest.raises(WatchNotFoundError) as theirs:
                await call
            with pytest.raises(WatchNotFoundError) as none:
                await world.registry.get("w_00000000", BOB)
            assert str(theirs.value).replace(watch.id, "w_00000000") == str(none.value)
        assert await world.registry.list(BOB, all_conversations=True) == ()
        assert (await world.stored(watch)).state is WatchState.ACTIVE


async def test_a_list_is_of_one_conversation_or_of_all_newest_first_and_up_to_date(
    open_world: Any, make_watch: MakeWatch, alice: Owner
) -> None:
    async with open_world() as world:
        elsewhere = Owner(alice.principal, "thread:2", exact=True)
        old = await world.add(make_watch("1", created_at=world.clock.time - 60))
        new = await world.add(make_watch("2"))
        theirs = await world.add(make_watch("3", owner=elsewhere, created_at=world.clock.time - 30))
        await world.advance(40)
        mine = await world.registry.list(alice, all_conversations=False)
        assert [watch.id for watch in mine] == [new.id, old.id]
        assert mine[0] == world.poller.current(new.id)
        every = await world.registry.list(alice, all_conversations=True)
        assert [watch.id for watch in every] == [new.id, theirs.id, old.id]
        await world.registry.cancel(old.id, alice, reason="no need")
        ended = await world.registry.list(alice, all_conversations=True, states=(WatchState.CANCELLED,))
        assert [watch.id for watch in ended] == [old.id]


# Waiting --------------------------------------------------------------------------------------------------------------


@dataclass
class Reports:
    """What a caller who waits was told, and when."""

    clock: Any
    told: list[tuple[float, Watch]] = field(default_factory=list)

    async def __call__(self, watch: Watch) -> None:
        self.told.append((self.clock.time, watch))


async def waiting(world: Any, watch: Watch, seconds: float, report: Any = None) -> asyncio.Task[Watch]:
    call: Awaitable[Watch] = world.registry.wait(watch.id, watch.owner, seconds=seconds, report=report)
    task = asyncio.ensure_future(call)
    await world.settle()
    assert isinstance(task, asyncio.Task)
    return task


async def test_a_wait_ends_with_the_watch(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "running"}, {"status": "done"})
        call = await waiting(world, watch, 600)
        await world.advance(31)
        assert call.done()
        assert (await call).state is WatchState.DONE
        assert world.clock.sleepers == []
        assert (await world.registry.wait(watch.id, watch.owner, seconds=600)).state is WatchState.DONE


async def test_a_wait_that_runs_out_returns_the_watch_as_it_stands(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        call = await waiting(world, watch, 45)
        await world.advance(44)
        assert not call.done()
        await world.advance(1)
        assert call.done()
        assert (await call).polls >= 2


async def test_a_wait_of_no_time_only_looks(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        reports = Reports(world.clock)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await world.registry.wait(watch.id, watch.owner, seconds=0, report=reports) == watch
        assert len(reports.told) == 1


async def test_who_waits_is_told_at_once_every_ten_seconds_and_at_each_poll(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 3600.0}))
        reports = Reports(world.clock)
        began = world.clock.time
        call = await waiting(world, watch, 35, reports)
        await world.advance(35)
        assert call.done()
        at_once, first, *later = [at - began for at, _ in reports.told]
        assert at_once == 0.0
        assert PROGRESS_SECONDS / 2 <= first < PROGRESS_SECONDS, "not all who began together in one moment"
        assert later == [*(first + beats * PROGRESS_SECONDS for beats in range(1, len(later))), 35.0]
        polled = await world.add(make_watch("2"))
        reports.told.clear()
        call = await waiting(world, polled, 30, reports)
        await world.advance(30)
        assert [told.polls for _, told in reports.told][-1] >= 1
        assert len(reports.told) >= 5


async def test_a_watch_that_another_process_follows_is_seen_to_end(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        watch = await one.add(make_watch())
        call = await waiting(two, watch, 600)
        one.reader.on("1", {"status": "done"})
        await one.advance(16)
        await two.advance(PROGRESS_SECONDS)
        assert call.done()
        assert (await call).state is WatchState.DONE


async def test_an_end_between_the_look_and_the_wait_is_not_missed(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())

        async def cancel_meanwhile(told: Watch) -> None:
            await world.registry.cancel(told.id, told.owner, reason="no need")

        async with asyncio.timeout(PATIENCE_SECONDS):
            ended = await world.registry.wait(watch.id, watch.owner, seconds=600, report=cancel_meanwhile)
        assert ended.state is WatchState.CANCELLED


async def test_one_who_stops_waiting_stops_nothing(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        call, other = await waiting(world, watch, 600), await waiting(world, watch, 600)
        await leave(call)
        world.reader.on("1", {"status": "done"})
        await world.advance(16)
        assert (await other).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


# Cancelling -----------------------------------------------------------------------------------------------------------


async def test_a_cancelled_watch_is_polled_no_more_and_reported_no_more(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        call = await waiting(world, watch, 600)
        cancelled = await world.registry.cancel(watch.id, watch.owner, reason="no need")
        await world.settle()
        assert call.done()
        assert (await call) == cancelled == await world.stored(watch)
        world.reader.on("1", {"status": "done"})
        await world.advance(600)
        assert world.reader.reads == []
        assert await world.unseen() == []


async def test_a_watch_that_ended_is_returned_as_it_is(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        await world.advance(16)
        assert (await world.registry.cancel(watch.id, watch.owner, reason="no")).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


async def test_an_end_that_is_written_first_wins_over_a_cancellation(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        held = world.store.hold("save")
        call = asyncio.create_task(world.registry.cancel(watch.id, watch.owner, reason="no"))
        await world.advance(16)
        assert (await world.stored(watch)).state is WatchState.DONE
        held.set()
        assert (await call).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


async def test_a_cancellation_is_tried_again_on_what_was_written_meanwhile(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        held = world.store.hold("save")
        call = asyncio.create_task(world.registry.cancel(watch.id, watch.owner, reason="no"))
        await world.advance(16)
        assert (await world.stored(watch)).polls == 1
        held.set()
        cancelled = await call
        assert (cancelled.state, cancelled.polls) == (WatchState.CANCELLED, 1)


async def test_a_cancellation_that_cannot_be_written_leaves_the_watch_being_polled(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.store.fail("save", StoreBusyError("It is held."))
        with pytest.raises(StoreBusyError):
            await world.registry.cancel(watch.id, watch.owner, reason="no")
        world.reader.on("1", {"status": "done"})
        await world.advance(16)
        assert await world.unseen() == [watch.id]


async def test_a_watch_whose_row_is_gone_cannot_be_cancelled(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = make_watch()
        world.poller.add(watch)
        with pytest.raises(WatchNotFoundError):
            await world.registry.cancel(watch.id, watch.owner, reason="no")
        assert world.poller.current(watch.id) is None


# Resuming -------------------------------------------------------------------------------------------------------------


async def test_what_an_earlier_process_left_is_taken_up_at_once(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        clock = world.clock
        active = await world.add(make_watch("1", silent_since=clock.time))
        starting = await world.add(make_watch("2", state=WatchState.STARTING))
        elsewhere = await world.add(make_watch("3", server="http://other.example"))
        ended = await world.add(make_watch("4"))
        await world.registry.cancel(ended.id, ended.owner, reason="no need")
    async with open_world(clock) as world:
        assert await world.registry.resume() == 2
        resumed = world.poller.current(active.id)
        assert resumed is not None
        assert resumed.silent_since is None
        world.reader.on("list:job:2", {"started": True})
        await world.advance(1)
        assert {job for _, job in world.reader.reads} == {"1", "list:job:2"}
        assert (await world.stored(starting)).state is WatchState.ACTIVE
        assert (await world.stored(elsewhere)).polls == 0


async def test_a_watch_over_its_limit_is_polled_before_its_time_is_declared_over(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        clock = world.clock
        finished = await world.add(make_watch("1"))
        unfinished = await world.add(make_watch("2"))
    clock.move_to(clock.time + 3 * 24 * 3600)
    async with open_world(clock) as world:
        await world.registry.resume()
        world.reader.on("1", {"status": "done"})
        await world.advance(1)
        assert (await world.stored(finished)).state is WatchState.DONE
        assert (await world.stored(unfinished)).state is WatchState.TIMED_OUT


async def test_old_ends_are_dropped_and_a_store_that_cannot_is_used_all_the_same(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        old = await world.add(make_watch("1"))
        await world.registry.cancel(old.id, old.owner, reason="no need")
        await world.add(make_watch("2", created_at=world.clock.time + 15 * 24 * 3600))
        world.clock.move_to(world.clock.time + 15 * 24 * 3600)
        world.store.fail("purge", StoreError("The disk is full."))
        assert await world.registry.resume() == 1
        assert "Old watches could not be dropped: The disk is full." in caplog.text
        assert await world.store.real.get(old.id) is not None
        assert await world.registry.resume() == 1
        assert await world.store.real.get(old.id) is None


async def test_old_ends_are_dropped_each_day_while_the_server_runs(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        old = await world.add(make_watch("1"))
        await world.registry.cancel(old.id, old.owner, reason="no need")
        world.tasks.start_soon(world.registry.keep_purging)
        await world.advance(13 * 24 * 3600)
        assert await world.store.real.get(old.id) is not None
        await world.advance(2 * 24 * 3600)
        assert await world.store.real.get(old.id) is None


async def test_only_watches_of_the_configured_tp_are_looked_at(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        assert world.registry.looks_at(make_watch())
        assert not world.registry.looks_at(make_watch(server="http://another-tp"))
