import time

from tp_mcp.clock import SystemClock


async def test_the_system_clock_tells_the_time_of_the_machine() -> None:
    before = time.time()
    assert before <= SystemClock().now() <= time.time()


async def test_a_sleep_of_nothing_or_less_returns_at_once() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(-5)
    await clock.sleep(0)
    assert clock.now() - before < 1
