"""The Tasks extension as a client meets it, over tasks that are kept in memory."""

from collections.abc import AsyncIterator
from typing import Any, ClassVar

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, METHOD_NOT_FOUND, MISSING_REQUIRED_CLIENT_CAPABILITY

from tests.server.conftest import text_of
from tests.server.tasks import fixture_server
from tests.server.tasks.client import TaskTaker, ask, taking_tasks
from tests.support.process import hosted
from tp_mcp.server.tasks import task_notifications
from tp_mcp.server.tasks.extension import Changed, TaskParams, _check

METHODS = ("tasks/get", "tasks/update", "tasks/cancel")
SUBSCRIPTION = "io.modelcontextprotocol/subscriptionId"


@pytest.fixture
async def taker() -> AsyncIterator[TaskTaker]:
    async with hosted(taking_tasks(fixture_server.build())) as connected:
        yield connected


async def test_a_long_call_becomes_a_task_whose_result_is_asked_for(taker: TaskTaker) -> None:
    created = await taker.create("slow_compute", seconds=0.1, label="six")
    assert created["resultType"] == "task"
    assert created["status"] == "working"
    assert not {"result", "error", "inputRequests"} & created.keys()
    done = await taker.until(created["taskId"], "completed")
    assert done["result"]["content"] == [{"type": "text", "text": "computed six"}]
    assert done["resultType"] == "complete"
    assert done["createdAt"] <= done["lastUpdatedAt"]


async def test_a_client_resolves_a_task_by_itself(taker: TaskTaker) -> None:
    result = await taker.client.call_tool("slow_compute", {"seconds": 0.1, "label": "six"})
    assert text_of(result) == "computed six"
    assert len(taker.extension.created) == 1


async def test_a_tools_error_is_a_result_and_a_protocol_error_is_none(taker: TaskTaker) -> None:
    failing = await taker.create("failing_job")
    done = await taker.until(failing["taskId"], "completed", "failed")
    assert (done["status"], done["result"]["isError"]) == ("completed", True)
    broken = await taker.create("protocol_error_job")
    failed = await taker.until(broken["taskId"], "completed", "failed")
    assert (failed["status"], failed["error"]["message"]) == ("failed", "it broke")
    assert "result" not in failed


async def test_a_task_asks_and_goes_on_once_all_is_answered(taker: TaskTaker) -> None:
    created = await taker.create("multi_input")
    asking = await taker.until(created["taskId"], "input_required")
    assert sorted(asking["inputRequests"]) == ["first", "second"]
    for key in ("first", "second"):
        answer = {key: {"action": "accept", "content": {"name": key}}, "never asked": {}}
        done = await taker.ask("tasks/update", created["taskId"], inputResponses=answer)
        assert set(done) <= {"resultType", "_meta"}
    assert (await taker.until(created["taskId"], "completed"))["result"]["isError"] is False


async def test_a_cancelled_task_stays_cancelled_and_may_be_cancelled_again(taker: TaskTaker) -> None:
    created = await taker.create("slow_compute", seconds=600)
    for _ in range(2):
        done = await taker.ask("tasks/cancel", created["taskId"])
        assert done["resultType"] == "complete"
        assert "status" not in done
    assert (await taker.ask("tasks/get", created["taskId"]))["status"] == "cancelled"


@pytest.mark.parametrize("method", METHODS)
async def test_what_is_not_there_is_said_so(taker: TaskTaker, method: str) -> None:
    with pytest.raises(MCPError) as caught:
        await taker.ask(method, "nothing")
    assert (caught.value.code, caught.value.error.message) == (INVALID_PARAMS, "There is no such task.")
    with pytest.raises(MCPError) as caught:
        await taker.ask(method, "x" * 10_000)
    assert caught.value.code == INVALID_PARAMS


@pytest.mark.parametrize("method", METHODS)
async def test_a_client_that_takes_no_tasks_gets_none(method: str) -> None:
    async with Client(fixture_server.build()) as client:
        assert text_of(await client.call_tool("slow_compute", {"label": "six"})) == "slow_compute six"
        with pytest.raises(MCPError) as caught:
            await ask(client.session, method, taskId="nothing")
        assert caught.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY
        with pytest.raises(MCPError) as caught:
            await client.call_tool("failing_job", {})
        assert caught.value.code == MISSING_REQUIRED_CLIENT_CAPABILITY


async def test_the_handshake_era_has_no_tasks() -> None:
    async with taking_tasks(fixture_server.build(), mode="legacy") as taker:
        assert text_of(await taker.client.call_tool("failing_job", {"label": "six"})) == "failing_job six"
        with pytest.raises(MCPError) as caught:
            await taker.ask("tasks/get", "nothing")
        assert caught.value.code == METHOD_NOT_FOUND


async def test_a_call_may_ask_before_it_becomes_a_task(taker: TaskTaker) -> None:
    session = taker.client.session
    asked = await session.call_tool("test_tool_with_task", {}, allow_input_required=True)
    assert asked.result_type == "input_required"


# Listening ------------------------------------------------------------------------------------------------------------


async def test_who_listens_is_told_how_a_task_stands_and_of_each_change(taker: TaskTaker) -> None:
    created = await taker.create("confirm_delete", filename="a.txt")
    await taker.until(created["taskId"], "input_required")
    async with taker.listening(created["taskId"]):
        [snapshot] = await taker.extension.heard(1)
        assert (snapshot["taskId"], snapshot["status"]) == (created["taskId"], "input_required")
        answer = {"confirm": {"action": "accept", "content": {"confirm": True}}}
        await taker.ask("tasks/update", created["taskId"], inputResponses=answer)
        while (told := taker.extension.told)[-1]["status"] != "completed":
            await taker.extension.heard(len(told) + 1)
    ended = taker.extension.told[-1]
    stands = await taker.ask("tasks/get", created["taskId"])
    meta = ended.pop("_meta")
    assert ended == {key: value for key, value in stands.items() if key not in {"resultType", "_meta"}}
    assert {told["_meta"][SUBSCRIPTION] for told in taker.extension.told[:-1]} == {meta[SUBSCRIPTION]}


async def test_what_a_stream_is_told_of_is_acknowledged_first_and_nothing_else_is_told(taker: TaskTaker) -> None:
    mine = await taker.create("slow_compute", seconds=600)
    other = await taker.create("slow_compute", seconds=600)
    async with taker.listening(mine["taskId"], "nothing", resourceSubscriptions=["tp://x"]):
        await taker.extension.heard(1)
        await taker.ask("tasks/cancel", other["taskId"])
        await taker.ask("tasks/cancel", mine["taskId"])
        told = await taker.extension.heard(2)
    assert [(each["taskId"], each["status"]) for each in told] == [
        (mine["taskId"], "working"),
        (mine["taskId"], "cancelled"),
    ]


async def test_a_task_that_cannot_be_looked_at_does_not_end_the_stream(
    taker: TaskTaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    created = await taker.create("slow_compute", seconds=600)
    look = fixture_server.FixtureTasks.look
    fails = 0

    async def looked(self: Any, ctx: Any, task_id: str) -> Any:
        nonlocal fails
        fails += 1
        if fails == 2:
            raise RuntimeError("inside information")
        return await look(self, ctx, task_id)

    monkeypatch.setattr(fixture_server.FixtureTasks, "look", looked)
    async with taker.listening(created["taskId"]):
        while "could not be notified of a task" not in caplog.text:
            await anyio.sleep(0.01)
        await taker.ask("tasks/cancel", created["taskId"])
        [told] = await taker.extension.heard(1)
    assert told["status"] == "cancelled"


async def test_a_listen_that_is_refused_is_refused_as_what_it_is(taker: TaskTaker) -> None:
    created = await taker.create("slow_compute", seconds=600)
    with pytest.raises(MCPError) as caught:
        await ask(
            taker.client.session,
            "subscriptions/listen",
            notifications={"taskIds": [created["taskId"], 7]} | {"resourceSubscriptions": 7},
            taskId="unused",
        )
    assert caught.value.code == INVALID_PARAMS


@pytest.mark.parametrize("wanted", [{"taskIds": "all"}, {}, {"taskIds": []}])
async def test_a_stream_without_tasks_is_served_as_ever(taker: TaskTaker, wanted: dict[str, Any]) -> None:
    async with taker.client.listen(tools_list_changed=True) as stream:
        assert stream.honored.tools_list_changed is True
    ctx: Any = type("Ctx", (), {"method": task_notifications.METHOD, "params": {"notifications": wanted}})
    assert task_notifications._asked(ctx) == []


async def test_a_task_that_says_nothing_has_no_status_message(taker: TaskTaker) -> None:
    assert "statusMessage" not in await taker.create("slow_compute", seconds=600)


async def test_what_changed_twice_is_told_once() -> None:
    changed = Changed()
    for task_id in ("a", "b", "a"):
        changed.tell(task_id)
    assert [await changed.next(), await changed.next()] == ["a", "b"]
    with anyio.move_on_after(0.01):
        await changed.next()
        raise AssertionError("there was one more")


async def test_a_header_that_names_another_task_is_refused(taker: TaskTaker) -> None:
    created = await taker.create("slow_compute", seconds=600)

    class Capabilities:
        extensions: ClassVar[dict[str, Any]] = {"io.modelcontextprotocol/tasks": {}}

    def asked(**headers: str) -> Any:
        session = type("Session", (), {"client_capabilities": Capabilities})
        request = type("Request", (), {"headers": headers})
        return type("Ctx", (), {"session": session, "request": request})

    params = TaskParams(task_id=created["taskId"])
    _check(asked(), params)
    _check(asked(**{"mcp-name": created["taskId"]}), params)
    with pytest.raises(MCPError) as caught:
        _check(asked(**{"mcp-name": "another"}), params)
    assert caught.value.code == HEADER_MISMATCH
