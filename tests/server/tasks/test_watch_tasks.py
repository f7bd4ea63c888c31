"""Tasks over watches, as a client meets them that takes tasks."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp import MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import JsonValue

from tests.server.conftest import IDENTITY, text_of
from tests.server.tasks.client import TaskTaker, taking_tasks
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB, hosted
from tests.support.world import World, open_world
from tp_mcp.errors import StoreError
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.rendering import INBOX_HEADING
from tp_mcp.server.tasks.task_results import MESSAGE_MAX_CHARACTERS
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner

BUILD: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
DAY_MS = 24 * 3600 * 1000
OWNER = Owner(IDENTITY.principal, "environment:chat-1", exact=True)
Take = Callable[..., AbstractAsyncContextManager[TaskTaker]]


def taking_before(world: World) -> Take:
    """Connect clients that take tasks, each to a server of its own, before a world."""

    @asynccontextmanager
    async def taken(*, identity: ProcessIdentity = IDENTITY, **options: Any) -> AsyncIterator[TaskTaker]:
        @asynccontextmanager
        async def opened() -> AsyncIterator[Services]:
            yield world.services

        clock = world.services.clock
        server = TpServer(Backend(opened, clock), identity, clock, lambda: DEFAULT_TOOLS)
        async with taking_tasks(server, **options) as taker:
            yield taker

    return taken


@pytest.fixture
def take(world: World) -> Take:
    return taking_before(world)


@pytest.fixture
async def taker(take: Take) -> AsyncIterator[TaskTaker]:
    async with hosted(take()) as connected:
        yield connected


def texts(task: dict[str, Any]) -> str:
    [content] = task["result"]["content"]
    return str(content["text"])


async def test_a_start_becomes_a_task_that_tells_how_it_stands_and_in_the_end_everything(
    world: World, taker: TaskTaker
) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    assert (created["resultType"], created["status"]) == ("task", "working")
    assert created["ttlMs"] >= DAY_MS
    assert created["pollIntervalMs"] == 15_000, "the pace of the watch"
    await world.advance(30)
    working = await taker.ask("tasks/get", created["taskId"])
    assert f"upgrade of {LAB} to build 6955: 10.15.52.152 PROGRESS, 30 s" in working["statusMessage"]
    assert working["lastUpdatedAt"] > created["lastUpdatedAt"]
    await world.advance(400)
    done = await taker.ask("tasks/get", created["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", False)
    assert f"upgrade of {LAB} to build 6955 is done, after " in texts(done)
    assert texts(done).endswith(f'Tests can run on it now: run_pytest(lab="{LAB}", testcase=["..."]).')
    assert done["statusMessage"] == texts(done).split("\n")[0]
    assert world.written == ["start_upgrade"]


async def test_a_failed_run_tells_what_failed_and_where_its_report_is(world: World, taker: TaskTaker) -> None:
    test = "Tests_CLI/security/test_radius.py"
    await world.call("start_upgrade", owner=OWNER, **BUILD | {"build_number": "6957"})
    await world.advance(400)
    created = await taker.create("run_pytest", lab=LAB, testcase=[test])
    await world.run_to_its_end(446)
    await world.advance(60)
    done = await taker.ask("tasks/get", created["taskId"])
    text = texts(done)
    assert "is done: failed (" in text
    assert "Report: http" in text
    assert f"FAILED {test}::" in text
    assert "triage_execution(exec_id=446) says why it failed" in text
    assert all(len(each["statusMessage"]) <= MESSAGE_MAX_CHARACTERS for each in (created, done))


async def test_what_failed_is_pointed_to_where_it_cannot_be_read(world: World, taker: TaskTaker) -> None:
    exec_id = world.ended_execution(counts=Counts(passed=1, failed=2, total=3), status="Running", ended_at=None)
    created = await taker.create("start_watch", tool="get_execution", args={"exec_id": exec_id})
    execution = world.simulator.state.executions.get(exec_id)
    now = world.services.clock.now()
    world.simulator.state.executions.put(replace(execution, status="Done", ended_at=now))
    await world.advance(31)
    world.fault("get_execution", status=500, times=20)
    text = texts(await taker.ask("tasks/get", created["taskId"]))
    assert "The failures could not be read: " in text
    assert f"get_execution(exec_id={exec_id}) lists it." in text


async def test_a_result_stays_as_it_was_told_first(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    watched = (await world.services.watches.registry.list(OWNER, all_conversations=False))[0].id
    changed = await taker.create("wait_for_watch", watch_id=watched, until="change")
    await world.advance(30)
    first = await taker.ask("tasks/get", changed["taskId"])
    assert "is under way. It has changed." in texts(first)
    await world.advance(400)
    assert texts(await taker.ask("tasks/get", changed["taskId"])) == texts(first)
    assert " is done, after " in texts(await taker.ask("tasks/get", created["taskId"]))


async def test_a_wait_becomes_a_task_over_all_that_it_waits_for(world: World, taker: TaskTaker) -> None:
    one = (await world.call("start_upgrade", owner=OWNER, **BUILD))[1:11]
    await world.advance(100)
    two = (await world.call("start_upgrade", owner=OWNER, **BUILD | {"testbed": "AT33_New_NAC"}))[1:11]
    created = await taker.create("wait_for_watch", watch_id=[one, two])
    assert created["statusMessage"].startswith(f"2 of 2 watches going on; {one}: ")
    await world.advance(200)
    done = await taker.ask("tasks/get", created["taskId"])
    assert texts(done).startswith(f"1 of 2 watches ended; 1 going on.\n\n[{one}] upgrade of {LAB}")


async def test_what_must_be_confirmed_is_confirmed_before_there_is_a_task(tmp_path: Path, tree: JsonValue) -> None:
    async with (
        open_world(tmp_path / "strict", tree=tree, confirm="upgrades") as strict,
        taking_before(strict)() as taker,
    ):
        asked = await taker.client.call_tool("start_upgrade", BUILD)
        assert (strict.written, taker.extension.created) == ([], [])
        code = re.search(r"c_[0-9a-f]{12}", text_of(asked))
        assert code is not None
        created = await taker.create("start_upgrade", **BUILD, confirm=code[0])
        assert (created["status"], strict.written) == ("working", ["start_upgrade"])


async def test_what_needs_no_waiting_is_answered_at_once(world: World, taker: TaskTaker) -> None:
    watch_id = (await world.call("start_upgrade", owner=OWNER, **BUILD))[1:11]
    for name, arguments in (
        ("list_labs", {}),
        ("wait_for_watch", {"watch_id": watch_id, "max_wait_seconds": 0}),
    ):
        assert not (await taker.client.call_tool(name, arguments)).is_error
    await world.advance(270)
    assert " is done, after " in text_of(await taker.client.call_tool("wait_for_watch", {"watch_id": watch_id}))
    assert "started already" in text_of(await taker.client.call_tool("start_upgrade", BUILD))
    assert taker.extension.created == []


async def test_what_is_refused_is_a_tools_error_and_no_task(world: World, taker: TaskTaker) -> None:
    for name, arguments, words in (
        ("run_pytest", {"lab": LAB, "testcase": ["Tests_CLI; rm -rf /"]}, "Tests_CLI; rm"),
        ("start_upgrade", {"testbed": LAB}, "mode is missing"),
        ("wait_for_watch", {"watch_id": "w_00000000"}, "There is no watch"),
        ("no_such_tool", {}, "There is no tool"),
    ):
        result = await taker.client.call_tool(name, arguments)
        assert result.is_error
        assert words in text_of(result)
    assert (taker.extension.created, world.written) == ([], [])


async def test_a_call_made_again_is_a_task_over_the_same_watch(world: World, taker: TaskTaker) -> None:
    first, again = await taker.create("start_upgrade", **BUILD), await taker.create("start_upgrade", **BUILD)
    assert first["taskId"] != again["taskId"]
    assert first["statusMessage"] == again["statusMessage"]
    assert world.written == ["start_upgrade"]


async def test_ending_a_task_ends_neither_the_watch_nor_the_job_and_says_so(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    await taker.ask("tasks/cancel", created["taskId"])
    ended = await taker.ask("tasks/get", created["taskId"])
    assert ended["status"] == "cancelled"
    assert "The job itself goes on and stays watched (w_" in ended["statusMessage"]
    await world.advance(400)
    assert INBOX_HEADING in text_of(await taker.client.call_tool("list_labs", {}))
    assert (await taker.ask("tasks/get", created["taskId"]))["status"] == "cancelled"


async def test_a_task_that_is_over_cannot_be_ended_any_more(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    await world.advance(400)
    for method in ("tasks/cancel", "tasks/update"):
        await taker.ask(method, created["taskId"])
    assert (await taker.ask("tasks/get", created["taskId"]))["status"] == "completed"


async def test_a_completed_task_that_was_asked_for_is_one_showing(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    await world.advance(400)
    for _ in range(5):
        await taker.ask("tasks/get", created["taskId"])
    shown = [INBOX_HEADING in text_of(await taker.client.call_tool("list_labs", {})) for _ in range(3)]
    assert shown == [True, False, False], "a showing by the task, and one by a result"


async def test_what_is_pushed_is_no_showing(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    async with taker.listening(created["taskId"]):
        await taker.extension.heard(1)
        await world.advance(400)
        while taker.extension.told[-1]["status"] != "completed":
            await taker.extension.heard(len(taker.extension.told) + 1)
    shown = [INBOX_HEADING in text_of(await taker.client.call_tool("list_labs", {})) for _ in range(3)]
    assert shown == [True, True, False]


async def test_who_listens_is_told_of_progress_and_of_the_end_and_of_a_cancellation(
    world: World, taker: TaskTaker
) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    other = await taker.create("wait_for_watch", watch_id=created["statusMessage"][1:11])
    async with taker.listening(created["taskId"], other["taskId"], "t_nothing"):
        await taker.extension.heard(2)
        await taker.ask("tasks/cancel", other["taskId"])
        await taker.extension.heard(3)
        await world.advance(60)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "PROGRESS" not in taker.extension.told[-1]["statusMessage"]:
                await taker.extension.heard(len(taker.extension.told) + 1)
    assert {told["taskId"] for told in taker.extension.told} == {created["taskId"], other["taskId"]}
    assert [each["status"] for each in taker.extension.told if each["taskId"] == other["taskId"]] == [
        "working",
        "cancelled",
    ]


async def test_another_process_answers_for_a_task(world: World, take: Take, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    await world.advance(400)
    async with take() as other:
        assert (await other.ask("tasks/get", created["taskId"]))["status"] == "completed"


async def test_another_principals_task_is_not_there(world: World, take: Take, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    async with take(identity=replace(IDENTITY, principal="local:mallory")) as other:
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            with pytest.raises(MCPError) as caught:
                await other.ask(method, created["taskId"])
            assert (caught.value.code, caught.value.error.message) == (INVALID_PARAMS, "There is no such task.")
    assert (await taker.ask("tasks/get", created["taskId"]))["status"] == "working"


async def test_a_task_expires_a_day_after_the_latest_moment_its_watch_can_end(world: World, taker: TaskTaker) -> None:
    created = await taker.create("start_upgrade", **BUILD)
    task = await world.services.watches.tasks.get(created["taskId"], OWNER)
    assert task is not None
    [watch] = await world.services.watches.tasks.watches(task)
    assert task.expires_at - watch.since >= watch.spec.timeout_seconds + DAY_MS / 1000
    await world.advance(400)
    await world.simulator.advance(task.expires_at - world.services.clock.now() + 1)
    with pytest.raises(MCPError, match="There is no such task"):
        await taker.ask("tasks/get", created["taskId"])


async def test_a_task_whose_watch_is_no_longer_kept_says_so(
    world: World, taker: TaskTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await taker.create("start_upgrade", **BUILD)

    async def nothing(_: object) -> tuple[()]:
        return ()

    monkeypatch.setattr(world.services.watches.tasks, "watches", nothing, raising=True)
    done = await taker.ask("tasks/get", created["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert "no longer stored" in texts(done)


async def test_a_start_that_turns_out_not_to_have_happened_is_an_error(world: World, taker: TaskTaker) -> None:
    world.fault("start_upgrade", kind="drop", times=1)
    created = await taker.create("start_upgrade", **BUILD)
    assert "it is not known yet whether TP started it" in created["statusMessage"]
    await world.advance(600)
    done = await taker.ask("tasks/get", created["taskId"])
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    assert "may not have started" in texts(done)


async def test_too_many_tasks_are_answered_at_once(
    world: World, taker: TaskTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tp_mcp.storage import delivery as table

    monkeypatch.setattr(table, "MAX_TASKS", 1)
    await taker.create("start_upgrade", **BUILD)
    result = await taker.client.call_tool("start_upgrade", BUILD | {"testbed": "AT33_New_NAC"})
    assert text_of(result).startswith("[w_")


async def test_a_task_that_cannot_be_written_leaves_the_plain_result(
    world: World, taker: TaskTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(world.services.watches.tasks, "begin", full, raising=True)
    assert text_of(await taker.client.call_tool("start_upgrade", BUILD)).startswith("[w_")


async def test_a_store_that_cannot_be_read_is_the_protocols_error(
    world: World, taker: TaskTaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    created = await taker.create("start_upgrade", **BUILD)

    async def held(*_: object) -> None:
        raise StoreError("The store is held.")

    monkeypatch.setattr(world.services.watches.tasks, "get", held, raising=True)
    with pytest.raises(MCPError) as caught:
        await taker.ask("tasks/get", created["taskId"])
    assert (caught.value.code, caught.value.error.message) == (INTERNAL_ERROR, "The store is held.")


async def test_the_handshake_era_gets_the_plain_result(take: Take) -> None:
    async with take(mode="legacy") as taker:
        assert text_of(await taker.client.call_tool("start_upgrade", BUILD)).startswith("[w_")
