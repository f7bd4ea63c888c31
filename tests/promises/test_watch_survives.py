"""Promise 2: a watch ends as its job ends, through dead processes, an outage of TP and an expired token."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.process import LAB
from tests.support.recorded import TEST, TOKEN_SECONDS, House, open_house
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Advisory, WatchState

RUN_IT: dict[str, Any] = {"lab": LAB, "testcase": [TEST]}
DAY = 24 * 3600.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


@pytest.mark.parametrize("lived", [0.0, 5.0, 17.0, 100.0])
async def test_a_process_that_dies_at_any_time_leaves_its_watches_to_the_next(house: House, lived: float) -> None:
    async with house.process() as process:
        await process.call("run_pytest", **RUN_IT)
        house.tp.executions[446]["status"] = "Running"
        await house.advance(lived)
    house.tp.end(446, passed=2, failed=1)
    async with house.process() as process:
        await house.advance(2)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome) == (WatchState.DONE, Outcome.FAILED)


async def test_many_processes_one_after_the_other_follow_one_watch(house: House) -> None:
    ids = set()
    for number in range(8):
        async with house.process() as process:
            if number == 0:
                await process.call("run_pytest", **RUN_IT)
            await house.advance(40)
            house.tp.executions[446] |= {"status": "Running", "log_size": number}
            ids |= {watch.id for watch in await process.watches()}
    house.tp.end(446)
    async with house.process() as process:
        await house.advance(2)
        [watch] = await process.watches()
        assert watch.state is WatchState.DONE
        assert ids == {watch.id}


async def test_an_outage_of_tp_is_said_and_lived_through(house: House) -> None:
    async with house.process() as process:
        await process.call("run_pytest", **RUN_IT)
        await house.advance(31)
        house.tp.away = True
        await house.advance(3600)
        [watch] = await process.watches()
        assert (watch.state, watch.advisory) == (WatchState.ACTIVE, Advisory.UNREACHABLE)
        house.tp.away = False
        house.tp.end(446)
        await house.advance(301)
        [watch] = await process.watches()
        assert (watch.state, watch.advisory) == (WatchState.DONE, None)


async def test_a_token_that_expires_is_renewed_on_the_way(house: House) -> None:
    async with house.process() as process:
        long: dict[str, Any] = {"interval_sec": 300, "timeout_sec": 2 * DAY}
        await process.call("start_watch", tool="get_execution", args={"exec_id": house.tp.run()}, **long)
        began = house.clock.time
        for hour in range(14):
            house.tp.executions[446]["log_size"] = hour
            await house.advance(3600)
        assert house.clock.time - began > TOKEN_SECONDS
        house.tp.end(446)
        await house.advance(301)
        [watch] = await process.watches()
        assert watch.state is WatchState.DONE
        assert house.tp.count("POST /token-auth/") >= 2


async def test_days_without_a_process_are_caught_up_before_any_time_is_declared_over(house: House) -> None:
    async with house.process() as process:
        await process.call("run_pytest", **RUN_IT)
    house.tp.end(446)
    house.clock.time += 3 * DAY
    house.tp.away = True
    async with house.process() as process:
        await house.advance(60)
        [watch] = await process.watches()
        assert (watch.state, watch.advisory) == (WatchState.ACTIVE, Advisory.UNREACHABLE)
        house.tp.away = False
        await house.advance(60)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome) == (WatchState.DONE, Outcome.PASSED)


async def test_a_watch_whose_job_never_ends_reaches_its_limit_and_says_how_it_was_last_seen(house: House) -> None:
    house.tp.run(pass_count=5, fail_count=1)
    async with house.process() as process:
        await process.call("start_watch", tool="get_execution", args={"exec_id": 446}, timeout_sec=600)
        await house.advance(620)
        [watch] = await process.watches()
        assert watch.state is WatchState.TIMED_OUT
        [entry] = await process.store.unseen(watch.owner)
        assert "Last known: Running, 5 passed, 1 failed" in entry.text
