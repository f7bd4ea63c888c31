"""Watches made: sent once, written first, and never the caller's alone."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.errors import StoreBusyError, StoreError, TpBusyError, TpError, TpTimeoutError, WatchLimitError
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import Owner, Watch, WatchState
from tp_mcp.watch.registry import Accepted, Intent

ALICE = Owner("local:alice", "thread:1", exact=True)
MakeIntent = Callable[..., Intent]
MakeWatch = Callable[..., Watch]
ANSWERED = Accepted(answer={"exec_id": 446}, job="execution:446", title="execution 446", spec_args={"job": "446"})
UNANSWERED = TpTimeoutError("TP did not answer within 30 s.", may_have_acted=True)


@dataclass
class Send:
    """One request: how often it was sent, how it ends, and what it waits for meanwhile."""

    outcome: Accepted | Exception = ANSWERED
    sent: int = 0
    finished: int = 0
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    hold: asyncio.Event | None = None

    async def __call__(self) -> Accepted:
        self.sent += 1
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        self.finished += 1
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


async def leave(call: asyncio.Task[Any]) -> None:
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def the_watch(world: Any) -> Watch:
    [watch] = await world.registry.list(ALICE, all_conversations=True)
    assert isinstance(watch, Watch)
    return watch


async def test_an_accepted_start_is_active_with_what_only_the_answer_told(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send()
        watch = await world.registry.start(make_intent(), send)
        assert send.sent == 1
        assert (watch.state, watch.job, watch.title) == (WatchState.ACTIVE, "execution:446", "execution 446")
        assert (watch.answer, watch.spec.args) == ({"exec_id": 446}, {"job": "446"})
        assert await world.stored(watch) == watch
        world.reader.on("446", {"status": "done"})
        await world.advance(16)
        assert await world.unseen() == [watch.id]


async def test_an_answer_that_tells_nothing_new_leaves_the_intent_as_it_was(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        intent = make_intent()
        watch = await world.registry.start(intent, Send(Accepted(answer=None)))
        assert (watch.job, watch.title, watch.spec) == (intent.job, intent.title, intent.spec)


async def test_the_intent_is_written_before_anything_is_sent(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        send = Send(hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        watch = await the_watch(world)
        assert (watch.state, watch.baseline) == (WatchState.STARTING, None)
        assert send.hold is not None
        send.hold.set()
        assert (await call).id == watch.id


@pytest.mark.parametrize("failure", [StoreBusyError("It is held."), WatchLimitError("There are too many.")])
async def test_nothing_is_sent_when_the_intent_cannot_be_written(
    open_world: Any, make_intent: MakeIntent, failure: Exception
) -> None:
    async with open_world() as world:
        send = Send()
        world.store.fail("add", failure)
        with pytest.raises(type(failure)):
            await world.registry.start(make_intent(), send)
        assert send.sent == 0


async def test_a_fault_of_ours_before_anything_is_sent_ends_nothing_else(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send()
        world.store.fail("add", RuntimeError("a fault"))
        with pytest.raises(TpError, match="internal reason"):
            await world.registry.start(make_intent(), send)
        assert send.sent == 0
        assert (await world.registry.start(make_intent(), send)).state is WatchState.ACTIVE


async def test_a_refused_start_is_told_to_its_caller_and_waits_in_the_inbox_until_that_is_sure(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(TpBusyError("Another execution holds the lab."))
        with pytest.raises(TpBusyError, match="holds the lab"):
            await world.registry.start(make_intent(), send)
        watch = await the_watch(world)
        assert (watch.state, watch.reason) == (WatchState.FAILED, "Another execution holds the lab.")
        assert await world.unseen() == [watch.id]
        await world.advance(600)
        assert (send.sent, world.reader.reads) == (1, [])


async def test_a_start_refused_after_its_caller_left_waits_in_the_inbox(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(TpBusyError("Another execution holds the lab."), hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        await leave(call)
        assert send.hold is not None
        send.hold.set()
        await world.settle()
        watch = await the_watch(world)
        assert await world.unseen() == [watch.id]
        assert "holds the lab" in (await world.store.real.unseen(watch.owner))[0].text


async def test_a_caller_who_leaves_while_the_refusal_is_written_finds_it_in_the_inbox(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        held = world.store.hold("save")
        call = asyncio.create_task(world.registry.start(make_intent(), Send(TpBusyError("Busy."))))
        await world.settle()
        await leave(call)
        held.set()
        await world.settle()
        assert len(await world.unseen()) == 1


async def test_a_refusal_that_cannot_be_written_is_written_later(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        world.store.fail("save", StoreError("The disk is gone."))
        with pytest.raises(TpBusyError):
            await world.registry.start(make_intent(), Send(TpBusyError("Busy.")))
        assert (await the_watch(world)).state is WatchState.STARTING
        await world.advance(16)
        watch = await the_watch(world)
        assert (watch.state, watch.reason) == (WatchState.FAILED, "Busy.")


async def test_a_refusal_that_is_written_later_counts_for_more_than_what_was_read_meanwhile(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        world.store.fail("save", StoreError("The disk is gone."))
        with pytest.raises(TpBusyError):
            await world.registry.start(make_intent(), Send(TpBusyError("Busy.")))
        await world.store.real.save(replace(await the_watch(world), reason="TP gave no answer."))
        await world.poller.close()
        watch = await the_watch(world)
        assert (watch.state, watch.reason) == (WatchState.FAILED, "Busy.")
        assert await world.unseen() == [watch.id]


async def test_a_caller_who_leaves_neither_stops_the_request_nor_loses_the_watch(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        await leave(call)
        await world.settle()
        assert send.finished == 0
        assert send.hold is not None
        send.hold.set()
        await world.settle()
        assert (send.sent, send.finished) == (1, 1)
        watch = await the_watch(world)
        assert (watch.state, watch.answer) == (WatchState.ACTIVE, {"exec_id": 446})
        world.reader.on("446", {"status": "done"})
        await world.advance(16)
        assert await world.unseen() == [watch.id]


async def test_a_caller_who_leaves_before_anything_is_sent_has_nothing_sent(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send, held = Send(), world.store.hold("add")
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await world.settle()
        await leave(call)
        held.set()
        await world.settle()
        assert send.sent == 0
        watch = await the_watch(world)
        assert watch.state is WatchState.FAILED
        assert "cancelled before anything was sent" in watch.reason
        assert await world.unseen() == [watch.id]


async def test_an_unanswered_start_is_returned_open_and_settled_by_reading(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(UNANSWERED)
        world.reader.on("list:run:AT16", {"started": False}, {"started": True})
        world.reader.on("7", {"status": "done"})
        watch = await world.registry.start(make_intent(), send)
        assert (watch.state, watch.reason) == (WatchState.STARTING, "TP did not answer within 30 s.")
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE
        assert send.sent == 1


async def test_an_unanswered_start_that_reading_cannot_tell_ends_as_unknown(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(UNANSWERED)
        world.reader.on("list:run:AT16", {"started": False})
        watch = await world.registry.start(make_intent(), send)
        await world.advance(400)
        stored = await world.stored(watch)
        assert (stored.state, stored.outcome) == (WatchState.FAILED, Outcome.UNKNOWN)
        assert await world.unseen() == [watch.id]
        assert send.sent == 1


async def test_a_fault_of_ours_while_sending_counts_as_unanswered(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        watch = await world.registry.start(make_intent(), Send(RuntimeError("a fault")))
        assert watch.state is WatchState.STARTING
        assert "internal reason" in watch.reason


async def test_a_store_that_fails_after_the_acceptance_loses_nothing(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        world.store.fail("save", StoreError("The disk is gone."))
        watch = await world.registry.start(make_intent(), Send())
        assert watch.state is WatchState.ACTIVE
        assert (await world.stored(watch)).state is WatchState.STARTING
        assert await world.registry.get(watch.id, watch.owner) == watch
        world.reader.on("446", {"status": "running"}, {"status": "done"})
        await world.advance(16)
        assert (await world.stored(watch)).state is WatchState.ACTIVE
        await world.advance(16)
        assert await world.unseen() == [watch.id]


async def test_what_tp_answered_counts_more_than_what_another_process_read(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        send = Send(hold=asyncio.Event())
        call = asyncio.create_task(one.registry.start(make_intent(), send))
        await send.begun.wait()
        two.reader.on("list:run:AT16", {"started": True})
        assert await two.registry.resume() == 1
        await two.advance(5)
        assert (await the_watch(two)).job == "job:7"
        assert send.hold is not None
        send.hold.set()
        watch = await call
        assert (watch.job, watch.answer) == ("execution:446", {"exec_id": 446})
        assert await one.stored(watch) == watch


async def test_a_refusal_counts_more_than_what_another_process_read(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as one, open_world(one.clock) as two:
        send = Send(TpBusyError("Busy."), hold=asyncio.Event())
        call = asyncio.create_task(one.registry.start(make_intent(), send))
        await send.begun.wait()
        two.reader.on("list:run:AT16", {"started": True})
        await two.registry.resume()
        await two.advance(5)
        assert send.hold is not None
        send.hold.set()
        with pytest.raises(TpBusyError):
            await call
        assert (await the_watch(one)).reason == "Busy."
        await two.advance(60)
        assert two.poller.current((await the_watch(one)).id) is None


async def test_a_watch_cancelled_while_its_start_is_on_its_way_stays_cancelled(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        send = Send(hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        starting = await the_watch(world)
        await world.registry.cancel(starting.id, starting.owner, reason="no need")
        assert send.hold is not None
        send.hold.set()
        assert (await call).state is WatchState.CANCELLED
        await world.advance(600)
        assert world.reader.reads == []
        assert (await world.stored(starting)).revision == 1


async def test_a_start_whose_row_is_gone_is_returned_as_tp_answered(open_world: Any, make_intent: MakeIntent) -> None:
    async with open_world() as world:
        send = Send(hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        starting = await the_watch(world)
        await world.store.real.save(replace(starting, state=WatchState.CANCELLED, ended_at=1.0))
        await world.store.real.purge(ended_before=2.0, unseen_before=2.0)
        assert send.hold is not None
        send.hold.set()
        assert (await call).answer == {"exec_id": 446}


async def test_a_server_that_closes_before_tp_answered_says_so_and_settles_it_later(
    open_world: Any, make_intent: MakeIntent
) -> None:
    send = Send(hold=asyncio.Event())
    async with open_world() as world:
        call = asyncio.create_task(world.registry.start(make_intent(), send))
        await send.begun.wait()
        clock = world.clock
    with pytest.raises(TpError, match="closed before TP answered") as closed:
        await call
    assert closed.value.may_have_acted
    async with open_world(clock) as world:
        world.reader.on("list:run:AT16", {"started": True})
        world.reader.on("7", {"status": "done"})
        assert await world.registry.resume() == 1
        await world.advance(40)
        assert (await the_watch(world)).state is WatchState.DONE
    assert send.sent == 1


async def test_draining_waits_for_starts_on_their_way_but_not_for_ever(
    open_world: Any, make_intent: MakeIntent
) -> None:
    async with open_world() as world:
        quick, slow = Send(hold=asyncio.Event()), Send(hold=asyncio.Event())
        calls = [asyncio.create_task(world.registry.start(make_intent(), send)) for send in (quick, slow)]
        for send in (quick, slow):
            await send.begun.wait()
        draining = asyncio.create_task(world.registry.drain(5.0))
        await world.settle()
        assert not draining.done()
        for send in (quick, slow):
            assert send.hold is not None
            send.hold.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await draining
        assert all([(await call).state is WatchState.ACTIVE for call in calls])
        stuck = Send(hold=asyncio.Event())
        call = asyncio.create_task(world.registry.start(make_intent(), stuck))
        await stuck.begun.wait()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await world.registry.drain(0.05)
        assert not call.done()
        await leave(call)
