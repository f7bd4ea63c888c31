import time
from typing import Any

import httpx2
import pytest

pytestmark = pytest.mark.slow


LAB = "AT16_Combined_FSW"
START = 1_780_090_000
SECRET = "hunter2"
COMMAND = f"execute restore image scp /images/FSW-build6955.out 10.15.1.20 builder {SECRET}"
PYTEST = "/adc/automation/pytest/"


async def record(tp: Any) -> Any:
    return (await tp.get("/_sim/record")).json()


async def seed(tp: Any, **played: Any) -> None:
    await tp.post("/_sim/seed", {"played": {"labs": ["L001"], "failed_share": 0, **played}})


async def test_an_accepted_upgrade_is_a_row_and_later_has_an_end(still: Any) -> None:
    before = time.time()
    await still.upgrade(mode="build", build_number="6955")
    row = (await record(still))["accepted"][0]
    assert before <= row.pop("real_at") <= time.time()
    ((ip, celery_id),) = row.pop("tasks")
    assert (ip, len(celery_id)) == ("10.15.52.152", 36)
    assert row == {
        "number": 1,
        "endpoint": "start_upgrade",
        "user": "demo",
        "lab": LAB,
        "asked": {"mode": "build", "build_number": "6955"},
        "at": START,
        "exec_id": None,
        "end": None,
        "worker_died": False,
    }
    await still.simulator.advance(400)
    end = (await record(still))["accepted"][0]["end"]
    assert (end["status"], end["counts"]) == ("SUCCESS", None)
    assert START + 200 < end["at"] < START + 250


async def test_every_upgrade_of_a_testbed_has_its_own_end(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.upgrade(mode="build", build_number="no-such-build")
    await still.simulator.advance(235)
    rows = (await record(still))["accepted"]
    assert [row["end"] and row["end"]["status"] for row in rows] == ["SUCCESS", None]
    await still.simulator.advance(60)
    rows = (await record(still))["accepted"]
    assert [row["end"]["status"] for row in rows] == ["SUCCESS", "FAILURE"]


async def test_an_upgrade_that_lost_a_worker_has_no_end(still: Any) -> None:
    await still.upgrade(testbed="AT21_HA_Pair", mode="build", build_number="6955")
    await still.simulator.advance(60)
    await still.post("/_sim/kill_worker", {"testbed": "AT21_HA_Pair"})
    await still.simulator.advance(4000)
    row = (await record(still))["accepted"][0]
    assert (row["end"], row["worker_died"], len(row["tasks"])) == (None, True, 3)
    await still.post("/_sim/revive_worker", {"testbed": "AT21_HA_Pair"})
    row = (await record(still))["accepted"][0]
    assert (row["end"]["status"], row["worker_died"]) == ("SUCCESS", False)


async def test_the_password_of_a_restore_command_is_not_kept(still: Any) -> None:
    await still.upgrade(mode="command", command=COMMAND)
    await still.upgrade(mode="command", command=f"restore {SECRET}")
    await still.upgrade(mode="command", command=["execute", SECRET])
    await still.upgrade(mode="command", command="execute restore image")
    shown = await record(still)
    rows = shown["accepted"] + shown["refused"]
    assert rows[0]["asked"]["command"] == "execute restore image scp /images/FSW-build6955.out 10.15.1.20 ********"
    assert [row["asked"]["command"] for row in rows[1:]] == ["execute restore image", "********", "********"]
    assert SECRET not in str(shown)


async def test_an_execution_has_status_time_and_counts_at_its_end(still: Any) -> None:
    await seed(still, shortest_seconds=60, longest_seconds=60)
    await still.run("Tests_CLI", lab="L001", argument="-k vlan")
    row = (await record(still))["accepted"][0]
    assert row["asked"] == {"testcase": ["Tests_CLI"], "argument": "-k vlan"}
    assert (row["endpoint"], row["lab"], row["exec_id"], row["end"]) == ("start_pytest", "L001", 446, None)
    still.simulator.state.clock.advance(100)
    (write,) = still.simulator.state.record.accepted
    end = still.simulator.state.record.end_of(write)
    shown = await still.execution(446)
    assert (end.status, end.at) == ("Done", START + 64)
    assert (end.counts.passed, end.counts.total) == (shown["pass_count"], shown["total_count"])
    assert (await record(still))["accepted"][0]["end"]["counts"]["passed"] == shown["pass_count"]


async def test_a_real_run_has_the_end_that_a_get_shows(fast: Any) -> None:
    row = await fast.ended("Tests_CLI/test_events.py")
    (write,) = fast.simulator.state.record.accepted
    end = fast.simulator.state.record.end_of(write)
    assert (end.status, str(int(end.at)), end.counts.passed) == ("Done", row["end_timestamp"], 2)


async def test_a_kill_is_a_row_of_its_own(still: Any) -> None:
    await seed(still)
    await still.run("Tests_CLI", lab="L001")
    await still.simulator.advance(10)
    await still.post("/adc/test_exec_kill", {"id": "446"})
    started, killed = (await record(still))["accepted"]
    assert (started["end"]["status"], started["end"]["at"]) == ("Cancelled", START + 10)
    assert (killed["endpoint"], killed["exec_id"], killed["lab"], killed["end"]) == (
        "kill_execution",
        446,
        "L001",
        None,
    )
    await still.post("/adc/test_exec_kill", {"id": "446"})
    assert (await record(still))["refused"][0]["asked"] == {"id": "446"}


async def test_the_safety_net_is_an_end(still: Any) -> None:
    await seed(still)
    await still.run("Tests_CLI", lab="L001")
    await still.post("/_sim/kill_worker", {"exec_id": 446})
    await still.simulator.advance(3600)
    row = (await record(still))["accepted"][0]
    assert (row["end"], row["worker_died"]) == (None, True)
    still.simulator.state.clock.advance(7 * 3600)
    row = (await record(still))["accepted"][0]
    assert (row["end"]["status"], row["end"]["at"]) == ("Failed", START + 6 * 3600)


async def test_refused_writes_are_kept_apart(still: Any) -> None:
    await seed(still)
    await still.run("Tests_CLI", lab="L001")
    await still.run("Tests_CLI", lab="L001")
    await still.upgrade(mode="magic")
    await still.upgrade(testbed="AT40_Rival_NAC", mode="ga", version="7.6.5")
    await still.post("/adc/test_exec_kill", {"id": 9999})
    await still.client.post(PYTEST, content="{")
    still.client.headers["Authorization"] = "JWT nonsense"
    await still.run("Tests_CLI", lab="L001")
    await still.client.post(PYTEST, content="{")
    shown = await record(still)
    assert [row["number"] for row in shown["accepted"]] == [1]
    names = ("number", "endpoint", "user", "lab", "reason", "status")
    told = [[row[name] for name in names] for row in shown["refused"]]
    assert told == [
        [2, "start_pytest", "demo", "L001", "conflict", 409],
        [3, "start_upgrade", "demo", LAB, "invalid", 400],
        [4, "start_upgrade", "demo", "AT40_Rival_NAC", "forbidden", 403],
        [5, "kill_execution", "demo", "", "unknown", 404],
        [6, "start_pytest", "demo", "", "invalid", 400],
        [7, "start_pytest", "", "L001", "unauthorized", 401],
        [8, "start_pytest", "", "", "unauthorized", 401],
    ]
    assert "already in flight" in shown["refused"][0]["message"]
    assert [row.reason for row in still.simulator.state.record.refused][:2] == ["conflict", "invalid"]


async def test_a_write_that_a_fault_kept_from_tp_is_a_row_too(still: Any) -> None:
    await still.post("/_sim/faults", {"kind": "drop", "endpoint": "start_pytest", "times": 1})
    with pytest.raises(httpx2.TransportError):
        await still.run("Tests_CLI")
    await still.post("/_sim/faults", {"kind": "away"})
    await still.upgrade(mode="command", command=COMMAND)
    assert (await still.get(f"/adc/automation/upgrade/{LAB}/")).status_code == 502
    still.client.headers["Authorization"] = ""
    await still.client.post(PYTEST, content="{")
    shown = await record(still)
    assert shown["accepted"] == shown["refused"] == []
    told = [[row[name] for name in ("number", "endpoint", "user", "lab", "fault")] for row in shown["struck"]]
    assert told == [
        [1, "start_pytest", "demo", LAB, "drop"],
        [2, "start_upgrade", "demo", LAB, "away"],
        [3, "start_pytest", "", "", "away"],
    ]
    assert SECRET not in str(shown)
    assert len(still.simulator.state.record.struck) == 3


async def test_a_write_whose_answer_was_lost_is_accepted(still: Any) -> None:
    await still.post("/_sim/faults", {"kind": "drop", "when": "after", "times": 1})
    with pytest.raises(httpx2.TransportError):
        await still.upgrade(mode="build", build_number="6955")
    await still.post("/_sim/faults", {"kind": "delay", "delay_seconds": 0, "times": 1})
    await still.upgrade(testbed="AT33_New_NAC", mode="build", build_number="6955")
    shown = await record(still)
    assert [row["lab"] for row in shown["accepted"]] == [LAB, "AT33_New_NAC"]
    assert shown["struck"] == []


async def test_the_record_outlives_what_is_forgotten_and_ends_with_a_reset(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.client.delete("/_sim/requests")
    await seed(still)
    assert len((await record(still))["accepted"]) == 1
    await still.post("/_sim/reset")
    assert await record(still) == {"accepted": [], "refused": [], "struck": []}


async def test_a_lab_that_is_seeded_anew_leaves_the_row_without_an_end(still: Any) -> None:
    device = {"name": "x1-nac", "ip": "192.0.2.1"}
    lab = {"name": "X1", "controller": "192.0.2.9", "devices": [device], "users": ["demo"]}
    await still.post("/_sim/seed", {"labs": [lab]})
    await still.upgrade(testbed="X1", mode="build", build_number="6955")
    await still.post("/_sim/seed", {"labs": [lab]})
    await still.simulator.advance(400)
    row = (await record(still))["accepted"][0]
    assert (row["end"], row["worker_died"]) == (None, False)


async def test_text_that_no_encoding_can_carry_is_recorded(still: Any) -> None:
    body = '{"user": "demo", "lab": "nowhere", "testcase": ["\\ud800"]}'
    await still.client.post(PYTEST, content=body)
    assert (await record(still))["refused"][0]["asked"]["testcase"] == ["\ud800"]
