"""The key of a call, and the registry's answer to the same call again."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tp_mcp.errors import TpBusyError
from tp_mcp.watch.model.idempotency import REPEAT_SECONDS, idempotency_key
from tp_mcp.watch.model.watch import WatchState
from tp_mcp.watch.registry import Accepted, Intent

MakeIntent = Callable[..., Intent]
CALL: dict[str, Any] = {"testbed": "AT16", "mode": "command", "command": "scp /i host user **********"}


def test_equal_calls_have_equal_keys_whatever_the_order_of_their_arguments() -> None:
    assert idempotency_key("run", CALL) == idempotency_key("run", dict(reversed(CALL.items())))
    assert idempotency_key("run", CALL, secret="one") == idempotency_key("run", dict(CALL), secret="one")


def test_another_tool_argument_or_secret_gives_another_key() -> None:
    keys = [
        idempotency_key("run", CALL),
        idempotency_key("start", CALL),
        idempotency_key("run", {**CALL, "testbed": "AT21"}),
        idempotency_key("run", CALL, secret="one"),
        idempotency_key("run", CALL, secret="two"),
        idempotency_key("run", {**CALL, "testbed": "AT21"}, secret="one"),
    ]
    assert len(set(keys)) == len(keys)


async def test_the_same_call_gets_the_watch_that_goes_on_as_it_stands_in_memory(
    open_world: Any, make_intent: MakeIntent
) -> None:
    sent: list[str] = []

    async def send() -> Accepted:
        sent.append("once")
        return Accepted(answer={"id": 7})

    async with open_world() as world:
        intent = make_intent(idempotency_key="k")
        first = await world.registry.start(intent, send)
        assert first.id == intent.id
        world.store.fail_always("save_all")
        await world.advance(40)
        again = await world.registry.start(make_intent(idempotency_key="k"), send)
        assert again == await world.registry.repeated(intent.owner, "k")
        assert (again.id, again.polls) == (first.id, world.poller.current(first.id).polls)
        assert again.polls > (await world.stored(first)).polls
        assert sent == ["once"]


async def test_an_observation_is_not_made_twice(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        first = await world.registry.observe(make_intent(idempotency_key="k"))
        assert (await world.registry.observe(make_intent(idempotency_key="k"))).id == first.id
        assert (await world.registry.observe(make_intent(idempotency_key="other"))).id != first.id


@pytest.mark.parametrize("processes", [1, 2])
async def test_of_two_calls_at_once_one_is_sent(open_world: Any, make_intent: MakeIntent, processes: int) -> None:
    sent: list[str] = []

    async def send() -> Accepted:
        sent.append("once")
        return Accepted(answer={"id": 7})

    async with open_world() as one, open_world(one.clock) as other:
        registries = [one.registry, (one, other)[processes - 1].registry] * 5
        watches = await asyncio.gather(*(each.start(make_intent(idempotency_key="k"), send) for each in registries))
        assert len({watch.id for watch in watches}) == 1
        assert sent == ["once"]


async def test_a_refused_start_may_be_repeated_at_once(open_world: Any, make_intent: MakeIntent) -> None:
    outcomes: list[Exception | Accepted] = [TpBusyError("Busy."), Accepted(answer={"id": 7})]

    async def send() -> Accepted:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async with open_world() as world:
        with pytest.raises(TpBusyError):
            await world.registry.start(make_intent(idempotency_key="k"), send)
        intent = make_intent(idempotency_key="k")
        watch = await world.registry.start(intent, send)
        assert (watch.id, watch.state) == (intent.id, WatchState.ACTIVE)


async def test_an_ended_watch_answers_for_a_minute_and_no_longer(open_world: Any, make_intent: MakeIntent) -> None:
    async def send() -> Accepted:
        return Accepted(answer={"id": 7})

    async with open_world() as world:
        world.reader.on("1", {"status": "done"})
        first = await world.registry.start(make_intent(idempotency_key="k"), send)
        await world.advance(15)
        ended_at = (await world.stored(first)).ended_at
        world.clock.move_to(ended_at + REPEAT_SECONDS - 0.1)
        assert (await world.registry.start(make_intent(idempotency_key="k"), send)).id == first.id
        world.clock.move_to(ended_at + REPEAT_SECONDS)
        assert (await world.registry.start(make_intent(idempotency_key="k"), send)).id != first.id
