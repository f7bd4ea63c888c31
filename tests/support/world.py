"""Everything behind the tools, joined as the composition root does, but on a clock that tests move.

The TP is the simulator, in process, with its time standing still; the same clock drives polls and waits. `advance`
moves the time and lets every poll that becomes due finish before it goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx2
from pydantic import JsonValue

from tests.support.clock import FakeTimer
from tests.support.patience import PATIENCE_SECONDS
from tests.support.process import ALICE, LAB, CountedTasks, open_process
from tp_mcp.access.credentials import Vault
from tp_mcp.api.auth import Credentials
from tp_mcp.errors import TpMcpError
from tp_mcp.redaction import Redactor
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render
from tp_mcp.server.rendering import error_text
from tp_mcp.server.toolset import ALL_TOOLS
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.simulator.faults import Fault
from tp_mcp.tools.framework.definition import Call
from tp_mcp.tools.framework.questions import Asker
from tp_mcp.tools.framework.services import Services
from tp_mcp.watch.model.watch import Owner, Watch

START_TIME = 1_780_090_000.0
TREE_TTL_SECONDS = 600.0
SUITE_SPEED = 1_000.0
READS = frozenset(
    {
        *("get_upgrade", "get_execution", "get_testcases", "list_labs", "list_executions", "list_versions"),
        "get_report",
    }
)

USUAL_SETTINGS: Mapping[str, Any] = {
    "confirm": "nothing",
    "image_hosts": ("10.1.1.1", "10.15.1.20"),
    "testcases_ttl_seconds": TREE_TTL_SECONDS,
}


@dataclass
class World:
    """One simulated TP and everything that a tool may use."""

    simulator: Simulator
    services: Services
    timer: FakeTimer
    polls: CountedTasks
    vault: Vault
    told: list[Watch] = field(default_factory=list)

    async def call(self, name: str, *, owner: Owner = ALICE, asker: Asker | None = None, **arguments: Any) -> str:
        """Call a tool and return its document as text."""
        definition = next(each for each in ALL_TOOLS if each.name == name)
        visit = await self.services.watches.inbox.begin(owner)

        async def report(*watches: Watch) -> None:
            self.told.extend(watches)

        document = await definition.call(
            arguments, Call(owner=owner, visit=visit, services=self.services, report=report, asker=asker)
        )
        return render(document, marker=new_marker())

    async def refused(self, name: str, **arguments: Any) -> str:
        """Call a tool that must refuse, and return what it says."""
        try:
            text = await self.call(name, **arguments)
        except TpMcpError as error:
            return error_text(error, Redactor())
        raise AssertionError(f"{name} was not refused: {text}")

    async def advance(self, seconds: float) -> None:
        """Move the time; polls that become due on the way are made, and finish."""
        end = self.services.clock.now() + seconds
        while True:
            await self.polls.idle()
            now = self.services.clock.now()
            if self.timer.at is not None and self.timer.at <= now:
                await self.timer.fire()
                continue
            if now >= end:
                return
            await self.simulator.advance(min(end, self.timer.at or end) - now)

    async def settle(self) -> None:
        """Let everything that needs no time to pass go on, as far as the store's thread is asked meanwhile."""
        for _ in range(4):
            await self.services.watches.registry._store.get("w_00000000")
            await self.services.watches.registry._store.version()
            for _ in range(20):
                await asyncio.sleep(0)

    async def run_to_its_end(self, exec_id: int) -> None:
        """Let a real pytest begin and end, and the watch see it."""
        await self.advance(5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.simulator.workers.join(exec_id)
        await self.advance(31)

    def rival_runs(self, *test_ids: str, lab: str = LAB) -> int:
        """Let another user start a run in TP's own page; return its id."""
        body = {"user": "rival", "lab": lab, "testcase": list(test_ids), "argument": ""}
        return self.simulator.start_execution("rival", body).exec_id

    def ended_execution(self, **fields: Any) -> int:
        """Write the row of an execution that ended as told; return its id."""
        body = {"user": "demo", "lab": LAB, "testcase": ["Tests_CLI"], "argument": ""}
        execution = self.simulator.state.create_execution("demo", body)
        now = self.services.clock.now()
        self.simulator.state.executions.put(
            replace(execution, **{"status": "Done", "started_at": now - 90, "ended_at": now, **fields})
        )
        return execution.exec_id

    def write_report(self, exec_id: int, html: str) -> None:
        """Let TP serve a report of an execution."""
        path = self.simulator.controller.server_root / self.simulator.state.executions.get(exec_id).report_file_path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")

    def forget_manifest_tool(self, name: str) -> None:
        """Use a connector that lacks a tool."""
        manifest = self.services.starts.manifest
        tools = {kept: tool for kept, tool in manifest.tools.items() if kept != name}
        changed = replace(self.services.starts, manifest=manifest.model_copy(update={"tools": tools}))
        self.services = replace(self.services, starts=changed)

    def answers(self, name: str, value: JsonValue) -> None:
        """Let TP answer one call that reads with something that the simulator never says."""
        client = self.services.tp.client
        usual = client.read_json

        async def read_json(called: str, arguments: Mapping[str, JsonValue]) -> JsonValue:
            return value if called == name else await usual(called, arguments)

        client.read_json = read_json  # type: ignore[method-assign, assignment] # the one way in for all reads
        client.without_retries = lambda: client  # type: ignore[method-assign] # a view would not have it

    def fault(self, endpoint: str, kind: str = "status", **fields: Any) -> None:
        """Let requests of one endpoint go wrong."""
        self.simulator.state.faults.add(Fault(endpoint=endpoint, kind=kind, **fields))

    @property
    def asked(self) -> list[str]:
        """Return the endpoints that TP was asked for, logins apart."""
        return [seen.endpoint for seen in self.simulator.state.requests if seen.endpoint != "token_auth"]

    @property
    def written(self) -> list[str]:
        """Return the requests that could have changed something."""
        return [endpoint for endpoint in self.asked if endpoint not in READS]


@asynccontextmanager
async def open_world(
    state_dir: Path,
    *,
    tree: JsonValue = None,
    options: SimulatorOptions | None = None,
    credentials: Credentials | None = None,
    transport: httpx2.AsyncBaseTransport | None = None,
    own_logins: bool = False,
    **settings: Any,
) -> AsyncIterator[World]:
    """Join everything; `tree` is the test tree to show without collecting it, `settings` what is configured.

    With `own_logins` each principal acts on TP with their own, and `credentials` are the service account's.
    """
    options = replace(options or SimulatorOptions(), speed=0.0, suite_speed=SUITE_SPEED, start_time=START_TIME)
    async with Simulator(options) as simulator:
        if tree is not None:
            simulator._tree = asyncio.create_task(_returned(tree))
        password = simulator.state.users["demo"].password
        async with open_process(
            state_dir,
            clock=simulator.state.clock,
            transport=transport or httpx2.ASGITransport(app=simulator.app),
            password=password,
            credentials=credentials,
            own_logins=own_logins,
            **{**USUAL_SETTINGS, **settings},
        ) as process:
            yield World(simulator, process.services, process.timer, process.polls, process.vault)


def collected_tree() -> JsonValue:
    """Return the sample suite's test tree, as a real pytest collects it."""

    async def collect() -> JsonValue:
        async with Simulator(SimulatorOptions(speed=0)) as simulator:
            return await simulator.testcases()

    return asyncio.run(collect())


async def _returned(tree: JsonValue) -> Any:
    return tree
