from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.slow


SMOKE = "Tests_CLI/test_system.py::TestStatus"


async def running(tp: Any, exec_id: int) -> Any:
    """Return an execution's row once its script runs."""
    return await tp.until(exec_id, lambda row: row["status"] != "Initiating")


async def test_a_run_goes_from_initiating_to_done(fast: Any) -> None:
    started = await fast.run("/" + SMOKE)
    assert started.status_code == 202
    assert started.json() == {
        "exec_id": 446,
        "status": "Initiating",
        "lab": "AT16_Combined_FSW",
        "testcase_count": 1,
    }
    first = await fast.execution(446)
    assert first["status"] == "Initiating"
    assert "pass_count" not in first
    assert first["start_timestamp"] is None
    await fast.simulator.workers.join(446)
    row = await fast.execution(446)
    assert row["status"] == "Done"
    assert [row[f"{name}_count"] for name in ("pass", "fail", "skip", "error", "total")] == [3, 0, 0, 0, 3]
    assert row["controller"] == "10.15.52.159"
    assert int(row["end_timestamp"]) >= int(row["start_timestamp"])
    assert row["remote_pid"].isdecimal()
    assert row["log_size"] == len(row["log_tail"].encode())
    assert "3 passed" in row["log_tail"]
    assert (await fast.run(SMOKE)).json()["exec_id"] == 447


@pytest.mark.parametrize(
    ("ids", "fields", "counts"),
    [
        (["Tests_CLI"], {"argument": "-k nothing_matches_this"}, [0, 0, 0, 0, 0]),
        (["Tests_CLI"], {"argument": "--collect-only"}, [0, 0, 0, 0, 0]),
        (["Tests_CLI"], {"argument": "-m smoke -q"}, [3, 0, 0, 0, 3]),
        (["Tests_CLI", "Tests_HA"], {"argument": "-k 'serial or in_sync'"}, [2, 0, 0, 0, 2]),
        (["Tests_GUI"], {"argument": "-k 'form or title or certificate' --tb=short"}, [1, 0, 1, 1, 3]),
        (
            ["Tests_GUI"],
            {"extra_pytest_options": "--deselect Tests_GUI/test_login_page.py::test_login_form"},
            [5, 0, 1, 0, 6],
        ),
        (["Tests_CLI/test_vlan.py::test_range"], {}, [0, 0, 0, 0, 1]),
        ([SMOKE], {"argument": "-qq"}, [3, 0, 0, 0, 3]),
    ],
)
async def test_arguments_are_honoured(fast: Any, ids: list[str], fields: dict[str, str], counts: list[int]) -> None:
    row = await fast.ended(*ids, **fields)
    assert row["status"] == "Done", row["log_tail"]
    assert [row[f"{name}_count"] for name in ("pass", "fail", "skip", "error", "total")] == counts


async def test_a_run_stops_after_maxfail(fast: Any) -> None:
    await fast.upgrade(mode="build", build_number="6957")
    await fast.simulator.advance(300)
    row = await fast.ended("Tests_CLI/security", argument="--maxfail=2")
    assert (row["status"], row["fail_count"], row["total_count"]) == ("Done", 2, 2)


@pytest.mark.parametrize(
    ("ids", "fields"),
    [(["Tests_CLI/test_misspelt.py"], {}), ([SMOKE], {"argument": "--no-such-option"}), ([SMOKE], {"argument": "'"})],
)
async def test_a_run_that_pytest_or_bash_refuses_is_failed(fast: Any, ids: list[str], fields: dict[str, str]) -> None:
    row = await fast.ended(*ids, **fields)
    assert row["status"] == "Failed"
    assert row["pass_count"] == row["total_count"] == 0


async def test_the_flaky_test_fails_every_second_time(fast: Any) -> None:
    rows = [await fast.ended("Tests_HA", argument="-k quickly") for _ in range(3)]
    assert [row["pass_count"] for row in rows] == [1, 0, 1]


async def test_tests_fail_to_connect_while_the_appliance_reboots(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(150)
    await still.run(SMOKE)
    await still.simulator.advance(4)
    await still.simulator.workers.join(446)
    row = await still.execution(446)
    assert row["error_count"] == 3
    assert "rebooting" in row["log_tail"]


async def test_the_counts_move_every_fifteen_seconds_and_the_log_at_once(still: Any) -> None:
    await still.run("Tests_CLI")
    assert (await still.execution(446))["status"] == "Initiating"
    await still.simulator.advance(4)
    row = await running(still, 446)
    assert row["pass_count"] is None
    row = await still.until(446, lambda row: "[ 16%]" in row["log_tail"])
    assert row["pass_count"] is None
    await still.simulator.advance(15)
    counted = await still.execution(446)
    assert counted["pass_count"] >= 8
    assert counted["total_count"] == 50
    await still.post("/adc/test_exec_kill", {"id": 446})


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"testcase": []}, 400, "testcase must be a list"),
        ({"testcase": "Tests_CLI"}, 400, "testcase must be a list"),
        ({"testcase": [""]}, 400, "testcase must be a list"),
        ({"argument": ["-v"]}, 400, "must be strings"),
        ({"user": ""}, 400, "user (string) is required"),
        ({"user": "rival"}, 403, "is not the caller"),
        ({"lab": "AT40_Rival_NAC"}, 403, "may not use"),
        ({"lab": "nowhere"}, 404, "not found"),
    ],
)
async def test_a_wrong_request_starts_nothing(still: Any, fields: Any, status: int, message: str) -> None:
    answer = await still.run(SMOKE, **fields)
    assert answer.status_code == status
    assert message in answer.json()["error"]
    assert list(still.simulator.state.executions) == []


async def test_a_body_that_is_no_json_object_is_rejected(still: Any) -> None:
    for body in ("{", "[]"):
        answer = await still.client.post("/adc/automation/pytest/", content=body)
        assert answer.status_code == 400
        assert "JSON" in answer.json()["error"]


async def test_a_lab_takes_one_execution_at_a_time(still: Any) -> None:
    await still.run(SMOKE)
    answer = await still.run(SMOKE)
    assert answer.status_code == 409
    assert answer.json() == {"error": "another execution is already in flight on 'AT16_Combined_FSW'"}
    assert (await still.run(SMOKE, lab="AT33_New_NAC")).status_code == 202


async def test_a_killed_execution_is_cancelled_and_leaves_no_process(
    fast: Any, alive_in_group: Callable[[int], list[int]]
) -> None:
    await fast.run("Tests_CLI")
    pid = (await running(fast, 446))["remote_pid"]
    answer = await fast.post("/adc/test_exec_kill", {"id": 446})
    assert answer.status_code == 200
    row = await fast.execution(446)
    assert row["status"] == "Cancelled"
    assert row["end_timestamp"] is not None
    assert alive_in_group(int(pid)) == []
    again = await fast.post("/adc/test_exec_kill", {"id": "446"})
    assert again.status_code == 400
    assert "not running (Cancelled)" in again.json()["error"]


async def test_an_execution_can_be_killed_before_its_script_runs(still: Any) -> None:
    await still.run(SMOKE)
    assert (await still.post("/adc/test_exec_kill", {"id": 446})).json() == {"id": 446, "status": "Cancelled"}
    assert still.simulator.controller.processes == []


async def test_executions_of_others_can_be_seen_where_the_lab_may_be_used(still: Any) -> None:
    still.login("rival")
    assert (await still.run(SMOKE, user="rival")).status_code == 202
    assert (await still.run(SMOKE, user="rival", lab="AT40_Rival_NAC")).status_code == 202
    still.login("demo")
    assert (await still.execution(446))["status"] == "Initiating"
    assert (await still.get("/adc/automation/pytest/447/")).status_code == 403
    assert (await still.post("/adc/test_exec_kill", {"id": 447})).status_code == 403


@pytest.mark.parametrize("exec_id", ["9999", "abc", "-1", "9" * 30])
async def test_an_unknown_execution_is_a_json_404(still: Any, exec_id: str) -> None:
    answer = await still.get(f"/adc/automation/pytest/{exec_id}/")
    assert answer.status_code == 404
    assert "not found" in answer.json()["error"]


async def test_a_dead_worker_leaves_running_and_a_frozen_log_until_the_safety_net(fast: Any) -> None:
    await fast.run("Tests_CLI")
    await running(fast, 446)
    await fast.post("/_sim/kill_worker", {"exec_id": 446})
    frozen = await fast.execution(446)
    await fast.simulator.workers.join(446)
    assert await fast.execution(446) == frozen
    assert frozen["status"] == "Running"
    assert (await fast.run(SMOKE)).status_code == 409
    await fast.simulator.advance(6 * 3600)
    assert (await fast.execution(446))["status"] == "Failed"


async def test_a_frozen_worker_writes_down_what_ended_meanwhile(fast: Any) -> None:
    await fast.run(SMOKE)
    await running(fast, 446)
    await fast.post("/_sim/kill_worker", {"exec_id": 446})
    await fast.simulator.workers.join(446)
    assert (await fast.execution(446))["status"] == "Running"
    assert (await fast.post("/_sim/revive_worker", {"exec_id": 446})).status_code == 200
    row = await fast.execution(446)
    assert (row["status"], row["pass_count"]) == ("Done", 3)
    assert (await fast.post("/_sim/revive_worker", {"exec_id": 446})).status_code == 400


async def test_a_frozen_worker_goes_on_with_a_script_that_runs_still(still: Any) -> None:
    await still.run("Tests_CLI")
    await still.simulator.advance(4)
    await running(still, 446)
    await still.post("/_sim/kill_worker", {"exec_id": 446})
    frozen = await still.execution(446)
    await still.post("/_sim/revive_worker", {"exec_id": 446})
    row = await still.until(446, lambda row: row["log_size"] > frozen["log_size"])
    assert row["status"] == "Running"
    await still.post("/adc/test_exec_kill", {"id": 446})


async def test_a_frozen_worker_starts_the_script_later(still: Any) -> None:
    await still.run(SMOKE)
    await still.post("/_sim/kill_worker", {"exec_id": 446})
    await still.simulator.advance(10)
    await still.simulator.workers.join(446)
    await still.post("/_sim/revive_worker", {"exec_id": 446})
    await still.simulator.workers.join(446)
    assert (await still.execution(446))["status"] == "Done"


async def test_a_worker_that_dies_at_once_never_starts_the_script(still: Any) -> None:
    await still.run(SMOKE)
    await still.post("/_sim/kill_worker", {"exec_id": 446})
    await still.simulator.advance(10)
    await still.simulator.workers.join(446)
    assert (await still.execution(446))["status"] == "Initiating"
    assert (await still.post("/adc/test_exec_kill", {"id": 446})).json()["status"] == "Cancelled"


async def test_a_rebooting_controller_loses_the_run(fast: Any, alive_in_group: Callable[[int], list[int]]) -> None:
    await fast.run("Tests_CLI")
    pid = (await running(fast, 446))["remote_pid"]
    await fast.post("/_sim/reboot_controller", {"exec_id": 446})
    assert alive_in_group(int(pid)) == []
    assert (await fast.execution(446))["status"] == "Running"


async def test_a_script_that_cannot_be_started_ends_failed(fast: Any, caplog: pytest.LogCaptureFixture) -> None:
    fast.simulator.controller.server_root.write_text("in the way")
    row = await fast.ended(SMOKE)
    assert row["status"] == "Failed"
    assert "could not be run" in caplog.text
