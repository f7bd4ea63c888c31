"""Promise 5: one GET per job and interval, however many watches and conversations want it; never a retry."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import LAB
from tests.support.recorded import House, open_house
from tp_mcp.watch.model.watch import Owner, Watch

GET = "GET /adc/automation/pytest/446/"
INTERVAL = 15.0
WATCH_IT: dict[str, Any] = {"tool": "get_execution", "args": {"exec_id": 446}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    opened = open_house(tmp_path)
    opened.tp.run()
    return opened


def polls(house: House, what: str = GET) -> list[float]:
    return [at for at, asked in house.tp.asked if asked == what]


async def test_fifty_watches_of_ten_conversations_make_one_get_per_interval(house: House) -> None:
    async with house.process() as process:
        for number in range(50):
            owner = Owner(f"local:user{number % 3}", f"environment:{number % 10}", exact=True)
            await process.call("start_watch", owner=owner, **WATCH_IT, message=f"number {number}")
            await house.advance(1)
        house.tp.asked.clear()
        await house.advance(600)
        assert len(polls(house)) == 600 / INTERVAL
        assert {after - before for before, after in pairwise(polls(house))} == {INTERVAL}
        house.tp.end(446)
        await house.advance(16)
        ended: list[Watch] = []
        for number in range(3):
            ended += await process.watches(Owner(f"local:user{number}", "any", exact=True))
        assert len(ended) == 50
        assert all(watch.state.ended for watch in ended)
        assert len(polls(house)) == 600 / INTERVAL + 1


async def test_joining_a_job_that_is_polled_already_polls_it_no_more_often(house: House) -> None:
    async with house.process() as process:
        await process.call("start_watch", tool="get_execution", args={"exec_id": 446})
        await house.advance(16)
        before = len(polls(house))
        for number in range(20):
            await process.call("start_watch", **WATCH_IT, message=f"number {number}")
        # Each call itself looks once whether the execution exists; what is counted here is what the poller adds.
        assert len(polls(house)) == before + 20
        await house.advance(14)
        assert len(polls(house)) <= before + 20 + 1


async def test_the_end_of_everyones_interest_ends_the_polls(house: House) -> None:
    async with house.process() as process:
        for number in range(3):
            await process.call("start_watch", **WATCH_IT, message=f"number {number}")
        assert len(await process.watches()) == 3
        for watch in await process.watches():
            await process.call("cancel_watch", watch_id=watch.id)
        house.tp.asked.clear()
        await house.advance(600)
        assert house.tp.asked == []


async def test_a_poll_that_fails_is_not_asked_again_before_its_next_time(house: House) -> None:
    async with house.process() as process:
        await process.call("start_watch", tool="get_execution", args={"exec_id": 446})
        await house.advance(16)
        house.tp.asked.clear()
        house.tp.away = True
        await house.advance(1200)
        times = [at for at, asked in house.tp.asked if asked.startswith("GET")]
        assert 4 <= len(times) <= 1200 / INTERVAL
        assert min(after - before for before, after in pairwise(times)) >= INTERVAL


async def test_a_poll_follows_no_retry_after_by_itself(house: House) -> None:
    async with house.process() as process:
        await process.call("start_watch", tool="get_execution", args={"exec_id": 446})
        await house.advance(16)
        house.tp.asked.clear()
        house.tp.busy = True
        await house.advance(INTERVAL)
        assert len(polls(house)) == 1


async def test_jobs_of_different_kinds_each_have_their_own_poll(house: House) -> None:
    async with house.process() as process:
        house.tp.upgrade |= {"status": "PROGRESS", "per_device": [{"ip": "10.0.0.1", "status": "PROGRESS"}]}
        await process.call("start_watch", tool="get_execution", args={"exec_id": 446})
        await process.call("start_watch", tool="get_upgrade", args={"testbed": LAB})
        await house.advance(2)
        house.tp.asked.clear()
        await house.advance(300)
        assert len(polls(house)) == 20
        assert len(polls(house, f"GET /adc/automation/upgrade/{LAB}/")) == 20
