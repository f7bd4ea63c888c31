"""A call that comes right after a start waits for the first polls of what an earlier process left."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tp_mcp.errors import StoreBusyError
from tp_mcp.watch.delivery.catch_up import CATCH_UP_SECONDS, FRESH_SECONDS, CatchingUp
from tp_mcp.watch.model.watch import Owner, Watch

MakeWatch = Callable[..., Watch]
OTHER = Owner("local:alice", "thread:2", exact=True)


def catching_up(world: Any) -> CatchingUp:
    return CatchingUp(registry=world.registry, feed=world.feed, clock=world.clock)


async def left(world: Any, make_watch: MakeWatch, **changes: Any) -> Watch:
    """Leave a watch in the store as an earlier process does, and take it up."""
    watch = make_watch(**changes)
    watch = replace(watch, created_at=world.clock.now() - 60)
    await world.store.real.add(watch)
    return watch


async def begun(world: Any, waiting: CatchingUp, owner: Owner) -> "asyncio.Task[None]":
    task = asyncio.create_task(waiting.wait_for(owner))
    await world.settle()
    return task


async def test_a_call_waits_for_the_poll_that_finds_the_end(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await left(world, make_watch)
        world.reader.on("1", {"status": "done"})
        task = await begun(world, catching_up(world), watch.owner)
        assert not task.done()
        world.feed.publish(watch)
        await world.settle()
        assert not task.done(), "something was told of it, but it was not polled"
        await world.registry.resume()
        await world.advance(CATCH_UP_SECONDS - 0.1)
        assert task.done()
        assert await world.unseen(watch.owner) == [watch.id]


async def test_a_call_waits_no_longer_than_a_short_while_and_no_later_call_waits(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await left(world, make_watch)
        waiting = catching_up(world)
        task = await begun(world, waiting, watch.owner)
        await world.advance(CATCH_UP_SECONDS - 0.1)
        assert not task.done()
        await world.advance(0.2)
        assert task.done()
        assert (await begun(world, waiting, watch.owner)).done()


async def test_who_left_nothing_waits_for_nothing(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await left(world, make_watch)
        await left(world, make_watch, job="2", server="http://other", owner=OTHER)
        waiting = catching_up(world)
        assert (await begun(world, waiting, OTHER)).done(), "the TP of its watch is not polled here"
        await world.store.real.add(make_watch("3", owner=replace(OTHER, conversation="thread:3")))
        new = await begun(world, waiting, replace(OTHER, conversation="thread:3"))
        assert new.done(), "its watch is as new as the process"
        await world.advance(FRESH_SECONDS + 1)
        assert (await begun(world, waiting, watch.owner)).done(), "by now everything was polled"


async def test_what_cannot_be_read_is_not_waited_for(
    open_world: Any, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def busy(*_: object) -> None:
        raise StoreBusyError("The store is busy.")

    async with open_world() as world:
        watch = await left(world, make_watch)
        monkeypatch.setattr(world.registry, "get", busy)
        assert (await begun(world, catching_up(world), watch.owner)).done()
