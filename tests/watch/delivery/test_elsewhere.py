"""What other processes write, noticed while somebody waits."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tp_mcp.errors import StoreError
from tp_mcp.watch.model.watch import Watch, WatchState

MakeWatch = Callable[..., Watch]


async def advance(seconds: float, *worlds: Any) -> None:
    """Let time pass in every process alike, in steps no longer than a heartbeat."""
    clock = worlds[0].clock
    end = clock.time + seconds
    while clock.time < end:
        due = [at for world in worlds for at in (world.timer.at,) if at is not None]
        due += [at for at, _ in clock.sleepers]
        clock.move_to(max(clock.time, min([*due, end])))
        for world in worlds:
            await world.advance(0)


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
