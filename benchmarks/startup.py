"""`python -m benchmarks.startup`: from spawning the server to its first answers over stdio, against a bare SDK server.

The two servers are spawned in turn, so that other load on the machine meets both alike. Measured are the answer to
`initialize` and the answer to the `tools/list` that follows it at once. The last lines are the ratios of the medians:
at most 1.0 is wanted for the first answer, and at most 0.9 for the listing.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

ROUNDS = 15
WARM_UPS = 2
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "benchmark", "version": "1"},
    },
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
LIST_TOOLS = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
BARE = (sys.executable, "-m", "benchmarks.bare_server")
OURS = (sys.executable, "-m", "tp_mcp", "serve", "--simulator")


class Seconds(NamedTuple):
    """The time from spawning a server to each of its answers."""

    first_answer: float
    listing: float


def seconds_to_answers(command: Sequence[str], state_dir: str) -> Seconds:
    """Spawn a server, initialize it, list its tools, and return how long each answer took.

    Raises:
        RuntimeError: an answer is not one to its request.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TP_MCP_STATE_DIR": state_dir, "TP_MCP_CONFIG_FILE": os.devnull},
        text=True,
    ) as process:
        if process.stdin is None or process.stdout is None:
            raise RuntimeError("the server has no pipes")
        _send(process.stdin, INITIALIZE)
        answer = json.loads(process.stdout.readline())
        first_answer = time.perf_counter() - began
        _send(process.stdin, INITIALIZED, LIST_TOOLS)
        listing = json.loads(process.stdout.readline())
        listed = time.perf_counter() - began
        process.kill()
    if "serverInfo" not in answer.get("result", {}):
        raise RuntimeError(f"not an answer to initialize: {answer}")
    if "tools" not in listing.get("result", {}):
        raise RuntimeError(f"not an answer to tools/list: {listing}")
    return Seconds(first_answer, listed)


def _send(stdin: IO[str], *messages: dict[str, Any]) -> None:
    stdin.writelines(json.dumps(message) + "\n" for message in messages)
    stdin.flush()


def main() -> None:
    """Measure and print."""
    taken: dict[Sequence[str], list[Seconds]] = {BARE: [], OURS: []}
    with tempfile.TemporaryDirectory() as state_dir:
        for turn in range(WARM_UPS + ROUNDS):
            for command, times in taken.items():
                seconds = seconds_to_answers(command, state_dir)
                if turn >= WARM_UPS:
                    times.append(seconds)
    bare, ours = (Seconds(*map(statistics.median, zip(*taken[command], strict=True))) for command in (BARE, OURS))
    for name, medians in (("bare one-tool server", bare), ("tp-mcp serve", ours)):
        first, listing = (f"{seconds * 1000:.0f} ms" for seconds in medians)
        print(f"{name + ':':<22} median of {ROUNDS}: first answer {first}, tools/list {listing}")
    print(f"ratio of the first answer {ours.first_answer / bare.first_answer:.3f}")
    print(f"ratio of tools/list {ours.listing / bare.listing:.3f}")


if __name__ == "__main__":
    main()
