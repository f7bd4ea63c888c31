"""Chains as a caller asks for them, against the embedded TP."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.support.process import ALICE, LAB
from tests.support.world import World
from tp_mcp.errors import WatchSpecError
from tp_mcp.tools.starts.chain_arguments import ToolStarter
from tp_mcp.watch.model.watch import Owner, Watch, WatchState

TESTS = "Tests_CLI/test_poe.py"
UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6957"}
RUN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": "{args.testbed}", "testcase": [TESTS]}}
AGAIN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": "{args.testcase}"}}


async def watches(world: World) -> list[Watch]:
    """Return the watches, the oldest first."""
    found = await world.services.watches.registry.list(ALICE, all_conversations=True)
    return sorted(found, key=lambda watch: watch.created_at)


async def ends(world: World) -> dict[str, str]:
    return {entry.watch_id: entry.text for entry in await world.services.watches.inbox._store.unseen(ALICE)}


def ids(text: str) -> list[str]:
    return list(dict.fromkeys(re.findall(r"\[(w_[0-9a-z]{8})\]", text)))


def nested(depth: int) -> dict[str, Any]:
    return {
        "tool": "run_pytest",
        "args": {"lab": LAB, "testcase": [TESTS]} | ({"on_done": nested(depth - 1)} if depth > 1 else {}),
    }


async def test_upgrade_then_run_these_tests_is_one_call_shown_whole_and_told_at_each_step(world: World) -> None:
    follows = {**RUN, "args": {**RUN["args"], "on_done": {"message": "{result.exec_id} ended on {args.lab}"}}}
    text = await world.call("start_upgrade", **UPGRADE, on_done=follows, on_fail={"message": "Build failed."})
    first, second = ids(text)
    assert f"- step 1: [{first}] upgrade of {LAB} to build 6957\n" in text
    assert f'- step 2, when step 1 is done: [{second}] run_pytest(lab="{LAB}", testcase=["{TESTS}"])\n' in text
    assert "- when step 2 is done, its end message is: {result.exec_id} ended on {args.lab}\n" in text
    assert "- when step 1 failed, timed out or is lost, its end message is: Build failed.\n" in text
    assert "Run tests only once it has ended" not in text
    assert world.written == ["start_upgrade"]
    await world.advance(600)
    told = (await ends(world))[first]
    assert f'Step 1 of 2. Next, by itself: run_pytest(lab="{LAB}", testcase=["{TESTS}"]), watched as {second}.' in told
    assert "The upgrade of" in told, "the connector's message stays where the caller gave none"
    assert f'wait_for_watch(watch_id="{second}") waits for the next step' in await world.call(
        "wait_for_watch", watch_id=first, max_wait_seconds=0
    )
    await world.run_to_its_end(446)
    told = (await ends(world))[second]
    assert "Step 2 of 2, the last of its chain." in told
    assert f"446 ended on {LAB}" in told
    assert world.written == ["start_upgrade", "start_pytest"]
    [accepted] = [each for each in world.simulator.state.record.accepted if each.endpoint == "start_pytest"]
    assert (accepted.lab, accepted.asked["testcase"]) == (LAB, [TESTS])


async def test_a_run_whose_tests_failed_is_done_and_followed_by_on_done(world: World) -> None:
    await world.call("start_upgrade", **UPGRADE)
    await world.advance(600)
    await world.call("run_pytest", lab=LAB, testcase=[TESTS], on_done=AGAIN, on_fail={"message": "never said"})
    await world.run_to_its_end(446)
    _, first, second = await watches(world)
    assert (first.state, first.outcome) == (WatchState.DONE, "failed")
    assert (second.state, second.job) == (WatchState.ACTIVE, "execution:447")


async def test_a_failed_upgrade_is_followed_by_on_fail_and_a_message_of_the_callers_own(world: World) -> None:
    world.simulator.state.testbeds.hang_next_upgrade("10.15.52.152")
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN, on_fail={"message": "{args.testbed} is stuck."})
    await world.advance(4_000)
    told = (await ends(world))[ids(text)[0]]
    assert f"{LAB} is stuck." in told
    assert "Step 1 of 2. The chain ends here; not called: run_pytest(" in told
    assert world.written == ["start_upgrade"]


async def test_a_chained_start_that_tp_refuses_is_an_end_of_its_own(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    world.rival_runs("Tests_CLI/test_system.py")
    await world.advance(600)
    first, second = ids(text)
    told = await ends(world)
    assert set(told) == {first, second}
    assert "was not started" in told[second].split("\n")[0]
    assert "another execution" in told[second]
    assert "Step 2 of 2, the last of its chain." in told[second]


async def test_a_lab_that_is_lost_until_then_is_an_end_of_its_own(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    world.answers("list_labs", [])
    await world.advance(600)
    _, second = ids(text)
    told = (await ends(world))[second]
    assert f"It was not started: lab is '{LAB}', which is not a lab you may use." in told
    assert world.written == ["start_upgrade"]


async def test_a_cancelled_watch_is_followed_by_nothing_and_says_so(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN, on_fail=RUN)
    said = await world.call("cancel_watch", watch_id=ids(text)[0])
    assert "Its next steps are cancelled too." in said
    await world.advance(600)
    assert world.written == ["start_upgrade"]
    assert await ends(world) == {}


async def test_a_later_step_can_be_named_and_the_answer_says_what_it_waits_for(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    first, second = ids(text)
    for tool, more in (("wait_for_watch", {"max_wait_seconds": 0}), ("cancel_watch", {})):
        said = await world.refused(tool, watch_id=second, **more)
        assert f"{second} is a later step of the chain of {first} and has not begun." in said
    await world.call("run_pytest", lab="AT33_New_NAC", testcase=[TESTS])
    assert "There is no watch 'w_zzzzzzzz'" in await world.refused("wait_for_watch", watch_id="w_zzzzzzzz")
    mallory = Owner("local:mallory", "environment:one", exact=True)
    assert "There is no watch" in await world.refused("wait_for_watch", owner=mallory, watch_id=second)


async def test_a_step_that_tp_is_away_for_says_that_it_is_being_started(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    first, second = ids(text)
    await world.call("start_upgrade", testbed="AT33_New_NAC", mode="build", build_number="6957", on_done=RUN)
    world.fault("list_labs", "drop")
    await world.advance(600)
    said = await world.refused("wait_for_watch", watch_id=second, max_wait_seconds=0)
    assert f"{second} follows {first}, which has ended, and is just being started." in said
    listed = await world.call("list_watches")
    assert f'; next in its chain, by itself: wait_for_watch(watch_id="{second}")' in listed
    assert world.written == ["start_upgrade", "start_upgrade"]


async def test_a_step_that_was_not_taken_is_not_found(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_fail=RUN)
    await world.advance(600)
    assert "There is no watch" in await world.refused("wait_for_watch", watch_id=ids(text)[1])


async def test_a_tool_that_is_no_longer_there_ends_the_chain(world: World) -> None:
    starts = dict(world.services.starts.tools)
    world.services = replace(world.services, starts=replace(world.services.starts, tools=starts))
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    parent = replace((await watches(world))[0], state=WatchState.DONE)
    assert parent.chain is not None
    ended = replace(parent, chain=replace(parent.chain, next=parent.chain.links[0]))
    starts.clear()
    with pytest.raises(WatchSpecError, match="There is no tool 'run_pytest' that a chain may call"):
        await ToolStarter(world.services).start(ended)
    assert len(ids(text)) == 2


async def test_a_tool_without_a_check_of_its_own_is_checked_by_its_arguments_alone(world: World) -> None:
    starts = {name: replace(tool, check=None) for name, tool in world.services.starts.tools.items()}
    world.services = replace(world.services, starts=replace(world.services.starts, tools=starts))
    lost = {"tool": "run_pytest", "args": {"lab": "AT17", "testcase": [TESTS]}}
    assert len(ids(await world.call("start_upgrade", **UPGRADE, on_done=lost))) == 2
    lost["args"] = {"lab": "AT17"}
    assert "testcase is missing" in await world.refused("start_upgrade", **UPGRADE, on_done=lost)


async def test_arguments_that_are_all_known_later_are_let_in(world: World) -> None:
    upgrade = {"testbed": "{poll.lab}", "mode": "build", "build_number": "{poll.log_tail}"}
    run = {"lab": "{poll.testbed}", "testcase": "{poll.target_ips}"}
    follow = {"tool": "start_upgrade", "args": {**upgrade, "on_done": {"tool": "run_pytest", "args": run}}}
    text = await world.call("run_pytest", lab=LAB, testcase=[TESTS], on_done=follow)
    assert len(ids(text)) == 3


async def test_a_chain_may_be_three_calls_deep_and_no_deeper(world: World) -> None:
    text = await world.call("start_upgrade", **UPGRADE, on_done=nested(3))
    assert len(ids(text)) == 4
    said = await world.refused("start_upgrade", **UPGRADE | {"testbed": "AT33_New_NAC"}, on_done=nested(4))
    assert "on_done.on_done.on_done.on_done is one call too many: at most 3 may follow each other." in said


@pytest.mark.parametrize(
    ("follow", "words"),
    [
        ({}, ["on_done must have either tool and args, or message"]),
        ({"mesage": "x"}, ["on_done must have either tool and args, or message"]),
        ({"message": "  "}, ["must have either"]),
        ({"message": "x", "args": {}}, ["must have either"]),
        ({"message": "x", "tool": "run_pytest"}, ["must have either"]),
        ({"tool": "run_pytest", "args": ["x"]}, ["must have either"]),
        ({"message": "{poll_count} polls"}, ["{poll_count} has no value here"]),
        ({"tool": "run_tests"}, ["there is no tool 'run_tests' (the nearest is run_pytest)"]),
        ({"tool": "cancel_execution", "args": {"exec_id": 1}}, ["the tools are run_pytest, start_upgrade"]),
        ({"tool": "run_pytest"}, ["lab is missing", "testcase is missing"]),
        (
            {"tool": "run_pytest", "args": {"lab": "{poll.testbed}", "testcase": [TESTS], "test": 1}},
            ["on_done would be refused", "there is no argument test (did you mean testcase"],
        ),
        ({"tool": "run_pytest", "args": {"lab": "{args.tesbed}", "testcase": [TESTS]}}, ["{args.tesbed} has no value"]),
        ({"tool": "run_pytest", "args": {"lab": "{settings.token}", "testcase": [TESTS]}}, ["{settings.token} has no"]),
        ({"tool": "run_pytest", "args": {"lab": "AT17", "testcase": [TESTS]}}, ["lab is 'AT17', which is not a lab"]),
        ({"tool": "run_pytest", "args": {"lab": LAB, "testcase": ["Tests_Cli"]}}, ["'Tests_Cli', which TP does not"]),
        (
            {
                "tool": "run_pytest",
                "args": {"lab": "{poll.testbed}", "testcase": "{poll.x}", "argument": "-k a; reboot"},
            },
            ["on_done would be refused", "';'"],
        ),
        (
            {"tool": "start_upgrade", "args": {"testbed": "{poll.testbed}", "mode": "build"}},
            ["on_done would be refused", 'mode "build" needs build_number'],
        ),
        (
            {"tool": "start_upgrade", "args": {"testbed": "AT17", "mode": "{poll.mode}", "build_number": "1"}},
            ["testbed is 'AT17', which is not a lab"],
        ),
        (
            {"tool": "start_upgrade", "args": {"testbed": LAB, "mode": "command", "command": "execute"}},
            ["mode command cannot follow anything", "password"],
        ),
        (
            {"tool": "start_upgrade", "args": {"testbed": LAB, "mode": "{poll.mode}", "command": "{poll.line}"}},
            ["mode command cannot follow anything"],
        ),
        (
            {
                "tool": "run_pytest",
                "args": {
                    "lab": "{poll.testbed}",
                    "testcase": [TESTS],
                    "on_fail": {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": "{args.ids}"}},
                },
            },
            ["on_done.on_fail cannot be used", "{args.ids} has no value"],
        ),
    ],
)
async def test_a_chain_that_cannot_work_is_refused_before_anything_is_sent(
    world: World, follow: dict[str, Any], words: list[str]
) -> None:
    said = await world.refused("start_upgrade", **UPGRADE, on_done=follow)
    for expected in words:
        assert expected in said
    assert world.written == []
    assert await watches(world) == []


async def test_what_is_known_later_is_filled_later_also_below_a_further_call(world: World) -> None:
    follow = {
        "tool": "run_pytest",
        "args": {
            "lab": "{poll.testbed}",
            "testcase": [TESTS],
            "on_done": {"tool": "run_pytest", "args": {"lab": "{args.lab}", "testcase": "{args.testcase}"}},
        },
    }
    text = await world.call("start_upgrade", **UPGRADE, on_done=follow)
    assert '] run_pytest(lab="{poll.testbed}"' in text
    assert f'] run_pytest(lab="{{args.lab}}", testcase=["{TESTS}"])' in text
    await world.advance(600)
    await world.run_to_its_end(446)
    assert [watch.job for watch in await watches(world)] == [f"upgrade:{LAB}", "execution:446", "execution:447"]
    assert [watch.chain and watch.chain.step for watch in await watches(world)] == [1, 2, 3]


async def test_a_value_that_looks_like_a_template_is_filled_once(world: World) -> None:
    follow = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": [TESTS], "argument": "{args.message}"}}
    watch: dict[str, Any] = {"tool": "get_upgrade", "args": {"testbed": LAB}, "message": "-k {poll.testbed}"}
    text = await world.call("start_watch", **watch, on_done=follow)
    assert 'argument="{args.message}"' in text
    await world.call("start_upgrade", **UPGRADE)
    await world.advance(600)
    assert 'argument="-k {poll.testbed}"' in (await ends(world))[ids(text)[0]]
    assert world.written == ["start_upgrade"], "the guard refuses braces"


async def test_a_watched_job_of_somebody_else_may_be_followed_too(world: World) -> None:
    exec_id = world.rival_runs(TESTS)
    follow = {"tool": "run_pytest", "args": {"lab": "{poll.lab}", "testcase": [TESTS]}}
    text = await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id}, on_done=follow)
    assert len(ids(text)) == 2
    await world.run_to_its_end(exec_id)
    assert world.written == ["start_pytest"]
    said = await world.refused(
        "start_watch", tool="get_upgrade", args={"testbed": LAB}, on_done={"message": "{result.exec_id}"}
    )
    assert "{result.exec_id} has no value here" in said


async def test_what_follows_a_call_of_its_own_may_use_its_answer_below_a_watch(world: World) -> None:
    follow = {
        "tool": "run_pytest",
        "args": {"lab": LAB, "testcase": [TESTS], "on_done": {"message": "{result.exec_id}"}},
    }
    text = await world.call("start_watch", tool="get_upgrade", args={"testbed": LAB}, on_done=follow)
    assert "its end message is: {result.exec_id}" in text


async def test_a_start_that_was_never_answered_shows_its_chain_too(world: World) -> None:
    world.fault("start_upgrade", "drop", times=1)
    text = await world.call("start_upgrade", **UPGRADE, on_done=RUN)
    assert "It is not known yet" in text
    assert len(ids(text)) == 2
