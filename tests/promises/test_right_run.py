"""Promise 4: a status counts only if it belongs to the job that the watch was made for.

The sequences were recorded as TP answers them: per step what is shown, and the state the watch has to be in then.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.support.process import LAB
from tests.support.recorded import TEST, House, open_house
from tp_mcp.watch.delivery import messages
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import WatchState

ONE, TWO = "10.15.52.152", "10.15.52.153"


def device(ip: str, status: str, minute: int, *, by: str = "build", build: str | None = "6957") -> dict[str, Any]:
    return {
        "ip": ip,
        "status": status,
        "last_task_type": by,
        "last_build_number": build,
        "updated_at": f"2026-05-28T18:{minute:02}:19+00:00",
        "log_tail": "...",
    }


def shown(status: str, *devices: dict[str, Any]) -> dict[str, Any]:
    return {"testbed": LAB, "status": status, "target_ips": [ONE], "per_device": list(devices)}


BEFORE = device(ONE, "SUCCESS", 1, build="6900")
FAILED_BEFORE = device(ONE, "FAILURE", 1, build="6900")
WORKING, GOOD, BAD = device(ONE, "PROGRESS", 20), device(ONE, "SUCCESS", 25), device(ONE, "FAILURE", 25)

SEQUENCES: dict[str, list[tuple[dict[str, Any], str]]] = {
    "the last upgrade succeeded": [
        (shown("SUCCESS", BEFORE), "active"),
        (shown("SUCCESS", BEFORE), "active"),
        (shown("PROGRESS", WORKING), "active"),
        (shown("SUCCESS", GOOD), "done"),
    ],
    "the last upgrade failed": [
        (shown("FAILURE", FAILED_BEFORE), "active"),
        (shown("FAILURE", FAILED_BEFORE), "active"),
        (shown("PROGRESS", WORKING), "active"),
        (shown("FAILURE", BAD), "failed"),
    ],
    "there was none": [
        (shown("UNKNOWN"), "active"),
        (shown("PROGRESS", WORKING), "active"),
        (shown("SUCCESS", GOOD), "done"),
    ],
    "nobody saw it under way": [(shown("SUCCESS", BEFORE), "active"), (shown("SUCCESS", GOOD), "done")],
    "a later upgrade stands there": [
        (shown("SUCCESS", BEFORE), "active"),
        (shown("SUCCESS", device(ONE, "SUCCESS", 30, by="ga", build="7000")), "probably done"),
    ],
    "one of two devices waits for a worker": [
        (shown("SUCCESS", BEFORE, device(TWO, "SUCCESS", 2, build="6900")), "active"),
        (shown("PROGRESS", WORKING, device(TWO, "SUCCESS", 2, build="6900")), "active"),
        (shown("SUCCESS", GOOD, device(TWO, "SUCCESS", 2, build="6900")), "active"),
        (shown("SUCCESS", GOOD, device(TWO, "SUCCESS", 40)), "done"),
    ],
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


@pytest.mark.parametrize("name", SEQUENCES)
async def test_an_upgrade_ends_by_its_own_status(house: House, name: str) -> None:
    async with house.process() as process:
        steps = SEQUENCES[name]
        house.tp.upgrade = steps[0][0]
        await process.call("start_upgrade", testbed=LAB, mode="build", build_number="6957")
        seen = []
        for answer, _ in steps:
            house.tp.upgrade = answer
            await house.advance(15)
            [watch] = await process.watches()
            probably = "probably " if "probably" in messages.headline(watch) else ""
            seen.append(probably + watch.state)
        assert seen == [state for _, state in steps]


@pytest.mark.parametrize("stale", ["SUCCESS", "FAILURE"])
async def test_during_the_pick_up_window_no_tool_says_that_it_ended(house: House, stale: str) -> None:
    async with house.process() as process:
        house.tp.upgrade = shown(stale, device(ONE, stale, 1, build="6900"))
        text, _ = await process.call("start_upgrade", testbed=LAB, mode="build", build_number="6957")
        for _ in range(4):
            await house.advance(15)
            [watch] = await process.watches()
            text, ended = await process.call("wait_for_watch", watch_id=watch.id, max_wait_seconds=0)
            assert "is under way" in text
            assert "not picked up yet" in text
            assert ended == ()


async def test_a_run_is_the_one_of_its_own_number_on_its_own_lab(house: House) -> None:
    async with house.process() as process:
        house.tp.end(house.tp.run(), passed=9)
        await process.call("run_pytest", lab=LAB, testcase=[TEST])
        await house.advance(20)
        [watch] = await process.watches()
        assert (watch.state, watch.job) == (WatchState.ACTIVE, "execution:447")
        house.tp.end(447, passed=0)
        await house.advance(20)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome) == (WatchState.DONE, Outcome.NO_TEST_RAN)


async def test_a_number_that_was_given_to_another_labs_run_is_lost_and_not_its_end(house: House) -> None:
    async with house.process() as process:
        await process.call("run_pytest", lab=LAB, testcase=[TEST])
        await house.advance(20)
        house.tp.end(446)
        house.tp.executions[446]["lab"] = "AT17_Other"
        await house.advance(20)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome) == (WatchState.LOST, None)
        assert "not on AT16_Combined_FSW" in watch.reason


async def test_an_unanswered_start_is_not_settled_by_what_ran_before_it(house: House) -> None:
    async with house.process() as process:
        house.tp.end(house.tp.run())

        async def lost(_request: object) -> None:
            del house.tp.executions[447]
            raise ConnectionResetError("reset")

        house.tp.on_start = lost
        await process.call("run_pytest", lab=LAB, testcase=[TEST])
        await house.advance(200)
        [watch] = await process.watches()
        assert (watch.state, watch.job) == (WatchState.STARTING, f"run:{LAB}")
