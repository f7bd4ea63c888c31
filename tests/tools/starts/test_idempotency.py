"""The same call again, as a model sees it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.process import ALICE, LAB
from tests.support.world import World
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.starts.start_documents import start_document
from tp_mcp.tools.starts.start_job import AlreadyStarted
from tp_mcp.watch.model.watch import Owner, Watch

POE = "Tests_CLI/test_poe.py"
UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
COMMAND = "execute restore image scp /images/FSW-build6955.out 10.1.1.1 builder "


async def tell_nobody(*_watches: Watch) -> None:
    raise AssertionError("nobody waits")


STARTED = "This was started already, and nothing was sent again"


async def test_a_repeated_upgrade_is_answered_with_its_watch_and_not_sent_again(world: World) -> None:
    first = await world.call("start_upgrade", **UPGRADE)
    await world.advance(40)
    asked = len(world.asked)
    again = await world.call("start_upgrade", **UPGRADE)
    assert again.startswith(f"{first[:12]} {STARTED}: upgrade of {LAB} to build 6955 is under way.\n\nNow: ")
    assert again.endswith(
        f'wait_for_watch(watch_id="{first[1:11]}") waits for its end. If it really is to be done once more, call again '
        "when it has ended and 1 min have passed, or with a changed argument."
    )
    assert len(world.asked) == asked
    assert world.written == ["start_upgrade"]


async def test_a_repeated_run_is_told_whatever_the_spelling_of_its_tests(world: World) -> None:
    first = await world.call("run_pytest", lab=LAB, testcase=[POE])
    again = await world.call("run_pytest", lab=LAB, testcase=[f"/{POE}"], argument="")
    assert again.startswith(f"{first[:12]} {STARTED}: run of {POE} on {LAB} (execution 446) is under way.")
    assert world.written == ["start_pytest"]


async def test_a_repetition_is_told_although_tp_is_away(world: World) -> None:
    first = await world.call("start_upgrade", **UPGRADE)
    world.fault("list_labs", status=503, times=None)
    world.fault("get_upgrade", status=503, times=None)
    assert (await world.call("start_upgrade", **UPGRADE)).startswith(first[:12])


async def test_after_its_end_it_is_told_for_a_minute_how_it_ended_and_when_it_can_be_done_again(world: World) -> None:
    first = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="1234567")
    while not (watch := await world.services.watches.registry.get(first[1:11], ALICE)).state.ended:
        await world.advance(1)
    await world.advance(20)
    again = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="1234567")
    assert again.startswith(f"{first[:12]} {STARTED}: upgrade of {LAB} to build 1234567 failed, after ")
    assert again.splitlines()[0].endswith(" 20 s ago.")
    assert again.count("failed, after") == 1
    assert "Requested: mode build 1234567" in again
    assert "If it really is to be done once more, call again in " in again
    assert again.endswith(f'get_upgrade(testbed="{LAB}") shows each device and the end of its log.')
    await world.advance(60)
    third = await world.call("start_upgrade", testbed=LAB, mode="build", build_number="1234567")
    assert third[1:11] != watch.id
    assert world.written == ["start_upgrade"] * 2


async def test_an_end_that_is_told_is_not_appended_to_the_same_result(world: World) -> None:
    await world.call("start_upgrade", **UPGRADE)
    await world.advance(400)
    [watch] = await world.services.watches.registry.list(ALICE, all_conversations=False)
    assert watch.state.ended
    call = Call(ALICE, await world.services.watches.inbox.begin(ALICE), world.services, report=tell_nobody)
    await start_document(AlreadyStarted(watch), call)
    assert await world.services.watches.inbox.to_show(call.visit) == ()


async def test_a_refused_start_may_be_tried_again_at_once(world: World) -> None:
    exec_id = world.rival_runs(POE)
    assert "in flight" in await world.refused("run_pytest", lab=LAB, testcase=[POE])
    await world.simulator.workers.cancel(exec_id)
    assert "is under way" in await world.call("run_pytest", lab=LAB, testcase=[POE])


async def test_a_cancelled_watch_does_not_answer(world: World) -> None:
    first = await world.call("start_upgrade", **UPGRADE)
    await world.call("cancel_watch", watch_id=first[1:11])
    assert "started already" not in await world.call("start_upgrade", **UPGRADE)
    assert world.written == ["start_upgrade"] * 2


@pytest.mark.parametrize(
    "owner", [Owner("local:bob", ALICE.conversation, exact=True), replace(ALICE, conversation="environment:two")]
)
async def test_the_same_call_of_somebody_else_is_a_call_of_its_own(world: World, owner: Owner) -> None:
    await world.call("start_upgrade", **UPGRADE)
    assert "started already" not in await world.call("start_upgrade", owner=owner, **UPGRADE)
    assert world.written == ["start_upgrade"] * 2


async def test_a_command_with_another_password_is_another_call_and_the_same_one_is_not(world: World) -> None:
    command: dict[str, Any] = {"testbed": LAB, "mode": "command"}
    first = await world.call("start_upgrade", **command, command=COMMAND + "wrong-word")
    mended = await world.call("start_upgrade", **command, command=COMMAND + "right-word")
    assert "started already" not in mended
    for text, password in ((first, "wrong-word"), (mended, "right-word")):
        again = await world.call("start_upgrade", **command, command=f"  {COMMAND}  {password}")
        assert again.startswith(f"{text[:12]} {STARTED}")
        assert password not in again
    assert world.written == ["start_upgrade"] * 2


async def test_the_same_observation_again_is_the_same_watch(world: World) -> None:
    world.rival_runs(POE)
    watched: dict[str, Any] = {"tool": "get_execution", "args": {"exec_id": 446}}
    first = await world.call("start_watch", **watched)
    again = await world.call("start_watch", tool="get_execution", args={"exec_id": 446}, interval_sec=15)
    assert again.startswith(f"{first[:12]} This is watched already, and no second watch was made: execution 446 on ")
    other = await world.call("start_watch", **watched, done_match={"path": "status", "equals": "Done"})
    assert other[1:11] != first[1:11]


@pytest.mark.parametrize(
    ("tool", "arguments"), [("start_upgrade", UPGRADE), ("run_pytest", {"lab": LAB, "testcase": [POE]})]
)
async def test_a_call_that_another_one_overtook_is_told_of_that_one(
    world: World, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, Any]
) -> None:
    async def not_yet(*_: object) -> Watch | None:
        return None

    monkeypatch.setattr(world.services.watches.registry, "repeated", not_yet)
    first = await world.call(tool, **arguments)
    assert (await world.call(tool, **arguments)).startswith(f"{first[:12]} {STARTED}")
    assert len(world.written) == 1


AGAIN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": "{args.testcase}"}}


async def test_the_same_run_as_a_next_step_is_sent_and_not_taken_for_a_repetition(world: World) -> None:
    twice = {**AGAIN, "args": {**AGAIN["args"], "on_done": AGAIN}}
    await world.call("run_pytest", lab=LAB, testcase=[POE], on_done=twice)
    await world.run_to_its_end(446)
    await world.run_to_its_end(447)
    found = await world.services.watches.registry.list(ALICE, all_conversations=True)
    assert {watch.job for watch in found} == {"execution:446", "execution:447", "execution:448"}
    assert world.written == ["start_pytest"] * 3


async def test_the_same_call_with_the_same_chain_is_a_repetition(world: World) -> None:
    first = await world.call("run_pytest", lab=LAB, testcase=[POE], on_done=AGAIN)
    again = await world.call("run_pytest", lab=LAB, testcase=[POE], on_done=AGAIN)
    assert again.startswith(f"{first[:12]} {STARTED}")
    assert world.written == ["start_pytest"]


async def test_the_same_call_with_another_chain_is_another_call(world: World) -> None:
    await world.call("start_upgrade", **UPGRADE)
    asked: dict[str, Any] = {"tool": "get_upgrade", "args": {"testbed": LAB}}
    first = await world.call("start_watch", **asked)
    other = await world.call("start_watch", **asked, on_done=AGAIN | {"args": {"lab": LAB, "testcase": [POE]}})
    assert other[:12] != first[:12]
    assert "step 2, when step 1 is done" in other


async def test_the_same_run_with_another_chain_is_sent_and_left_to_tp_to_judge(world: World) -> None:
    await world.call("run_pytest", lab=LAB, testcase=[POE])
    assert "another execution" in await world.refused("run_pytest", lab=LAB, testcase=[POE], on_done=AGAIN)
    assert world.written == ["start_pytest", "start_pytest"]
