"""What is behind the tools: opened after the first answer or on demand, opened anew, closed in time."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import anyio
import pytest
from mcp import Client

from tests.server.conftest import IDENTITY, text_of
from tests.support.clock import FakeClock
from tests.support.patience import PATIENCE_SECONDS
from tests.support.world import World
from tp_mcp.clock import SystemClock
from tp_mcp.errors import ConfigurationError, TpMcpError
from tp_mcp.server import backend as module
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.services import Services


@dataclass
class Opening:
    """Opens a stand-in for services; each failure that was laid out is raised once."""

    failures: list[Exception] = field(default_factory=list)
    opened: int = 0
    closed: int = 0
    dies: asyncio.Event = field(default_factory=asyncio.Event)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    hangs: str = ""

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[Services]:
        if self.hangs == "opening":
            self.is_open.set()
            await anyio.sleep_forever()
        if self.failures:
            raise self.failures.pop(0)
        self.opened += 1
        self.is_open.set()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._die)
            yield cast(Services, object())
            if self.hangs == "closing":
                await anyio.sleep_forever()
            tasks.cancel_scope.cancel()
        self.closed += 1

    async def _die(self) -> None:
        await self.dies.wait()
        self.dies = asyncio.Event()
        raise RuntimeError("died")


async def bounded(awaitable: Any) -> Any:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await awaitable


async def test_it_opens_by_itself_soon_after_the_first_answer() -> None:
    opening = Opening()
    backend = Backend(opening, SystemClock())
    async with backend.running():
        assert opening.opened == 0
        backend.answered()
        await bounded(opening.is_open.wait())
        assert opening.opened == 1
    assert opening.closed == 1


async def test_it_opens_on_demand_and_once_for_all_who_ask() -> None:
    opening = Opening()
    backend = Backend(opening, FakeClock())
    async with backend.running():
        services = await bounded(asyncio.gather(*(backend.services() for _ in range(5))))
        assert len({id(each) for each in services}) == 1
        assert await backend.services() is services[0]
    assert (opening.opened, opening.closed) == (1, 1)


async def test_nothing_is_opened_where_nobody_asks() -> None:
    opening = Opening()
    async with Backend(opening, FakeClock()).running():
        pass
    assert opening.opened == 0


async def test_a_failure_is_told_and_the_next_call_tries_again() -> None:
    opening = Opening(failures=[ConfigurationError("No TP is configured.", remedy="Set TP_MCP_BASE_URL.")])
    backend = Backend(opening, FakeClock())
    async with backend.running():
        with pytest.raises(ConfigurationError, match="Set TP_MCP_BASE_URL"):
            await bounded(backend.services())
        assert await bounded(backend.services())
    assert opening.opened == 1


async def test_an_unexpected_failure_never_shows_its_words(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend(Opening(failures=[RuntimeError("inside information")]), FakeClock())
    async with backend.running():
        with pytest.raises(TpMcpError) as caught:
            await bounded(backend.services())
    assert "inside information" not in str(caught.value)
    assert "tp-mcp doctor" in caught.value.remedy
    assert "inside information" in caplog.text


async def test_services_that_die_are_opened_anew() -> None:
    opening = Opening()
    backend = Backend(opening, FakeClock())
    async with backend.running():
        first = await bounded(backend.services())
        opening.dies.set()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await backend.services() is first:
                await asyncio.sleep(0)
        assert opening.opened == 2


async def test_services_that_die_are_opened_anew_though_nobody_calls() -> None:
    class Waking(FakeClock):
        async def sleep(self, seconds: float) -> None:
            if seconds != module.REOPEN_SECONDS:
                await super().sleep(seconds)

    opening = Opening()
    backend = Backend(opening, Waking())
    async with backend.running():
        await bounded(backend.services())
        opening.is_open = asyncio.Event()
        opening.dies.set()
        await bounded(opening.is_open.wait())
    assert (opening.opened, opening.closed) == (2, 1)


@pytest.mark.parametrize("hangs", ["opening", "closing"])
async def test_it_ends_within_its_limit_although_something_hangs(hangs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.1)
    opening = Opening(hangs=hangs)
    backend = Backend(opening, SystemClock())
    begun = time.monotonic()
    async with backend.running():
        backend.answered()
        await bounded(opening.is_open.wait())
    assert time.monotonic() - begun < PATIENCE_SECONDS


async def test_who_asks_when_it_has_closed_is_told_so() -> None:
    backend = Backend(Opening(), FakeClock())
    async with backend.running():
        await backend.services()
    with pytest.raises(TpMcpError, match="closing"):
        await bounded(backend.services())


async def test_a_call_on_a_server_that_cannot_open_says_why_and_the_next_one_works(world: World) -> None:
    failures = [ConfigurationError("No TP is configured.", remedy="Set TP_MCP_BASE_URL.")]

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        if failures:
            raise failures.pop()
        yield world.services

    clock = FakeClock()
    server = TpServer(Backend(opened, clock), IDENTITY, clock, lambda: DEFAULT_TOOLS)
    async with Client(server) as client:
        result = await client.call_tool("list_labs", {})
        assert result.is_error
        assert text_of(result) == "No TP is configured.\n\nSet TP_MCP_BASE_URL."
        assert not (await client.call_tool("list_labs", {})).is_error
