import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.simulator.controller.controller import SeenProcess

LAB = "AT16_Combined_FSW"
RUN_LIMIT_SECONDS = 30


class Tp:
    """A simulator and a client that speaks to it, logged in as `demo`."""

    def __init__(self, simulator: Simulator, client: httpx2.AsyncClient) -> None:
        self.simulator = simulator
        self.client = client

    def login(self, username: str) -> None:
        token = self.simulator.tokens.mint(self.simulator.state.users[username])
        self.client.headers["Authorization"] = f"JWT {token}"

    async def get(self, path: str) -> httpx2.Response:
        return await self.client.get(path)

    async def post(self, path: str, body: Any = None) -> httpx2.Response:
        return await self.client.post(path, json=body)

    async def upgrade(self, **fields: Any) -> httpx2.Response:
        return await self.post("/adc/automation/upgrade/", {"testbed": LAB, **fields})

    async def upgrade_state(self, testbed: str = LAB) -> Any:
        return (await self.get(f"/adc/automation/upgrade/{testbed}/")).json()

    async def run(self, *ids: str, **fields: Any) -> httpx2.Response:
        body = {"user": "demo", "lab": LAB, "testcase": list(ids), "argument": "", **fields}
        return await self.post("/adc/automation/pytest/", body)

    async def execution(self, exec_id: int) -> Any:
        return (await self.get(f"/adc/automation/pytest/{exec_id}/")).json()

    async def until(self, exec_id: int, holds: Callable[[Any], bool]) -> Any:
        """Return an execution's row as soon as it is as asked for."""
        async with asyncio.timeout(RUN_LIMIT_SECONDS):
            while True:
                row = await self.execution(exec_id)
                if holds(row):
                    return row
                await asyncio.sleep(0.01)

    async def ended(self, *ids: str, **fields: Any) -> Any:
        """Start a run and return its row once the script has ended."""
        started = await self.run(*ids, **fields)
        assert started.status_code == 202, started.text
        exec_id = started.json()["exec_id"]
        async with asyncio.timeout(RUN_LIMIT_SECONDS):
            await self.simulator.workers.join(exec_id)
        return await self.execution(exec_id)

    def commands(self, kind: str) -> list[tuple[str, ...]]:
        return [seen.argv for seen in self.simulator.controller.processes if seen.kind == kind]


@asynccontextmanager
async def running(options: SimulatorOptions) -> AsyncIterator[Tp]:
    async with Simulator(options) as simulator:
        transport = httpx2.ASGITransport(app=simulator.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tp") as client:
            tp = Tp(simulator, client)
            tp.login("demo")
            yield tp


@pytest.fixture
async def still() -> AsyncIterator[Tp]:
    """A TP whose time moves by steps only."""
    async with running(SimulatorOptions(speed=0, start_time=1_780_090_000)) as tp:
        yield tp


@pytest.fixture
async def fast() -> AsyncIterator[Tp]:
    """A TP that runs 400 times as fast as real time."""
    async with running(SimulatorOptions(speed=400)) as tp:
        yield tp


@pytest.fixture
def start() -> Callable[..., Any]:
    """Make a TP with other options: `async with start(sso_only=True) as tp`."""
    return lambda **options: running(replace(SimulatorOptions(speed=400), **options))


@pytest.fixture
def alive_in_group() -> Callable[[int], list[int]]:
    """Return the processes of a group that are not merely waiting to be reaped by init."""

    def states() -> Iterator[tuple[int, int, str]]:
        if not Path("/proc/self/stat").exists():
            listing = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True)
            for line in listing.stdout.splitlines():
                pid, pgid, stat = line.split()
                yield int(pid), int(pgid), stat
            return
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                state, _, pgid = (process / "stat").read_text().rpartition(")")[2].split()[:3]
                yield int(process.name), int(pgid), state

    def alive(group: int) -> list[int]:
        # A process that was killed is gone a moment later, not at once.
        deadline = time.monotonic() + 2
        while True:
            left = [pid for pid, pgid, state in states() if pgid == group and not state.startswith("Z")]
            if not left or time.monotonic() > deadline:
                return left
            time.sleep(0.01)

    return alive


@dataclass(frozen=True)
class WholeRun:
    row: Any
    report: str
    processes: list[SeenProcess]
    mid_run: list[Any]


async def _whole_run(build: str | None) -> WholeRun:
    async with running(SimulatorOptions(speed=100)) as tp:
        if build:
            await tp.upgrade(mode="build", build_number=build)
            await tp.simulator.advance(300)
        exec_id = (await tp.run("Tests_CLI")).json()["exec_id"]
        rows = []
        async with asyncio.timeout(RUN_LIMIT_SECONDS):
            while (row := await tp.execution(exec_id))["end_timestamp"] is None:
                rows.append(row)
                await asyncio.sleep(0.05)
        report = (await tp.get("/" + row["report_file_path"])).text
        return WholeRun(row, report, tp.simulator.controller.processes, rows)


@pytest.fixture(scope="session")
def good_run() -> WholeRun:
    """The whole of Tests_CLI on the build that runs at the start."""
    return asyncio.run(_whole_run(None))


@pytest.fixture(scope="session")
def bad_run() -> WholeRun:
    """The whole of Tests_CLI after an upgrade to the bad build."""
    return asyncio.run(_whole_run("6957"))
