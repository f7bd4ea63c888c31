"""Waiting within a call: for several watches, for less than an end, and in the call that starts something."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE, LAB
from tests.support.world import World
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.tools.framework import wait
from tp_mcp.watch.model.watch import WatchState

OTHER_LAB = "AT33_New_NAC"
UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
OTHER_UPGRADE: dict[str, Any] = {**UPGRADE, "testbed": OTHER_LAB}
CLI = "Tests_CLI"


async def while_time_passes(world: World, calling: Coroutine[Any, Any, str]) -> str:
    """Return what a call says while the time goes by, second by second."""
    call = asyncio.create_task(calling)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not world.told and not call.done():
            await asyncio.sleep(0)
        while not call.done():
            await world.settle()
            await world.advance(1)
    return await call


async def begun(world: World, **arguments: Any) -> str:
    return (await world.call("start_upgrade", **arguments))[1:11]


# Several --------------------------------------------------------------------------------------------------------------


async def test_a_wait_for_several_returns_with_the_first_end_and_tells_how_the_others_stand(world: World) -> None:
    first = await begun(world, **UPGRADE)
    await world.advance(120)
    second = await begun(world, **OTHER_UPGRADE)
    text = await while_time_passes(world, world.call("wait_for_watch", watch_id=[second, first], max_wait_seconds=240))
    assert text.startswith(f"1 of 2 watches ended; 1 going on.\n\n[{first}] upgrade of {LAB} to build 6955 is done")
    assert f"- [{second}] upgrade of {OTHER_LAB} to build 6955 is under way (" in text
    assert f'run_pytest(lab="{LAB}"' in text, "what to do next is told with the end"
    assert text.endswith(f'wait_for_watch(watch_id=["{second}"]) waits for the next of them.')
    assert {watch.id for watch in world.told} == {first, second}
    visit = await world.services.watches.inbox.begin(ALICE)
    assert [entry.watch_id for entry in await world.services.watches.inbox.to_show(visit)] == [first]


async def test_a_wait_for_several_that_runs_out_tells_how_each_stands(world: World) -> None:
    watch_ids = [await begun(world, **UPGRADE), await begun(world, **OTHER_UPGRADE)]
    text = await while_time_passes(world, world.call("wait_for_watch", watch_id=watch_ids, max_wait_seconds=20))
    assert text.startswith("0 of 2 watches ended; 2 going on. Not finished after waiting 20 s.\n\nStatus:\n- [w_")
    assert text.count("is under way (") == text.count(", 20 s)\n") == 2


async def test_the_same_watch_named_twice_is_one(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    text = await world.call("wait_for_watch", watch_id=[watch_id, watch_id], max_wait_seconds=0)
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is under way.\n")


async def test_ends_beyond_what_one_result_tells_in_full_stay_in_the_inbox(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = await begun(world, **UPGRADE), await begun(world, **OTHER_UPGRADE)
    await world.advance(400)
    text = await world.call("wait_for_watch", watch_id=[one, two])
    assert text.count(" is done, after ") == 2
    monkeypatch.setattr(wait, "MAX_ENDS_IN_FULL", 1)
    text = await world.call("wait_for_watch", watch_id=[one, two])
    assert text.startswith(f"2 of 2 watches ended; 0 going on.\n\n[{one}] upgrade of {LAB} to build 6955 is done")
    assert f'- [{two}] upgrade of {OTHER_LAB} to build 6955 is done: wait_for_watch(watch_id="{two}")' in text


async def test_a_watch_of_another_tp_does_not_keep_a_wait_for_several(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, theirs = await begun(world, **UPGRADE), await begun(world, **OTHER_UPGRADE)
    looks_at = world.services.watches.registry.looks_at
    monkeypatch.setattr(
        world.services.watches.registry, "looks_at", lambda watch: looks_at(watch) and watch.id != theirs
    )
    text = await world.call("wait_for_watch", watch_id=[mine, theirs], max_wait_seconds=0)
    assert f"[{theirs}] upgrade of {OTHER_LAB} to build 6955 is under way (on the TP at " in text


async def test_a_watch_that_is_not_there_refuses_the_wait_for_all(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    text = await world.refused("wait_for_watch", watch_id=[watch_id, "w_00000000"])
    assert text.startswith("There is no watch 'w_00000000'.")


# Until ----------------------------------------------------------------------------------------------------------------


async def test_a_wait_for_a_change_returns_with_it(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    text = await while_time_passes(
        world, world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=240, until="change")
    )
    assert text.startswith(f"[{watch_id}] upgrade of {LAB} to build 6955 is under way. It has changed.\n\nNow: ")
    assert "Now: not picked up yet, TP still shows the job before it" in text


async def test_a_wait_for_a_failure_returns_while_the_run_goes_on(world: World) -> None:
    exec_id = world.ended_execution(status="Running", ended_at=None, counts=Counts(passed=4, failed=1))
    started = await world.call("start_watch", tool="get_execution", args={"exec_id": exec_id})
    text = await while_time_passes(
        world, world.call("wait_for_watch", watch_id=started[1:11], max_wait_seconds=60, until="first_failure")
    )
    assert "is under way. A part has failed; the rest goes on.\n\nNow: Running, 4 passed, 1 failed" in text
    both = [started[1:11], await begun(world, **OTHER_UPGRADE)]
    text = await world.call("wait_for_watch", watch_id=both, until="first_failure")
    assert text.startswith("0 of 2 watches ended; 2 going on. A part has failed; the rest goes on.")
    assert text.count(", as asked for") == 1


async def test_a_wait_for_a_failure_that_does_not_come_says_so(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    text = await while_time_passes(
        world, world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=3, until="first_failure")
    )
    assert "No failure yet, and not finished after waiting 3 s." in text


# In the call that starts something ------------------------------------------------------------------------------------


async def test_one_call_starts_shows_progress_and_tells_the_end(world: World) -> None:
    text = await while_time_passes(world, world.call("start_upgrade", **UPGRADE, max_wait_seconds=240))
    [watch] = await world.services.watches.registry.list(ALICE, all_conversations=False)
    assert text.startswith(f"[{watch.id}] upgrade of {LAB} to build 6955 is done, after ")
    assert text.endswith(f'Tests can run on it now: run_pytest(lab="{LAB}", testcase=["..."]).')
    assert "cannot be cancelled" not in text
    assert len(world.told) > 10
    visit = await world.services.watches.inbox.begin(ALICE)
    assert [entry.watch_id for entry in await world.services.watches.inbox.to_show(visit)] == [watch.id], (
        "not confirmed yet"
    )


async def test_a_start_whose_wait_runs_out_is_told_like_a_wait_with_what_the_start_has_to_say(world: World) -> None:
    await begun(world, **UPGRADE)
    text = await while_time_passes(
        world, world.call("run_pytest", lab=LAB, testcase=["Tests_CLI/test_poe.py"], max_wait_seconds=2)
    )
    assert "is under way. Not finished after waiting 2 s.\n\nNow: " in text
    assert "Mind that w_" in text
    assert text.splitlines()[0].startswith("[w_")


async def test_the_same_start_made_again_waits_for_what_was_started(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    text = await while_time_passes(world, world.call("start_upgrade", **UPGRADE, max_wait_seconds=240))
    assert text.startswith(f"[{watch_id}] This was started already, and nothing was sent again: upgrade of {LAB}")
    assert " is done, after " in text
    assert world.written == ["start_upgrade"]


async def test_who_leaves_a_start_that_waits_leaves_the_job_and_its_end_behind(world: World) -> None:
    call = asyncio.create_task(world.call("start_upgrade", **UPGRADE, max_wait_seconds=240))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not world.told:
            await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await world.advance(400)
    [watch] = await world.services.watches.registry.list(ALICE, all_conversations=False)
    assert watch.state is WatchState.DONE
    visit = await world.services.watches.inbox.begin(ALICE)
    assert [entry.watch_id for entry in await world.services.watches.inbox.to_show(visit)] == [watch.id]


async def test_a_start_that_would_wait_too_long_is_refused_before_anything_is_sent(world: World) -> None:
    for name, arguments in (("start_upgrade", UPGRADE), ("run_pytest", {"lab": LAB, "testcase": [CLI]})):
        text = await world.refused(name, **arguments, max_wait_seconds=241)
        assert text.startswith("max_wait_seconds is 241, but must be at most 240.")
    assert world.written == []


async def test_the_longest_wait_is_the_operators_to_set(world: World) -> None:
    watch_id = await begun(world, **UPGRADE)
    world.services = replace(world.services, watches=replace(world.services.watches, max_wait_seconds=600.0))
    text = await while_time_passes(world, world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=600))
    assert "is done" in text
    refused = await world.refused("wait_for_watch", watch_id=watch_id, max_wait_seconds=601)
    assert "must be at most 600" in refused


# Chains ---------------------------------------------------------------------------------------------------------------

THEN_RUN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": [CLI], "max_wait_seconds": 100}}


async def test_a_wait_through_a_chain_says_what_follows(world: World) -> None:
    text = await while_time_passes(world, world.call("start_upgrade", **UPGRADE, on_done=THEN_RUN, max_wait_seconds=10))
    assert "Step 1 of 2 of its chain; the next starts by itself at its end." in text
    assert "step 2, when step 1 is done: [w_" in text
    first = text[1:11]
    text = await while_time_passes(world, world.call("wait_for_watch", watch_id=first, max_wait_seconds=240))
    [second, _] = await world.services.watches.registry.list(ALICE, all_conversations=False)
    assert f'Next, by itself: run_pytest(lab="{LAB}"' in text
    assert text.endswith(
        f'wait_for_watch(watch_id="{second.id}") waits for the next step, which starts by itself: do not start it.'
    )
    # It began although its own call asked to wait, and nobody waited for it.
    assert second.state is WatchState.ACTIVE
    text = await world.call("wait_for_watch", watch_id=second.id, max_wait_seconds=0)
    assert "Step 2 of 2 of its chain, the last." in text
