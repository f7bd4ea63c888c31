"""One GET per job and interval, however many watches want it."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tp_mcp.errors import TpUnreachableError
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState
from tp_mcp.watch.polling.outage import BACKOFF_MAX_SECONDS
from tp_mcp.watch.polling.poller import MAX_CONCURRENT_POLLS

MakeWatch = Callable[..., Watch]


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in pairwise(times)]


async def test_a_watch_is_polled_every_interval_until_its_end(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "running"}, {"status": "running"}, {"status": "done"})
        await world.advance(120)
        times = world.reader.asked("1")
        assert len(times) == 3
        assert gaps(times) == [15.0, 15.0]
        assert 7.5 <= times[0] - watch.created_at <= 15.0
        stored = await world.stored(watch)
        assert (stored.state, stored.polls) == (WatchState.DONE, 3)
        assert await world.unseen() == [watch.id]
        assert world.poller.current(watch.id) is None
        assert world.changed[-1] == stored


async def test_a_resumed_watch_is_polled_at_once(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        await world.add(make_watch(), resumed=True)
        await world.advance(1)
        assert len(world.reader.asked("1")) == 1


async def test_nothing_is_polled_before_the_start_or_after_the_end(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(started=False) as world:
        await world.add(make_watch(), resumed=True)
        await world.advance(60)
        assert world.reader.reads == []
        world.poller.start()
        await world.advance(1)
        assert len(world.reader.reads) == 1
        world.poller.stop()
        await world.advance(600)
        assert len(world.reader.reads) == 1


async def test_watches_of_one_job_share_one_read_and_each_takes_it_in(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watches = [await world.add(make_watch()) for _ in range(5)]
        other = await world.add(make_watch("2"))
        world.reader.on("1", {"status": "running"}, {"status": "done"})
        await world.advance(40)
        assert len(world.reader.asked("1")) == 2
        assert sorted(await world.unseen()) == sorted(watch.id for watch in watches)
        assert all([(await world.stored(watch)).state is WatchState.DONE for watch in watches])
        assert (await world.stored(other)).state is WatchState.ACTIVE


async def test_watches_that_join_a_job_neither_hasten_nor_delay_its_next_read(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        for number in range(30):
            await world.add(make_watch(), resumed=number % 2 == 1)
            await world.advance(4)
        times = world.reader.asked("1")
        assert set(gaps(times)) == {15.0}
        assert len(times) == 8


async def test_a_watch_that_joins_a_job_that_is_polled_seldom_is_polled_in_its_own_time(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        await world.add(make_watch(spec={"interval_seconds": 3600.0}))
        await world.add(make_watch())
        await world.advance(16)
        assert len(world.reader.asked("1")) == 1


async def test_the_shortest_interval_of_a_shared_job_counts(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        await world.add(make_watch(spec={"interval_seconds": 600.0}))
        quick = await world.add(make_watch(spec={"interval_seconds": 10.0}))
        await world.advance(60)
        assert len(world.reader.asked("1")) == 6
        await world.registry.cancel(quick.id, quick.owner, reason="no need")
        await world.advance(900)
        assert len(world.reader.asked("1")) in {7, 8}


async def test_intervals_can_be_scaled(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(interval_factor=0.1) as world:
        await world.add(make_watch())
        await world.advance(15)
        assert set(gaps(world.reader.asked("1"))) == {1.5}


async def test_a_job_that_does_not_answer_is_asked_less_and_less_often(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"timeout_seconds": 1e6}))
        world.reader.on("1", TpUnreachableError("No route."))
        await world.advance(20_000)
        waits = gaps(world.reader.asked("1"))
        assert min(waits) >= 15.0
        assert max(waits) <= BACKOFF_MAX_SECONDS
        assert sum(waits[5:]) / len(waits[5:]) > 100
        assert (await world.stored(watch)).advisory is Advisory.UNREACHABLE
        world.reader.on("1", {"status": "running"})
        await world.advance(BACKOFF_MAX_SECONDS)
        before = len(world.reader.asked("1"))
        await world.advance(150)
        assert len(world.reader.asked("1")) - before == 10
        assert (await world.stored(watch)).advisory is None


async def test_the_back_off_of_one_job_holds_up_no_other(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        await world.add(make_watch("1", spec={"timeout_seconds": 1e6}))
        await world.add(make_watch("2"))
        world.reader.on("1", TpUnreachableError("No route."))
        await world.advance(1500)
        assert set(gaps(world.reader.asked("2"))) == {15.0}


async def test_a_poll_under_way_is_not_begun_again(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        first = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(20)
        second = await world.add(make_watch())
        await world.advance(100)
        assert len(world.reader.asked("1")) == 1
        world.reader.on("1", {"status": "done"})
        world.reader.hold.set()
        await world.settle()
        assert await world.unseen() == [first.id], "the answer may be older than what the second one watches"
        await world.advance(20)
        assert sorted(await world.unseen()) == sorted([first.id, second.id])


async def test_a_job_given_up_while_it_is_polled_is_polled_no_more(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(20)
        cancelled = await world.registry.cancel(watch.id, watch.owner, reason="no need")
        world.reader.on("1", {"status": "done"})
        world.reader.hold.set()
        await world.advance(600)
        assert len(world.reader.asked("1")) == 1
        assert await world.stored(watch) == cancelled
        assert await world.unseen() == []


async def test_a_job_wanted_again_while_its_poll_ends_is_polled_on(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(20)
        world.poller.remove(watch.id)
        world.poller.add(watch)
        world.reader.hold.set()
        await world.advance(31)
        assert len(world.reader.asked("1")) == 3


async def test_nothing_starves_when_more_is_due_than_may_be_polled_at_once(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        number = 3 * MAX_CONCURRENT_POLLS
        for job in range(number):
            await world.add(make_watch(str(job)), resumed=True)
        world.reader.hold = asyncio.Event()
        await world.advance(2)
        assert len(world.reader.reads) == MAX_CONCURRENT_POLLS
        world.reader.hold.set()
        await world.settle()
        assert {job for _, job in world.reader.reads} == {str(job) for job in range(number)}
        world.reader.reads.clear()
        await world.advance(16)
        assert {job for _, job in world.reader.reads} == {str(job) for job in range(number)}


async def test_the_timer_is_always_set_for_what_is_due_first(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        set_for: list[float | None] = [world.timer.at]
        await world.add(make_watch("slow", spec={"interval_seconds": 600.0}))
        set_for.append(world.timer.at)
        await world.add(make_watch("quick", spec={"interval_seconds": 10.0}))
        nothing, slow, quick = [*set_for, world.timer.at]
        assert nothing is None
        assert slow is not None
        assert quick is not None
        assert quick < slow
        for _ in range(20):
            await world.advance(13)
            due = world.timer.at
            assert due is not None
            assert world.clock.time < due <= world.clock.time + 10.0
