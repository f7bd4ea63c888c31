"""TP's connector alone, in Forge: no part of this server but the file."""

import json
import re
from typing import Any

import httpx2
import pytest

from tests.forge.conftest import TP_YAML, Workbench
from tests.forge.connector import HttpConnector
from tests.forge.double import RESULT_MAX_CHARACTERS, Forge, Session

pytestmark = pytest.mark.slow


LAB = "AT33_New_NAC"
UPGRADED_BEFORE = "AT16_Combined_FSW"
TESTS = ["Tests_CLI/test_system.py"]


async def test_a_whole_conversation_from_the_question_to_what_broke(workbench: Workbench) -> None:
    async def assistant(forge: Forge, session: Session, turn: str) -> None:
        if turn.startswith("The upgrade of"):
            await forge.dispatch(session, "tp.run_pytest", {"lab": LAB, "testcase": TESTS})
        elif match := re.match(r"Execution (\d+) on", turn):
            await forge.dispatch(session, "tp.get_execution", {"exec_id": int(match[1])})

    forge = workbench.forge(assistant)
    asked, other = forge.session("asked"), forge.session("other")

    labs = json.loads(await forge.dispatch(asked, "tp.list_labs", {}))
    assert LAB in [lab["name"] for lab in labs]
    versions = json.loads(await forge.dispatch(asked, "tp.list_versions", {}))
    assert "7.6.5" in versions
    directories = json.loads(await forge.dispatch(asked, "tp.list_testcases", {}))
    assert {"identifier": "/Tests_CLI", "name": "Tests_CLI"} in directories

    upgrade = {"testbed": LAB, "mode": "build", "build_number": "6957"}
    shown, note = (await forge.dispatch(asked, "tp.start_upgrade", upgrade)).split("\n")
    assert json.loads(shown)["target_ips"] == ["10.15.70.2"]
    assert note == "[watch watch-1 polls get_upgrade in the background]"
    assert asked.turns == []

    await workbench.advance(forge, 60)
    assert asked.status.startswith(f'Upgrade of {LAB}: PROGRESS on ["10.15.70.2"], last sign of life 2026-05-29T')
    assert asked.status.endswith("of at most 180")
    await workbench.advance(forge, 240)
    (first,) = asked.turns
    assert first.startswith(f"The upgrade of {LAB} is done: SUCCESS on")

    started = json.loads(asked.results[-1].split("\n")[0])
    assert started["status"] == "Initiating"
    await workbench.run_to_its_end(forge, started["exec_id"])
    assert f"Execution {started['exec_id']} on {LAB}: Running, " in asked.status
    assert re.search(r"\d+ passed, \d+ failed", asked.turns[1])
    assert f"http://tp.example:8000/data/AutomationTest/test_{started['exec_id']}_report_" in asked.turns[1]
    execution = json.loads(asked.results[-1])
    assert execution["status"] == "Done"
    assert execution["pass_count"] + execution["fail_count"] > 0
    assert (other.turns, other.statuses, other.results) == ([], [], [])
    assert all(watch.ended == "done" for watch in forge.watches)


async def test_the_model_may_watch_what_somebody_else_started(workbench: Workbench) -> None:
    forge = workbench.forge()
    session = forge.session("asked")
    body = {"user": "demo", "lab": LAB, "testcase": TESTS, "argument": ""}
    exec_id = workbench.simulator.start_execution("demo", body).exec_id
    call = {
        "tool": "tp.get_execution",
        "args": {"exec_id": exec_id},
        "done_match": {"path": "status", "equals": "Done"},
        "interval_sec": 15,
        "on_done": {"mode": "chat", "message": "{poll.pass_count} passed"},
    }
    assert await forge.dispatch(session, "start_watch", call) == "[watch watch-1 polls get_execution in the background]"
    await workbench.run_to_its_end(forge, exec_id)
    (turn,) = session.turns
    assert re.fullmatch(r"\d+ passed", turn)


async def test_forge_alone_takes_the_previous_upgrade_for_this_one(workbench: Workbench) -> None:
    forge = workbench.forge()
    session = forge.session("asked")
    upgrade = {"testbed": UPGRADED_BEFORE, "mode": "build", "build_number": "6957"}
    await forge.dispatch(session, "tp.start_upgrade", upgrade)
    await workbench.advance(forge, 16)
    # Told after a quarter of a minute, of an upgrade that takes minutes: a worker has not even picked it up.
    assert session.turns[0].startswith(f"The upgrade of {UPGRADED_BEFORE} is done: SUCCESS")


async def test_forge_alone_tells_a_failed_upgrade_only_when_its_time_is_up(workbench: Workbench) -> None:
    forge = workbench.forge()
    session = forge.session("asked")
    upgrade = {"testbed": LAB, "mode": "build", "build_number": "1"}
    await forge.dispatch(session, "tp.start_upgrade", upgrade)
    await workbench.advance(forge, 600)
    assert session.turns == []
    assert ": FAILURE on" in session.status
    await workbench.advance(forge, 2_200)
    (turn,) = session.turns
    assert turn.startswith(f"The upgrade of {LAB} did not succeed: the last status was FAILURE")


async def test_forge_alone_cannot_mint_a_token(workbench: Workbench) -> None:
    workbench.simulator.tokens.expire_all()
    forge = workbench.forge()
    session = forge.session("asked")
    assert (await forge.dispatch(session, "tp.list_labs", {})).startswith("Error: HTTP 401")


async def test_a_call_that_failed_is_not_watched(workbench: Workbench) -> None:
    forge = workbench.forge()
    session = forge.session("asked")
    shown = await forge.dispatch(session, "tp.start_upgrade", {"testbed": "AT99", "mode": "build", "build_number": "1"})
    assert shown.startswith("Error: HTTP 404")
    assert await forge.dispatch(session, "tp.run_pytest", {"lab": LAB}) == "Error: missing testcase"
    assert forge.watches == []


async def test_a_poll_that_fails_is_made_up_for_by_the_next(workbench: Workbench) -> None:
    forge = workbench.forge()
    session = forge.session("asked")
    await forge.dispatch(session, "tp.start_upgrade", {"testbed": LAB, "mode": "build", "build_number": "6957"})
    workbench.simulator.state.sso_only = True
    token = workbench.connector.settings["token"]
    assert token
    await workbench.advance(forge, 16)
    workbench.simulator.tokens.expire_all()
    await workbench.advance(forge, 60)
    fresh = workbench.simulator.tokens.mint(workbench.simulator.state.users["demo"])
    workbench.connector.settings = {**workbench.connector.settings, "token": fresh}
    await workbench.advance(forge, 300)
    assert session.turns[0].startswith(f"The upgrade of {LAB} is done: SUCCESS")


async def test_what_tp_shows_of_everything_fits_where_the_format_can_make_it_fit(workbench: Workbench) -> None:
    state = workbench.simulator.state
    body = {"user": "demo", "lab": LAB, "testcase": ["Tests_CLI"], "argument": ""}
    exec_id = workbench.simulator.start_execution("demo", body).exec_id
    forge = workbench.forge()
    session = forge.session("asked")
    calls: dict[str, dict[str, Any]] = {
        "tp.list_testcases": {},
        "tp.list_labs": {},
        "tp.list_executions": {},
        "tp.get_execution": {"exec_id": exec_id},
        "tp.get_upgrade": {"testbed": "AT21_HA_Pair"},
        "tp.lock_lab": {"lab": LAB},
        "tp.unlock_lab": {"lab": LAB},
        "tp.cancel_execution": {"exec_id": exec_id},
    }
    for tool, args in calls.items():
        shown = await forge.dispatch(session, tool, args)
        json.loads(shown)
        assert len(shown) < RESULT_MAX_CHARACTERS, tool
    assert state.locks.holder(LAB) is None
    assert state.executions.get(exec_id).status == "Cancelled"


async def test_forge_reads_the_file_without_knowing_what_is_ours_in_it(workbench: Workbench) -> None:
    async with httpx2.AsyncClient() as client:
        tools = HttpConnector(TP_YAML, {}, client).tools
    ours = {key for tool in tools.values() for key in tool.get("async", {})}
    assert {"fail_match", "stalled_after_sec", "not_started_after_sec"} <= ours
