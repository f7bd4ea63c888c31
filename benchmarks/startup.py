"""`python -m benchmarks.startup`: from spawning the server to its first answer over stdio, against a bare SDK server.

Both are spawned in turn, so that whatever else the machine does meets both alike. The first answer is that to
`initialize`. The last line is the ratio of the medians; at most 1.0 is wanted.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

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
BARE = (sys.executable, "-m", "benchmarks.bare_server")
OURS = (sys.executable, "-m", "tp_mcp", "serve", "--simulator")


def seconds_to_first_answer(command: Sequence[str], state_dir: str) -> float:
    """Spawn a server, initialize it, and return how long its answer took.

    Raises:
        RuntimeError: the answer is not one to `initialize`.

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
        process.stdin.write(json.dumps(INITIALIZE) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        took = time.perf_counter() - began
        process.kill()
    if "serverInfo" not in answer.get("result", {}):
        raise RuntimeError(f"not an answer to initialize: {answer}")
    return took


def main() -> None:
    """Measure and print."""
    taken: dict[Sequence[str], list[float]] = {BARE: [], OURS: []}
    with tempfile.TemporaryDirectory() as state_dir:
        for turn in range(WARM_UPS + ROUNDS):
            for command, times in taken.items():
                took = seconds_to_first_answer(command, state_dir)
                if turn >= WARM_UPS:
                    times.append(took)
    bare, ours = (statistics.median(taken[command]) for command in (BARE, OURS))
    print(f"bare one-tool server: median {bare * 1000:.0f} ms of {ROUNDS}")
    print(f"tp-mcp serve:         median {ours * 1000:.0f} ms of {ROUNDS}")
    print(f"ratio {ours / bare:.3f}")


if __name__ == "__main__":
    main()
