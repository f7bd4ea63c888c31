"""A watch that is given up while something of others is being written disturbs nothing."""

import asyncio
from collections.abc import Callable
from typing import Any

from tp_mcp.errors import TpUnreachableError
from tp_mcp.watch.model.watch import Watch, WatchState

MakeWatch = Callable[..., Watch]


async def test_of_two_ends_that_are_written_late_one_may_be_given_up(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watches = [await world.add(make_watch(job)) for job in ("1", "2")]
        for job in ("1", "2"):
            world.reader.on(job, {"status": "done"})
        world.store.fail_always("save")
        await world.advance(20)
        world.store.failures.clear()
        first, second = sorted(watches, key=lambda watch: watch.id)
        held = world.store.hold("save")
        flushing = asyncio.create_task(world.poller.flush())
        await world.settle()
        world.poller.remove(second.id)
        held.set()
        await flushing
        assert (await world.stored(first)).state is WatchState.DONE
        assert await world.unseen() == [first.id]


async def test_a_watch_may_be_cancelled_while_all_are_told_that_tp_is_away(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        asked = [await world.add(make_watch(job)) for job in ("1", "2")]
        over = await world.add(
            make_watch("3", id="w_00000001", spec={"interval_seconds": 100.0, "timeout_seconds": 1.0})
        )
        given_up = await world.add(make_watch("4", id="w_00000002", spec={"interval_seconds": 100.0}))
        for job in ("1", "2", "3", "4"):
            world.reader.on(job, TpUnreachableError("TP is down."))
        await world.advance(60)
        held = world.store.hold("save")
        await world.advance(1200)
        assert "save" not in world.store.holds, "an end is being written"
        assert await world.registry.cancel(given_up.id, given_up.owner, reason="no need")
        held.set()
        await world.advance(600)
        assert (await world.stored(over)).state is WatchState.TIMED_OUT
        assert all(world.poller.polls(watch.id) for watch in asked)
