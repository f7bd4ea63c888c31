"""The double itself: every behaviour of Forge that the tests lean on."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.forge.connector import CallFailed
from tests.forge.double import CHAIN_DEPTH, RESULT_MAX_CHARACTERS, Forge
from tests.support.clock import FakeClock, still_clock


class Lift:
    """A connector of three tools, whose answers a test lays out."""

    def __init__(self, block: dict[str, Any] | None = None) -> None:
        usual = {
            "poll": "get",
            "poll_args": {"ride": "{result.ride}"},
            "done_match": {"path": "state", "equals": "{args.floor}"},
            "interval_sec": 10,
            "timeout_sec": 100,
            "max_polls": 5,
            "on_done": {"mode": "chat", "message": "on {poll.state} after {poll_count}/{max_polls} {poll.nope}"},
            "on_fail": {"mode": "chat", "message": "not there: {poll.state}"},
            "progress": {"show": True, "message": "{poll_count}: {poll.state}"},
        }
        self.tools: Mapping[str, Any] = {"start": {"async": usual | (block or {})}, "get": {}, "big": {}}
        self.settings: Mapping[str, Any] = {}
        self.state: Any = "moving"
        self.calls: list[tuple[str, Any]] = []

    async def call(self, tool: str, args: Mapping[str, Any]) -> Any:
        self.calls.append((tool, dict(args)))
        if tool == "big":
            return {"rows": ["x" * 100] * 500}
        if self.state is None:
            raise CallFailed("away")
        return {"ride": 7} if tool == "start" else {"state": self.state}


async def pass_time(forge: Forge, clock: FakeClock, seconds: float) -> None:
    for _ in range(int(seconds)):
        clock.time += 1
        await forge.tick()


def make(block: dict[str, Any] | None = None) -> tuple[Forge, Lift, FakeClock]:
    clock, lift = still_clock(0.0), Lift(block)
    return Forge({"lift": lift}, clock), lift, clock


async def test_a_start_detaches_with_one_line_and_its_end_is_a_turn_of_its_session() -> None:
    forge, lift, clock = make()
    chat = forge.session("a")
    shown = await forge.dispatch(chat, "lift.start", {"floor": "top"})
    assert shown == '{"ride": 7}\n[watch watch-1 polls get in the background]'
    await pass_time(forge, clock, 25)
    assert lift.calls == [("start", {"floor": "top"}), ("get", {"ride": 7}), ("get", {"ride": 7})]
    assert (chat.statuses, chat.turns) == (["1: moving", "2: moving"], [])
    lift.state = "top"
    await pass_time(forge, clock, 10)
    assert chat.turns == ["on top after 3/5 {poll.nope}"]
    await pass_time(forge, clock, 100)
    assert len(lift.calls) == 4


async def test_what_never_matches_runs_into_the_limit() -> None:
    forge, lift, clock = make({"max_polls": None})
    chat = forge.session("a")
    await forge.dispatch(chat, "lift.start", {"floor": "top"})
    lift.state = None
    await pass_time(forge, clock, 99)
    assert chat.turns == []
    lift.state = "stuck"
    await pass_time(forge, clock, 1)
    assert chat.turns == ["not there: stuck"]


async def test_polls_are_limited_too_and_an_end_may_say_nothing() -> None:
    forge, lift, clock = make({"on_fail": None, "progress": {}})
    chat = forge.session("a")
    await forge.dispatch(chat, "lift.start", {"floor": "top"})
    await pass_time(forge, clock, 80)
    assert len(lift.calls) == 6
    assert (chat.turns, chat.statuses, forge.watches[0].ended) == ([], [], "failed")


@pytest.mark.parametrize("block", [{"poll": "nope"}, {"interval_sec": None}])
async def test_a_watch_that_cannot_be_registered_never_fails_the_call(block: dict[str, Any]) -> None:
    forge, _, _ = make(block)
    shown = await forge.dispatch(forge.session("a"), "lift.start", {"floor": "top"})
    assert shown.startswith('{"ride": 7}\n[no watch could be registered: ')
    assert forge.watches == []


async def test_a_chain_ends_when_its_depth_is_used_up() -> None:
    again = {"mode": "tool", "tool": "start", "args": {"floor": "{args.floor}"}}
    forge, lift, clock = make({"on_done": again})
    lift.state = "top"
    chat = forge.session("a")
    await forge.dispatch(chat, "lift.start", {"floor": "top"})
    await pass_time(forge, clock, 200)
    assert [tool for tool, _ in lift.calls].count("start") == 1 + CHAIN_DEPTH
    assert chat.turns == ["start was not called: the chain is too deep"]


async def test_a_result_is_cut_after_its_note_was_appended_unless_a_pipeline_asks() -> None:
    forge, _, _ = make()
    chat = forge.session("a")
    shown = await forge.dispatch(chat, "lift.big", {})
    assert len(shown) == RESULT_MAX_CHARACTERS
    length = len(json.dumps({"rows": ["x" * 100] * 500}))
    assert shown.endswith(f"[truncated: {length} characters; filter, paginate or flatten]")
    assert len(await forge.dispatch(chat, "lift.big", {}, whole=True)) == length
