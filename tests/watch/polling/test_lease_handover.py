"""Several processes on one store: one of them polls each target."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from tests.watch.conftest import advance
from tp_mcp.errors import ConfigurationError, StoreError, TpMcpError, TpNotAuthenticatedError, TpUnreachableError
from tp_mcp.watch.lifecycle.state_machine import SILENCE_BEFORE_TIMEOUT_SECONDS
from tp_mcp.watch.model.lease import HEARTBEAT_SECONDS, LEFT_TO_ITS_MAKER_SECONDS, RETAKE_SECONDS
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState

MakeWatch = Callable[..., Watch]
NOW = 1_000.0
RULES: Any = {"process": "me", "at": NOW, "lifetime": 10.0}


def polls(job: str, *worlds: Any) -> list[float]:
    return sorted(at for world in worlds for at in world.reader.asked(job))


async def test_two_processes_poll_each_target_once(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        for job in ("1", "2", "3"):
            await one.add(make_watch(job))
        await two.registry.resume()
        await advance(200, one, two)
        for job in ("1", "2", "3"):
            times = polls(job, one, two)
            assert len(times) >= 12
            assert {round(after - before, 3) for before, after in pairwise(times)} == {15.0}


async def test_a_process_that_dies_is_taken_over_within_two_heartbeats(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch(spec={"interval_seconds": 5.0}))
        await two.registry.resume()
        await advance(33, one, two)
        assert two.reader.reads == []
        died = one.clock.time
        await advance(2 * HEARTBEAT_SECONDS + 1, two)
        assert polls("1", two)[0] - died <= 2 * HEARTBEAT_SECONDS + 1
        # The successor goes on from what was written, and not from what it had once read.
        current = two.poller.current(watch.id)
        assert current is not None
        assert current.polls > 1


async def test_a_process_that_slept_drops_the_answer_it_was_given(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch())
        await two.registry.resume()
        one.reader.hold = asyncio.Event()
        one.reader.on("1", {"status": "old"})
        two.reader.on("1", {"status": "new"})
        await advance(20, one, two)
        assert len(one.reader.reads) == 1
        await advance(40, two)
        assert (await two.stored(watch)).reading.phase == "new"
        one.reader.hold.set()
        await one.settle()
        assert (await one.stored(watch)).reading.phase == "new"
        await advance(100, one, two)
        assert len(one.reader.reads) == 1
        assert one.poller.current(watch.id) is None
        assert {round(after - before, 3) for before, after in pairwise(polls("1", two))} == {15.0}


async def test_what_is_written_under_a_lease_that_is_gone_is_refused(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        # The process stops between its own look at the lease and the write, and another takes the target over.
        held = world.store.hold("save")
        await world.advance(16)
        assert len(world.reader.reads) == 1
        (lease,) = await world.store.real.leases(watch.server)
        taken = await world.store.real.beat(
            "successor", watch.server, [lease.target], at=world.clock.time + 20, lifetime=10.0
        )
        assert [each.owner for each in taken] == ["successor"]
        held.set()
        await world.settle()
        assert await world.stored(watch) == watch
        assert await world.unseen() == []
        assert world.poller.current(watch.id) is None


async def test_a_clean_stop_leaves_targets_at_once_with_what_was_counted(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch(spec={"interval_seconds": 5.0}))
        await two.registry.resume()
        await advance(33, one, two)
        counted = one.poller.current(watch.id)
        await one.poller.close()
        await advance(HEARTBEAT_SECONDS + 1.1, two)
        assert len(two.reader.reads) == 1
        # The first poll after the change comes early, and counts only where an interval has gone by.
        assert two.poller.current(watch.id).polls in {counted.polls, counted.polls + 1}


async def test_a_watch_that_one_process_adds_is_polled_by_the_one_that_has_the_target(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        await one.add(make_watch())
        await advance(8, one, two)
        added = await two.add(make_watch(), resumed=True)
        other = await two.add(make_watch("2"), resumed=True)
        one.reader.on("1", {"status": "done"})
        await advance(30, one, two)
        assert sorted(await one.unseen())
        assert (await one.stored(added)).state is WatchState.DONE
        assert two.reader.asked("1") == []
        assert two.reader.asked("2") != []
        assert two.poller.current(other.id) is not None
        # The other process has let go of what has ended elsewhere.
        assert any(each.id == added.id and each.state is WatchState.DONE for each in two.changed)


async def test_a_start_that_another_process_has_under_way_is_left_to_it_for_a_while(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        await one.add(make_watch("2"))
        await one.store.real.add(make_watch(state=WatchState.STARTING))
        await advance(LEFT_TO_ITS_MAKER_SECONDS - 5, one, two)
        assert one.reader.asked("list:job:1") == []
        await two.add(make_watch("3"))
        await advance(60, one, two)
        assert one.reader.asked("list:job:1") + two.reader.asked("list:job:1") != []


async def test_a_watch_whose_row_another_process_dropped_is_let_go(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as world:
        watch = make_watch()
        world.poller.add(watch)
        await world.advance(20)
        assert world.poller.current(watch.id) is None
        assert world.reader.reads == []


async def test_counters_of_a_target_that_is_another_processs_by_now_are_not_written(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch(spec={"interval_seconds": 5.0}))
        await world.advance(28)
        stood = await world.stored(watch)
        world.clock.move_to(world.clock.time + 60)
        await world.poller.flush()
        assert await world.stored(watch) == stood


@pytest.mark.parametrize("kind", [TpNotAuthenticatedError, ConfigurationError])
async def test_a_process_that_tp_does_not_let_in_leaves_everything_to_another_for_a_while(
    open_world: Any, make_watch: MakeWatch, kind: type[TpMcpError], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watches = [await one.add(make_watch(job)) for job in ("1", "2", "3")]
        for job in ("1", "2", "3"):
            one.reader.on(job, kind("Expired.", remedy="Set TP_MCP_TOKEN."))
        await advance(16, one)
        for watch in watches:
            stored = await one.stored(watch)
            assert (stored.state, stored.advisory) == (WatchState.ACTIVE, Advisory.UNREACHABLE)
            assert "Set TP_MCP_TOKEN." in stored.reason
        assert caplog.text.count("Cannot log in to TP") == 1
        refused = len(one.reader.reads)
        await two.registry.resume()
        await advance(2 * RETAKE_SECONDS, one, two)
        assert len(one.reader.reads) == refused
        for watch in watches:
            assert (await two.stored(watch)).advisory is None


async def test_a_process_that_is_let_in_again_polls_again(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        world.reader.on("1", TpNotAuthenticatedError("Expired."), {"status": "running"})
        await world.advance(16)
        assert (await world.stored(watch)).advisory is Advisory.UNREACHABLE
        (refused_at,) = world.reader.asked("1")
        await world.advance(2 * RETAKE_SECONDS)
        assert world.reader.asked("1")[1] - refused_at >= RETAKE_SECONDS
        assert (await world.stored(watch)).advisory is None


async def test_a_process_without_watches_writes_no_heartbeat(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as world:
        await world.advance(60)
        assert "beat" not in world.store.calls
        watch = await world.add(make_watch())
        await world.advance(10)
        await world.registry.cancel(watch.id, watch.owner, reason="no need")
        await world.advance(10)
        world.store.calls.clear()
        await world.advance(60)
        assert "beat" not in world.store.calls
        assert await world.store.real.leases(watch.server) == ()


@pytest.mark.parametrize("unreadable", [False, True])
async def test_a_store_that_cannot_be_written_keeps_nobody_from_polling_what_is_theirs(
    open_world: Any, make_watch: MakeWatch, unreadable: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        await one.add(make_watch())
        await advance(1, one, two)
        await two.add(make_watch("2"))
        await advance(20, one, two)
        for world in (one, two):
            world.store.fail_always("beat")
            if unreadable:
                world.store.fail_always("leases")
                world.store.fail_always("version")
        await advance(100, one, two)
        assert caplog.text.count("The heartbeat could not be written") == 2, "once in each process"
        assert len(one.reader.asked("1")) >= 7
        assert len(two.reader.asked("2")) >= 7
        for world in (one, two):
            world.store.failures.clear()
        await advance(2 * HEARTBEAT_SECONDS, one, two)
        one.store.fail("release", StoreError("The disk is gone."))
        await one.poller.close()
        assert "they expire by themselves" in caplog.text
        assert caplog.text.count("The watches that other processes saved could not be read") == 2 * unreadable


async def take_over(world: Any, watch: Watch) -> None:
    """Let another process take everything over, now."""
    wanted = [lease.target for lease in await world.store.real.leases(watch.server)]
    await world.store.real.beat("successor", watch.server, wanted, at=world.clock.time, lifetime=0.0)


async def test_a_watch_that_goes_while_its_lease_is_found_lost_stays_gone(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        saving, reading = world.store.hold("save"), world.store.hold("get")
        await world.advance(16)
        await take_over(world, watch)
        saving.set()
        await world.settle()
        world.poller.remove(watch.id)
        reading.set()
        await world.settle()
        assert await world.stored(watch) == watch
        assert world.poller.current(watch.id) is None


async def test_a_target_lost_and_taken_again_during_its_poll_is_polled_on(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(16)
        await take_over(world, watch)
        await world.advance(HEARTBEAT_SECONDS)
        await world.store.real.release("successor")
        await world.advance(HEARTBEAT_SECONDS)
        world.reader.hold.set()
        await world.advance(31)
        # The first answer came under a lease that is gone, so it does not count.
        assert len(world.reader.reads) == 3
        assert world.poller.current(watch.id).polls == 2


async def test_what_changes_here_while_others_writes_are_read_stays(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as one, open_world(one.clock, shared=True) as two:
        watch = await one.add(make_watch())
        await advance(3, one, two)
        await two.registry.cancel(watch.id, watch.owner, reason="elsewhere")
        held = one.store.hold("get_many")
        await advance(HEARTBEAT_SECONDS, one)
        one.poller.remove(watch.id)
        told = len(one.changed)
        held.set()
        await one.settle()
        assert len(one.changed) == told


async def test_a_poller_can_close_where_nothing_is_leased(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as alone, open_world(alone.clock, shared=True) as idle:
        watch = await alone.add(make_watch(spec={"interval_seconds": 5.0}))
        await alone.advance(12)
        await alone.poller.close()
        await idle.poller.close()
        assert (await alone.stored(watch)).polls == len(alone.reader.reads) > 0
        assert "release" not in idle.store.calls


async def test_a_process_that_closed_takes_nothing_any_more(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world(shared=True) as world:
        watch = await world.add(make_watch())
        held = world.store.hold("beat")
        timer = world.timer.callback
        assert timer is not None
        await timer()
        closing = asyncio.create_task(world.poller.close())
        await world.settle()
        held.set()
        await closing
        assert await world.store.real.leases(watch.server) == ()


async def test_a_silence_that_another_process_met_does_not_end_the_watch_that_is_taken_over(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world(shared=True) as one:
        await one.add(make_watch("1"))
        await one.advance(20)
        now = one.clock.time
        silent_since = now - SILENCE_BEFORE_TIMEOUT_SECONDS
        times = {"created_at": silent_since, "started_at": silent_since, "silent_since": silent_since}
        left = make_watch("2", spec={"timeout_seconds": 60.0}, **times)
        one.reader.on("2", TpUnreachableError("TP is down."))
        async with open_world(one.clock, shared=True, started=False) as dead:
            await dead.store.real.add(left)
        await one.advance(2 * HEARTBEAT_SECONDS + left.spec.interval_seconds)
        assert one.reader.asked("2") != []
        after = await one.stored(left)
        assert after.state is WatchState.ACTIVE
        assert after.silent_since is not None
        assert after.silent_since > now
