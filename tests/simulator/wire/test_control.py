from typing import Any

import pytest

pytestmark = pytest.mark.slow


UPGRADE = "/adc/automation/upgrade/AT16_Combined_FSW/"


async def test_requests_are_noted_without_secrets(still: Any) -> None:
    await still.post("/token-auth/", {"username": "demo", "password": "demo-password"})
    await still.get(UPGRADE)
    await still.get("/nowhere")
    seen = (await still.get("/_sim/requests")).json()
    assert seen["count"] == 3
    assert seen["by_endpoint"] == {"token_auth": 1, "get_upgrade": 1, "": 1}
    assert seen["requests"][1] == {"method": "GET", "path": UPGRADE, "endpoint": "get_upgrade", "at": 1_780_090_000}
    assert still.simulator.state.requests.count("get_upgrade") == 1
    assert [request.endpoint for request in still.simulator.state.requests] == ["token_auth", "get_upgrade", ""]
    assert (await still.client.delete("/_sim/requests")).json()["count"] == 0


async def test_time_can_be_stepped_paused_and_set(still: Any) -> None:
    assert (await still.post("/_sim/advance", {"seconds": 90})).json()["now"] == 1_780_090_090
    assert (await still.post("/_sim/speed", {"speed": 1000})).json()["paused"] is False
    assert (await still.post("/_sim/pause")).json()["paused"] is True
    now = (await still.get("/_sim/state")).json()["now"]
    assert (await still.get("/_sim/state")).json()["now"] == now > 1_780_090_090
    assert (await still.post("/_sim/resume")).json()["paused"] is False


@pytest.mark.parametrize("seconds", [-1, "10", None, True])
async def test_a_step_has_to_be_a_number_of_seconds(still: Any, seconds: Any) -> None:
    answer = await still.post("/_sim/advance", {"seconds": seconds})
    assert answer.status_code == 400
    assert "seconds must be a number" in answer.json()["error"]


async def test_a_reset_kills_runs_and_begins_anew(fast: Any) -> None:
    await fast.ended("Tests_CLI/test_events.py")
    await fast.run("Tests_CLI")
    await fast.post("/_sim/faults", {"kind": "away"})
    state = (await fast.post("/_sim/reset")).json()
    assert state["executions"] == []
    assert (await fast.get("/_sim/requests")).json()["count"] == 0
    assert (await fast.get("/_sim/processes")).json() == {"processes": []}
    row = await fast.ended("Tests_CLI/test_events.py")
    assert (row["exec_id"], row["pass_count"]) == (446, 2)


async def test_labs_builds_and_users_can_be_added(still: Any) -> None:
    await still.post(
        "/_sim/seed",
        {
            "labs": [
                {
                    "name": "X1",
                    "controller": "192.0.2.9",
                    "devices": [{"name": "x1-nac", "ip": "192.0.2.1"}, {"name": "x1-switch", "ip": "192.0.2.2"}],
                    "users": ["carol"],
                    "past": {"mode": "build", "status": "TIMEOUT", "seconds_ago": 60},
                },
                {
                    "name": "X2",
                    "controller": "192.0.2.9",
                    "devices": [{"name": "switch", "ip": "192.0.2.3"}],
                    "users": ["carol"],
                },
            ],
            "builds": [{"number": "7001", "version": "8.0.0", "defects": ["poe-unit"]}],
            "ga": {"8.0.0": "7001"},
            "users": [{"username": "carol", "password": "pw", "email": "carol@tp.example"}],
            "sso_only": True,
        },
    )
    assert (await still.post("/token-auth/", {"username": "carol", "password": "pw"})).status_code == 302
    still.login("carol")
    assert (await still.upgrade_state("X1"))["status"] == "FAILURE"
    answer = (await still.upgrade(testbed="X1", mode="ga", version="8.0.0")).json()
    assert (answer["build_number"], answer["target_ips"]) == ("7001", ["192.0.2.1"])
    nothing_to_upgrade = await still.upgrade(testbed="X2", mode="ga", version="8.0.0")
    assert nothing_to_upgrade.status_code == 400
    assert "no device" in nothing_to_upgrade.json()["error"]


@pytest.mark.parametrize("body", [{"labs": [{"name": "X"}]}, {"users": [{"name": "carol"}]}, {"builds": 3}])
async def test_a_seed_of_another_shape_changes_nothing(still: Any, body: Any) -> None:
    answer = await still.post("/_sim/seed", body)
    assert answer.status_code == 400
    assert "cannot be read" in answer.json()["error"]
    assert len(still.simulator.state.labs) == 5


async def test_controls_name_what_they_do_not_find(still: Any) -> None:
    for path, body in (
        ("hang_next_upgrade", {"ip": "192.0.2.77"}),
        ("kill_worker", {"testbed": "nowhere"}),
        ("kill_worker", {"exec_id": 5}),
        ("revive_worker", {"testbed": "nowhere"}),
        ("revive_worker", {"exec_id": 5}),
        ("reboot_controller", {"exec_id": 5}),
    ):
        assert (await still.post(f"/_sim/{path}", body)).status_code == 404


async def test_processes_are_shown(fast: Any) -> None:
    await fast.ended("Tests_CLI/test_events.py", argument="; id")
    seen = (await fast.get("/_sim/processes")).json()["processes"]
    assert {one["kind"] for one in seen} == {"pytest", "command"}
    assert {"exec_id": 446, "kind": "command", "argv": ["id", "--collect-only"]} in seen
