"""What may go wrong with a poll, and starts that only polls can settle."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from tests.support.patience import PATIENCE_SECONDS
from tp_mcp.errors import ConfigurationError, StoreBusyError, TpNotFoundError, TpServerFaultError
from tp_mcp.jobs.match_rule import MATCH_RULE
from tp_mcp.watch.delivery.messages import reason_text
from tp_mcp.watch.model.watch import Advisory, Watch, WatchState
from tp_mcp.watch.polling import interpretation

MakeWatch = Callable[..., Watch]


def gaps(times: list[float]) -> list[float]:
    return [round(after - before, 6) for before, after in pairwise(times)]


@pytest.mark.parametrize(
    ("failure", "said"),
    [
        (RuntimeError("a fault"), "for an internal reason"),
        (TimeoutError(), "did not answer within 30 s"),
        (ConfigurationError("The token names no user.", remedy="Set TP_MCP_TOKEN."), "names no user. Set TP_MCP_TOKEN"),
        (TpServerFaultError("TP failed."), "TP failed."),
    ],
)
async def test_a_reader_that_fails_makes_tp_unreachable_and_ends_nothing_else(
    open_world: Any, make_watch: MakeWatch, failure: Exception, said: str
) -> None:
    async with open_world() as world:
        broken, sound = await world.add(make_watch("1")), await world.add(make_watch("2"))
        world.reader.on("1", failure)
        world.reader.on("2", {"status": "running"}, {"status": "done"})
        await world.advance(60)
        stored = await world.stored(broken)
        assert stored.advisory is Advisory.UNREACHABLE
        assert said in stored.reason
        assert (await world.stored(sound)).state is WatchState.DONE


async def test_a_poll_that_hangs_is_given_up(
    open_world: Any, make_watch: MakeWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpretation, "POLL_TIMEOUT_SECONDS", 0.05)
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(16)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not world.changed:
                await asyncio.sleep(0.01)
        await world.settle()
        assert "did not answer within 0.05 s" in (await world.stored(watch)).reason


@pytest.mark.parametrize("status", ["broken rule", None])
async def test_an_answer_that_cannot_be_read_ends_nothing(
    open_world: Any, make_watch: MakeWatch, status: str | None
) -> None:
    async with open_world() as world:
        broken, sound = await world.add(make_watch("1")), await world.add(make_watch("2"))
        world.reader.on("1", {"status": status} if status else ["no object"])
        world.reader.on("2", {"status": "done"})
        await world.advance(40)
        assert (await world.stored(broken)).advisory is Advisory.NO_STATUS
        assert (await world.stored(sound)).state is WatchState.DONE


async def test_hostile_answers_are_kept_in_a_form_that_can_be_written(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        nested: Any = "x"
        for _ in range(400):
            nested = [nested]
        world.reader.on("1", {"status": "Running", "bad\ud800": "\udfff", "n": float("nan"), "deep": nested})
        await world.advance(16)
        stored = await world.stored(watch)
        assert stored.polls == 1
        assert stored == world.poller.current(watch.id)


async def test_a_job_that_is_gone_is_lost_only_after_a_while(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", TpNotFoundError("No such job."))
        await world.advance(130)
        assert (await world.stored(watch)).state is WatchState.ACTIVE
        await world.advance(600)
        assert (await world.stored(watch)).state is WatchState.LOST
        assert len(world.reader.reads) >= 3


async def test_polls_are_cancelled_with_their_process_and_leave_the_watch_as_it_was(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.hold = asyncio.Event()
        await world.advance(16)
        assert len(world.reader.reads) == 1
        clock = world.clock
    async with open_world(clock) as world:
        assert await world.stored(watch) == watch


async def test_a_process_that_ends_while_an_end_is_being_written_loses_nothing(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch())
        world.reader.on("1", {"status": "done"})
        world.clock.move_to(world.clock.time + 16)
        assert world.timer.callback
        await world.timer.callback()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "save" not in world.store.calls:
                await asyncio.sleep(0)
        clock = world.clock
    async with open_world(clock) as world:
        assert (await world.stored(watch)).state is WatchState.DONE
        assert await world.unseen() == [watch.id]


# Starts that were never answered --------------------------------------------------------------------------------------


async def test_an_open_start_is_settled_by_reading_and_then_followed(open_world: Any, make_watch: MakeWatch) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": False}, {"started": True})
        world.reader.on("7", {"status": "running"}, {"status": "done"})
        await world.advance(31)
        stored = await world.stored(watch)
        assert (stored.state, stored.job, stored.spec.args) == (WatchState.ACTIVE, "job:7", {"job": "7"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE
        assert len(world.reader.asked("list:job:1")) == 2
        assert len(world.reader.asked("7")) == 2


async def test_an_open_start_settled_on_the_very_call_it_is_polled_with_goes_on(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = make_watch(state=WatchState.STARTING)
        watch = replace(watch, spec=replace(watch.spec, tool="list", args={"job": "list:job:1"}))
        await world.add(watch)
        world.reader.on("list:job:1", {"same": True}, {"status": "running"}, {"status": "done"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE
        assert gaps(world.reader.asked("list:job:1")) == [15.0, 15.0]


async def test_an_open_start_is_not_settled_by_a_job_that_another_watch_started(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        await world.add(replace(make_watch("7", answer={"exec_id": 7}), job="job:1"))
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": True})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.STARTING


async def test_an_open_start_stays_open_while_the_store_cannot_tell_what_others_started(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": True})

        world.store.fail("jobs_started", StoreBusyError("held by another process"))
        await world.advance(16)
        assert (await world.stored(watch)).state is WatchState.STARTING
        await world.advance(30)
        assert (await world.stored(watch)).state is WatchState.ACTIVE


async def test_an_open_start_that_reading_cannot_tell_writes_nothing_until_it_is_given_up(
    open_world: Any, make_watch: MakeWatch
) -> None:
    async with open_world() as world:
        watch = await world.add(make_watch(state=WatchState.STARTING))
        world.reader.on("list:job:1", {"started": False})
        world.store.calls.clear()
        await world.advance(290)
        assert set(world.store.calls) == {"jobs_started"}
        await world.advance(30)
        stored = await world.stored(watch)
        assert stored.state is WatchState.FAILED
        assert "not sent again" in reason_text(stored)
        assert await world.unseen() == [watch.id]


async def test_a_match_watch_ends_as_its_caller_said(open_world: Any, make_watch: MakeWatch, match_spec: Any) -> None:
    async with open_world() as world:
        spec = match_spec(done_match={"path": "status", "equals": "Available"})
        watch = await world.add(replace(make_watch(), spec=spec))
        assert spec.rule == MATCH_RULE
        world.reader.on("1", {"status": "Running"}, {"status": "Available"})
        await world.advance(60)
        assert (await world.stored(watch)).state is WatchState.DONE


async def test_notes_go_to_the_log_once(
    open_world: Any, make_watch: MakeWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    async with open_world() as world:
        watch = await world.add(make_watch(spec={"timeout_seconds": 1e6}))
        world.reader.on("1", {"status": "broken rule"})
        await world.advance(1000)
        assert caplog.text.count(f"{watch.id}: TP answers, but without the job's status: ") == 1
        world.reader.on("1", {"status": "running"})
        await world.advance(1000)
        assert caplog.text.count(f"{watch.id}: no longer no_status") == 1
