"""The floor of the delivery benchmark: a server of one tool, whose calls wait and are answered at given times.

`python -m benchmarks.releasing_server FILE` reads from FILE one JSON list: seconds after the call of `release` at which
the call of `wait` with that number, counted from 0, is let go, and the length of the text that it answers with. It
writes the time at which it let each go to FILE.released.
"""

import json
import sys
import time
from pathlib import Path

import anyio
from mcp.server.mcpserver import MCPServer

server = MCPServer("releasing")
plan: list[tuple[float, int]] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
events = [anyio.Event() for _ in plan]
released: dict[int, float] = {}


@server.tool()
async def wait(number: int) -> str:
    """Wait until this number is let go."""
    await events[number].wait()
    return "x" * plan[number][1]


@server.tool()
async def release() -> str:
    """Let each number go at its time, and say so at the end."""
    began = time.time()
    for number, (after, _) in sorted(enumerate(plan), key=lambda each: each[1][0]):
        left = began + after - time.time()
        if left > 0:
            await anyio.sleep(left)
        released[number] = time.time()
        events[number].set()
    await anyio.Path(f"{sys.argv[1]}.released").write_text(json.dumps(released), encoding="utf-8")
    return "all are let go"


if __name__ == "__main__":
    server.run("stdio")
