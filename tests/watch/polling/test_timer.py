"""The timer that APScheduler drives, on the real clock with short waits."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.watch.polling.timer import GRID_SECONDS, ApschedulerTimer

SOON = 0.06


@dataclass
class Ticks:
    """A callback that remembers when it was called, and can take its time or fail."""

    at: list[float] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None
    at_once: int = 0
    most_at_once: int = 0
    failure: Exception | None = None

    async def __call__(self) -> None:
        self.at.append(time.time())
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.called.set()
        try:
            if self.hold is not None:
                await self.hold.wait()
            if self.failure is not None:
                raise self.failure
        finally:
            self.at_once -= 1

    async def until(self, number: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.at) < number:
                self.called.clear()
                await self.called.wait()


@pytest.fixture
async def timer() -> AsyncIterator[ApschedulerTimer]:
    timer = ApschedulerTimer()
    yield timer
    timer.stop()


async def test_it_calls_at_the_time_and_not_before(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    due = time.time() + SOON
    timer.set(due)
    await ticks.until(1)
    assert due <= ticks.at[0] < due + GRID_SECONDS + 1.0


async def test_a_later_set_replaces_the_earlier_time(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    timer.set(time.time() + 3600)
    timer.set(time.time() + SOON)
    await ticks.until(1)
    timer.set(time.time() + SOON)
    timer.set(time.time() + 3600)
    await asyncio.sleep(3 * SOON)
    assert len(ticks.at) == 1


async def test_a_time_that_is_over_is_called_at_once_again_and_again(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    for number in range(1, 6):
        timer.set(1.0)
        await ticks.until(number)


async def test_a_time_set_from_within_the_call_is_never_lost(timer: ApschedulerTimer) -> None:
    ticks = Ticks()

    async def call_and_set() -> None:
        timer.set(time.time() - 1)
        await ticks()

    timer.start(call_and_set)
    timer.set(1.0)
    await ticks.until(20)
    assert ticks.most_at_once == 1


async def test_a_time_that_comes_while_a_call_is_under_way_is_called_right_after(timer: ApschedulerTimer) -> None:
    ticks = Ticks(hold=asyncio.Event())
    timer.start(ticks)
    timer.set(1.0)
    await ticks.until(1)
    due = time.time() + SOON
    timer.set(due)
    await asyncio.sleep(3 * SOON)
    assert len(ticks.at) == 1
    assert ticks.hold is not None
    ticks.hold.set()
    await ticks.until(2)
    # The same time again must not be taken for one that is set already.
    timer.set(due)
    await ticks.until(3)
    assert ticks.most_at_once == 1


async def test_a_time_set_while_another_is_about_to_be_called_stays(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    timer.set(1.0)
    # The loop's turn in which APScheduler hands the call over, before it is made.
    await asyncio.sleep(0)
    assert ticks.at == []
    due = time.time() + SOON
    timer.set(due)
    await ticks.until(2)
    assert ticks.at[0] < due <= ticks.at[1]


async def test_setting_one_time_twice_sets_it_once(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    due = time.time() + SOON
    timer.set(due)
    timer.set(due)
    await ticks.until(1)
    await asyncio.sleep(2 * SOON)
    assert len(ticks.at) == 1


async def test_a_call_that_fails_does_not_stop_the_timer(timer: ApschedulerTimer) -> None:
    ticks = Ticks(failure=RuntimeError("a fault"))
    timer.start(ticks)
    timer.set(1.0)
    await ticks.until(1)
    timer.set(time.time())
    await ticks.until(2)


async def test_nothing_is_called_before_the_start_or_after_the_end(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.set(1.0)
    await asyncio.sleep(SOON)
    timer.start(ticks)
    timer.set(time.time() + SOON)
    timer.stop()
    timer.stop()
    timer.set(1.0)
    await asyncio.sleep(3 * SOON)
    assert ticks.at == []


async def test_a_call_that_is_due_as_it_stops_is_not_made(timer: ApschedulerTimer) -> None:
    ticks = Ticks()
    timer.start(ticks)
    timer.set(1.0)
    await asyncio.sleep(0)
    timer.stop()
    await asyncio.sleep(SOON)
    assert ticks.at == []
