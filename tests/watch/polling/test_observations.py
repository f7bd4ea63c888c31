"""What becomes of a poll's answer: counters in batches, ends at once, nothing lost to another writer."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tp_mcp.errors import StoreBusyError, StoreError
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.watch import Watch, WatchState
from tp_mcp.watch.polling import observations
from tp_mcp.watch.polling.observations import FLUSH_SECONDS

MakeWatch = Callable[..., Watch]


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in pairwise(times)]


async def test_a_poll_that_changes_nothing_is_written_in_batches(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watches = [await world.add(make_watch(str(job), spec={"interval_seconds": 5.0})) for job in range(20)]
        await world.advance(30)
        world.store.calls.clear()
        await world.advance(60)
        assert world.store.calls.count("save") == 0
        assert 3 <= world.store.calls.count("save_all") <= 60 / FLUSH_SECONDS + 1
        stored = await world.stored(watches[0])
        current = world.poller.current(watches[0].id)
        assert current is not None
        assert stored.polls >= 14
        assert current.polls - stored.polls <= 3


async def test_a_last_flush_writes_what_is_left(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(58)
        current = world.poller.current(watch.id)
        assert current is not None
        assert current.polls > (await world.stored(watch)).polls
        world.poller.stop()
        await world.poller.flush()
        assert (await world.stored(watch)).polls == current.polls
        world.store.calls.clear()
        await world.poller.flush()
        assert world.store.calls == []


async def test_counters_that_cannot_be_written_are_written_later(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        gone = await world.add(make_watch("2", spec={"interval_seconds": 5.0}))
        await world.advance(20)
        world.store.fail("save_all", StoreBusyError("It is held."), StoreBusyError("It is held."))
        held = world.store.hold("save_all")
        await world.advance(20)
        await world.registry.cancel(gone.id, gone.owner, reason="no need")
        held.set()
        await world.settle()
        assert "Progress of 2 watches could not be written: It is held." in caplog.text
        await world.advance(60)
        assert (await world.stored(watch)).polls >= 16


async def test_many_counters_are_written_in_parts_and_what_ended_between_two_is_not_written_again(
    open_world: Any, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observations, "FLUSHED_AT_ONCE", 1)
    async with open_world() as world:
        watches = [await world.add(make_watch(str(n), spec={"interval_seconds": 5.0})) for n in (1, 2, 3)]
        last = max(watches, key=lambda watch: watch.id)
        await world.advance(10)
        held = world.store.hold("save_all")
        await world.advance(10)
        await world.registry.cancel(last.id, last.owner, reason="no need")
        before = world.store.calls.count("save_all")
        held.set()
        await world.settle()
        assert world.store.calls.count("save_all") - before == 1, "the second part, and no third"
        assert all([(await world.stored(watch)).polls > 0 for watch in watches if watch is not last])


async def test_a_batch_that_hangs_keeps_nothing_from_being_polled(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(20)
        world.store.calls.clear()
        held = world.store.hold("save_all")
        await world.advance(100)
        assert set(gaps(world.reader.asked("1"))) == {5.0}
        assert world.store.calls.count("save_all") == 1, "one at a time"
        held.set()
        await world.advance(1)
        assert (await world.stored(watch)).polls >= 20


async def test_a_watch_given_up_while_a_batch_is_written_stays_given_up(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(28)
        held = world.store.hold("save_all")
        flushing = asyncio.create_task(world.poller.flush())
        await world.settle()
        world.poller.remove(watch.id)
        held.set()
        await flushing
        assert world.poller.current(watch.id) is None


async def test_an_answer_that_came_during_a_batch_is_not_lost_to_it(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(28)
        held = world.store.hold("save_all")
        flushing = asyncio.create_task(world.poller.flush())
        await world.advance(6)
        held.set()
        await flushing
        current = world.poller.current(watch.id)
        assert current is not None
        assert current.polls > (await world.stored(watch)).polls
        assert current.revision == (await world.stored(watch)).revision
        world.reader.on("1", {"status": "done"})
        await world.advance(6)
        assert (await world.stored(watch)).polls == current.polls + 1
        assert await world.unseen() == [watch.id]


async def test_an_end_observed_while_a_batch_is_written_is_written_after_it(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(28)
        world.reader.on("1", {"status": "done"})
        held = world.store.hold("save")
        await world.advance(6)
        await world.poller.flush()
        held.set()
        await world.settle()
        assert (await world.stored(watch)).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


async def test_an_end_that_cannot_be_written_is_kept_and_said_until_it_can(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"}, {"status": "running"})
        world.store.fail("save", *[StoreError("The disk is gone.")] * 3)
        await world.advance(16)
        ended_at = world.reader.asked("1")[0]
        assert f"{watch.id} could not be written: The disk is gone." in caplog.text
        await world.advance(FLUSH_SECONDS)
        current = world.poller.current(watch.id)
        assert current is not None
        assert current.state is WatchState.ACTIVE
        assert messages.headline(current).endswith("has ended, but its end could not be saved yet")
        assert (
            "its end is known, it is done: passed, but could not be saved yet (The disk is gone.); the server tries"
            in (messages.progress_line(current, world.clock.time))
        )
        assert await world.unseen() == []
        await world.advance(FLUSH_SECONDS)
        stored = await world.stored(watch)
        assert (stored.state, stored.ended_at) == (WatchState.DONE, ended_at)
        assert await world.unseen() == [watch.id]


async def test_what_was_seen_is_remembered_though_it_cannot_be_written(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "PROGRESS", "memory": ["10.0.0.1"]}, {"status": "other"})
        world.store.fail_always("save")
        await world.advance(16)
        current = world.poller.current(watch.id)
        assert current is not None
        assert current.memory == ["10.0.0.1"]
        await world.poller.flush()
        assert (await world.stored(watch)).memory == ["10.0.0.1"]


async def test_a_watch_cancelled_while_its_end_cannot_be_written_stays_cancelled(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.store.fail("save", StoreError("The disk is gone."))
        held = world.store.hold("save")
        await world.advance(16)
        world.poller.remove(watch.id)
        held.set()
        await world.advance(60)
        assert world.poller.current(watch.id) is None
        assert (await world.stored(watch)).state is WatchState.ACTIVE


async def test_a_watch_written_by_another_process_is_taken_over_and_the_answer_taken_in_again(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        await world.store.real.save(replace(watch, polls=40))
        world.reader.on("1", {"status": "PROGRESS", "memory": ["10.0.0.1"]})
        await world.advance(16)
        stored = await world.stored(watch)
        assert (stored.polls, stored.memory) == (41, ["10.0.0.1"])
        assert world.poller.current(watch.id) == stored


async def test_a_watch_ended_by_another_process_is_let_go_with_one_entry(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        watch = await one.add(make_watch())
        two.poller.add(watch)
        for world in (one, two):
            world.reader.on("1", {"status": "done"})
        await one.advance(16)
        await two.advance(16)
        await one.advance(60)
        assert await one.unseen() == [watch.id]
        assert one.poller.current(watch.id) is None
        assert two.poller.current(watch.id) is None
        assert two.changed[-1].state is WatchState.DONE
        assert (len(one.reader.reads), len(two.reader.reads)) == (1, 1)


async def test_both_processes_at_the_very_same_moment_make_one_end(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        watches = [await one.add(make_watch(str(job))) for job in range(20)]
        for watch in watches:
            two.poller.add(watch)
            for world in (one, two):
                world.reader.on(watch.spec.args["job"], {"status": "done"})
        one.clock.move_to(one.clock.time + 20)
        assert one.timer.callback
        assert two.timer.callback
        await asyncio.gather(one.timer.callback(), two.timer.callback())
        await one.settle()
        await two.settle()
        await one.settle()
        assert sorted(await one.unseen()) == sorted(watch.id for watch in watches)
        assert all(one.poller.current(watch.id) is two.poller.current(watch.id) is None for watch in watches)


async def test_a_batch_finds_out_what_another_process_ended_or_dropped(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        cancelled, counted = [await one.add(make_watch(job, spec={"interval_seconds": 5.0})) for job in ("1", "2")]
        await one.advance(20)
        await two.registry.cancel(cancelled.id, cancelled.owner, reason="elsewhere")
        await two.store.real.save(replace(await two.stored(counted), polls=500))
        await one.advance(30)
        assert one.poller.current(cancelled.id) is None
        assert any(each.id == cancelled.id and each.state is WatchState.CANCELLED for each in one.changed)
        current = one.poller.current(counted.id)
        assert current is not None
        assert current.polls > 500


async def test_a_watch_whose_row_is_gone_is_let_go(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = make_watch()
        world.poller.add(watch)
        await world.advance(600)
        assert world.poller.current(watch.id) is None
        assert len(world.reader.reads) == 1
        assert world.changed == []


async def test_a_watch_given_up_while_another_processs_state_is_read_stays_given_up(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        await world.store.real.save(watch)
        held = world.store.hold("get")
        await world.advance(16)
        world.poller.remove(watch.id)
        held.set()
        await world.advance(60)
        assert world.poller.current(watch.id) is None
        assert len(world.reader.reads) == 1


@pytest.mark.parametrize("slept", [True, False])
async def test_an_end_that_was_not_written_is_not_written_without_the_lease(
    open_world: Any, make_watch: MakeWatch, *, slept: bool
) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        await world.advance(1)
        world.store.fail_always("save")
        await world.advance(15)
        current = world.poller.current(watch.id)
        assert current is not None
        assert current.unwritten
        world.store.failures.clear()
        [lease] = await world.store.real.leases(watch.server)
        await world.store.real.release(lease.owner)
        if slept:
            world.clock.time += 60
        await world.poller.flush()
        assert await world.unseen() == []
        await world.advance(120)
        assert await world.unseen() == [watch.id], "polled again under a lease of its own"


async def test_an_end_that_could_not_be_written_yields_to_what_somebody_else_wrote(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.store.fail_always("save")
        await world.advance(14)
        await world.store.real.save(replace(watch, reason="other words"))
        world.store.failures.clear()
        await world.poller.flush()
        current = world.poller.current(watch.id)
        assert current is not None
        assert (current.reason, current.unwritten) == ("other words", "")
        await world.advance(30)
        assert await world.unseen() == [watch.id]


async def test_an_end_that_could_not_be_written_is_written_when_the_server_stops(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.store.fail("save", *[StoreError("The disk is gone.")] * 2)
        await world.advance(16)
        assert (await world.stored(watch)).state is WatchState.ACTIVE
        await world.poller.close()
        assert (await world.stored(watch)).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


async def test_many_watches_of_one_job_end_in_few_transactions(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watches = [await world.add(make_watch()) for _ in range(50)]
        world.reader.on("1", {"status": "done"})
        seen: list[str] = []
        connection = world.store.real._database
        await connection.run(lambda db: db.set_trace_callback(seen.append))
        await world.advance(16)
        await connection.run(lambda db: db.set_trace_callback(None))
        assert len(await world.unseen()) == len(watches)
        assert seen.count("COMMIT") <= 3


async def test_what_somebody_else_wrote_already_is_not_written_again(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "Running", "memory": ["a"]})
        await world.advance(16)
        stored = await world.stored(watch)
        world.reader.on("1", {"status": "Running", "memory": ["b"]})
        await world.store.real.save(replace(stored, memory=["b"]))
        world.store.calls.clear()
        await world.advance(15)
        assert world.store.calls.count("save") == 1
        current = world.poller.current(watch.id)
        assert current is not None
        assert (current.memory, current.polls) == (["b"], 2)


async def test_a_watch_that_is_given_up_while_its_end_is_tried_again_stays_given_up(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.store.fail_always("save")
        await world.advance(16)
        held = world.store.hold("save")
        flushing = asyncio.create_task(world.poller.flush())
        await world.settle()
        world.poller.remove(watch.id)
        held.set()
        await flushing
        assert world.poller.current(watch.id) is None
