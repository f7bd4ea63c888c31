"""A watch that changes hands while TP has not answered its start yet."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.errors import TpBusyError
from tp_mcp.watch.model.watch import Owner, WatchState
from tp_mcp.watch.registry import Accepted, Intent

LATER = Owner("local:alice", "thread:2", exact=True)


@pytest.mark.parametrize("refused", [False, True])
async def test_it_stays_where_it_went_when_tp_has_answered(
    open_world: Any, make_intent: Callable[..., Intent], alice: Owner, refused: bool
) -> None:
    async with open_world() as world:
        sent, answer = asyncio.Event(), asyncio.Event()

        async def send() -> Accepted:
            sent.set()
            await answer.wait()
            if refused:
                raise TpBusyError("The lab is in use.")
            return Accepted(answer=None, spec_args={"job": "446"})

        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await sent.wait()
        [watch] = await world.registry.list(alice, all_conversations=True)
        await world.store.real.hand_over(watch.id, LATER)
        answer.set()
        await asyncio.gather(call, return_exceptions=True)
        world.reader.on("446", {"status": "done"})
        await world.advance(30)
        stored = await world.stored(watch)
        assert (stored.owner, stored.state) == (LATER, WatchState.FAILED if refused else WatchState.DONE)
        assert (await world.unseen(), await world.unseen(LATER)) == ([], [watch.id])
