from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

RESTORE = "execute restore image scp /images/FSW/FSW_448E-v7.6.6-build6957.out 10.15.1.20 builder secret"
HA = "AT21_HA_Pair"


async def test_the_answer_names_target_and_task(still: Any) -> None:
    answer = await still.upgrade(mode="command", command=RESTORE)
    assert answer.status_code == 202
    body = answer.json()
    task = body.pop("tasks")[0]
    assert body == {
        "testbed": "AT16_Combined_FSW",
        "mode": "command",
        "build_number": "",
        "target_ips": ["10.15.52.152"],
    }
    assert task["ip"] == "10.15.52.152"
    assert len(task["celery_id"]) == 36


async def test_the_pick_up_window_shows_the_previous_success(still: Any) -> None:
    before = await still.upgrade_state()
    assert before["status"] == "SUCCESS"
    await still.upgrade(mode="build", build_number="6957")
    await still.simulator.advance(19)
    assert await still.upgrade_state() == before
    await still.simulator.advance(2)
    during = await still.upgrade_state()
    assert during["status"] == "PROGRESS"
    assert during["per_device"][0]["last_build_number"] == "6957"
    assert during["per_device"][0]["updated_at"] > before["per_device"][0]["updated_at"]


async def test_updated_at_and_log_move_every_three_seconds(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(20)
    seen = []
    for _ in range(7):
        seen.append((await still.upgrade_state())["per_device"][0])
        await still.simulator.advance(1)
    moments = [datetime.fromisoformat(row["updated_at"]).timestamp() - 1_780_090_020 for row in seen]
    assert moments == [0, 0, 0, 3, 3, 3, 6]
    assert len({row["log_tail"] for row in seen}) == 3


async def test_the_log_tail_has_two_kilobytes_at_most(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(300)
    row = (await still.upgrade_state())["per_device"][0]
    assert row["status"] == "SUCCESS"
    assert len(row["log_tail"].encode()) == 2048
    assert row["log_tail"].endswith("running build 6955. Upgrade finished.")


async def test_the_device_answers_nothing_while_it_reboots_and_then_runs_the_new_build(still: Any) -> None:
    state = still.simulator.state
    lab = state.labs["AT16_Combined_FSW"]
    await still.upgrade(mode="command", command=RESTORE)
    builds = []
    for _ in range(60):
        builds.append(state.running_build(lab))
        await still.simulator.advance(5)
    changes = [build for build, last in zip(builds, [object(), *builds], strict=False) if build != last]
    assert changes == ["6950", None, "6957"]


@pytest.mark.parametrize(
    ("fields", "answered", "shown"),
    [
        ({"mode": "command", "command": RESTORE}, "", None),
        ({"mode": "build", "build_number": "0815"}, "0815", "0815"),
        ({"mode": "ga", "version": "7.6.5"}, "6955", "6955"),
    ],
)
async def test_every_mode_ends_in_success(still: Any, fields: Any, answered: str, shown: str | None) -> None:
    assert (await still.upgrade(**fields)).json()["build_number"] == answered
    await still.simulator.advance(300)
    row = (await still.upgrade_state())["per_device"][0]
    assert (row["status"], row["last_task_type"], row["last_build_number"]) == ("SUCCESS", fields["mode"], shown)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"mode": "build", "build_number": "815"}, "build 815 not found on the build server"),
        ({"mode": "ga", "version": "9.9.9"}, "no GA build of version 9.9.9 on the build server"),
        ({"mode": "command", "command": "execute restore image scp /nowhere h u p"}, "image file not found"),
        ({"mode": "command", "command": "execute restore image 'oops"}, "image file not found"),
    ],
)
async def test_an_unknown_build_is_accepted_and_fails_with_a_reason(still: Any, fields: Any, reason: str) -> None:
    assert (await still.upgrade(**fields)).status_code == 202
    await still.simulator.advance(60)
    state = await still.upgrade_state()
    assert state["status"] == "FAILURE"
    assert reason in state["per_device"][0]["log_tail"]
    assert still.simulator.state.running_build(still.simulator.state.labs["AT16_Combined_FSW"]) == "6950"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "mode must be one of"),
        ({"mode": "nightly"}, "mode must be one of"),
        ({"mode": "command"}, "command (string) is required"),
        ({"mode": "command", "command": "execute factoryreset"}, "must start with 'execute restore image'"),
        ({"mode": "build"}, "build_number (string) is required"),
        ({"mode": "build", "build_number": 815}, "build_number (string) is required"),
        ({"mode": "ga", "version": ""}, "version (string) is required"),
        ({"mode": "ga", "version": "7.6.5", "testbed": 3}, "name of a testbed"),
    ],
)
async def test_a_wrong_request_is_rejected(still: Any, fields: Any, message: str) -> None:
    answer = await still.upgrade(**fields)
    assert answer.status_code == 400
    assert message in answer.json()["error"]


async def test_a_second_upgrade_is_refused_while_one_is_in_progress(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(25)
    answer = await still.upgrade(mode="build", build_number="6957")
    assert answer.status_code == 409
    assert "10.15.52.152" in answer.json()["error"]


async def test_a_second_upgrade_in_the_pick_up_window_waits_for_the_first(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    assert (await still.upgrade(mode="build", build_number="6957")).status_code == 202
    await still.simulator.advance(100)
    assert (await still.upgrade_state())["per_device"][0]["last_build_number"] == "6955"
    await still.simulator.advance(500)
    assert (await still.upgrade_state())["per_device"][0]["last_build_number"] == "6957"


async def test_several_devices_are_upgraded_each_in_its_own_time(still: Any) -> None:
    answer = await still.upgrade(testbed=HA, mode="build", build_number="6950")
    targets = ["10.15.61.11", "10.15.61.12", "10.15.61.13"]
    assert answer.json()["target_ips"] == targets
    seen = []
    for _ in range(150):
        state = await still.upgrade_state(HA)
        seen.append((state["status"], tuple(row["status"] for row in state["per_device"])))
        await still.simulator.advance(2)
    assert ("PROGRESS", ("PROGRESS", "SUCCESS", "SUCCESS")) in seen  # the others still show the previous upgrade
    assert ("PROGRESS", ("SUCCESS", "PROGRESS", "PROGRESS")) in seen
    assert seen[-1] == ("SUCCESS", ("SUCCESS",) * 3)


async def test_a_hanging_device_ends_in_timeout_and_the_testbed_in_failure(still: Any) -> None:
    await still.post("/_sim/hang_next_upgrade", {"ip": "10.15.61.12"})
    await still.upgrade(testbed=HA, mode="build", build_number="6950")
    await still.simulator.advance(300)
    assert (await still.upgrade_state(HA))["status"] == "PROGRESS"
    await still.simulator.advance(700)
    state = await still.upgrade_state(HA)
    assert state["status"] == "FAILURE"
    assert [row["status"] for row in state["per_device"]] == ["SUCCESS", "TIMEOUT", "SUCCESS"]
    assert "did not answer" in state["per_device"][1]["log_tail"]


async def test_a_testbed_that_was_never_upgraded_is_unknown(still: Any) -> None:
    state = await still.upgrade_state("AT33_New_NAC")
    assert state["status"] == "UNKNOWN"
    assert state["per_device"][0]["updated_at"] is None
    await still.upgrade(testbed="AT33_New_NAC", mode="build", build_number="6955")
    assert (await still.upgrade_state("AT33_New_NAC"))["status"] == "UNKNOWN"
    await still.simulator.advance(21)
    assert (await still.upgrade_state("AT33_New_NAC"))["status"] == "PROGRESS"


async def test_a_dead_worker_leaves_progress_and_a_frozen_updated_at(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(60)
    await still.post("/_sim/kill_worker", {"testbed": "AT16_Combined_FSW"})
    frozen = await still.upgrade_state()
    assert frozen["status"] == "PROGRESS"
    await still.simulator.advance(10_000)
    assert await still.upgrade_state() == frozen


async def test_a_worker_that_dies_before_the_pick_up_loses_the_task(still: Any) -> None:
    before = await still.upgrade_state()
    await still.upgrade(mode="build", build_number="6955")
    await still.post("/_sim/kill_worker", {"testbed": "AT16_Combined_FSW"})
    await still.simulator.advance(10_000)
    assert await still.upgrade_state() == before


async def test_a_device_that_already_reboots_goes_on_without_its_worker(still: Any) -> None:
    state = still.simulator.state
    await still.upgrade(mode="build", build_number="6957")
    await still.simulator.advance(150)
    assert state.running_build(state.labs["AT16_Combined_FSW"]) is None
    await still.post("/_sim/kill_worker", {"testbed": "AT16_Combined_FSW"})
    await still.simulator.advance(300)
    assert state.running_build(state.labs["AT16_Combined_FSW"]) == "6957"
    assert (await still.upgrade_state())["status"] == "PROGRESS"


async def test_unknown_and_foreign_testbeds_are_told_apart(still: Any) -> None:
    for path, status in (("nowhere", 404), ("AT40_Rival_NAC", 403), ("a%2Fb", 404)):
        answer = await still.get(f"/adc/automation/upgrade/{path}/")
        assert answer.status_code == status
        assert "error" in answer.json()


async def test_the_same_seed_plans_the_same_upgrade(start: Callable[..., Any]) -> None:
    plans = []
    for seed in (1, 1, 2):
        async with start(seed=seed, speed=0) as tp:
            plans.append((await tp.upgrade(mode="build", build_number="6955")).json()["tasks"])
    assert plans[0] == plans[1] != plans[2]


async def test_only_a_worker_that_died_can_go_on(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    answer = await still.post("/_sim/revive_worker", {"testbed": "AT16_Combined_FSW"})
    assert answer.status_code == 400
    assert "no worker that could go on" in answer.json()["error"]


async def test_a_frozen_worker_of_an_upgrade_goes_on(still: Any) -> None:
    await still.upgrade(mode="build", build_number="6955")
    await still.simulator.advance(60)
    await still.post("/_sim/kill_worker", {"testbed": "AT16_Combined_FSW"})
    frozen = await still.upgrade_state()
    await still.simulator.advance(60)
    assert await still.upgrade_state() == frozen
    await still.post("/_sim/revive_worker", {"testbed": "AT16_Combined_FSW"})
    moving = await still.upgrade_state()
    assert moving["status"] == "PROGRESS"
    assert moving["per_device"][0]["updated_at"] > frozen["per_device"][0]["updated_at"]
    await still.simulator.advance(200)
    assert (await still.upgrade_state())["status"] == "SUCCESS"
