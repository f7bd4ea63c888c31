"""One GET per job and interval, and what becomes of its answer."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tp_mcp.errors import (
    ConfigurationError,
    StoreBusyError,
    StoreError,
    TpNotFoundError,
    TpServerFaultError,
    TpUnreachableError,
)
from tp_mcp.watch import looking
from tp_mcp.watch.match_rule import MATCH_RULE
from tp_mcp.watch.outage import BACKOFF_MAX_SECONDS
from tp_mcp.watch.poller import FLUSH_SECONDS, MAX_CONCURRENT_POLLS
from tp_mcp.watch.states import Advisory, Watch, WatchState

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


async def test_watches_that_come_at_different_times_still_share_each_read(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        for _ in range(6):
            await world.add(make_watch())
            await world.advance(2.5)
        await world.advance(120)
        assert set(gaps(world.reader.asked("1"))) == {15.0}
        assert len(world.reader.asked("1")) <= 135 / 15 + 1


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


# What becomes of an answer --------------------------------------------------------------------------------------------


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


async def test_a_batch_that_hangs_keeps_nothing_from_being_polled(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(20)
        held = world.store.hold("save_all")
        await world.advance(100)
        assert set(gaps(world.reader.asked("1"))) == {5.0}
        held.set()
        await world.settle()
        assert (await world.stored(watch)).polls >= 10


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


async def test_an_end_that_cannot_be_written_is_kept_for_the_next_poll(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"}, {"status": "running"})
        world.store.fail("save", StoreError("The disk is gone."))
        await world.advance(16)
        ended_at = world.reader.asked("1")[0]
        assert f"{watch.id} could not be written: The disk is gone." in caplog.text
        assert world.poller.current(watch.id) is not None
        assert await world.unseen() == []
        await world.advance(15)
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


# What may go wrong ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RuntimeError("a fault"), "for an internal reason"),
        (TimeoutError(), "did not answer within 30 s"),
        (ConfigurationError("The token names no user.", remedy="Set TP_MCP_TOKEN."), "names no user. Set TP_MCP_TOKEN"),
        (TpServerFaultError("TP failed."), "TP failed."),
    ],
)
async def test_a_reader_that_fails_makes_tp_unreachable_and_ends_nothing_else(
    open_world: Any, make_watch: MakeWatch, failure: Exception, said: str
) -> None:
    async with open_world() as world:
        broken, sound = await world.add(make_watch("1")), await world.add(make_watch("2"))
        world.reader.on("1", failure)
        world.reader.on("2", {"status": "running"}, {"status": "done"})
        await world.advance(60)
        stored = await world.stored(broken)
        assert stored.advisory is Advisory.UNREACHABLE
        assert said in stored.reason
        assert (await world.stored(sound)).state is WatchState.DONE


async def test_a_poll_that_hangs_is_given_up(
    open_world: Any, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "POLL_TIMEOUT_SECONDS", 0.05)
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(16)
        async with asyncio.timeout(5):
            while not world.changed:
                await asyncio.sleep(0.01)
        await world.settle()
        assert "did not answer within 0.05 s" in (await world.stored(watch)).reason


@pytest.mark.parametrize("status", ["broken rule", None])
async def test_an_answer_that_cannot_be_read_ends_nothing(
    open_world: Any, make_watch: MakeWatch, status: str | None
) -> None:
    async with open_world() as world:
        broken, sound = await world.add(make_watch("1")), await world.add(make_watch("2"))
        world.reader.on("1", {"status": status} if status else ["no object"])
        world.reader.on("2", {"status": "done"})
        await world.advance(40)
        assert (await world.stored(broken)).advisory is Advisory.UNREACHABLE
        assert (await world.stored(sound)).state is WatchState.DONE


async def test_hostile_answers_are_kept_in_a_form_that_can_be_written(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        nested: Any = "x"
        for _ in range(400):
            nested = [nested]
        world.reader.on("1", {"status": "Running", "bad\ud800": "\udfff", "n": float("nan"), "deep": nested})
        await world.advance(16)
        stored = await world.stored(watch)
        assert stored.polls == 1
        assert stored == world.poller.current(watch.id)


async def test_a_job_that_is_gone_is_lost_only_after_a_while(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", TpNotFoundError("No such job."))
        await world.advance(130)
        assert (await world.stored(watch)).state is WatchState.ACTIVE
        await world.advance(600)
        assert (await world.stored(watch)).state is WatchState.LOST
        assert len(world.reader.reads) >= 3


async def test_polls_are_cancelled_with_their_process_and_leave_the_watch_as_it_was(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(16)
        assert len(world.reader.reads) == 1
        clock = world.clock
    async with open_world(clock) as world:
        assert await world.stored(watch) == watch


async def test_a_process_that_ends_while_an_end_is_being_written_loses_nothing(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.clock.move_to(world.clock.time + 16)
        assert world.timer.callback
        await world.timer.callback()
        async with asyncio.timeout(5):
            while "save" not in world.store.calls:
                await asyncio.sleep(0)
        clock = world.clock
    async with open_world(clock) as world:
        assert (await world.stored(watch)).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


# Starts that were never answered --------------------------------------------------------------------------------------


async def test_an_open_start_is_settled_by_reading_and_then_followed(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": False}, {"started": True})
        world.reader.on("7", {"status": "running"}, {"status": "done"})
        await world.advance(31)
        stored = await world.stored(watch)
        assert (stored.state, stored.job, stored.spec.args) == (WatchState.ACTIVE, "job:7", {"job": "7"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE
        assert len(world.reader.asked("list:job:1")) == 2
        assert len(world.reader.asked("7")) == 2


async def test_an_open_start_settled_on_the_very_call_it_is_polled_with_goes_on(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = make_watch(state=WatchState.STARTING)
        watch = replace(watch, spec=replace(watch.spec, tool="list", args={"job": "list:job:1"}))
        await world.add(watch)
        world.reader.on("list:job:1", {"same": True}, {"status": "running"}, {"status": "done"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE
        assert gaps(world.reader.asked("list:job:1")) == [15.0, 15.0]


async def test_an_open_start_that_reading_cannot_tell_writes_nothing_until_it_is_given_up(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": False})
        world.store.calls.clear()
        await world.advance(290)
        assert world.store.calls == []
        await world.advance(30)
        stored = await world.stored(watch)
        assert stored.state is WatchState.FAILED
        assert "not sent again" in stored.reason
        assert await world.unseen() == [watch.id]


async def test_a_match_watch_ends_as_its_caller_said(open_world: Any, make_watch: MakeWatch, match_spec: Any) -> None:
    async with open_world() as world:
        spec = match_spec(done_match={"path": "status", "equals": "Available"})
        watch = await world.add(replace(make_watch(), spec=spec))
        assert spec.rule == MATCH_RULE
        world.reader.on("1", {"status": "Running"}, {"status": "Available"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE


async def test_notes_go_to_the_log_once(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"timeout_seconds": 1e6}))
        world.reader.on("1", {"status": "broken rule"})
        await world.advance(1000)
        assert caplog.text.count(f"{watch.id}: cannot reach TP: ") == 1
        world.reader.on("1", {"status": "running"})
        await world.advance(1000)
        assert caplog.text.count(f"{watch.id}: no longer unreachable") == 1
