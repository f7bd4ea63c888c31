import asyncio
from collections import Counter
from typing import Any

import pytest

NAMES = ("pass_count", "fail_count", "skip_count", "error_count", "total_count")


async def seed(tp: Any, **played: Any) -> None:
    answer = await tp.post("/_sim/seed", {"played": played})
    assert answer.status_code == 200, answer.text


async def run(tp: Any, lab: str) -> int:
    answer = await tp.run("Tests_CLI", lab=lab)
    assert answer.status_code == 202, answer.text
    return int(answer.json()["exec_id"])


async def timeline(tp: Any, exec_id: int, step: float = 5) -> list[Any]:
    rows = [await tp.execution(exec_id)]
    while rows[-1]["end_timestamp"] is None:
        await tp.simulator.advance(step)
        rows.append(await tp.execution(exec_id))
    return rows


async def test_played_labs_are_labs_of_demo_with_one_nac_device_each(still: Any) -> None:
    await seed(still, prefix="L", count=12)
    await seed(still, labs=["M1", "L002"])
    labs = {lab["name"]: lab for lab in (await still.post("/adc/get_automation_lab", {"user": "demo"})).json()}
    assert {"L001", "L012", "M1"} < set(labs)
    assert labs["M1"]["deployinfo"]["dev1"] == "M1-nac"
    addresses = [lab["deployinfo"]["ip1"] for name, lab in labs.items() if name[0] in "LM"]
    assert len(set(addresses)) == 13
    assert (await still.upgrade_state("L001"))["status"] == "UNKNOWN"


async def test_a_played_lab_is_upgraded_like_any_other(still: Any) -> None:
    await seed(still, labs=["L001"])
    assert (await still.upgrade(testbed="L001", mode="build", build_number="6955")).status_code == 202
    await still.simulator.advance(300)
    assert (await still.upgrade_state("L001"))["status"] == "SUCCESS"


async def test_a_played_run_goes_the_way_of_a_real_one(still: Any) -> None:
    await seed(still, labs=["L001"], shortest_seconds=60, longest_seconds=60, failed_share=0)
    rows = await timeline(still, await run(still, "L001"))
    assert list(Counter(row["status"] for row in rows)) == ["Initiating", "Running", "Done"]
    assert "pass_count" not in rows[0]
    running = [row for row in rows if row["status"] == "Running"]
    assert running[0]["pass_count"] is None
    sizes = [row["log_size"] for row in rows]
    assert sizes == sorted(set(sizes))
    counted = [sum(row[name] for name in NAMES[:4]) for row in running if row["pass_count"] is not None]
    assert counted == sorted(counted)
    assert len(set(counted)) == 3
    last = rows[-1]
    assert sum(last[name] for name in NAMES[:4]) == last["total_count"] > 0
    assert int(last["end_timestamp"]) - int(last["start_timestamp"]) == 60
    assert "played, no test was run" in last["log_tail"]
    assert last["report_file_path"] == ""
    assert still.simulator.controller.processes == []


async def test_a_played_run_that_breaks_off_is_failed_in_the_middle(still: Any) -> None:
    await seed(still, labs=["L001"], failed_share=1)
    last = (await timeline(still, await run(still, "L001")))[-1]
    assert last["status"] == "Failed"
    assert sum(last[name] for name in NAMES[:4]) < last["total_count"]
    assert "broke off" in last["log_tail"]


async def test_the_tail_of_a_long_played_log_is_its_last_4_kb(still: Any) -> None:
    await seed(still, labs=["L001"], shortest_seconds=3000, longest_seconds=3000)
    exec_id = await run(still, "L001")
    await still.simulator.advance(1000)
    before = await still.execution(exec_id)
    await still.simulator.advance(20)
    after = await still.execution(exec_id)
    assert len(after["log_tail"]) == 4096 < after["log_size"]
    moved = after["log_size"] - before["log_size"]
    assert before["log_tail"][moved:] == after["log_tail"][:-moved]


async def test_what_is_played_follows_from_seed_lab_and_number_alone(start: Any) -> None:
    async def ends(order: list[str], seed_number: int) -> dict[str, Any]:
        async with start(speed=0, start_time=1_780_090_000, seed=seed_number) as tp:
            await seed(tp, prefix="L", count=20)
            ids = {lab: await run(tp, lab) for lab in order}
            await tp.simulator.advance(130)
            rows = {lab: await tp.execution(ids[lab]) for lab in sorted(ids)}
            return {lab: [row["status"], row["end_timestamp"], row["pass_count"]] for lab, row in rows.items()}

    labs = [f"L{number:03}" for number in range(1, 21)]
    forwards = await ends(labs, 1)
    assert await ends(labs[::-1], 1) == forwards
    assert await ends(labs, 2) != forwards
    assert {row[0] for row in forwards.values()} == {"Done", "Failed"}


async def test_a_second_run_of_a_played_lab_is_another_one(still: Any) -> None:
    await seed(still, labs=["L001"])
    ends = [(await timeline(still, await run(still, "L001")))[-1] for _ in range(2)]
    assert ends[0]["exec_id"] + 1 == ends[1]["exec_id"]
    assert [row["total_count"] for row in ends] != [ends[0]["total_count"]] * 2


async def test_a_played_lab_takes_one_execution_at_a_time_and_is_free_after_its_end(still: Any) -> None:
    await seed(still, labs=["L001"])
    await run(still, "L001")
    busy = await still.run("Tests_CLI", lab="L001")
    assert (busy.status_code, busy.json()["error"]) == (409, "another execution is already in flight on 'L001'")
    await still.simulator.advance(125)
    labs = {lab["name"]: lab for lab in (await still.post("/adc/get_automation_lab", {"user": "demo"})).json()}
    assert labs["L001"]["status"] == "Available"
    assert await run(still, "L001") == 447


async def test_a_list_shows_the_progress_of_what_is_played(still: Any) -> None:
    await seed(still, labs=["L001"], shortest_seconds=100, longest_seconds=100)
    await run(still, "L001")
    await still.simulator.advance(60)
    row = (await still.post("/adc/get_test_result", {"user": "demo"})).json()[0]
    assert row["status"] == "Running"
    assert 0 < row["progress"] < 100
    await still.simulator.advance(60)
    for _ in range(2):
        row = (await still.post("/adc/get_test_result", {"user": "demo"})).json()[0]
        assert (row["status"] in {"Done", "Failed"}, row["progress"]) == (True, 100)


@pytest.mark.parametrize(("after", "started"), [(1, False), (30, True)])
async def test_a_played_run_can_be_killed(still: Any, after: float, started: bool) -> None:
    await seed(still, labs=["L001"], shortest_seconds=100, longest_seconds=100)
    exec_id = await run(still, "L001")
    await still.simulator.advance(after)
    assert (await still.post("/adc/test_exec_kill", {"id": exec_id})).json()["status"] == "Cancelled"
    row = await still.execution(exec_id)
    assert (row["start_timestamp"] is not None) is started
    assert row["end_timestamp"] == str(1_780_090_000 + after)
    await still.simulator.advance(200)
    assert await still.execution(exec_id) == row
    assert (await still.post("/adc/test_exec_kill", {"id": exec_id})).status_code == 400


async def test_a_played_run_that_ended_unseen_cannot_be_killed(still: Any) -> None:
    await seed(still, labs=["L001"], failed_share=0)
    exec_id = await run(still, "L001")
    still.simulator.state.clock.advance(200)
    answer = await still.post("/adc/test_exec_kill", {"id": exec_id})
    assert "not running (Done)" in answer.json()["error"]


@pytest.mark.parametrize("how", ["kill_worker", "reboot_controller"])
async def test_a_played_run_that_lost_its_worker_stands_still_until_the_safety_net(still: Any, how: str) -> None:
    await seed(still, labs=["L001"], shortest_seconds=100, longest_seconds=100)
    exec_id = await run(still, "L001")
    await still.simulator.advance(50)
    await still.post(f"/_sim/{how}", {"exec_id": exec_id})
    frozen = await still.execution(exec_id)
    await still.simulator.advance(1000)
    assert await still.execution(exec_id) == frozen
    assert frozen["status"] == "Running"
    assert (await still.run("Tests_CLI", lab="L001")).status_code == 409
    await still.simulator.advance(6 * 3600)
    assert (await still.execution(exec_id))["status"] == "Failed"
    assert (await still.run("Tests_CLI", lab="L001")).status_code == 202


async def test_a_frozen_worker_of_a_played_run_goes_on(still: Any) -> None:
    await seed(still, labs=["L001"], shortest_seconds=100, longest_seconds=100, failed_share=0)
    exec_id = await run(still, "L001")
    await still.simulator.advance(50)
    await still.post("/_sim/kill_worker", {"exec_id": exec_id})
    await still.simulator.advance(1000)
    assert (await still.post("/_sim/revive_worker", {"exec_id": exec_id})).status_code == 200
    assert (await still.execution(exec_id))["status"] == "Done"
    assert (await still.run("Tests_CLI", lab="L001")).status_code == 202


async def test_a_rebooted_controller_leaves_nothing_to_go_on_with(still: Any) -> None:
    await seed(still, labs=["L001"])
    exec_id = await run(still, "L001")
    await still.simulator.advance(20)
    await still.post("/_sim/reboot_controller", {"exec_id": exec_id})
    answer = await still.post("/_sim/revive_worker", {"exec_id": exec_id})
    assert answer.status_code == 400
    assert "no worker that could go on" in answer.json()["error"]


async def test_a_played_run_can_be_waited_for(start: Any) -> None:
    async with start(speed=4000) as tp:
        await seed(tp, labs=["L001"])
        exec_id = await run(tp, "L001")
        async with asyncio.timeout(10):
            await tp.simulator.workers.join(exec_id)
        assert tp.simulator.state.executions.get(exec_id).status in {"Done", "Failed"}


async def test_hundreds_of_played_runs_need_no_task_of_their_own(still: Any) -> None:
    await seed(still, prefix="L", count=300)
    before = len(asyncio.all_tasks())
    for number in range(1, 301):
        await run(still, f"L{number:03}")
    assert len(asyncio.all_tasks()) == before
    await still.simulator.advance(130)
    state = (await still.get("/_sim/state")).json()
    assert Counter(row["status"] in {"Done", "Failed"} for row in state["executions"]) == {True: 300}


@pytest.mark.parametrize(
    "played",
    [
        {},
        {"labs": "L001"},
        {"labs": [""]},
        {"prefix": "L", "count": 0},
        {"prefix": "L", "count": 10_001},
        {"labs": ["L1"], "shortest_seconds": 9, "longest_seconds": 8},
        {"labs": ["L1"], "shortest_seconds": 0},
        {"labs": ["L1"], "failed_share": 2},
        {"labs": ["L1"], "colour": "red"},
    ],
)
async def test_played_labs_that_make_no_sense_are_refused(still: Any, played: Any) -> None:
    answer = await still.post("/_sim/seed", {"played": played})
    assert answer.status_code == 400
    assert len(still.simulator.state.labs) == 5
