import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.forge.connector import HttpConnector
from tests.forge.double import Assistant, Forge
from tp_mcp.simulator import Simulator, SimulatorOptions

TP_YAML = Path(__file__).parents[2] / "connectors" / "tp.yaml"
BASE_URL = "http://tp.example:8000"
RUN_LIMIT_SECONDS = 30
STEP_SECONDS = 5.0


@dataclass
class Workbench:
    """A Forge with TP's connector installed, before a TP whose time a test moves."""

    simulator: Simulator
    connector: HttpConnector

    def forge(self, assistant: Assistant | None = None) -> Forge:
        arguments = () if assistant is None else (assistant,)
        return Forge({"tp": self.connector}, self.simulator.state.clock, *arguments)

    async def advance(self, forge: Forge, seconds: float) -> None:
        end = self.simulator.state.clock.now() + seconds
        while self.simulator.state.clock.now() < end:
            await self.simulator.advance(min(STEP_SECONDS, end - self.simulator.state.clock.now()))
            await forge.tick()

    async def run_to_its_end(self, forge: Forge, exec_id: int) -> None:
        await self.advance(forge, 16)
        async with asyncio.timeout(RUN_LIMIT_SECONDS):
            await self.simulator.workers.join(exec_id)
        await self.advance(forge, 31)


@pytest.fixture
async def workbench() -> AsyncIterator[Workbench]:
    async with Simulator(SimulatorOptions(speed=0, start_time=1_780_090_000)) as simulator:
        transport = httpx2.ASGITransport(app=simulator.app)
        async with httpx2.AsyncClient(transport=transport) as client:
            token = simulator.tokens.mint(simulator.state.users["demo"])
            settings = {"base_url": BASE_URL, "token": token, "username": "demo"}
            yield Workbench(simulator, HttpConnector(TP_YAML, settings, client))
