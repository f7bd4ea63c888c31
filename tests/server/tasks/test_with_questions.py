"""Tasks together with questions to the user, and with calls that only show a plan."""

from dataclasses import replace
from typing import Any

import pytest
from mcp.client import ClientRequestContext
from mcp.types import CallToolResult, ElicitRequestParams, ElicitResult, InputRequiredResult, Result

from tests.server.conftest import text_of
from tests.server.tasks.client import CreatedTask, TaskTaker
from tests.server.tasks.test_watch_tasks import BUILD, taking_before
from tests.support.process import LAB
from tests.support.world import World
from tp_mcp.access.policy import Policy
from tp_mcp.errors import StoreError
from tp_mcp.server.elicitation import QUESTION


async def user(_context: ClientRequestContext, _params: ElicitRequestParams) -> ElicitResult:
    raise AssertionError("each round is made by the test")


async def answered(taker: TaskTaker, *, agrees: bool, **arguments: Any) -> Result:
    """Call start_upgrade, answer the question that it ends with, and return what the second round ends with."""
    session = taker.client.session
    question = await session.call_tool("start_upgrade", arguments, allow_claimed=True, allow_input_required=True)
    assert isinstance(question, InputRequiredResult), question
    return await session.call_tool(
        "start_upgrade",
        arguments,
        input_responses={QUESTION: ElicitResult(action="accept", content={"do_it": agrees})},
        request_state=question.request_state,
        allow_claimed=True,
        allow_input_required=True,
    )


@pytest.fixture
def guarded(world: World) -> World:
    access = replace(world.services.access, policy=Policy(protected_testbeds=(LAB,)))
    world.services = replace(world.services, access=access)
    return world


async def test_the_user_agrees_before_there_is_a_task(guarded: World) -> None:
    async with taking_before(guarded)(elicitation_callback=user) as taker:
        created = await answered(taker, agrees=True, **BUILD)
        assert isinstance(created, CreatedTask), created
        task_id = created.model_dump()["taskId"]
        assert guarded.written == ["start_upgrade"]
        await guarded.advance(400)
        assert (await taker.ask("tasks/get", task_id))["status"] == "completed"


async def test_what_the_user_refuses_is_no_task(guarded: World) -> None:
    async with taking_before(guarded)(elicitation_callback=user) as taker:
        refused = await answered(taker, agrees=False, **BUILD)
        assert isinstance(refused, CallToolResult), refused
        assert "The user did not agree" in text_of(refused)
        assert guarded.written == []


@pytest.mark.parametrize("started", [0, 1])
async def test_a_plan_that_is_only_shown_is_no_task(world: World, started: int) -> None:
    async with taking_before(world)() as taker:
        for _ in range(started):
            await taker.create("start_upgrade", **BUILD)
        shown = await taker.client.session.call_tool("start_upgrade", {**BUILD, "dry_run": True}, allow_claimed=True)
        assert isinstance(shown, CallToolResult), shown
        assert text_of(shown).startswith("Nothing was started: this is the plan.")
        assert ("goes on there too" in text_of(shown)) is bool(started)
        assert len(world.written) == started


async def test_a_start_is_told_as_a_task_though_the_store_is_held_just_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def held(*_: object) -> None:
        raise StoreError("The store is held.")

    async with taking_before(world)() as taker:
        monkeypatch.setattr(world.services.watches.tasks, "watches", held)
        assert (await taker.create("start_upgrade", **BUILD))["status"] == "working"
        assert world.written == ["start_upgrade"]
