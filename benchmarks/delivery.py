"""`python -m benchmarks.delivery`: 1,000 runs end together, and this is how long the client waits for each end.

One stdio client has 1,000 calls of `wait_for_watch` under way, one for each run, when all runs end on TP. The server
finds each end with its next poll, so within one interval. Measured is the time from when the poller has read TP's
answer with the end (noted in the server's process, `benchmarks.noting_server`) to the frame with that end at the
client: taking the answer in, writing end and inbox entry to the disk, waking the call, fitting its result, which
carries up to five other ends of the inbox too, and sending it, while the polls for the other runs go on.

The floor is the SDK's own throughput at the same burst with the same client (`benchmarks.releasing_server`): a bare
server has the same 1,000 calls waiting, lets each go at the moment, relative to the first, at which the poller had its
answer, and sends a text as long as ours. The last line is by how much our p99 exceeds the floor's; wanted are 50 ms at
most.

It is done twice: with an interval of 15 s, as runs have, which is the gate; and with one of 1.5 s, which asks TP for
more than one process can poll, and is printed only.
"""

import asyncio
import getpass
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from benchmarks.watches import spawned
from benchmarks.watching import FIRST_EXEC_ID, a_token, watch_of
from tp_mcp.storage.opening import open_storage
from tp_mcp.watch.model.watch import Owner

JOBS = 1_000
CONVERSATION = "benchmark"
INTERVAL_FACTORS = (1.0, 0.1)
"""Times the 15 s of `benchmarks.watching`."""

ALL_POLLED_SECONDS = 17.0
"""After this all first polls, which come within an interval of 15 s, and all calls are through."""

WAIT_SECONDS = 120
INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "benchmark", "version": "1"},
}


class Session:
    """One stdio server and the frames that it writes."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server has no pipes")
        self._to: IO[str] = process.stdin
        self._from: IO[str] = process.stdout
        self._ask(0, "initialize", INITIALIZE)
        self.frame()
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def call(self, number: int, tool: str, /, **arguments: object) -> None:
        """Send a call of a tool."""
        self._ask(number, "tools/call", {"name": tool, "arguments": arguments})

    def frame(self) -> tuple[int, float, dict[str, Any]]:
        """Return the next answer: the number of its request, when it was there, and what it says."""
        while True:
            line = self._from.readline()
            now, frame = time.time(), json.loads(line)
            if "id" in frame:
                return frame["id"], now, frame["result"]

    def _ask(self, number: int, method: str, params: object) -> None:
        self._write({"jsonrpc": "2.0", "id": number, "method": method, "params": params})

    def _write(self, message: object) -> None:
        self._to.write(json.dumps(message) + "\n")
        self._to.flush()


async def fill(directory: Path, server: str) -> list[str]:
    """Write the watches that the server takes up; return their ids."""
    store = (await open_storage(directory)).watches
    owner = Owner(f"local:{getpass.getuser()}", f"environment:{CONVERSATION}", exact=True)
    ids = []
    for number in range(JOBS):
        made = watch_of(number, JOBS, server)
        await store.add(type(made)(**{name: getattr(made, name) for name in made.__slots__} | {"owner": owner}))
        ids.append(made.id)
    await store.close()
    return ids


def start(command: list[str], **variables: str) -> "subprocess.Popen[str]":
    """Spawn a stdio server."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **variables},
        text=True,
    )


@dataclass
class Burst:
    """What came of 1,000 ends.

    Attributes:
        found: when the answer with the end was read, or the call let go, by number.
        framed: when the frame was at the client, by number.
        lengths: how long each text was, by number.
    """

    found: dict[int, float]
    framed: dict[int, float]
    lengths: dict[int, int] = field(default_factory=dict)

    def taken(self) -> list[float]:
        """Return the seconds of each, sorted."""
        return sorted(self.framed[number] - self.found[number] for number in range(JOBS))

    def plan(self) -> list[tuple[float, int]]:
        """Return when each is to be let go after the first, and how long its text is to be."""
        first = min(self.found.values())
        return [(self.found[number] - first, self.lengths[number]) for number in range(JOBS)]


def ours(factor: float) -> Burst:
    """Let 1,000 runs end, and return what came of it."""
    with tempfile.TemporaryDirectory() as directory, spawned("benchmarks.upstream") as upstream:
        if upstream.stdout is None:
            raise RuntimeError("the upstream has no pipe")
        server = f"http://127.0.0.1:{int(upstream.stdout.readline())}"
        noted = Path(directory) / "noted"
        ids = asyncio.run(fill(Path(directory), server))
        with start(
            [sys.executable, "-m", "benchmarks.noting_server", str(noted)],
            TP_MCP_BASE_URL=server,
            TP_MCP_CONFIRM="nothing",
            TP_MCP_TOKEN=a_token().token.get_secret_value(),
            TP_MCP_STATE_DIR=directory,
            TP_MCP_CONFIG_FILE=os.devnull,
            TP_MCP_INTERVAL_FACTOR=str(factor),
            CLAUDE_CODE_SESSION_ID=CONVERSATION,
        ) as process:
            session = Session(process)
            for number, watch_id in enumerate(ids):
                session.call(number + 1, "wait_for_watch", watch_id=watch_id, max_wait_seconds=WAIT_SECONDS)
            time.sleep(ALL_POLLED_SECONDS)
            get(f"{server}/end")
            burst = Burst({}, {})
            for _ in ids:
                number, at, result = session.frame()
                text = result["content"][0]["text"]
                if "is done" not in text.partition("\n")[0]:
                    raise RuntimeError(f"a wait ended without an end: {result}")
                burst.framed[number - 1], burst.lengths[number - 1] = at, len(text)
            process.kill()
        for line in noted.read_text(encoding="utf-8").splitlines():
            exec_id, at_text = line.split()
            burst.found.setdefault(int(exec_id) - FIRST_EXEC_ID, float(at_text))
    return burst


def floor(burst: Burst) -> Burst:
    """Let a bare server answer as many calls, each at the same moment, and return what came of it."""
    with tempfile.TemporaryDirectory() as directory:
        plan = Path(directory) / "plan"
        plan.write_text(json.dumps(burst.plan()), encoding="utf-8")
        with start([sys.executable, "-m", "benchmarks.releasing_server", str(plan)]) as process:
            session = Session(process)
            for number in range(JOBS):
                session.call(number + 1, "wait", number=number)
            session.call(JOBS + 1, "release")
            framed: dict[int, float] = {}
            for _ in range(JOBS + 1):
                number, at, _ = session.frame()
                framed[number - 1] = at
            process.kill()
        released = json.loads(Path(f"{plan}.released").read_text(encoding="utf-8"))
    return Burst({int(number): at for number, at in released.items()}, framed)


def get(url: str) -> dict[str, float]:
    """Read JSON."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 -- our own server
        value: dict[str, float] = json.load(answer)
    return value


def compare(factor: float) -> float:
    """Measure one interval, print it, and return by how many seconds our p99 exceeds the floor's."""
    burst = ours(factor)
    found = sorted(burst.found.values())
    print(f"{JOBS:,} ends, read from TP within {found[-1] - found[0]:.1f} s:")
    taken = {"bare server": floor(burst).taken(), "tp-mcp": burst.taken()}
    for name, times in taken.items():
        median, p99 = (times[int(JOBS * share)] * 1e3 for share in (0.5, 0.99))
        print(f"  {name:12} median {median:.1f} ms, p99 {p99:.1f} ms, last {times[-1] * 1e3:.1f} ms", flush=True)
    return taken["tp-mcp"][int(JOBS * 0.99)] - taken["bare server"][int(JOBS * 0.99)]


def main() -> None:
    """Measure and print."""
    gate, *_ = [compare(factor) for factor in INTERVAL_FACTORS]
    print(f"p99 beyond the floor {gate * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
