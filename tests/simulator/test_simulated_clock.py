import asyncio

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.simulator.simulated_clock import SimulatedClock


class Monotonic:
    def __init__(self) -> None:
        self.seconds = 50.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def real() -> Monotonic:
    return Monotonic()


@pytest.fixture
def clock(real: Monotonic) -> SimulatedClock:
    return SimulatedClock(20, start=1000, monotonic=real)


def test_time_runs_at_the_speed(clock: SimulatedClock, real: Monotonic) -> None:
    real.seconds += 3
    assert clock.now() == 1060


def test_wall_time_is_not_scaled_but_stepped(clock: SimulatedClock, real: Monotonic) -> None:
    real.seconds += 3
    clock.advance(100)
    assert clock.wall() == 1103
    assert clock.now() == 1160


def test_a_pause_holds_time_and_a_step_moves_it(clock: SimulatedClock, real: Monotonic) -> None:
    clock.pause()
    real.seconds += 3
    assert clock.paused
    assert clock.now() == 1000
    clock.advance(5)
    assert clock.now() == 1005
    clock.resume()
    real.seconds += 1
    assert clock.now() == 1025


def test_a_new_speed_counts_from_now(clock: SimulatedClock, real: Monotonic) -> None:
    real.seconds += 1
    clock.set_speed(1)
    real.seconds += 1
    assert clock.now() == 1021
    clock.set_speed(0)
    assert clock.paused


def test_time_never_moves_back(clock: SimulatedClock) -> None:
    with pytest.raises(ValueError, match="forward"):
        clock.advance(-1)
    with pytest.raises(ValueError, match="forward"):
        clock.set_speed(-1)


async def test_a_sleeper_is_woken_by_a_step() -> None:
    clock = SimulatedClock(0)
    sleeper = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    clock.advance(9)
    await asyncio.sleep(0.01)
    assert not sleeper.done()
    clock.advance(1)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await sleeper


async def test_a_sleeper_wakes_by_itself_at_speed() -> None:
    clock = SimulatedClock(1000)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await clock.sleep(20)
