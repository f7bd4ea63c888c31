"""A TP that does as a test says and records what it was asked, and server processes that come and go, on one clock."""

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from pydantic import JsonValue

from tests.support.clock import FakeClock, still_clock
from tests.support.process import ALICE, LAB, Process, open_process
from tp_mcp.errors import TpMcpError
from tp_mcp.results.fence import new_marker
from tp_mcp.results.fit import render
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.tools.framework.definition import Call
from tp_mcp.watch.model.watch import Owner, Watch

TEST = "Tests_CLI/test_vlan.py"
TOKEN_SECONDS = 12 * 3600.0
TREE: JsonValue = {
    "children": [
        {"identifier": "Tests_CLI", "name": "Tests_CLI", "children": [{"identifier": TEST, "name": "test_vlan.py"}]}
    ]
}


@dataclass
class Tp:
    """What TP knows, what it was asked, and how it answers a request that starts something.

    Attributes:
        on_start: called with each such request once it was carried out; may answer otherwise, or raise.
        away: whether nothing answers.
        busy: whether every read is answered with a 503 that asks to come back at once.
    """

    clock: FakeClock
    executions: dict[int, dict[str, Any]] = field(default_factory=dict)
    upgrade: dict[str, Any] = field(default_factory=lambda: {"testbed": LAB, "status": "UNKNOWN", "per_device": []})
    asked: list[tuple[float, str]] = field(default_factory=list)
    on_start: Callable[[httpx2.Request], Awaitable[httpx2.Response | None]] | None = None
    away: bool = False
    busy: bool = False

    def count(self, what: str) -> int:
        """Return how often it was asked for something, as `POST /adc/automation/pytest/`."""
        return sum(1 for _, asked in self.asked if asked == what)

    def run(self, status: str = "Running", **fields: Any) -> int:
        """Let there be an execution on the lab."""
        exec_id = 446 + len(self.executions)
        self.executions[exec_id] = {"exec_id": exec_id, "lab": LAB, "status": status, "log_size": 1, **fields}
        return exec_id

    def end(self, exec_id: int, passed: int = 3, failed: int = 0) -> None:
        """Let an execution end."""
        self.executions[exec_id] |= {"status": "Done", "pass_count": passed, "fail_count": failed, "error_count": 0}

    async def handle(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        self.asked.append((self.clock.time, f"{request.method} {path}"))
        if self.away:
            raise httpx2.ConnectError("no route", request=request)
        if path == "/token-auth/":
            return httpx2.Response(200, json={"token": self._token()})
        if not self._let_in(request):
            return httpx2.Response(401, json={"detail": "Signature has expired."})
        if request.method == "POST" and path in {"/adc/automation/pytest/", "/adc/automation/upgrade/"}:
            answer = self._start(path, json.loads(request.content))
            return (await self.on_start(request) if self.on_start else None) or answer
        if self.busy:
            return httpx2.Response(503, json={"error": "busy"}, headers={"Retry-After": "0"})
        return self._read(path)

    def _start(self, path: str, body: dict[str, Any]) -> httpx2.Response:
        if "upgrade" in path:
            return httpx2.Response(202, json={"testbed": LAB, "mode": body["mode"], "build_number": "", "tasks": []})
        if any(each["status"] in {"Initiating", "Running"} for each in self.executions.values()):
            return httpx2.Response(409, json={"error": f"another execution is already in flight on '{LAB}'"})
        return httpx2.Response(202, json={"exec_id": self.run("Initiating"), "status": "Initiating", "lab": LAB})

    def _read(self, path: str) -> httpx2.Response:
        parts = path.strip("/").split("/")
        answers: dict[str, JsonValue] = {
            "get_automation_lab": [{"name": LAB, "status": "Available"}],
            "get_test_result": list(self.executions.values()),
            "get_testcases": TREE,
        }
        if parts[-1] in answers:
            return httpx2.Response(200, json=answers[parts[-1]])
        found = self.upgrade if parts[-2] == "upgrade" else self.executions.get(int(parts[-1]))
        return httpx2.Response(404, json={"error": "not found"}) if found is None else httpx2.Response(200, json=found)

    def _token(self) -> str:
        claims = {"username": "demo", "exp": self.clock.time + TOKEN_SECONDS}
        return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.e30"

    def _let_in(self, request: httpx2.Request) -> bool:
        _, claims, _ = request.headers["Authorization"].removeprefix("JWT ").split(".")
        expires: float = json.loads(base64.urlsafe_b64decode(claims + "==="))["exp"]
        return expires > self.clock.time


class HouseProcess(Process):
    """One server process over the house's state directory."""

    async def call(self, name: str, *, owner: Owner = ALICE, **arguments: Any) -> tuple[str, tuple[str, ...]]:
        """Call a tool; return its text, and the ids of the ended watches that are appended to it."""
        definition = next(each for each in DEFAULT_TOOLS if each.name == name)
        visit = await self.services.watches.inbox.begin(owner)
        call = Call(owner=owner, visit=visit, services=self.services, report=_tell_nobody)
        try:
            document = await definition.call(arguments, call)
        except TpMcpError:
            self.services.watches.inbox.handed_over(visit, ())
            raise
        shown = tuple(entry.watch_id for entry in await self.services.watches.inbox.to_show(visit))
        self.services.watches.inbox.handed_over(visit, shown)
        return render(document, marker=new_marker()), shown

    async def watches(self, owner: Owner = ALICE) -> tuple[Watch, ...]:
        return await self.services.watches.registry.list(owner, all_conversations=True)


@dataclass
class House:
    """One TP, one state directory, one clock."""

    clock: FakeClock
    tp: Tp
    state: Path
    processes: list[HouseProcess] = field(default_factory=list)

    @asynccontextmanager
    async def process(self) -> AsyncIterator[HouseProcess]:
        """Run a server process; at its end it dies without a chance to write anything."""
        transport = httpx2.MockTransport(self.tp.handle)
        async with open_process(self.state, clock=self.clock, transport=transport, confirm="nothing") as opened:
            process = HouseProcess(**vars(opened))
            self.processes.append(process)
            yield process
            self.processes.remove(process)

    async def advance(self, seconds: float) -> None:
        """Let time pass; the processes that live make the polls that become due."""
        end = self.clock.time + seconds
        while True:
            for process in self.processes:
                await process.polls.idle()
            due = [(process.timer.at, process) for process in self.processes if process.timer.at is not None]
            at, first = min(due, key=lambda each: each[0], default=(end + 1, None))
            if at > end or first is None:
                self.clock.time = end
                return
            self.clock.time = max(self.clock.time, at)
            await first.timer.fire()


def open_house(directory: Path) -> House:
    """Return a house without a process in it."""
    clock = still_clock()
    return House(clock, Tp(clock), directory / "state")


async def _tell_nobody(*_watches: Watch) -> None:
    """Take no part in progress."""
