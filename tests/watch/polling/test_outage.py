"""TP away and back: one back-off for all targets, one line in the log, no storm."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.errors import TpNotFoundError, TpServerFaultError, TpUnreachableError
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState
from tp_mcp.watch.polling.outage import BACKOFF_MAX_SECONDS
from tp_mcp.watch.polling.watch_table import RESUME_SECONDS_PER_TARGET, RESUME_SPREAD_SECONDS

MakeWatch = Callable[..., Watch]
JOBS = [str(number) for number in range(60)]


def everywhere(world: Any, *answers: Any) -> None:
    for job in JOBS:
        world.reader.on(job, *answers)


async def test_while_tp_is_away_one_job_asks_for_all_less_and_less_often(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        for job in JOBS:
            await world.add(make_watch(job, spec={"timeout_seconds": 1e6}))
        await world.advance(40)
        everywhere(world, TpUnreachableError("No route."))
        world.reader.reads.clear()
        await world.advance(3600)
        first_minute = [at for at, _ in world.reader.reads if at <= world.clock.time - 3540]
        assert len(first_minute) <= 6
        assert 3600 / BACKOFF_MAX_SECONDS <= len(world.reader.reads) <= 60


async def test_every_watch_is_told_that_tp_is_away_and_that_it_is_back_and_the_log_once(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with open_world() as world:
        watches = [await world.add(make_watch(job, spec={"timeout_seconds": 1e6})) for job in JOBS]
        await world.advance(40)
        everywhere(world, TpUnreachableError("No route."))
        await world.advance(16)
        assert {(await world.stored(watch)).advisory for watch in watches} == {Advisory.UNREACHABLE}
        await world.advance(1200)
        everywhere(world, {"status": "running", "alive": "again"})
        await world.advance(BACKOFF_MAX_SECONDS + 16)
        assert {(await world.stored(watch)).advisory for watch in watches} == {None}
        assert [record.getMessage() for record in caplog.records] == [
            "TP does not answer: No route.",
            "TP answers again",
        ]


async def test_the_polls_are_spread_over_their_interval_when_tp_returns(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        for job in JOBS:
            await world.add(make_watch(job, spec={"timeout_seconds": 1e6}))
        everywhere(world, TpUnreachableError("No route."))
        await world.advance(2000)
        everywhere(world, {"status": "running"})
        world.reader.reads.clear()
        await world.advance(BACKOFF_MAX_SECONDS + 16)
        back = world.reader.reads[0][0]
        soon = [at - back for at, _ in world.reader.reads[1:] if at - back < 15]
        assert len(soon) >= len(JOBS) - 1
        busiest = max(sum(1 for at in soon if second <= at < second + 1) for second in range(15))
        assert busiest <= 12


async def test_a_watch_over_its_limit_is_given_up_only_after_a_long_silence(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watches = [await world.add(make_watch(job, spec={"timeout_seconds": 100.0})) for job in JOBS[:3]]
        everywhere(world, TpServerFaultError("Bad gateway."))
        await world.advance(590)
        assert {(await world.stored(watch)).state for watch in watches} == {WatchState.ACTIVE}
        await world.advance(2 * BACKOFF_MAX_SECONDS)
        assert {(await world.stored(watch)).state for watch in watches} == {WatchState.TIMED_OUT}
        assert len(await world.unseen()) == 3


async def test_one_job_that_is_not_answered_while_others_are_is_told_apart(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        await world.add(make_watch("1", spec={"timeout_seconds": 1e6}))
        await world.add(make_watch("2", spec={"interval_seconds": 5.0}))
        world.reader.on("1", TpServerFaultError("It failed."))
        await world.advance(600)
        assert caplog.text.count("is not answered, while others are") == 1
        assert "TP does not answer" not in caplog.text
        world.reader.on("1", TpNotFoundError("No such job."), {"status": "running"})
        await world.advance(700)
        assert caplog.text.count("is answered again") == 1


async def test_polls_that_wait_for_their_turn_are_not_made_when_tp_went_away_meanwhile(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        for number in range(100):
            await world.add(make_watch(str(number), spec={"timeout_seconds": 1e6}), resumed=True)
            world.reader.on(str(number), TpUnreachableError("No route."))
        world.reader.hold = asyncio.Event()
        await world.advance(2)
        begun = len(world.reader.reads)
        world.reader.hold.set()
        await world.settle()
        assert len(world.reader.reads) <= begun + 2


async def test_resumed_watches_are_spread_in_proportion_to_their_number(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        number = 300
        world.poller.resume([make_watch(str(job), spec={"interval_seconds": 60.0}) for job in range(number)])
        await world.advance(RESUME_SPREAD_SECONDS)
        early = len(world.reader.reads)
        assert 0 < early < number / 3
        await world.advance(number * RESUME_SECONDS_PER_TARGET)
        assert len(world.reader.reads) == number


async def test_one_resumed_watch_that_was_unreachable_comes_back_without_a_line(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_world() as world:
        watch = make_watch(advisory=Advisory.UNREACHABLE, reason="No route.")
        await world.store.real.add(watch)
        await world.registry.resume()
        await world.advance(2)
        assert (await world.stored(watch)).advisory is None
        assert caplog.text == ""
