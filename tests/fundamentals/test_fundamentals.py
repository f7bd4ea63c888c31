from tests.server.conftest import Chat
from tests.support.process import LAB

BAD_BUILD = {"testbed": LAB, "mode": "build", "build_number": "6957"}


async def test_an_upgrade_is_started_once_and_reported_when_it_ends(chat: Chat) -> None:
    started = await chat.call("start_upgrade", **BAD_BUILD)
    watch_id = started[1:11]
    assert started.startswith(f"[{watch_id}] upgrade of {LAB} to build 6957 is under way.")

    await chat.world.advance(5 * 60)

    ended = await chat.call("wait_for_watch", watch_id=watch_id)
    assert ended.startswith(f"[{watch_id}] upgrade of {LAB} to build 6957 is done")
    assert chat.world.written == ["start_upgrade"]


async def test_the_end_of_the_upgrade_before_is_not_taken_for_this_ones(chat: Chat) -> None:
    watch_id = (await chat.call("start_upgrade", **BAD_BUILD))[1:11]

    await chat.world.advance(18)

    assert "ended in SUCCESS" in await chat.call("get_upgrade", testbed=LAB)
    assert "not picked up yet" in await chat.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=0)


async def test_a_runs_end_arrives_on_the_next_result_of_any_tool_and_its_failures_can_be_read(chat: Chat) -> None:
    await chat.call("start_upgrade", **BAD_BUILD)
    await chat.world.advance(5 * 60)
    await chat.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"])
    await chat.world.run_to_its_end(446)

    anything = await chat.call("list_labs")
    assert (
        "run of Tests_CLI/test_poe.py on AT16_Combined_FSW (execution 446) is done: failed (1 passed, 1 failed"
        in anything
    )

    failures = await chat.call("get_execution", exec_id=446)
    assert "FAILED Tests_CLI/test_poe.py::TestPoe::test_budget" in failures
    assert "no 448E has a PoE budget of 370000 W" in failures


async def test_a_misspelt_lab_is_refused_before_anything_is_started(chat: Chat) -> None:
    text = await chat.refused("run_pytest", lab="AT16_Combined", testcase=["Tests_CLI"])
    assert f"Did you mean {LAB}?" in text
    assert chat.world.written == []


async def test_shell_syntax_in_an_argument_is_refused_before_anything_is_asked(chat: Chat) -> None:
    text = await chat.refused("run_pytest", lab=LAB, testcase=["Tests_CLI"], argument="-k radius; reboot")
    assert "';'" in text
    assert chat.world.asked == []
