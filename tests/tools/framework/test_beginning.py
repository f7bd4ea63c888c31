"""Waiting for a later step of a chain before it has begun."""

import asyncio
import re
from typing import Any

from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE, LAB
from tests.support.world import World

TESTS = "Tests_CLI/test_poe.py"
UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6957"}
RUN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": [TESTS]}}
AGAIN: dict[str, Any] = {"tool": "run_pytest", "args": {"lab": LAB, "testcase": [TESTS], "argument": "-k poe"}}


async def chain(world: World, follows: dict[str, Any]) -> list[str]:
    """Start an upgrade with what follows it; return the ids of the steps."""
    return list(
        dict.fromkeys(re.findall(r"\[(w_[0-9a-z]{8})\]", await world.call("start_upgrade", **UPGRADE, **follows)))
    )


async def waited(world: World, watch_id: str, seconds: float) -> str:
    """Wait for a watch while the time goes by, and return what the wait says, or why it is refused."""
    waiting = asyncio.create_task(world.call("wait_for_watch", watch_id=watch_id, max_wait_seconds=seconds))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not waiting.done():
            await world.settle()
            await world.advance(1)
    error = waiting.exception()
    return waiting.result() if error is None else str(error)


async def test_a_step_that_has_not_begun_is_waited_for_through_the_end_before_it(world: World) -> None:
    first, second = await chain(world, {"on_done": RUN})
    said = await waited(world, second, 5)
    assert said.startswith(f"{second} is a later step of the chain of {first} and has not begun.")
    assert {watch.id for watch in world.told} == {first}
    while (await world.services.watches.registry.get(first, ALICE)).reading is None:
        await world.advance(15)
    for _ in range(5):
        if (said := await waited(world, second, 240)).startswith(f"[{second}]"):
            break
    assert said.startswith(f"[{second}] run of {TESTS} on {LAB} (execution 446)")
    assert {watch.id for watch in world.told} == {first, second}


async def test_a_step_after_one_that_cannot_begin_yet_is_waited_for_until_the_time_is_over(world: World) -> None:
    first, second, third = await chain(world, {"on_done": {**RUN, "args": {**RUN["args"], "on_done": AGAIN}}})
    world.fault("list_labs", "drop")
    await world.advance(600)
    began = world.services.clock.now()
    said = await waited(world, second, 3)
    assert f"{second} follows {first}, which has ended, and is just being started." in said
    assert world.services.clock.now() - began >= 3
    await waited(world, third, 3)
    assert world.services.clock.now() - began >= 6


async def test_a_step_that_will_never_begin_is_not_waited_for(world: World) -> None:
    _, second = await chain(world, {"on_fail": RUN})
    await world.advance(600)
    began = world.services.clock.now()
    assert "There is no watch" in await waited(world, second, 240)
    assert world.services.clock.now() - began < 120
