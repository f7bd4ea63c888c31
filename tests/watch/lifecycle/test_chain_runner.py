"""Carrying chains on: once, by whoever comes first, through crashes, and with its refusals told."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.errors import (
    InvalidArgumentError,
    StoreError,
    TpBusyError,
    TpNotAuthenticatedError,
    TpUnreachableError,
    WatchError,
)
from tp_mcp.watch.lifecycle.chain_runner import GIVE_UP_SECONDS, LOOK_SECONDS, TOO_OLD_SECONDS, Chains
from tp_mcp.watch.lifecycle.chain_steps import next_chain
from tp_mcp.watch.model.chain import Chain, Link
from tp_mcp.watch.model.watch import Origin, Watch, WatchState
from tp_mcp.watch.registry import Accepted, Intent

SERVER = "http://tp.example:8000"
NEXT = Link("w_00000002", "run", {"lab": "AT16"}, on_done=Link("w_00000003", "run", {"lab": "AT21"}))
CHAIN = Chain(on_done=NEXT, next=NEXT)
MakeWatch = Callable[..., Watch]
OpenWorld = Callable[..., AbstractAsyncContextManager[Any]]


@dataclass
class FakeStarter:
    """Starts what follows as a tool would; is refused before that, or by TP, as a test says."""

    world: Any
    spec: Any
    before: list[Exception] = field(default_factory=list)
    by_tp: list[Exception] = field(default_factory=list)
    gate: asyncio.Event | None = None
    tried: int = 0
    sent: list[str] = field(default_factory=list)

    async def start(self, parent: Watch) -> None:
        self.tried += 1
        link, chain = next_chain(parent)
        if self.gate is not None:
            await self.gate.wait()
        if self.before:
            raise self.before.pop(0)

        async def send() -> Accepted:
            self.sent.append(link.id)
            if self.by_tp:
                raise self.by_tp.pop(0)
            return Accepted(answer={})

        origin = Origin(link.tool, dict(link.args))
        intent = Intent(parent.owner, origin, "the next run", "run:AT16", self.spec, chain=chain, id=link.id)
        await self.world.registry.start(intent, send)


def chains_of(world: Any, make_spec: Callable[..., Any], **how: Any) -> tuple[Chains, FakeStarter]:
    chains = Chains(store=world.store, clock=world.clock, server=SERVER, task_group=world.tasks)
    starter = FakeStarter(world, make_spec(), **how)
    chains.use(starter)
    return chains, starter


@pytest.fixture
def parent(make_watch: MakeWatch) -> Watch:
    return make_watch(state=WatchState.DONE, ended_at=1_780_000_000.0, chain=CHAIN)


async def test_what_follows_is_started_once_under_the_id_that_was_allotted(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        await world.store.real.add(parent)
        chains.notice(parent)
        chains.notice(parent)
        await world.settle()
        child = await world.store.real.get(NEXT.id)
        assert child.state is WatchState.ACTIVE
        assert child.chain == Chain(on_done=NEXT.on_done, step=2, parent=parent.id)
        chains.notice(parent)
        await chains.look()
        await world.settle()
        assert (starter.tried, starter.sent) == (1, [NEXT.id])
        assert await world.store.real.pending(SERVER) == ()


async def test_nothing_is_started_for_what_has_no_next_step_or_before_there_is_a_starter(
    open_world: OpenWorld, make_spec: Callable[..., Any], make_watch: MakeWatch, parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        for watch in (make_watch(), make_watch(chain=Chain(on_done=NEXT))):
            chains.notice(watch)
        Chains(store=world.store, clock=world.clock, server=SERVER, task_group=world.tasks).notice(parent)
        await world.settle()
        assert starter.tried == 0


async def test_the_step_of_a_process_that_died_is_found_by_another_within_the_look(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        world.tasks.start_soon(chains.keep_looking)
        await world.settle()
        await world.store.real.add(parent)
        await world.advance(LOOK_SECONDS)
        assert starter.sent == [NEXT.id]


async def test_a_step_that_could_not_begin_for_a_day_does_not_begin_and_says_so(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        await world.store.real.add(parent)
        world.clock.move_to(world.clock.time + TOO_OLD_SECONDS)
        await chains.look()
        await world.settle()
        assert starter.tried == 0
        assert await world.store.real.pending(SERVER) == ()
        [entry] = await world.store.real.unseen(parent.owner)
        assert entry.watch_id == NEXT.id
        assert "not started: it was to begin within 1 d of the end before it, which was 1 d ago" in entry.text


async def test_several_pending_steps_are_each_started(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        await world.store.real.add(parent)
        other = replace(NEXT, id="w_00000004")
        await world.store.real.add(replace(parent, id="w_0000000b", chain=Chain(on_done=other, next=other)))
        await chains.look()
        await world.settle()
        assert sorted(starter.sent) == [NEXT.id, other.id]


async def test_two_processes_that_come_at_once_start_it_once(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as first, open_world(first.clock) as second:
        gate = asyncio.Event()
        both = [chains_of(world, make_spec, gate=gate) for world in (first, second)]
        await first.store.real.add(parent)
        for chains, _ in both:
            chains.notice(parent)
        await first.settle()
        await second.settle()
        assert [starter.tried for _, starter in both] == [1, 1]
        gate.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await first.store.real.get(NEXT.id) is None:
                await asyncio.sleep(0)
        await first.settle()
        await second.settle()
        assert [sent for _, starter in both for sent in starter.sent] == [NEXT.id]
        assert await first.unseen() == [], "who came second leaves no end of its own"


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (InvalidArgumentError("There is no such lab."), "It was not started: There is no such lab."),
        (KeyError("a fault of ours"), "It was not started: It failed for an internal reason"),
    ],
)
async def test_a_step_that_is_not_let_in_is_an_end_of_its_own(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch, refusal: Exception, words: str
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec, before=[refusal])
        await world.store.real.add(parent)
        chains.notice(parent)
        await world.settle()
        [entry] = await world.store.real.unseen(parent.owner)
        assert entry.watch_id == NEXT.id
        assert words in entry.text
        assert "Step 2 of 3. The chain ends here; not called: run(" in entry.text
        assert (await world.store.real.get(NEXT.id)).state is WatchState.FAILED
        await chains.look()
        await world.settle()
        assert (starter.tried, starter.sent) == (1, [])


async def test_a_step_that_tp_refuses_ends_in_the_inbox_and_is_not_sent_again(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec, by_tp=[TpBusyError("Another execution holds AT16.")])
        await world.store.real.add(parent)
        chains.notice(parent)
        await world.settle()
        [entry] = await world.store.real.unseen(parent.owner)
        assert "Another execution holds AT16." in entry.text
        await chains.look()
        await world.settle()
        assert starter.sent == [NEXT.id]


async def test_while_tp_is_away_the_step_stays_pending_and_is_tried_until_it_answers(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(
            world,
            make_spec,
            before=[TpUnreachableError("away"), TpNotAuthenticatedError("no"), TpUnreachableError("away")],
        )
        await world.store.real.add(parent)
        world.tasks.start_soon(chains.keep_looking)
        await world.advance(3 * LOOK_SECONDS)
        assert (starter.tried, starter.sent) == (4, [NEXT.id])


async def test_a_tp_that_stays_away_ends_the_chain(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec, before=[TpUnreachableError("away") for _ in range(1000)])
        await world.store.real.add(parent)
        world.tasks.start_soon(chains.keep_looking)
        await world.advance(GIVE_UP_SECONDS + 2 * LOOK_SECONDS)
        [entry] = await world.store.real.unseen(parent.owner)
        assert "It was not started: away" in entry.text
        assert starter.sent == []


@pytest.mark.parametrize("method", ["pending", "add"])
async def test_a_store_that_fails_loses_no_step(
    open_world: OpenWorld, make_spec: Callable[..., Any], parent: Watch, method: str
) -> None:
    async with open_world() as world:
        chains, starter = chains_of(world, make_spec)
        await world.store.real.add(parent)
        world.store.fail(method, StoreError("The disk is full."))
        chains.notice(parent)
        await world.settle()
        assert starter.sent == []
        world.store.fail("pending", StoreError("The disk is full."))
        await chains.look()
        await chains.look()
        await world.settle()
        assert starter.sent == [NEXT.id]


async def test_a_pending_step_outlives_the_retention_and_survives_reopening(
    open_world: OpenWorld, parent: Watch
) -> None:
    async with open_world() as world:
        await world.store.real.add(parent)
        assert await world.store.real.purge(ended_before=2e9, unseen_before=2e9) == 0
    async with open_world() as world:
        [pending] = await world.store.real.pending(SERVER)
        assert pending.chain == CHAIN
        assert await world.store.real.pending("http://other.example") == ()


async def test_a_step_is_written_once_whoever_tries(
    open_world: OpenWorld, make_watch: MakeWatch, parent: Watch
) -> None:
    async with open_world() as world:
        await world.store.real.add(parent)
        step = make_watch(id=NEXT.id, chain=Chain(step=2, parent=parent.id))
        await world.store.real.add(step)
        with pytest.raises(WatchError, match="has begun already"):
            await world.store.real.add(step)
        with pytest.raises(WatchError, match="has begun already"):
            await world.store.real.add(replace(step, id="w_00000009"))
        assert await world.store.real.get("w_00000009") is None
