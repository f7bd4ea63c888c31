"""Promise 1: a request that changes the world is sent at most once per accepted call, and its outcome is told."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE, LAB
from tests.support.recorded import TEST, House, HouseProcess, open_house
from tp_mcp.errors import StoreError, TpBusyError, TpError
from tp_mcp.watch.delivery.messages import reason_text
from tp_mcp.watch.model.reading import Outcome
from tp_mcp.watch.model.watch import WatchState

RUN = "POST /adc/automation/pytest/"
UPGRADE = "POST /adc/automation/upgrade/"
RUN_IT: dict[str, Any] = {"lab": LAB, "testcase": [TEST]}
UPGRADE_IT: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6957"}

OnStart = Callable[[httpx2.Request], Awaitable[httpx2.Response | None]]


def answering(answer: httpx2.Response | Exception) -> OnStart:
    async def on_start(_request: httpx2.Request) -> httpx2.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    return on_start


@pytest.fixture
def house(tmp_path: Path) -> House:
    return open_house(tmp_path)


NO_ANSWERS: dict[str, httpx2.Response | Exception] = {
    "the answer is cut off": httpx2.ReadError("reset"),
    "it takes too long": httpx2.ReadTimeout("too long"),
    "TP fails": httpx2.Response(500, json={"error": "oops"}),
    "a proxy fails": httpx2.Response(502, html="<h1>Bad gateway</h1>"),
    "TP is said to be away for a while": httpx2.Response(503, json={}, headers={"Retry-After": "0"}),
    "the answer is no JSON": httpx2.Response(202, text="accepted"),
    "the answer lacks the id": httpx2.Response(202, json={"status": "Initiating"}),
}


@pytest.mark.parametrize("how", NO_ANSWERS)
async def test_a_run_whose_answer_never_came_is_sent_once_and_found_by_reading(house: House, how: str) -> None:
    house.tp.on_start = answering(NO_ANSWERS[how])
    async with house.process() as process:
        await process.call("run_pytest", **RUN_IT)
        await house.advance(60)
        house.tp.end(446)
        await house.advance(60)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome, watch.job) == (WatchState.DONE, Outcome.PASSED, "execution:446")
        assert watch.title == f"run of {TEST} on {LAB} (execution 446)"
        assert house.tp.count(RUN) == 1
        assert list(house.tp.executions) == [446]


@pytest.mark.parametrize("how", ["the answer is cut off", "TP fails"])
async def test_a_run_that_never_reached_tp_is_said_to_be_unknown_and_not_sent_again(house: House, how: str) -> None:
    async def lost(_request: httpx2.Request) -> httpx2.Response | None:
        house.tp.executions.clear()
        return await answering(NO_ANSWERS[how])(_request)

    house.tp.on_start = lost
    async with house.process() as process:
        text, _ = await process.call("run_pytest", **RUN_IT)
        [watch] = await process.watches()
        assert text.startswith(f"[{watch.id}]")
        assert watch.state is WatchState.STARTING
        assert "Do not start it again" in text
        await house.advance(600)
        [watch] = await process.watches()
        assert (watch.state, watch.outcome) == (WatchState.FAILED, Outcome.UNKNOWN)
        assert "not sent again" in reason_text(watch)
        assert house.tp.count(RUN) == 1


async def test_an_upgrade_whose_answer_never_came_is_sent_once_and_found_by_reading(house: House) -> None:
    house.tp.on_start = answering(httpx2.ReadError("reset"))
    async with house.process() as process:
        await process.call("start_upgrade", **UPGRADE_IT)
        device = {"ip": "10.0.0.1", "last_task_type": "build", "last_build_number": "6957"}
        house.tp.upgrade |= {
            "status": "PROGRESS",
            "per_device": [device | {"status": "PROGRESS", "updated_at": "1780000030"}],
        }
        await house.advance(60)
        house.tp.upgrade |= {
            "status": "SUCCESS",
            "per_device": [device | {"status": "SUCCESS", "updated_at": "1780000060"}],
        }
        await house.advance(60)
        [watch] = await process.watches()
        assert watch.state is WatchState.DONE
        assert house.tp.count(UPGRADE) == 1


async def test_a_refusal_is_told_and_not_tried_again(house: House) -> None:
    house.tp.run()
    async with house.process() as process:
        with pytest.raises(TpBusyError):
            await process.call("run_pytest", **RUN_IT)
        await house.advance(600)
        assert house.tp.count(RUN) == 1
        [watch] = await process.watches()
        assert watch.state is WatchState.FAILED


async def begun(
    house: House, process: HouseProcess, go_on: asyncio.Event
) -> "asyncio.Task[tuple[str, tuple[str, ...]]]":
    """Begin a run whose answer TP holds back."""
    reached = asyncio.Event()

    async def hold(_request: httpx2.Request) -> None:
        reached.set()
        await go_on.wait()

    house.tp.on_start = hold
    call = asyncio.create_task(process.call("run_pytest", **RUN_IT))
    async with asyncio.timeout(PATIENCE_SECONDS):
        await reached.wait()
    return call


async def test_a_client_that_cancels_its_call_does_not_stop_the_request_it_made(house: House) -> None:
    go_on = asyncio.Event()
    async with house.process() as process:
        call = await begun(house, process, go_on)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        [watch] = await process.watches()
        assert watch.state is WatchState.STARTING
        go_on.set()
        await process.services.watches.registry.drain(10.0)
        house.tp.end(446)
        await house.advance(31)
        [watch] = await process.watches()
        assert (watch.state, watch.job) == (WatchState.DONE, "execution:446")
        assert house.tp.count(RUN) == 1
        _, shown = await process.call("list_labs")
        assert shown == (watch.id,)


async def test_a_process_that_dies_before_tp_answered_leaves_a_trace_and_the_next_one_does_not_send_again(
    house: House,
) -> None:
    async with house.process() as process:
        call = await begun(house, process, asyncio.Event())
    with pytest.raises(TpError, match="closed before TP answered"):
        await call
    async with house.process() as process:
        [watch] = await process.watches()
        assert watch.state is WatchState.STARTING
        await house.advance(2)
        house.tp.end(446)
        await house.advance(31)
        [watch] = await process.watches()
        assert (watch.state, watch.job) == (WatchState.DONE, "execution:446")
        assert house.tp.count(RUN) == 1


async def test_nothing_is_sent_when_the_intent_cannot_be_written(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async with house.process() as process:

        async def full(*_args: object) -> None:
            raise StoreError("The disk is full.")

        monkeypatch.setattr(process.store, "add", full)
        with pytest.raises(StoreError):
            await process.call("run_pytest", **RUN_IT)
        assert house.tp.count(RUN) == 0


async def test_a_store_that_fails_after_tp_accepted_makes_nothing_be_sent_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with house.process() as process:
        save = process.store.save
        failing = [StoreError("The disk is full.")] * 3

        async def fails_at_first(*args: Any, **options: Any) -> Any:
            if failing:
                raise failing.pop()
            return await save(*args, **options)

        monkeypatch.setattr(process.store, "save", fails_at_first)
        text, _ = await process.call("run_pytest", **RUN_IT)
        assert "(execution 446) is under way" in text
        await house.advance(60)
        house.tp.end(446)
        await house.advance(60)
        assert [watch.state for watch in await process.watches()] == [WatchState.DONE]
        assert house.tp.count(RUN) == 1
        assert [entry.watch_id for entry in await process.store.unseen(ALICE)] == [(await process.watches())[0].id]


@pytest.mark.parametrize(
    ("tool", "arguments", "request_line"), [("run_pytest", RUN_IT, RUN), ("start_upgrade", UPGRADE_IT, UPGRADE)]
)
async def test_of_the_same_call_many_times_at_once_from_two_processes_one_is_sent(
    house: House, tool: str, arguments: dict[str, Any], request_line: str
) -> None:
    async with house.process() as one, house.process() as other:
        calls = [process.call(tool, **arguments) for process in (one, other) * 5]
        texts = [text for text, _ in await asyncio.gather(*calls)]
        [watch] = await one.watches()
        assert {text[:12] for text in texts} == {f"[{watch.id}]"}
        assert sum("nothing was sent again" in text for text in texts) == len(texts) - 1
        assert house.tp.count(request_line) == 1


async def test_the_same_call_after_a_start_without_an_answer_is_told_of_it_and_not_sent(house: House) -> None:
    house.tp.on_start = answering(httpx2.ReadError("reset"))
    async with house.process() as process:
        first, _ = await process.call("run_pytest", **RUN_IT)
        again, _ = await process.call("run_pytest", **RUN_IT)
        assert again.startswith(f"{first[:12]} This was started already, and nothing was sent again: ")
        assert "it is not known yet whether TP started it" in again
    async with house.process() as process:
        third, _ = await process.call("run_pytest", **RUN_IT)
        assert third[:12] == first[:12]
        assert house.tp.count(RUN) == 1
