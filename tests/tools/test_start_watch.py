from typing import Any

import pytest

from tests.support.process import ALICE, LAB
from tests.support.world import World

RUN: dict[str, Any] = {"tool": "get_execution", "args": {"exec_id": 446}}
UPGRADE: dict[str, Any] = {"tool": "get_upgrade", "args": {"testbed": LAB}}
AVAILABLE = {"path": f"[?name=='{LAB}'].status | [0]", "equals": "Available"}
POE = "Tests_CLI/test_poe.py"
ONE_OPERATOR = "it needs exactly one of equals, in, matches, exists, gte"


async def watched(world: World, text: str) -> Any:
    return await world.services.watches.registry.get(text[1:11], ALICE)


async def test_a_run_started_in_tps_own_page_is_watched_to_its_end(world: World) -> None:
    exec_id = world.rival_runs(POE)
    text = await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id})
    assert text.startswith(f"[{text[1:11]}] execution {exec_id} on {LAB} is under way.\n")
    assert "somebody else probably started it." in text
    assert text.endswith(f'wait_for_watch(watch_id="{text[1:11]}") waits for it.')
    await world.run_to_its_end(exec_id)
    text = await world.call("wait_for_watch", watch_id=text[1:11])
    assert f"execution {exec_id} on {LAB} is done: passed (2 passed, 1 skipped)" in text
    assert 'Requested as: start_watch(tool="get_execution", args={"exec_id": 446})' in text
    assert world.written == []


async def test_a_condition_of_the_callers_own_ends_a_watch(world: World) -> None:
    world.rival_runs(POE)
    text = await world.call(
        "start_watch",
        **RUN,
        done_match={"path": "status", "equals": "Done"},
        fail_match={"path": "status", "in": ["Failed", "Cancelled"]},
        message="It is {poll.status} with {poll.pass_count} passed.",
    )
    assert f'wait for execution 446 on {LAB} to have status = "Done" is under way' in text
    await world.run_to_its_end(446)
    text = await world.call("wait_for_watch", watch_id=text[1:11])
    assert f'wait for execution 446 on {LAB} to have status = "Done" is done' in text
    assert "It is Done with 2 passed." in text


async def test_a_failing_condition_ends_a_watch_as_failed(world: World) -> None:
    world.rival_runs(POE)
    text = await world.call(
        "start_watch",
        **RUN,
        done_match={"path": "status", "in": ["Done", 1, True]},
        fail_match={"path": "status", "equals": "Initiating"},
    )
    assert 'to have status in ["Done", 1, true] is under way' in text
    await world.advance(31)
    assert " failed" in await world.call("wait_for_watch", watch_id=text[1:11])


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ({"path": "log_tail", "matches": "(?i)PASSED"}, 'to have log_tail matches "(?i)PASSED"'),
        ({"path": "report_file_path", "exists": True}, "to have report_file_path"),
        ({"path": "end_timestamp", "exists": False}, "to have no end_timestamp"),
        ({"path": "pass_count", "gte": 2}, "to have pass_count >= 2"),
    ],
)
async def test_every_operator_can_be_waited_for(world: World, match: dict[str, Any], said: str) -> None:
    world.rival_runs(POE)
    text = await world.call("start_watch", **RUN, done_match=match)
    assert f"wait for execution 446 on {LAB} {said} is under way" in text
    await world.run_to_its_end(446)
    assert " is done" in await world.call("wait_for_watch", watch_id=text[1:11])


async def test_an_upgrade_under_way_is_watched_to_its_end(world: World) -> None:
    world.simulator.state.start_upgrade("rival", {"testbed": LAB, "mode": "build", "build_number": "6955"})
    await world.advance(60)
    text = await world.call("start_watch", **UPGRADE)
    assert "None is under way" not in text
    await world.advance(300)
    assert f"upgrade of {LAB} is done" in await world.call("wait_for_watch", watch_id=text[1:11])


async def test_the_end_of_an_old_upgrade_is_not_taken_for_the_one_to_come(world: World) -> None:
    text = await world.call("start_watch", **UPGRADE)
    assert "None is under way now (SUCCESS); it waits for one to begin." in text
    await world.advance(60)
    assert "is under way" in await world.call("wait_for_watch", watch_id=text[1:11], max_wait_seconds=0)
    world.simulator.state.start_upgrade("rival", {"testbed": LAB, "mode": "build", "build_number": "6955"})
    await world.advance(300)
    assert f"upgrade of {LAB} is done" in await world.call("wait_for_watch", watch_id=text[1:11])


async def test_a_lab_that_becomes_available_ends_a_watch(world: World) -> None:
    exec_id = world.rival_runs(POE)
    text = await world.call("start_watch", tool="list_labs", done_match=AVAILABLE, interval_sec=5)
    assert text.split("\n")[0].endswith('= "Available" is under way.')
    await world.advance(12)
    assert "is under way" in await world.call("wait_for_watch", watch_id=text[1:11], max_wait_seconds=0)
    await world.simulator.workers.cancel(exec_id)
    await world.advance(6)
    text = await world.call("wait_for_watch", watch_id=text[1:11])
    assert "is done" in text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (
            {"tool": "run_pytest"},
            ['tool is "run_pytest", but must be', "'get_execution', 'get_upgrade' or 'list_labs'"],
        ),
        ({"tool": "start_upgrade"}, ['tool is "start_upgrade", but must be']),
        ({"tool": "cancel_execution"}, ['tool is "cancel_execution", but must be']),
        (
            {"tool": "get_execution"},
            ["args has nothing, but must have exec_id alone.", 'For example {"exec_id": 446}.'],
        ),
        (
            {"tool": "get_upgrade", "args": {"lab": LAB}},
            ["args has lab, but must have testbed alone.", f'For example {{"testbed": "{LAB}"}}.'],
        ),
        ({"tool": "get_execution", "args": {"exec_id": "x"}}, ["exec_id is 'x'", "whole number"]),
        ({"tool": "get_upgrade", "args": {"testbed": "../x"}}, ["testbed is '../x'"]),
        ({"tool": "list_labs"}, ["done_match is missing: a list of labs has no end of its own."]),
        (
            {"tool": "list_labs", "args": {"search": "x"}},
            ["args has search, but list_labs is polled without arguments."],
        ),
        ({**RUN, "fail_match": {"path": "a", "equals": 1}}, ["fail_match was given without done_match."]),
        ({**RUN, "done_match": {"path": "a"}}, [ONE_OPERATOR]),
        ({**RUN, "done_match": {"path": "a", "equals": 1, "in": [1]}}, [ONE_OPERATOR]),
        ({**RUN, "done_match": {"path": "a", "exists": False, "gte": 0}}, [ONE_OPERATOR]),
        ({**RUN, "done_match": {"path": "a", "gte": "1"}}, ['done_match.gte is "1", but must be a number']),
        ({**RUN, "done_match": {"path": "a", "gte": True}}, ["done_match.gte is true, but must be a number"]),
        (
            {**RUN, "done_match": {"path": "a", "gte": float("inf")}},
            ["done_match.gte is Infinity, but must be a finite"],
        ),
        ({**RUN, "done_match": {"path": "a", "gte": float("nan")}}, ["done_match.gte is NaN, but must be a finite"]),
        ({**RUN, "done_match": {"path": "a", "exists": "yes"}}, ['done_match.exists is "yes", but must be true or']),
        ({**RUN, "done_match": {"path": "a", "matches": 3}}, ["done_match.matches is 3, but must be a string"]),
        ({**RUN, "done_match": {"path": "a", "matches": ""}}, ['done_match.matches is "", but must not be empty']),
        (
            {**RUN, "done_match": {"path": "a", "matches": "x" * 201}},
            ["the pattern has 201 characters; the limit is 200"],
        ),
        ({**RUN, "fail_match": {"path": "a", "matches": "(x"}, "done_match": {"path": "a", "gte": 1}}, ["'(x'"]),
        ({**RUN, "max_polls": float("inf")}, ["max_polls is Infinity, but must be a finite number"]),
        ({**RUN, "timeout_sec": float("-inf")}, ["timeout_sec is -Infinity, but must be a finite number"]),
        ({**RUN, "done_match": {"path": "a", "equal": 1}}, ["no argument done_match.equal (did you mean equals?)"]),
        ({**RUN, "done_match": {"path": "a", "equals": [1]}}, ["done_match.equals is [1]: it must be a text"]),
        ({**RUN, "done_match": {"path": "a", "in": []}}, ["done_match.in has 0 items, but must have at least 1"]),
        ({**RUN, "done_match": {"path": "", "equals": 1}}, ['done_match.path is "", but must not be empty']),
        ({**RUN, "done_match": {"path": "a", "equals": float("nan")}}, ["done_match.equals is NaN"]),
        ({**RUN, "done_match": {"path": "a", "equals": float("inf")}}, ["done_match.equals is Infinity"]),
        ({**RUN, "done_match": "status=Done"}, ['done_match is "status=Done", but must be an object']),
        ({"tool": "list_labs", "done_match": {"path": "a[", "equals": 1}}, ["the path 'a[' is invalid"]),
    ],
)
async def test_a_wrong_watch_is_refused_before_anything_is_asked(
    world: World, fields: dict[str, Any], words: list[str]
) -> None:
    text = await world.refused("start_watch", **fields)
    for expected in words:
        assert expected in text
    assert world.asked == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"interval_sec": 0}, "interval_sec is 0, but must be between 5 and 3600."),
        ({"interval_sec": 4000}, "interval_sec is 4000, but must be between 5 and 3600."),
        ({"interval_sec": float("nan")}, "interval_sec is NaN, but must be a finite number"),
        ({"timeout_sec": 0}, "timeout_sec is 0, but must be between 10 and 604800."),
        ({"max_polls": 0}, "max_polls is 0, but must be between 1 and 100000."),
    ],
)
async def test_intervals_and_limits_out_of_range_are_refused(world: World, fields: dict[str, Any], words: str) -> None:
    world.rival_runs(POE)
    assert words in await world.refused("start_watch", **RUN, **fields)
    assert "no watch" in await world.call("list_watches")


async def test_an_execution_that_does_not_exist_is_not_watched(world: World) -> None:
    assert "execution 446 not found" in await world.refused("start_watch", **RUN)
    assert "no watch" in await world.call("list_watches")


async def test_an_unknown_testbed_is_not_watched(world: World) -> None:
    text = await world.refused("start_watch", tool="get_upgrade", args={"testbed": "AT16"})
    assert f"Did you mean {LAB}" in text


async def test_intervals_and_limits_come_from_the_connector_unless_they_are_given(world: World) -> None:
    world.rival_runs(POE)
    usual = await watched(world, await world.call("start_watch", **RUN))
    assert (usual.spec.interval_seconds, usual.spec.timeout_seconds) == (15, 22_500)
    chosen = await watched(world, await world.call("start_watch", **RUN, interval_sec=60, timeout_sec=600, max_polls=5))
    assert (chosen.spec.interval_seconds, chosen.spec.timeout_seconds, chosen.spec.max_polls) == (60, 600, 5)
    world.forget_manifest_tool("run_pytest")
    default = await watched(world, await world.call("start_watch", **RUN))
    assert (default.spec.interval_seconds, default.spec.timeout_seconds) == (30, 21_600)


async def test_a_match_on_an_idle_testbed_is_told_to_look_at_the_old_end(world: World) -> None:
    matched = {"path": "status", "equals": "FAILURE"}
    text = await world.call("start_watch", tool="get_upgrade", args={"testbed": LAB}, done_match=matched)
    assert "None is under way now. Until another begins, done_match is compared with the end of the latest one" in text
    assert "it waits for one to begin" not in text
