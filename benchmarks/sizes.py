"""`python -m benchmarks.sizes`: what a model reads of 5,000 tests, 400 of which failed, and whether it says what broke.

A real pytest runs the suite of `benchmarks.sizes_suite`; the embedded TP shows its tree, its report and its log, and a
real MCP client asks the real server. Sizes are tokens, of four characters each. Beside each answer stands what a server
would tell that sends TP's own data and cuts it after 16,000 characters. `causes` is how many of the twelve reasons of
the failures an answer names, and `main` whether it names the one behind 300 of the 400. Takes half a minute.

The log is played as that of a run of one hour, looked at every 15 s: `kept` is how much of it can be searched later.
"""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client
from mcp.types import TextContent

from benchmarks.sizes_suite import CAUSES, FAILURES, MAIN_CAUSE, TESTS, run_suite, write_suite
from tp_mcp.clock import SystemClock
from tp_mcp.composition.open_services import open_services
from tp_mcp.composition.tp_access import SIMULATOR_LOGIN, TpAccess
from tp_mcp.server.app import TpServer
from tp_mcp.server.backend import Backend
from tp_mcp.server.identity import ProcessIdentity
from tp_mcp.server.toolset import DEFAULT_TOOLS
from tp_mcp.settings import Settings
from tp_mcp.simulator import Simulator, SimulatorOptions
from tp_mcp.simulator.executions.snapshot import Counts
from tp_mcp.simulator.platform import build_tree
from tp_mcp.tools.framework.services import Services
from tp_mcp.triage.report_parser import parse_report

CHARACTERS_PER_TOKEN = 4
PLAIN_CUT_CHARACTERS = 16_000
TAIL_BYTES = 4_096
LOOKS = 240
TRIAGE_TOOL = "triage_execution"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was read: by whom, the text, and what it stands for."""

    what: str
    text: str
    whole: str

    def row(self) -> str:
        """Return its line of the table."""
        cut = self.whole[:PLAIN_CUT_CHARACTERS]
        cells = [f"{self.what:<44}", *(f"{tokens(text):>8,}" for text in (self.text, cut, self.whole))]
        for text in (self.text, cut):
            cells += [f"{sum(cause in text for cause in CAUSES):>7}", f"{'yes' if MAIN_CAUSE in text else 'no':>5}"]
        return " ".join(cells)


def tokens(text: str) -> int:
    """Return how many tokens a text costs."""
    return -(-len(text) // CHARACTERS_PER_TOKEN)


async def measure(directory: Path) -> list[str]:
    """Return the lines to print."""
    ids = write_suite(directory)
    report, log = await asyncio.to_thread(run_suite, directory)
    tree = build_tree(ids)
    async with Simulator(SimulatorOptions(speed=0.0)) as simulator:
        simulator._tree = asyncio.create_task(_returned(tree))  # noqa: SLF001 -- this suite's tree, without collecting
        exec_id = _execution(simulator)
        async with _connected(simulator, directory / "state") as client:
            await _play(simulator, exec_id, log, client)
            _end(simulator, exec_id, report)
            return await _asked(client, exec_id, json.dumps(tree), _failures(report), log)


async def _asked(client: Client, exec_id: int, tree: str, failures: str, log: bytes) -> list[str]:
    listed = await _text(client, "list_testcases")
    found = await _text(client, "list_testcases", search="radius 0117")
    ended = await _text(client, "get_execution", exec_id=exec_id)
    handle = re.findall(r'read_result\(handle="(r_\w+)"\)', ended)[0]
    searched = await _text(client, "read_result", handle=handle, search="CommandError: .*table", context=0)
    kept = await _text(client, "read_result", handle=f"log-{exec_id}", search="^=+ short test summary", context=1)
    answers = [
        Answer("list_testcases()", listed, tree),
        Answer('list_testcases(search="radius 0117")', found, tree),
        Answer("get_execution(exec_id): what broke?", ended, failures),
        Answer("  and read_result(handle, search=...)", ended + searched, failures),
    ]
    if TRIAGE_TOOL in {definition.name for definition in DEFAULT_TOOLS}:
        told = await _text(client, TRIAGE_TOOL, exec_id=exec_id)
        answers.append(Answer("triage_execution(exec_id): what broke?", told, failures))
    seen = re.search(r"([\d,]+) bytes seen(?:, ([\d,]+) never shown)?", kept)
    missing = int((seen[2] or "0").replace(",", "")) if seen else len(log)
    return [
        f"{TESTS:,} tests, {FAILURES} failures; tree {len(tree):,} characters, log {len(log):,} bytes",
        " " * 44 + "   tokens    plain    whole  causes  main  plain: causes, main",
        *(answer.row() for answer in answers),
        f"log kept: {len(log) - missing:,} of {len(log):,} bytes ({100 * (len(log) - missing) / len(log):.1f} %)",
    ]


async def _play(simulator: Simulator, exec_id: int, log: bytes, client: Client) -> None:
    """Let the log grow as in a run of one hour, and look at it every 15 s."""
    executions = simulator.state.executions
    for look in range(1, LOOKS + 1):
        size = len(log) * look // LOOKS
        tail = log[max(0, size - TAIL_BYTES) : size].decode("utf-8", "replace")
        executions.put(replace(executions.get(exec_id), log_size=size, log_tail=tail))
        await _text(client, "get_execution", exec_id=exec_id)


def _execution(simulator: Simulator) -> int:
    body = {"user": "demo", "lab": "AT16_Combined_FSW", "testcase": ["Tests_CLI"], "argument": ""}
    execution = simulator.state.create_execution("demo", body)
    now = simulator.state.clock.now()
    # Its worker is dead, so that nothing but this module changes what is shown of it.
    running = replace(execution, status="Running", started_at=now, worker_died=True)
    simulator.state.executions.put(running)
    return execution.exec_id


def _end(simulator: Simulator, exec_id: int, report: bytes) -> None:
    executions = simulator.state.executions
    counts = Counts(passed=TESTS - FAILURES, failed=FAILURES, total=TESTS)
    now = simulator.state.clock.now()
    executions.put(replace(executions.get(exec_id), status="Done", ended_at=now, counts=counts))
    path = simulator.controller.server_root / executions.get(exec_id).report_file_path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(report)


def _failures(report: bytes) -> str:
    rows = parse_report(report).failures
    return json.dumps([{"test": row.test_id, "outcome": row.outcome, "log": row.log} for row in rows])


@asynccontextmanager
async def _connected(simulator: Simulator, state: Path) -> AsyncIterator[Client]:
    clock = SystemClock()

    @asynccontextmanager
    async def opened() -> AsyncIterator[Services]:
        access = TpAccess("http://tp.example:8000", SIMULATOR_LOGIN)
        transport = httpx2.ASGITransport(app=simulator.app)
        async with open_services(Settings(), access, state_dir=state, clock=clock, transport=transport) as services:
            yield services

    identity = ProcessIdentity(principal="local:benchmark", conversation="sizes", project=str(state))
    server = TpServer(Backend(opened, clock), identity, clock, lambda: DEFAULT_TOOLS)
    async with Client(server) as client:
        yield client


async def _text(client: Client, tool: str, /, **arguments: object) -> str:
    result = await client.call_tool(tool, dict(arguments))
    (content,) = result.content
    if result.is_error or not isinstance(content, TextContent):
        raise RuntimeError(f"{tool} failed: {content}")
    return content.text


async def _returned(tree: dict[str, Any]) -> dict[str, Any]:
    return tree


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        print("\n".join(asyncio.run(measure(Path(directory)))))
