"""Waiting for a change, without missing one."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.watch.delivery.change_feed import ChangeFeed
from tp_mcp.watch.delivery.waiting import Until, fingerprint_of, met, wait_for_first
from tp_mcp.watch.model.reading import Counts, Reading, Verdict
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState

RUNNING = Reading(Verdict.UNDERWAY, "Running", counts=Counts(passed=1), sign_of_life="one")


class NoTasks:
    """A task group for a feed whose store nobody reads."""

    def start_soon(self, *_task: Any) -> None: ...


@pytest.fixture
def feed(clock: Any) -> ChangeFeed:
    return ChangeFeed(store=cast("Any", None), clock=clock, task_group=cast("Any", NoTasks()))


async def turns(number: int = 10) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_change_before_the_wait_is_not_missed(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch = make_watch()
    with feed.changes_of(watch.id) as change:
        feed.publish(watch)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await change.wait(10.0, clock)
    assert clock.sleepers == []


async def test_a_wait_ends_in_time_when_nothing_happens(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch = make_watch()
    with feed.changes_of(watch.id) as change:
        waiting = asyncio.create_task(change.wait(10.0, clock))
        await turns()
        clock.move_to(clock.time + 9.9)
        await turns()
        assert not waiting.done()
        clock.move_to(clock.time + 0.1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await waiting


async def test_everyone_who_waits_for_a_watch_is_woken_and_nobody_else(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch, other = make_watch(), make_watch()
    with feed.changes_of(watch.id) as one, feed.changes_of(watch.id) as two, feed.changes_of(other.id) as three:
        waits = [asyncio.create_task(change.wait(10.0, clock)) for change in (one, two, three)]
        await turns()
        feed.publish(watch)
        await turns()
        assert [wait.done() for wait in waits] == [True, True, False]
        waits[2].cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits[2]
    assert clock.sleepers == []


async def test_one_who_stops_waiting_takes_nothing_from_the_others(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch = make_watch()
    with feed.changes_of(watch.id) as stays:
        with feed.changes_of(watch.id):
            pass
        feed.publish(watch)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await stays.wait(10.0, clock)
    feed.publish(watch)


async def test_one_wait_may_be_for_several_watches(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    one, two = make_watch(), make_watch()
    with feed.changes_of(one.id, two.id) as either, feed.changes_of(one.id):
        assert set(feed._changes_of) == {one.id, two.id}
        feed.publish(two)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await either.wait(10.0, clock)
    assert set(feed._changes_of) == set()


async def test_an_end_that_is_told_during_the_wait_is_not_read_again(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch = make_watch(state=WatchState.ACTIVE)
    done = replace(watch, state=WatchState.DONE)
    looks: list[str] = []

    async def look(watch_id: str) -> Watch:
        looks.append(watch_id)
        return watch

    async def wait() -> tuple[Watch, ...]:
        return await wait_for_first(
            [watch.id],
            look,
            feed=feed,
            clock=clock,
            seconds=10.0,
            until=Until.TERMINAL,
            report=None,
        )

    waiting = asyncio.create_task(wait())
    await turns()
    feed.publish(watch)
    await turns()
    assert not waiting.done()
    feed.publish(done)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await waiting == (done,)
    assert looks == [watch.id, watch.id]


async def test_an_end_that_was_told_before_the_wait_is_read_with_what_was_added_since(
    make_watch: Callable[..., Watch], clock: Any, feed: ChangeFeed
) -> None:
    watch = make_watch(state=WatchState.DONE)
    with feed.changes_of(watch.id) as change:
        feed.publish(watch)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await change.wait(10.0, clock)
    assert change.ended == {}


@pytest.mark.parametrize("until", list(Until))
def test_an_end_is_what_every_wait_is_for(make_watch: Callable[..., Watch], until: Until) -> None:
    watch = make_watch(reading=RUNNING)
    assert not met(until, fingerprint_of(watch), watch)
    assert met(until, fingerprint_of(watch), replace(watch, state=WatchState.CANCELLED))


def test_a_failure_counts_also_where_it_was_there_before_the_wait(make_watch: Callable[..., Watch]) -> None:
    watch = make_watch(reading=None)
    broken = replace(watch, reading=replace(RUNNING, broken=True))
    assert not met(Until.FIRST_FAILURE, fingerprint_of(watch), watch)
    assert met(Until.FIRST_FAILURE, fingerprint_of(broken), broken)
    assert not met(Until.TERMINAL, fingerprint_of(broken), broken)


def test_a_change_is_one_that_a_reader_would_notice(make_watch: Callable[..., Watch]) -> None:
    watch = make_watch(reading=RUNNING)
    assert not met(
        Until.CHANGE, fingerprint_of(watch), replace(watch, polls=9, reading=replace(RUNNING, sign_of_life="two"))
    )
    changed = [
        replace(watch, advisory=Advisory.STALLED),
        replace(watch, missing_polls=1),
        replace(watch, reading=replace(RUNNING, counts=Counts(passed=2))),
        replace(watch, reading=replace(RUNNING, phase="Collecting")),
        replace(watch, reading=None),
    ]
    assert all(met(Until.CHANGE, fingerprint_of(watch), each) for each in changed)
