"""Waiting over the protocol: progress where it was asked for, and clients that go away in the middle."""

import asyncio
from collections.abc import Awaitable
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from tests.server.conftest import Chat, text_of
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import LAB
from tp_mcp.server.rendering import INBOX_HEADING
from tp_mcp.watch.model.watch import WatchState

UPGRADE: dict[str, Any] = {"testbed": LAB, "mode": "build", "build_number": "6955"}
Told = list[tuple[float, float | None, str | None]]
T = TypeVar("T")


async def is_watched(chat: Chat) -> bool:
    found = await chat.world.services.watches.registry._store.unended(None)
    return any(watch.state is WatchState.ACTIVE for watch in found)


async def while_time_passes(chat: Chat, calling: Awaitable[T]) -> T:
    """Return what a call returns while the time goes by, second by second."""
    call = asyncio.ensure_future(calling)
    async with asyncio.timeout(PATIENCE_SECONDS):
        # The disk may be slow, and no time is to pass before it is watched.
        while not await is_watched(chat):
            await asyncio.sleep(0)
        while not call.done():
            await chat.world.settle()
            await chat.world.advance(1)
    return await call


async def test_one_call_starts_shows_progress_and_ends(chat: Chat) -> None:
    told: Told = []

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    result = await while_time_passes(
        chat,
        chat.client.call_tool("start_upgrade", {**UPGRADE, "max_wait_seconds": 240}, progress_callback=progress),
    )
    assert f"upgrade of {LAB} to build 6955 is done, after " in text_of(result)
    assert INBOX_HEADING not in text_of(result)
    assert told[0][0] == 0.0, "at once"
    assert all(before[0] < after[0] for before, after in pairwise(told))
    assert len(told) >= told[-1][0] // 10, "every ten seconds, and with each poll"
    assert {total for _, total, _ in told} == {None}
    assert f"upgrade of {LAB} to build 6955: 10.15.52.152 PROGRESS, " in str(told[-1][2])
    assert INBOX_HEADING in await chat.call("list_labs"), "the client may have dropped the result that told the end"
    assert INBOX_HEADING not in await chat.call("list_labs")


async def test_a_start_that_its_client_gave_up_goes_on_and_its_end_is_the_first_thing_told(chat: Chat) -> None:
    waits = asyncio.Event()

    async def progress(progress: float, total: float | None, message: str | None) -> None:
        waits.set()

    call = asyncio.create_task(
        chat.client.call_tool("start_upgrade", {**UPGRADE, "max_wait_seconds": 240}, progress_callback=progress)
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        await waits.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await chat.world.advance(400)
    assert f"{INBOX_HEADING}\n[w_" in await chat.call("list_labs")
    assert chat.world.written == ["start_upgrade"]
